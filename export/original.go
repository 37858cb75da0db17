package export

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Original is an object that a freeze or a quiesce changes, and the fields that it changes as they were before.
// It stands in the plan, so it is on disk before the change (K2).
type Original struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
	// Fields as they were.
	Fields []hook.Field `json:"fields"`
	// Stopped holds the same fields as a quiesce sets them. It is empty for the patch of a hook, whose result the server forms.
	Stopped []hook.Field `json:"stopped,omitempty"`
}

func (o Original) key() ref {
	return ref{schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Namespace + "/" + o.Name}
}

func (o Original) String() string { return o.Kind + " " + o.Namespace + "/" + o.Name }

// originals are the objects that are not now as their owners left them.
type originals map[ref]Original

// originalsOf reads the plans of freezes.
func originalsOf(plans []*plan.Plan) (originals, error) {
	out := originals{}
	for _, p := range plans {
		for _, c := range p.Changes {
			var d freezeData
			if len(c.Data) == 0 {
				continue
			}
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return nil, fmt.Errorf("read the plan of %s, change %s: %w", p.Stage, c.ID, err)
			}
			if d.Workload != nil {
				out[d.Workload.key()] = *d.Workload
			}
			for _, h := range d.Hooks {
				if h.Original != nil {
					out[h.Original.key()] = *h.Original
				}
			}
		}
	}
	return out, nil
}

// restore gives an object that was read the fields from before a freeze. One that was deleted and made anew since is
// another object and stays as it is, as does a workload that is not stopped any more.
func (o originals) restore(obj *unstructured.Unstructured) {
	was, ok := o[ref{obj.GroupVersionKind().GroupKind(), obj.GetNamespace() + "/" + obj.GetName()}]
	if !ok || was.UID != "" && was.UID != string(obj.GetUID()) {
		return
	}
	if len(was.Stopped) > 0 && !hook.Same(hook.FieldsOf(obj.Object, was.Stopped), was.Stopped) {
		return
	}
	for _, f := range was.Fields {
		f.Restore(obj.Object)
	}
}
