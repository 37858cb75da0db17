package throttle

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
)

// answers is a store that gives one answer after the other and notes when it was asked.
type answers struct {
	clock *clock.Fake
	list  []*http.Response
	asked []time.Time
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	a.asked = append(a.asked, a.clock.Now())
	answer := a.list[0]
	a.list = a.list[1:]
	return answer, nil
}

func answer(status int, retryAfter string) *http.Response {
	h := http.Header{}
	if retryAfter != "" {
		h.Set("Retry-After", retryAfter)
	}
	return &http.Response{StatusCode: status, Header: h, Body: http.NoBody}
}

func TestB14_RetryAfterIsWaitedOutByWhoeverAsks(t *testing.T) {
	begin := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		first     *http.Response
		wait      time.Duration
		throttles int64
	}{
		"seconds":        {answer(http.StatusServiceUnavailable, "7"), 7 * time.Second, 1},
		"a date":         {answer(http.StatusTooManyRequests, begin.Add(9*time.Second).Format(http.TimeFormat)), 9 * time.Second, 1},
		"a past date":    {answer(http.StatusTooManyRequests, begin.Add(-time.Hour).Format(http.TimeFormat)), 0, 1},
		"for ever":       {answer(http.StatusServiceUnavailable, "999999999999"), longest, 1},
		"very long":      {answer(http.StatusServiceUnavailable, "86400"), longest, 1},
		"nothing said":   {answer(http.StatusServiceUnavailable, ""), 0, 1},
		"another answer": {answer(http.StatusInternalServerError, "7"), 0, 0},
		"success":        {answer(http.StatusOK, ""), 0, 0},
	} {
		now := clock.NewFake(begin)
		store := &answers{clock: now, list: []*http.Response{c.first, answer(http.StatusOK, "")}}
		transport := &Transport{Next: store, Clock: now}
		for range 2 {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://store.test/", nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			if got.StatusCode >= 429 && got.StatusCode != 500 && got.Header.Get("Retry-After") != "" && c.wait > 0 {
				t.Errorf("%s: the SDK would wait once more", name)
			}
			if err := got.Body.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got := store.asked[1].Sub(store.asked[0]); got != c.wait {
			t.Errorf("%s: asked again after %s, want %s", name, got, c.wait)
		}
		if transport.Throttles() != c.throttles {
			t.Errorf("%s: %d throttles, want %d", name, transport.Throttles(), c.throttles)
		}
	}
}

func TestB14_OthersWaitToo(t *testing.T) {
	now := clock.NewFake(time.Unix(0, 0))
	transport := &Transport{Clock: now}
	transport.hold.Extend(now.Now().Add(5 * time.Second))
	transport.Next = &answers{clock: now, list: []*http.Response{answer(http.StatusOK, "")}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://store.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := transport.RoundTrip(request)
	if err == nil {
		_ = got.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a request is sent while the store's wait lasts: %v", err)
	}
}
