package cutover_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/cloudflare"
	"github.com/crossfade-project/crossfade/cutover/zone/cloudflare/cloudflarefake"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
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
	opts := w.swapOptions(w.lowered(t))
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplySwap(t.Context(), p, w.rec, opts); err == nil || !contains(err.Error(), "does not show the change") {
		t.Errorf("the swap ended with %v", err)
	}
}
