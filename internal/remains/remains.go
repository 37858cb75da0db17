package remains

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of this package's plans.
const (
	ActionUnmark plan.Action = "unmark"
	ActionDelete plan.Action = "delete"
)

// prefix begins every label and annotation of Crossfade.
const prefix = "crossfade.dev/"

// unseen begins the text of each note about what could not be looked at.
const unseen = "it was not looked at: "

// parallel is how many objects are written at once.
const parallel = 8

// Options say where to look. All but Keep and Observer are needed.
type Options struct {
	Migration   string
	Stage       string
	Blue, Green *kube.Client
	// HelperNamespace is where pods look at blue's nodes, LeaseNamespace where its lease is.
	HelperNamespace, LeaseNamespace string
	// Keep is the name of a lease that is held now.
	Keep     string
	Observer plan.Observer
}

// Result counts what was done.
type Result struct {
	Unmarked int `json:"unmarked"`
	Deleted  int `json:"deleted"`
	// Unseen are the kinds that could not be looked at, each with its side: something may be left there.
	Unseen []string `json:"unseen,omitempty"`
}

// target is what one change needs.
type target struct {
	Side      string                      `json:"side"`
	Resource  schema.GroupVersionResource `json:"resource"`
	Namespace string                      `json:"namespace,omitempty"`
	Name      string                      `json:"name"`
	UID       string                      `json:"uid"`
	// Labels and Annotations are the keys that are taken away.
	Labels      []string `json:"labels,omitempty"`
	Annotations []string `json:"annotations,omitempty"`
}

