package cutover_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/migration"
)

func share(v float64) *float64 { return &v }

// takes lets each side's answers take some time by the injected clock.
func (w *world) takes(blue, green func(hit int64) time.Duration) {
	w.answers(func(s *side, rw http.ResponseWriter, r *http.Request) {
		pause := blue
		if s == w.green {
			pause = green
		}
		_ = w.clock.Sleep(r.Context(), pause(s.hits.Load()))
		rw.WriteHeader(int(s.status.Load()))
	})
}

func always(d time.Duration) func(int64) time.Duration { return func(int64) time.Duration { return d } }

func probesCheck(change func(*migration.ProbesCheck)) migration.Check {
	c := migration.ProbesCheck{HTTP: migration.HTTPCheck{Scheme: "http", Path: "/"}, Samples: 100, PerRound: 10}
	change(&c)
	return migration.Check{Name: "probes", Probes: &c}
}

func TestC20_ProbesJudgeLatencyAndErrors(t *testing.T) {
	// Of 100 requests the 6 slowest take 400 ms: the p50 and the p95 are 100 ms and 400 ms.
	slow := func(hit int64) time.Duration {
		if hit%100 < 6 {
			return 400 * time.Millisecond
		}
		return 100 * time.Millisecond
	}
	latency := func(limit migration.Latency) *migration.Latency { return &limit }
	ms := func(n int) migration.Duration { return migration.Duration(time.Duration(n) * time.Millisecond) }
	for _, tt := range []struct {
		name        string
		blue, green func(int64) time.Duration
		limits      func(*migration.ProbesCheck)
		want        cutover.Outcome
	}{
		{"a median that holds", nil, slow, func(c *migration.ProbesCheck) { c.P50 = latency(migration.Latency{Max: ms(100)}) }, cutover.Passed},
		{"a median that does not", nil, slow, func(c *migration.ProbesCheck) { c.P50 = latency(migration.Latency{Max: ms(99)}) }, cutover.Failed},
		{"a p95 that holds", nil, slow, func(c *migration.ProbesCheck) { c.P95 = latency(migration.Latency{Max: ms(400)}) }, cutover.Passed},
		{"a p95 that does not", nil, slow, func(c *migration.ProbesCheck) { c.P95 = latency(migration.Latency{Max: ms(399)}) }, cutover.Failed},
		{"a median of three that does not", nil, func(hit int64) time.Duration { return time.Duration(hit) * 10 * time.Millisecond }, func(c *migration.ProbesCheck) {
			c.Samples, c.P50 = 3, latency(migration.Latency{Max: ms(15)})
		}, cutover.Failed},
		{"as fast as blue", always(100 * time.Millisecond), always(120 * time.Millisecond), func(c *migration.ProbesCheck) { c.P95 = latency(migration.Latency{Ratio: share(1.2)}) }, cutover.Passed},
		{"slower than blue", always(100 * time.Millisecond), always(121 * time.Millisecond), func(c *migration.ProbesCheck) { c.P95 = latency(migration.Latency{Ratio: share(1.2)}) }, cutover.Failed},
		{"slower than blue, below the floor", always(time.Millisecond), always(9 * time.Millisecond), func(c *migration.ProbesCheck) { c.P95 = latency(migration.Latency{Ratio: share(2), Floor: ms(10)}) }, cutover.Passed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if tt.blue == nil {
				tt.blue = always(0)
			}
			w.takes(tt.blue, tt.green)
			gate := w.gatesOf(t, probesCheck(tt.limits), cutover.AfterSwap, nil)[0]
			if gate.Outcome != tt.want {
				t.Errorf("outcome = %s, want %s: %s", gate.Outcome, tt.want, gate.Text)
			}
		})
	}
}

