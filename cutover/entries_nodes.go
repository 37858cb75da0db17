package cutover

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fromNodes takes the nodes of a Service of type NodePort for its entry: each that is ready, by its external address, or where no
// node has one, by its internal one. The port is the node port, whatever the file says of clients.
func fromNodes(ctx context.Context, side Side, svc *corev1.Service, entry *Entry) error {
	entry.Source += " at its nodes"
	nodes, err := side.Kube.Typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		entry.Missing = fmt.Sprintf("Service %s/%s is of type NodePort, and this account may not list the nodes", svc.Namespace, svc.Name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the nodes of %s: %w", entry.Source, err)
	}
	answers := func(string) bool { return true }
	if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		if answers, err = nodesWithPods(ctx, side, svc); err != nil {
			return fmt.Errorf("read where %s has pods: %w", entry.Source, err)
		}
	}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeInternalIP} {
		for _, node := range nodes.Items {
			if !ready(node) || !answers(node.Name) {
				continue
			}
			for _, a := range node.Status.Addresses {
				if a.Type == kind {
					takeAddress(entry, a.Address, "")
				}
			}
		}
		if entry.known() {
			break
		}
	}
	if !entry.known() {
		entry.Missing = fmt.Sprintf("no node that is ready answers for Service %s/%s", svc.Namespace, svc.Name)
		return nil
	}
	entry.Port, entry.Nodes = entry.NodePort, true
	return nil
}

func ready(node corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// nodesWithPods are those that answer for a Service whose externalTrafficPolicy is Local.
func nodesWithPods(ctx context.Context, side Side, svc *corev1.Service) (func(string) bool, error) {
	slices, err := side.Kube.Typed.DiscoveryV1().EndpointSlices(svc.Namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + svc.Name})
	if err != nil {
		return nil, err
	}
	has := map[string]bool{}
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			if e.NodeName != nil && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				has[*e.NodeName] = true
			}
		}
	}
	return func(node string) bool { return has[node] }, nil
}
