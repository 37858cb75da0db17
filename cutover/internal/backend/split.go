package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// Limits of the Gateway API (HTTPBackendRef.weight, HTTPRouteRule.backendRefs).
const (
	mostWeight = 1_000_000
	mostRefs   = 16
)

// Split returns an HTTPRoute's rules of which each leads percent of 100 requests to a Service more. The weights of its backends are
// scaled, so that both the share and what they have among each other hold exactly; a missing weight is 1. Filters of a backend are
// the new one's too. Rules without backends, and those whose weights are all 0, answer by themselves: they stay as they are.
func Split(rules json.RawMessage, percent int64, to Target) (json.RawMessage, error) {
	return changed(rules, func(rule map[string]any) error { return splitRule(rule, percent, to) })
}

func splitRule(rule map[string]any, percent int64, to Target) error {
	refs, _ := rule["backendRefs"].([]any)
	var added []map[string]any
	var all []map[string]any
	for _, ref := range refs {
		m, err := serviceRef(ref)
		if err != nil {
			return err
		}
		all = append(all, m)
		w := weightOf(m)
		if w == 0 {
			continue
		}
		m["weight"] = w * (100 - percent)
		i := slices.IndexFunc(added, func(a map[string]any) bool { return reflect.DeepEqual(a["filters"], m["filters"]) })
		if i >= 0 {
			added[i]["weight"] = weightOf(added[i]) + w*percent
			continue
		}
		next := map[string]any{"group": "", "kind": "Service", "name": to.Service, "port": to.Port.Number, "weight": w * percent}
		if filters, there := m["filters"]; there {
			next["filters"] = filters
		}
		added = append(added, next)
	}
	if len(added) == 0 {
		return nil
	}
	all = append(all, added...)
	var divisor int64
	for _, m := range all {
		for a, b := divisor, weightOf(m); ; a, b = b, a%b {
			if b == 0 {
				divisor = a
				break
			}
		}
	}
	next := make([]any, 0, len(all))
	for _, m := range all {
		w := weightOf(m) / divisor
		if w > mostWeight {
			return fmt.Errorf("the weights of a rule are too large to be shared out: %d would be above %d", w, mostWeight)
		}
		m["weight"] = w
		next = append(next, m)
	}
	if len(next) > mostRefs {
		return fmt.Errorf("a rule would have %d backends, and %d are allowed", len(next), mostRefs)
	}
	rule["backendRefs"] = next
	return nil
}

// weightOf is a backend's weight among those of its rule.
func weightOf(ref map[string]any) int64 {
	if w, ok := ref["weight"].(int64); ok {
		return w
	}
	return 1
}

// Restored returns the rules with which no request goes to the Service of a split any more. Where they are those of a split of old, at
// whatever share, they are old again, exactly. Else somebody has changed them, which is said: of each rule the Service goes; where its
// other backends are still those of old, they get their old weights back; a rule that led to the Service alone goes whole.
func Restored(now, old json.RawMessage, to Target) (next json.RawMessage, edited bool, err error) {
	if Same(now, old) {
		return old, false, nil
	}
	for percent := int64(1); percent < 100; percent++ {
		if there, err := Split(old, percent, to); err == nil && Same(now, there) {
			return old, false, nil
		}
	}
	list, err := decode(now)
	if err != nil {
		return nil, true, err
	}
	was, err := decode(old)
	if err != nil {
		return nil, true, err
	}
	var left []any
	for _, rule := range list {
		m, _ := rule.(map[string]any)
		refs, _ := m["backendRefs"].([]any)
		rest := slices.DeleteFunc(slices.Clone(refs), func(ref any) bool {
			r, _ := ref.(map[string]any)
			return r["name"] == to.Service
		})
		switch {
		case len(rest) == len(refs):
		case len(rest) == 0:
			continue
		default:
			m["backendRefs"] = weightsOf(was, rest)
		}
		left = append(left, rule)
	}
	if len(left) == 0 {
		return old, true, nil // none of them led to blue
	}
	next, err = json.Marshal(left)
	return next, true, err
}

