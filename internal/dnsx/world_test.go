package dnsx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

func startWorld(t *testing.T, apps ...string) *nameserver.World {
	t.Helper()
	in, err := install.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := nameserver.StartWorld(t.Context(), nameserver.WorldOptions{Install: in, Dir: t.TempDir(), Apps: apps})
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// discoverer is a client that asks the world's resolver.
func discoverer(w *nameserver.World) func(ctx context.Context, name string) (dnsx.Delegation, error) {
	client := w.Client()
	source := dnsx.Source{Resolvers: []string{w.Resolver.Addr().String()}}
	return func(ctx context.Context, name string) (dnsx.Delegation, error) {
		return client.Discover(ctx, name, source)
	}
}

func TestDiscoverInARealWorld(t *testing.T) {
	w := startWorld(t, "shop 300 CNAME blue.lb.test.", "plain A 192.0.2.9", "plain TXT \"mine\"", "*.wild A 192.0.2.8", "a.wild A 192.0.2.7",
		"@ CAA 0 issue \"ca.test\"")
	if err := w.AddA(t.Context(), "blue.lb.test.", netip.MustParseAddr("192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	discover := discoverer(w)
	d, err := discover(t.Context(), "Shop.Apps.Test")
	if err != nil {
		t.Fatal(err)
	}
	if d.SOA.Zone != "apps.test." || d.Parent != "test." || d.SOA.NegativeTTL() != 5 || d.SOA.Primary != "ns1.apps.test." {
		t.Errorf("zone: %+v", d.Cut)
	}
	if fmt.Sprint(d.AtParent, d.AtChild) != "[ns1.apps.test. ns2.apps.test.] [ns1.apps.test. ns2.apps.test.]" {
		t.Errorf("delegation: parent %v, child %v", d.AtParent, d.AtChild)
	}
	if fmt.Sprint(d.Addrs()) != "[127.53.0.2:53 127.53.0.3:53]" {
		t.Errorf("addresses: %v", d.Addrs())
	}
	if set, ok := d.Lookup("CNAME"); !ok || set.TTL != 300 || len(d.Records) != 1 {
		t.Errorf("records: %+v", d.Records)
	}
	if len(d.Chain) != 2 || d.Chain[1].Name != "blue.lb.test." || d.Chain[1].Cut.SOA.Zone != "lb.test." || d.Chain[1].Sets[0].TTL != 60 {
		t.Errorf("chain: %+v", d.Chain)
	}
	if d.CAA == nil || d.CAA.Name != "apps.test." {
		t.Errorf("CAA: %+v", d.CAA)
	}
	if len(d.Warnings) > 0 || d.Signed || d.Secure || len(d.Wildcard) > 0 {
		t.Errorf("warnings %q, wildcard %v", d.Warnings, d.Wildcard)
	}
	if d, err = discover(t.Context(), "plain.apps.test"); err != nil || len(d.Records) != 2 || len(d.Chain) != 1 {
		t.Errorf("other types: %+v, %v", d.Records, err)
	}
	if d, err = discover(t.Context(), "a.wild.apps.test"); err != nil || len(d.Wildcard) != 1 || d.Wildcard[0].Name != "*.wild.apps.test." {
		t.Errorf("wildcard: %+v, %v", d.Wildcard, err)
	}
	if d, err = discover(t.Context(), "nobody.apps.test"); err != nil || len(d.Records)+len(d.Chain) != 0 || d.SOA.Zone != "apps.test." {
		t.Errorf("a name that does not exist: %+v, %v", d, err)
	}
}

// TestC13_ServersOfParentAndChild: a server that only one of the two names is watched too, with its IPv4 and its IPv6
// address, and one that cannot be asked is said and never passed over.
func TestC13_ServersOfParentAndChild(t *testing.T) {
	w := startWorld(t, "shop A 192.0.2.1", "@ NS ns3", "ns3 A 127.53.0.9", "ns3 AAAA ::2")
	d, err := discoverer(w)(t.Context(), "shop.apps.test")
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(d.Addrs()) != "[127.53.0.2:53 127.53.0.3:53 127.53.0.9:53 [::2]:53]" {
		t.Errorf("addresses: %v", d.Addrs())
	}
	if len(d.AtParent) != 2 || len(d.AtChild) != 3 {
		t.Errorf("parent %v, child %v", d.AtParent, d.AtChild)
	}
	var differ, unasked int
	for _, text := range d.Warnings {
		if strings.Contains(text, "all of them are watched") {
			differ++
		}
		if strings.Contains(text, "cannot be asked") {
			unasked++
		}
	}
	if differ != 1 || unasked != 2 {
		t.Errorf("warnings: %q", d.Warnings)
	}
	answers, err := w.Client().Propagated(t.Context(), d.Servers, dnsx.RRset{Name: "shop.apps.test.", Type: "A", TTL: 300, Data: []string{"192.0.2.1"}})
	if !errors.Is(err, dnsx.ErrNotPropagated) || len(answers) != 4 || !answers[0].OK || !answers[1].OK || !answers[2].Unknown || !answers[3].Unknown {
		t.Errorf("answers: %+v, %v", answers, err)
	}
}

func TestDiscoverWithListedServers(t *testing.T) {
	w := startWorld(t, "shop 300 CNAME blue.lb.test.", "local CNAME shop")
	if err := w.AddA(t.Context(), "blue.lb.test.", netip.MustParseAddr("192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	client := new(dnsx.Client) // no tunnel: listed addresses are asked as they are
	source := dnsx.Source{Servers: []string{w.Primary.Addr().String(), w.Secondary.Addr().String()}, Resolvers: []string{w.Resolver.Addr().String()}}
	d, err := client.Discover(t.Context(), "local.apps.test", source)
	if err != nil {
		t.Fatal(err)
	}
	if d.SOA.Zone != "apps.test." || len(d.Servers) != 2 || len(d.Chain) != 3 {
		t.Errorf("found %+v", d)
	}
	source.Servers = source.Servers[:1]
	d, err = client.Discover(t.Context(), "local.apps.test", source)
	if err != nil || len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "are not watched") {
		t.Errorf("one server of two listed: %q, %v", d.Warnings, err)
	}
	source.Servers = []string{"127.0.0.1:1"}
	if _, err := client.Discover(t.Context(), "local.apps.test", source); !errors.Is(err, dnsx.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
}

// TestC14_ChainsLoopsAndDanglingTargets: chains up to 8 are followed, longer ones, loops and ends without an address
// are refused.
func TestC14_ChainsLoopsAndDanglingTargets(t *testing.T) {
	lines := []string{"end A 192.0.2.1", "loop1 CNAME loop2", "loop2 CNAME loop1", "self CNAME self", "dangling CNAME nowhere", "text TXT \"x\"", "totext CNAME text"}
	for i := range 12 {
		to := fmt.Sprintf("c%d", i-1)
		if i == 0 {
			to = "end"
		}
		lines = append(lines, fmt.Sprintf("c%d CNAME %s", i, to))
	}
	discover := discoverer(startWorld(t, lines...))
	for name, want := range map[string]error{
		"c0": nil, "c7": nil, "c8": dnsx.ErrTooLong, "c11": dnsx.ErrTooLong, "loop1": dnsx.ErrLoop, "self": dnsx.ErrLoop,
		"dangling": dnsx.ErrDangling, "totext": dnsx.ErrDangling, "C3.Apps": nil, "text": nil,
	} {
		name = strings.TrimSuffix(name, ".Apps") + ".apps.test"
		d, err := discover(t.Context(), name)
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
		if name == "c7.apps.test" && len(d.Chain) != 9 {
			t.Errorf("%s: the chain has %d links", name, len(d.Chain))
		}
	}
}

// TestC13_PropagationAsksEveryAddress: the primary alone is not enough, one server that is gone stops it, and a
// resolver's answer does not count, since it has no authority.
func TestC13_PropagationAsksEveryAddress(t *testing.T) {
	w := startWorld(t, "shop 300 CNAME blue.lb.test.")
	client := w.Client()
	d, err := discoverer(w)(t.Context(), "shop.apps.test")
	if !errors.Is(err, dnsx.ErrDangling) { // blue.lb.test. has no address here
		t.Fatal(err)
	}
	want := dnsx.RRset{Name: "shop.apps.test.", Type: "CNAME", TTL: 300, Data: []string{"blue.lb.test."}}
	none := dnsx.RRset{Name: "shop.apps.test.", Type: "A"}
	answers, err := client.Propagated(t.Context(), d.Servers, want, none)
	if err != nil || len(answers) != 4 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for what, wrong := range map[string]dnsx.RRset{
		"another TTL":     {Name: want.Name, Type: "CNAME", TTL: 5, Data: want.Data},
		"another target":  {Name: want.Name, Type: "CNAME", TTL: 300, Data: []string{"green.lb.test."}},
		"another type":    {Name: want.Name, Type: "A", TTL: 300, Data: []string{"192.0.2.1"}},
		"still something": {Name: want.Name, Type: "CNAME"},
	} {
		answers, err := client.Propagated(t.Context(), d.Servers, wrong)
		if !errors.Is(err, dnsx.ErrNotPropagated) || answers[0].OK || answers[0].Unknown || answers[0].Reason == "" {
			t.Errorf("%s: %+v, %v", what, answers, err)
		}
	}
	resolver := []dnsx.Server{{Name: "resolver", Addrs: []netip.AddrPort{w.Resolver.Addr()}}}
	if answers, err := client.Propagated(t.Context(), resolver, want); !errors.Is(err, dnsx.ErrNotPropagated) || !answers[0].Unknown {
		t.Errorf("a resolver was believed: %+v, %v", answers, err)
	}
	if err := w.Secondary.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	answers, err = client.Propagated(t.Context(), d.Servers, want)
	if !errors.Is(err, dnsx.ErrNotPropagated) || !answers[0].OK || answers[1].OK || !answers[1].Unknown {
		t.Errorf("a server that is gone was passed over: %+v, %v", answers, err)
	}
	for _, nothing := range [][]dnsx.Server{nil, {{Name: "ns1"}}} {
		if _, err := client.Propagated(t.Context(), nothing, want); !errors.Is(err, dnsx.ErrNotPropagated) {
			t.Errorf("no server at all counts as propagated: %v", err)
		}
	}
	if _, err := client.Propagated(t.Context(), d.Servers); !errors.Is(err, dnsx.ErrNotPropagated) {
		t.Errorf("no record at all counts as propagated: %v", err)
	}
}

// TestC13_OnlyAuthorityCounts: the wanted record, given without authority, with a failure, truncated or to another
// question, is no evidence. The server is a fake: real ones do not do these things when asked.
func TestC13_OnlyAuthorityCounts(t *testing.T) {
	for what, spoil := range map[string]func(m *dns.Msg){
		"sound":              func(*dns.Msg) {},
		"no authority":       func(m *dns.Msg) { m.Authoritative = false },
		"a failure":          func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure },
		"refused":            func(m *dns.Msg) { m.Rcode = dns.RcodeRefused },
		"truncated":          func(m *dns.Msg) { m.Truncated = true },
		"another question":   func(m *dns.Msg) { m.Question[0].Name = "other.apps.test." },
		"no question":        func(m *dns.Msg) { m.Question = nil },
		"another ID":         func(m *dns.Msg) { m.Id++ },
		"not a reply":        func(m *dns.Msg) { m.Response = false },
		"a record of CHAOS":  func(m *dns.Msg) { m.Answer[0].Header().Class = dns.ClassCHAOS },
		"another operation":  func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify },
		"recursion, it says": func(m *dns.Msg) { m.Authoritative, m.RecursionAvailable = false, true },
	} {
		addr := serveFake(t, func(w dns.ResponseWriter, r *dns.Msg) {
			if r.RecursionDesired {
				t.Errorf("%s: recursion was asked for", what)
			}
			m := new(dns.Msg)
			m.SetReply(r)
			m.Authoritative = true
			m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: "shop.apps.test.", Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 5}, Target: "green.lb.test."}}
			spoil(m)
			if err := w.WriteMsg(m); err != nil {
				t.Logf("the fake could not answer: %v", err)
			}
		})
		servers := []dnsx.Server{{Name: "ns1", Addrs: []netip.AddrPort{addr}}}
		want := dnsx.RRset{Name: "shop.apps.test.", Type: "CNAME", TTL: 5, Data: []string{"green.lb.test."}}
		client := &dnsx.Client{Timeout: 5 * time.Second}
		answers, err := client.Propagated(t.Context(), servers, want)
		if what == "sound" {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if !errors.Is(err, dnsx.ErrNotPropagated) || answers[0].OK || !answers[0].Unknown {
			t.Errorf("%s: %+v, %v", what, answers, err)
		}
	}
}

func serveFake(t *testing.T, handle dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	server := &dns.Server{Listener: l, Handler: handle, NotifyStartedFunc: func() { close(started) }}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// TestC13_OneLaggingServerIsSeen: the secondary gets its copy a moment after the primary.
func TestC13_OneLaggingServerIsSeen(t *testing.T) {
	w := startWorld(t, "shop 300 CNAME blue.lb.test.")
	client := w.Client()
	// An address of the secondary under another name counts for itself.
	servers := []dnsx.Server{{Name: "ns1", Addrs: []netip.AddrPort{w.Primary.Addr()}}, {Name: "ns2", Addrs: []netip.AddrPort{w.Secondary.Addr(), w.Secondary.Addr()}}}
	want := dnsx.RRset{Name: "new.apps.test.", Type: "A", TTL: 60, Data: []string{"192.0.2.1"}}
	if err := w.AddA(t.Context(), want.Name, netip.MustParseAddr("192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	if err := process.WaitUntil(t.Context(), 10*time.Second, func(ctx context.Context) error {
		answers, err := client.Propagated(ctx, servers, want)
		if len(answers) != 3 {
			t.Fatalf("%d answers", len(answers))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// A client that remembers asks for what names share once, says the same of each, and sees what changed only when it is a new one.
func TestAClientThatRemembersSaysTheSame(t *testing.T) {
	w := startWorld(t, "one CNAME end.lb.test.", "two CNAME end.lb.test.", "* TXT any")
	if err := w.AddA(t.Context(), "end.lb.test.", netip.MustParseAddr("192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	from := dnsx.Source{Resolvers: []string{w.Resolver.Addr().String()}}
	asked := 0
	count := func(c *dnsx.Client) *dnsx.Client {
		out := *c
		var mu sync.Mutex
		out.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			asked++
			mu.Unlock()
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		return &out
	}
	plain := count(w.Client())
	remembers := plain.Remember()
	var first int
	for _, name := range []string{"one.apps.test.", "two.apps.test."} {
		want, err := plain.Discover(t.Context(), name, from)
		if err != nil {
			t.Fatal(err)
		}
		before := asked
		got, err := remembers.Discover(t.Context(), name, from)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v, %v\nwant\n%+v", name, got, err, want)
		}
		if first == 0 {
			first = asked - before
		} else if again := asked - before; again*4 > first {
			t.Errorf("the second name took %d questions, the first one %d", again, first)
		}
	}
	if err := w.AddA(t.Context(), "end.lb.test.", netip.MustParseAddr("192.0.2.2")); err != nil {
		t.Fatal(err)
	}
	if d, err := remembers.Discover(t.Context(), "two.apps.test.", from); err != nil || len(d.Chain[1].Sets[0].Data) != 1 {
		t.Errorf("it forgot: %+v, %v", d.Chain, err)
	}
	if d, err := remembers.Remember().Discover(t.Context(), "two.apps.test.", from); err != nil || len(d.Chain[1].Sets[0].Data) != 2 {
		t.Errorf("a new one still remembers: %+v, %v", d.Chain, err)
	}
}
