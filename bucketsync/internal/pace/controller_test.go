package pace

import (
	"math/rand/v2"
	"testing"
	"time"
)

// store is how many objects a second are done when so many are under way, and whether it asks to slow down.
type store func(underWay int) (perSecond float64, slowDown bool)

// knee is a store that does each object in so much time until so many are under way, and then no more than that.
func knee(at int, perObject time.Duration) store {
	return func(n int) (float64, bool) { return float64(min(n, at)) / perObject.Seconds(), false }
}

// drive lets a controller work on a store for a while, and returns the limits that it had. Noise is a share.
func drive(c *Controller, s store, span time.Duration, noise float64) (limits []int) {
	random := rand.New(rand.NewPCG(1, 2))
	now := c.began
	end := now.Add(span)
	const step = 100 * time.Millisecond
	for owed := 0.0; now.Before(end); now = now.Add(step) {
		rate, slow := s(c.Limit())
		owed += rate * step.Seconds() * (1 + noise*(2*random.Float64()-1))
		for ; owed >= 1; owed-- {
			c.Done()
		}
		c.Waited()
		if slow {
			c.Throttled()
		}
		c.Tick(now)
		limits = append(limits, c.Limit())
	}
	return limits
}

// share is the part of a store's best throughput that was reached over the second half.
func share(limits []int, s store, best float64) float64 {
	half := limits[len(limits)/2:]
	sum := 0.0
	for _, n := range half {
		rate, _ := s(n)
		sum += rate
	}
	return sum / float64(len(half)) / best
}

func TestAGoodSettingIsFoundOnManyKindsOfStores(t *testing.T) {
	thrash := func(n int) (float64, bool) { // two cores: more under way only get into each other's way
		if n <= 12 {
			return float64(n) * 50, false
		}
		return max(100, 600-float64(n-12)*15), false
	}
	for name, c := range map[string]struct {
		store       store
		best        float64
		least, most int // where the limit may end
	}{
		"far away, wide":   {knee(1000, time.Second), 64, 60, 64},
		"near, narrow":     {knee(4, 10*time.Millisecond), 400, 4, 8},
		"in between":       {knee(24, 50*time.Millisecond), 480, 24, 36},
		"worse with more":  {thrash, 600, 12, 18},
		"flat from one on": {knee(1, time.Millisecond), 1000, 1, 8},
	} {
		for _, noise := range []float64{0, 0.05} {
			limits := drive(NewController(Options{}, time.Unix(0, 0)), c.store, 5*time.Minute, noise)
			if got := share(limits, c.store, c.best); got < 0.9 {
				t.Errorf("%s, noise %g: %.0f%% of the best throughput", name, noise, 100*got)
			}
			counts := map[int]int{}
			for _, n := range limits[len(limits)/2:] {
				counts[n]++
			}
			usual := 0
			for n, times := range counts {
				if times > counts[usual] {
					usual = n
				}
			}
			if usual < c.least || usual > c.most {
				t.Errorf("%s, noise %g: settles at %d, want %d to %d", name, noise, usual, c.least, c.most)
			}
		}
	}
}

func TestB14_AStoreThatAsksToSlowDownIsObeyed(t *testing.T) {
	const bearable = 10
	throttles := 0
	s := func(n int) (float64, bool) {
		if n > bearable {
			throttles++
			return 100, true
		}
		return float64(n) * 20, false
	}
	c := NewController(Options{Start: 40}, time.Unix(0, 0))
	limits := drive(c, s, time.Minute, 0)
	if limits[5] > 20 {
		t.Errorf("%d are under way after the store asked to slow down, of 40 before", limits[5])
	}
	throttles = 0
	limits = drive(c, s, 10*time.Minute, 0)
	if calls := len(limits); throttles > calls/20 {
		t.Errorf("the store asks to slow down %d times of %d", throttles, calls)
	}
	if got := share(limits, s, bearable*20); got < 0.6 {
		t.Errorf("%.0f%% of what the store bears", 100*got)
	}
}

func TestAFixedLimitStays(t *testing.T) {
	c := NewController(Options{Fixed: 3}, time.Unix(0, 0))
	for _, n := range drive(c, func(n int) (float64, bool) { return float64(n), n > 1 }, time.Minute, 0) {
		if n != 3 {
			t.Fatalf("the limit is %d, it was fixed at 3", n)
		}
	}
}

func TestNothingIsTriedWhereNobodyWaits(t *testing.T) {
	c := NewController(Options{}, time.Unix(0, 0))
	for i := range 1000 {
		c.Done()
		c.Tick(time.Unix(int64(i), 0))
	}
	if c.Limit() != defaultStart {
		t.Errorf("the limit is %d although nobody waited", c.Limit())
	}
}
