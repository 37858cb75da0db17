package cutover_test

import (
	"errors"
	"testing"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const secondName = "two.apps.test."

// newWorldOfTwo is a world whose application has a second name, which is moved after the first.
func newWorldOfTwo(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if err := w.zone.Put(cname(secondName, 300, "blue.lb.test.")); err != nil {
		t.Fatal(err)
	}
	second := w.opts.Applications[0].Hostnames[0]
	second.Name = secondName
	w.opts.Applications[0].Hostnames = append(w.opts.Applications[0].Hostnames, second)
	return w
}

// A swap that goes on after a kill has a plan of before: a name that somebody has changed since must be seen before the first one moves.
func TestASwapLooksAtAllNamesBeforeTheFirstMoves(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*testing.T, *world, zone.Fence)
		led    int
		want   string
	}{
		"another's record": {func(t *testing.T, w *world, _ zone.Fence) {
			if err := w.zone.Put(cname(secondName, 10, "elsewhere.lb.test.")); err != nil {
				t.Fatal(err)
			}
		}, 0, "records of " + secondName},
		"green by another's hand": {func(t *testing.T, w *world, _ zone.Fence) {
			if err := w.zone.Put(cname("alias.apps.test.", 10, "green.lb.test.")); err != nil {
				t.Fatal(err)
			}
			if err := w.zone.Put(cname(secondName, 10, "alias.apps.test.")); err != nil {
				t.Fatal(err)
			}
		}, 1, "records of " + secondName},
		"another's fence": {func(t *testing.T, w *world, f zone.Fence) {
			if err := w.zone.Claim(t.Context(), secondName, zone.Fence{Name: f.Name, Token: "crossfade/other/1"}, f.Token); err != nil {
				t.Fatal(err)
			}
		}, 0, "fence "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldOfTwo(t)
			w.names.addresses["elsewhere.lb.test."] = "192.0.2.77"
			opts := w.swapOptions(w.lowered(t))
			p, err := cutover.PlanSwap(t.Context(), opts)
			if err != nil || p.Err() != nil {
				t.Fatal(err, p.Err())
			}
			c.change(t, w, opts.Held[1].Fence)
			_, err = cutover.ApplySwap(t.Context(), p, w.rec, opts)
			if !errors.Is(err, plan.ErrMoved) || !contains(err.Error(), c.want) {
				t.Errorf("err = %v, want it moved: %s", err, c.want)
			}
			if got := w.lookup(t, "CNAME"); got.Data[0] != "blue.lb.test." {
				t.Errorf("the first name leads to %s: it moved before the second was looked at", got.Data[0])
			}
			if n := len(w.rec.Intents()); n != intentsOfTTL {
				t.Errorf("%d changes were begun, want the %d of the stage ttl", n, intentsOfTTL)
			}
			begun := func(id string) bool { _, ok := w.rec.Intents()[id]; return ok }
			led, err := cutover.LeadsToGreen(t.Context(), cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: p, Begun: begun})
			if err != nil || len(led) != c.led {
				t.Errorf("names that led to green = %v, %v, want %d", led, err, c.led)
			}
		})
	}
}

// intentsOfTTL are the fence, the TTL and the wait of each of two names.
const intentsOfTTL = 6

// What somebody else has led elsewhere is his, and must not keep the other names at green. What still leads to green holds all up.
func TestANameInAnothersHandDoesNotHoldTheOthersAtGreen(t *testing.T) {
	elsewhere := cname(secondName, 10, "elsewhere.lb.test.")
	for name, c := range map[string]struct {
		records []zone.RRset
		refused bool
	}{
		"elsewhere":               {records: []zone.RRset{elsewhere}},
		"to green by an alias":    {records: []zone.RRset{cname(secondName, 10, "alias.apps.test."), cname("alias.apps.test.", 10, "green.lb.test.")}, refused: true},
		"to green by its address": {refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldOfTwo(t)
			w.names.addresses["elsewhere.lb.test."] = "192.0.2.77"
			p, _ := w.swapped(t)
			if c.records == nil {
				w.names.addresses["elsewhere.lb.test."] = w.names.addresses["green.lb.test."]
				c.records = []zone.RRset{elsewhere}
			}
			for _, set := range c.records {
				if err := w.zone.Put(set); err != nil {
					t.Fatal(err)
				}
			}
			opts := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: p}
			left, refused, err := cutover.LookAtReturn(t.Context(), opts)
			if err != nil || len(refused) > 0 != c.refused || len(left) > 0 == c.refused {
				t.Errorf("looked at: left %v, refused %v, %v", left, refused, err)
			}
			rp, err := cutover.PlanReturn(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if c.refused {
				if !refusedFor(rp, "leads to green") {
					t.Errorf("refusals = %v, want the name that leads to green", rp.Refusals)
				}
				return
			}
			back, err := cutover.ApplyReturn(t.Context(), rp, w.rec, opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.lookup(t, "CNAME"); got.Data[0] != "blue.lb.test." {
				t.Errorf("the first name leads to %s, want blue", got.Data[0])
			}
			if got, err := w.zone.Lookup(t.Context(), secondName, "CNAME"); err != nil || got.Data[0] != "elsewhere.lb.test." {
				t.Errorf("the second name leads to %v (%v), want it as it was put", got.Data, err)
			}
			if l := back.LeftNames(); len(l) != 1 || l[0].Name != secondName || len(back.Names) != 1 || len(back.Fences) != 2 {
				t.Errorf("left %v, moved %d, fences %d", l, len(back.Names), len(back.Fences))
			}
			if wait, ok := cutover.CachesUntil(w.opts, "shop", back.Left); !ok || !wait.Until.After(w.clock.Now()) {
				t.Errorf("caches of the name that was left are waited for: %v, %v", wait, ok)
			}
		})
	}
}
