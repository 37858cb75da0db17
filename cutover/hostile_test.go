package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone/rfc2136"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// hostile is a real BIND with a second server of its zones that can be made to lag, or be stopped, and a cutover of one name there.
type hostile struct {
	dns    *nameserver.World
	way    *nameserver.Delayer // of the second server's transfers
	second *nameserver.Server
	opts   cutover.Options
	log    *lines
	rec    *plan.MemoryRecorder
}

// lines keep what was logged.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func freeAddr(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return netip.MustParseAddrPort(l.Addr().String())
}

func (h *hostile) server(t *testing.T, name string, at, primary netip.AddrPort) *nameserver.Server {
	t.Helper()
	s, err := nameserver.Start(t.Context(), nameserver.Spec{
		Software: nameserver.BIND, Name: name, Dir: filepath.Join(t.TempDir(), name), Key: h.dns.Key, Place: nameserver.Place{Addr: at},
		Zones: []nameserver.Zone{{Apex: nameserver.AppsZone}, {Apex: nameserver.LBZone}}, Primary: primary,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) }) // a test may have stopped it
	return s
}

// resolver starts an Unbound that asks some servers, and lets it learn that the name leads to blue.
func (h *hostile) resolver(t *testing.T, spec nameserver.ResolverSpec, servers ...netip.AddrPort) netip.AddrPort {
	t.Helper()
	spec.Name, spec.Dir, spec.Place = "resolver", t.TempDir(), nameserver.Place{Addr: freeAddr(t)}
	spec.Stubs = map[string][]netip.AddrPort{".": {h.dns.Parent.Addr()}, nameserver.AppsZone: servers, nameserver.LBZone: servers}
	r, err := nameserver.StartResolver(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, typ := range []string{"A", "AAAA"} {
		reply, err := new(dnsx.Client).Ask(t.Context(), r.Addr(), shopName, typ, true)
		if err != nil || len(reply.Set(shopName, "CNAME").Data) != 1 {
			t.Fatalf("the resolver says %+v, %v", reply, err)
		}
	}
	return r.Addr()
}

func newHostile(t *testing.T) *hostile {
	t.Helper()
	at := freeAddr(t)
	h := &hostile{dns: startBIND(t, at), log: &lines{}, rec: &plan.MemoryRecorder{}}
	blue, green := startSides(t)
	err := h.dns.Add(t.Context(),
		dnsx.Record{Name: "blue.lb.test.", Type: "A", TTL: 1, Data: blue.addr.Addr().String()},
		dnsx.Record{Name: "green.lb.test.", Type: "A", TTL: 1, Data: green.addr.Addr().String()},
		dnsx.Record{Name: shopName, Type: "CNAME", TTL: 1, Data: "blue.lb.test."})
	if err != nil {
		t.Fatal(err)
	}
	if h.way, err = nameserver.StartDelayer(h.dns.Primary.Addr()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.way.Stop)
	h.second = h.server(t, "second", at, h.way.Addr())
	driver, err := rfc2136.New(rfc2136.Options{
		Apex: "apps.test.", Server: h.dns.Primary.Addr().String(), Key: rfc2136.Key{Name: h.dns.Key.Name, Algorithm: h.dns.Key.Algorithm, Secret: h.dns.Key.Secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.opts = cutover.Options{
		Migration: "move",
		Times: migration.Cutover{
			TTL: migration.Duration(time.Second), Margin: migration.Duration(time.Second), Interval: migration.Duration(200 * time.Millisecond),
			Propagation: migration.Duration(time.Minute),
		},
		Rehearsal: &migration.Rehearsal{Soak: migration.Duration(time.Second)},
		Applications: []migration.Application{{
			Name: "shop", Namespace: "demo",
			Hostnames: []migration.Hostname{{
				Name: "shop.apps.test", Port: int(blue.addr.Port()),
				Blue:  &migration.Entry{Target: "blue.lb.test", Address: blue.addr.Addr().String()},
				Green: &migration.Entry{Target: "green.lb.test", Address: green.addr.Addr().String()},
			}},
			Checks: []migration.Check{{Name: "front", HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", Contains: "from green"}}},
		}},
		Zones: []cutover.Zone{{
			Zone: migration.Zone{
				Name: "apps.test", Servers: []string{h.dns.Primary.Addr().String(), h.second.Addr().String()}, Resolvers: []string{h.dns.Resolver.Addr().String()},
			},
			Driver: driver,
		}},
		Log: slog.New(slog.NewTextHandler(h.log, nil)),
	}
	return h
}

func (h *hostile) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lowered runs the TTL stage, and waits until the second server has it: the fence is a change of the zone too.
func (h *hostile) lowered(t *testing.T) cutover.TTLResult {
	t.Helper()
	p, err := cutover.PlanTTL(t.Context(), h.opts)
	h.must(t, err)
	held, err := cutover.ApplyTTL(t.Context(), p, h.rec, h.opts)
	h.must(t, err)
	for range 600 {
		reply, err := new(dnsx.Client).Ask(t.Context(), h.second.Addr(), held.Names[0].Fence.Name, "TXT", false)
		if err == nil && len(reply.Answer) == 1 {
			return held
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the second server does not follow")
	return held
}

func (h *hostile) planSwap(t *testing.T, held cutover.TTLResult) (*plan.Plan, cutover.SwapOptions) {
	t.Helper()
	opts := cutover.SwapOptions{Options: h.opts, App: "shop", Held: held.Names}
	p, err := cutover.PlanSwap(t.Context(), opts)
	h.must(t, err)
	return p, opts
}

func (h *hostile) swap(t *testing.T) (*plan.Plan, cutover.SwapResult) {
	t.Helper()
	p, opts := h.planSwap(t, h.lowered(t))
	result, err := cutover.ApplySwap(t.Context(), p, h.rec, opts)
	h.must(t, err)
	return p, result
}

func (h *hostile) settle(t *testing.T, moved []cutover.Moved) cutover.SettleResult {
	t.Helper()
	opts := cutover.SettleOptions{Options: h.opts, App: "shop", Moved: moved}
	p, err := cutover.PlanSettle(t.Context(), opts)
	h.must(t, err)
	result, err := cutover.ApplySettle(t.Context(), p, h.rec, opts)
	h.must(t, err)
	return result
}

// leads is where a server says that the name leads.
func (h *hostile) leads(t *testing.T, server netip.AddrPort) string {
	t.Helper()
	reply, err := new(dnsx.Client).Ask(t.Context(), server, shopName, "CNAME", false)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(reply.Set(shopName, "CNAME").Data, " ")
}

// A secondary that follows late is waited for, and nothing counts as moved before it shows the move.
func TestC13_ASecondaryThatLagsIsWaitedFor(t *testing.T) {
	h := newHostile(t)
	p, opts := h.planSwap(t, h.lowered(t))
	h.way.Set(time.Hour)
	go func() {
		for h.way.Held() == 0 && t.Context().Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		h.way.Set(0)
	}()
	result, err := cutover.ApplySwap(t.Context(), p, h.rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	if seen := result.Names[0].Seen; seen.Took < time.Second || seen.Answers != 2 {
		t.Errorf("seen = %+v, want it only after the second server showed it", seen)
	}
	if got := h.leads(t, h.second.Addr()); got != "green.lb.test." {
		t.Errorf("the second server leads to %s", got)
	}
}

// One that is too late breaks the swap off, by its address, with what it shows and since when it is waited for. The way back is
// open, and needs nothing of it.
func TestC13_ASecondaryThatStaysBehindIsNamedAndTheNameGoesBack(t *testing.T) {
	h := newHostile(t)
	h.opts.Times.Propagation = migration.Duration(3 * time.Second)
	p, opts := h.planSwap(t, h.lowered(t))
	h.way.Set(time.Hour)
	_, err := cutover.ApplySwap(t.Context(), p, h.rec, opts)
	if !errors.Is(err, dnsx.ErrNotPropagated) {
		t.Fatalf("err = %v, want ErrNotPropagated", err)
	}
	for _, want := range []string{
		"wait 3s, since ", "until every server shows " + shopName, h.second.Addr().String() + ": it has blue.lb.test., not green.lb.test.",
		"look at the zone's transfers and notifies; cutover.propagation is the limit",
	} {
		if !contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if contains(err.Error(), h.dns.Primary.Addr().String()+":") {
		t.Errorf("%q blames the primary", err)
	}
	back := cutover.ReturnOptions{Options: h.opts, App: "shop", Swap: p}
	rp, err := cutover.PlanReturn(t.Context(), back)
	h.must(t, err)
	if _, err = cutover.ApplyReturn(t.Context(), rp, h.rec, back); err != nil {
		t.Fatal(err)
	}
	for _, server := range []netip.AddrPort{h.dns.Primary.Addr(), h.second.Addr()} {
		if got := h.leads(t, server); got != "blue.lb.test." {
			t.Errorf("%s leads to %s", server, got)
		}
	}
}

// A server that gives no answer is found in the plan.
func TestC13_ADeadSecondaryIsRefusedInThePlan(t *testing.T) {
	h := newHostile(t)
	h.must(t, h.second.Stop(t.Context()))
	p, err := cutover.PlanTTL(t.Context(), h.opts)
	h.must(t, err)
	if !refusedFor(p, "name server "+h.second.Addr().String()+" cannot be asked") || !refusedFor(p, "or list under zones[].servers those that are to be watched") {
		t.Errorf("refusals = %+v", p.Refusals)
	}
}

// One that dies later breaks the swap off, and holds the way back up too: who knows whom it still answers. Taken out of the zone's
// servers, it is asked no more, and the same plan goes on.
func TestI08_ADeadSecondaryHasShownNothing(t *testing.T) {
	h := newHostile(t)
	h.opts.Times.Propagation = migration.Duration(2 * time.Second)
	p, opts := h.planSwap(t, h.lowered(t))
	h.must(t, h.second.Stop(t.Context()))
	_, err := cutover.ApplySwap(t.Context(), p, h.rec, opts)
	if !errors.Is(err, dnsx.ErrNotPropagated) || !contains(err.Error(), h.second.Addr().String()+": ask ") || !contains(err.Error(), "take it out of the zone's delegation") {
		t.Fatalf("err = %v", err)
	}
	back := cutover.ReturnOptions{Options: h.opts, App: "shop", Swap: p}
	rp, err := cutover.PlanReturn(t.Context(), back)
	h.must(t, err)
	if _, err = cutover.ApplyReturn(t.Context(), rp, h.rec, back); !errors.Is(err, dnsx.ErrNotPropagated) {
		t.Fatalf("err = %v, want ErrNotPropagated", err)
	}
	if got := h.leads(t, h.dns.Primary.Addr()); got != "blue.lb.test." {
		t.Errorf("the primary leads to %s", got)
	}
	back.Zones[0].Servers = back.Zones[0].Servers[:1]
	returned, err := cutover.ApplyReturn(t.Context(), rp, h.rec, back)
	if err != nil || returned.Names[0].Seen.Answers != 1 {
		t.Errorf("returned = %+v, %v", returned, err)
	}
}

// Where the file lists no servers, the delegation is read again while one is waited for.
func TestC13_TheDelegationIsReadAgainWhileAServerIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	opts := w.swapOptions(w.lowered(t))
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	w.names.silent[server(1)] = true
	k := &ticker{world: w, at: w.clock.Now().Add(20 * time.Second), then: func() {
		w.names.mu.Lock()
		defer w.names.mu.Unlock()
		w.names.servers = w.names.servers[1:]
	}}
	opts.Clock = k
	result, err := cutover.ApplySwap(t.Context(), p, w.rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	if seen := result.Names[0].Seen; seen.Servers != 1 || seen.Took < 20*time.Second || seen.Took > time.Minute {
		t.Errorf("seen = %+v", seen)
	}
}

// Resolvers that do not keep to TTLs: one that stretches them, and one that serves what has expired since it reaches no server any
// more. Both are named with how long they may go on; an end-to-end check learns nothing by them, which is no pass; and blue is not
// idle while they lead there.
func TestC24_AResolverThatLeadsToBlueAgainstTheTTLIsNamedAndBlocksTheRetirement(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *hostile) netip.AddrPort{
		"stretches TTLs": func(t *testing.T, h *hostile) netip.AddrPort {
			return h.resolver(t, nameserver.ResolverSpec{MinTTL: 600}, h.dns.Primary.Addr())
		},
		"serves stale answers": func(t *testing.T, h *hostile) netip.AddrPort {
			feeder := h.server(t, "feeder", freeAddr(t), h.dns.Primary.Addr())
			addr := h.resolver(t, nameserver.ResolverSpec{ServeExpired: true}, feeder.Addr())
			h.must(t, feeder.Stop(t.Context()))
			return addr
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			resolver := start(t, h)
			p, swapped := h.swap(t)
			if p.Err() != nil {
				t.Fatal(p.Err())
			}
			h.opts.Zones[0].Resolvers = append(h.opts.Zones[0].Resolvers, resolver.String())
			settled := h.settle(t, swapped.Names)
			if len(settled.Stretched) != 1 || !contains(settled.Stretched[0], fmt.Sprintf("%s still answers [blue.lb.test.] for %s, for ", resolver, shopName)) {
				t.Errorf("stretched = %q", settled.Stretched)
			}
			entries, err := cutover.FindEntries(t.Context(), h.opts, "shop")
			h.must(t, err)
			opts := h.opts
			opts.Applications[0].Checks[0].When = migration.WhenAfter
			gates, err := cutover.Check(t.Context(), cutover.CheckOptions{Options: opts, App: "shop", Side: "green", Entries: entries, Phase: cutover.AfterSwap})
			h.must(t, err)
			text := fmt.Sprint(gates)
			if cutover.Verdict(gates) != cutover.Inconclusive || !contains(text, fmt.Sprintf("resolver %s still leads shop.apps.test to blue, and may for ", resolver)) {
				t.Errorf("gates = %s", text)
			}
			evidence := cutover.NameEvidence{Options: h.opts, Held: []cutover.Held{{App: "shop", Name: shopName, Zone: "apps.test.", Servers: swapped.Names[0].Servers}}, Entries: []cutover.Entry{entries[0].Blue}}
			seen, err := evidence.Collect(t.Context(), cutover.Observation{})
			h.must(t, err)
			if seen.Use != cutover.Used || !contains(strings.Join(seen.Details, "\n"), "resolver "+resolver.String()+": "+shopName+" CNAME blue.lb.test., for ") {
				t.Errorf("evidence = %+v", seen)
			}
			h.opts.Zones[0].Resolvers = h.opts.Zones[0].Resolvers[:1]
			evidence.Options = h.opts
			if seen, err = evidence.Collect(t.Context(), seen); err != nil || seen.Use != cutover.Quiet {
				t.Errorf("without it: %+v, %v", seen, err)
			}
		})
	}
}

// A resolver that gives no answer, or knows nothing of a name that its servers have, has not shown that it leads nobody to blue, for whichever
// type and whichever other one answered.
func TestI08_ASilentResolverIsNoEvidenceOfIdleness(t *testing.T) {
	w := newWorld(t)
	_, swapped := w.swapped(t)
	w.opts.Zones[0].Resolvers = []string{"192.0.2.53", "192.0.2.54"}
	blue := cutover.Entry{Target: "blue.lb.test.", Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::1")}}
	for name, tt := range map[string]struct {
		resolve func(typ string) (dnsx.Answer, error)
		fails   string
		use     cutover.Use
	}{
		"an error":       {func(string) (dnsx.Answer, error) { return dnsx.Answer{Rcode: "SERVFAIL"}, nil }, "SERVFAIL", ""},
		"no answer":      {func(string) (dnsx.Answer, error) { return dnsx.Answer{}, errors.New("i/o timeout") }, "i/o timeout", ""},
		"that it is not": {func(string) (dnsx.Answer, error) { return dnsx.Answer{Rcode: "NXDOMAIN"}, nil }, "it says that there is nothing, and the name's servers have it", ""},
		"an empty name":  {func(string) (dnsx.Answer, error) { return dnsx.Answer{Rcode: "NOERROR"}, nil }, "it says that there is nothing", ""},
		"that it is green": {func(string) (dnsx.Answer, error) {
			return dnsx.Answer{Rcode: "NOERROR", Answer: []dnsx.Record{{Name: shopName, Type: "CNAME", Data: "green.lb.test."}}}, nil
		}, "", cutover.Quiet},
		"blue, by IPv6 alone": {func(typ string) (dnsx.Answer, error) {
			a := dnsx.Answer{Rcode: "NOERROR"}
			if typ == "AAAA" {
				a.Answer = []dnsx.Record{{Name: shopName, Type: "AAAA", Data: "2001:db8::1"}}
			}
			return a, nil
		}, "", cutover.Used},
	} {
		w.names.resolve = func(_, typ string) (dnsx.Answer, error) { return tt.resolve(typ) }
		evidence := cutover.NameEvidence{Options: w.opts, Entries: []cutover.Entry{blue}, Held: []cutover.Held{{App: "shop", Name: shopName, Zone: "apps.test.", Servers: swapped.Names[0].Servers}}}
		seen, err := evidence.Collect(t.Context(), cutover.Observation{})
		if (err != nil) != (tt.fails != "") || err != nil && !contains(err.Error(), tt.fails) || seen.Use != tt.use {
			t.Errorf("%s: seen = %+v, %v", name, seen, err)
		}
		if tt.fails == "" && !contains(seen.Text, " 2 of resolvers") {
			t.Errorf("%s: not all resolvers were asked: %s", name, seen.Text)
		}
	}
	w.names.resolve = func(string, string) (dnsx.Answer, error) {
		return dnsx.Answer{Rcode: "NOERROR", Answer: []dnsx.Record{{Name: shopName, Type: "CNAME", Data: "green.lb.test."}}}, nil
	}
	w.names.askFails = func(addr string) bool { return strings.HasPrefix(addr, "192.0.2.54:") }
	evidence := cutover.NameEvidence{Options: w.opts, Entries: []cutover.Entry{blue}, Held: []cutover.Held{{App: "shop", Name: shopName, Zone: "apps.test.", Servers: swapped.Names[0].Servers}}}
	if seen, err := evidence.Collect(t.Context(), cutover.Observation{}); err == nil || !contains(err.Error(), "192.0.2.54") {
		t.Errorf("the second of two: seen = %+v, %v", seen, err)
	}
}
