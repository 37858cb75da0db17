package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/internal/kube"
)

// These are the parts of the Gateway API (sigs.k8s.io/gateway-api, gateway.networking.k8s.io/v1) that tell where a route is served.
type (
	httpRoute struct {
		Spec struct {
			Hostnames  []string    `json:"hostnames"`
			ParentRefs []parentRef `json:"parentRefs"`
		} `json:"spec"`
		Status struct {
			Parents []struct {
				ParentRef  parentRef          `json:"parentRef"`
				Conditions []metav1.Condition `json:"conditions"`
			} `json:"parents"`
		} `json:"status"`
	}
	parentRef struct {
		Group       string `json:"group"`
		Kind        string `json:"kind"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		SectionName string `json:"sectionName"`
		Port        int    `json:"port"`
	}
	gateway struct {
		Spec struct {
			Listeners []struct {
				Name     string `json:"name"`
				Hostname string `json:"hostname"`
				Port     int    `json:"port"`
				Protocol string `json:"protocol"`
			} `json:"listeners"`
		} `json:"spec"`
		Status struct {
			Addresses []struct {
				Type  string `json:"type"`
				Value string `json:"value"`
			} `json:"addresses"`
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
)

// of gives a reference to a parent its defaults: a Gateway in the route's own namespace.
func (p parentRef) of(namespace string) parentRef {
	if p.Kind == "" {
		p.Kind = "Gateway"
	}
	if p.Namespace == "" {
		p.Namespace = namespace
	}
	return p
}

// gatewayObject reads an object of the Gateway API, nil where there is none, or no such kind.
func gatewayObject(ctx context.Context, c *kube.Client, kind, namespace, name string, into any) (*unstructured.Unstructured, error) {
	r, err := c.ResourceFor(ctx, backend.GroupGateway, kind)
	if errors.Is(err, kube.ErrNotServed) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	obj, err := c.At(r, namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", kind, namespace, name, err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, into); err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", kind, namespace, name, err)
	}
	return obj, nil
}

// fromRoute finds the Gateways that serve a route under the entry's hostname and port, and takes the addresses of their status.
// What keeps a Gateway from serving it is said.
func fromRoute(ctx context.Context, side Side, namespace, name string, entry *Entry) error {
	entry.Source = fmt.Sprintf("HTTPRoute %s/%s", namespace, name)
	var route httpRoute
	obj, err := gatewayObject(ctx, side.Kube, backend.HTTPRoute, namespace, name, &route)
	if err != nil {
		return err
	}
	if obj == nil {
		entry.Missing = entry.Source + " does not exist"
		return nil
	}
	if len(route.Spec.Hostnames) > 0 && !slices.ContainsFunc(route.Spec.Hostnames, func(h string) bool { return accepts(h, entry.Hostname) }) {
		entry.Missing = fmt.Sprintf("%s is for %s and not for this name", entry.Source, strings.Join(route.Spec.Hostnames, ", "))
		return nil
	}
	var missing []string
	for _, ref := range route.Spec.ParentRefs {
		ref = ref.of(namespace)
		if ref.Kind != "Gateway" {
			continue
		}
		why, err := fromGateway(ctx, side, ref, route.refusal(ref, namespace), entry)
		if err != nil {
			return err
		}
		if why != "" {
			missing = append(missing, why)
		}
	}
	switch {
	case entry.known():
	case len(missing) > 0:
		entry.Missing = strings.Join(missing, "; ")
	default:
		entry.Missing = entry.Source + " names no Gateway"
	}
	return nil
}

// refusal says why a parent does not serve the route, empty where it does.
func (r httpRoute) refusal(ref parentRef, namespace string) string {
	for _, p := range r.Status.Parents {
		if at := p.ParentRef.of(namespace); at.Name != ref.Name || at.Namespace != ref.Namespace || at.SectionName != ref.SectionName || at.Port != ref.Port {
			continue
		}
		accepted := false
		for _, c := range p.Conditions {
			switch {
			case (c.Type == "Accepted" || c.Type == "ResolvedRefs") && c.Status == metav1.ConditionFalse:
				return strings.TrimSpace(fmt.Sprintf("%s is not true: %s %s", c.Type, c.Reason, c.Message))
			case c.Type == "Accepted" && c.Status == metav1.ConditionTrue:
				accepted = true
			}
		}
		if accepted {
			return ""
		}
	}
	return "no controller has accepted it yet"
}

// fromGateway adds a Gateway's addresses to an entry, or says why it is none.
func fromGateway(ctx context.Context, side Side, ref parentRef, refused string, entry *Entry) (string, error) {
	what := fmt.Sprintf("Gateway %s/%s", ref.Namespace, ref.Name)
	var gw gateway
	obj, err := gatewayObject(ctx, side.Kube, "Gateway", ref.Namespace, ref.Name, &gw)
	if err != nil {
		return "", err
	}
	if obj == nil {
		return what + " does not exist", nil
	}
	listener := ""
	for _, l := range gw.Spec.Listeners {
		fits := (ref.SectionName == "" || ref.SectionName == l.Name) && (ref.Port == 0 || ref.Port == l.Port) && (l.Protocol == "HTTP" || l.Protocol == "HTTPS")
		if fits && l.Port == entry.Port && (l.Hostname == "" || accepts(l.Hostname, entry.Hostname)) {
			listener = l.Name
			break
		}
	}
	switch {
	case listener == "":
		return fmt.Sprintf("%s has no listener for it at port %d", what, entry.Port), nil
	case refused != "":
		return fmt.Sprintf("%s does not serve it: %s", what, refused), nil
	}
	for _, c := range gw.Status.Conditions {
		if c.Type == "Programmed" && c.Status != metav1.ConditionTrue {
			return strings.TrimSpace(fmt.Sprintf("%s is not programmed: %s %s", what, c.Reason, c.Message)), nil
		}
	}
	before := len(entry.Addresses)
	for _, a := range gw.Status.Addresses {
		if a.Type == "Hostname" {
			takeAddress(entry, "", a.Value)
		} else {
			takeAddress(entry, a.Value, "")
		}
	}
	if len(entry.Addresses) == before && entry.Target == "" {
		return what + " has no address yet", nil
	}
	entry.Gateway = fmt.Sprintf("%s/%s %s", ref.Namespace, ref.Name, listener)
	return "", nil
}

// accepts reports whether a hostname of a listener or of a route, which may begin with a wildcard, is for a name. A wildcard
// stands for one label or more (Gateway API, Hostname).
func accepts(pattern, name string) bool {
	pattern, name = backend.Clean(pattern), backend.Clean(name)
	if rest, wild := strings.CutPrefix(pattern, "*"); wild {
		return strings.HasSuffix(name, rest) && len(name) > len(rest)
	}
	return pattern == name
}
