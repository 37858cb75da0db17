package cutover_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func TestSwapMovesTheNameAndReturnGivesItBackExactly(t *testing.T) {
	w := newWorld(t)
	before := w.lookup(t, "CNAME")
	p, swapped := w.swapped(t)
	if got := w.lookup(t, "CNAME"); got.Data[0] != "green.lb.test." || got.TTL != 10 {
		t.Fatalf("record = %+v, want green with TTL 10", got)
	}
	m := swapped.Names[0]
	if !m.Result.Applied || m.Strength != zone.Atomic || m.Seen.Servers != 2 || m.Seen.Answers != 3 || !m.Views[0].Moved {
		t.Errorf("moved = %+v", m)
	}
	ropts := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: p}
	rp, err := cutover.PlanReturn(t.Context(), ropts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplyReturn(t.Context(), rp, w.rec, ropts); err != nil {
		t.Fatal(err)
	}
	if got := w.lookup(t, "CNAME"); got.Data[0] != before.Data[0] || got.TTL != 10 {
		t.Errorf("record = %+v, want blue with TTL 10", got)
	}
	if _, err := cutover.PlanReturn(t.Context(), cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: rp}); err == nil {
		t.Error("a return was returned")
	}
}

// A process that swapped, was thought dead and wakes after the return cannot move the name to green again.
func TestC07_AWriterFromBeforeTheReturnIsRefused(t *testing.T) {
	w := newWorld(t)
	p, swapped := w.swapped(t)
	ropts := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: p}
	rp, err := cutover.PlanReturn(t.Context(), ropts)
	if err != nil {
		t.Fatal(err)
	}
	returned, err := cutover.ApplyReturn(t.Context(), rp, w.rec, ropts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.zone.Swap(t.Context(), swapped.Names[0].Change)
	if !errors.Is(err, zone.ErrFenced) {
		t.Errorf("the old writer's swap gives %v, want it fenced off", err)
	}
	if got := w.lookup(t, "CNAME"); got.Data[0] != "blue.lb.test." {
		t.Errorf("record = %+v, want blue", got)
	}
	// Planned again after a kill, the return knows its own token, and nobody else's.
	if len(returned.Fences) != 1 {
		t.Fatalf("fences = %+v", returned.Fences)
	}
	again, err := cutover.PlanReturn(t.Context(), ropts)
	if err != nil || again.Err() == nil || !contains(again.Err().Error(), "another writer holds its fence") {
		t.Errorf("an unknown token passed: %v, %v", err, again.Err())
	}
	ropts.Fences = returned.Fences
	if again, err = cutover.PlanReturn(t.Context(), ropts); err != nil || again.Err() != nil {
		t.Errorf("%v, %v", err, again.Err())
	}
}

func TestC26_SwapPlanShowsStrengthAndBothWays(t *testing.T) {
	w := newWorld(t)
	p, err := cutover.PlanSwap(t.Context(), w.swapOptions(w.lowered(t)))
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, n := range p.Notes {
		text += n.Text + "\n"
	}
	for _, want := range []string{"strength: atomic", "there: every server shows it within 2m0s at most, then 10s TTL + 2s margin = 12s", "back: as long"} {
		if !contains(text, want) {
			t.Errorf("notes lack %q:\n%s", want, text)
		}
	}
	if c := p.Changes[0]; c.Reverse == nil || !contains(c.Reverse.How, "blue.lb.test.") || len(c.ReliesOn) != 4 {
		t.Errorf("change = %+v", c)
	}
}

// The records of a name that someone changed since the plan was made are left alone.
func TestSwapRefusesWhatMoved(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *world){
		"the record": func(t *testing.T, w *world) {
			if err := w.zone.Put(cname(shopName, 10, "elsewhere.test.")); err != nil {
				t.Fatal(err)
			}
		},
		"green's entry": func(_ *testing.T, w *world) { w.names.addresses["green.lb.test."] = "127.0.0.9" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			opts := w.swapOptions(w.lowered(t))
			p, err := cutover.PlanSwap(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			change(t, w)
			before := w.lookup(t, "CNAME")
			if _, err := cutover.ApplySwap(t.Context(), p, w.rec, opts); !errors.Is(err, plan.ErrMoved) {
				t.Errorf("err = %v, want ErrMoved", err)
			}
			if got := w.lookup(t, "CNAME"); got.Data[0] != before.Data[0] {
				t.Errorf("the record was changed to %+v", got)
			}
		})
	}
}

// A writer that lost the fence changes nothing any more, even though the record is as it left it.
func TestC07_StaleWriterIsFencedOff(t *testing.T) {
	w := newWorld(t)
	held := w.lowered(t)
	opts := w.swapOptions(held)
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	fence := held.Names[0].Fence
	if err := w.zone.Claim(t.Context(), shopName, zone.Fence{Name: fence.Name, Token: "crossfade/move/newer"}, fence.Token); err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplySwap(t.Context(), p, w.rec, opts); !errors.Is(err, zone.ErrFenced) {
		t.Errorf("err = %v, want ErrFenced", err)
	}
	if got := w.lookup(t, "CNAME"); got.Data[0] != "blue.lb.test." {
		t.Errorf("a stale writer moved the name: %+v", got)
	}
}

