package bucketsync

import "sync/atomic"

// comparison tells how far a Verify, or the proof of a final sync, has come: what was compared by the listings alone page by page, what took a request by each object,
// and what is read by every so many bytes. A nil comparison tells nobody.
type comparison struct {
	e       *engine
	told    progress
	read    atomic.Int64 // bytes that were not told yet
	objects int64        // to be compared, where that is known; 0 is not
	bytes   int64        // likewise to be read
	phase   Phase        // of the comparison
}

const (
	// tellKeys is how many keys are compared until it is told, where no page and no request tells sooner.
	tellKeys = 1000
	// tellBytes is how much is read until it is told: an object may take hours.
	tellBytes = 4 << 20
)

// newComparison returns nil where nobody listens.
func (e *engine) newComparison(tell func(Progress)) *comparison {
	if tell == nil {
		return nil
	}
	return &comparison{e: e, told: progress{tell: tell}}
}

// begin starts at nothing: a comparison may begin anew.
func (c *comparison) begin() {
	if c == nil {
		return
	}
	c.read.Store(0)
	c.told.change(func(p *Progress) {
		*p = Progress{TotalObjects: c.objects, TotalBytes: c.bytes, UnderWay: c.e.opts.width(), Phase: c.phase}
	})
}

// draw is told of keys that a sample may be drawn from, of so many that are to be read; 0 is not known.
func (c *comparison) draw(n, of int64) {
	if c == nil {
		return
	}
	c.told.change(func(p *Progress) {
		if p.Phase != PhaseSample {
			*p = Progress{TotalObjects: of, Phase: PhaseSample}
		}
		p.Objects += n
		p.Retries, p.Throttles = c.e.retries(), c.e.throttles()
	})
}

// hear is told of bytes that were read.
func (c *comparison) hear(n int) {
	if c != nil && c.read.Add(int64(n)) >= tellBytes {
		c.compared(0)
	}
}

// compared is told of keys that were compared.
func (c *comparison) compared(n int64) {
	if c == nil {
		return
	}
	c.told.change(func(p *Progress) {
		p.Objects += n
		p.Bytes += c.read.Swap(0)
		p.Retries, p.Throttles = c.e.retries(), c.e.throttles()
	})
}

// tell tells what a span has settled since it told last.
func (s *summary) tell() {
	s.heard.compared(s.untold)
	s.untold = 0
}
