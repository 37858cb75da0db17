package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const shopName = "shop.apps.test."

// side is a web server that plays one side's entry.
type side struct {
	name   string
	addr   netip.AddrPort
	status atomic.Int64
	hits   atomic.Int64
	server *httptest.Server
	mu     sync.Mutex
	last   http.Header
}

func (s *side) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.hits.Add(1)
	s.mu.Lock()
	s.last = r.Header.Clone()
	s.last.Set("Host", r.Host)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(int(s.status.Load()))
	_, _ = fmt.Fprintf(w, "hello from %s", s.name)
}

func (s *side) header(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.Get(name)
}

// startSides returns two servers at addresses of their own and one port, as two load balancers have.
func startSides(t *testing.T) (blue, green *side) {
	t.Helper()
	blue, green = &side{name: "blue"}, &side{name: "green"}
	for range 20 {
		lb, err := net.Listen("tcp", "127.0.0.2:0")
		if err != nil {
			t.Skipf("this machine has only one loopback address: %v", err)
		}
		blue.addr = netip.MustParseAddrPort(lb.Addr().String())
		green.addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), blue.addr.Port())
		lg, err := net.Listen("tcp", green.addr.String())
		if err != nil {
			_ = lb.Close()
			continue
		}
		for s, l := range map[*side]net.Listener{blue: lb, green: lg} {
			s.status.Store(http.StatusOK)
			s.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: s}}
			s.server.Start()
			t.Cleanup(s.server.Close)
		}
		return blue, green
	}
	t.Fatal("no port is free at both addresses")
	return nil, nil
}

// fakeNames answers for a zone in memory, as several servers that may be late or silent.
type fakeNames struct {
	zone *memory.Zone
	// addresses of names outside the zone
	addresses map[string]string
	servers   []dnsx.Server
	// late holds what a server still shows, silent says that it does not answer.
	mu     sync.Mutex
	late   map[netip.AddrPort][]dnsx.RRset
	silent map[netip.AddrPort]bool
	asked  map[netip.AddrPort]int
	// before is called ahead of each round of questions.
	before func()
	// signature is what each server shows in a signed zone, but for those that are unsigned.
	signed    bool
	secure    bool
	signature dnsx.Signature
	unsigned  map[netip.AddrPort]bool
	// more stands at names beside what the zone holds; caa governs every name.
	more []dnsx.RRset
	caa  *dnsx.RRset
	// served, where it is set, is what the servers have instead of the zone.
	served func(name, typ string) dnsx.RRset
	// askFails and askBlue say which server answers no single question, and which has not heard of green; drawn counts answers.
	askFails, askBlue func(addr string) bool
	drawn             int
	// lame says which server answers single questions without authority.
	lame func(addr string) bool
	// resolve stands in for resolvers where it is set.
	resolve func(name, typ string) (dnsx.Answer, error)
}

func (f *fakeNames) read(ctx context.Context, name, typ string) dnsx.RRset {
	if f.served != nil {
		return f.served(name, typ)
	}
	set, err := f.zone.Lookup(ctx, name, typ)
	if err != nil {
		return dnsx.RRset{Name: name, Type: typ}
	}
	return dnsx.RRset(set)
}

func (f *fakeNames) Discover(ctx context.Context, name string, _ dnsx.Source) (dnsx.Delegation, error) {
	d := dnsx.Delegation{Name: name, Cut: dnsx.Cut{SOA: dnsx.SOA{Zone: f.zone.Apex()}, Servers: f.servers, Signed: f.signed, Secure: f.secure}, CAA: f.caa}
	for _, typ := range []string{"CNAME", "A", "AAAA"} {
		if set := f.read(ctx, name, typ); len(set.Data) > 0 {
			d.Records = append(d.Records, set)
		}
	}
	if addr := f.addresses[name]; addr != "" && !dnsx.InZone(name, f.zone.Apex()) {
		d.SOA.Zone = dnsx.Parent(name)
		d.Records = []dnsx.RRset{{Name: name, Type: "A", TTL: 60, Data: []string{addr}}}
	}
	d.Chain = append(d.Chain, dnsx.Link{Name: name, Sets: d.Records})
	for _, set := range f.more {
		switch {
		case set.Name == name:
			d.Records = append(d.Records, set)
		case set.Name == "*."+dnsx.Parent(name):
			d.Wildcard = append(d.Wildcard, set)
		}
	}
	return d, nil
}

