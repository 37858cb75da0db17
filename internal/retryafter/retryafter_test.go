package retryafter_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/retryafter"
)

func TestOf(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]struct {
		wait time.Duration
		said bool
	}{
		"7":            {7 * time.Second, true},
		"0":            {0, true},
		"999999999999": {(1 << 20) * time.Second, true},
		"-1":           {0, false},
		"":             {0, false},
		"soon":         {0, false},
		now.Add(time.Hour).Format(http.TimeFormat):  {time.Hour, true},
		now.Add(-time.Hour).Format(http.TimeFormat): {0, true},
	} {
		got, said := retryafter.Of(http.Header{"Retry-After": {text}}, now)
		if got != want.wait || said != want.said {
			t.Errorf("Of(%q) = %s, %t, want %s, %t", text, got, said, want.wait, want.said)
		}
	}
}

// What one request was told holds for all, and a shorter wish does not end a longer one.
func TestAHoldIsTheLongestWish(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	var h retryafter.Hold
	if left := h.Left(now); left != 0 {
		t.Errorf("the zero value holds for %s", left)
	}
	h.Extend(now.Add(9 * time.Second))
	h.Extend(now.Add(3 * time.Second))
	if left := h.Left(now); left != 9*time.Second {
		t.Errorf("it holds for %s, want 9s", left)
	}
	if left := h.Left(now.Add(10 * time.Second)); left != 0 {
		t.Errorf("it holds for %s after its end", left)
	}
}
