package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/internal/plan"
)

// Apply makes the changes of a plan of Plan, level by level, objects of one level in parallel. Applied again, it goes on
// where it stopped: what is there already as planned counts as done.
//
// It fails with a *plan.MovedError where green, the archive or the options are no longer what the plan was made on, and
// with ErrPortTaken where a node port of the plan was taken in the meantime.
func Apply(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts Options) (Result, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return Result{}, err
	}
	if err := p.Err(); err != nil {
		return Result{}, err
	}
	w := newWriter(opts)
	if err := applyLevels(ctx, p, rec, w); err != nil {
		return resultOf(p, rec), fmt.Errorf("restore: %w", err)
	}
	return resultOf(p, rec), nil
}

// applyLevels runs the changes of each level to their end before the next one's begin.
func applyLevels(ctx context.Context, p *plan.Plan, rec plan.Recorder, w *writer) error {
	levels := map[int]*plan.Plan{}
	for _, c := range p.Changes {
		var at struct {
			Level int `json:"level"`
		}
		if err := json.Unmarshal(c.Data, &at); err != nil {
			return fmt.Errorf("read the data of change %s: %w", c.ID, err)
		}
		if levels[at.Level] == nil {
			levels[at.Level] = plan.New(p.Migration, p.Stage)
		}
		levels[at.Level].Add(c)
	}
	order := make([]int, 0, len(levels))
	for level := range levels {
		order = append(order, level)
	}
	slices.Sort(order)
	for _, level := range order {
		part := levels[level]
		w.opts.Log.DebugContext(ctx, "restore a level", "stage", p.Stage, "level", level, "changes", len(part.Changes))
		err := plan.Run(ctx, part, rec, plan.RunOptions{Parallel: w.opts.Parallel, Shares: shares, Observer: w.opts.Observer}, w.do)
		if err != nil {
			return err
		}
	}
	return nil
}

// do makes one change.
func (w *writer) do(ctx context.Context, c plan.Change) (any, error) {
	switch c.Action {
	case ActionWait:
		list, err := decode[readyData](c)
		if err != nil {
			return nil, err
		}
		return w.waitReady(ctx, list)
	case ActionHook:
		return w.runHook(ctx, c)
	case ActionStart, ActionStop:
		return w.turn(ctx, c)
	}
	t, err := decode[task](c)
	if err != nil {
		return nil, err
	}
	switch c.Action {
	case ActionCreate:
		return w.create(ctx, t)
	case ActionUpdate:
		return w.update(ctx, c, t)
	case ActionDelete:
		return w.remove(ctx, t)
	}
	return nil, errors.New("the action is unknown to this version")
}

// resultOf counts what the recorder knows of a plan's changes.
func resultOf(p *plan.Plan, rec plan.Recorder) Result {
	var res Result
	for _, c := range p.Changes {
		raw, ok := rec.Done(c.ID)
		if !ok {
			continue
		}
		var out wrote
		if json.Unmarshal(raw, &out) != nil {
			continue // the outcome of a hook or a wait
		}
		switch out.Did {
		case didCreate:
			res.Created++
		case didUpdate:
			res.Updated++
		case didFind:
			res.Found++
			res.countFound(c.Action)
		case didDelete:
			res.Deleted++
		case didStart:
			res.Started++
		case didStop:
			res.Stopped++
		}
	}
	return res
}

// countFound counts a change that an earlier try made, and was killed before it could say so, for what it is.
func (r *Result) countFound(action plan.Action) {
	switch action {
	case ActionCreate:
		r.Created++
	case ActionUpdate:
		r.Updated++
	case ActionStart:
		r.Started++
	case ActionStop:
		r.Stopped++
	}
}

// shares lets creates have their intents in common: what is there already is found, not made twice.
func shares(c plan.Change) bool { return c.Action == ActionCreate }
