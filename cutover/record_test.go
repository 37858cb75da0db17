package cutover_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const madeName = "green-shop.apps.test."

// addressOnly is a world in which green's load balancer brings an address and no name.
func addressOnly(t *testing.T, record string) *world {
	t.Helper()
	w := newWorld(t)
	w.opts.Applications[0].Hostnames[0].Green = &migration.Entry{Address: w.green.addr.Addr().String(), MakeRecord: record}
	w.names.addresses[madeName] = w.green.addr.Addr().String()
	return w
}

func (w *world) at(t *testing.T, name, typ string) zone.RRset {
	t.Helper()
	set, err := w.zone.Lookup(t.Context(), name, typ)
	if err != nil && !errors.Is(err, zone.ErrNotExist) {
		t.Fatal(err)
	}
	return set
}

func (w *world) goneBack(t *testing.T, swap *plan.Plan) cutover.ReturnResult {
	t.Helper()
	back := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: swap}
	p, err := cutover.PlanReturn(t.Context(), back)
	if err != nil {
		t.Fatal(err)
	}
	result, err := cutover.ApplyReturn(t.Context(), p, w.rec, back)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func (w *world) release(t *testing.T, held []cutover.Held) *plan.Plan {
	t.Helper()
	opts := cutover.RestoreOptions{Options: w.opts, Held: held}
	p, err := cutover.PlanRestoreTTL(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := cutover.ApplyRestoreTTL(t.Context(), p, w.rec, opts); err != nil {
		t.Fatal(err)
	}
	return p
}

// Without makeRecord the refusal names the record that is missing.
func TestAnAddressWithoutANameIsOfferedARecord(t *testing.T) {
	w := addressOnly(t, "")
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	if !refusedFor(p, "Crossfade makes green-shop.apps.test. A "+w.green.addr.Addr().String()+" in a zone of the file") {
		t.Errorf("refusals: %+v", p.Refusals)
	}
}

// With makeRecord the record is there before the name leads to it, on every server, and gone after the way back.
func TestARecordIsMadeForGreensAddress(t *testing.T) {
	w := addressOnly(t, "green-shop.apps.test")
	held := w.lowered(t)
	if got := w.at(t, madeName, "A"); len(got.Data) != 1 || got.Data[0] != w.green.addr.Addr().String() || got.TTL != 10 {
		t.Fatalf("made %+v", got)
	}
	opts := w.swapOptions(held)
	swap, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplySwap(t.Context(), swap, w.rec, opts); err != nil {
		t.Fatal(err)
	}
	if got := w.lookup(t, "CNAME"); got.Data[0] != madeName {
		t.Errorf("the name leads to %v", got.Data)
	}
	result := w.goneBack(t, swap)
	w.release(t, cutover.UnderFences(held.Names, result.Fences))
	if got := w.at(t, madeName, "A"); len(got.Data) != 0 {
		t.Errorf("left behind: %+v", got)
	}
	if got := w.lookup(t, "CNAME"); got.Data[0] != "blue.lb.test." || got.TTL != 300 {
		t.Errorf("the name holds %+v", got)
	}
}

// A name that has moved keeps the record that it leads to.
func TestARecordInUseStays(t *testing.T) {
	w := addressOnly(t, "green-shop.apps.test")
	held := w.lowered(t)
	opts := w.swapOptions(held)
	swap, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplySwap(t.Context(), swap, w.rec, opts); err != nil {
		t.Fatal(err)
	}
	w.release(t, held.Names)
	if got := w.at(t, madeName, "A"); len(got.Data) != 1 {
		t.Error("the record that the name leads to is gone")
	}
}

// A name that somebody has pointed at a made record keeps its answer: the record stays, which is said before and after.
func TestI03_AMadeRecordThatAnotherNameUsesStays(t *testing.T) {
	w := addressOnly(t, "green-shop.apps.test")
	held := w.lowered(t)
	opts := w.swapOptions(held)
	swap, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplySwap(t.Context(), swap, w.rec, opts); err != nil {
		t.Fatal(err)
	}
	before := cutover.RestoreOptions{Options: w.opts, Held: held.Names}
	if kept := cutover.KeptRecords(t.Context(), before); len(kept) > 0 {
		t.Errorf("nothing but the migration's own name leads to it: %v", kept)
	}
	w.put(t, cname("www.apps.test.", 60, "Green-Shop.apps.test."))
	const want = "green-shop.apps.test. (made for shop), to which www.apps.test. leads"
	if kept := cutover.KeptRecords(t.Context(), before); len(kept) != 1 || kept[0].String() != want {
		t.Errorf("kept = %v", kept)
	}
	result := w.goneBack(t, swap)
	p := w.release(t, cutover.UnderFences(held.Names, result.Fences))
	if got := w.at(t, madeName, "A"); len(got.Data) != 1 {
		t.Error("the record that another name leads to is gone")
	}
	restored, err := cutover.RestoreResultOf(p)
	if err != nil || len(restored.Kept) != 1 || restored.Kept[0].String() != want {
		t.Errorf("restored = %+v, %v", restored, err)
	}
}

// Where a name would have no answer on blue is known before it goes back, and after.
func TestI02_ABlueTargetWithoutAnAddressIsSaid(t *testing.T) {
	w := newWorld(t)
	held := w.lowered(t)
	opts := w.swapOptions(held)
	swap, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplySwap(t.Context(), swap, w.rec, opts); err != nil {
		t.Fatal(err)
	}
	if dead := cutover.DeadEnds(t.Context(), w.opts, held.Names); len(dead) > 0 {
		t.Errorf("blue answers: %v", dead)
	}
	delete(w.names.addresses, "blue.lb.test.")
	dead := cutover.DeadEnds(t.Context(), w.opts, held.Names)
	if len(dead) != 1 || dead[0].Back || !contains(dead[0].String(), "on blue shop.apps.test. leads to blue.lb.test., which leads nowhere") {
		t.Errorf("dead = %+v", dead)
	}
	w.goneBack(t, swap)
	if dead = cutover.DeadEnds(t.Context(), w.opts, held.Names); len(dead) != 1 || !dead[0].Back {
		t.Errorf("dead = %+v", dead)
	}
}

// Another's record is neither written over nor removed.
func TestI03_AnothersRecordAtTheName(t *testing.T) {
	w := addressOnly(t, "green-shop.apps.test")
	foreign := zone.RRset{Name: madeName, Type: "A", TTL: 60, Data: []string{"192.0.2.200"}}
	if _, err := w.zone.Swap(t.Context(), zone.Change{Name: madeName, New: []zone.RRset{foreign}}); err != nil {
		t.Fatal(err)
	}
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil || !refusedFor(p, "choose a name that is free") || len(p.Refusals) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, without := range []bool{true, false} {
		found, err := cutover.Inspect(t.Context(), cutover.InspectOptions{Options: w.opts, WithoutGreen: without})
		if err != nil || !slices.ContainsFunc(found.Refusals, func(r plan.Refusal) bool {
			return contains(r.Why, "green.makeRecord is to make green-shop.apps.test., and it holds A 192.0.2.200")
		}) {
			t.Errorf("plan and doctor say nothing: %+v, %v", found.Refusals, err)
		}
	}
	if _, err := w.zone.Swap(t.Context(), zone.Change{Name: madeName, Old: []zone.RRset{foreign}, Remove: true}); err != nil {
		t.Fatal(err)
	}
	// Somebody takes the name between the plan and its change.
	if p, err = cutover.PlanTTL(t.Context(), w.opts); err != nil || len(p.Refusals) > 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := w.zone.Swap(t.Context(), zone.Change{Name: madeName, New: []zone.RRset{foreign}}); err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplyTTL(t.Context(), p, w.rec, w.opts); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("err = %v", err)
	}
	held, err := cutover.HeldOf(p)
	if err != nil {
		t.Fatal(err)
	}
	back := w.release(t, held)
	if got := w.at(t, madeName, "A"); !slices.Equal(got.Data, foreign.Data) {
		t.Errorf("afterwards %+v; plan %+v", got, back.Changes)
	}
}

