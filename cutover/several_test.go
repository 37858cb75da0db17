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
