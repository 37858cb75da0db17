// Package kubetest gives tests a real API server, started once for a package's tests, and lets them play its pods.
//
//	func TestMain(m *testing.M) { os.Exit(kubetest.Main(m, cluster.LightOptions{})) }
//	func TestX(t *testing.T)    { c := kubetest.Connect(t); ns := kubetest.Namespace(t, c) … }
package kubetest
