package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/zonetest"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

const testZone = "apps.test."

func testKey(name, algorithm string) nameserver.Key {
	return nameserver.Key{Name: name, Algorithm: algorithm, Secret: "c2l4dGVlbiBieXRlcyBhdCBsZWFzdCwgdGhpcnR5LXR3bw=="}
}

// freePort finds a port of loopback on which nobody listens.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// needs installs what a server needs, or skips the test with the reason.
func needs(t *testing.T, software nameserver.Software) {
	t.Helper()
	in, err := install.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = in.Debian(t.Context(), software.Packages()...)
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func startServer(t *testing.T, software nameserver.Software, change func(*nameserver.Spec)) *nameserver.Server {
	t.Helper()
	needs(t, software)
	spec := nameserver.Spec{
		Software: software, Name: "test-" + string(software), Dir: t.TempDir(), Key: testKey("crossfade.", "hmac-sha256"),
		Place: nameserver.Place{Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), freePort(t))},
		Zones: []nameserver.Zone{{Apex: testZone, Dynamic: true, Records: []string{"@ NS ns1", "ns1 A 127.0.0.1"}}},
	}
	if change != nil {
		change(&spec)
	}
	s, err := nameserver.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func driverFor(t *testing.T, s *nameserver.Server, change func(*Options)) *Driver {
	t.Helper()
	o := Options{
		Apex: testZone, Server: s.Addr().String(),
		Key: Key{Name: s.Spec.Key.Name, Algorithm: s.Spec.Key.Algorithm, Secret: s.Spec.Key.Secret},
	}
	if change != nil {
		change(&o)
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func targetOf(t *testing.T, s *nameserver.Server) zonetest.Target {
	client := &dnsx.Client{Timeout: 5 * time.Second}
	return zonetest.Target{
		Zone: driverFor(t, s, nil),
		Put: func(t *testing.T, sets ...zone.RRset) {
			t.Helper()
			for _, set := range sets {
				for _, data := range set.Data {
					if err := s.Add(t.Context(), testZone, dnsx.Record{Name: set.Name, Type: set.Type, TTL: set.TTL, Data: data}); err != nil {
						t.Fatal(err)
					}
				}
			}
			// A server that signs a copy shows it a little later.
			err := process.WaitUntil(t.Context(), 20*time.Second, func(ctx context.Context) error {
				var errs []error
				for _, set := range sets {
					answer, err := client.Ask(ctx, s.Addr(), set.Name, set.Type, false)
					if err == nil && len(answer.Set(set.Name, set.Type).Data) < len(set.Data) {
						err = errors.New(set.Name + " is not shown")
					}
					errs = append(errs, err)
				}
				return errors.Join(errs...)
			})
			if err != nil {
				t.Fatal(err)
			}
		},
		Query: func(ctx context.Context, name, typ string) (zone.RRset, error) {
			answer, err := client.Ask(ctx, s.Addr(), name, typ, false)
			if err != nil {
				return zone.RRset{}, err
			}
			set := answer.Set(name, typ)
			if len(set.Data) == 0 {
				return zone.RRset{}, fmt.Errorf("%w: %s", zone.ErrNotExist, answer.Rcode)
			}
			return zone.RRset(set), nil
		},
	}
}

// TestC05_ServersKeepTheContract runs the rules of package zone against every kind of server that is at hand: they
// differ in what they do with a CNAME beside other records, and in the order in which they carry out a message.
func TestC05_ServersKeepTheContract(t *testing.T) {
	for _, software := range []nameserver.Software{nameserver.BIND, nameserver.Knot, nameserver.PowerDNS} {
		t.Run(string(software), func(t *testing.T) {
			zonetest.Run(t, targetOf(t, startServer(t, software, nil)))
		})
	}
	for _, software := range []nameserver.Software{nameserver.BIND, nameserver.Knot} {
		t.Run(string(software)+", signed", func(t *testing.T) {
			s := startServer(t, software, func(spec *nameserver.Spec) { spec.Sign = true })
			if err := process.WaitUntil(t.Context(), 20*time.Second, func(ctx context.Context) error { return signed(ctx, s) }); err != nil {
				t.Fatal(err)
			}
			target := targetOf(t, s)
			// Knot 3.2 takes NSEC and RRSIG for company that a CNAME cannot have.
			target.NoNewAlias = software == nameserver.Knot
			zonetest.Run(t, target)
			sets, err := driverFor(t, s, nil).List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, set := range sets {
				if strings.HasPrefix(set.Name, "crossfade-rehearsal-") && set.Type != "RRSIG" && set.Type != "NSEC" {
					t.Errorf("a rehearsal was left behind: %+v", set)
				}
			}
		})
	}
}

func signed(ctx context.Context, s *nameserver.Server) error {
	answer, err := new(dnsx.Client).Ask(ctx, s.Addr(), testZone, "DNSKEY", false)
	if err == nil && len(answer.Answer) == 0 {
		err = errors.New("the zone is not signed yet")
	}
	return err
}
