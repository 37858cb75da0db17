package pace

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/crossfade-project/crossfade/internal/clock"
)

// doubling is how long a store that wants to be warmed up is to be left at a rate before it is doubled:
// https://cloud.google.com/storage/docs/request-rate#ramp-up.
const doubling = 20 * time.Minute

// Ramp holds writes to a rate that grows: it doubles every 20 minutes. Nil holds nothing.
type Ramp struct {
	clock clock.Clock
	first float64

	mu      sync.Mutex
	began   time.Time
	steps   int
	limiter *rate.Limiter
}

// NewRamp returns a Ramp that begins at perSecond with the first Wait; 0 gives none.
func NewRamp(perSecond int, c clock.Clock) *Ramp {
	if perSecond <= 0 {
		return nil
	}
	return &Ramp{clock: c, first: float64(perSecond), limiter: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/10))}
}

// Wait waits for the turn of one write.
func (r *Ramp) Wait(ctx context.Context) error {
	if r == nil {
		return nil
	}
	return r.clock.Sleep(ctx, r.delay())
}

func (r *Ramp) delay() time.Duration {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		r.began = now
	}
	if steps := int(now.Sub(r.began) / doubling); steps > r.steps {
		r.steps = steps
		r.limiter.SetLimitAt(now, rate.Limit(r.first*math.Pow(2, float64(min(steps, 30)))))
	}
	return r.limiter.ReserveN(now, 1).DelayFrom(now)
}