// weightsOf gives backends the weights that they had in a rule of old with just these.
func weightsOf(old []any, refs []any) []any {
	bare := func(refs []any) []map[string]any {
		var list []map[string]any
		for _, ref := range refs {
			m, _ := ref.(map[string]any)
			one := map[string]any{}
			for k, v := range m {
				if k != "weight" {
					one[k] = v
				}
			}
			list = append(list, one)
		}
		return list
	}
	for _, rule := range old {
		m, _ := rule.(map[string]any)
		if had, ok := m["backendRefs"].([]any); ok && reflect.DeepEqual(bare(had), bare(refs)) {
			return had
		}
	}
	return refs
}

// TakeBack leads an HTTPRoute's rules to no Service of a split any more, as Restored has it, and gives its fence up where the token
// holds it, in one update. It asks for no fence: whoever holds it, nothing but requests to a Service of ours is taken away. It says
// what somebody had changed. A route that is gone needs nothing.
func TakeBack(ctx context.Context, c *kube.Client, ref Ref, host, token string, old json.RawMessage, to Target) (edited []string, err error) {
	at, err := access(ctx, c, ref)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		obj, err := at.Get(ctx, ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return []string{ref.String() + " is gone"}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", ref, err)
		}
		rules, _, err := unstructured.NestedSlice(obj.Object, "spec", "rules")
		if err != nil {
			return nil, fmt.Errorf("%s: its rules cannot be read: %w", ref, err)
		}
		now, err := json.Marshal(rules)
		if err != nil {
			return nil, fmt.Errorf("%s: its rules: %w", ref, err)
		}
		next, changed, err := Restored(now, old, to)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ref, err)
		}
		if edited = nil; changed {
			edited = []string{fmt.Sprintf("somebody has changed the rules of %s: they led %s, and lead %s now", ref, Describe(now), Describe(next))}
		}
		ours := token != "" && obj.GetAnnotations()[FenceAnnotation(host)] == token
		if Same(now, next) && !ours {
			return edited, nil
		}
		if ours {
			setFence(obj, host, "")
		}
		list, err := decode(next)
		if err != nil {
			return nil, err
		}
		if err := unstructured.SetNestedSlice(obj.Object, list, "spec", "rules"); err != nil {
			return nil, err
		}
		_, err = at.Update(ctx, obj, metav1.UpdateOptions{})
		switch {
		case err == nil:
			return edited, nil
		case ctx.Err() == nil && (apierrors.IsConflict(err) && try < tries || unanswered(err) && try < lost):
		default:
			return edited, fmt.Errorf("change %s: %w", ref, err)
		}
	}
}

// Outside is a Service without a selector, and the EndpointSlice with the addresses of what it stands for: a name would not do, since
// implementations of the Gateway API are not to send to a Service of type ExternalName. IPv4 goes before IPv6.
func Outside(migration, namespace, name string, port int64, addrs []netip.Addr) (service, slice *unstructured.Unstructured) {
	family, kind := discoveryv1.AddressTypeIPv6, corev1.IPv6Protocol
	if slices.ContainsFunc(addrs, netip.Addr.Is4) {
		family, kind = discoveryv1.AddressTypeIPv4, corev1.IPv4Protocol
	}
	var endpoints []any
	for _, a := range addrs {
		if a.Is4() == (kind == corev1.IPv4Protocol) {
			endpoints = append(endpoints, map[string]any{"addresses": []any{a.String()}, "conditions": map[string]any{"ready": true}})
		}
	}
	service = &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"spec": map[string]any{"ports": []any{map[string]any{"name": "green", "port": port, "protocol": "TCP", "targetPort": port}}},
	}}
	slice = &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": string(family), "endpoints": endpoints,
		"ports": []any{map[string]any{"name": "green", "port": port, "protocol": "TCP"}},
	}}
	for _, obj := range []*unstructured.Unstructured{service, slice} {
		obj.SetNamespace(namespace)
		obj.SetName(name)
	}
	slice.SetLabels(map[string]string{discoveryv1.LabelServiceName: name, discoveryv1.LabelManagedBy: "crossfade.dev"})
	return Own(service, migration), Own(slice, migration)
}

