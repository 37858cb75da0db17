package restore

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// key names one object by what it is rather than by the version in which it is served.
type key struct {
	Group, Kind, Namespace, Name string
}

func keyOf(obj *unstructured.Unstructured) key {
	return key{obj.GroupVersionKind().Group, obj.GetKind(), obj.GetNamespace(), obj.GetName()}
}

// String names the object as a person would: "Deployment shop/web".
func (k key) String() string {
	if k.Namespace == "" {
		return k.Kind + " " + k.Name
	}
	return k.Kind + " " + k.Namespace + "/" + k.Name
}

// path is the object's part of a change's ID.
func (k key) path() string {
	group := k.Group
	if group == "" {
		group = "core"
	}
	parts := []string{group, k.Kind, k.Namespace, k.Name}
	if k.Namespace == "" {
		parts = []string{group, k.Kind, k.Name}
	}
	return strings.Join(parts, "/")
}

func (k key) is(group string, kinds ...string) bool {
	return k.Group == group && slices.Contains(kinds, k.Kind)
}

func compareKeys(a, b key) int {
	return cmp.Or(
		cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
	)
}

// dig returns the map at a path without copying it, or nil.
func dig(m map[string]any, path ...string) map[string]any {
	for _, p := range path {
		next, ok := m[p].(map[string]any)
		if !ok {
			return nil
		}
		m = next
	}
	return m
}

// digList returns the list at a path without copying it, or nil.
func digList(m map[string]any, path ...string) []any {
	last := len(path) - 1
	list, ok := dig(m, path[:last]...)[path[last]].([]any)
	if !ok {
		return nil
	}
	return list
}

// digMaps yields the maps of the list at a path.
func digMaps(m map[string]any, path ...string) []map[string]any {
	var out []map[string]any
	for _, item := range digList(m, path...) {
		if im, ok := item.(map[string]any); ok {
			out = append(out, im)
		}
	}
	return out
}

func digString(m map[string]any, path ...string) string {
	last := len(path) - 1
	s, ok := dig(m, path[:last]...)[path[last]].(string)
	if !ok {
		return ""
	}
	return s
}

func digBool(m map[string]any, path ...string) bool {
	last := len(path) - 1
	b, ok := dig(m, path[:last]...)[path[last]].(bool)
	return ok && b
}

// digInt reads a number that JSON or YAML brought, and whether there is one.
func digInt(m map[string]any, path ...string) (int64, bool) {
	last := len(path) - 1
	switch n := dig(m, path[:last]...)[path[last]].(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	case float64:
		return int64(n), true
	}
	return 0, false
}

// digMatches compares a map of strings, such as a selector, with labels: an empty selector matches nothing here.
func digMatches(selector map[string]any, labels map[string]any) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// prune deletes a key, and the map at the path when it holds nothing else.
func prune(m map[string]any, path []string, keys ...string) {
	at := dig(m, path...)
	for _, k := range keys {
		delete(at, k)
	}
	if at != nil && len(at) == 0 && len(path) > 0 {
		delete(dig(m, path[:len(path)-1]...), path[len(path)-1])
	}
}

// podTemplates calls do with the pod specs that an object holds, each with the metadata beside it.
func podTemplates(obj *unstructured.Unstructured, do func(spec, meta map[string]any)) {
	o := obj.Object
	switch obj.GetKind() {
	case "Pod":
		if spec := dig(o, "spec"); spec != nil {
			do(spec, dig(o, "metadata"))
		}
	case "PodTemplate":
		visitTemplate(dig(o, "template"), do)
	case "CronJob":
		visitTemplate(dig(o, "spec", "jobTemplate", "spec", "template"), do)
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job":
		visitTemplate(dig(o, "spec", "template"), do)
	}
}

func visitTemplate(template map[string]any, do func(spec, meta map[string]any)) {
	if spec := dig(template, "spec"); spec != nil {
		do(spec, dig(template, "metadata"))
	}
}

// containers yields every container of a pod spec: ordinary, init and ephemeral ones.
func containers(spec map[string]any) []map[string]any {
	var out []map[string]any
	for _, field := range []string{"initContainers", "containers", "ephemeralContainers"} {
		out = append(out, digMaps(spec, field)...)
	}
	return out
}

// walkStrings calls do with every string in a value and where it stands; what do returns replaces it.
func walkStrings(value any, path string, do func(path, s string) string) any {
	switch v := value.(type) {
	case string:
		return do(path, v)
	case map[string]any:
		for k, item := range v {
			v[k] = walkStrings(item, path+"."+k, do)
		}
	case []any:
		for i, item := range v {
			v[i] = walkStrings(item, path, do)
		}
	}
	return value
}
