package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// workloads are the kinds that run something. What a namespace that is deleted runs must have moved.
func workloads() []schema.GroupKind {
	return []schema.GroupKind{
		{Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "StatefulSet"}, {Group: "apps", Kind: "DaemonSet"}, {Group: "apps", Kind: "ReplicaSet"},
		{Group: "batch", Kind: "CronJob"}, {Group: "batch", Kind: "Job"}, {Kind: "ReplicationController"}, {Kind: "Pod"},
	}
}

// strangers lists the workloads of a namespace that the archive does not hold: somebody put them there since, and nobody moved them (I3).
func strangers(ctx context.Context, opts DestroyOptions, namespace string) ([]string, error) {
	var found []string
	for _, gk := range workloads() {
		r, err := opts.Blue.ResourceFor(ctx, gk.Group, gk.Kind)
		if err != nil {
			return nil, fmt.Errorf("look what runs in namespace %s: %w", namespace, err)
		}
		for obj, err := range opts.Blue.List(ctx, r, namespace, "") {
			if err != nil {
				return nil, fmt.Errorf("look what runs in namespace %s: %w", namespace, err)
			}
			if !opts.moved(gk, obj) {
				found = append(found, gk.Kind+" "+obj.GetName())
			}
		}
	}
	return found, nil
}

// moved reports whether a workload has moved, has ended, or goes with what is looked at itself.
func (o DestroyOptions) moved(gk schema.GroupKind, obj *unstructured.Unstructured) bool {
	labels, ns := obj.GetLabels(), obj.GetNamespace()
	switch {
	case obj.GetDeletionTimestamp() != nil, ended(obj):
		return true
	case ours(labels, o.Migration), labels[kube.LabelFront] != "", labels[kube.LabelComponent] != "":
		return true // made by a migration, to look at blue or to lead away from it
	case o.Archived[strings.Join([]string{gk.Group, gk.Kind, ns, obj.GetName()}, "/")]:
		return true
	}
	owner := metav1.GetControllerOf(obj)
	if owner == nil {
		return false
	}
	of := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind()
	id := func(in string) string { return strings.Join([]string{of.Group, of.Kind, in, owner.Name}, "/") }
	return slices.Contains(workloads(), of) || of == schema.GroupKind{Kind: "Node"} || o.Archived[id(ns)] || o.Archived[id("")]
}

// ended reports whether a Pod or a Job has done its work.
func ended(obj *unstructured.Unstructured) bool {
	phase, _, _ := unstructured.NestedString(obj.Object, "status", "phase")
	completed, _, _ := unstructured.NestedString(obj.Object, "status", "completionTime")
	conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	failed := slices.ContainsFunc(conditions, func(raw any) bool {
		c, ok := raw.(map[string]any)
		return ok && obj.GetKind() == "Job" && c["type"] == "Failed" && c["status"] == "True"
	})
	return phase == "Succeeded" || phase == "Failed" || completed != "" || failed
}