// Renew makes an object of ours ask for something else, where it is there. It says whether it did. What is gone, or another's, stays so.
func Renew(ctx context.Context, c *kube.Client, obj *unstructured.Unstructured) (bool, error) {
	name := fmt.Sprintf("%s %s/%s", obj.GetKind(), obj.GetNamespace(), obj.GetName())
	r, err := c.ResourceFor(ctx, obj.GroupVersionKind().Group, obj.GetKind())
	if err != nil {
		return false, fmt.Errorf("renew %s: %w", name, err)
	}
	at := c.At(r.In(obj.GroupVersionKind().Version), obj.GetNamespace())
	live, err := at.Get(ctx, obj.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("renew %s: %w", name, err)
	case !ours(live, obj), asks(live, obj):
		return false, nil
	}
	if _, err := at.Update(ctx, renewed(live, obj), metav1.UpdateOptions{}); err != nil {
		return false, fmt.Errorf("renew %s: %w", name, err)
	}
	return true, nil
}

// Weigh gives an object of ours another weight, which stands in an annotation, on condition that the token holds its fence and that the
// weight is one of those from which it may change. It is one update on condition of the resourceVersion; it makes nothing.
func Weigh(ctx context.Context, c *kube.Client, obj *unstructured.Unstructured, host, token, annotation string, from []string, to string) error {
	name := fmt.Sprintf("%s %s/%s", obj.GetKind(), obj.GetNamespace(), obj.GetName())
	r, err := c.ResourceFor(ctx, obj.GroupVersionKind().Group, obj.GetKind())
	if err != nil {
		return fmt.Errorf("change %s: %w", name, err)
	}
	at := c.At(r.In(obj.GroupVersionKind().Version), obj.GetNamespace())
	for try := 1; ; try++ {
		live, err := at.Get(ctx, obj.GetName(), metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("change %s: %w", name, err)
		}
		annotations := live.GetAnnotations()
		is := annotations[annotation]
		switch {
		case !ours(live, obj):
			return fmt.Errorf("change %s: %w", name, ErrForeign)
		case annotations[FenceAnnotation(host)] != token:
			return fmt.Errorf("change %s: %w", name, &FencedError{Host: Clean(host), Want: token, Found: annotations[FenceAnnotation(host)]})
		case !asks(live, weighing(obj, annotation, is)):
			return fmt.Errorf("change %s: %w", name, ErrChanged)
		case is == to:
			return nil
		case !slices.Contains(from, is):
			return fmt.Errorf("change %s: %w", name, &MovedError{What: "the weight of " + name, Was: from[len(from)-1], Now: orNothing(is)})
		}
		annotations[annotation] = to
		live.SetAnnotations(annotations)
		_, err = at.Update(ctx, live, metav1.UpdateOptions{})
		switch {
		case err == nil:
			return nil
		case ctx.Err() == nil && (apierrors.IsConflict(err) && try < tries || unanswered(err) && try < lost):
		default:
			return fmt.Errorf("change %s: %w", name, err)
		}
	}
}

// weighing is an object with another weight.
func weighing(obj *unstructured.Unstructured, annotation, weight string) *unstructured.Unstructured {
	other := obj.DeepCopy()
	annotations := other.GetAnnotations()
	annotations[annotation] = weight
	other.SetAnnotations(annotations)
	return other
}

// Annotation reads an annotation of an object of ours, empty where the object is gone.
func Annotation(ctx context.Context, c *kube.Client, obj *unstructured.Unstructured, key string) (string, error) {
	name := fmt.Sprintf("%s %s/%s", obj.GetKind(), obj.GetNamespace(), obj.GetName())
	r, err := c.ResourceFor(ctx, obj.GroupVersionKind().Group, obj.GetKind())
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	live, err := c.At(r.In(obj.GroupVersionKind().Version), obj.GetNamespace()).Get(ctx, obj.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return live.GetAnnotations()[key], nil
}

// Mentions reports whether rules lead to a Service of that name.
func Mentions(rules json.RawMessage, service string) bool {
	list, err := decode(rules)
	return err == nil && mentions(list, service)
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
