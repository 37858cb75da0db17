package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// rested is the outcome of a hook of a stop in whose place workloads were put to rest.
type rested struct {
	Rested []string `json:"rested"`
	// Because is what the hook met.
	Because string `json:"because"`
}

// restable lists the workloads of an application that can be put to rest in place of a hook, or none where one of them
// cannot: then nothing but the hook shows that green stopped.
func (pl *planner) restable(app string) []target {
	var out []target
	for _, it := range pl.cargo.items {
		live := pl.live[it.key]
		if it.entry.App != app || live == nil || !isWorkload(it.key) {
			continue
		}
		r, served := pl.view.resource(it.running)
		if _, ok := leverOf(it.key); !ok || !served || !ours(live, pl.opts.Migration) {
			return nil
		}
		out = append(out, targetOf(r, live))
	}
	return out
}

// restInstead stops an application whose pods cannot be asked to write no more. Green is often left because its pods are
// gone or answer nobody: blue must not stay frozen for that. That no pod is left is proof enough (I7).
func (w *writer) restInstead(ctx context.Context, data hookData, cause error) (rested, error) {
	w.opts.Log.WarnContext(ctx, "green's pods could not be asked to stop writing, so they are stopped", "app", data.App, "because", cause.Error())
	out := rested{Because: cause.Error()}
	var gone []watched
	for _, t := range data.Rest {
		if err := w.rest(ctx, t); err != nil {
			return out, errors.Join(fmt.Errorf("run the hook: %w", cause), fmt.Errorf("put %s to rest in its stead: %w", t.key(), err))
		}
		out.Rested = append(out.Rested, t.key().String())
		gone = append(gone, watched{Target: t, Gone: true})
	}
	if _, err := w.waitReady(ctx, readyData{Objects: gone}); err != nil {
		return out, errors.Join(fmt.Errorf("run the hook: %w", cause), err)
	}
	return out, nil
}

// rest scales one workload to 0. What is gone rests already.
func (w *writer) rest(ctx context.Context, t target) error {
	l, _ := leverOf(t.key())
	at := w.opts.Green.At(t.resource(), t.Namespace)
	live, err := at.Get(ctx, t.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read it: %w", err)
	case !ours(live, w.opts.Migration):
		return &plan.MovedError{Change: t.key().String(), What: t.key().String() + " on green", Was: "this migration's", Now: describe(live, w.opts.Migration)}
	case resting(l, live):
		return nil
	}
	spec := map[string]any{l.field: l.off}
	if digString(live.Object, "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled") == "Delete" {
		spec["persistentVolumeClaimRetentionPolicy"] = map[string]any{"whenScaled": "Retain"}
	}
	_, err = retry(ctx, w.opts, func() (*unstructured.Unstructured, error) {
		return at.Patch(ctx, t.Name, types.MergePatchType, plan.JSON(map[string]any{"spec": spec}), metav1.PatchOptions{FieldManager: "crossfade"})
	})
	if err != nil {
		return fmt.Errorf("set its %s: %w", l.field, err)
	}
	return nil
}

// wake plans to run a workload that rests although its application waits for its turn running: a stop put it to rest when
// its pods answered nobody, and whoever tries again has mended them.
func (pl *planner) wake(it *item, live *unstructured.Unstructured) bool {
	l, ok := leverOf(it.key)
	want := dig(it.running.Object, "spec")[l.field]
	if !ok || l.jobs || pl.opts.darkOf(it.entry.App) != migration.DarkReadOnly || !resting(l, live) || sameState(l, want, l.off) {
		return false
	}
	pl.turnChange(it, live, ActionStart, turnData{Level: lastLevel - 1, Field: l.field, Value: want},
		"it rests, and its application waits for its turn in a read-only mode", "put it to rest again")
	return true
}
