package provision

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/crossfade-project/crossfade/internal/plan"
)

// refuseCallers refuses to delete namespaces of a cluster that green lives in, too, while something without a namespace
// calls a Service in them: with its backend gone, an admission webhook keeps the whole cluster from writing.
func refuseCallers(ctx context.Context, opts DestroyOptions, p *plan.Plan, names []string) error {
	for _, gk := range []schema.GroupKind{
		{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"},
		{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"},
		{Group: "apiregistration.k8s.io", Kind: "APIService"},
		{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"},
	} {
		r, err := opts.Blue.ResourceFor(ctx, gk.Group, gk.Kind)
		if err != nil {
			return fmt.Errorf("look who calls into blue: %w", err)
		}
		for obj, err := range opts.Blue.List(ctx, r, "", "") {
			if apierrors.IsForbidden(err) {
				p.Note(plan.Warning, gk.Kind, "this account may not list them: whether one calls a Service of blue's is not known")
				break
			}
			if err != nil {
				return fmt.Errorf("look who calls into blue: %w", err)
			}
			for _, ns := range callsInto(obj) {
				if slices.Contains(names, ns) {
					p.Refuse(gk.Kind+" "+obj.GetName(), "it calls a Service in namespace "+ns+", and green lives in the same cluster: without its backend it would fail for both",
						"point it at green's namespace ("+opts.Namespaces[ns]+"), or delete it, by hand")
				}
			}
		}
	}
	return nil
}

// callsInto lists the namespaces of the Services that an object without a namespace calls.
func callsInto(obj *unstructured.Unstructured) []string {
	var out []string
	add := func(m map[string]any, path ...string) {
		if ns, found, err := unstructured.NestedString(m, append(path, "service", "namespace")...); err == nil && found && !slices.Contains(out, ns) {
			out = append(out, ns)
		}
	}
	hooks, _, err := unstructured.NestedSlice(obj.Object, "webhooks")
	for i := range hooks {
		if hook, ok := hooks[i].(map[string]any); ok && err == nil {
			add(hook, "clientConfig")
		}
	}
	add(obj.Object, "spec", "conversion", "webhook", "clientConfig")
	add(obj.Object, "spec")
	return out
}
