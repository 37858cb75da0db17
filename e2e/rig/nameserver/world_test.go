package nameserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

func TestWorldOnLoopback(t *testing.T) {
	w := startWorld(t)
	if err := w.AddA(t.Context(), "blue.lb.test.", netip.MustParseAddr("192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), dnsx.Record{Name: "shop.apps.test.", Type: "CNAME", TTL: 5, Data: "blue.lb.test."}); err != nil {
		t.Fatal(err)
	}
	client := w.Client()
	servers := []dnsx.Server{{Name: "ns1", Addrs: []netip.AddrPort{w.Primary.Addr()}}, {Name: "ns2", Addrs: []netip.AddrPort{w.Secondary.Addr()}}}
	want := dnsx.RRset{Name: "shop.apps.test.", Type: "CNAME", TTL: 5, Data: []string{"blue.lb.test."}}
	err := process.WaitUntil(t.Context(), 10*time.Second, func(ctx context.Context) error {
		_, err := client.Propagated(ctx, servers, want)
		return err
	})
	if err != nil {
		t.Fatalf("the secondary does not follow: %v", err)
	}
	answer, err := client.Ask(t.Context(), w.Resolver.Addr(), "shop.apps.test.", "A", true)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Set("blue.lb.test.", "A"); fmt.Sprint(got.Data) != "[192.0.2.1]" {
		t.Errorf("the resolver answers %+v", answer)
	}
	if err := w.SetA(t.Context(), "blue.lb.test.", netip.MustParseAddr("192.0.2.2")); err != nil {
		t.Fatal(err)
	}
	answer, err = client.Ask(t.Context(), w.Primary.Addr(), "blue.lb.test.", "A", false)
	if got := answer.Set("blue.lb.test.", "A"); err != nil || fmt.Sprint(got.Data) != "[192.0.2.2]" {
		t.Errorf("after SetA: %+v, %v", answer, err)
	}
	if answer, err := client.Ask(t.Context(), w.Resolver.Addr(), "example.com.", "A", true); err == nil && answer.Rcode == "NOERROR" {
		t.Errorf("the resolver found a name outside the rig: %+v", answer)
	}
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	needPackages(t)
	_, err := nameserver.Start(t.Context(), nameserver.Spec{
		Software: nameserver.BIND, Name: "broken", Dir: t.TempDir(), Key: nameserver.Key{Name: "k.", Algorithm: "hmac-nonsense", Secret: "eA=="},
		Place: nameserver.Place{Addr: netip.MustParseAddrPort("127.0.0.1:1")},
		Zones: []nameserver.Zone{{Apex: "apps.test."}},
	})
	var exit *process.ExitError
	if !errors.As(err, &exit) || !strings.Contains(err.Error(), "hmac-nonsense") {
		t.Fatalf("got %v, want the server's own words", err)
	}
}

// needPackages installs what a World needs, or skips.
func needPackages(t *testing.T) {
	t.Helper()
	in, err := install.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = in.Debian(t.Context(), append(nameserver.BIND.Packages(), nameserver.ResolverPackages()...)...)
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func startWorld(t *testing.T, apps ...string) *nameserver.World {
	t.Helper()
	needPackages(t)
	dir := t.TempDir()
	w, err := nameserver.StartWorld(t.Context(), nameserver.WorldOptions{
		Dir: dir, Apps: apps,
	})
	if err != nil {
		logs, globErr := filepath.Glob(filepath.Join(dir, "*", "log"))
		for _, name := range logs {
			if text, readErr := os.ReadFile(name); readErr == nil {
				t.Logf("%s:\n%s", name, text)
			}
		}
		t.Fatal(errors.Join(err, globErr))
	}
	t.Cleanup(func() {
		if err := w.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}
