package hook

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/dynamic"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// conflictTries bounds how often a write is tried again when the object changes between reading and writing.
const conflictTries = 10

// Field is one field of an object. A field that is absent and one that is null are two things.
type Field struct {
	Path    []string `json:"path"`
	Present bool     `json:"present"`
	Value   any      `json:"value"`
}

// UnmarshalJSON keeps whole numbers whole, as the API server's own JSON does.
func (f *Field) UnmarshalJSON(raw []byte) error {
	var wire struct {
		Path    []string        `json:"path"`
		Present bool            `json:"present"`
		Value   json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return err
	}
	f.Path, f.Present, f.Value = wire.Path, wire.Present, nil
	if len(wire.Value) == 0 {
		return nil
	}
	return utiljson.Unmarshal(wire.Value, &f.Value)
}

// Before reads what a hook would replace. Kept in a plan, it makes the hook undoable even when its outcome is lost.
// For hooks other than patches it is empty.
func (r Runner) Before(ctx context.Context, h migration.Hook) (Outcome, error) {
	if h.Patch == nil {
		return Outcome{}, nil
	}
	merge, _, obj, err := r.patchTarget(ctx, *h.Patch)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Replaced: replaced(obj.Object, merge, nil)}, nil
}

// Applied reports whether a patch is in place already. Other hooks cannot be asked: it reports false.
func (r Runner) Applied(ctx context.Context, h migration.Hook) (bool, error) {
	if h.Patch == nil {
		return false, nil
	}
	merge, _, obj, err := r.patchTarget(ctx, *h.Patch)
	if err != nil {
		return false, err
	}
	return inPlace(obj.Object, merge), nil
}

func (r Runner) runPatch(ctx context.Context, p migration.PatchHook) (Outcome, error) {
	for range conflictTries {
		merge, at, obj, err := r.patchTarget(ctx, p)
		if err != nil {
			return Outcome{}, err
		}
		out := Outcome{Asked: []string{p.Kind + "/" + p.Name}, Replaced: replaced(obj.Object, merge, nil)}
		out.Set = out.Replaced
		if inPlace(obj.Object, merge) {
			return out, nil
		}
		body, err := conditional(merge, obj.GetResourceVersion())
		if err != nil {
			return Outcome{}, err
		}
		after, err := at.Patch(ctx, p.Name, types.MergePatchType, body, metav1.PatchOptions{})
		if apierrors.IsConflict(err) {
			continue
		}
		if err != nil {
			return Outcome{}, fmt.Errorf("patch %s %s/%s: %w", p.Kind, r.Namespace, p.Name, err)
		}
		out.Set = FieldsOf(after.Object, out.Replaced)
		return out, nil
	}
	return Outcome{}, r.busy(p)
}

func (r Runner) undoPatch(ctx context.Context, p migration.PatchHook, o Outcome) error {
	for range conflictTries {
		merge, at, obj, err := r.patchTarget(ctx, p)
		if err != nil {
			return err
		}
		now := FieldsOf(obj.Object, o.Replaced)
		if Same(now, o.Replaced) {
			return nil
		}
		if !inPlace(obj.Object, merge) && !Same(now, o.Set) {
			return &plan.MovedError{
				Change: fmt.Sprintf("undo the patch of %s %s/%s", p.Kind, r.Namespace, p.Name),
				What:   "a field that the patch had set", Was: Show(o.Set), Now: Show(now),
			}
		}
		for _, f := range o.Replaced {
			f.Restore(obj.Object)
		}
		_, err = at.Update(ctx, obj, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("put back %s %s/%s: %w", p.Kind, r.Namespace, p.Name, err)
		}
		return nil
	}
	return r.busy(p)
}

func (r Runner) busy(p migration.PatchHook) error {
	return fmt.Errorf("patch %s %s/%s: it changed under us %d times in a row: something else writes to it all the time", p.Kind, r.Namespace, p.Name, conflictTries)
}

// patchTarget reads the object of a patch. Secrets are refused: what a patch replaces is kept in the journal (I9).
func (r Runner) patchTarget(ctx context.Context, p migration.PatchHook) (map[string]any, dynamic.ResourceInterface, *unstructured.Unstructured, error) {
	what := fmt.Sprintf("patch %s %s/%s", p.Kind, r.Namespace, p.Name)
	if p.Group == "" && p.Kind == "Secret" {
		return nil, nil, nil, fmt.Errorf("%s: a Secret cannot be the object of a hook, since what it replaces is kept in the journal: use a ConfigMap or a command", what)
	}
	merge, err := Normalize(p.Merge)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: read the patch: %w", what, err)
	}
	if touchesIdentity(merge) {
		return nil, nil, nil, fmt.Errorf("%s: a hook cannot patch status, name, namespace or resourceVersion", what)
	}
	res, err := r.Kube.ResourceFor(ctx, p.Group, p.Kind)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	at := r.Kube.At(res, r.Namespace)
	obj, err := at.Get(ctx, p.Name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	return merge, at, obj, nil
}

