package bucket

import (
	"context"
	"sync"
)

// Retried is the optional ability to tell how many requests were made again so far within calls that OneCall marked: those that the
// driver's SDK repeats by itself, which nobody else sees.
type Retried interface {
	Retries() int64
}

type callKey struct{}

// Call is one call of a driver, in which it may make several requests, and some of them again.
type Call struct {
	mu     sync.Mutex
	failed map[string]bool // requests whose last answer was a failure
}

// OneCall marks a context as that of one call. Whoever makes the call again marks another.
func OneCall(ctx context.Context) context.Context {
	return context.WithValue(ctx, callKey{}, new(Call))
}

// CallOf returns the call that a context is of; nil where none was marked, which counts nothing.
func CallOf(ctx context.Context) *Call {
	call, _ := ctx.Value(callKey{}).(*Call)
	return call
}

// Begin reports whether a request, named by its method and address, failed before in this call.
func (c *Call) Begin(request func() string) (again bool) {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.failed) > 0 && c.failed[request()]
}

// End notes how a request ended.
func (c *Call) End(request func() string, failed bool) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case failed && c.failed == nil:
		c.failed = map[string]bool{request(): true}
	case failed:
		c.failed[request()] = true
	case len(c.failed) > 0:
		delete(c.failed, request())
	}
}
