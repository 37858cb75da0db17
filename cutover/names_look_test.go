package cutover_test

import (
	"testing"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// What the swap would refuse of a name is known before blue is frozen.
func TestNamesAreLookedAtBeforeTheFreeze(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*testing.T, *world, cutover.Held)
		want   string
	}{
		"nothing changed": {func(*testing.T, *world, cutover.Held) {}, ""},
		"the TTL": {func(t *testing.T, w *world, _ cutover.Held) {
			if err := w.zone.Put(cname(shopName, 300, "blue.lb.test.")); err != nil {
				t.Fatal(err)
			}
		}, "TTL 300s"},
		"the record": {func(t *testing.T, w *world, _ cutover.Held) {
			if err := w.zone.Put(cname(shopName, 10, "elsewhere.test.")); err != nil {
				t.Fatal(err)
			}
		}, "elsewhere.test."},
		"the fence": {func(t *testing.T, w *world, h cutover.Held) {
			if err := w.zone.Claim(t.Context(), shopName, zone.Fence{Name: h.Fence.Name, Token: "crossfade/move/newer"}, h.Fence.Token); err != nil {
				t.Fatal(err)
			}
		}, "crossfade/move/newer"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			held := w.lowered(t).Names
			c.change(t, w, held[0])
			p := plan.New("move", "freeze/shop")
			if err := cutover.LookAtNames(t.Context(), p, cutover.NamesOptions{Options: w.opts, Apps: []string{"shop"}, Held: held}); err != nil {
				t.Fatal(err)
			}
			if err := p.Err(); (err != nil) != (c.want != "") || err != nil && !contains(err.Error(), c.want) {
				t.Errorf("err = %v, want %q", err, c.want)
			}
		})
	}
}
