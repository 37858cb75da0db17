package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// stoppable are the kinds that a quiesce stops, in the order in which it does: what starts others first.
func stoppable() []schema.GroupKind {
	return []schema.GroupKind{
		{Group: "batch", Kind: "CronJob"}, {Group: "batch", Kind: "Job"},
		{Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "StatefulSet"},
		{Group: "apps", Kind: "ReplicaSet"}, {Kind: "ReplicationController"},
	}
}

// workload is one object that runs pods.
type workload struct {
	res kube.Resource
	obj *unstructured.Unstructured
}

func (w workload) String() string {
	return w.res.Kind + " " + w.obj.GetNamespace() + "/" + w.obj.GetName()
}

// suspends reports whether the workload is stopped by spec.suspend; the others are by spec.replicas.
func (w workload) suspends() bool { return w.res.Group == "batch" }

func (w workload) field() string {
	if w.suspends() {
		return "spec.suspend"
	}
	return "spec.replicas"
}

// original returns what a stop changes. A field that is absent and one that says 0 or false are told apart (K1).
func (w workload) original() Original {
	stopped := hook.Field{Path: []string{"spec", "replicas"}, Present: true, Value: int64(0)}
	if w.suspends() {
		stopped = hook.Field{Path: []string{"spec", "suspend"}, Present: true, Value: true}
	}
	fields := []hook.Field{stopped}
	return Original{
		Group: w.res.Group, Kind: w.res.Kind, Namespace: w.obj.GetNamespace(), Name: w.obj.GetName(), UID: string(w.obj.GetUID()),
		Fields: hook.FieldsOf(w.obj.Object, fields), Stopped: fields,
	}
}

func (w workload) isStopped() bool {
	o := w.original()
	return hook.Same(o.Fields, o.Stopped)
}

// world is what runs in an application's namespace.
type world struct {
	app    migration.Application
	assign *assigner
	// byUID holds everything that can own a pod.
	byUID map[string]workload
	// stop are the application's own workloads that can be stopped, in order.
	stop []workload
	// daemons cannot be stopped by a field.
	daemons []workload
	pods    []*unstructured.Unstructured
	scalers []scaler
}

func findWorkloads(ctx context.Context, opts FreezeOptions) (*world, error) {
	apps := opts.Applications
	if len(apps) == 0 {
		apps = []migration.Application{opts.App}
	}
	assign, err := newAssigner(apps)
	if err != nil {
		return nil, err
	}
	if len(assign.apps[opts.App.Namespace]) == 0 {
		return nil, fmt.Errorf("application %s is not among the migration's", opts.App.Name)
	}
	w := &world{app: opts.App, assign: assign, byUID: map[string]workload{}}
	for _, gk := range append(stoppable(), schema.GroupKind{Group: "apps", Kind: "DaemonSet"}) {
		err := w.each(ctx, opts, gk, func(found workload) {
			w.byUID[string(found.obj.GetUID())] = found
			if !w.mine(found.obj) || metav1.GetControllerOf(found.obj) != nil && builtinOwner(found.obj) {
				return
			}
			switch {
			case gk.Kind == "DaemonSet":
				w.daemons = append(w.daemons, found)
			case gk.Kind != "Job" || !finished(found.obj):
				w.stop = append(w.stop, found)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	err = w.each(ctx, opts, schema.GroupKind{Kind: "Pod"}, func(found workload) { w.pods = append(w.pods, found.obj) })
	if err != nil {
		return nil, err
	}
	w.scalers, err = findScalers(ctx, opts)
	return w, err
}

// each lists a kind in the application's namespace, if the cluster serves it.
func (w *world) each(ctx context.Context, opts FreezeOptions, gk schema.GroupKind, visit func(workload)) error {
	res, err := opts.Blue.ResourceFor(ctx, gk.Group, gk.Kind)
	if errors.Is(err, kube.ErrNotServed) {
		return nil
	}
	if err != nil {
		return err
	}
	for obj, err := range opts.Blue.List(ctx, res, w.app.Namespace, "") {
		if err != nil {
			return err
		}
		visit(workload{res: res, obj: obj})
	}
	return nil
}

// mine reports whether an object belongs to the application, by the rule of the export.
func (w *world) mine(obj *unstructured.Unstructured) bool {
	app, _ := w.assign.owner(obj.GetNamespace(), obj.GetLabels())
	return app.Name == w.app.Name
}

// toStop returns the workloads that run and that the application's way to stop writes concerns.
func (w *world) toStop(writes migration.Writes) []workload {
	return slices.DeleteFunc(slices.Clone(w.stop), func(one workload) bool {
		return one.isStopped() || writes != migration.WritesQuiesce && one.res.Kind != "CronJob"
	})
}

func builtinOwner(obj *unstructured.Unstructured) bool {
	owner := metav1.GetControllerOf(obj)
	if owner == nil {
		return false
	}
	group, _, found := strings.Cut(owner.APIVersion, "/")
	return !found || group == "apps" || group == "batch"
}

// finished reports whether a Job has completed or failed.
func finished(job *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(job.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(raw any) bool {
		c, ok := raw.(map[string]any)
		return ok && c["status"] == "True" && (c["type"] == "Complete" || c["type"] == "Failed")
	})
}

// root follows the controllers of an object as far as they are known, and names the last.
func (w *world) root(obj *unstructured.Unstructured) (uid, name string) {
	uid, name = string(obj.GetUID()), obj.GetKind()+" "+obj.GetName()
	for range 10 { // owners form a chain of a few links; more would be a ring
		owner := metav1.GetControllerOf(obj)
		if owner == nil {
			return uid, name
		}
		uid, name = string(owner.UID), owner.Kind+" "+owner.Name
		next, ok := w.byUID[uid]
		if !ok {
			return uid, name
		}
		obj = next.obj
	}
	return uid, name
}

func showFields(fields []hook.Field) string {
	parts := make([]string, 0, len(fields))
	for _, f := range fields {
		if !f.Present {
			parts = append(parts, strings.Join(f.Path, ".")+" absent")
			continue
		}
		raw, err := json.Marshal(f.Value)
		if err != nil {
			raw = []byte("unreadable")
		}
		parts = append(parts, strings.Join(f.Path, ".")+" "+string(raw))
	}
	return strings.Join(parts, ", ")
}