// Green is checked right before its name moves, whatever was found when the plan was made.
func TestI08_NoNameMovesWithoutPassedGates(t *testing.T) {
	for name, change := range map[string]func(*world){
		"green fails":         func(w *world) { w.green.status.Store(http.StatusBadGateway) },
		"green is gone":       func(w *world) { w.green.server.Close() },
		"blue does not say":   func(w *world) { w.blue.server.Close() },
		"a check has no side": func(w *world) { w.opts.Applications[0].Checks[0] = migration.Check{Name: "empty"} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.opts.Applications[0].Checks[0].HTTP.SameAsBlue = true
			opts := w.swapOptions(w.lowered(t))
			p, err := cutover.PlanSwap(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			change(w)
			if _, err := cutover.ApplySwap(t.Context(), p, w.rec, opts); !errors.Is(err, cutover.ErrGate) {
				t.Errorf("err = %v, want ErrGate", err)
			}
			if got := w.lookup(t, "CNAME"); got.Data[0] != "blue.lb.test." {
				t.Errorf("the name moved to %+v", got)
			}
		})
	}
}

func TestI08_ApplicationWithoutChecksIsNotSwapped(t *testing.T) {
	w := newWorld(t)
	w.opts.Applications[0].Checks = nil
	p, err := cutover.PlanSwap(t.Context(), w.swapOptions(w.lowered(t)))
	if err != nil {
		t.Fatal(err)
	}
	if !refusedFor(p, "it has no checks") {
		t.Errorf("refusals = %+v", p.Refusals)
	}
}

// One address of one server that is late, or silent, keeps a swap from being seen everywhere.
func TestC13_EveryAddressOfEveryServerMustShowIt(t *testing.T) {
	for name, change := range map[string]func(*world){
		"late": func(w *world) {
			w.names.late[server(3)] = []dnsx.RRset{dnsx.RRset(cname(shopName, 10, "blue.lb.test."))}
		},
		"silent": func(w *world) { w.names.silent[server(2)] = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			opts := w.swapOptions(w.lowered(t))
			p, err := cutover.PlanSwap(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			change(w)
			began := w.clock.Now()
			_, err = cutover.ApplySwap(t.Context(), p, w.rec, opts)
			if !errors.Is(err, dnsx.ErrNotPropagated) {
				t.Fatalf("err = %v, want ErrNotPropagated", err)
			}
			if waited := w.clock.Now().Sub(began); waited < 2*time.Minute || waited > 3*time.Minute {
				t.Errorf("gave up after %s, want the limit of 2m", waited)
			}
			// The swap is broken off half-way: what is recorded says so, and the way back is open.
			partial, err := cutover.SwapResultOf(p, w.rec)
			if err != nil || len(partial.Names) != 1 || !partial.Names[0].Seen.At.IsZero() {
				t.Errorf("recorded = %+v, %v", partial, err)
			}
			w.names.late, w.names.silent = nil, nil
			ropts := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: p}
			rp, err := cutover.PlanReturn(t.Context(), ropts)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cutover.ApplyReturn(t.Context(), rp, w.rec, ropts); err != nil {
				t.Fatal(err)
			}
			if got := w.lookup(t, "CNAME"); got.Data[0] != "blue.lb.test." {
				t.Errorf("record = %+v, want blue", got)
			}
		})
	}
}

