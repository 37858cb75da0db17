// Package throttle is the transport by which drivers obey a provider's limits: it sends no more requests than the
// provider allows, and where the provider asks to slow down all the same (429, RFC 6585 section 4) it waits for as long
// as the answer says and sends the request again. A request that was answered with 429 was not carried out, so that
// this is safe for changes too.
//
//	request ── a place within Limit, no pause under way ──> provider ── 429 ──> pause for all ──> again, within Patience
//	                                                                 └ anything else ──> driver
package throttle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/retryafter"
)

// sayAfter is the length of a wait from which on the user is told of it.
const sayAfter = 5 * time.Second

// Transport passes requests on. Next is needed. It may be used by several goroutines at once.
type Transport struct {
	Next http.RoundTripper
	// Limit, where set, is taken one place of for each request.
	Limit *rate.Limiter
	// Patience is how long one request may wait in all because of answers 429. When it is over, the last answer is
	// returned.
	Patience time.Duration
	// First is the pause after a 429 that names none; it doubles each time. Zero means 1 s.
	First time.Duration
	// Clock is the system's where it is nil; Log is silent where it is nil.
	Clock clock.Clock
	Log   *slog.Logger

	hold retryafter.Hold
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	body, err := whole(request)
	if err != nil {
		return nil, err
	}
	pause := t.First
	if pause <= 0 {
		pause = time.Second
	}
	began := t.time().Now()
	for ; ; pause *= 2 {
		if err := t.wait(ctx); err != nil {
			return nil, err
		}
		send := request.Clone(ctx)
		if body != nil {
			send.Body = io.NopCloser(bytes.NewReader(body))
			send.ContentLength = int64(len(body))
		}
		answer, err := t.Next.RoundTrip(send)
		if err != nil || answer.StatusCode != http.StatusTooManyRequests {
			return answer, err
		}
		now := t.time().Now()
		asked, ok := retryafter.Of(answer.Header, now)
		if !ok {
			asked = pause
		}
		if now.Add(asked).Sub(began) > t.Patience {
			return answer, nil
		}
		_ = answer.Body.Close() // only read
		t.hold.Extend(now.Add(asked))
	}
}

// whole reads a request's body, so that it can be sent again. Bodies of changes are small.
func whole(request *http.Request) ([]byte, error) {
	if request.Body == nil || request.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(request.Body)
	_ = request.Body.Close() // as the contract of a transport asks; it was only read
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	return body, nil
}

// wait takes a place within the limit and waits until no pause is under way.
func (t *Transport) wait(ctx context.Context) error {
	if t.Limit != nil {
		now := t.time().Now()
		if err := t.sleep(ctx, t.Limit.ReserveN(now, 1).DelayFrom(now), "the provider's limit of requests is reached"); err != nil {
			return err
		}
	}
	return t.sleep(ctx, t.hold.Left(t.time().Now()), "the provider asks to slow down")
}

func (t *Transport) sleep(ctx context.Context, d time.Duration, why string) error {
	if d <= 0 {
		return ctx.Err()
	}
	if d >= sayAfter && t.Log != nil {
		t.Log.InfoContext(ctx, "waiting before the next request", "why", why, "for", d.Round(time.Second).String())
	}
	return t.time().Sleep(ctx, d)
}

func (t *Transport) time() clock.Clock {
	if t.Clock == nil {
		return clock.System{}
	}
	return t.Clock
}
