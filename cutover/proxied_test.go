package cutover_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/cloudflare"
	"github.com/crossfade-project/crossfade/cutover/zone/cloudflare/cloudflarefake"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// edge is what the DNS shows of a proxied name: an address of the provider's, whatever the record holds.
func edge(t *testing.T) *memory.Zone {
	t.Helper()
	z, err := memory.New("apps.test.", zone.RRset{Name: shopName, Type: "A", TTL: 300, Data: []string{"198.51.100.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// TestC19_ProxiedNamesAreVerifiedByTheAPI: no name server ever shows green, and the cutover neither waits for one nor lowers
// a TTL; it reads the change back at the API, says so, and goes back the same way.
func TestC19_ProxiedNamesAreVerifiedByTheAPI(t *testing.T) {
	w := newWorld(t)
	fake, err := cloudflarefake.New("apps.test.", w.clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	id := fake.Add(cloudflarefake.Record{Name: shopName, Type: "CNAME", Content: "blue.lb.test", TTL: 1, Proxied: true, Comment: "the shop"})
	driver, err := cloudflare.New(t.Context(), cloudflare.Options{Apex: "apps.test.", Token: cloudflarefake.Token, Endpoint: fake.URL, Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	w.names.zone = edge(t)
	w.mark()
	w.opts.Zones = []cutover.Zone{{Zone: migration.Zone{Name: "apps.test.", Resolvers: []string{"192.0.2.53"}}, Driver: driver}}
	began := w.clock.Now()
	held := w.lowered(t)
	if waited := w.clock.Now().Sub(began); waited > 10*time.Second {
		t.Errorf("the TTL stage took %s, though there is nothing to wait for", waited)
	}
	if h := held.Names[0]; h.Low[0].TTL != 300 || h.Lowered.By == "" {
		t.Errorf("held = %+v", h)
	}
	opts := w.swapOptions(held)
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(p.Notes, func(n plan.Note) bool { return n.What == shopName && contains(n.Text, "proxied") }) {
		t.Errorf("the plan does not say that the name is proxied: %+v", p.Notes)
	}
	swapped, err := cutover.ApplySwap(t.Context(), p, w.rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	m := swapped.Names[0]
	if m.Seen.By == "" || m.Seen.Servers != 0 || len(m.Views) != 0 || m.Strength != zone.Weak {
		t.Errorf("moved = %+v", m)
	}
	if got := fake.At(shopName); len(got) != 1 || got[0].Content != "green.lb.test" || !got[0].Proxied || got[0].ID != id || got[0].Comment != "the shop" {
		t.Errorf("the record is %+v", got)
	}
	if page := (cutover.Report{Apps: []cutover.AppReport{{App: "shop", Swap: &swapped}}}).Markdown(); !contains(page, "weak, seen by the provider's API") {
		t.Errorf("the report does not say how it was seen:\n%s", page)
	}
	// What is waited out is how long the provider itself may take.
	settle, err := cutover.PlanSettle(t.Context(), cutover.SettleOptions{Options: w.opts, App: "shop", Moved: swapped.Names})
	if err != nil || !contains(settle.Changes[0].Why, "5m0s") && !contains(settle.Changes[0].Why, "300") {
		t.Errorf("settling says %+v, %v", settle, err)
	}
	ropts := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: p}
	rp, err := cutover.PlanReturn(t.Context(), ropts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplyReturn(t.Context(), rp, w.rec, ropts); err != nil {
		t.Fatal(err)
	}
	if got := fake.At(shopName); len(got) != 1 || got[0].Content != "blue.lb.test" {
		t.Errorf("after the return the record is %+v", got)
	}
}

// forgetful acknowledges changes of a proxied name and shows the old record afterwards.
type forgetful struct {
	*memory.Zone
	old     zone.RRset
	forgets bool
}

func (f *forgetful) Proxied(context.Context, string) (bool, error) { return true, nil }

func (f *forgetful) Lookup(ctx context.Context, name, typ string) (zone.RRset, error) {
	if f.forgets && name == shopName && typ == "CNAME" {
		return f.old, nil
	}
	return f.Zone.Lookup(ctx, name, typ)
}

func (f *forgetful) Swap(ctx context.Context, c zone.Change) (zone.Result, error) {
	r, err := f.Zone.Swap(ctx, c)
	f.forgets = f.forgets || c.New[0].Data[0] == "green.lb.test."
	return r, err
}

// TestC19_AProxiedNameThatDidNotMoveIsNoSuccess: where the API shows the old record, nobody is told that the name moved.
func TestC19_AProxiedNameThatDidNotMoveIsNoSuccess(t *testing.T) {
	w := newWorld(t)
	driver := &forgetful{Zone: w.zone, old: w.lookup(t, "CNAME")}
	w.opts.Zones[0].Driver = driver
	w.names.zone = edge(t)
	w.mark()
	opts := w.swapOptions(w.lowered(t))
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplySwap(t.Context(), p, w.rec, opts); err == nil || !contains(err.Error(), "does not show the change") {
		t.Errorf("the swap ended with %v", err)
	}
}

// mark makes the world's check one that only green passes, end to end.
func (w *world) mark() {
	w.opts.Applications[0].Checks = []migration.Check{{Name: "at green", When: migration.WhenBoth, HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", Contains: "from green"}}}
}

// TestC19_AProxiedNameNeedsAMarker: what blue passes too, or what does not go the way of the clients, shows nothing of green.
func TestC19_AProxiedNameNeedsAMarker(t *testing.T) {
	for name, tt := range map[string]struct {
		change        func(*world)
		refusal, note string
	}{
		"only green passes":     {func(*world) {}, "", "changes are verified"},
		"not end to end":        {func(w *world) { w.opts.Applications[0].Checks[0].When = migration.WhenBefore }, "no http check goes end to end", ""},
		"blue passes too":       {func(w *world) { w.opts.Applications[0].Checks[0].HTTP.Contains = "hello" }, "blue passes every check that goes end to end (at green)", ""},
		"another hostname's":    {func(w *world) { w.opts.Applications[0].Checks[0].HTTP.Hostname = "other.apps.test" }, "no http check goes end to end", ""},
		"blue does not answer":  {func(w *world) { w.opts.Applications[0].Hostnames[0].Blue.Address = "203.0.113.77" }, "", "blue did not answer them"},
		"a name without a mask": {func(w *world) { w.opts.Zones[0].Driver = w.zone; w.opts.Applications[0].Checks[0].When = "" }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.opts.Zones[0].Driver = &forgetful{Zone: w.zone}
			w.mark()
			w.opts.Applications[0].Checks[0].Timeout = migration.Duration(100 * time.Millisecond)
			tt.change(w)
			p := w.planned(t)
			if tt.refusal == "" && len(p.Refusals) > 0 || tt.refusal != "" && !refusedFor(p, tt.refusal) {
				t.Errorf("refusals = %+v, want %q", p.Refusals, tt.refusal)
			}
			if tt.note != "" && !noted(p, tt.note) {
				t.Errorf("notes = %+v, want %q", p.Notes, tt.note)
			}
		})
	}
}

// TestC19_AnAnswerOfBluesTeachesNothing: an edge that has not heard of the swap yet shows blue. That is not green's failing, and no pass.
func TestC19_AnAnswerOfBluesTeachesNothing(t *testing.T) {
	w := newWorld(t)
	w.mark()
	behind := w.blue
	between := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) { behind.ServeHTTP(out, r) }))
	listener, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.9.9.9"), w.blue.addr.Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	_ = between.Listener.Close() // another one is used
	between.Listener = listener
	between.Start()
	t.Cleanup(between.Close)
	w.names.resolve = func(name, typ string) (dnsx.Answer, error) {
		a := dnsx.Answer{Rcode: "NOERROR"}
		if typ == "A" {
			a.Answer = []dnsx.Record{{Name: name, Type: "A", TTL: 300, Data: "127.9.9.9"}}
		}
		return a, nil
	}
	check := w.opts.Applications[0].Checks[0]
	for _, tt := range []struct {
		behind *side
		status int64
		want   cutover.Outcome
		text   string
	}{
		{w.blue, http.StatusOK, cutover.Inconclusive, "may still lead to blue"},
		{w.green, http.StatusOK, cutover.Passed, "status 200"},
		{w.green, http.StatusInternalServerError, cutover.Failed, "status 500"},
	} {
		behind = tt.behind
		behind.status.Store(tt.status)
		gates := w.gatesOf(t, check, cutover.AfterSwap, nil)
		if len(gates) != 1 || gates[0].Outcome != tt.want || !contains(gates[0].Text, tt.text) {
			t.Errorf("gates = %+v, want %v %q", gates, tt.want, tt.text)
		}
	}
}
