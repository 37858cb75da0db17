package export

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const groupCRD = "apiextensions.k8s.io"

// bootstrapped marks the cluster roles that every API server makes for itself.
const bootstrapped = "kubernetes.io/bootstrapping"

// cluster walks what stands outside of namespaces and belongs to the applications: their namespaces, the definitions of their
// custom resources, the rights of their accounts, their webhooks, and what they refer to by name.
func (s *survey) cluster(ctx context.Context, namespaces []string) error {
	for _, ns := range namespaces {
		if err := s.get(ctx, ref{schema.GroupKind{Kind: "Namespace"}, ns}, s.assign.first(ns).Name); err != nil {
			return err
		}
	}
	if err := s.definitions(ctx); err != nil {
		return err
	}
	if err := s.bindings(ctx, namespaces); err != nil {
		return err
	}
	if err := s.served(ctx, namespaces); err != nil {
		return err
	}
	if err := s.aggregated(ctx); err != nil {
		return err
	}
	for _, r := range slices.SortedFunc(maps.Keys(s.refs), func(a, b ref) int { return strings.Compare(a.String()+a.name, b.String()+b.name) }) {
		if err := s.get(ctx, r, ""); err != nil {
			return err
		}
	}
	return nil
}

// find returns a cluster-scoped resource in the version in which it is read.
func (s *survey) find(gk schema.GroupKind) (kube.Resource, bool) {
	i := slices.IndexFunc(s.resources, func(r kube.Resource) bool { return r.Group == gk.Group && r.Kind == gk.Kind && !r.Namespaced })
	if i < 0 {
		return kube.Resource{}, false
	}
	return s.resources[i], true
}

// get keeps one object that is referred to by name. One that is missing is reported: blue gets by without it.
func (s *survey) get(ctx context.Context, r ref, app string) error {
	res, ok := s.find(r.GroupKind)
	if !ok {
		return nil
	}
	obj, err := s.opts.Blue.At(res, "").Get(ctx, r.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && r.Kind == "Namespace":
		s.refuse("namespace "+r.name, "blue does not have it", "correct applications[].namespace, or the context of blue")
		return nil
	case apierrors.IsNotFound(err):
		s.note(plan.Warning, r.Kind+" "+r.name, "it is referred to and blue does not have it")
		return nil
	case apierrors.IsForbidden(err):
		s.refuse("read "+r.Kind+" "+r.name, "the server says: forbidden", "give blue's user the right to get "+res.String()+", or use another context")
		return nil
	case err != nil:
		return fmt.Errorf("read %s %s: %w", r.Kind, r.name, err)
	}
	return s.keepCluster(ctx, obj, app)
}

func (s *survey) keepCluster(ctx context.Context, obj *unstructured.Unstructured, app string) error {
	if obj.GetLabels()[bootstrapped] != "" {
		return nil
	}
	if obj.GetDeletionTimestamp() != nil {
		s.dropped[dropDeleting]++
		return nil
	}
	obj.SetManagedFields(nil)
	it := item{obj: obj, app: app}
	if obj.GetKind() == "PersistentVolume" {
		it.role = archive.RoleInformation
	}
	return s.keep(ctx, it)
}

// each lists a cluster-scoped kind, if it is served and may be read.
func (s *survey) each(ctx context.Context, gk schema.GroupKind, visit func(*unstructured.Unstructured) error) error {
	res, ok := s.find(gk)
	if !ok {
		return nil
	}
	for obj, err := range s.opts.Blue.List(ctx, res, "", "") {
		if err != nil {
			return s.listFailed(ctx, res, "", err)
		}
		if err := visit(obj); err != nil {
			return err
		}
	}
	return nil
}

// definitions keeps the CRDs of the custom resources that are kept, and those that a webhook in the namespaces converts.
func (s *survey) definitions(ctx context.Context) error {
	if len(s.custom) == 0 {
		return nil // nothing that anybody may have to be allowed to read
	}
	return s.each(ctx, schema.GroupKind{Group: groupCRD, Kind: "CustomResourceDefinition"}, func(obj *unstructured.Unstructured) error {
		if !s.custom[obj.GetName()] {
			return nil
		}
		return s.keepCluster(ctx, obj, "")
	})
}

