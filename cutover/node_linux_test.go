package cutover_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/e2e/rig/image"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/netns"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// startNode starts a whole cluster of one node, with a web server behind the node's address at port 80.
func startNode(t *testing.T) (*kube.Client, netip.Addr) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a whole cluster")
	}
	if ok, reason := install.CanRun(); !ok {
		t.Skip(reason)
	}
	in, err := install.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Debian(t.Context(), install.ClusterPackages()...); err != nil {
		t.Skip(err)
	}
	tars := nodeImages(t)
	network, err := netns.New(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	space, err := network.Namespace(t.Context(), "node", 10)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(t.Context(), cluster.Options{Name: "node", Minor: "1.28", Dir: t.TempDir(), Space: space, Images: tars, Installer: in})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	client, err := kube.Connect(kube.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	serveHello(t, client, space.Address)
	return client, space.Address
}

func nodeImages(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	specs := map[string]image.Spec{
		"pause.tar":     image.PauseSpec(),
		"hello.tar":     {Tags: []string{"rig.test/hello:1"}, Packages: []string{"github.com/crossfade-project/crossfade/e2e/rig/cluster/testdata/hello"}, Ports: []int{8080}},
		"crossfade.tar": {Tags: []string{"rig.test/crossfade:1"}, Packages: []string{"github.com/crossfade-project/crossfade/cmd/crossfade"}},
	}
	var tars []string
	for name, spec := range specs {
		tar := filepath.Join(dir, name)
		if err := image.Build(t.Context(), tar, spec); err != nil {
			t.Fatal(err)
		}
		tars = append(tars, tar)
	}
	return tars
}

func serveHello(t *testing.T, client *kube.Client, addr netip.Addr) {
	t.Helper()
	labels := map[string]string{"app": "hello"}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "hello", Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "hello", Image: "rig.test/hello:1"}}}}
	if _, err := client.Typed.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "hello"}, Spec: corev1.ServiceSpec{
		Selector: labels, ExternalIPs: []string{addr.String()}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}
	if _, err := client.Typed.CoreV1().Services("default").Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	err := process.WaitUntil(t.Context(), time.Minute, func(context.Context) error {
		conn, err := talk(addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// talk sends one request and returns the connection, still open.
func talk(addr netip.Addr) (net.Conn, error) {
	// Without keep-alives: nothing at all passes on it but what is written.
	conn, err := (&net.Dialer{Timeout: time.Second, KeepAlive: -1}).Dial("tcp", netip.AddrPortFrom(addr, 80).String())
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return conn, err
	}
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: hello\r\n\r\n"); err != nil {
		return conn, err
	}
	_, err = io.ReadFull(conn, make([]byte, len("HTTP/1.1 200")))
	return conn, err
}

// On a node with a real kubelet, kube-proxy and connection tracking, a connection that kube-proxy forwards is seen while it
// is kept open, when it came and went between two looks, and not any more after that.
func TestC24_ForwardedConnectionsAreSeenOnARealNode(t *testing.T) {
	client, addr := startNode(t)
	flows := cutover.PodFlows{Kube: client, Migration: "move", Image: "rig.test/crossfade:1", For: time.Second}
	evidence := cutover.FlowEvidence{Reader: flows, Entries: []cutover.Entry{{Addresses: []netip.Addr{addr}, Port: 80}}}
	var last cutover.Observation
	look := func(what string, want cutover.Use) {
		t.Helper()
		obs, err := evidence.Collect(t.Context(), last)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if obs.Use != want {
			t.Errorf("%s: %s, want %s: %s %v", what, obs.Use, want, obs.Text, obs.Details)
		}
		last = obs
	}
	look("the connection of the start has ended", cutover.Quiet)
	kept, err := talk(addr)
	if err != nil {
		t.Fatal(err)
	}
	look("a connection is open", cutover.Used)
	for range 3 {
		look("an idle WebSocket: not one packet passes on it", cutover.Used)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	look("it was open at the last look", cutover.Used)
	look("it has ended before the last look", cutover.Quiet)
	short, err := talk(addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := short.Close(); err != nil {
		t.Fatal(err)
	}
	look("one came and went", cutover.Used)
	look("quiet again", cutover.Quiet)
	pods, err := client.Typed.CoreV1().Pods("kube-system").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) > 0 {
		t.Errorf("pods left: %d, %v", len(pods.Items), err)
	}
}