// A record that a plan has made which was forgotten since is ours to take away; one for an address that green has no more is not led to.
func TestARecordThatAForgottenPlanMadeIsOurs(t *testing.T) {
	w := addressOnly(t, "green-shop.apps.test")
	first, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplyTTL(t.Context(), first, w.rec, w.opts); err != nil {
		t.Fatal(err)
	}
	held := w.again(t, first)
	moved := w.opts
	moved.Applications = slices.Clone(w.opts.Applications)
	moved.Applications[0].Hostnames = []migration.Hostname{w.opts.Applications[0].Hostnames[0]}
	moved.Applications[0].Hostnames[0].Green = &migration.Entry{Address: "127.0.0.9", MakeRecord: "green-shop.apps.test"}
	if p, err := cutover.PlanTTL(t.Context(), moved); err != nil || !refusedFor(p, "green.makeRecord has made "+madeName) {
		t.Errorf("refusals = %+v, %v", p.Refusals, err)
	}
	w.release(t, held.Names)
	if got := w.at(t, madeName, "A"); len(got.Data) != 0 {
		t.Errorf("left behind: %+v", got)
	}
}

// A wildcard, an international name and one beside the apex get a record like any other, and it goes with the way back.
func TestARecordIsMadeForNamesOfEveryForm(t *testing.T) {
	for name, tt := range map[string]struct{ hostname, record, canonical string }{
		"a wildcard":              {"*.apps.test", "green.apps.test", "*.apps.test."},
		"an international name":   {"büro.apps.test", "grün-büro.apps.test", "xn--bro-hoa.apps.test."},
		"an international record": {shopName, "grün.apps.test", shopName},
	} {
		t.Run(name, func(t *testing.T) {
			w := addressOnly(t, tt.record)
			w.opts.Applications[0].Hostnames[0].Name = tt.hostname
			if tt.canonical != shopName {
				if _, err := w.zone.Swap(t.Context(), zone.Change{Name: tt.canonical, New: []zone.RRset{cname(tt.canonical, 300, "blue.lb.test.")}}); err != nil {
					t.Fatal(err)
				}
			}
			held := w.lowered(t)
			made := held.Names[0].Record
			if made == nil {
				t.Fatalf("nothing is made: %+v", held.Names)
			}
			if got := w.at(t, made.Change.Name, "A"); len(got.Data) != 1 || got.Data[0] != w.green.addr.Addr().String() {
				t.Fatalf("made %+v", got)
			}
			w.release(t, held.Names)
			if got := w.at(t, made.Change.Name, "A"); len(got.Data) != 0 {
				t.Errorf("left behind: %+v", got)
			}
			if got := w.at(t, tt.canonical, "CNAME"); got.TTL != 300 {
				t.Errorf("the name holds %+v", got)
			}
		})
	}
}
