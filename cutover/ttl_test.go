package cutover_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func TestTTLIsLoweredWithTheTargetUnchangedAndFenced(t *testing.T) {
	w := newWorld(t)
	held := w.lowered(t)
	if got := w.lookup(t, "CNAME"); got.TTL != 10 || got.Data[0] != "blue.lb.test." {
		t.Errorf("record = %+v, want blue with TTL 10", got)
	}
	h := held.Names[0]
	fence, err := w.zone.Lookup(t.Context(), h.Fence.Name, "TXT")
	if err != nil || !contains(fence.Data[0], h.Fence.Token) {
		t.Errorf("fence = %+v, %v, want the token %s", fence, err, h.Fence.Token)
	}
	if held.OldTTL() != 300*time.Second {
		t.Errorf("old TTL = %s", held.OldTTL())
	}
}

// The old TTL of 300 s and the margin of 2 s count from when the last server shows the lowered one, not from when it was
// sent, and the arithmetic is shown.
func TestC26_OldTTLCountsFromTheLastServer(t *testing.T) {
	w := newWorld(t)
	w.names.late[server(3)] = []dnsx.RRset{dnsx.RRset(cname(shopName, 300, "blue.lb.test."))}
	began := w.clock.Now()
	var shown time.Time
	w.names.before = func() {
		if now := w.clock.Now(); shown.IsZero() && now.Sub(began) >= 5*time.Second {
			delete(w.names.late, server(3))
			shown = now
		}
	}
	held := w.lowered(t).Names[0]
	if !held.Lowered.At.Equal(shown) || shown.Sub(began) >= 6*time.Second {
		t.Fatalf("last server showed it after %s, and it counts from after %s", shown.Sub(began), held.Lowered.At.Sub(began))
	}
	if want := held.Lowered.At.Add(302 * time.Second); !held.Waited.Until.Equal(want) || w.clock.Now().Before(want) {
		t.Errorf("waited until %s, and it is %s; want %s", held.Waited.Until, w.clock.Now(), want)
	}
	if want := "14:00:05 + 5m0s old TTL + 2s margin = 14:05:07"; held.Waited.Text != want {
		t.Errorf("arithmetic = %q, want %q", held.Waited.Text, want)
	}
}

func TestC26_ResumedWaitDoesNotStartAgain(t *testing.T) {
	w := newWorld(t)
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	stopped := errors.New("power cut")
	_, err = cutover.ApplyTTL(t.Context(), p, stopBefore{w.rec, "/wait/", stopped}, w.opts)
	if !errors.Is(err, stopped) {
		t.Fatalf("err = %v, want the power cut", err)
	}
	if err := w.clock.Sleep(t.Context(), 200*time.Second); err != nil {
		t.Fatal(err)
	}
	resumed := w.clock.Now()
	if _, err := cutover.ApplyTTL(t.Context(), p, w.rec, w.opts); err != nil {
		t.Fatal(err)
	}
	if waited := w.clock.Now().Sub(resumed); waited != 102*time.Second {
		t.Errorf("the resumed run waited %s, want the 102s that were left of 302s", waited)
	}
}

// stopBefore is a recorder that fails before a change begins, as a run that is killed there.
type stopBefore struct {
	plan.Recorder
	part string
	err  error
}

func (s stopBefore) Intend(stage string, changes ...plan.Change) error {
	for _, c := range changes {
		if contains(c.ID, s.part) {
			return s.err
		}
	}
	return s.Recorder.Intend(stage, changes...)
}

func TestTTLPlanRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*testing.T, *world)
		want   string
	}{
		"another migration holds the fence": {func(t *testing.T, w *world) {
			fence, err := zone.FenceName(shopName, "apps.test.")
			if err != nil {
				t.Fatal(err)
			}
			if err := w.zone.Claim(t.Context(), shopName, zone.Fence{Name: fence, Token: "crossfade/other/1"}, ""); err != nil {
				t.Fatal(err)
			}
		}, "another writer holds its fence"},
		"the name leads elsewhere": {func(t *testing.T, w *world) {
			if err := w.zone.Put(cname(shopName, 300, "elsewhere.test.")); err != nil {
				t.Fatal(err)
			}
		}, "only names that lead to blue are moved"},
		"both sides answer at one address": {func(_ *testing.T, w *world) {
			w.names.addresses["green.lb.test."] = w.blue.addr.Addr().String()
		}, "DNS carries no port"},
		"green has only an address": {func(_ *testing.T, w *world) {
			w.opts.Applications[0].Hostnames[0].Green = &migration.Entry{Address: w.green.addr.Addr().String()}
		}, "needs an A record of its own"},
		"green's target has no address": {func(_ *testing.T, w *world) { delete(w.names.addresses, "green.lb.test.") },
			"no address of green.lb.test. is known"},
		"an apex, and green has only a name": {func(t *testing.T, w *world) {
			apex := zone.RRset{Name: "apps.test.", Type: "A", TTL: 60, Data: []string{w.blue.addr.Addr().String()}}
			if err := w.zone.Put(apex); err != nil {
				t.Fatal(err)
			}
			w.opts.Applications[0].Hostnames[0].Name = "apps.test."
			delete(w.names.addresses, "green.lb.test.")
		}, "name green's address for the hostname as well"},
		"no zone holds the name": {func(_ *testing.T, w *world) {
			w.opts.Applications[0].Hostnames[0].Name = "shop.notapps.test."
		}, "no zone of the file holds"},
		"no record": {func(_ *testing.T, w *world) {
			w.opts.Applications[0].Hostnames[0].Name = "missing.apps.test."
		}, "neither a CNAME nor an address"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(t, w)
			p, err := cutover.PlanTTL(t.Context(), w.opts)
			if err != nil {
				t.Fatal(err)
			}
			if !refusedFor(p, tt.want) {
				t.Errorf("refusals = %+v, want %q", p.Refusals, tt.want)
			}
			var refused *plan.RefusedError
			if _, err := cutover.ApplyTTL(t.Context(), p, w.rec, w.opts); !errors.As(err, &refused) {
				t.Errorf("ApplyTTL of a refused plan: %v", err)
			}
		})
	}
}

// A shared fence of a lost run is taken over only when that is said.
func TestFenceOfALostRunIsTakenOverOnlyWhenSaid(t *testing.T) {
	w := newWorld(t)
	w.lowered(t)
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	if !refusedFor(p, "another writer holds its fence") {
		t.Fatalf("refusals = %+v", p.Refusals)
	}
	w.opts.TakeOver = true
	w.rec = &plan.MemoryRecorder{}
	w.lowered(t)
}

