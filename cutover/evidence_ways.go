package cutover

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// withNodePorts completes entries of which only the address is known, as those of Ingresses and of the file: a load balancer outside the
// cluster passes its connections on to a node port, and that is what a node's connection table has. The Services that own such an
// address, in whatever namespace, say which ports these are.
func withNodePorts(ctx context.Context, blue Side, entries []Entry) ([]Entry, error) {
	lacks := func(e Entry) bool { return len(e.ClusterIPs) == 0 } // what a Service gave has some
	if !slices.ContainsFunc(entries, lacks) {
		return entries, nil
	}
	services, err := blue.Kube.Typed.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list blue's Services, to find the node ports behind its addresses: %w", err)
	}
	out := slices.Clone(entries)
	for _, e := range entries {
		if !lacks(e) {
			continue
		}
		for _, svc := range services.Items {
			if !owns(svc, e) {
				continue
			}
			for _, port := range svc.Spec.Ports {
				if int(port.Port) != e.Port {
					continue
				}
				way := Entry{Hostname: e.Hostname, Source: fmt.Sprintf("Service %s/%s", svc.Namespace, svc.Name), Port: e.Port, NodePort: int(port.NodePort)}
				for _, ip := range svc.Spec.ClusterIPs {
					if addr, err := netip.ParseAddr(ip); err == nil {
						way.ClusterIPs = append(way.ClusterIPs, addr)
					}
				}
				out = append(out, way)
			}
		}
	}
	return out, nil
}

// owns reports whether a Service answers at the address or the name of an entry.
func owns(svc corev1.Service, e Entry) bool {
	if slices.ContainsFunc(svc.Spec.ExternalIPs, func(ip string) bool { return hasAddress(e, ip) }) {
		return true
	}
	return slices.ContainsFunc(svc.Status.LoadBalancer.Ingress, func(in corev1.LoadBalancerIngress) bool {
		name, err := dnsx.Canonical(in.Hostname)
		return hasAddress(e, in.IP) || err == nil && name == e.Target
	})
}

func hasAddress(e Entry, ip string) bool {
	addr, err := netip.ParseAddr(ip)
	return err == nil && slices.Contains(e.Addresses, addr.Unmap())
}
