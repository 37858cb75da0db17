package pace

import "time"

// Options bound a Controller. The zero value works.
type Options struct {
	// Start is the first limit; default 8. Most is the largest; default 64.
	Start, Most int
	// Fixed pins the limit; 0 does not.
	Fixed int
	// Window is how long one setting is measured at least; default 500 ms.
	Window time.Duration
}

const (
	defaultStart  = 8
	defaultMost   = 64
	defaultWindow = 500 * time.Millisecond

	// perObject is what an object is taken to cost beside its bytes, in bytes: so small and large ones can be summed.
	perObject = 64 << 10
	// gain is by how much throughput must grow for a step up to have been worth it, as a share of what the step added.
	gain = 0.2
	// rounds is how many times the limit is done in a window at least, so that a window is not made of a few objects' luck.
	rounds = 4
	// patience is how many windows a setting that was found is kept before more is tried again, and caution how many after the store
	// asked to slow down.
	patience = 15
	caution  = 30
)

// Controller finds the limit. It is not safe for several goroutines.
type Controller struct {
	opts  Options
	limit int

	// The window.
	began     time.Time
	objects   int64
	bytes     int64
	throttled bool
	waited    bool // the limit held somebody back

	// What was found.
	base     float64 // throughput at the limit that was found best, per second
	best     int     // that limit
	probing  bool    // limit is above best, on trial
	hold     int     // windows before the next trial
	ceiling  int     // what a store that asked to slow down is not to be given again soon; 0 is none
	settling bool    // the window after a change is not counted
}

// NewController returns a Controller whose first window begins now.
func NewController(opts Options, now time.Time) *Controller {
	if opts.Most <= 0 {
		opts.Most = defaultMost
	}
	if opts.Start <= 0 {
		opts.Start = defaultStart
	}
	if opts.Window <= 0 {
		opts.Window = defaultWindow
	}
	c := &Controller{opts: opts, limit: min(opts.Start, opts.Most), began: now}
	if opts.Fixed > 0 {
		c.limit = opts.Fixed
	}
	c.best = c.limit
	return c
}

// Limit is how many may be under way now.
func (c *Controller) Limit() int { return c.limit }

// Moved tells of bytes that were moved.
func (c *Controller) Moved(bytes int64) { c.bytes += bytes }

// Done tells of an object that is done, well or not.
func (c *Controller) Done() { c.objects++ }

// Waited tells that somebody waits because of the limit. Without that, a larger limit would change nothing.
func (c *Controller) Waited() { c.waited = true }

// Throttled tells that the store asked to slow down.
func (c *Controller) Throttled() { c.throttled = true }

// Tick judges the window, if it is over, and begins the next. It reports whether the limit changed.
func (c *Controller) Tick(now time.Time) bool {
	span := now.Sub(c.began)
	if c.opts.Fixed > 0 || span < c.opts.Window {
		return false
	}
	if c.objects < int64(rounds*c.limit) && span < 10*c.opts.Window && !c.throttled {
		return false
	}
	before := c.limit
	rate := float64(c.bytes+perObject*c.objects) / span.Seconds()
	c.judge(rate)
	c.began, c.objects, c.bytes, c.throttled, c.waited = now, 0, 0, false, false
	return c.limit != before
}

func (c *Controller) judge(rate float64) {
	switch {
	case c.throttled:
		c.ceiling = max(1, c.limit-1)
		c.limit = max(1, c.limit/2)
		c.best, c.base, c.probing, c.settling, c.hold = c.limit, 0, false, true, caution
	case c.settling:
		// Objects that were begun under the old limit are among those that ended.
		c.settling = false
	case c.probing:
		grown := float64(c.limit)/float64(c.best) - 1
		if rate >= c.base*(1+gain*grown) {
			c.best, c.base = c.limit, rate
			c.more()
			return
		}
		c.limit, c.probing, c.settling, c.hold = c.best, false, true, patience
	case c.hold > 0:
		c.hold--
		c.base = rate
	case c.waited:
		c.base = rate
		c.more()
	default:
		c.base = rate
	}
}

// more tries half as many again.
func (c *Controller) more() {
	next := min(c.limit+max(2, c.limit/2), c.opts.Most)
	if c.ceiling > 0 {
		// Where it was too much once, the way up is slow, and pauses below what was too much, which it is not for ever.
		next = min(c.limit+1, next)
		if next > c.ceiling {
			c.ceiling, c.probing, c.hold = 0, false, 4*caution
			return
		}
	}
	c.probing = next > c.limit
	c.settling = c.probing
	c.limit = next
}
