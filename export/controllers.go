package export

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// scaler is an object that sets the replicas of a workload.
type scaler struct{ name, targetKind, targetName, mend string }

// findScalers lists the autoscalers of the application's namespace that are at work.
func findScalers(ctx context.Context, opts FreezeOptions) ([]scaler, error) {
	var out []scaler
	kinds := []struct {
		gk   schema.GroupKind
		mend string
	}{
		{schema.GroupKind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}, "delete it for the time of the switch, or freeze by hooks instead of a quiesce"},
		{schema.GroupKind{Group: "keda.sh", Kind: "ScaledObject"}, "annotate it with autoscaling.keda.sh/paused: \"true\" for the time of the switch"},
	}
	for _, k := range kinds {
		res, err := opts.Blue.ResourceFor(ctx, k.gk.Group, k.gk.Kind)
		if errors.Is(err, kube.ErrNotServed) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for obj, err := range opts.Blue.List(ctx, res, opts.App.Namespace, "") {
			if apierrors.IsServiceUnavailable(err) || apierrors.IsNotFound(err) {
				break // its API is gone, and its controller with it
			}
			if err != nil {
				return nil, err
			}
			if s, ok := scalerOf(obj, k.mend); ok {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

func scalerOf(obj *unstructured.Unstructured, mend string) (scaler, bool) {
	for _, key := range []string{"autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"} {
		if v, ok := obj.GetAnnotations()[key]; ok && v != "false" {
			return scaler{}, false
		}
	}
	kind, found, _ := unstructured.NestedString(obj.Object, "spec", "scaleTargetRef", "kind")
	if !found || kind == "" {
		kind = "Deployment" // what KEDA takes when none is given
	}
	name, _, _ := unstructured.NestedString(obj.Object, "spec", "scaleTargetRef", "name")
	return scaler{name: obj.GetKind() + " " + obj.GetNamespace() + "/" + obj.GetName(), targetKind: kind, targetName: name, mend: mend}, name != ""
}

// refuseUnsafe refuses to stop a workload that something would start again (K3) or whose data a stop deletes (K4).
func refuseUnsafe(p *plan.Plan, found *world, w workload) {
	for _, s := range found.scalers {
		if s.targetKind == w.res.Kind && s.targetName == w.obj.GetName() {
			p.Refuse(w.String(), s.name+" would scale it up again", s.mend)
		}
	}
	if owner := metav1.GetControllerOf(w.obj); owner != nil {
		p.Refuse(w.String(), fmt.Sprintf("the operator of %s %s (%s) would start it again", owner.Kind, owner.Name, owner.APIVersion),
			"stop it by its operator: declare writes: freeze with hooks that do so")
	}
	if who, mend := kube.GitOps(w.obj); who != "" {
		p.Refuse(w.String(), who+" would put its spec back", mend+", or freeze by hooks")
	}
	if policy, _, _ := unstructured.NestedString(w.obj.Object, "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"); policy == "Delete" {
		p.Refuse(w.String(), "persistentVolumeClaimRetentionPolicy.whenScaled is Delete: scaling it to 0 deletes its volumes' data",
			`set it to Retain: kubectl patch statefulset `+w.obj.GetName()+` -n `+w.obj.GetNamespace()+` -p '{"spec":{"persistentVolumeClaimRetentionPolicy":{"whenScaled":"Retain"}}}'`)
	}
}

// refuseRest refuses a quiesce that would leave something of the application running.
func (w *world) refuseRest(p *plan.Plan) {
	for _, d := range w.daemons {
		p.Refuse(d.String(), "a DaemonSet cannot be stopped without deleting it", "declare writes: freeze with a hook for it, or give it to an application of its own with writes: none")
	}
	var named []string
	for _, pod := range w.pods {
		phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
		if !w.mine(pod) || phase == "Succeeded" || phase == "Failed" {
			continue
		}
		uid, name := w.root(pod)
		is := func(one workload) bool { return string(one.obj.GetUID()) == uid }
		if slices.ContainsFunc(w.stop, is) || slices.ContainsFunc(w.daemons, is) || slices.Contains(named, name) {
			continue
		}
		named = append(named, name)
		why, mend := "it is run by "+name+", which a quiesce cannot stop", "declare writes: freeze with a hook, or stop it by its own means before the switch"
		if _, known := w.byUID[uid]; known {
			why, mend = "it is run by "+name+", whose own labels the application's selector does not match", "give "+name+" the labels of its pods"
		}
		p.Refuse("Pod "+pod.GetNamespace()+"/"+pod.GetName(), why, mend)
	}
}
