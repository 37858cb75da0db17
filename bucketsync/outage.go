package bucketsync

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// A store that has gone altogether fails every request, each of which would be repeated for itself: with a hundred objects that takes
// minutes. Once so many requests in a row found nobody, for so long, none is repeated any more.
const (
	outageRequests = 16
	outageTime     = 30 * time.Second
)

// outage is how long one store has not been reached.
type outage struct {
	mu    sync.Mutex
	n     int // requests since then
	since time.Time
}

// saw takes in what became of a request. Any answer ends an outage.
func (o *outage) saw(now time.Time, err error) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !unanswered(err) {
		o.n = 0
		return
	}
	if o.n++; o.n == 1 {
		o.since = now
	}
}

// lasts reports whether there is no use in asking again.
func (o *outage) lasts(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n >= outageRequests && now.Sub(o.since) >= outageTime
}

// unanswered reports whether a request ended without an answer.
func unanswered(err error) bool {
	for _, errno := range []syscall.Errno{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ETIMEDOUT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	var dial *net.OpError
	var name *net.DNSError
	var network net.Error
	return errors.As(err, &dial) || errors.As(err, &name) || errors.As(err, &network) && network.Timeout()
}
