package transaction

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// A batch is one change.
type batch struct {
	remove, add []Set
}

// A goal reads what is there: done, or the batch that makes it so, or an error where neither is so.
type goal func(ctx context.Context) (done bool, next batch, err error)

// commit carries out a goal, as the package comment draws it. The result has no After.
func (e *Engine) commit(ctx context.Context, read goal) (zone.Result, error) {
	result := zone.Result{Strength: zone.Transactional}
	if err := ctx.Err(); err != nil {
		return result, err
	}
	done, next, err := read(ctx)
	if err != nil || done {
		return result, err
	}
	open := false // an earlier attempt may yet have been carried out
	var lost error
	for result.Attempts < e.opts.Attempts {
		if ctx.Err() != nil {
			break
		}
		result.Attempts++
		id, err := e.provider.Change(ctx, next.remove, next.add)
		if err == nil {
			return e.accepted(ctx, read, id, result)
		}
		// What became of it is found out even if the caller is gone.
		var readErr error
		done, next, readErr = e.readBack(ctx, read)
		refused := errors.Is(err, ErrCondition) || errors.Is(err, ErrBusy) || errors.Is(err, zone.ErrDenied) || errors.Is(err, zone.ErrInvalid)
		open = open || !refused
		switch {
		case readErr != nil && !open && known(readErr):
			return result, readErr
		case readErr != nil && !open:
			return result, errors.Join(err, readErr)
		case readErr != nil:
			return result, fmt.Errorf("%w: %w", zone.ErrUncertain, errors.Join(err, readErr))
		case done:
			result.Applied, result.Recovered = open, open
			return result, nil
		case refused && !errors.Is(err, ErrCondition):
			return result, err
		}
		lost = err
		e.opts.Log.Warn("a change was not made, and the name still holds the old records", "zone", e.opts.Apex, "at", e.opts.Where, "attempt", result.Attempts, "error", err)
	}
	switch {
	case open:
		return result, fmt.Errorf("%w: %w", zone.ErrUncertain, errors.Join(lost, ctx.Err()))
	case lost != nil:
		return result, fmt.Errorf("%w, though it shows what was expected: %w", zone.ErrMoved, lost)
	}
	return result, context.Cause(ctx)
}

// accepted waits until a change has spread, and reads it back: an acknowledgement alone is no success.
func (e *Engine) accepted(ctx context.Context, read goal, id string, result zone.Result) (zone.Result, error) {
	if err := e.await(ctx, id); err != nil {
		return result, fmt.Errorf("%w: the change was accepted as %s: %w", zone.ErrUncertain, id, err)
	}
	done, _, err := e.readBack(ctx, read)
	switch {
	case err != nil:
		return result, fmt.Errorf("%w: the change was accepted as %s: %w", zone.ErrUncertain, id, err)
	case !done:
		return result, fmt.Errorf("%w: the change was accepted as %s, and the old records are still there", zone.ErrNotApplied, id)
	}
	result.Applied = true
	return result, nil
}

// await asks until a change has spread.
func (e *Engine) await(ctx context.Context, id string) error {
	until := e.opts.Clock.Now().Add(e.opts.Limit)
	for {
		spread, err := e.provider.Spread(ctx, id)
		switch {
		case spread:
			return nil
		case errors.Is(err, zone.ErrDenied):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !e.opts.Clock.Now().Before(until):
			return errors.Join(fmt.Errorf("it has not reached every server within %s", e.opts.Limit), err)
		}
		if err := e.opts.Clock.Sleep(ctx, e.opts.Poll); err != nil {
			return err
		}
	}
}

// readBack reads with a time of its own, so that a cancelled caller still learns what happened.
func (e *Engine) readBack(ctx context.Context, read goal) (bool, batch, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
	defer cancel()
	return read(ctx)
}

// known says whether an error of reading is itself the explanation.
func known(err error) bool {
	return errors.Is(err, zone.ErrMoved) || errors.Is(err, zone.ErrFenced) || errors.Is(err, zone.ErrConflict) || errors.Is(err, zone.ErrInvalid)
}
