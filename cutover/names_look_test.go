package cutover_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/migration"
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
		"a hostname that came later": {func(_ *testing.T, w *world, _ cutover.Held) {
			h := w.opts.Applications[0].Hostnames[0]
			h.Name = "later.apps.test"
			w.opts.Applications[0].Hostnames = append(w.opts.Applications[0].Hostnames, h)
		}, "later.apps.test.: the file had it not when TTLs were lowered"},
		"a hostname that is left out": {func(_ *testing.T, w *world, _ cutover.Held) {
			w.opts.Applications[0].Hostnames = nil
		}, shopName + ": the file does not have it any more"},
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

// A run that was stopped behind the freeze swaps later, and the file may have lost a hostname by then.
func TestASwapLeavesNoHostnameBehind(t *testing.T) {
	w := newWorld(t)
	held := w.lowered(t)
	w.opts.Applications[0].Hostnames = nil
	p, err := cutover.PlanSwap(t.Context(), cutover.SwapOptions{Options: w.opts, App: "shop", Held: held.Of("shop")})
	if err != nil || len(p.Changes) > 0 || !refusedFor(p, "had it when TTLs were lowered") {
		t.Errorf("%+v, %v", p, err)
	}
}

// A swap must not lead users to a name without an answer, nor past the address at which green was checked: what stands at green's target is
// read in its own zone before the freeze, when the swap is planned, and just before it is made.
func TestC26_AGreenTargetThatDoesNotLeadToGreenIsRefused(t *testing.T) {
	const inside = "green.apps.test."
	at := func(addr string) zone.RRset {
		return zone.RRset{Name: inside, Type: "A", TTL: 60, Data: []string{addr}}
	}
	entry := func(target string) func(*world) {
		return func(w *world) {
			w.opts.Applications[0].Hostnames[0].Green = &migration.Entry{Target: target, Address: w.green.addr.Addr().String()}
		}
	}
	for name, c := range map[string]struct {
		entry  func(*world)
		change func(*testing.T, *world)
		want   string
	}{
		"it leads to green":  {entry(inside), func(*testing.T, *world) {}, ""},
		"by a wildcard":      {entry("any.green.apps.test."), func(*testing.T, *world) {}, ""},
		"its record is gone": {entry(inside), func(t *testing.T, w *world) { w.remove(t, w.at(t, inside, "A")) }, "the zone apps.test. has neither a CNAME nor an address at green.apps.test."},
		"the resolvers remember it": {func(w *world) { w.opts.Applications[0].Hostnames[0].Green = &migration.Entry{Target: inside} }, func(t *testing.T, w *world) {
			w.names.addresses[inside] = "127.0.0.3"
			w.remove(t, w.at(t, inside, "A"))
		}, "users who follow the name would get no answer"},
		"it leads elsewhere":          {entry(inside), func(t *testing.T, w *world) { w.put(t, at("127.0.0.9")) }, "green.apps.test. leads to 127.0.0.9, and the checks are made at 127.0.0.3"},
		"outside, it leads to green":  {entry("green.lb.test."), func(*testing.T, *world) {}, ""},
		"outside, its record is gone": {entry("green.lb.test."), func(_ *testing.T, w *world) { delete(w.names.addresses, "green.lb.test.") }, "green.lb.test. leads nowhere"},
		"outside, it leads elsewhere": {entry("green.lb.test."), func(_ *testing.T, w *world) { w.names.addresses["green.lb.test."] = "127.0.0.9" }, "green.lb.test. leads to 127.0.0.9"},
		"a made record was changed": {entryMade, func(t *testing.T, w *world) {
			w.put(t, zone.RRset{Name: madeName, Type: "A", TTL: 10, Data: []string{"127.0.0.9"}})
		}, "green-shop.apps.test. was made for green's address with A 127.0.0.3"},
		"a made record is gone":      {entryMade, func(t *testing.T, w *world) { w.remove(t, w.at(t, madeName, "A")) }, "and holds nothing"},
		"a made record is as it was": {entryMade, func(*testing.T, *world) {}, ""},
		"a made record has a new TTL": {entryMade, func(t *testing.T, w *world) {
			w.put(t, zone.RRset{Name: madeName, Type: "A", TTL: 99, Data: []string{"127.0.0.3"}})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.put(t, at(w.green.addr.Addr().String()))
			w.put(t, zone.RRset{Name: "*.green.apps.test.", Type: "A", TTL: 60, Data: []string{w.green.addr.Addr().String()}})
			w.names.addresses[madeName] = w.green.addr.Addr().String()
			c.entry(w)
			held := w.lowered(t)
			opts := w.swapOptions(held)
			swap, err := cutover.PlanSwap(t.Context(), opts)
			if err != nil || swap.Err() != nil {
				t.Fatal(err, swap.Err())
			}
			c.change(t, w)
			look := plan.New("move", "freeze/shop")
			if err := cutover.LookAtNames(t.Context(), look, cutover.NamesOptions{Options: w.opts, Apps: []string{"shop"}, Held: held.Names}); err != nil {
				t.Fatal(err)
			}
			late, err := cutover.PlanSwap(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			_, applied := cutover.ApplySwap(t.Context(), swap, w.rec, opts)
			for when, err := range map[string]error{"before the freeze": look.Err(), "when planned": late.Err(), "when made": applied} {
				if (err != nil) != (c.want != "") || err != nil && when != "when made" && !contains(err.Error(), c.want) {
					t.Errorf("%s: err = %v, want %q", when, err, c.want)
				}
			}
			if c.want != "" && !errors.Is(applied, plan.ErrMoved) {
				t.Errorf("the swap ended with %v", applied)
			}
			if leads := w.lookup(t, "CNAME").Data[0]; (leads == "blue.lb.test.") != (c.want != "") {
				t.Errorf("the name leads to %s", leads)
			}
		})
	}
}

func entryMade(w *world) {
	w.opts.Applications[0].Hostnames[0].Green = &migration.Entry{Address: w.green.addr.Addr().String(), MakeRecord: madeName}
}

// Who asked while a TTL was raised holds the old answer for that long, also once it is lowered again: what was seen of it before the
// swap is waited out after it. Nobody knows when it was lowered, so it counts from when the last server showed the swap.
func TestC26_ATTLThatWasRaisedAfterTheTTLStageIsWaitedOut(t *testing.T) {
	raise := func(t *testing.T, w *world, ttl uint32) { w.put(t, cname(shopName, ttl, "blue.lb.test.")) }
	for name, look := range map[string]func(*testing.T, *world, cutover.SwapOptions){
		"before the freeze": func(t *testing.T, w *world, opts cutover.SwapOptions) {
			raise(t, w, 3600)
			p := plan.New("move", "freeze/shop")
			for range 2 { // a cron job comes again
				if err := cutover.LookAtNames(t.Context(), p, cutover.NamesOptions{Options: opts.Options, Apps: []string{"shop"}, Held: opts.Held}); err != nil || p.Err() == nil {
					t.Fatalf("%v, %v", err, p.Err())
				}
				opts.Raised = w.opts.Raised
			}
		},
		"by the swap's plan": func(t *testing.T, w *world, opts cutover.SwapOptions) {
			raise(t, w, 3600)
			if p, err := cutover.PlanSwap(t.Context(), opts); err != nil || p.Err() == nil {
				t.Fatalf("%v, %v", err, p.Err())
			}
		},
		"by the swap": func(t *testing.T, w *world, opts cutover.SwapOptions) {
			p, err := cutover.PlanSwap(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			raise(t, w, 3600)
			if _, err := cutover.ApplySwap(t.Context(), p, w.rec, opts); !errors.Is(err, plan.ErrMoved) {
				t.Fatal(err)
			}
			w.rec = &plan.MemoryRecorder{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.opts.Raising = func(r cutover.Raised) error { w.opts.Raised = append(w.opts.Raised, r); return nil }
			opts := w.swapOptions(w.lowered(t))
			look(t, w, opts)
			if want := []cutover.Raised{{Name: shopName, TTL: 3600, At: w.clock.Now()}}; !slices.Equal(w.opts.Raised, want) {
				t.Fatalf("seen = %+v, want %+v", w.opts.Raised, want)
			}
			raise(t, w, 10)
			opts.Raised = w.opts.Raised
			p, err := cutover.PlanSwap(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			const waits = "1h0m0s TTL that somebody had set after the stage ttl (seen 2026-11-21 14:05:02 UTC) + 2s margin = 1h0m2s"
			if text := p.Notes[1].Text + p.Changes[0].Why; strings.Count(text, waits) != 2 || !contains(text, "going back takes 10s TTL + 2s margin = 12s") {
				t.Errorf("the plan says %s", text)
			}
			swapped, err := cutover.ApplySwap(t.Context(), p, w.rec, opts)
			if err != nil {
				t.Fatal(err)
			}
			settle, err := cutover.PlanSettle(t.Context(), cutover.SettleOptions{Options: opts.Options, App: "shop", Moved: swapped.Names})
			if err != nil || !contains(settle.Changes[0].Why, "14:05:02 + 1h0m0s TTL that somebody had set after the stage ttl (seen 2026-11-21 14:05:02 UTC) + 2s margin = 15:05:04") {
				t.Errorf("settle = %+v, %v", settle.Changes, err)
			}
			back, err := cutover.PlanSettle(t.Context(), cutover.SettleOptions{Options: opts.Options, App: "shop", Moved: swapped.Names, Returned: true})
			if err != nil || !contains(back.Changes[0].Why, "14:05:02 + 10s TTL + 2s margin = 14:05:14") {
				t.Errorf("what was seen led to blue, and the way back waits for it: %+v, %v", back.Changes, err)
			}
			length, _, err := cutover.TurnTime(opts.Options, []string{"shop"}, opts.Held, 0)
			opts.Raised = nil
			short, _, serr := cutover.TurnTime(opts.Options, []string{"shop"}, opts.Held, 0)
			if err != nil || serr != nil || length-short != 3590*time.Second {
				t.Errorf("a turn takes %s, and %s without it: %v, %v", length, short, err, serr)
			}
		})
	}
}

// ledToGreen are the names that lead to green as they stand.
func ledToGreen(t *testing.T, opts cutover.NamesOptions) []string {
	t.Helper()
	at, err := cutover.NamesAtGreen(t.Context(), opts)
	if err != nil {
		t.Error(err)
	}
	var names []string
	for _, n := range at {
		names = append(names, n.Name+" "+n.Leads)
	}
	return names
}

// What the zone shows counts, whoever moved the name: it is looked for where a journal tells of no swap.
func TestI07_ANameThatLeadsToGreenIsSeen(t *testing.T) {
	w := newWorld(t)
	look := cutover.NamesOptions{Options: w.opts, Apps: []string{"shop"}, Held: w.lowered(t).Names}
	for target, want := range map[string]int{"blue.lb.test.": 0, "elsewhere.test.": 0, "green.lb.test.": 1} {
		w.put(t, cname(shopName, 10, target))
		if at := ledToGreen(t, look); len(at) != want || want > 0 && !contains(at[0], "green.lb.test.") {
			t.Errorf("at %s: %v", target, at)
		}
	}
	// A zone that does not answer hides nothing that another one shows.
	w.put(t, cname(shopName, 10, "green.lb.test."))
	look.Applications = append(slices.Clone(look.Applications), look.Applications[0])
	look.Applications[1].Name = "lost"
	look.Applications[1].Hostnames = slices.Clone(look.Applications[1].Hostnames)
	look.Applications[1].Hostnames[0].Name = "lost.nowhere.test."
	look.Apps = []string{"lost", "shop"}
	if at, err := cutover.NamesAtGreen(t.Context(), look); err == nil || !contains(err.Error(), "lost.nowhere.test.") || len(at) != 1 {
		t.Errorf("beside one that cannot be read: %v, %v", at, err)
	}
}

// A fence of this migration shows that a run of it began, whatever a journal knows; another's shows nothing of it.
func TestI08_AFenceOfThisMigrationThatStandsIsSeen(t *testing.T) {
	w := newWorld(t)
	look := cutover.NamesOptions{Options: w.opts, Apps: []string{"shop"}}
	standing := func(want int) {
		t.Helper()
		found, err := cutover.StandingFences(t.Context(), look)
		if err != nil || len(found) != want {
			t.Fatalf("%+v, %v", found, err)
		}
		if want > 0 && (found[0].Name != shopName || !contains(found[0].Holds, "the TXT record _crossfade-shop.apps.test. holds crossfade/move/") || !contains(found[0].Mend, "the fence keeps it (CNAME=300)")) {
			t.Errorf("%+v", found)
		}
	}
	standing(0)
	fence := w.lowered(t).Names[0].Fence.Name
	standing(1)
	w.put(t, zone.RRset{Name: fence, Type: "TXT", TTL: 60, Data: []string{`"crossfade/another/0f1e"`}})
	standing(0)
}

// Going back needs the fence: that it was deleted must be known before somebody has to go back in a hurry.
func TestI07_AFenceThatIsLostWhileGreenServesIsWarnedOf(t *testing.T) {
	w := newWorld(t)
	held := w.lowered(t).Names
	look := cutover.NamesOptions{Options: w.opts, Apps: []string{"shop"}, Held: held}
	warned := func(since ...zone.Fence) string {
		t.Helper()
		p := plan.New("move", "fence")
		if err := cutover.LostFences(t.Context(), p, look, since); err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, n := range p.Notes {
			text += string(n.Level) + " " + n.What + " " + n.Text
		}
		return text
	}
	if text := warned(); text != "" {
		t.Errorf("while it stands: %s", text)
	}
	fence := held[0].Fence
	next := zone.Fence{Name: fence.Name, Token: "crossfade/move/newer"}
	if err := w.zone.Claim(t.Context(), shopName, next, fence.Token); err != nil {
		t.Fatal(err)
	}
	if text := warned(next); text != "" {
		t.Errorf("under the fence of a return: %s", text)
	}
	if text := warned(); !contains(text, "warning shop.apps.test. another writer holds its fence: crossfade/move/newer") {
		t.Errorf("while another holds it: %q", text)
	}
	if err := w.zone.Release(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if text := warned(); !contains(text, "its fence "+fence.Name+" is gone") || !contains(text, "put the TXT record "+fence.Name+" back with the text "+fence.Token) {
		t.Errorf("once it is gone: %q", text)
	}
	look.Apps = nil
	if text := warned(); text != "" {
		t.Errorf("of an application that was not asked for: %s", text)
	}
}
