package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// ThawResult is what a thaw did.
type ThawResult struct {
	App string `json:"app"`
	// Restored counts the changes whose objects are as they were.
	Restored int `json:"restored"`
}

// Thaw takes a freeze back, from its plan alone: every spec is as it was, byte for byte (I6), however much of the freeze was
// made, and whether or not its outcome was recorded (K2). It takes back as much as it can: one object that somebody else has
// changed since does not keep the others frozen, and is named in the error. Without a plan there is nothing to take back.
func Thaw(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts FreezeOptions) (ThawResult, error) {
	result := ThawResult{App: opts.App.Name}
	if p == nil {
		return result, nil // nothing was planned, so nothing was changed
	}
	var failed []error
	for _, c := range slices.Backward(p.Changes) {
		if c.Reverse == nil {
			continue
		}
		one := plan.New(p.Migration, p.Stage)
		one.Add(plan.Change{
			ID: thawID(c.ID), Action: ActionThaw, Target: c.Target, App: c.App,
			Why: "the freeze is taken back: " + c.Reverse.How, Data: c.Data,
		})
		patched := patchedBy(rec, c.ID)
		err := plan.Run(ctx, one, again{rec}, plan.RunOptions{Observer: opts.Observer}, func(ctx context.Context, c plan.Change) (any, error) {
			return struct{}{}, thawOne(ctx, c, opts, patched)
		})
		if err != nil {
			failed = append(failed, err)
			continue
		}
		result.Restored++
	}
	if err := errors.Join(failed...); err != nil {
		return result, fmt.Errorf("thaw %s: %w", opts.App.Name, err)
	}
	return result, nil
}

func thawID(changeID string) string { return changeID + "/" + string(ActionThaw) }

func thawOne(ctx context.Context, c plan.Change, opts FreezeOptions, patched []hook.Outcome) error {
	var d freezeData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	if d.Workload == nil {
		return leave(ctx, opts, d, patched)
	}
	err := setFields(ctx, opts.Blue, c.ID, *d.Workload, d.Workload.Stopped, d.Workload.Fields)
	if apierrors.IsNotFound(err) && d.Workload.Kind == "Job" {
		return nil // a Job may have been cleaned up after its time
	}
	return err
}

// leave puts back what patches replaced, then runs the hooks of freeze.leave. A leaving patch of an object that was just put
// back is not run: it could only change what is as it was.
func leave(ctx context.Context, opts FreezeOptions, d freezeData, patched []hook.Outcome) error {
	f := opts.App.Freeze
	if f == nil {
		return errors.New("the application declares no freeze any more, so it is not known how to leave it: put freeze back into the migration file")
	}
	run := opts.runner()
	var failed []error
	var undone []Original
	for _, h := range slices.Backward(d.Hooks) {
		if h.Original == nil || h.Enter >= len(f.Enter) {
			continue
		}
		undone = append(undone, *h.Original)
		was := hook.Outcome{Replaced: h.Original.Fields}
		if h.Enter < len(patched) {
			was.Set = patched[h.Enter].Set
		}
		failed = append(failed, run.Undo(ctx, f.Enter[h.Enter], was))
	}
	for _, h := range f.Leave {
		if h.Patch != nil && slices.ContainsFunc(undone, func(o Original) bool { return sameObject(o, *h.Patch) }) {
			continue
		}
		if _, err := run.Run(ctx, h); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", hook.Describe(h), err))
		}
	}
	return errors.Join(failed...)
}

// patchedBy returns what the hooks of a change did, where that was recorded: the plan alone is enough to take them back,
// but only the outcome tells how the server wrote down what a patch set.
func patchedBy(rec plan.Recorder, id string) []hook.Outcome {
	raw, ok := rec.Done(id)
	if !ok {
		return nil
	}
	var o freezeOutcome
	if json.Unmarshal(raw, &o) != nil {
		return nil
	}
	return o.Hooks
}

func sameObject(o Original, p migration.PatchHook) bool {
	return o.Group == p.Group && o.Kind == p.Kind && o.Name == p.Name
}
