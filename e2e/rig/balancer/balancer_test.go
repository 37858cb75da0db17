package balancer_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/crossfade-project/crossfade/e2e/rig/balancer"
)

// host plays the node's interface and the zone.
type host struct {
	mu        sync.Mutex
	addresses []netip.Addr
	names     map[string]netip.Addr
	failures  int // how many changes fail first
}

func (h *host) AddAddress(a netip.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures > 0 {
		h.failures--
		return errors.New("the interface is busy")
	}
	if !slices.Contains(h.addresses, a) {
		h.addresses = append(h.addresses, a)
	}
	return nil
}

func (h *host) RemoveAddress(a netip.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addresses = slices.DeleteFunc(h.addresses, func(have netip.Addr) bool { return have == a })
	return nil
}

type zone struct{ *host }

func (z zone) SetAddress(_ context.Context, name string, a netip.Addr) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names[name] = a
	return nil
}

func (z zone) RemoveAddress(_ context.Context, name string) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.names, name)
	return nil
}

func service(name string, kind corev1.ServiceType) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.ServiceSpec{Type: kind}}
}

// play runs the balancer in a bubble of simulated time and calls f beside it.
func play(t *testing.T, h *host, client *fake.Clientset, pool int, f func(ctx context.Context)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var addresses []netip.Addr
		for i := range pool {
			addresses = append(addresses, netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}))
		}
		var group sync.WaitGroup
		group.Go(func() {
			err := balancer.Run(ctx, balancer.Options{
				Client: client, Addresses: h, Names: zone{h}, Pool: addresses,
				Hostname: "NAME.NAMESPACE.blue.lb.test", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			})
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		f(ctx)
		cancel()
		group.Wait()
	})
}

// settle lets simulated time pass, so that what failed is tried again.
func settle() {
	time.Sleep(5 * time.Second) // simulated
	synctest.Wait()
}

func entry(ctx context.Context, t *testing.T, client *fake.Clientset, name string) []corev1.LoadBalancerIngress {
	t.Helper()
	got, err := client.CoreV1().Services("shop").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Status.LoadBalancer.Ingress
}

func TestAServiceGetsAnAddressANameAndLosesThemWhenDeleted(t *testing.T) {
	client := fake.NewClientset(service("web", corev1.ServiceTypeLoadBalancer), service("inner", corev1.ServiceTypeClusterIP))
	h := &host{names: map[string]netip.Addr{}, failures: 2}
	play(t, h, client, 2, func(ctx context.Context) {
		settle()
		got := entry(ctx, t, client, "web")
		if len(got) != 1 || got[0].IP != "192.0.2.100" || got[0].Hostname != "web.shop.blue.lb.test" {
			t.Errorf("the status says %v", got)
		}
		if len(entry(ctx, t, client, "inner")) != 0 {
			t.Error("a Service that asks for no load balancer got one")
		}
		if h.names["web.shop.blue.lb.test"].String() != "192.0.2.100" || len(h.addresses) != 1 {
			t.Errorf("names %v, addresses %v", h.names, h.addresses)
		}
		if err := client.CoreV1().Services("shop").Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		settle()
		if len(h.names) != 0 || len(h.addresses) != 0 {
			t.Errorf("left after deletion: names %v, addresses %v", h.names, h.addresses)
		}
	})
}

func TestAnAddressInTheStatusIsKeptByItsService(t *testing.T) {
	old := service("old", corev1.ServiceTypeLoadBalancer)
	old.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.100", Hostname: "old.shop.blue.lb.test"}}
	// By name this one comes first, and must not get the other's address.
	client := fake.NewClientset(service("new", corev1.ServiceTypeLoadBalancer), old)
	h := &host{names: map[string]netip.Addr{}}
	play(t, h, client, 2, func(ctx context.Context) {
		settle()
		if got := entry(ctx, t, client, "old"); got[0].IP != "192.0.2.100" {
			t.Errorf("the old Service has %v", got)
		}
		if got := entry(ctx, t, client, "new"); len(got) != 1 || got[0].IP != "192.0.2.101" {
			t.Errorf("the new Service has %v", got)
		}
		if len(h.addresses) != 2 {
			t.Errorf("on the interface are %v", h.addresses)
		}
	})
}

func TestAFullPoolServesTheNextWhenAnAddressComesBack(t *testing.T) {
	client := fake.NewClientset(service("a", corev1.ServiceTypeLoadBalancer), service("b", corev1.ServiceTypeLoadBalancer))
	h := &host{names: map[string]netip.Addr{}}
	play(t, h, client, 1, func(ctx context.Context) {
		settle()
		if got := entry(ctx, t, client, "b"); len(got) != 0 {
			t.Errorf("the second Service has %v of a pool of one", got)
		}
		if err := client.CoreV1().Services("shop").Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		settle()
		if got := entry(ctx, t, client, "b"); len(got) != 1 || got[0].IP != "192.0.2.100" {
			t.Errorf("the second Service has %v after the first is gone", got)
		}
	})
}
