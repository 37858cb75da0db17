package cutover_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// startLight starts a real API server without nodes.
func startLight(t *testing.T) *kube.Client {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an API server")
	}
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	c, err := cluster.Light(t.Context(), cluster.LightOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	client, err := kube.Connect(kube.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestOnARealAPIServer(t *testing.T) {
	client := startLight(t)
	t.Run("entries", func(t *testing.T) { entriesOfRealObjects(t, client) })
	t.Run("pod", func(t *testing.T) { podIsTaken(t, client) })
}

// One server stands for both sides here: blue's namespace is demo, green's demo-green.
func entriesOfRealObjects(t *testing.T, client *kube.Client) {
	ctx := t.Context()
	for _, ns := range []string{"demo", "demo-green"} {
		if _, err := client.Typed.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	putService(t, client, "demo", corev1.LoadBalancerIngress{IP: "192.0.2.1"})
	putService(t, client, "demo-green")
	putIngress(t, client, "demo")
	opts := cutover.Options{
		Blue:  cutover.Side{Kube: client},
		Green: cutover.Side{Kube: client, Namespaces: map[string]string{"demo": "demo-green"}},
		Applications: []migration.Application{{
			Name: "shop", Namespace: "demo",
			Hostnames: []migration.Hostname{
				{Name: "shop.apps.test", Service: "shop", Port: 80},
				{Name: "by-ingress.apps.test", Ingress: "shop", Port: 80},
				{Name: "no-port.apps.test", Service: "shop", Port: 81},
				{Name: "overridden.apps.test", Service: "shop", Port: 80, Blue: &migration.Entry{Target: "blue.lb.test"}},
			},
		}},
	}
	entries, err := cutover.FindEntries(ctx, opts, "shop")
	if err != nil {
		t.Fatal(err)
	}
	blue := netip.MustParseAddr("192.0.2.1")
	if e := entries[0].Blue; len(e.Addresses) != 1 || e.Addresses[0] != blue || e.NodePort == 0 || len(e.ClusterIPs) == 0 || e.Source != "Service demo/shop" {
		t.Errorf("blue's Service: %+v", e)
	}
	if e := entries[0].Green; e.Missing != "Service demo-green/shop (type LoadBalancer) has no address yet" {
		t.Errorf("green's Service without an address: %+v", e)
	}
	if e := entries[1].Blue; e.Target != "lb.provider.test." || e.Source != "Ingress demo/shop" {
		t.Errorf("blue's Ingress: %+v", e)
	}
	if e := entries[1].Green; e.Missing != "Ingress demo-green/shop does not exist" {
		t.Errorf("green's Ingress: %+v", e)
	}
	if e := entries[2].Blue; e.Missing != "Service demo/shop has no port 81" {
		t.Errorf("a port that the Service lacks: %+v", e)
	}
	if e := entries[3].Blue; e.Target != "blue.lb.test." || e.Addresses[0] != blue || e.Missing != "" {
		t.Errorf("a name from the file beside the Service's address: %+v", e)
	}
}

func putService(t *testing.T, client *kube.Client, namespace string, ingress ...corev1.LoadBalancerIngress) {
	t.Helper()
	services := client.Typed.CoreV1().Services(namespace)
	svc, err := services.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "shop"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "shop"},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	svc.Status.LoadBalancer.Ingress = ingress
	if _, err := services.UpdateStatus(t.Context(), svc, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func putIngress(t *testing.T, client *kube.Client, namespace string) {
	t.Helper()
	ingresses := client.Typed.NetworkingV1().Ingresses(namespace)
	ing, err := ingresses.Create(t.Context(), &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: "shop"},
		Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Name: "shop", Port: networkingv1.ServiceBackendPort{Number: 80}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ing.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "lb.provider.test"}}
	if _, err := ingresses.UpdateStatus(t.Context(), ing, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// A real API server takes the pod that reads a node. It never runs, since there is no kubelet: that is an error in the
// end, and the pod is deleted all the same.
func podIsTaken(t *testing.T, client *kube.Client) {
	ctx := t.Context()
	if _, err := client.Typed.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	flows := cutover.PodFlows{Kube: client, Migration: "move", Image: "rig.test/crossfade:1", Clock: clock.NewFake(time.Unix(1e9, 0))}
	_, err := flows.Flows(ctx)
	if err == nil || errors.Is(err, context.Canceled) || !contains(err.Error(), "did not end within") {
		t.Errorf("err = %v, want the limit", err)
	}
	pods, err := client.Typed.CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{})
	if err != nil || len(pods.Items) > 0 {
		t.Errorf("pods left: %d, %v", len(pods.Items), err)
	}
}
