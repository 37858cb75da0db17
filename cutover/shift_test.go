package cutover_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/clouddns"
	"github.com/crossfade-project/crossfade/cutover/zone/clouddns/clouddnsfake"
	"github.com/crossfade-project/crossfade/cutover/zone/route53"
	"github.com/crossfade-project/crossfade/cutover/zone/route53/route53fake"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// weighWorld is a world whose zone answers by weight, at the project's fake of Route 53.
func weighWorld(t *testing.T, fault func(op string, n int) route53fake.Fault) (*world, *route53fake.Server) {
	t.Helper()
	w := newWorld(t)
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	fake := route53fake.New(route53fake.Options{Spread: 10 * time.Second, Clock: w.clock, Fault: fault})
	fake.AddZone("Z1", "apps.test.", false)
	ttl := int64(300)
	fake.Put("Z1", route53fake.RecordSet{Name: shopName, Type: "CNAME", TTL: &ttl, Records: route53fake.Records("blue.lb.test.")})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	driver, err := route53.New(t.Context(), route53.Options{
		Apex: "apps.test.", Endpoint: server.URL, Credentials: route53.Credentials{AccessKey: "AKID", SecretKey: "s"}, Clock: w.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.weighed(driver, func(name, typ string) dnsx.RRset {
		set, ok := fake.Served("Z1", name, typ)
		if !ok {
			return dnsx.RRset{Name: name, Type: typ}
		}
		return dnsx.RRset{Name: name, Type: typ, TTL: uint32(*set.TTL), Data: set.Values()}
	})
	return w, fake
}

// weighed gives the world's application a shift, in a zone that answers by weight.
func (w *world) weighed(driver zone.Zone, served func(name, typ string) dnsx.RRset) {
	w.opts.Zones[0].Driver = driver
	w.names.served = served
	app := &w.opts.Applications[0]
	app.Writes = migration.WritesNone
	app.Shift = &migration.Shift{By: migration.ShiftByDNS, Steps: []int{5, 25, 50}, For: migration.Duration(time.Minute)}
}

func (w *world) shiftOptions(held cutover.TTLResult, from, to int) cutover.ShiftOptions {
	return cutover.ShiftOptions{Options: w.opts, App: "shop", Held: held.Of("shop"), From: from, To: to}
}

// step plans and applies one step.
func (w *world) step(t *testing.T, held cutover.TTLResult, from, to int) (*plan.Plan, cutover.ShiftResult, error) {
	t.Helper()
	opts := w.shiftOptions(held, from, to)
	p, err := cutover.PlanShift(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	result, err := cutover.ApplyShift(t.Context(), p, w.rec, opts)
	return p, result, err
}

// Who looks while the provider splits a name's answers is told so, and not to correct a zone or a key. Where no shift of the migration
// has split it, it is somebody else's doing.
func TestC21_ANameThatIsSplitIsNoBrokenName(t *testing.T) {
	w, _ := weighWorld(t, nil)
	held := w.lowered(t)
	look := cutover.NamesOptions{Options: w.opts, Apps: []string{"shop"}, Held: held.Names}
	if at := ledToGreen(t, look); len(at) > 0 {
		t.Errorf("before the split, to green lead %v", at)
	}
	if _, _, err := w.step(t, held, 0, 5); err != nil {
		t.Fatal(err)
	}
	if at := ledToGreen(t, look); len(at) != 1 || !contains(at[0], "in 5 of 100 answers") {
		t.Errorf("while it is split, to green lead %v", at)
	}
	found, err := cutover.Inspect(t.Context(), cutover.InspectOptions{Options: w.opts, WithoutGreen: true, Moving: []string{"shop"}})
	if err != nil || len(found.Refusals) > 0 || len(found.Notes) != 1 || !contains(found.Notes[0].Text, "a shift of this migration splits its answers between blue and green by weight") {
		t.Errorf("found = %+v, %v", found, err)
	}
	found, err = cutover.Inspect(t.Context(), cutover.InspectOptions{Options: w.opts, WithoutGreen: true})
	if err != nil || len(found.Refusals) == 0 {
		t.Errorf("without a shift on record: %+v, %v", found, err)
	}
}

// wholeShift goes up in steps, measured each time, moves the name as a whole, and takes it back.
func wholeShift(t *testing.T, w *world, sets func() int) {
	t.Helper()
	held := w.lowered(t)
	from := 0
	for _, to := range w.opts.Applications[0].Shift.Steps {
		_, result, err := w.step(t, held, from, to)
		if err != nil {
			t.Fatalf("step to %d: %v", to, err)
		}
		if len(result.Measured) != 1 {
			t.Fatalf("step to %d was measured %d times", to, len(result.Measured))
		}
		m := result.Measured[0]
		if off := m.Percent - float64(to); off > m.Points || off < -m.Points || m.Blue+m.Green < 200 || len(m.Servers) != 3 || m.Low > m.Percent || m.High < m.Percent {
			t.Errorf("step to %d: measured %s, by server %+v", to, m, m.Servers)
		}
		if result.Rounds.Passed < 6 || result.Wait.For != time.Minute {
			t.Errorf("step to %d was watched by %+v, %+v", to, result.Rounds, result.Wait)
		}
		from = to
	}
	opts := w.swapOptions(held)
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(fmt.Sprint(p.Notes), "50 of 100 answers lead to green now") {
		t.Errorf("the swap's plan says nothing of the split: %v", p.Notes)
	}
	swapped, err := cutover.ApplySwap(t.Context(), p, w.rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	if m := swapped.Names[0]; !m.Result.Applied || m.Result.Attempts != 1 {
		t.Errorf("the swap out of the split: %+v", m.Result)
	}
	if got := w.names.served(shopName, "CNAME"); len(got.Data) != 1 || got.Data[0] != "green.lb.test." || sets() != 4 {
		t.Errorf("after the swap the servers show %+v, and the zone has %d sets", got, sets())
	}
	w.tookBack(t, p)
}

// tookBack takes what a plan has moved back, and looks that blue alone is there.
func (w *world) tookBack(t *testing.T, p *plan.Plan) {
	t.Helper()
	back := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: p}
	if led, err := cutover.LeadsToGreen(t.Context(), back); err != nil || len(led) != 1 {
		t.Errorf("before the return, to green lead %v, %v", led, err)
	}
	rp, err := cutover.PlanReturn(t.Context(), back)
	if err != nil {
		t.Fatal(err)
	}
	if err := rp.Err(); err != nil {
		t.Fatal(err)
	}
	returned, err := cutover.ApplyReturn(t.Context(), rp, w.rec, back)
	if err != nil {
		t.Fatal(err)
	}
	if len(returned.Names) != 1 || returned.Names[0].Seen.At.IsZero() {
		t.Errorf("the return says %+v", returned)
	}
	for range 50 {
		if got := w.names.served(shopName, "CNAME"); len(got.Data) != 1 || got.Data[0] != "blue.lb.test." {
			t.Fatalf("after the return the servers show %+v", got)
		}
	}
	if led, err := cutover.LeadsToGreen(t.Context(), back); err != nil || len(led) != 0 {
		t.Errorf("after the return, to green lead %v, %v", led, err)
	}
}

// TestC21_AWholeShiftAtRoute53: steps, swap and return at the project's fake, whose servers answer by weight.
func TestC21_AWholeShiftAtRoute53(t *testing.T) {
	w, fake := weighWorld(t, nil)
	wholeShift(t, w, func() int { return len(fake.Sets("Z1")) })
}

// TestC21_AWholeShiftAtCloudDNS is the same at the fake of Cloud DNS.
func TestC21_AWholeShiftAtCloudDNS(t *testing.T) {
	w := newWorld(t)
	fake := clouddnsfake.New(clouddnsfake.Options{Project: "p", Spread: 10 * time.Second, Clock: w.clock})
	fake.AddZone("apps", "apps.test.")
	ttl := int64(300)
	fake.Put("apps", clouddnsfake.RecordSet{Name: shopName, Type: "CNAME", TTL: &ttl, Rrdatas: []string{"blue.lb.test."}})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	driver, err := clouddns.New(t.Context(), clouddns.Options{
		Apex: "apps.test.", Project: "p", ManagedZone: "apps", Endpoint: server.URL, Credentials: clouddns.Credentials{Anonymous: true}, Clock: w.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.weighed(driver, func(name, typ string) dnsx.RRset {
		set, ok := fake.Served("apps", name, typ)
		if !ok {
			return dnsx.RRset{Name: name, Type: typ}
		}
		return dnsx.RRset{Name: name, Type: typ, TTL: uint32(*set.TTL), Data: set.Rrdatas}
	})
	wholeShift(t, w, func() int { return len(fake.Sets("apps")) })
}

// TestC21_AShareThatIsNotSeenDoesNotPass: servers that answer with another share than asked for, too few answers, and one server that
// lags behind the others are inconclusive, after several tries.
func TestC21_AShareThatIsNotSeenDoesNotPass(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(w *world)
		want  string
	}{
		"another share": {func(w *world) {
			w.names.served = func(name, typ string) dnsx.RRset { return oneIn(w, 30, name, typ) }
		}, "are allowed"},
		"none at all": {func(w *world) {
			w.names.served = func(name, typ string) dnsx.RRset { return oneIn(w, 1<<30, name, typ) }
		}, "0.0%"},
		"silence": {func(w *world) {
			w.names.askFails = func(addr string) bool { return addr == server(2).String() }
		}, "gave 0 answers"},
		"no authority": {func(w *world) {
			w.names.lame = func(addr string) bool { return addr == server(2).String() }
		}, "gave 0 answers"},
		"one server lags": {func(w *world) {
			w.names.askBlue = func(addr string) bool { return addr == server(3).String() }
		}, "than the others"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := weighWorld(t, nil)
			// So wide that the pooled share still fits when one server of three gives none: its own shows it.
			w.opts.Applications[0].Shift = &migration.Shift{By: "dns", Steps: []int{40}, For: migration.Duration(time.Minute), Tolerance: 20}
			held := w.lowered(t)
			test.spoil(w)
			p, _, err := w.step(t, held, 0, 40)
			if !errors.Is(err, cutover.ErrInconclusive) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "measured 4 times") {
				t.Fatalf("got %v, want it inconclusive with %q", err, test.want)
			}
			if p == nil {
				t.Fatal("no plan")
			}
		})
	}
}

// oneIn answers like a zone that leads one of n to green.
func oneIn(w *world, n int, name, typ string) dnsx.RRset {
	if typ != "CNAME" || name != shopName {
		return dnsx.RRset{Name: name, Type: typ}
	}
	w.names.drawn++
	target := "blue.lb.test."
	if w.names.drawn%n == 0 {
		target = "green.lb.test."
	}
	return dnsx.RRset{Name: name, Type: typ, TTL: 10, Data: []string{target}}
}

// TestC21_SomebodyElsesAnswerEndsTheShift: what is neither side's is no noise.
func TestC21_SomebodyElsesAnswerEndsTheShift(t *testing.T) {
	w, _ := weighWorld(t, nil)
	held := w.lowered(t)
	served, n := w.names.served, 0
	w.names.served = func(name, typ string) dnsx.RRset {
		set := served(name, typ)
		if n++; n == 100 && typ == "CNAME" && name == shopName {
			set.Data = []string{"third.lb.test."}
		}
		return set
	}
	if _, _, err := w.step(t, held, 0, 5); !errors.Is(err, zone.ErrMoved) || !strings.Contains(err.Error(), "neither side's") {
		t.Fatalf("got %v", err)
	}
}

// TestC21_ABreachAtAStepGoesBack: green fails while a quarter of the traffic goes there. The step ends at once, and the return takes the
// name from the split to blue alone, under a new fence.
func TestC21_ABreachAtAStepGoesBack(t *testing.T) {
	w, fake := weighWorld(t, nil)
	held := w.lowered(t)
	if _, _, err := w.step(t, held, 0, 5); err != nil {
		t.Fatal(err)
	}
	began := w.clock.Now()
	opts := w.shiftOptions(held, 5, 25)
	p, err := cutover.PlanShift(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	served := w.names.served
	w.names.served = func(name, typ string) dnsx.RRset {
		if len(fake.Batches()) >= 4 { // the fence, the TTL, 5, 25
			w.green.status.Store(http.StatusInternalServerError)
		}
		return served(name, typ)
	}
	_, err = cutover.ApplyShift(t.Context(), p, w.rec, opts)
	if !errors.Is(err, cutover.ErrBreach) {
		t.Fatalf("got %v, want a breach", err)
	}
	if took := w.clock.Now().Sub(began); took > time.Minute {
		t.Errorf("the breach was acted on after %s", took)
	}
	w.names.served = served
	w.tookBack(t, p)
	if sets := fake.Sets("Z1"); len(sets) != 4 {
		t.Errorf("the zone is left with %+v", sets)
	}
}

// TestC21_AStepIsTakenAgainAfterAKill: the change was made and its outcome not recorded; the same plan goes on, and so does a new one.
func TestC21_AStepIsTakenAgainAfterAKill(t *testing.T) {
	w, fake := weighWorld(t, nil)
	held := w.lowered(t)
	opts := w.shiftOptions(held, 0, 25)
	p, err := cutover.PlanShift(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplyShift(t.Context(), p, w.rec, opts); err != nil {
		t.Fatal(err)
	}
	batches := len(fake.Batches())
	w.rec = &plan.MemoryRecorder{}
	result, err := cutover.ApplyShift(t.Context(), p, w.rec, opts)
	if err != nil || result.Names[0].Result.Applied {
		t.Errorf("again it gives %+v, %v", result.Names, err)
	}
	w.rec = &plan.MemoryRecorder{}
	if _, _, err := w.step(t, held, 0, 25); err != nil {
		t.Errorf("planned anew: %v", err)
	}
	if n := len(fake.Batches()); n != batches {
		t.Errorf("%d more batches were sent", n-batches)
	}
	// Who believes in another share is refused.
	p, err = cutover.PlanShift(t.Context(), w.shiftOptions(held, 5, 50))
	if err != nil || !refusedFor(p, "25 of 100 answers lead to green, and 5 should") {
		t.Errorf("got %+v, %v", p.Refusals, err)
	}
}

// TestC21_WeightsOnlyWhereTheProviderHasThem: every other zone refuses a shift by DNS in the plan of the whole, with what to do instead.
func TestC21_WeightsOnlyWhereTheProviderHasThem(t *testing.T) {
	w := newWorld(t)
	w.opts.Applications[0].Shift = &migration.Shift{By: "dns", Steps: []int{10}}
	found, err := cutover.Inspect(t.Context(), cutover.InspectOptions{Options: w.opts})
	if err != nil {
		t.Fatal(err)
	}
	if p := (&plan.Plan{Refusals: found.Refusals}); !refusedFor(p, "cannot answer by weight: only Route 53 and Cloud DNS can") || !refusedFor(p, "in one change") {
		t.Errorf("refusals = %+v", found.Refusals)
	}
	// Where it has them, a plan says what the split means for who writes, with the sum.
	w, _ = weighWorld(t, nil)
	w.opts.Applications[0].Writes = migration.WritesFreeze
	found, err = cutover.Inspect(t.Context(), cutover.InspectOptions{Options: w.opts})
	if err != nil || len(found.Refusals) > 0 {
		t.Fatalf("%v, %+v", err, found.Refusals)
	}
	if text := fmt.Sprint(found.Notes); !strings.Contains(text, "3 x (2m0s propagation + 1m0s watched) = 9m0s") {
		t.Errorf("notes = %s", text)
	}
	length, text, err := cutover.TurnTime(w.opts, []string{"shop"}, nil, 0)
	if err != nil || !strings.Contains(text, "9m0s shift of shop in 3 steps") || length < 9*time.Minute {
		t.Errorf("the turn takes %s: %s, %v", length, text, err)
	}
}

// TestC21_AStepWhosePlanIsOldIsRefused: the name has another share by now than the plan was made for, and than it is to leave.
func TestC21_AStepWhosePlanIsOldIsRefused(t *testing.T) {
	w, _ := weighWorld(t, nil)
	held := w.lowered(t)
	old, _, err := w.step(t, held, 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.step(t, held, 5, 25); err != nil {
		t.Fatal(err)
	}
	var moved *plan.MovedError
	_, err = cutover.ApplyShift(t.Context(), old, &plan.MemoryRecorder{}, w.shiftOptions(held, 0, 5))
	if !errors.As(err, &moved) || !strings.Contains(moved.What, "share of green at "+shopName) || moved.Was != "0 of 100" {
		t.Errorf("err = %v", err)
	}
}
