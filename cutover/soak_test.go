package cutover_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// ticker changes the world at a time of the fake clock: it is called at every sleep.
type ticker struct {
	*world
	at   time.Time
	then func()
}

func (k *ticker) Now() time.Time { return k.clock.Now() }

func (k *ticker) Sleep(ctx context.Context, d time.Duration) error {
	if err := k.clock.Sleep(ctx, d); err != nil {
		return err
	}
	if k.then != nil && !k.clock.Now().Before(k.at) {
		k.then()
		k.then = nil
	}
	return nil
}

func (w *world) soak(t *testing.T) (cutover.SoakResult, error) {
	t.Helper()
	_, swapped := w.swapped(t)
	opts := cutover.SoakOptions{Options: w.opts, App: "shop", Moved: swapped.Names}
	p, err := cutover.PlanSoak(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return cutover.ApplySoak(t.Context(), p, w.rec, opts)
}

func TestSoakLastsTwiceTheTTLAndTheFloor(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*world)
		want   time.Duration
	}{
		"floor":         {func(*world) {}, 80 * time.Second},
		"declared":      {func(w *world) { w.opts.Times.Soak = migration.Duration(2 * time.Minute) }, 2 * time.Minute},
		"too short":     {func(w *world) { w.opts.Times.Soak = migration.Duration(time.Second) }, 80 * time.Second},
		"rehearsal":     {func(w *world) { w.opts.Rehearsal = &migration.Rehearsal{Soak: migration.Duration(5 * time.Second)} }, 25 * time.Second},
		"rehearsal but": {func(w *world) { w.opts.Rehearsal = &migration.Rehearsal{} }, 80 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(w)
			result, err := w.soak(t)
			if err != nil {
				t.Fatal(err)
			}
			if got := result.Rounds.Ended.Sub(result.Wait.From); got != tt.want || result.Wait.For != tt.want {
				t.Errorf("soaked %s of %s, want %s (%s)", got, result.Wait.For, tt.want, result.Wait.Text)
			}
		})
	}
}

