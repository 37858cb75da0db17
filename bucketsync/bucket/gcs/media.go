package gcs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// media is the transport of reads. Of writes it tells the wire where the SDK sends them.
//
// It asks for objects as they are stored: without the header that it sets, the service inflates those of
// Content-Encoding gzip on their way out. The SDK's ReadCompressed means the same, but cannot be used with JSON reads:
// the SDK refuses the header that it sets itself.
//
// And it bounds how often one read is tried: where an answer breaks off, the SDK asks for the rest, at once and
// without an end, also of a server that breaks off every time.
type media struct {
	next http.RoundTripper
	wire *wire
}

// tries is how often a read may still be tried.
type tries struct{}

func withTries(ctx context.Context, n int) context.Context {
	left := new(atomic.Int64)
	left.Store(int64(n))
	return context.WithValue(ctx, tries{}, left)
}

// RoundTrip implements http.RoundTripper.
func (t media) RoundTrip(request *http.Request) (*http.Response, error) {
	t.wire.learn(request)
	if request.Method != http.MethodGet || request.URL.Query().Get("alt") != "media" {
		return t.next.RoundTrip(request)
	}
	if left, ok := request.Context().Value(tries{}).(*atomic.Int64); ok && left.Add(-1) < 0 {
		// What broke off may come whole a moment later: whoever copies asks again, with pauses.
		return nil, fmt.Errorf("read %s: every answer broke off: %w", request.URL.Path, io.ErrUnexpectedEOF)
	}
	request = request.Clone(request.Context())
	request.Header.Set("Accept-Encoding", "gzip")
	return t.next.RoundTrip(request)
}
