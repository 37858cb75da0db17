package cutbench

import (
	"fmt"
	"slices"
	"time"
)

// The targets. A return may take the interval between two rounds of checks beside its time.
const (
	planWall   = 10 * time.Second
	planMemory = 256 << 20
	visible    = 5 * time.Second
)

// times are how long something took, each time.
type times []time.Duration

// at is the time within which a share of them lies: the value that so many of a hundred do not exceed.
func (t times) at(percent int) time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(len(sorted)-1, (len(sorted)*percent+99)/100-1)]
}

// String is what a person wants to know of them.
func (t times) String() string {
	return fmt.Sprintf("median %s  p90 %s  p99 %s  longest %s  of %d", short(t.at(50)), short(t.at(90)), short(t.at(99)), short(t.at(100)), len(t))
}

func short(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func ratio(a, b time.Duration) float64 { return a.Seconds() / max(b.Seconds(), 1e-9) }