func (f *fakeNames) Propagated(ctx context.Context, servers []dnsx.Server, wants ...dnsx.RRset) ([]dnsx.ServerAnswer, error) {
	if f.before != nil {
		f.before()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var answers []dnsx.ServerAnswer
	var failed error
	for _, s := range servers {
		for _, addr := range s.Addrs {
			f.asked[addr]++
			for _, want := range wants {
				a := f.answer(ctx, s.Name, addr, want)
				if !a.OK {
					failed = fmt.Errorf("%w: %s: %s", dnsx.ErrNotPropagated, addr, a.Reason)
				}
				answers = append(answers, a)
			}
		}
	}
	return answers, failed
}

func (f *fakeNames) answer(ctx context.Context, server string, addr netip.AddrPort, want dnsx.RRset) dnsx.ServerAnswer {
	a := dnsx.ServerAnswer{Server: server, Addr: addr, Name: want.Name, Type: want.Type}
	if f.silent[addr] {
		a.Unknown, a.Reason = true, "no answer"
		return a
	}
	a.Got = f.read(ctx, want.Name, want.Type)
	for _, set := range f.late[addr] {
		if set.Name == want.Name {
			a.Got = dnsx.RRset{Name: want.Name, Type: want.Type}
			if set.Type == want.Type {
				a.Got = set
			}
		}
	}
	a.OK = a.Got.Equal(want) || len(a.Got.Data) == 0 && len(want.Data) == 0
	if !a.OK {
		a.Reason = fmt.Sprintf("it has %v with the TTL %d", a.Got.Data, a.Got.TTL)
	}
	return a
}

func (f *fakeNames) Survey(ctx context.Context, servers []dnsx.Server, o dnsx.SurveyOptions) []dnsx.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	var views []dnsx.View
	for _, s := range servers {
		for _, addr := range s.Addrs {
			v := dnsx.View{Server: s.Name, Addr: addr, Serial: 1, Authoritative: true, Rcode: "NOERROR"}
			if f.silent[addr] {
				v = dnsx.View{Server: s.Name, Addr: addr, Unknown: "no answer"}
				views = append(views, v)
				continue
			}
			for _, typ := range o.Types {
				set := f.read(ctx, o.Name, typ)
				if len(set.Data) == 0 {
					continue
				}
				v.Sets = append(v.Sets, set)
				if o.Signed {
					sig := f.signature
					sig.Type = typ
					if f.unsigned[addr] {
						sig = dnsx.Signature{Type: typ, Problem: "it has no RRSIG over the " + typ + " set"}
					}
					v.Signatures = append(v.Signatures, sig)
				}
			}
			views = append(views, v)
		}
	}
	return views
}

func (f *fakeNames) ReadSet(ctx context.Context, _ dnsx.Cut, name, typ string) (dnsx.RRset, error) {
	return f.read(ctx, name, typ), nil
}

func (f *fakeNames) CAAVia(context.Context, dnsx.Delegation, string, dnsx.Source) (*dnsx.RRset, error) {
	return f.caa, nil
}

func (f *fakeNames) Ask(ctx context.Context, addr netip.AddrPort, name, typ string, recurse bool) (dnsx.Answer, error) {
	if f.askFails != nil && f.askFails(addr.String()) {
		return dnsx.Answer{}, errors.New("no answer")
	}
	answer := dnsx.Answer{Rcode: "NOERROR", Authoritative: f.lame == nil || !f.lame(addr.String())}
	if f.resolve != nil && recurse && f.addresses[name] == "" {
		return f.resolve(name, typ)
	}
	if alias := f.read(ctx, name, "CNAME"); recurse && typ != "CNAME" && len(alias.Data) == 1 {
		answer.Answer = append(answer.Answer, dnsx.Record{Name: name, Type: "CNAME", TTL: alias.TTL, Data: alias.Data[0]})
		if addr := f.addresses[alias.Data[0]]; addr != "" && typ == "A" {
			answer.Answer = append(answer.Answer, dnsx.Record{Name: alias.Data[0], Type: "A", TTL: 60, Data: addr})
		}
		return answer, nil
	}
	if addr, ok := f.addresses[name]; ok {
		if typ == "A" {
			answer.Answer = append(answer.Answer, dnsx.Record{Name: name, Type: "A", TTL: 60, Data: addr})
		}
		return answer, nil
	}
	set := f.read(ctx, name, typ)
	if f.askBlue != nil && f.askBlue(addr.String()) && typ == "CNAME" {
		set = dnsx.RRset(cname(name, 10, "blue.lb.test."))
	}
	for _, d := range set.Data {
		answer.Answer = append(answer.Answer, dnsx.Record{Name: name, Type: typ, TTL: set.TTL, Data: d})
	}
	return answer, nil
}

