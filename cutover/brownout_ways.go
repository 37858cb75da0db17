package cutover

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/crossfade-project/crossfade/cutover/internal/front"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// wayIn is a Service of blue by which clients come.
type wayIn struct {
	svc *corev1.Service
	why string
}

type waysIn []wayIn

func (w waysIn) namespaces() []string {
	seen := map[string]bool{}
	for _, one := range w {
		seen[one.svc.Namespace] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// findWaysIn finds the Services that are to refuse.
//
//	in a namespace that is to be deleted, or all whose pods are the applications'  │ as below
//	any other                                                                      │ somebody else's: left alone (I3)
//
//	named by a hostname, behind an Ingress or HTTPRoute of its namespace           │ refuses; the plan is refused where it cannot
//	LoadBalancer, NodePort, external addresses                                     │ refuses; noted where it cannot
//	reached from inside the cluster only                                           │ refuses with brownOut.internal, else noted
func (o BrownOutOptions) findWaysIn(ctx context.Context, p *plan.Plan) (waysIn, error) {
	named := o.refuseUnknownEntries(p)
	var found waysIn
	there := map[string]bool{}
	for _, ns := range o.appNamespaces() {
		services, err := o.Blue.Kube.Typed.CoreV1().Services(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list the Services in %s: %w", ns, err)
		}
		routed, err := o.routed(ctx, ns, named)
		if err != nil {
			return nil, err
		}
		for i := range services.Items {
			svc := &services.Items[i]
			there[ns+"/"+svc.Name] = true
			if svc.Labels[kube.LabelComponent] == kube.ComponentEntry {
				continue // users reach green through it
			}
			ours, err := o.belongs(ctx, svc)
			if err != nil {
				return nil, err
			}
			why, must := wayInto(svc, routed)
			what := "Service " + ns + "/" + svc.Name
			blocked := front.Takeable(svc, true)
			switch {
			case !ours && must:
				p.Refuse(what, "it leads to pods that no application of the migration has, so it is not ours to let refuse", "give it pods of the applications only, or write retirement.brownOut: {skip: REASON}")
			case !ours:
			case must && blocked != "":
				p.Refuse(what, blocked+", so that it cannot be made to refuse", "write retirement.brownOut: {skip: REASON}")
			case blocked != "":
				p.Note(plan.Info, what, "it goes on serving during the brown-out: "+blocked)
			case why != "":
				found = append(found, wayIn{svc, why})
			case o.Retirement.BrownOut != nil && o.Retirement.BrownOut.Internal:
				found = append(found, wayIn{svc, "brownOut.internal: Services that only the cluster reaches refuse, too"})
			default:
				p.Note(plan.Info, what, "it goes on serving during the brown-out: only the cluster itself reaches it, as blue's own parts may; brownOut: {internal: true} lets it refuse")
			}
		}
	}
	o.refuseGone(p, named, there)
	slices.SortFunc(found, func(a, b wayIn) int {
		return cmp.Or(strings.Compare(a.svc.Namespace, b.svc.Namespace), strings.Compare(a.svc.Name, b.svc.Name))
	})
	return found, nil
}

// appNamespaces are those of blue that hold an application.
func (o Options) appNamespaces() []string {
	seen := map[string]bool{}
	for _, app := range o.Applications {
		seen[o.Blue.namespace(app.Namespace)] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// refuseUnknownEntries refuses hostnames of which the file tells no way in, and returns the Services that hostnames name.
func (o BrownOutOptions) refuseUnknownEntries(p *plan.Plan) map[string]string {
	named := map[string]string{}
	for _, app := range o.Applications {
		for _, h := range app.Hostnames {
			switch {
			case h.Service != "":
				named[o.Blue.namespace(app.Namespace)+"/"+h.Service] = "clients of " + h.Name + " come by it"
			case h.Ingress == "" && h.HTTPRoute == "":
				p.Refuse(h.Name, "the file names neither a Service, an Ingress nor an HTTPRoute for it, so it is not known what would have to refuse", "name one under hostnames, or write retirement.brownOut: {skip: REASON}")
			}
		}
	}
	return named
}

// refuseGone refuses a brown-out without a Service by which clients are known to come. Whoever does finds nobody, and nobody counts them.
func (o BrownOutOptions) refuseGone(p *plan.Plan, named map[string]string, there map[string]bool) {
	why := maps.Clone(named)
	for _, service := range o.Refused {
		why[service] = "it refused in a brown-out that did not come to its end"
	}
	for _, service := range slices.Sorted(maps.Keys(why)) {
		if !there[service] {
			p.Refuse("Service "+service, why[service]+", and it is gone: whoever comes now is seen by nobody", "put it back as it was, as the archive has it; or write retirement.brownOut: {skip: REASON}")
		}
	}
}

// wayInto says why clients come by a Service, or "", and whether it must refuse for the brown-out to mean anything.
func wayInto(svc *corev1.Service, routed map[string]string) (why string, must bool) {
	if why, ok := routed[svc.Name]; ok {
		return why, true
	}
	switch {
	case svc.Spec.Type == corev1.ServiceTypeLoadBalancer, svc.Spec.Type == corev1.ServiceTypeNodePort:
		return "clients outside the cluster reach it: type " + string(svc.Spec.Type), false
	case len(svc.Spec.ExternalIPs) > 0:
		return "clients outside the cluster reach it: it has external addresses", false
	}
	return "", false
}

// belongs reports whether a Service is the migration's to let refuse.
func (o BrownOutOptions) belongs(ctx context.Context, svc *corev1.Service) (bool, error) {
	if svc.Labels[kube.LabelComponent] != "" {
		return false, nil // made by a migration
	}
	if slices.Contains(o.Retirement.Delete.Namespaces, svc.Namespace) {
		return true, nil
	}
	return o.onlyOurs(ctx, svc, "")
}

// onlyOurs reports whether a Service selects pods of the applications, or of one, and nobody else's.
func (o Options) onlyOurs(ctx context.Context, svc *corev1.Service, only string) (bool, error) {
	if len(svc.Spec.Selector) == 0 {
		return false, nil
	}
	var chosen []labels.Selector
	for _, app := range o.Applications {
		if o.Blue.namespace(app.Namespace) != svc.Namespace || only != "" && app.Name != only {
			continue
		}
		s, err := labels.Parse(app.Selector)
		if err != nil {
			return false, fmt.Errorf("selector of application %s: %w", app.Name, err)
		}
		chosen = append(chosen, s)
	}
	pods, err := o.Blue.Kube.Typed.CoreV1().Pods(svc.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(svc.Spec.Selector).String()})
	if err != nil {
		return false, fmt.Errorf("list the pods of Service %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	for _, pod := range pods.Items {
		own := pod.Labels[kube.LabelFront] != "" && pod.Labels[kube.LabelMigration] == o.Migration
		if !own && !slices.ContainsFunc(chosen, func(s labels.Selector) bool { return s.Matches(labels.Set(pod.Labels)) }) {
			return false, nil
		}
	}
	return len(pods.Items) > 0, nil
}

// routed are the Services of a namespace to which a hostname, an Ingress or an HTTPRoute leads, each with why.
func (o Options) routed(ctx context.Context, ns string, named map[string]string) (map[string]string, error) {
	list := map[string]string{}
	ingresses, err := o.Blue.Kube.Typed.NetworkingV1().Ingresses(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the Ingresses in %s: %w", ns, err)
	}
	for _, ing := range ingresses.Items {
		for _, b := range backendsOf(ing.Spec) {
			list[b.Name] = "Ingress " + ing.Name + " leads to it"
		}
	}
	routes, err := o.routes(ns).List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("list the HTTPRoutes in %s: %w", ns, err)
	}
	if err == nil {
		for _, route := range routes.Items {
			for _, name := range routeBackends(route, ns) {
				list[name] = "HTTPRoute " + route.GetName() + " leads to it"
			}
		}
	}
	for key, why := range named {
		if at, name, _ := strings.Cut(key, "/"); at == ns {
			list[name] = why
		}
	}
	return list, nil
}

func (o Options) routes(ns string) dynamic.ResourceInterface {
	return o.Blue.Kube.Dynamic.Resource(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}).Namespace(ns)
}

// backendsOf are the Services to which an Ingress leads.
func backendsOf(spec networkingv1.IngressSpec) []networkingv1.IngressServiceBackend {
	var list []networkingv1.IngressServiceBackend
	add := func(b *networkingv1.IngressBackend) {
		if b != nil && b.Service != nil {
			list = append(list, *b.Service)
		}
	}
	add(spec.DefaultBackend)
	for _, rule := range spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			add(&path.Backend)
		}
	}
	return list
}

// routeBackends are the Services of a namespace to which an HTTPRoute leads.
func routeBackends(route unstructured.Unstructured, ns string) []string {
	var names []string
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules") // of another shape it leads nowhere that we know
	for _, rule := range rules {
		object, _ := rule.(map[string]any)
		refs, _, _ := unstructured.NestedSlice(object, "backendRefs")
		for _, raw := range refs {
			ref, _ := raw.(map[string]any)
			kind, _, _ := unstructured.NestedString(ref, "kind")
			name, _, _ := unstructured.NestedString(ref, "name")
			at, _, _ := unstructured.NestedString(ref, "namespace")
			if name != "" && (kind == "" || kind == "Service") && (at == "" || at == ns) {
				names = append(names, name)
			}
		}
	}
	return names
}