// bindings keeps the ClusterRoleBindings of the applications' accounts, and notes their roles.
func (s *survey) bindings(ctx context.Context, namespaces []string) error {
	return s.each(ctx, schema.GroupKind{Group: groupRBAC, Kind: "ClusterRoleBinding"}, func(obj *unstructured.Unstructured) error {
		if !s.binds(obj, namespaces) {
			return nil
		}
		if r, ok := boundRole(obj); ok {
			s.refs[r] = true
		}
		return s.keepCluster(ctx, obj, "")
	})
}

func (s *survey) binds(binding *unstructured.Unstructured, namespaces []string) bool {
	subjects, _, _ := unstructured.NestedSlice(binding.Object, "subjects")
	for _, raw := range subjects {
		subject, ok := raw.(map[string]any)
		if !ok {
			continue
		}
		name, _ := subject["name"].(string)
		switch subject["kind"] {
		case "ServiceAccount":
			// The default account is bound by name even where it is not archived.
			ns, _ := subject["namespace"].(string)
			if s.accounts[ns+"/"+name] || name == "default" && slices.Contains(namespaces, ns) {
				return true
			}
		case "Group":
			if ns, ok := strings.CutPrefix(name, "system:serviceaccounts:"); ok && slices.Contains(namespaces, ns) {
				return true
			}
		}
	}
	return false
}

// aggregated notes the roles that an aggregating role gathers, which its controller needs to fill it.
func (s *survey) aggregated(ctx context.Context) error {
	var selectors []labels.Selector
	gk := schema.GroupKind{Group: groupRBAC, Kind: "ClusterRole"}
	var roles []*unstructured.Unstructured
	if !s.refersTo(gk) {
		return nil
	}
	err := s.each(ctx, gk, func(obj *unstructured.Unstructured) error {
		roles = append(roles, obj)
		if s.refs[ref{gk, obj.GetName()}] && obj.GetLabels()[bootstrapped] == "" {
			selectors = append(selectors, aggregationOf(obj)...)
		}
		return nil
	})
	for _, role := range roles {
		for _, selector := range selectors {
			if selector.Matches(labels.Set(role.GetLabels())) {
				s.refs[ref{gk, role.GetName()}] = true
			}
		}
	}
	return err
}

// refersTo reports whether anything that is kept names an object of a kind.
func (s *survey) refersTo(gk schema.GroupKind) bool {
	for r := range s.refs {
		if r.GroupKind == gk {
			return true
		}
	}
	return false
}

func aggregationOf(role *unstructured.Unstructured) []labels.Selector {
	raw, _, _ := unstructured.NestedSlice(role.Object, "aggregationRule", "clusterRoleSelectors")
	var out []labels.Selector
	for _, r := range raw {
		m, ok := r.(map[string]any)
		if !ok {
			continue
		}
		match, _, _ := unstructured.NestedStringMap(m, "matchLabels")
		if len(match) > 0 {
			out = append(out, labels.SelectorFromSet(match))
		}
	}
	return out
}

// served keeps the webhooks and APIs whose backend is a Service of the applications.
func (s *survey) served(ctx context.Context, namespaces []string) error {
	for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		err := s.each(ctx, schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: kind}, func(obj *unstructured.Unstructured) error {
			if !callsInto(obj, namespaces) {
				return nil
			}
			return s.keepCluster(ctx, obj, "")
		})
		if err != nil {
			return err
		}
	}
	return s.each(ctx, schema.GroupKind{Group: "apiregistration.k8s.io", Kind: "APIService"}, func(obj *unstructured.Unstructured) error {
		ns, _, _ := unstructured.NestedString(obj.Object, "spec", "service", "namespace")
		if !slices.Contains(namespaces, ns) {
			return nil
		}
		return s.keepCluster(ctx, obj, "")
	})
}

func callsInto(config *unstructured.Unstructured, namespaces []string) bool {
	hooks, _, _ := unstructured.NestedSlice(config.Object, "webhooks")
	for _, raw := range hooks {
		m, ok := raw.(map[string]any)
		if !ok {
			continue
		}
		if ns, _, _ := unstructured.NestedString(m, "clientConfig", "service", "namespace"); slices.Contains(namespaces, ns) {
			return true
		}
	}
	return false
}
