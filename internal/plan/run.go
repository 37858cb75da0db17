package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Recorder keeps intents and outcomes. The journal is one; a step never needs more of it than this.
type Recorder interface {
	// Done reports whether a change has succeeded before, and the outcome that was recorded then.
	Done(changeID string) (outcome json.RawMessage, ok bool)
	// Intend puts the intents on disk. When it returns nil, they are durable. Only then may a change begin.
	Intend(stage string, changes ...Change) error
	// Succeed puts an outcome on disk.
	Succeed(stage, changeID string, outcome json.RawMessage) error
	// Fail puts a failure on disk. The change may have happened, in part or whole.
	Fail(stage, changeID string, cause error) error
}

// ErrPaused is what the error of a change wraps that waits for a time that this process is not to wait for. It is not recorded
// as a failure.
var ErrPaused = errors.New("the time has not come")

// Do makes one change and returns its outcome. It reads again what the change relies on, first; it must be safe to call again
// after a kill at any point of an earlier call.
type Do func(ctx context.Context, c Change) (outcome any, err error)

// Observer is told of progress. Methods are called from several goroutines.
type Observer interface {
	// Began and Ended frame a change; skipped says that the journal already had its outcome.
	Began(stage string, c Change)
	Ended(stage string, c Change, skipped bool, err error)
}

// Silent is an Observer that tells nobody.
type Silent struct{}

// Began implements Observer.
func (Silent) Began(string, Change) {}

// Ended implements Observer.
func (Silent) Ended(string, Change, bool, error) {}

// RunOptions tune Run. The zero value runs one change at a time and tells nobody.
type RunOptions struct {
	// Parallel is how many changes may be under way at once; at most 1 keeps the plan's order.
	Parallel int
	// Shares reports that the intent of a change may become durable together with those of others, before its turn: it only
	// makes what is not there, and can be made again. Nil shares none. It counts where Parallel is more than 1.
	Shares   func(Change) bool
	Observer Observer
}

// batch is how many intents are made durable together.
const batch = 64

// Run makes the changes of a plan that the recorder does not have as done, each between an intent and an outcome.
// It refuses a plan with refusals. It stops at the first failure, after the changes under way have ended.
func Run(ctx context.Context, p *Plan, rec Recorder, opts RunOptions, do Do) error {
	if err := p.Err(); err != nil {
		return err
	}
	if opts.Observer == nil {
		opts.Observer = Silent{}
	}
	if opts.Parallel < 1 {
		opts.Parallel = 1
	}
	group, under := errgroup.WithContext(ctx)
	group.SetLimit(opts.Parallel)
	for _, together := range batches(p.Changes, rec, opts) {
		if under.Err() != nil {
			break
		}
		if len(together) > 1 {
			if err := rec.Intend(p.Stage, together...); err != nil {
				return errors.Join(group.Wait(), fmt.Errorf("record the intent to %s %s and %d others: %w", together[0].Action, together[0].Target, len(together)-1, err))
			}
		}
		for _, c := range together {
			if under.Err() != nil {
				break
			}
			group.Go(func() error { return runOne(under, p.Stage, c, len(together) > 1, rec, opts.Observer, do) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// batches groups the changes in their order: those that stand beside one another, share, and are not done yet come together.
func batches(changes []Change, rec Recorder, opts RunOptions) [][]Change {
	var list [][]Change
	open := false // the last group may grow
	for _, c := range changes {
		_, done := rec.Done(c.ID)
		shares := opts.Parallel > 1 && opts.Shares != nil && opts.Shares(c) && !done
		if last := len(list) - 1; shares && open && len(list[last]) < batch {
			list[last] = append(list[last], c)
			continue
		}
		list, open = append(list, []Change{c}), shares
	}
	return list
}

// runOne makes one change; intended says that its intent is durable already.
func runOne(ctx context.Context, stage string, c Change, intended bool, rec Recorder, obs Observer, do Do) error {
	if _, ok := rec.Done(c.ID); ok {
		obs.Began(stage, c)
		obs.Ended(stage, c, true, nil)
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !intended {
		if err := rec.Intend(stage, c); err != nil {
			return fmt.Errorf("record the intent to %s %s: %w", c.Action, c.Target, err)
		}
	}
	obs.Began(stage, c)
	outcome, err := do(ctx, c)
	obs.Ended(stage, c, false, err)
	if errors.Is(err, ErrPaused) {
		return fmt.Errorf("%s %s: %w", c.Action, c.Target, err) // nothing has failed: the change is taken up again
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", c.Action, c.Target, err)
		if jerr := rec.Fail(stage, c.ID, err); jerr != nil {
			return fmt.Errorf("%w (and the failure could not be recorded: %w)", err, jerr)
		}
		return err
	}
	if err := rec.Succeed(stage, c.ID, JSON(outcome)); err != nil {
		return fmt.Errorf("record that %s %s is done: %w", c.Action, c.Target, err)
	}
	return nil
}