// Two failing rounds in a row act at once, though the soak has long to go; one alone does not.
func TestC20_BreachActsAtOnce(t *testing.T) {
	w := newWorld(t)
	once := &ticker{world: w}
	w.opts.Clock = once
	_, swapped := w.swapped(t)
	began := w.clock.Now()
	once.at, once.then = began.Add(10*time.Second), func() { w.green.status.Store(http.StatusInternalServerError) }
	opts := cutover.SoakOptions{Options: w.opts, App: "shop", Moved: swapped.Names}
	p, err := cutover.PlanSoak(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cutover.ApplySoak(t.Context(), p, w.rec, opts)
	var breach *cutover.BreachError
	if !errors.As(err, &breach) || breach.Rounds != 2 {
		t.Fatalf("err = %v, want a breach of 2 rounds", err)
	}
	if after := w.clock.Now().Sub(began); after != 15*time.Second {
		t.Errorf("acted after %s, want 15s", after)
	}
}

// A resolver that fails while a soak begins leaves some rounds without an address, not all of them: the soak is not lost by that, and
// the names need not go back.
func TestC20_AResolverThatFailsForAWhileDoesNotEndASoak(t *testing.T) {
	w := newWorld(t)
	k := &ticker{world: w}
	w.opts.Clock = k
	_, swapped := w.swapped(t)
	address := w.names.addresses["green.lb.test."]
	delete(w.names.addresses, "green.lb.test.")
	w.names.resolve = func(string, string) (dnsx.Answer, error) { return dnsx.Answer{Rcode: "SERVFAIL"}, nil }
	k.at, k.then = w.clock.Now().Add(20*time.Second), func() {
		w.names.addresses["green.lb.test."] = address
		w.names.resolve = nil
	}
	opts := cutover.SoakOptions{Options: w.opts, App: "shop", Moved: swapped.Names}
	p, err := cutover.PlanSoak(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	result, err := cutover.ApplySoak(t.Context(), p, w.rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	if result.Rounds.Inconclusive == 0 || result.Rounds.Passed < result.Needed {
		t.Errorf("rounds = %+v, want some without an address and %d that passed", result.Rounds, result.Needed)
	}
}

// One answer that a resolver fails to give is asked for again: green has not moved because of it.
func TestEntriesOfAResolverThatFailsOnceAreWhole(t *testing.T) {
	w := newWorld(t)
	address := w.names.addresses["green.lb.test."]
	delete(w.names.addresses, "green.lb.test.")
	failures := 1
	w.names.resolve = func(name, typ string) (dnsx.Answer, error) {
		answer := dnsx.Answer{Rcode: "NOERROR"}
		switch {
		case failures > 0:
			failures--
			answer.Rcode = "SERVFAIL"
		case typ == "A":
			answer.Answer = []dnsx.Record{{Name: name, Type: typ, TTL: 60, Data: address}}
		}
		return answer, nil
	}
	entries, err := cutover.FindEntries(t.Context(), w.opts, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if green := entries[0].Green; len(green.Addresses) != 1 || green.Addresses[0].String() != address || green.Missing != "" {
		t.Errorf("green's entry is %+v", green)
	}
}

func TestC20_OneFailingRoundIsForgiven(t *testing.T) {
	w := newWorld(t)
	k := &ticker{world: w}
	w.opts.Clock = k
	k.at, k.then = w.clock.Now().Add(320*time.Second), func() { w.green.status.Store(http.StatusInternalServerError) }
	green := w.green
	_, swapped := w.swapped(t)
	opts := cutover.SoakOptions{Options: w.opts, App: "shop", Moved: swapped.Names}
	p, err := cutover.PlanSoak(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	heal := &healer{ticker: k, green: green}
	opts.Clock = heal
	result, err := cutover.ApplySoak(t.Context(), p, w.rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	if result.Rounds.Failed != 1 {
		t.Errorf("rounds = %+v, want one failed", result.Rounds)
	}
}

// healer mends green one sleep after it broke.
type healer struct {
	*ticker
	green  *side
	broken bool
}

func (h *healer) Sleep(ctx context.Context, d time.Duration) error {
	if h.broken {
		h.green.status.Store(http.StatusOK)
	}
	if err := h.ticker.Sleep(ctx, d); err != nil {
		return err
	}
	h.broken = h.green.status.Load() != http.StatusOK
	return nil
}

// While the TTL is waited out, a breach acts at once too.
func TestC20_BreachWhileWaitingActsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.opts.Times.TTL = migration.Duration(time.Minute)
	_, swapped := w.swapped(t)
	opts := cutover.SettleOptions{Options: w.opts, App: "shop", Moved: swapped.Names}
	p, err := cutover.PlanSettle(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	w.green.status.Store(http.StatusInternalServerError)
	began := w.clock.Now()
	if _, err := cutover.ApplySettle(t.Context(), p, w.rec, opts); !errors.Is(err, cutover.ErrBreach) {
		t.Fatalf("err = %v, want a breach", err)
	}
	if after := w.clock.Now().Sub(began); after != 5*time.Second {
		t.Errorf("acted after %s, want 5s", after)
	}
}

// hang makes green take connections and never answer.
func (w *world) hang(t *testing.T) {
	t.Helper()
	w.opts.Applications[0].Checks[0].Timeout = migration.Duration(50 * time.Millisecond)
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	w.green.server.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	})
}

// Green and blue both silent: the way there may be ours. That is no breach, and never a pass: it ends without a verdict.
func TestC20_SilenceIsNoPassAndNoBreachWhereNothingCanBeReached(t *testing.T) {
	w := newWorld(t)
	w.opts.Rehearsal = &migration.Rehearsal{Soak: migration.Duration(time.Second)}
	_, swapped := w.swapped(t)
	w.hang(t)
	w.blue.server.Close()
	opts := cutover.SoakOptions{Options: w.opts, App: "shop", Moved: swapped.Names}
	p, err := cutover.PlanSoak(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cutover.ApplySoak(t.Context(), p, w.rec, opts)
	var inconclusive *cutover.InconclusiveError
	if !errors.As(err, &inconclusive) || errors.Is(err, cutover.ErrBreach) {
		t.Fatalf("err = %v, want it inconclusive", err)
	}
}

// Green is silent while blue can be reached from here: clients meet that silence too.
func TestC20_SilenceIsABreachWhereBlueCanBeReached(t *testing.T) {
	w := newWorld(t)
	_, swapped := w.swapped(t)
	w.hang(t)
	opts := cutover.SoakOptions{Options: w.opts, App: "shop", Moved: swapped.Names}
	p, err := cutover.PlanSoak(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cutover.ApplySoak(t.Context(), p, w.rec, opts)
	var breach *cutover.BreachError
	if !errors.As(err, &breach) || !contains(err.Error(), "green's silence is its own") {
		t.Fatalf("err = %v, want a breach by silence", err)
	}
}

// Two rounds fit into the time of this soak. They are too few: it goes on past its time until a third has passed.
func TestC20_TooFewSamplesNeverPass(t *testing.T) {
	w := newWorld(t)
	w.opts.Times.Interval = migration.Duration(10 * time.Minute)
	result, err := w.soak(t)
	if err != nil {
		t.Fatal(err)
	}
	if result.Rounds.Passed != 3 || !result.Rounds.Ended.After(result.Wait.Until) {
		t.Errorf("%d rounds were enough, at least 3 are needed", result.Rounds.Passed)
	}
}

func TestSettleWaitsFromTheLastServerAndIsNotStartedAgain(t *testing.T) {
	w := newWorld(t)
	_, swapped := w.swapped(t)
	opts := cutover.SettleOptions{Options: w.opts, App: "shop", Moved: swapped.Names}
	p, err := cutover.PlanSettle(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.clock.Sleep(t.Context(), 7*time.Second); err != nil {
		t.Fatal(err)
	}
	result, err := cutover.ApplySettle(t.Context(), p, w.rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.clock.Now().Sub(swapped.Names[0].Seen.At); got != 12*time.Second {
		t.Errorf("settled after %s, want TTL 10s + margin 2s", got)
	}
	if len(result.Stretched) > 0 || !result.Views[0].Moved {
		t.Errorf("result = %+v", result)
	}
}
