package pace

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
)

func TestTheGateLetsNoMoreThroughThanTheLimit(t *testing.T) {
	g := NewGate(Options{Fixed: 3}, clock.System{}, nil)
	var inside, most atomic.Int64
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for range 50 {
				if err := g.Enter(t.Context()); err != nil {
					t.Error(err)
					return
				}
				n := inside.Add(1)
				for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
					continue
				}
				inside.Add(-1)
				g.Leave()
			}
		})
	}
	group.Wait()
	if most.Load() > 3 {
		t.Errorf("%d were inside, of 3", most.Load())
	}
}

func TestWaitingAtTheGateEndsWithTheContext(t *testing.T) {
	g := NewGate(Options{Fixed: 1}, clock.System{}, nil)
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Enter(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestB14_ThrottledAnswersReachTheController(t *testing.T) {
	now := clock.NewFake(time.Unix(0, 0))
	var throttles int64
	g := NewGate(Options{Start: 16}, now, func() int64 { return throttles })
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	throttles = 1
	if err := now.Sleep(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	g.Leave()
	if g.Limit() != 8 {
		t.Errorf("the limit is %d after the store asked to slow down, of 16 before", g.Limit())
	}
}

func TestB14_WritesRampUp(t *testing.T) {
	now := clock.NewFake(time.Unix(0, 0))
	r := NewRamp(1000, now)
	count := func(span time.Duration) (n int) {
		for end := now.Now().Add(span); now.Now().Before(end); n++ {
			if err := r.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	within := func(what string, n, want int) {
		if n < want*9/10 || n > want*11/10 {
			t.Errorf("%s: %d writes in 10 s, want about %d", what, n, want)
		}
	}
	within("at first", count(10*time.Second), 10_000)
	if err := now.Sleep(t.Context(), 20*time.Minute); err != nil {
		t.Fatal(err)
	}
	within("after 20 minutes", count(10*time.Second), 20_000)
	if err := now.Sleep(t.Context(), 20*time.Minute); err != nil {
		t.Fatal(err)
	}
	within("after 40 minutes", count(10*time.Second), 40_000)
	if r := NewRamp(0, now); r.Wait(t.Context()) != nil {
		t.Error("a store without a ramp is held")
	}
}
