package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const (
	groupIngress = "networking.k8s.io"
	groupGateway = "gateway.networking.k8s.io"
)

// A claim is a host and a path that an object wants of one controller: an Ingress of its class, an HTTPRoute of a Gateway. Two objects
// with one claim are nobody's wish: which of them answers is not defined.
type claim struct{ host, path, at string }

// String names the claim as plans do: `shop.example.com/ (class "nginx")`.
func (c claim) String() string { return c.host + c.path + " (" + c.at + ")" }

// shadows reports whether a claim to an exact host takes requests away from one to a wildcard at the same controller: both
// Ingresses and HTTPRoutes give an exact host precedence.
func (c claim) shadows(wild claim) bool {
	rest, ok := strings.CutPrefix(wild.host, "*")
	return ok && c.at == wild.at && !strings.HasPrefix(c.host, "*") && strings.HasSuffix(c.host, rest) && len(c.host) > len(rest)
}

func claimsOfHosts(obj *unstructured.Unstructured) []claim {
	switch k := keyOf(obj); {
	case k.is(groupIngress, "Ingress"):
		return ingressClaims(obj.Object)
	case k.is(groupGateway, "HTTPRoute"):
		return httpRouteClaims(obj)
	}
	return nil
}

func ingressClaims(o map[string]any) []claim {
	class := digString(o, "spec", "ingressClassName")
	if class == "" {
		class = digString(o, "metadata", "annotations", ingressAnnotation)
	}
	var claims []claim
	for _, rule := range digMaps(o, "spec", "rules") {
		for _, path := range digMaps(rule, "http", "paths") {
			claims = append(claims, claim{strings.ToLower(digString(rule, "host")), digString(path, "path"), fmt.Sprintf("class %q", class)})
		}
	}
	return claims
}

// httpRouteClaims are those of a route at each Gateway that it names. A route without hostnames claims all of its Gateway's.
func httpRouteClaims(obj *unstructured.Unstructured) []claim {
	var hosts, paths []string
	for _, h := range digList(obj.Object, "spec", "hostnames") {
		if host, ok := h.(string); ok {
			hosts = append(hosts, strings.ToLower(host))
		}
	}
	if len(hosts) == 0 {
		hosts = []string{"*"}
	}
	for _, rule := range digMaps(obj.Object, "spec", "rules") {
		matches := digMaps(rule, "matches")
		if len(matches) == 0 {
			paths = append(paths, "/")
		}
		for _, m := range matches {
			path := digString(m, "path", "value")
			if path == "" {
				path = "/"
			}
			if !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	var claims []claim
	for _, ref := range digMaps(obj.Object, "spec", "parentRefs") {
		if kind := digString(ref, "kind"); kind != "" && kind != "Gateway" {
			continue
		}
		namespace := digString(ref, "namespace")
		if namespace == "" {
			namespace = obj.GetNamespace()
		}
		at := fmt.Sprintf("Gateway %s/%s", namespace, digString(ref, "name"))
		for _, host := range hosts {
			for _, path := range paths {
				claims = append(claims, claim{host, path, at})
			}
		}
	}
	return claims
}

// checkIngress refuses a host and path that another object of green's claims of the same controller already (P6): which of the two
// answers is not defined. In one cluster it refuses, too, an exact host that would take requests from a wildcard of blue's before
// its turn.
func (pl *planner) checkIngress(ctx context.Context) error {
	for _, of := range []struct{ group, kind, mend string }{
		{groupIngress, "Ingress", "map the host under maps.hosts, or the class under maps.ingressClasses"},
		{groupGateway, "HTTPRoute", "map the host under maps.hosts, or give green another Gateway under patches (spec.parentRefs)"},
	} {
		mine := map[claim]*item{}
		for _, it := range pl.cargo.items {
			if it.key.is(of.group, of.kind) {
				for _, c := range claimsOfHosts(it.running) {
					mine[c] = it
				}
			}
		}
		if len(mine) == 0 {
			continue
		}
		r, err := pl.opts.Green.ResourceFor(ctx, of.group, of.kind)
		if errors.Is(err, kube.ErrNotServed) {
			continue // refused where it is to be written
		}
		if err != nil {
			return fmt.Errorf("look for who answers for the same hosts: %w", err)
		}
		for obj, err := range pl.opts.Green.List(ctx, r, "", "") {
			if err != nil {
				return fmt.Errorf("look for who answers for the same hosts: %w", err)
			}
			pl.compareClaims(obj, mine, of.mend)
		}
	}
	return nil
}

func (pl *planner) compareClaims(obj *unstructured.Unstructured, mine map[claim]*item, mend string) {
	_, moves := pl.opts.Maps.Namespaces[obj.GetNamespace()]
	refused := map[key]bool{}
	for _, c := range claimsOfHosts(obj) {
		if it := mine[c]; it != nil && it.key != keyOf(obj) {
			pl.plan.Refuse(it.key.String(), fmt.Sprintf("%s on green answers for %s too", keyOf(obj), c), mend)
		}
		if !pl.cargo.onePlace || !moves {
			continue
		}
		for exact, it := range mine {
			if exact.shadows(c) && !refused[it.key] {
				refused[it.key] = true
				pl.plan.Refuse(it.key.String(), fmt.Sprintf("blue's %s answers for it by %s, and the exact host would take its requests from blue before its turn", keyOf(obj), c), mend)
			}
		}
	}
}

// keptBy names the object of blue's that keeps its hosts: their backends are switched (hostnames[].switch: backend).
func (o Options) keptBy(k key) []string {
	var hosts []string
	for _, app := range o.Applications {
		for _, h := range app.Hostnames {
			if !h.AtBackend() || k.Namespace != app.Namespace {
				continue
			}
			if k.is(groupIngress, "Ingress") && k.Name == h.Ingress || k.is(groupGateway, "HTTPRoute") && k.Name == h.HTTPRoute {
				hosts = append(hosts, strings.ToLower(strings.TrimSuffix(h.Name, ".")))
			}
		}
	}
	return hosts
}

// leaveKept takes the hosts out of an object that blue's keeps: two objects of one controller never claim one. It reports whether
// nothing is left of it, so that it is not made.
func leaveKept(obj *unstructured.Unstructured, hosts []string) (nothing bool) {
	if len(hosts) == 0 {
		return false
	}
	spec := dig(obj.Object, "spec")
	if keyOf(obj).is(groupGateway, "HTTPRoute") {
		left := slices.DeleteFunc(slices.Clone(digList(obj.Object, "spec", "hostnames")), func(h any) bool {
			host, _ := h.(string)
			return slices.Contains(hosts, strings.ToLower(host))
		})
		spec["hostnames"] = left
		return len(left) == 0
	}
	left := slices.DeleteFunc(slices.Clone(digList(obj.Object, "spec", "rules")), func(r any) bool {
		rule, _ := r.(map[string]any)
		return slices.Contains(hosts, strings.ToLower(digString(rule, "host")))
	})
	spec["rules"] = left
	if len(left) == 0 {
		delete(spec, "rules")
	}
	return len(left) == 0 && dig(spec, "defaultBackend") == nil
}

// noteKept says in the plan what blue's object keeps.
func noteKept(p *plan.Plan, k key, hosts []string) {
	p.Note(plan.Info, k.String(), fmt.Sprintf("blue's keeps %s, whose backend is switched in its turn: two objects of one controller must not claim one host, so green's goes without", strings.Join(hosts, ", ")))
}

const keptOnBlue reason = "blue's keeps all of its hosts: their backends are switched (switch: backend)"