// Ninety requests that are well say nothing where a hundred are needed; ten more do.
func TestC20_TooFewProbesNeverPass(t *testing.T) {
	w := newWorld(t)
	history := &cutover.History{}
	check := probesCheck(func(c *migration.ProbesCheck) { c.Errors = share(0.01) })
	for round := 1; round <= 10; round++ {
		want := cutover.Inconclusive
		if round == 10 {
			want = cutover.Passed
		}
		if gate := w.gatesOf(t, check, cutover.AfterSwap, history)[0]; gate.Outcome != want {
			t.Fatalf("round %d: %s, want %s: %s", round, gate.Outcome, want, gate.Text)
		}
	}
	if hits := w.green.hits.Load(); hits != 100 {
		t.Errorf("%d requests were sent, want 100", hits)
	}
}

// Two failures of the first ten are more than one of a hundred, whatever the next ninety are: there is nothing to wait for.
func TestC20_FailedProbesActBeforeTheSamplesAreThere(t *testing.T) {
	w := newWorld(t)
	w.answers(func(s *side, rw http.ResponseWriter, _ *http.Request) {
		if s.hits.Load() <= 2 {
			rw.WriteHeader(http.StatusBadGateway)
		}
	})
	check := probesCheck(func(c *migration.ProbesCheck) { c.Errors = share(0.01) })
	if gate := w.gatesOf(t, check, cutover.AfterSwap, &cutover.History{})[0]; gate.Outcome != cutover.Failed || !contains(gate.Text, "whatever follows") {
		t.Errorf("gate = %+v", gate)
	}
	check = probesCheck(func(c *migration.ProbesCheck) { c.Errors = share(0.02) })
	w.green.hits.Store(0)
	if gate := w.gatesOf(t, check, cutover.AfterSwap, &cutover.History{})[0]; gate.Outcome != cutover.Inconclusive {
		t.Errorf("two of a hundred are allowed: %+v", gate)
	}
}

func TestC20_BlueThatDoesNotAnswerIsNoBaseline(t *testing.T) {
	w := newWorld(t)
	w.blue.server.Close()
	check := probesCheck(func(c *migration.ProbesCheck) { c.P95 = &migration.Latency{Ratio: share(2)} })
	if gate := w.gatesOf(t, check, cutover.AfterSwap, nil)[0]; gate.Outcome != cutover.Inconclusive {
		t.Errorf("gate = %+v", gate)
	}
}

// Neither green nor blue can be reached: nothing is counted against green, and nothing passes.
func TestC20_ProbesThatReachNobodyAreNotCounted(t *testing.T) {
	w := newWorld(t)
	w.hang(t)
	w.blue.server.Close()
	check := probesCheck(func(c *migration.ProbesCheck) { c.Errors = share(0.01) })
	check.Timeout = migration.Duration(50 * time.Millisecond)
	gate := w.gatesOf(t, check, cutover.AfterSwap, &cutover.History{})[0]
	if gate.Outcome != cutover.Inconclusive || !gate.Silent || !contains(gate.Text, "0 requests so far") {
		t.Errorf("gate = %+v", gate)
	}
}

// A soak that is otherwise well goes back when green becomes slow.
func TestC20_SlowProbesBreachTheSoak(t *testing.T) {
	w := newWorld(t)
	w.opts.Applications[0].Checks = append(w.opts.Applications[0].Checks, probesCheck(func(c *migration.ProbesCheck) {
		c.Samples, c.PerRound, c.P95 = 20, 10, &migration.Latency{Max: migration.Duration(50 * time.Millisecond)}
	}))
	_, swapped := w.swapped(t)
	w.takes(always(0), func(hit int64) time.Duration {
		if hit > 60 {
			return 60 * time.Millisecond
		}
		return time.Millisecond
	})
	opts := cutover.SoakOptions{Options: w.opts, App: "shop", Moved: swapped.Names}
	p, err := cutover.PlanSoak(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplySoak(t.Context(), p, w.rec, opts); !errors.Is(err, cutover.ErrBreach) || !contains(err.Error(), "p95 60ms, more than 50ms") {
		t.Errorf("err = %v, want a breach by the p95", err)
	}
}
