package restore

import (
	"context"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/internal/kube"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A view is what green serves, and will serve once the archive's CRDs are there.
type view struct {
	client *kube.Client
	served map[schema.GroupKind]kube.Resource
	dead   []kube.DeadGroup
	coming map[schema.GroupKind]bool
}

func look(ctx context.Context, client *kube.Client) (*view, error) {
	resources, dead, err := client.Resources(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what green serves: %w", err)
	}
	v := &view{client: client, served: map[schema.GroupKind]kube.Resource{}, dead: dead, coming: map[schema.GroupKind]bool{}}
	for _, r := range resources {
		v.served[schema.GroupKind{Group: r.Group, Kind: r.Kind}] = r
	}
	return v, nil
}

// expect adds the kind that a CRD of the archive will bring, unless green serves it already.
func (v *view) expect(crd *unstructured.Unstructured) {
	spec := dig(crd.Object, "spec")
	gk := schema.GroupKind{Group: digString(spec, "group"), Kind: digString(spec, "names", "kind")}
	if _, ok := v.served[gk]; ok {
		return
	}
	var versions []string
	for _, version := range digMaps(spec, "versions") {
		if !digBool(version, "served") {
			continue
		}
		if name := digString(version, "name"); digBool(version, "storage") {
			versions = slices.Insert(versions, 0, name)
		} else {
			versions = append(versions, name)
		}
	}
	if len(versions) == 0 {
		return
	}
	v.coming[gk] = true
	v.served[gk] = kube.Resource{
		GroupVersionResource: schema.GroupVersionResource{Group: gk.Group, Version: versions[0], Resource: digString(spec, "names", "plural")},
		Kind:                 gk.Kind, Namespaced: digString(spec, "scope") == "Namespaced", Versions: versions,
		Verbs: []string{"create", "delete", "get", "list", "patch", "update", "watch"},
	}
}

// versions lists those in which green serves a kind, the preferred one first.
func (v *view) versions(group, kind string) []string {
	return v.served[schema.GroupKind{Group: group, Kind: kind}].Versions
}

// resource returns how an object of a version is addressed on green.
func (v *view) resource(obj *unstructured.Unstructured) (kube.Resource, bool) {
	gvk := obj.GroupVersionKind()
	r, ok := v.served[gvk.GroupKind()]
	return r.In(gvk.Version), ok
}

// A place is one kind in one namespace.
type place struct {
	resource  schema.GroupVersionResource
	namespace string
}

// live reads what green has in the places where the objects go. A kind that is still to come has none.
func (v *view) live(ctx context.Context, objects []*unstructured.Unstructured, parallel int) (map[key]*unstructured.Unstructured, error) {
	places := map[place]kube.Resource{}
	for _, obj := range objects {
		if r, ok := v.resource(obj); ok && !v.coming[obj.GroupVersionKind().GroupKind()] {
			places[place{r.GroupVersionResource, obj.GetNamespace()}] = r
		}
	}
	type found struct {
		at   place
		objs []*unstructured.Unstructured
	}
	results := make(chan found, len(places))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for at, r := range places {
		group.Go(func() error {
			f := found{at: at}
			for obj, err := range v.client.List(gctx, r, at.namespace, "") {
				if err != nil {
					return fmt.Errorf("read green: %w", err)
				}
				f.objs = append(f.objs, obj)
			}
			results <- f
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	close(results)
	out := map[key]*unstructured.Unstructured{}
	for f := range results {
		for _, obj := range f.objs {
			out[keyOf(obj)] = obj
		}
	}
	return out, nil
}

// ours reports whether an object was made, or adopted, by a migration.
func ours(obj *unstructured.Unstructured, name string) bool {
	return obj.GetLabels()[kube.LabelMigration] == name
}

func contentOf(obj *unstructured.Unstructured) string {
	return obj.GetAnnotations()[kube.AnnotationContent]
}
