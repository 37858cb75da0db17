package throttle_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/crossfade-project/crossfade/cutover/zone/internal/throttle"
	"github.com/crossfade-project/crossfade/internal/clock"
)

// answers serves one status after the other, and records the bodies that came.
func answers(t *testing.T, headers http.Header, statuses ...int) (*httptest.Server, *[]string) {
	t.Helper()
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		status := statuses[min(len(bodies), len(statuses)-1)]
		bodies = append(bodies, string(body))
		if status == http.StatusTooManyRequests {
			for k, v := range headers {
				w.Header()[k] = v
			}
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server, &bodies
}

func put(t *testing.T, transport *throttle.Transport, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader("a change"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func TestRetryAfterIsObeyed(t *testing.T) {
	server, bodies := answers(t, http.Header{"Retry-After": {"17"}}, 429, 429, 200)
	watch := clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	transport := &throttle.Transport{Next: http.DefaultTransport, Patience: time.Minute, Clock: watch}
	if status := put(t, transport, server.URL); status != 200 {
		t.Errorf("status %d", status)
	}
	if slept := watch.Slept(); len(slept) != 2 || slept[0] != 17*time.Second || slept[1] != 17*time.Second {
		t.Errorf("it slept %v, want 17s twice", slept)
	}
	if len(*bodies) != 3 || (*bodies)[2] != "a change" {
		t.Errorf("the server got %q", *bodies)
	}
}

func TestADateIsObeyedToo(t *testing.T) {
	watch := clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	server, _ := answers(t, http.Header{"Retry-After": {watch.Now().Add(40 * time.Second).Format(http.TimeFormat)}}, 429, 200)
	put(t, &throttle.Transport{Next: http.DefaultTransport, Patience: time.Minute, Clock: watch}, server.URL)
	if slept := watch.Slept(); len(slept) != 1 || slept[0] != 40*time.Second {
		t.Errorf("it slept %v, want 40s", slept)
	}
}

func TestPatienceEnds(t *testing.T) {
	server, bodies := answers(t, nil, 429)
	watch := clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	if status := put(t, &throttle.Transport{Next: http.DefaultTransport, Patience: 10 * time.Second, Clock: watch}, server.URL); status != 429 {
		t.Errorf("status %d, want the last answer", status)
	}
	// 1 s, 2 s and 4 s fit into 10 s, 8 s more do not.
	if len(*bodies) != 4 {
		t.Errorf("it asked %d times, want 4", len(*bodies))
	}
}

func TestLimitIsKept(t *testing.T) {
	server, _ := answers(t, nil, 200)
	watch := clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	transport := &throttle.Transport{Next: http.DefaultTransport, Clock: watch, Limit: rate.NewLimiter(rate.Every(time.Second), 3)}
	began := watch.Now()
	for range 10 {
		put(t, transport, server.URL)
	}
	if took := watch.Now().Sub(began); took != 7*time.Second {
		t.Errorf("10 requests took %s, want 3 at once and 7 more, one a second", took)
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	server, bodies := answers(t, http.Header{"Retry-After": {"30"}}, 429)
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &throttle.Transport{Patience: time.Minute, Next: roundTrip(func(r *http.Request) (*http.Response, error) {
		defer cancel()
		return http.DefaultTransport.RoundTrip(r.WithContext(context.WithoutCancel(ctx)))
	})}
	answer, err := transport.RoundTrip(request)
	if err == nil {
		_ = answer.Body.Close()
	}
	if !errors.Is(err, context.Canceled) || len(*bodies) != 1 {
		t.Errorf("got %v after %d requests", err, len(*bodies))
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
