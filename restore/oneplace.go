package restore

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/plan"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What balancers and DNS controllers read on a Service or an Ingress. Beside blue's in one cluster, the same word twice
// claims an address or a name that blue still has.
const (
	dnsAnnotations = "external-dns.alpha.kubernetes.io/"
	dnsHostname    = dnsAnnotations + "hostname"
)

func addressAnnotations() []string {
	return []string{
		"metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs",
		"kube-vip.io/loadbalancerIPs", "lbipam.cilium.io/ips", "io.cilium/lb-ipam-ips",
		"service.beta.kubernetes.io/aws-load-balancer-eip-allocations", "service.beta.kubernetes.io/aws-load-balancer-name",
		"networking.gke.io/load-balancer-ip-addresses", "kubernetes.io/ingress.global-static-ip-name", "kubernetes.io/ingress.regional-static-ip-name",
		"service.beta.kubernetes.io/azure-load-balancer-ipv4", "service.beta.kubernetes.io/azure-pip-name",
		"load-balancer.hetzner.cloud/name", "alb.ingress.kubernetes.io/group.name",
	}
}

// checkOnePlace finds what two namespaces of one cluster cannot both have. Node ports are another step's business, and
// hosts and paths of an ingress checkIngress's.
func (pl *planner) checkOnePlace(ctx context.Context) error {
	if !pl.cargo.onePlace {
		return nil
	}
	for _, it := range pl.cargo.items {
		pl.sharedAddress(it)
		pl.sharedName(it)
		pl.sharedNode(it)
		pl.sharedBackend(it)
	}
	return pl.rightsElsewhere(ctx)
}

func (pl *planner) sharedAddress(it *item) {
	if it.key.is("", "Service") {
		was := digList(it.blue.Object, "spec", "externalIPs")
		for _, ip := range digList(it.running.Object, "spec", "externalIPs") {
			if slices.Contains(was, ip) {
				pl.plan.Refuse(it.key.String(), fmt.Sprintf("blue and green are one cluster, and blue's Service answers at its externalIP %v", ip),
					"give green another under patches: {op: replace, path: /spec/externalIPs, …}, or take the field away there")
			}
		}
	}
	was, is := it.blue.GetAnnotations(), it.running.GetAnnotations()
	for _, name := range addressAnnotations() {
		if is[name] != "" && is[name] == was[name] {
			pl.plan.Refuse(it.key.String(), fmt.Sprintf("blue and green are one cluster, and the annotation %s asks for what blue's has: %s", name, is[name]),
				"give green another value under patches, or take the annotation away there")
		}
	}
}

// sharedName refuses a second object that tells the same DNS controller the same name: it would move the name at once.
func (pl *planner) sharedName(it *item) {
	was := hostsIn(it.blue.GetAnnotations()[dnsHostname])
	for _, host := range hostsIn(it.running.GetAnnotations()[dnsHostname]) {
		if slices.Contains(was, host) {
			pl.plan.Refuse(it.key.String(), fmt.Sprintf("blue and green are one cluster, and its annotation %s would let that cluster's controller lead %s to green before its turn", dnsHostname, host),
				"take the annotation away under patches, or map the host under maps.hosts")
			return
		}
	}
}