// world is a migration of one application with everything around it.
type world struct {
	blue, green *side
	zone        *memory.Zone
	names       *fakeNames
	clock       *clock.Fake
	opts        cutover.Options
	rec         *plan.MemoryRecorder
}

func server(i byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, i}), 53)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{clock: clock.NewFake(time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)), rec: &plan.MemoryRecorder{}}
	w.blue, w.green = startSides(t)
	var err error
	w.zone, err = memory.New("apps.test.", cname(shopName, 300, "blue.lb.test."))
	if err != nil {
		t.Fatal(err)
	}
	w.names = &fakeNames{
		zone: w.zone, late: map[netip.AddrPort][]dnsx.RRset{}, silent: map[netip.AddrPort]bool{}, unsigned: map[netip.AddrPort]bool{}, asked: map[netip.AddrPort]int{},
		addresses: map[string]string{"blue.lb.test.": w.blue.addr.Addr().String(), "green.lb.test.": w.green.addr.Addr().String()},
		servers: []dnsx.Server{
			{Name: "ns1.", Addrs: []netip.AddrPort{server(1)}},
			{Name: "ns2.", Addrs: []netip.AddrPort{server(2), server(3)}},
		},
	}
	w.opts = cutover.Options{
		Migration: "move",
		Times:     migration.Cutover{TTL: migration.Duration(10 * time.Second), Margin: migration.Duration(2 * time.Second)},
		Applications: []migration.Application{{
			Name: "shop", Namespace: "demo",
			Hostnames: []migration.Hostname{{
				Name: shopName, Port: int(w.blue.addr.Port()),
				Blue: &migration.Entry{Target: "blue.lb.test."}, Green: &migration.Entry{Target: "green.lb.test."},
			}},
			Checks: []migration.Check{{Name: "front", HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/"}}},
		}},
		Zones: []cutover.Zone{{Zone: migration.Zone{Name: "apps.test.", Resolvers: []string{"192.0.2.53"}}, Driver: w.zone}},
		Names: w.names, Clock: w.clock,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	return w
}

// newWorldBeside returns a world with more servers at its port, at addresses of their own.
func newWorldBeside(t *testing.T, beside func(*world) map[netip.Addr]http.Handler) *world {
	t.Helper()
	for range 20 {
		w := newWorld(t)
		listeners := map[net.Listener]http.Handler{}
		taken := false
		for addr, handler := range beside(w) {
			l, err := net.Listen("tcp", netip.AddrPortFrom(addr, w.blue.addr.Port()).String())
			if err != nil {
				taken = true
				break
			}
			listeners[l] = handler
		}
		for l, handler := range listeners {
			if taken {
				_ = l.Close()
				continue
			}
			server := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
			server.Start()
			t.Cleanup(server.Close)
		}
		if !taken {
			return w
		}
	}
	t.Fatal("no port is free at all addresses")
	return nil
}

func cname(name string, ttl uint32, target string) zone.RRset {
	return zone.RRset{Name: name, Type: "CNAME", TTL: ttl, Data: []string{target}}
}

func (w *world) lookup(t *testing.T, typ string) zone.RRset {
	t.Helper()
	set, err := w.zone.Lookup(t.Context(), shopName, typ)
	if err != nil && !errors.Is(err, zone.ErrNotExist) {
		t.Fatal(err)
	}
	return set
}

// lowered runs the TTL stage.
func (w *world) lowered(t *testing.T) cutover.TTLResult {
	t.Helper()
	return lower(t, w.opts, w.rec)
}

func lower(t *testing.T, opts cutover.Options, rec plan.Recorder) cutover.TTLResult {
	t.Helper()
	p, err := cutover.PlanTTL(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	held, err := cutover.ApplyTTL(t.Context(), p, rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func (w *world) swapOptions(held cutover.TTLResult) cutover.SwapOptions {
	return cutover.SwapOptions{Options: w.opts, App: "shop", Held: held.Of("shop")}
}

// swapped runs the TTL stage and the swap.
func (w *world) swapped(t *testing.T) (*plan.Plan, cutover.SwapResult) {
	t.Helper()
	opts := w.swapOptions(w.lowered(t))
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	result, err := cutover.ApplySwap(t.Context(), p, w.rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p, result
}

func refusedFor(p *plan.Plan, text string) bool {
	for _, r := range p.Refusals {
		if contains(r.Why, text) || contains(r.Mend, text) {
			return true
		}
	}
	return false
}
