// Package retryafter reads when a server wants to be asked again, and keeps that for everybody who asks it.
package retryafter

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Of reads Retry-After (RFC 9110 section 10.2.3), which is seconds or a date; false where an answer has none.
func Of(header http.Header, now time.Time) (time.Duration, bool) {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 1<<20)) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

// A Hold is a time before which nobody asks. The zero value holds nobody back.
type Hold struct {
	mu    sync.Mutex
	until time.Time
}

// Extend holds everybody back until a time, or longer where somebody has said so before.
func (h *Hold) Extend(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until.After(h.until) {
		h.until = until
	}
}

// Left is for how long it holds yet; 0 where it is over.
func (h *Hold) Left(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until.IsZero() {
		return 0
	}
	return max(0, h.until.Sub(now))
}
