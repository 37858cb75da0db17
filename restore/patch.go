package restore

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade/internal/migration"
	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// matches reports whether a patch's target is the object that blue calls so.
func matches(t migration.Target, k key, have map[string]string) (bool, error) {
	if t.Group != k.Group || t.Kind != k.Kind || t.Namespace != k.Namespace {
		return false, nil
	}
	if t.Name != "" && t.Name != k.Name {
		return false, nil
	}
	if t.Selector == "" {
		return true, nil
	}
	selector, err := labels.Parse(t.Selector)
	if err != nil {
		return false, fmt.Errorf("read the selector %q of a patch: %w", t.Selector, err)
	}
	return selector.Matches(labels.Set(have)), nil
}

var errSecretPatch = errors.New("it does not fit the Secret (the cause is not shown, since it could quote the Secret)")

// applyPatch changes an object as one patch of the migration file says. A patch cannot turn an object into another one.
func applyPatch(obj *unstructured.Unstructured, p migration.Patch) error {
	raw, err := obj.MarshalJSON()
	if err != nil {
		return fmt.Errorf("encode %s: %w", keyOf(obj), err)
	}
	if raw, err = patchBytes(raw, p); err != nil {
		if keyOf(obj).is("", "Secret") {
			err = errSecretPatch
		}
		return fmt.Errorf("patch %s: %w", keyOf(obj), err)
	}
	patched := &unstructured.Unstructured{}
	if err := patched.UnmarshalJSON(raw); err != nil {
		return fmt.Errorf("patch %s: the result is no Kubernetes object", keyOf(obj))
	}
	if keyOf(patched) != keyOf(obj) || patched.GetAPIVersion() != obj.GetAPIVersion() {
		return fmt.Errorf("patch %s: a patch cannot change an object's version, kind, namespace or name", keyOf(obj))
	}
	obj.Object = patched.Object
	return nil
}

func patchBytes(raw []byte, p migration.Patch) ([]byte, error) {
	if p.Merge != nil {
		merge, err := json.Marshal(p.Merge)
		if err != nil {
			return nil, fmt.Errorf("encode the merge patch: %w", err)
		}
		if raw, err = jsonpatch.MergePatch(raw, merge); err != nil {
			return nil, fmt.Errorf("merge: %w", err)
		}
	}
	if len(p.JSON) == 0 {
		return raw, nil
	}
	var ops []map[string]any
	for _, op := range p.JSON {
		o := map[string]any{"op": op.Op, "path": op.Path}
		switch op.Op {
		case "copy", "move":
			o["from"] = op.From
		case "add", "replace", "test":
			o["value"] = op.Value // null is a value too
		}
		ops = append(ops, o)
	}
	encoded, err := json.Marshal(ops)
	if err != nil {
		return nil, fmt.Errorf("encode the JSON patch: %w", err)
	}
	decoded, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		return nil, fmt.Errorf("read the JSON patch: %w", err)
	}
	out, err := decoded.Apply(raw)
	if err != nil {
		return nil, fmt.Errorf("apply the JSON patch: %w", err)
	}
	return out, nil
}

// bind sets keys in the data of a ConfigMap or Secret.
func bind(obj *unstructured.Unstructured, b migration.Bind) {
	data := dig(obj.Object, "data")
	if data == nil {
		data = map[string]any{}
		obj.Object["data"] = data
	}
	for name, value := range b.Set {
		prune(obj.Object, []string{"binaryData"}, name)
		prune(obj.Object, []string{"stringData"}, name)
		if b.Kind == "Secret" {
			value = base64.StdEncoding.EncodeToString([]byte(value))
		}
		data[name] = value
	}
}

func binds(b migration.Bind, k key) bool { return k == key{"", b.Kind, b.Namespace, b.Name} }
