package cutover

import (
	"math"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// The interval is the one that textbooks give for these counts (Wilson's score interval), and holds 0 and 1 in as it should.
func TestTheIntervalIsWilsons(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 0, 0, 100}, {0, 10, 0, 27.75}, {10, 10, 72.25, 100}, {5, 10, 23.66, 76.34}, {50, 100, 40.38, 59.62}, {1, 20, 0.89, 23.61},
	} {
		low, high := interval(c.k, c.n, z95)
		if math.Abs(low-c.low) > 0.01 || math.Abs(high-c.high) > 0.01 {
			t.Errorf("%d of %d: %.2f to %.2f, want %.2f to %.2f", c.k, c.n, low, high, c.low, c.high)
		}
	}
}

// TestC21_ASmallShareIsNotTakenForNone: the tolerance never reaches from a share to nothing, and the samples suffice for it.
func TestC21_ASmallShareIsNotTakenForNone(t *testing.T) {
	for percent := 1; percent < 100; percent++ {
		points := migration.Shift{Tolerance: 20}.Points(percent)
		if float64(percent)-points <= 0 || float64(percent)+points >= 100 {
			t.Errorf("%d ± %.1f reaches an end", percent, points)
		}
		n := samples(percent, points)
		if spread := 100 * math.Sqrt(float64(percent)/100*(1-float64(percent)/100)/float64(n)); n < mostAnswers && 3*spread > points+0.01 {
			t.Errorf("%d ± %.1f: three standard deviations of %d answers are %.2f points", percent, points, n, 3*spread)
		}
	}
	none := Measured{Wanted: 5, Points: 2.5, Blue: 700, Servers: []ServerShare{{Blue: 700}}}
	if none.doubt() == "" {
		t.Error("no answer leads to green, and 5% pass")
	}
	few := Measured{Wanted: 50, Points: 5, Blue: 100, Green: 100, Percent: 50, Servers: []ServerShare{{Blue: 100, Green: 100}}}
	if few.doubt() == "" {
		t.Error("200 answers pass where 900 are needed")
	}
	silent := Measured{Wanted: 50, Points: 5, Blue: 500, Green: 500, Percent: 50, Servers: []ServerShare{{Blue: 500, Green: 500}, {Silent: 20}}}
	if silent.doubt() == "" {
		t.Error("a server that says nothing passes")
	}
	for _, green := range []int{67, 0} { // of one server alone; the share of all together fits
		other := 27 - (green-27)/2
		one := Measured{Wanted: 40, Points: 20, Percent: 40, Blue: 120, Green: 81, Servers: []ServerShare{
			{Blue: 67 - green, Green: green}, {Blue: 67 - other, Green: other}, {Blue: 67 - other, Green: other},
		}}
		if one.doubt() == "" {
			t.Errorf("a server that leads %d of 67 answers to green passes for 40 ± 20", green)
		}
	}
}
