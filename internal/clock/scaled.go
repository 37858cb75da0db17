package clock

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Scaled is a clock for tests of whole programs: since its epoch, time passes Factor times as fast as on the machine. Programs
// with one epoch and factor share one time, also when one is killed and another goes on.
type Scaled struct {
	Epoch  time.Time
	Factor float64
}

// ParseScaled reads EPOCH:FACTOR, the epoch in seconds since 1970: "1790000000:30".
func ParseScaled(text string) (Scaled, error) {
	epoch, factor, ok := strings.Cut(text, ":")
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if !ok || err != nil {
		return Scaled{}, fmt.Errorf("read the scaled clock %q: it must be EPOCH:FACTOR, the epoch in seconds since 1970", text)
	}
	s := Scaled{Epoch: time.Unix(seconds, 0)}
	if s.Factor, err = strconv.ParseFloat(factor, 64); err != nil || !(s.Factor > 0) {
		return Scaled{}, fmt.Errorf("read the scaled clock %q: the factor must be a number above zero", text)
	}
	return s, nil
}

// String is what ParseScaled reads.
func (s Scaled) String() string {
	return fmt.Sprintf("%d:%g", s.Epoch.Unix(), s.Factor)
}

// Now implements Clock.
func (s Scaled) Now() time.Time {
	return s.Epoch.Add(time.Duration(float64(time.Since(s.Epoch)) * s.Factor))
}

// Sleep implements Clock.
func (s Scaled) Sleep(ctx context.Context, d time.Duration) error {
	return System{}.Sleep(ctx, time.Duration(float64(d)/s.Factor))
}
