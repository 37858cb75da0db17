package crossfade

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAnInterruptionSaysWhatItLeavesAndWhatToType(t *testing.T) {
	since := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	frozen := []ApplicationStatus{{Name: "shop", State: Frozen, Frozen: &since}, {Name: "page", State: OnBlue}, {Name: "mail", State: OnGreen, Frozen: &since}}
	for name, c := range map[string]struct {
		status    Status
		has, lack []string
	}{
		"before a freeze": {Status{Applications: frozen[1:]}, []string{"the same command goes on"}, []string{"frozen", "going back"}},
		"in a freeze":     {Status{Applications: frozen}, []string{"frozen for shop since 2026-11-21 20:00:00 UTC", "`crossfade run` goes on to green", "`crossfade rollback shop`"}, []string{"frozen for mail"}},
		"going back":      {Status{Applications: frozen, GoingBack: "shop: a check failed"}, []string{"going back is not finished", "frozen for shop"}, []string{"goes on to green"}},
	} {
		err := error(&InterruptedError{Left: c.status.left(), Cause: errors.New("list: canceled")})
		for _, want := range append(c.has, "list: canceled") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %q", name, want, err)
			}
		}
		for _, text := range c.lack {
			if strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q is in %q", name, text, err)
			}
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: it does not pass for an interruption", name)
		}
	}
}
