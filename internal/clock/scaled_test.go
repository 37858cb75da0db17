package clock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestScaledPassesFasterAndIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := Scaled{Epoch: time.Now().Truncate(time.Second), Factor: 30}
		second, err := ParseScaled(first.String())
		if err != nil || !second.Epoch.Equal(first.Epoch) || second.Factor != 30 {
			t.Fatalf("ParseScaled(%s) = %v, %v", first, second, err)
		}
		real, began := time.Now(), first.Now()
		if err := first.Sleep(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(real); took != 2*time.Second {
			t.Errorf("a minute took %s of the machine's time, want 2s", took)
		}
		if passed := second.Now().Sub(began); passed != time.Minute {
			t.Errorf("%s have passed on the other's clock, want 1m", passed)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := first.Sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("a sleep that was cancelled returns %v", err)
		}
	})
}

func TestParseScaledRefuses(t *testing.T) {
	for _, text := range []string{"", "1", "1:", ":2", "1:0", "1:-1", "x:2", "1:NaN"} {
		if s, err := ParseScaled(text); err == nil {
			t.Errorf("ParseScaled(%q) = %v", text, s)
		}
	}
}
