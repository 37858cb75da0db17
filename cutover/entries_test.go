package cutover_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// entriesOf finds blue's entry of one hostname in one namespace.
func entryOf(t *testing.T, client *kube.Client, namespace string, h migration.Hostname) cutover.Entry {
	t.Helper()
	opts := cutover.Options{
		Blue: cutover.Side{Kube: client}, Green: cutover.Side{Kube: client},
		Applications: []migration.Application{{Name: "shop", Namespace: namespace, Hostnames: []migration.Hostname{h}}},
	}
	entries, err := cutover.FindEntries(t.Context(), opts, "shop")
	if err != nil {
		t.Fatal(err)
	}
	return entries[0].Blue
}

// Nodes that are ready answer at the node port; with externalTrafficPolicy Local only those with a ready pod.
func entriesAtNodes(t *testing.T, client *kube.Client) {
	ns := kubetest.Namespace(t, client)
	for name, ready := range map[string]corev1.ConditionStatus{"ready-1": corev1.ConditionTrue, "ready-2": corev1.ConditionTrue, "broken": corev1.ConditionFalse} {
		node, err := client.Typed.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: map[string]string{"ready-1": "192.0.2.11", "ready-2": "192.0.2.12", "broken": "192.0.2.13"}[name]}}
		if _, err := client.Typed.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = client.Typed.CoreV1().Nodes().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
		})
	}
	svc := kubetest.Apply(t, client, ns, `apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80}]}`)[0]
	got, err := client.Typed.CoreV1().Services(ns).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	port := int(got.Spec.Ports[0].NodePort)
	for _, asked := range []int{80, port} { // by the Service's port, and as clients use it
		e := entryOf(t, client, ns, migration.Hostname{Name: "shop.apps.test", Service: "web", Port: asked})
		if !e.Nodes || e.Port != port || fmt.Sprint(e.Addresses) != "[192.0.2.11 192.0.2.12]" || e.Missing != "" {
			t.Errorf("asked for port %d: %+v", asked, e)
		}
	}
	if e := entryOf(t, client, ns, migration.Hostname{Name: "shop.apps.test", Service: "web", Port: 80, Blue: &migration.Entry{Address: "192.0.2.99"}}); e.Nodes || e.Port != 80 || e.Addresses[0] != netip.MustParseAddr("192.0.2.99") {
		t.Errorf("with an address of the file: %+v", e)
	}
	got.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	if _, err := client.Typed.CoreV1().Services(ns).Update(t.Context(), got, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	node, yes := "ready-2", true
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}}, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.2.3"}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &yes}}},
	}
	if _, err := client.Typed.DiscoveryV1().EndpointSlices(ns).Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := entryOf(t, client, ns, migration.Hostname{Name: "shop.apps.test", Service: svc.GetName(), Port: 80}); fmt.Sprint(e.Addresses) != "[192.0.2.12]" {
		t.Errorf("with externalTrafficPolicy Local: %+v", e)
	}
}

// Where the nodes may not be listed, or none is ready, a node port is no entry, and why is said.
func TestANodePortWithoutNodesIsNoEntry(t *testing.T) {
	h := migration.Hostname{Name: "shop.apps.test", Service: "web", Port: 80}
	a, client := startAPI(t)
	if e := entryOf(t, client, "demo", h); e.Missing != "no node that is ready answers for Service demo/web" || e.Nodes {
		t.Errorf("none is ready: %+v", e)
	}
	a.noNodes = true
	if e := entryOf(t, client, "demo", h); e.Missing != "Service demo/web is of type NodePort, and this account may not list the nodes" || e.Nodes {
		t.Errorf("they may not be listed: %+v", e)
	}
}

// What a Gateway's status, and the route's, leave open is said in words.
func entriesAtGateways(t *testing.T, client *kube.Client) {
	kubetest.Gateway(t, client)
	ns, infra := kubetest.Namespace(t, client), kubetest.Namespace(t, client)
	h := migration.Hostname{Name: "shop.apps.test", HTTPRoute: "web", Port: 443}
	want := func(text string) {
		t.Helper()
		if e := entryOf(t, client, ns, h); !contains(e.Missing, text) || len(e.Addresses) > 0 {
			t.Errorf("missing %q, want %q: %+v", e.Missing, text, e)
		}
	}
	status := func(kind, namespace, name string, status map[string]any) {
		t.Helper()
		r, err := client.ResourceFor(t.Context(), "gateway.networking.k8s.io", kind)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := json.Marshal(map[string]any{"status": status})
		if _, err := client.At(r, namespace).Patch(t.Context(), name, types.MergePatchType, raw, metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}
	accepted := func(status, reason string) map[string]any {
		return map[string]any{"parents": []any{map[string]any{
			"controllerName": "example.com/c", "parentRef": map[string]any{"name": "edge", "namespace": infra, "sectionName": "tls"},
			"conditions": []any{map[string]any{"type": "Accepted", "status": status, "reason": reason, "message": "said so", "lastTransitionTime": "2026-11-22T12:00:00Z"}},
		}}}
	}
	want("HTTPRoute " + ns + "/web does not exist")
	kubetest.Apply(t, client, ns, fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge, namespace: %s, sectionName: tls}]
  hostnames: ["*.apps.test"]
  rules: [{backendRefs: [{name: web, port: 80}]}]`, infra))
	want("Gateway " + infra + "/edge does not exist")
	kubetest.Apply(t, client, infra, `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: c
  listeners:
    - {name: plain, port: 80, protocol: HTTP}
    - {name: tls, port: 443, protocol: HTTPS, hostname: "*.apps.test"}`)
	want("does not serve it: no controller has accepted it yet")
	status("HTTPRoute", ns, "web", accepted("False", "NotAllowedByListeners"))
	want("Accepted is not true: NotAllowedByListeners said so")
	status("HTTPRoute", ns, "web", accepted("True", "Accepted"))
	want("Gateway " + infra + "/edge has no address yet")
	status("Gateway", infra, "edge", map[string]any{"conditions": []any{map[string]any{"type": "Programmed", "status": "False", "reason": "Pending", "message": "soon", "lastTransitionTime": "2026-11-22T12:00:00Z"}}})
	want("is not programmed: Pending soon")
	status("Gateway", infra, "edge", map[string]any{
		"conditions": []any{map[string]any{"type": "Programmed", "status": "True", "reason": "Programmed", "message": "", "lastTransitionTime": "2026-11-22T12:00:00Z"}},
		"addresses":  []any{map[string]any{"type": "IPAddress", "value": "192.0.2.7"}, map[string]any{"type": "Hostname", "value": "edge.provider.test"}},
	})
	if e := entryOf(t, client, ns, h); e.Target != "edge.provider.test." || fmt.Sprint(e.Addresses) != "[192.0.2.7]" || e.Gateway != infra+"/edge tls" || e.Missing != "" {
		t.Errorf("found %+v", e)
	}
	h.Port = 8443
	want("has no listener for it at port 8443")
	h.Port, h.Name = 443, "shop.elsewhere.test"
	want("is for *.apps.test and not for this name")
}
