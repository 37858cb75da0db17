package netns_test

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/internal/leftovers"
	"github.com/crossfade-project/crossfade/e2e/rig/netns"
)

func network(t *testing.T) *netns.Network {
	t.Helper()
	n, err := netns.New(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if left, err := leftovers.Of(t.TempDir(), n.Name); err != nil || len(left) > 0 {
			t.Errorf("left are %q, %v", left, err)
		}
	})
	return n
}

func need(t *testing.T) {
	t.Helper()
	if ok, reason := install.CanRun(); !ok {
		t.Skip(reason)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("iproute2 is not installed")
	}
}

// inside runs a command in the namespace and returns what it prints.
func inside(t *testing.T, space *netns.Namespace, args ...string) string {
	t.Helper()
	var out []byte
	err := space.Do(func() error {
		var err error
		out, err = exec.Command(args[0], args[1:]...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

func TestNamespacesHaveAddressesAndNoWayOut(t *testing.T) {
	need(t)
	n := network(t)
	space, err := n.Namespace(t.Context(), "a", 10)
	if err != nil {
		t.Fatal(err)
	}
	routes := inside(t, space, "ip", "-4", "route")
	if !strings.Contains(routes, n.Subnet.String()) || strings.Contains(routes, "default") || strings.Count(routes, "\n") != 1 {
		t.Errorf("its routes are %q, want the subnet's alone", routes)
	}
	if out := inside(t, space, "ip", "-6", "addr"); strings.TrimSpace(out) != "" {
		t.Errorf("it has IPv6 addresses: %s", out)
	}
	more := n.Address(100)
	for range 2 { // a second time is no error
		if err := space.AddAddress(more); err != nil {
			t.Fatal(err)
		}
	}
	var listener net.Listener
	err = space.Do(func() error {
		var err error
		listener, err = net.Listen("tcp", more.String()+":80")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", more.String()+":80")
	if err != nil {
		t.Fatalf("the machine does not reach the namespace: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := space.RemoveAddress(more); err != nil {
			t.Fatal(err)
		}
	}
	if out := inside(t, space, "ip", "-4", "addr", "show", "eth0"); strings.Contains(out, more.String()) || !strings.Contains(out, space.Address.String()) {
		t.Errorf("its addresses are %s", out)
	}
}

func TestTwoNetworksStandBesideEachOther(t *testing.T) {
	need(t)
	one, two := network(t), network(t)
	if one.Name == two.Name || one.Subnet.Overlaps(two.Subnet) {
		t.Errorf("%s %s and %s %s collide", one.Name, one.Subnet, two.Name, two.Subnet)
	}
	for _, n := range []*netns.Network{one, two} {
		if _, err := n.Namespace(t.Context(), "same", 10); err != nil {
			t.Error(err)
		}
	}
}

func TestClosingEndsTheProcessesInside(t *testing.T) {
	need(t)
	n := network(t)
	space, err := n.Namespace(t.Context(), "a", 10)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "600")
	if err := space.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the process ended by itself")
	}
}
