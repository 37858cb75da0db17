package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// undoLimit bounds the thaw that follows a failed freeze, which goes on when the caller has given up.
const undoLimit = 5 * time.Minute

// FreezeResult is what a freeze did.
type FreezeResult struct {
	App string `json:"app"`
	// Entered is when the first thing was asked to stop, Confirmed when it was proven that nothing writes any more.
	Entered   time.Time `json:"entered"`
	Confirmed time.Time `json:"confirmed"`
	// Stopped counts workloads, Hooks the hooks that were run.
	Stopped int `json:"stopped"`
	Hooks   int `json:"hooks"`
	// Waited is how long jobs and pods took to end.
	Waited time.Duration `json:"waited"`
}

// freezeOutcome is what one change of a freeze records.
type freezeOutcome struct {
	Began  time.Time      `json:"began"`
	Ended  time.Time      `json:"ended"`
	Hooks  []hook.Outcome `json:"hooks,omitempty"`
	Waited time.Duration  `json:"waited,omitempty"`
}

// again is a Recorder that has nothing as done: what a freeze or thaw does is cheap to find in place, and after a freeze that
// failed and was undone, a change that once succeeded must be made again.
type again struct{ plan.Recorder }

// Done implements plan.Recorder.
func (again) Done(string) (json.RawMessage, bool) { return nil, false }

// ApplyFreeze stops the application's writes on blue and proves it by trying one. Where that fails, everything is thawed again,
// and the error says so. Applied again when all of it is done, it changes nothing.
func ApplyFreeze(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts FreezeOptions) (FreezeResult, error) {
	if outcomes, ok := allDone(p, rec); ok {
		return freezeResult(opts, p, outcomes)
	}
	var outcomes []json.RawMessage
	err := plan.Run(ctx, p, again{rec}, plan.RunOptions{Observer: opts.Observer}, func(ctx context.Context, c plan.Change) (any, error) {
		out, err := applyOne(ctx, c, opts)
		if err == nil {
			outcomes = append(outcomes, plan.JSON(out))
		}
		return out, err
	})
	var refused *plan.RefusedError
	if errors.As(err, &refused) {
		return FreezeResult{}, err
	}
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
		defer cancel()
		if _, terr := Thaw(undo, p, rec, opts); terr != nil {
			return FreezeResult{}, fmt.Errorf("freeze %s: %w; taking it back failed too, so writes may be refused on blue: %w", opts.App.Name, err, terr)
		}
		return FreezeResult{}, fmt.Errorf("freeze %s: %w; it was taken back", opts.App.Name, err)
	}
	return freezeResult(opts, p, outcomes)
}

// allDone returns the outcomes of a freeze that is in force: every change was made, and none was taken back since.
func allDone(p *plan.Plan, rec plan.Recorder) ([]json.RawMessage, bool) {
	var outcomes []json.RawMessage
	for _, c := range p.Changes {
		raw, ok := rec.Done(c.ID)
		if _, thawed := rec.Done(thawID(c.ID)); !ok || thawed {
			return nil, false
		}
		outcomes = append(outcomes, raw)
	}
	return outcomes, true
}

func freezeResult(opts FreezeOptions, p *plan.Plan, outcomes []json.RawMessage) (FreezeResult, error) {
	result := FreezeResult{App: opts.App.Name}
	for i, raw := range outcomes {
		var o freezeOutcome
		if err := json.Unmarshal(raw, &o); err != nil {
			return FreezeResult{}, fmt.Errorf("read the outcome of %s: %w", p.Changes[i].ID, err)
		}
		if i == 0 {
			result.Entered = o.Began
		}
		result.Confirmed = o.Ended
		result.Hooks += len(o.Hooks)
		result.Waited += o.Waited
		if a := p.Changes[i].Action; a == ActionScale || a == ActionSuspend {
			result.Stopped++
		}
	}
	return result, nil
}

