package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// outcome is what a change did: created, adopted, retained, deleted or found.
type outcome struct {
	Did string `json:"did"`
	UID string `json:"uid,omitempty"`
}

const (
	didCreate = "created"
	didAdopt  = "adopted"
	didRetain = "retained"
	didDelete = "deleted"
	didFind   = "found"
)

// Apply makes the changes of a plan of Plan. A namespace that is there as planned counts as made when it is ours; a foreign
// one gives a *plan.MovedError.
func Apply(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts Options) (Result, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return Result{}, err
	}
	err = plan.Run(ctx, p, rec, plan.RunOptions{Observer: opts.Observer}, func(ctx context.Context, c plan.Change) (any, error) {
		data, err := decode[namespaceData](c)
		if err != nil {
			return nil, err
		}
		switch c.Action {
		case ActionCreate:
			return create(ctx, opts, c, data)
		case ActionAdopt:
			return adopt(ctx, opts, c, data)
		}
		return nil, errUnknown
	})
	if err != nil {
		return count(p, rec), fmt.Errorf("provision: %w", err)
	}
	return count(p, rec), nil
}

func decode[T any](c plan.Change) (T, error) {
	var v T
	if err := json.Unmarshal(c.Data, &v); err != nil {
		return v, fmt.Errorf("read the data of change %s: %w", c.ID, err)
	}
	return v, nil
}

func create(ctx context.Context, opts Options, c plan.Change, data namespaceData) (outcome, error) {
	ns := manifest(data, opts.Migration)
	at := opts.Green.Typed.CoreV1().Namespaces()
	made, err := at.Create(ctx, ns, metav1.CreateOptions{FieldManager: "crossfade"})
	if err == nil {
		return outcome{didCreate, string(made.UID)}, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return outcome{}, fmt.Errorf("make it: %w", err)
	}
	live, err := at.Get(ctx, data.Name, metav1.GetOptions{})
	if err != nil {
		return outcome{}, fmt.Errorf("read what is there already: %w", err)
	}
	if !ours(live.Labels, opts.Migration) || live.DeletionTimestamp != nil {
		return outcome{}, &plan.MovedError{Change: c.ID, What: "Namespace " + data.Name + " on green", Was: "absent", Now: "there, and not ours to use"}
	}
	return outcome{didFind, string(live.UID)}, nil
}

func manifest(data namespaceData, migration string) *corev1.Namespace {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: data.Name, Labels: map[string]string{}, Annotations: data.Annotations}}
	maps.Copy(ns.Labels, data.Labels)
	ns.Labels[kube.LabelMigration] = migration
	return ns
}

// Manifest is the namespace that a run would make on green for one of blue's.
func Manifest(was *corev1.Namespace, green, migration string) *corev1.Namespace {
	return manifest(namespaceData{Name: green, Labels: copied(was.Labels), Annotations: copied(was.Annotations)}, migration)
}

func adopt(ctx context.Context, opts Options, c plan.Change, data namespaceData) (outcome, error) {
	at := opts.Green.Typed.CoreV1().Namespaces()
	live, err := at.Get(ctx, data.Name, metav1.GetOptions{})
	if err != nil {
		return outcome{}, fmt.Errorf("read it: %w", err)
	}
	if string(live.UID) != data.UID || live.DeletionTimestamp != nil {
		return outcome{}, &plan.MovedError{Change: c.ID, What: "uid of Namespace " + data.Name, Was: data.UID, Now: string(live.UID)}
	}
	if ours(live.Labels, opts.Migration) {
		return outcome{didFind, data.UID}, nil
	}
	if other := live.Labels[kube.LabelMigration]; other != "" {
		return outcome{}, &plan.MovedError{Change: c.ID, What: "label of Namespace " + data.Name, Was: "no migration's", Now: other}
	}
	patch := plan.JSON(map[string]any{"metadata": map[string]any{"uid": data.UID, "labels": map[string]string{kube.LabelMigration: opts.Migration}}})
	if _, err := at.Patch(ctx, data.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "crossfade"}); err != nil {
		return outcome{}, fmt.Errorf("label it: %w", err)
	}
	return outcome{didAdopt, data.UID}, nil
}

// count sums what the recorder knows of a plan's changes.
func count(p *plan.Plan, rec plan.Recorder) Result {
	var res Result
	for _, c := range p.Changes {
		raw, ok := rec.Done(c.ID)
		var out outcome
		if !ok || json.Unmarshal(raw, &out) != nil {
			continue
		}
		switch out.Did {
		case didCreate:
			res.Created++
		case didAdopt:
			res.Adopted++
		case didRetain:
			res.Retained++
		case didDelete:
			res.Deleted++
		case didFind:
			res.Found++
		}
	}
	return res
}
