package restore

import (
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/migration"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	storageAnnotation = "volume.beta.kubernetes.io/storage-class"
	ingressAnnotation = "kubernetes.io/ingress.class"
)

// A classRef is one class of green's platform that an object needs.
type classRef struct {
	kind, name string
}

// mapField maps the string of a field by a table of the migration file.
func mapField(at map[string]any, field string, table map[string]string) {
	if to, ok := table[digString(at, field)]; ok {
		at[field] = to
	}
}

// mapClasses gives classes their names on green.
func mapClasses(obj *unstructured.Unstructured, maps migration.Maps) {
	o := obj.Object
	for _, claim := range claimsOf(obj) {
		mapField(dig(claim, "spec"), "storageClassName", maps.StorageClasses)
		mapField(dig(claim, "metadata", "annotations"), storageAnnotation, maps.StorageClasses)
	}
	if obj.GetKind() == "Ingress" {
		mapField(dig(o, "spec"), "ingressClassName", maps.IngressClasses)
		mapField(dig(o, "metadata", "annotations"), ingressAnnotation, maps.IngressClasses)
	}
	podTemplates(obj, func(spec, _ map[string]any) {
		mapField(spec, "priorityClassName", maps.PriorityClasses)
		mapField(spec, "runtimeClassName", maps.RuntimeClasses)
		for _, volume := range digMaps(spec, "volumes") {
			mapField(dig(volume, "ephemeral", "volumeClaimTemplate", "spec"), "storageClassName", maps.StorageClasses)
		}
	})
	if obj.GetKind() == "ResourceQuota" {
		mapQuota(dig(o, "spec", "hard"), maps.StorageClasses)
	}
}

// mapQuota maps the limits that name a StorageClass: gold.storageclass.storage.k8s.io/requests.storage.
func mapQuota(hard map[string]any, classes map[string]string) {
	const suffix = ".storageclass.storage.k8s.io/"
	moved := map[string]any{}
	for name, limit := range hard {
		class, rest, ok := strings.Cut(name, suffix)
		if to, mapped := classes[class]; ok && mapped {
			delete(hard, name)
			moved[to+suffix+rest] = limit
		}
	}
	for name, limit := range moved {
		hard[name] = limit
	}
}

// claimsOf returns a claim itself, or the templates of claims that an object holds.
func claimsOf(obj *unstructured.Unstructured) []map[string]any {
	switch obj.GetKind() {
	case "PersistentVolumeClaim":
		return []map[string]any{obj.Object}
	case "StatefulSet":
		return digMaps(obj.Object, "spec", "volumeClaimTemplates")
	}
	return nil
}

// classesOf lists the classes that a mapped object needs on green. The name "" of a StorageClass or IngressClass stands for
// the cluster's default one.
func classesOf(obj *unstructured.Unstructured) []classRef {
	var refs []classRef
	add := func(kind, name string) {
		if ref := (classRef{kind, name}); !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	for _, claim := range claimsOf(obj) {
		name, given := dig(claim, "spec")["storageClassName"].(string)
		if old := digString(claim, "metadata", "annotations", storageAnnotation); !given && old != "" {
			name, given = old, true
		}
		if !given || name != "" { // the given name "" means: no class, a volume that somebody makes by hand
			add("StorageClass", name)
		}
	}
	if obj.GetKind() == "Ingress" {
		if name := ingressClass(obj); name != "" || digString(obj.Object, "metadata", "annotations", ingressAnnotation) == "" {
			add("IngressClass", name)
		}
	}
	podTemplates(obj, func(spec, _ map[string]any) {
		if name := digString(spec, "priorityClassName"); name != "" && !strings.HasPrefix(name, "system-") {
			add("PriorityClass", name)
		}
		if name := digString(spec, "runtimeClassName"); name != "" {
			add("RuntimeClass", name)
		}
	})
	return refs
}

// ingressClass is the class in the field; the older annotation is the controller's own affair and names no object.
func ingressClass(obj *unstructured.Unstructured) string {
	return digString(obj.Object, "spec", "ingressClassName")
}
