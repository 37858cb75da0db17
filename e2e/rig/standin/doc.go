// Package standin plays, on API servers without kubelets, what real nodes would do: it is a stand-in and says so.
//
//	crossfade ──> Pods ──────────> API server
//	                └ hooks, probes, counters of pods are answered here
//	checks ─────> Web   the applications' web servers, blue's and green's
//	API server <── Nodes, Balancers   status of pods, addresses of Services
package standin