func TestRestoreTTLGivesTheOldTTLBackAndReleasesTheFence(t *testing.T) {
	w := newWorld(t)
	held := w.lowered(t)
	opts := cutover.RestoreOptions{Options: w.opts, Held: held.Names}
	p, err := cutover.PlanRestoreTTL(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := cutover.ApplyRestoreTTL(t.Context(), p, w.rec, opts); err != nil {
		t.Fatal(err)
	}
	if got := w.lookup(t, "CNAME"); got.TTL != 300 {
		t.Errorf("record = %+v, want TTL 300", got)
	}
	if _, err := w.zone.Lookup(t.Context(), held.Names[0].Fence.Name, "TXT"); !errors.Is(err, zone.ErrNotExist) {
		t.Errorf("the fence is still there: %v", err)
	}
}

// TestI03_AnothersRecordsKeepTheirTTL: records that neither the TTL stage nor a swap has left are somebody else's. They stay, the plan and its
// result say so, and the fence goes. What a swap has moved gets its TTL back at green.
func TestI03_AnothersRecordsKeepTheirTTL(t *testing.T) {
	for name, tt := range map[string]struct {
		swap, told bool // told of the swap that there was
		put        string
		ttl        uint32
		left       int
	}{
		"as the stage left them":  {ttl: 300},
		"another's":               {put: "elsewhere.test.", ttl: 3, left: 1},
		"moved by the swap":       {swap: true, told: true, ttl: 300},
		"another's since":         {swap: true, told: true, put: "elsewhere.test.", ttl: 3, left: 1},
		"green's, without a swap": {swap: true, ttl: 10, left: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			held := w.lowered(t)
			opts := cutover.RestoreOptions{Options: w.opts, Held: held.Names}
			if tt.swap {
				o := w.swapOptions(held)
				p, err := cutover.PlanSwap(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				swapped, err := cutover.ApplySwap(t.Context(), p, w.rec, o)
				if err != nil {
					t.Fatal(err)
				}
				if tt.told {
					opts.Moved = swapped.Names
				}
			}
			if tt.put != "" {
				w.put(t, cname(shopName, tt.ttl, tt.put))
			}
			before := w.lookup(t, "CNAME").Data
			p, err := cutover.PlanRestoreTTL(t.Context(), opts)
			if err != nil || len(p.Refusals) > 0 {
				t.Fatalf("%+v, %v", p, err)
			}
			result, err := cutover.RestoreResultOf(p)
			if err != nil || len(result.Left) != tt.left || noted(p, "this migration has not put that there") != (tt.left > 0) {
				t.Errorf("left = %+v, notes = %+v, %v", result.Left, p.Notes, err)
			}
			if err := cutover.ApplyRestoreTTL(t.Context(), p, w.rec, opts); err != nil {
				t.Fatal(err)
			}
			if got := w.lookup(t, "CNAME"); got.TTL != tt.ttl || !slices.Equal(got.Data, before) {
				t.Errorf("record = %+v, want %v with the TTL %d", got, before, tt.ttl)
			}
			if _, err := w.zone.Lookup(t.Context(), held.Names[0].Fence.Name, "TXT"); !errors.Is(err, zone.ErrNotExist) {
				t.Errorf("the fence is still there: %v", err)
			}
		})
	}
}

// TestC12_AWildcardsTextIsNobodysFence: a zone where a wildcard answers TXT for every name is fenced, goes there and back, and gets its TTLs
// back, also a second time.
func TestC12_AWildcardsTextIsNobodysFence(t *testing.T) {
	w := newWorld(t)
	w.put(t, zone.RRset{Name: "*.apps.test.", Type: "TXT", TTL: 60, Data: []string{`"v=spf1 -all"`, `"anything"`}})
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil || len(p.Refusals) > 0 {
		t.Fatalf("refusals = %+v, %v", p.Refusals, err)
	}
	held, err := cutover.ApplyTTL(t.Context(), p, w.rec, w.opts)
	if err != nil {
		t.Fatal(err)
	}
	opts := cutover.RestoreOptions{Options: w.opts, Held: held.Names}
	for round := range 2 {
		if p, err = cutover.PlanRestoreTTL(t.Context(), opts); err != nil || len(p.Refusals) > 0 {
			t.Fatalf("round %d: refusals = %+v, %v", round, p.Refusals, err)
		}
		if err := cutover.ApplyRestoreTTL(t.Context(), p, w.rec, opts); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.lookup(t, "CNAME"); got.TTL != 300 {
		t.Errorf("record = %+v, want TTL 300", got)
	}
	// What is no wildcard's is somebody's.
	w.put(t, zone.RRset{Name: held.Names[0].Fence.Name, Type: "TXT", TTL: 60, Data: []string{`"of another tool"`}})
	if p, err = cutover.PlanTTL(t.Context(), w.opts); err != nil || !refusedFor(p, "another writer holds its fence: of another tool") {
		t.Errorf("refusals = %+v, %v", p.Refusals, err)
	}
}

// A run that does not wait says until when, changes nothing more, and leaves no failure; days later another one has nothing to wait for.
func TestC26_ARunThatDoesNotWaitIsGoneOnWithLater(t *testing.T) {
	w := newWorld(t)
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	var told []cutover.Wait
	opts := w.opts
	opts.NoWait, opts.Waits = true, func(waits []cutover.Wait) error { told = waits; return nil }
	failures := &failing{Recorder: w.rec}
	for range 2 { // a cron job comes again
		began := w.clock.Now()
		_, err = cutover.ApplyTTL(t.Context(), p, failures, opts)
		var pause *cutover.PausedError
		if !errors.As(err, &pause) || !errors.Is(err, plan.ErrPaused) || w.clock.Now() != began {
			t.Fatalf("err = %v, want a pause at once", err)
		}
		if len(told) != 1 || pause.Waits[0].Text != "14:00:00 + 5m0s old TTL + 2s margin = 14:05:02" || told[0] != pause.Waits[0] {
			t.Errorf("it waits for %+v, and told %+v", pause.Waits, told)
		}
	}
	if got := w.lookup(t, "CNAME"); got.TTL != 10 || failures.count > 0 {
		t.Errorf("record = %+v, %d failures", got, failures.count)
	}
	if err := w.clock.Sleep(t.Context(), 48*time.Hour); err != nil {
		t.Fatal(err)
	}
	slept := len(w.clock.Slept())
	if _, err := cutover.ApplyTTL(t.Context(), p, failures, opts); err != nil || len(w.clock.Slept()) != slept {
		t.Errorf("two days later: %v", err)
	}
}

// failing counts failures that are recorded.
type failing struct {
	plan.Recorder
	count int
}

func (f *failing) Fail(stage, id string, cause error) error {
	f.count++
	return f.Recorder.Fail(stage, id, cause)
}

// again plans the TTL stage once more, as a run does whose plan was forgotten, and applies it.
func (w *world) again(t *testing.T, forgotten *plan.Plan) cutover.TTLResult {
	t.Helper()
	var err error
	if w.opts.Before, err = cutover.BeforeOf(forgotten); err != nil {
		t.Fatal(err)
	}
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil || len(p.Refusals) > 0 {
		t.Fatalf("refusals = %+v, %v", p.Refusals, err)
	}
	w.rec = &plan.MemoryRecorder{}
	held, err := cutover.ApplyTTL(t.Context(), p, w.rec, w.opts)
	if err != nil {
		t.Fatal(err)
	}
	if w.opts.Before, err = cutover.BeforeOf(forgotten, p); err != nil {
		t.Fatal(err)
	}
	return held
}

// A plan that is forgotten, because another name had moved, has lowered names before: their fences are ours, the old TTLs are waited out
// once more, and they come back at the end. What its owner has set since counts as it is.
func TestATTLThatAForgottenPlanLoweredIsKnown(t *testing.T) {
	for name, tt := range map[string]struct {
		stop  string // where the forgotten plan was broken off
		since func(*testing.T, *world)
		ttl   uint32 // at the end
		waits time.Duration
	}{
		"before its fence":   {stop: "/fence/", ttl: 300, waits: 302 * time.Second},
		"before it lowered":  {stop: "/lower/", ttl: 300, waits: 302 * time.Second},
		"before it waited":   {stop: "/wait/", ttl: 300, waits: 302 * time.Second},
		"set to another TTL": {stop: "/wait/", ttl: 120, waits: 122 * time.Second, since: func(t *testing.T, w *world) { w.put(t, cname(shopName, 120, "blue.lb.test.")) }},
		"set to a name that leads to blue as well": {stop: "/wait/", ttl: 300, waits: 302 * time.Second, since: func(t *testing.T, w *world) {
			w.names.addresses["also-blue.lb.test."] = w.blue.addr.Addr().String()
			w.opts.Applications[0].Hostnames[0].Blue.Target = "also-blue.lb.test."
			w.put(t, cname(shopName, 10, "also-blue.lb.test."))
		}},
		"the file's TTL is another one now": {stop: "/wait/", ttl: 300, waits: 302 * time.Second, since: func(_ *testing.T, w *world) {
			w.opts.Times.TTL = migration.Duration(5 * time.Second)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first, err := cutover.PlanTTL(t.Context(), w.opts)
			if err != nil {
				t.Fatal(err)
			}
			stopped := errors.New("another name had moved")
			if _, err := cutover.ApplyTTL(t.Context(), first, stopBefore{w.rec, tt.stop, stopped}, w.opts); !errors.Is(err, stopped) {
				t.Fatal(err)
			}
			if tt.since != nil {
				tt.since(t, w)
			}
			began := w.clock.Now()
			held := w.again(t, first)
			if waited := w.clock.Now().Sub(began); waited != tt.waits {
				t.Errorf("it waited %s, want %s", waited, tt.waits)
			}
			if got := w.lookup(t, "CNAME"); got.TTL > 10 {
				t.Errorf("record = %+v, want it lowered", got)
			}
			w.release(t, held.Names)
			if got := w.lookup(t, "CNAME"); got.TTL != tt.ttl {
				t.Errorf("record = %+v, want TTL %d", got, tt.ttl)
			}
			if _, err := w.zone.Lookup(t.Context(), held.Names[0].Fence.Name, "TXT"); !errors.Is(err, zone.ErrNotExist) {
				t.Errorf("the fence is still there: %v", err)
			}
		})
	}
}

// A rollback gives back what a forgotten plan has lowered, also where no plan came after it, and where one after it took the fence or
// was broken off before that.
func TestWhatAForgottenPlanLoweredIsGivenBack(t *testing.T) {
	for _, stop := range []string{"", "/fence/", "/lower/"} {
		w := newWorld(t)
		first, err := cutover.PlanTTL(t.Context(), w.opts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cutover.ApplyTTL(t.Context(), first, w.rec, w.opts); err != nil {
			t.Fatal(err)
		}
		plans := []*plan.Plan{first}
		if w.opts.Before, err = cutover.BeforeOf(first); err != nil {
			t.Fatal(err)
		}
		if stop != "" {
			second, err := cutover.PlanTTL(t.Context(), w.opts)
			if err != nil {
				t.Fatal(err)
			}
			stopped := errors.New("power cut")
			if _, err := cutover.ApplyTTL(t.Context(), second, stopBefore{&plan.MemoryRecorder{}, stop, stopped}, w.opts); !errors.Is(err, stopped) {
				t.Fatal(err)
			}
			plans = append(plans, second)
		}
		if w.opts.Before, err = cutover.BeforeOf(plans...); err != nil {
			t.Fatal(err)
		}
		w.release(t, w.opts.Before.Held)
		if got := w.lookup(t, "CNAME"); got.TTL != 300 {
			t.Errorf("stopped before %q: record = %+v, want TTL 300", stop, got)
		}
		if _, err := w.zone.Lookup(t.Context(), w.opts.Before.Held[0].Fence.Name, "TXT"); !errors.Is(err, zone.ErrNotExist) {
			t.Errorf("stopped before %q: the fence is still there: %v", stop, err)
		}
	}
}

// A name that has gone to green since is not lowered, and not taken for blue's.
func TestANameThatMovedUnderAForgottenPlanIsRefused(t *testing.T) {
	w := newWorld(t)
	first, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	w.swapped(t)
	if w.opts.Before, err = cutover.BeforeOf(first); err != nil {
		t.Fatal(err)
	}
	w.opts.TakeOver = true
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil || !refusedFor(p, "it leads to green already") {
		t.Errorf("refusals = %+v, %v", p.Refusals, err)
	}
}

// The doctor looks in the middle of a migration, too: a name that this migration has moved must lead to green, and one whose swap is
// under way to either side. What leads elsewhere is said.
func TestANameThatThisMigrationMovedMustLeadToGreen(t *testing.T) {
	w := newWorld(t)
	look := func(opts cutover.InspectOptions) []plan.Refusal {
		t.Helper()
		opts.Options, opts.WithoutGreen = w.opts, true
		found, err := cutover.Inspect(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		return found.Refusals
	}
	app := w.opts.Applications[0].Name
	moved, moving := cutover.InspectOptions{Moved: []string{app}}, cutover.InspectOptions{Moving: []string{app}}
	if got := look(moved); len(got) != 1 || !contains(got[0].Why, "this migration has moved it to green") || contains(got[0].Mend, "point the name at blue") {
		t.Errorf("moved, and on blue: %+v", got)
	}
	if got := look(moving); len(got) > 0 {
		t.Errorf("a swap that has not come through: %+v", got)
	}
	w.swapped(t)
	for name, opts := range map[string]cutover.InspectOptions{"moved": moved, "moving": moving} {
		if got := look(opts); len(got) > 0 {
			t.Errorf("%s, and on green: %+v", name, got)
		}
	}
	if got := look(cutover.InspectOptions{}); len(got) != 1 || !contains(got[0].Why, "it leads to green already") {
		t.Errorf("never moved, and on green: %+v", got)
	}
	for want, by := range map[int][]string{0: {app}, 1: nil} {
		picture := depicted(t, cutover.DepictOptions{Options: w.opts, NoClusters: true, Moved: by})[0]
		got := slices.DeleteFunc(picture.Refusals, func(r plan.Refusal) bool { return !contains(r.Why, "it leads to green already") })
		if len(got) != want {
			t.Errorf("the picture of one that %v moved refuses %+v", by, picture.Refusals)
		}
	}
}

// A fence keeps the TTLs that its name had, also under the tokens of returns: whoever has lost everything else finds them there.
func TestAFenceKeepsTheTTLsOfItsName(t *testing.T) {
	w := newWorld(t)
	swap, _ := w.swapped(t)
	w.returned(t, swap)
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil || !refusedFor(p, "the fence keeps it (CNAME=300)") {
		t.Fatalf("refusals = %+v, %v", p.Refusals, err)
	}
	w.opts.TakeOver, w.rec = true, &plan.MemoryRecorder{}
	held := w.lowered(t)
	if held.OldTTL() != 300*time.Second {
		t.Errorf("old TTL = %s, want 300 s", held.OldTTL())
	}
	w.release(t, held.Names)
	if got := w.lookup(t, "CNAME"); got.TTL != 300 {
		t.Errorf("record = %+v, want TTL 300", got)
	}
}

// Where another writer has taken the fence of a name that was not touched yet, there is nothing to give back, and nothing to refuse.
func TestANameThatWasNeverTouchedIsLeftToItsWriter(t *testing.T) {
	w := newWorld(t)
	first, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	before, err := cutover.BeforeOf(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.zone.Claim(t.Context(), shopName, zone.Fence{Name: before.Held[0].Fence.Name, Token: "crossfade/other/1"}, ""); err != nil {
		t.Fatal(err)
	}
	w.opts.Before = before
	if p := w.release(t, before.Held); len(p.Changes) > 0 || !noted(p, "another writer holds its fence") {
		t.Errorf("changes = %+v, notes = %+v", p.Changes, p.Notes)
	}
}
