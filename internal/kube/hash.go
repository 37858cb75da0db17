package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Hash returns the SHA-256, in hexadecimal, of an object's canonical JSON without what its server owns: status, uid,
// resourceVersion, generation, selfLink, times, managedFields, the Deployment's revision, and Crossfade's own label and
// annotation. Two objects with one hash ask for the same thing.
//
// The hash has no key: that of a Secret never leaves the cluster that holds the Secret (K20).
func Hash(obj *unstructured.Unstructured) string {
	raw, err := json.Marshal(Canonical(obj).Object)
	if err != nil {
		// An unstructured object came from JSON and holds nothing else.
		panic(fmt.Sprintf("object %s/%s cannot be marshalled: %v", obj.GetNamespace(), obj.GetName(), err))
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Canonical returns a copy of an object without what its server owns, as Hash sees it.
func Canonical(obj *unstructured.Unstructured) *unstructured.Unstructured {
	out := obj.DeepCopy()
	delete(out.Object, "status")
	meta, ok := out.Object["metadata"].(map[string]any)
	if !ok {
		return out
	}
	for _, field := range []string{
		"uid", "resourceVersion", "generation", "selfLink", "managedFields",
		"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
	} {
		delete(meta, field)
	}
	dropKeys(meta, "annotations", AnnotationContent, "deployment.kubernetes.io/revision")
	dropKeys(meta, "labels", LabelMigration)
	return out
}

// dropKeys removes keys of a map in the metadata, and the map with its last key.
func dropKeys(meta map[string]any, field string, keys ...string) {
	m, ok := meta[field].(map[string]any)
	if !ok {
		return
	}
	for _, k := range keys {
		delete(m, k)
	}
	if len(m) == 0 {
		delete(meta, field)
	}
}