// A swap whose outcome was never recorded is found to be made, and is not made twice.
func TestSwapKilledBeforeItsOutcomeConverges(t *testing.T) {
	w := newWorld(t)
	opts := w.swapOptions(w.lowered(t))
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	killed := errors.New("killed")
	if _, err := cutover.ApplySwap(t.Context(), p, noOutcome{w.rec, killed}, opts); !errors.Is(err, killed) {
		t.Fatal(err)
	}
	result, err := cutover.ApplySwap(t.Context(), p, w.rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	if result.Names[0].Result.Applied {
		t.Error("the second run sent the change again")
	}
	if got := w.lookup(t, "CNAME"); got.Data[0] != "green.lb.test." {
		t.Errorf("record = %+v", got)
	}
}

type noOutcome struct {
	plan.Recorder
	err error
}

func (n noOutcome) Succeed(string, string, json.RawMessage) error { return n.err }

// One wave is one application at a time: of several that are fenced together, the plan of each moves its own name alone, and before its
// soak is over no other's has moved (C23).
func TestC23_OneApplicationAtATime(t *testing.T) {
	w := newWorld(t)
	w.fill(t, 0, [4]int{1, 1, 1, 1})
	held := w.lowered(t)
	for i, app := range w.opts.Applications {
		opts := cutover.SwapOptions{Options: w.opts, App: app.Name, Held: held.Of(app.Name)}
		p, err := cutover.PlanSwap(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Changes {
			if c.App != app.Name {
				t.Errorf("the plan of %s changes %s of %s", app.Name, c.Target, c.App)
			}
		}
		swapped, err := cutover.ApplySwap(t.Context(), p, w.rec, opts)
		if err != nil {
			t.Fatal(err)
		}
		soak := cutover.SoakOptions{Options: w.opts, App: app.Name, Moved: swapped.Names}
		if p, err = cutover.PlanSoak(t.Context(), soak); err != nil {
			t.Fatal(err)
		}
		if _, err := cutover.ApplySoak(t.Context(), p, w.rec, soak); err != nil {
			t.Fatal(err)
		}
		for k, other := range w.opts.Applications {
			set := w.at(t, other.Hostnames[0].Name, "CNAME")
			if atGreen := set.Data[0] == "green.lb.test."; atGreen != (k <= i) {
				t.Errorf("after the turn of %s the name of %s holds %v", app.Name, other.Name, set.Data)
			}
		}
	}
}

// A name that holds addresses gets green's addresses, of both families, in one change.
func TestC15_AddressRecordsAreSwappedTogether(t *testing.T) {
	w := newWorld(t)
	w.opts.Applications[0].Hostnames[0].Name = "apps.test."
	w.opts.Applications[0].Hostnames[0].Blue = &migration.Entry{Address: w.blue.addr.Addr().String()}
	w.opts.Applications[0].Hostnames[0].Green = &migration.Entry{Address: w.green.addr.Addr().String()}
	err := w.zone.Put(
		zone.RRset{Name: "apps.test.", Type: "A", TTL: 300, Data: []string{w.blue.addr.Addr().String()}},
		zone.RRset{Name: "apps.test.", Type: "AAAA", TTL: 300, Data: []string{"2001:db8::1"}})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := w.swapped(t)
	a, err := w.zone.Lookup(t.Context(), "apps.test.", "A")
	if err != nil || a.Data[0] != w.green.addr.Addr().String() {
		t.Errorf("A = %+v, %v", a, err)
	}
	if _, err := w.zone.Lookup(t.Context(), "apps.test.", "AAAA"); !errors.Is(err, zone.ErrNotExist) {
		t.Errorf("blue's AAAA is still there: %v", err)
	}
	warned := false
	for _, n := range p.Notes {
		warned = warned || n.Level == plan.Warning && contains(n.Text, "AAAA")
	}
	if !warned {
		t.Errorf("notes = %+v, want a warning that AAAA is lost", p.Notes)
	}
}

// The way back takes the fence in the message that moves the name: there is no time in between, and whoever has taken the fence
// meanwhile keeps the name.
func TestC07_TheFenceChangesHandsInTheMessageThatGoesBack(t *testing.T) {
	w := newWorld(t)
	p, swapped := w.swapped(t)
	ropts := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: p}
	rp, err := cutover.PlanReturn(t.Context(), ropts)
	if err != nil {
		t.Fatal(err)
	}
	if fences := cutover.PlannedFences(rp); len(rp.Changes) != 2 || len(fences) != 1 {
		t.Fatalf("the plan has %d changes and the fences %+v, want one move, one look, and a fence in the move", len(rp.Changes), fences)
	}
	fence := swapped.Names[0].Change.Fence
	if err := w.zone.Claim(t.Context(), shopName, zone.Fence{Name: fence.Name, Token: "crossfade/move/newer"}, fence.Token); err != nil {
		t.Fatal(err)
	}
	_, err = cutover.ApplyReturn(t.Context(), rp, &plan.MemoryRecorder{}, ropts)
	if !errors.Is(err, zone.ErrFenced) || !errors.Is(err, plan.ErrMoved) || !contains(err.Error(), "fence "+fence.Name) {
		t.Errorf("err = %v, want the fence that moved", err)
	}
	if got := w.lookup(t, "CNAME"); got.Data[0] != "green.lb.test." {
		t.Errorf("record = %+v, moved without the fence", got)
	}
	if err := w.zone.Claim(t.Context(), shopName, fence, "crossfade/move/newer"); err != nil {
		t.Fatal(err)
	}
	// The message is made, and its outcome is not recorded: taken again, nothing is doubled.
	killed := errors.New("killed")
	if _, err := cutover.ApplyReturn(t.Context(), rp, noOutcome{&plan.MemoryRecorder{}, killed}, ropts); !errors.Is(err, killed) {
		t.Fatal(err)
	}
	returned, err := cutover.ApplyReturn(t.Context(), rp, &plan.MemoryRecorder{}, ropts)
	if err != nil || returned.Names[0].Result.Applied || len(returned.Fences) != 1 {
		t.Errorf("%+v, %v", returned, err)
	}
	if got := w.lookup(t, "CNAME"); got.Data[0] != "blue.lb.test." {
		t.Errorf("record = %+v, want blue", got)
	}
}
