package cutover

import (
	"context"

	"github.com/crossfade-project/crossfade/internal/plan"
)

// MakeBrownOut makes the changes of a brown-out and does not undo them, as a process that is killed does.
func MakeBrownOut(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts BrownOutOptions) error {
	_, err := opts.make(ctx, p, rec, brownOutPlan{}, opts.lookout())
	return err
}

// QuietBefore is what a brown-out asks of the samples before it.
func QuietBefore(opts BrownOutOptions) error { return opts.lookout().quietBefore() }
