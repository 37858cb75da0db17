package cutover

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover/internal/externaldns"
)

// Installation is one Deployment of external-dns, with what it was told.
type Installation struct {
	Side      string `json:"side"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Replicas  int32  `json:"replicas"`
	externaldns.Arguments
	// uid tells whether two sides show one Deployment.
	uid string
}

// String names the installation for plans and pictures.
func (i Installation) String() string {
	return fmt.Sprintf("%s: Deployment %s/%s (%s, %d replicas)", i.Side, i.Namespace, i.Name, i.Arguments, i.Replicas)
}

// active says whether it may change a name now.
func (i Installation) active(name string) bool {
	return i.Replicas > 0 && !i.DryRun && i.Concerns(name)
}

// listPage is how many objects one request reads.
const listPage = 500

// findInstallations lists the Deployments of a side that run external-dns.
func findInstallations(ctx context.Context, side Side, name string) ([]Installation, error) {
	if side.Kube == nil {
		return nil, fmt.Errorf("%s was not asked", name)
	}
	var found []Installation
	opts := metav1.ListOptions{Limit: listPage}
	for {
		list, err := side.Kube.Typed.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, opts)
		if err != nil {
			return nil, fmt.Errorf("list the Deployments of %s to find external-dns: %w", name, err)
		}
		for _, d := range list.Items {
			if i, ok := installationOf(d, name); ok {
				found = append(found, i)
			}
		}
		if opts.Continue = list.Continue; opts.Continue == "" {
			return found, nil
		}
	}
}

// installationOf reads what a Deployment's external-dns was told, if it runs one.
func installationOf(d appsv1.Deployment, side string) (Installation, bool) {
	i := slices.IndexFunc(d.Spec.Template.Spec.Containers, externaldns.Is)
	if i < 0 {
		return Installation{}, false
	}
	return Installation{
		Side: side, Namespace: d.Namespace, Name: d.Name, Replicas: replicasOf(d), uid: string(d.UID),
		Arguments: externaldns.FromContainer(d.Spec.Template.Spec.Containers[i]),
	}, true
}

func replicasOf(d appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1 // the default of the API
	}
	return *d.Spec.Replicas
}

// wish is an object that asks external-dns for a name.
type wish struct {
	object string
	// ttl is what the object demands; empty where it leaves the TTL alone.
	ttl string
	// targets are what external-dns would let the name lead to; empty where the object has no address yet.
	targets []string
}

// Annotations of external-dns on the objects that it reads.
const (
	annotationHostname = "external-dns.alpha.kubernetes.io/hostname"
	annotationTTL      = "external-dns.alpha.kubernetes.io/ttl"
	annotationTarget   = "external-dns.alpha.kubernetes.io/target"
)

// findWishes returns the Ingresses and Services of a namespace that ask for a name.
func findWishes(ctx context.Context, side Side, namespace, name string) ([]wish, error) {
	var wishes []wish
	ingresses, err := side.Kube.Typed.NetworkingV1().Ingresses(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the Ingresses of %s: %w", namespace, err)
	}
	for _, in := range ingresses.Items {
		if slices.ContainsFunc(hostsOf(in), func(h string) bool { return sameName(h, name) }) {
			wishes = append(wishes, ingressWish(in))
		}
	}
	services, err := side.Kube.Typed.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the Services of %s: %w", namespace, err)
	}
	for _, svc := range services.Items {
		if slices.ContainsFunc(annotated(svc), func(h string) bool { return sameName(h, name) }) {
			wishes = append(wishes, serviceWish(svc))
		}
	}
	return wishes, nil
}

// ingressWish takes the targets as external-dns does: the annotated ones, else those of the status.
func ingressWish(in networkingv1.Ingress) wish {
	w := wish{object: fmt.Sprintf("Ingress %s/%s", in.Namespace, in.Name), ttl: in.Annotations[annotationTTL], targets: splitNames(in.Annotations[annotationTarget])}
	if len(w.targets) == 0 {
		for _, at := range in.Status.LoadBalancer.Ingress {
			w.targets = append(w.targets, splitNames(at.IP+","+at.Hostname)...)
		}
	}
	return w
}

// serviceWish prefers external addresses to those of the load balancer, as external-dns does.
func serviceWish(svc corev1.Service) wish {
	w := wish{object: fmt.Sprintf("Service %s/%s", svc.Namespace, svc.Name), ttl: svc.Annotations[annotationTTL], targets: splitNames(svc.Annotations[annotationTarget])}
	if len(w.targets) == 0 {
		w.targets = append(w.targets, svc.Spec.ExternalIPs...)
	}
	if len(w.targets) == 0 {
		for _, at := range svc.Status.LoadBalancer.Ingress {
			w.targets = append(w.targets, splitNames(at.IP+","+at.Hostname)...)
		}
	}
	return w
}

// writes says whether external-dns would let the name lead to exactly what some records say.
func (w wish) writes(data []string) bool {
	return len(w.targets) == len(data) && !slices.ContainsFunc(w.targets, func(t string) bool {
		return !slices.ContainsFunc(data, func(d string) bool { return sameName(t, d) })
	})
}

// hostsOf lists the names that an Ingress asks for: those of its rules and of its TLS, and the annotated ones.
func hostsOf(in networkingv1.Ingress) []string {
	hosts := splitNames(in.Annotations[annotationHostname])
	for _, rule := range in.Spec.Rules {
		hosts = append(hosts, rule.Host)
	}
	for _, t := range in.Spec.TLS {
		hosts = append(hosts, t.Hosts...)
	}
	return hosts
}

func annotated(svc corev1.Service) []string { return splitNames(svc.Annotations[annotationHostname]) }

func splitNames(text string) []string {
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// reads says whether an installation takes names from the kinds that findWishes reads.
func (i Installation) reads(kind string) bool {
	return len(i.Sources) == 0 || slices.Contains(i.Sources, strings.ToLower(kind))
}

// wanted lists the objects of a namespace that make an installation want a name.
func wanted(ctx context.Context, side Side, namespace string, i Installation, name string) ([]wish, error) {
	if i.Within != "" && i.Within != namespace {
		return nil, nil
	}
	wishes, err := findWishes(ctx, side, namespace, name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(wishes, func(w wish) bool {
		kind, _, _ := strings.Cut(w.object, " ")
		return !i.reads(kind)
	}), nil
}