func touchesIdentity(merge map[string]any) bool {
	if _, ok := merge["status"]; ok {
		return true
	}
	meta, _ := merge["metadata"].(map[string]any)
	for _, field := range []string{"name", "namespace", "resourceVersion", "uid"} {
		if _, ok := meta[field]; ok {
			return true
		}
	}
	return false
}

// Normalize gives a patch the types that the API server's JSON has: whole numbers are int64, others float64.
func Normalize(merge map[string]any) (map[string]any, error) {
	raw, err := json.Marshal(merge)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if err := utiljson.Unmarshal(raw, &out); err != nil {
		return nil, err
	}
	return out, nil
}

// conditional adds the resourceVersion that was read, so that the server refuses the patch of anything newer.
func conditional(merge map[string]any, resourceVersion string) ([]byte, error) {
	body := runtime.DeepCopyJSON(merge)
	meta, ok := body["metadata"].(map[string]any)
	if !ok {
		meta = map[string]any{}
		body["metadata"] = meta
	}
	meta["resourceVersion"] = resourceVersion
	return json.Marshal(body)
}

// replaced lists the fields of obj that the patch would set, each as deep as both have it.
func replaced(obj, merge map[string]any, path []string) []Field {
	var out []Field
	for _, key := range slices.Sorted(maps.Keys(merge)) {
		at := append(slices.Clone(path), key)
		was, present := obj[key]
		deeper, isMap := merge[key].(map[string]any)
		if inner, both := was.(map[string]any); isMap && both {
			out = append(out, replaced(inner, deeper, at)...)
			continue
		}
		out = append(out, Field{Path: at, Present: present, Value: runtime.DeepCopyJSONValue(was)})
	}
	return out
}

// inPlace reports whether the patch would change nothing.
func inPlace(obj, merge map[string]any) bool {
	for key, want := range merge {
		is, present := obj[key]
		deeper, isMap := want.(map[string]any)
		inner, both := is.(map[string]any)
		switch {
		case want == nil:
			if present {
				return false
			}
		case isMap:
			if !both || !inPlace(inner, deeper) {
				return false
			}
		case !present || !reflect.DeepEqual(is, want):
			return false
		}
	}
	return true
}

// FieldsOf returns the present state in obj of the same fields.
func FieldsOf(obj map[string]any, fields []Field) []Field {
	out := make([]Field, 0, len(fields))
	for _, f := range fields {
		value, present := any(obj), true
		for _, key := range f.Path {
			m, ok := value.(map[string]any)
			if !ok {
				value, present = nil, false
				break
			}
			if value, present = m[key]; !present {
				break
			}
		}
		out = append(out, Field{Path: f.Path, Present: present, Value: runtime.DeepCopyJSONValue(value)})
	}
	return out
}

// Same reports whether two lists hold the same fields in the same state.
func Same(a, b []Field) bool {
	return slices.EqualFunc(a, b, func(x, y Field) bool {
		return slices.Equal(x.Path, y.Path) && x.Present == y.Present && reflect.DeepEqual(x.Value, y.Value)
	})
}

// Restore gives the field of obj the state that was recorded. Parents that are missing are made, since the field was in them.
func (f Field) Restore(obj map[string]any) {
	for _, key := range f.Path[:len(f.Path)-1] {
		next, ok := obj[key].(map[string]any)
		if !ok {
			if !f.Present {
				return
			}
			next = map[string]any{}
			obj[key] = next
		}
		obj = next
	}
	last := f.Path[len(f.Path)-1]
	if f.Present {
		obj[last] = runtime.DeepCopyJSONValue(f.Value)
		return
	}
	delete(obj, last)
}

// Show writes fields for a person.
func Show(fields []Field) string {
	parts := make([]string, 0, len(fields))
	for _, f := range fields {
		value := "absent"
		if f.Present {
			raw, err := json.Marshal(f.Value)
			if err != nil {
				raw = []byte("unreadable")
			}
			value = string(raw)
		}
		parts = append(parts, strings.Join(f.Path, ".")+"="+value)
	}
	return strings.Join(parts, ", ")
}
