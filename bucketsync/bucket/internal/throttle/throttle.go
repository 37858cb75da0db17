// Package throttle is the transport by which all drivers obey a store that asks for fewer requests (B14), since the SDKs differ in what they
// make of it.
//
//	request ── waits until the time that the store has named ──> store ── 429 or 503 ──> counted; Retry-After is waited out ──> SDK
//
// While a store's wait lasts, no other request is sent to it either. It also counts what the SDKs make again by themselves: within one call of a
// driver, the same request after an answer that was a failure of the moment.
package throttle

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/retryafter"
)

// longest is how long a store may ask to wait at once. One that names a longer time is asked again then.
const longest = time.Minute

// Transport passes requests on. Next is needed.
type Transport struct {
	Next http.RoundTripper
	// Clock is the system's where it is nil.
	Clock clock.Clock

	count atomic.Int64
	again atomic.Int64
	hold  retryafter.Hold
}

// Throttles is how many answers have asked to slow down.
func (t *Transport) Throttles() int64 { return t.count.Load() }

// Retries is how many requests were made again within one call of the driver; see bucket.OneCall.
func (t *Transport) Retries() int64 { return t.again.Load() }

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	return t.Through(t.Next, request)
}

// Through is RoundTrip by another transport to the same store.
func (t *Transport) Through(next http.RoundTripper, request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	if err := t.wait(ctx); err != nil {
		if request.Body != nil {
			_ = request.Body.Close() // as the contract asks; it was not read
		}
		return nil, err
	}
	call := bucket.CallOf(ctx)
	name := func() string { return request.Method + " " + request.URL.String() }
	if call.Begin(name) {
		t.again.Add(1)
	}
	answer, err := next.RoundTrip(request)
	call.End(name, err != nil || ofTheMoment(answer.StatusCode))
	if err != nil || answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusServiceUnavailable {
		return answer, err
	}
	t.count.Add(1)
	now := t.now()
	if asked, ok := retryafter.Of(answer.Header, now); ok {
		t.hold.Extend(now.Add(min(asked, longest)))
		answer.Header.Del("Retry-After") // it is waited out here, and not a second time by the SDK
	}
	if err := t.wait(ctx); err != nil {
		_ = answer.Body.Close() // only read
		return nil, err
	}
	return answer, nil
}

// ofTheMoment reports whether the same request may have another answer a moment later.
func ofTheMoment(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// wait waits until the time that the store has named.
func (t *Transport) wait(ctx context.Context) error {
	pause := t.hold.Left(t.now())
	if pause == 0 {
		return nil
	}
	return t.time().Sleep(ctx, pause)
}

func (t *Transport) time() clock.Clock {
	if t.Clock == nil {
		return clock.System{}
	}
	return t.Clock
}

func (t *Transport) now() time.Time { return t.time().Now() }
