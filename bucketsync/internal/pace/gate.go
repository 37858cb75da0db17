package pace

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/crossfade-project/crossfade/internal/clock"
)

// Gate lets as many through as a Controller says. It may be used by several goroutines.
type Gate struct {
	clock clock.Clock
	bytes atomic.Int64 // moved since the controller was told

	mu        sync.Mutex
	control   *Controller
	inside    int
	open      chan struct{} // closed, and made anew, when somebody may enter
	throttles func() int64
	seen      int64
}

// NewGate returns a Gate. Throttles, where not nil, tells how many answers of the stores have asked to slow down so far.
func NewGate(opts Options, c clock.Clock, throttles func() int64) *Gate {
	if throttles == nil {
		throttles = func() int64 { return 0 }
	}
	return &Gate{clock: c, control: NewController(opts, c.Now()), open: make(chan struct{}), throttles: throttles, seen: throttles()}
}

// Enter waits until one more may be under way. Whoever entered leaves.
func (g *Gate) Enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.inside < g.control.Limit() {
			g.inside++
			g.mu.Unlock()
			return nil
		}
		g.control.Waited()
		open := g.open
		g.mu.Unlock()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-open:
		}
	}
}

// Leave says that an object is done.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.control.Done()
	g.tick()
	if g.inside < g.control.Limit() {
		close(g.open)
		g.open = make(chan struct{})
	}
}

// Moved tells of bytes that were moved.
func (g *Gate) Moved(bytes int) { g.bytes.Add(int64(bytes)) }

// Limit is how many may be under way now.
func (g *Gate) Limit() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.control.Limit()
}

func (g *Gate) tick() {
	if n := g.throttles(); n > g.seen {
		g.seen = n
		g.control.Throttled()
	}
	g.control.Moved(g.bytes.Swap(0))
	g.control.Tick(g.clock.Now())
}