func hostsIn(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// sharedNode refuses what every node can run only once. What need not run on every node is a warning of the ports' plan.
func (pl *planner) sharedNode(it *item) {
	if !it.key.is("apps", "DaemonSet") {
		return
	}
	spec, was := dig(it.running.Object, "spec", "template", "spec"), dig(it.blue.Object, "spec", "template", "spec")
	if !reflect.DeepEqual(spec["nodeSelector"], was["nodeSelector"]) || !reflect.DeepEqual(spec["affinity"], was["affinity"]) {
		return // the file sends green's to other nodes
	}
	for _, kind := range []string{"initContainers", "containers"} {
		for _, c := range digMaps(spec, kind) {
			for _, port := range digMaps(c, "ports") {
				if n, ok := digInt(port, "hostPort"); ok && n > 0 && n == hostPortNamed(it.blue, digString(c, "name"), port) {
					pl.plan.Refuse(it.key.String(), fmt.Sprintf("blue and green are one cluster, and blue's pods have port %d of every node", n),
						"give green another hostPort under patches, or keep the two on different nodes by a nodeSelector")
					return
				}
			}
		}
	}
}

// hostPortNamed is the port of the node that blue's container takes for the same port of its own, or 0.
func hostPortNamed(blue *unstructured.Unstructured, container string, port map[string]any) int64 {
	spec := dig(blue.Object, "spec", "template", "spec")
	for _, kind := range []string{"initContainers", "containers"} {
		for _, c := range digMaps(spec, kind) {
			if digString(c, "name") != container {
				continue
			}
			for _, p := range digMaps(c, "ports") {
				if fmt.Sprint(p["containerPort"]) == fmt.Sprint(port["containerPort"]) && digString(p, "protocol") == digString(port, "protocol") {
					n, _ := digInt(p, "hostPort")
					return n
				}
			}
		}
	}
	return 0
}

// sharedBackend warns of what has no namespace and calls a Service of blue's: it goes on calling it, for both sides.
func (pl *planner) sharedBackend(it *item) {
	if it.key.Namespace != "" {
		return
	}
	ns := namespaceMap(pl.opts.Maps.Namespaces)
	for _, service := range backendsOf(it.blue) {
		if from := digString(service, "namespace"); ns.of(from) != from {
			pl.plan.Note(plan.Warning, it.key.String(), fmt.Sprintf("it calls Service %s in blue's namespace %s, for the whole cluster: point it at %s by hand before blue is retired, which is refused until then",
				digString(service, "name"), from, ns.of(from)))
		}
	}
}

// backendsOf lists the Services that an object without a namespace calls.
func backendsOf(obj *unstructured.Unstructured) []map[string]any {
	var services []map[string]any
	for _, hook := range digMaps(obj.Object, "webhooks") {
		services = append(services, dig(hook, "clientConfig", "service"))
	}
	services = append(services, dig(obj.Object, "spec", "conversion", "webhook", "clientConfig", "service"))
	if keyOf(obj).is("apiregistration.k8s.io", "APIService") {
		services = append(services, dig(obj.Object, "spec", "service"))
	}
	return slices.DeleteFunc(services, func(s map[string]any) bool { return digString(s, "name") == "" })
}

// rightsElsewhere warns of bindings in namespaces that stay and that give rights to blue's accounts: green's have none there.
func (pl *planner) rightsElsewhere(ctx context.Context) error {
	ns := namespaceMap(pl.opts.Maps.Namespaces)
	r, err := pl.opts.Green.ResourceFor(ctx, rbacGroup, "RoleBinding")
	if err != nil {
		return fmt.Errorf("look for rights in other namespaces: %w", err)
	}
	for obj, err := range pl.opts.Green.List(ctx, r, "", "") {
		if apierrors.IsForbidden(err) {
			pl.plan.Note(plan.Warning, "role bindings", "this account may not list them in every namespace: whether one elsewhere gives rights to blue's accounts is not known")
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for rights in other namespaces: %w", err)
		}
		if at := obj.GetNamespace(); ns.of(at) != at || ours(obj, pl.opts.Migration) {
			continue
		}
		for _, subject := range digMaps(obj.Object, "subjects") {
			if from := digString(subject, "namespace"); from != "" && ns.of(from) != from {
				pl.plan.Note(plan.Warning, keyOf(obj).String(), fmt.Sprintf("it gives rights to %s of %s, and %s stays: add the account of %s to it", digString(subject, "name"), from, obj.GetNamespace(), ns.of(from)))
			}
		}
	}
	return nil
}
