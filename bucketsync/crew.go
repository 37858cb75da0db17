package bucketsync

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/internal/pace"
)

// crew does the work on objects, in as many goroutines at once as its gate lets through. Goroutines that are done take the next
// work, with the stacks that they have grown.
type crew struct {
	ctx   context.Context //nolint:containedctx // that of its group, as long as one pass
	gate  *pace.Gate
	group *errgroup.Group
	next  chan func() error
}

// newCrew returns a crew, and the context that ends with its first failure.
func newCrew(ctx context.Context, gate *pace.Gate) (*crew, context.Context) {
	group, ctx := errgroup.WithContext(ctx)
	return &crew{ctx: ctx, gate: gate, group: group, next: make(chan func() error)}, ctx
}

// do has work done, as soon as there is room for it. Where the context has ended it does nothing: Wait says why. Several goroutines
// may call it, and none after Wait.
func (c *crew) do(work func() error) {
	if c.gate.Enter(c.ctx) != nil {
		return
	}
	gated := func() error {
		defer c.gate.Leave()
		return work()
	}
	select {
	case c.next <- gated:
	default:
		c.group.Go(func() error {
			for more := true; more; gated, more = <-c.next {
				if err := gated(); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// wait returns when all is done. No work is given after it.
func (c *crew) wait() error {
	close(c.next)
	return c.group.Wait()
}
