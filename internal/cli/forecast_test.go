package cli

import (
	"math"
	"testing"
	"time"
)

// copying is a copy on a machine that takes so long for each object and for each byte, seen four times a second.
type copying struct {
	f    Forecast
	now  time.Time
	at   Amounts
	a, b float64 // seconds
	rest []int64 // sizes
	left float64 // seconds that are truly left
}

func newCopying(perObject, perByte float64, sizes ...int64) *copying {
	c := &copying{now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), a: perObject, b: perByte, rest: sizes}
	for _, size := range sizes {
		c.at.TotalObjects++
		c.at.TotalBytes += size
		c.left += c.takes(size)
	}
	c.f.Note(c.now, c.at)
	return c
}

func (c *copying) takes(size int64) float64 { return c.a + c.b*float64(size) }

func (c *copying) run(objects int) {
	for _, size := range c.rest[:objects] {
		took := c.takes(size)
		c.now = c.now.Add(time.Duration(took * float64(time.Second)))
		c.left -= took
		c.at.Objects++
		c.at.Bytes += size
		c.f.Note(c.now, c.at)
	}
	c.rest = c.rest[objects:]
}

func (c *copying) near(t *testing.T, factor float64) {
	t.Helper()
	left, ok := c.f.Left(c.at)
	if off := left.Seconds() / c.left; !ok || math.IsNaN(off) || off > factor || off < 1/factor {
		t.Errorf("%v are left, %v; it is %.1fs", left, ok, c.left)
	}
}

func (c *copying) silent(t *testing.T) {
	t.Helper()
	if left, ok := c.f.Left(c.at); ok {
		t.Errorf("%v are left, and nobody can know", left)
	}
}

func sizes(n int, of ...int64) (all []int64) {
	for range n {
		all = append(all, of...)
	}
	return all
}

func TestForecast_OfObjectsOfOneSize(t *testing.T) {
	c := newCopying(0.01, 1e-8, sizes(5000, 4096)...)
	c.silent(t)
	c.run(100) // 1 s
	c.silent(t)
	c.run(400)
	c.near(t, 1.05)
	c.run(4500)
	if left, ok := c.f.Left(c.at); !ok || left != 0 {
		t.Errorf("at the end %v are left, %v", left, ok)
	}
}

// Small objects first say nothing of large ones, in neither direction: by their bytes it would take hours, by their number no time.
func TestForecast_OfSmallObjectsFirst(t *testing.T) {
	c := newCopying(0.01, 1e-8, append(sizes(2000, 4096), sizes(20, 100<<20)...)...)
	c.run(1500)
	c.silent(t)
	c.run(504) // four of the large ones
	c.near(t, 1.5)
}

func TestForecast_OfLargeObjectsFirst(t *testing.T) {
	c := newCopying(0.01, 1e-8, append(sizes(20, 100<<20), sizes(5000, 4096)...)...)
	c.run(10)
	c.silent(t)
	c.run(10 + 500)
	c.near(t, 1.5)
}

// A store that becomes slower is followed within the window.
func TestForecast_FollowsTheLastMinute(t *testing.T) {
	c := newCopying(0.01, 0, sizes(30000, 10)...)
	c.run(10000)
	c.a = 0.1
	c.left = 0.1 * float64(len(c.rest))
	c.run(900) // 90 s
	c.near(t, 1.1)
}

// What counts anew begins anew, and what never moved says nothing.
func TestForecast_BeginsAnewWithAnotherPhase(t *testing.T) {
	for _, next := range []Amounts{{Objects: 20, TotalObjects: 1000, Phase: "proof"}, {Objects: 5, TotalObjects: 1000}} {
		var f Forecast
		now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
		f.Note(now, Amounts{TotalObjects: 1000})
		now = now.Add(10 * time.Second)
		f.Note(now, Amounts{Objects: 10, TotalObjects: 1000})
		if left, ok := f.Left(Amounts{Objects: 10, TotalObjects: 1000}); !ok || left != 990*time.Second {
			t.Errorf("%v, %v", left, ok)
		}
		f.Note(now, next)
		if left, ok := f.Left(next); ok {
			t.Errorf("%+v: %v are left", next, left)
		}
	}
	var f Forecast
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	stuck := Amounts{TotalObjects: 10, TotalBytes: 10}
	for i := range 20 {
		f.Note(now.Add(time.Duration(i)*time.Second), stuck)
	}
	if left, ok := f.Left(stuck); ok {
		t.Errorf("nothing moves, and %v are left", left)
	}
	// A figure that nobody can use is none.
	f = Forecast{}
	f.Note(now, Amounts{TotalObjects: 1e9})
	f.Note(now.Add(time.Hour), Amounts{Objects: 1, TotalObjects: 1e9})
	if left, ok := f.Left(Amounts{Objects: 1, TotalObjects: 1e9}); ok {
		t.Errorf("%v are left", left)
	}
}