// Plan finds what is left. It changes nothing. What it may not look at is noted, not passed over in silence.
func Plan(ctx context.Context, opts Options) (*plan.Plan, error) {
	p := plan.New(opts.Migration, opts.Stage)
	served, dead, err := opts.Green.Resources(ctx)
	if err != nil {
		return nil, fmt.Errorf("find what green serves: %w", err)
	}
	for _, d := range dead {
		p.Note(plan.Warning, "green: "+d.GroupVersion, unseen+"it does not answer: "+d.Why)
	}
	for _, r := range served {
		if r.Can("list") && r.Can("patch") {
			if err := opts.find(ctx, p, "green", r, ""); err != nil {
				return nil, err
			}
		}
	}
	for _, at := range []struct{ group, kind, namespace string }{{"", "Pod", opts.HelperNamespace}, {"coordination.k8s.io", "Lease", opts.LeaseNamespace}} {
		r, err := opts.Blue.ResourceFor(ctx, at.group, at.kind)
		if err != nil {
			return nil, fmt.Errorf("find what blue serves: %w", err)
		}
		if err := opts.find(ctx, p, "blue", r, at.namespace); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (o Options) find(ctx context.Context, p *plan.Plan, side string, r kube.Resource, namespace string) error {
	client := o.client(side)
	may := map[string]bool{} // by namespace
	for obj, err := range client.List(ctx, r, namespace, kube.LabelMigration+"="+o.Migration) {
		if apierrors.IsForbidden(err) || apierrors.IsMethodNotSupported(err) {
			p.Note(plan.Warning, side+": "+r.String(), unseen+err.Error())
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for what is left on %s: %w", side, err)
		}
		at := obj.GetNamespace()
		if _, asked := may[at]; side == "green" && !asked { // what is listed everywhere may not be this account's to change
			var why string
			if may[at], why, err = client.Allowed(ctx, "patch", r, at); err != nil {
				return err
			}
			if !may[at] {
				p.Note(plan.Warning, side+": "+r.String(), strings.TrimSuffix(unseen+"this account may not change it in "+at+": "+why, ": "))
			}
		}
		if side == "green" && !may[at] {
			continue
		}
		o.add(p, side, r, obj)
	}
	return nil
}

// add decides about one object that bears the migration's name.
//
//	made to look or to hold a lease   │ delete
//	the printed roles                 │ nothing: an administrator has applied them, and this account works under them
//	what leads requests to green      │ nothing: users come that way
//	on green otherwise                │ unmark
//	on blue otherwise                 │ nothing: Crossfade makes nothing else there
func (o Options) add(p *plan.Plan, side string, r kube.Resource, obj *unstructured.Unstructured) {
	t := target{Side: side, Resource: r.GroupVersionResource, Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: string(obj.GetUID())}
	name := r.Kind + " " + strings.TrimPrefix(t.Namespace+"/"+t.Name, "/")
	component := obj.GetLabels()[kube.LabelComponent]
	lease := r.Kind == "Lease" && r.Group == "coordination.k8s.io"
	c := plan.Change{
		ID: fmt.Sprintf("%s/%s/%s/%s@%s", o.Stage, side, r.String(), strings.TrimPrefix(t.Namespace+"/"+t.Name, "/"), t.UID), Target: side + ": " + name,
		ReliesOn: []plan.Reliance{{What: "uid of " + name, Is: t.UID}},
	}
	switch {
	case lease && side == "blue" && t.Name == o.Keep, component == kube.ComponentRights, component == kube.ComponentEntry:
		return
	case lease, component != "":
		c.Action, c.Why = ActionDelete, "a run that was killed has left it; it has served its turn, so there is nothing to take back"
	case side == "green":
		t.Labels, t.Annotations = ours(obj.GetLabels()), ours(obj.GetAnnotations())
		c.Action, c.Why = ActionUnmark, "the migration is over: the object stays as it is, and no longer bears the migration's name"
		c.Reverse = &plan.Reverse{Action: "mark", How: "set the labels and annotations again", Data: plan.JSON(map[string]any{"labels": only(obj.GetLabels()), "annotations": only(obj.GetAnnotations())})}
	default:
		return
	}
	c.Data = plan.JSON(t)
	p.Add(c)
}

func only(all map[string]string) map[string]string {
	kept := map[string]string{}
	for _, k := range ours(all) {
		kept[k] = all[k]
	}
	return kept
}

func ours(all map[string]string) []string {
	var keys []string
	for k := range all {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func (o Options) client(side string) *kube.Client {
	if side == "blue" {
		return o.Blue
	}
	return o.Green
}

// Apply takes away what the plan found.
func Apply(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts Options) (Result, error) {
	err := plan.Run(ctx, p, rec, plan.RunOptions{Parallel: parallel, Observer: opts.Observer}, func(ctx context.Context, c plan.Change) (any, error) {
		var t target
		if err := json.Unmarshal(c.Data, &t); err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		return struct{}{}, opts.apply(ctx, c, t)
	})
	var result Result
	for _, c := range p.Changes {
		if _, done := rec.Done(c.ID); done && c.Action == ActionUnmark {
			result.Unmarked++
		} else if done {
			result.Deleted++
		}
	}
	for _, n := range p.Notes {
		if strings.HasPrefix(n.Text, unseen) && !slices.Contains(result.Unseen, n.What) {
			result.Unseen = append(result.Unseen, n.What)
		}
	}
	return result, err
}

// apply makes one change. An object that is gone, or is another by now, needs none.
func (o Options) apply(ctx context.Context, c plan.Change, t target) error {
	at := o.client(t.Side).Dynamic.Resource(t.Resource).Namespace(t.Namespace)
	live, err := at.Get(ctx, t.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && string(live.GetUID()) != t.UID {
		return nil
	}
	if err != nil {
		return err
	}
	if live.GetLabels()[kube.LabelMigration] != o.Migration {
		return nil // an earlier try did it, or somebody else has taken it over: it is not ours any more
	}
	if c.Action == ActionDelete {
		uid := types.UID(t.UID)
		err = at.Delete(ctx, t.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	} else {
		_, err = at.Patch(ctx, t.Name, types.MergePatchType, plan.JSON(map[string]any{"metadata": map[string]any{
			"uid": t.UID, "labels": nulls(t.Labels), "annotations": nulls(t.Annotations),
		}}), metav1.PatchOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func nulls(keys []string) map[string]any {
	m := map[string]any{}
	for _, k := range keys {
		m[k] = nil
	}
	return m
}