func applyOne(ctx context.Context, c plan.Change, opts FreezeOptions) (freezeOutcome, error) {
	var d freezeData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return freezeOutcome{}, fmt.Errorf("read the plan: %w", err)
	}
	out := freezeOutcome{Began: opts.clock().Now().UTC()}
	var err error
	switch {
	case d.Workload != nil:
		err = setFields(ctx, opts.Blue, c.ID, *d.Workload, d.Workload.Fields, d.Workload.Stopped)
	case d.Await != nil:
		out.Waited, err = waitEnded(ctx, opts, *d.Await)
	default:
		out.Hooks, err = enter(ctx, c, opts, d)
	}
	out.Ended = opts.clock().Now().UTC()
	return out, err
}

// enter runs the hooks and tries a write.
func enter(ctx context.Context, c plan.Change, opts FreezeOptions, d freezeData) ([]hook.Outcome, error) {
	run := opts.runner()
	var outcomes []hook.Outcome
	for _, h := range d.Hooks {
		if h.Enter >= len(opts.App.Freeze.Enter) {
			return nil, &plan.MovedError{Change: c.ID, What: "the number of hooks in freeze.enter", Was: "larger", Now: fmt.Sprint(len(opts.App.Freeze.Enter))}
		}
		declared := opts.App.Freeze.Enter[h.Enter]
		if h.Original != nil {
			if err := stillOriginal(ctx, run, c.ID, declared, *h.Original); err != nil {
				return nil, err
			}
		}
		out, err := run.Run(ctx, declared)
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, out)
	}
	return outcomes, run.Probe(ctx, *opts.App.Freeze.Probe)
}

// stillOriginal refuses a patch whose fields are neither as planned nor as the patch sets them.
func stillOriginal(ctx context.Context, run hook.Runner, id string, h migration.Hook, was Original) error {
	now, err := run.Before(ctx, h)
	if err != nil || hook.Same(now.Replaced, was.Fields) {
		return err
	}
	applied, err := run.Applied(ctx, h)
	if err != nil || applied {
		return err
	}
	return &plan.MovedError{Change: id, What: was.String(), Was: showFields(was.Fields), Now: showFields(now.Replaced)}
}

// setTries bounds how often a write is tried again when the object changes between reading and writing.
const setTries = 10

// setFields brings fields of an object from one state to another, and does nothing where it is there already. A third state
// is somebody else's, and refused.
func setFields(ctx context.Context, client *kube.Client, id string, o Original, from, to []hook.Field) error {
	res, err := client.ResourceFor(ctx, o.Group, o.Kind)
	if err != nil {
		return err
	}
	at := client.At(res, o.Namespace)
	for range setTries {
		obj, err := at.Get(ctx, o.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if string(obj.GetUID()) != o.UID {
			return &plan.MovedError{Change: id, What: o.String() + "'s uid", Was: o.UID, Now: string(obj.GetUID())}
		}
		now := hook.FieldsOf(obj.Object, to)
		if hook.Same(now, to) {
			return nil
		}
		if !hook.Same(now, from) {
			return &plan.MovedError{Change: id, What: o.String(), Was: showFields(from), Now: showFields(now)}
		}
		err = patchFields(ctx, at, obj, to)
		if !apierrors.IsConflict(err) {
			return err
		}
	}
	return fmt.Errorf("%s changed under us %d times in a row: something else writes to it all the time", o, setTries)
}

// patchFields sends only the fields, on the condition that the object is the one that was read. An absent field is sent as
// null, which is how a merge patch removes it.
func patchFields(ctx context.Context, at dynamic.ResourceInterface, obj *unstructured.Unstructured, to []hook.Field) error {
	patch := map[string]any{"metadata": map[string]any{"resourceVersion": obj.GetResourceVersion(), "uid": string(obj.GetUID())}}
	for _, f := range to {
		value := f.Value
		if !f.Present {
			value = nil
		}
		if err := unstructured.SetNestedField(patch, value, f.Path...); err != nil {
			return err
		}
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = at.Patch(ctx, obj.GetName(), types.MergePatchType, body, metav1.PatchOptions{})
	return err
}
