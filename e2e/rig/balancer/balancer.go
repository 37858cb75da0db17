package balancer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// Addresses puts addresses on the node's interface. Both calls are no error when there is nothing to do.
type Addresses interface {
	AddAddress(netip.Addr) error
	RemoveAddress(netip.Addr) error
}

// Names keeps the A records of hostnames.
type Names interface {
	// SetAddress makes the name's one A record.
	SetAddress(ctx context.Context, hostname string, address netip.Addr) error
	// RemoveAddress removes it. One that is not there is no error.
	RemoveAddress(ctx context.Context, hostname string) error
}

// Options say for which cluster addresses are handed out. All but Names and Log are needed.
type Options struct {
	Client    kubernetes.Interface
	Addresses Addresses
	// Pool is what is handed out, the first free one first.
	Pool []netip.Addr
	// Hostname is the pattern of the hostnames, in which NAME and NAMESPACE stand for the Service's:
	// NAME.NAMESPACE.blue.lb.test.
	Hostname string
	// Names makes the A records. Without it none are made.
	Names Names
	Log   *slog.Logger
}

// retry is how long the balancer waits after a failure.
const retry = time.Second

// Run hands out addresses until the context ends, which is its only way to return, with nil. Failures are logged and
// tried again.
func Run(ctx context.Context, o Options) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := &balancer{Options: o, given: map[string]lease{}}
	for {
		err := b.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			o.Log.Warn("load balancer stand-in: trying again", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry):
		}
	}
}

// A lease is what one Service was given.
type lease struct {
	address  netip.Addr
	hostname string
	served   bool // the address and the record were made by this run
}

type balancer struct {
	Options
	given map[string]lease // by namespace/name
}

// follow lists the Services, brings all up to date, and then does so for each that changes, until the watch ends.
func (b *balancer) follow(ctx context.Context) error {
	services := b.Client.CoreV1().Services(metav1.NamespaceAll)
	list, err := services.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	if err := b.update(ctx, list.Items); err != nil {
		return err
	}
	changes, err := services.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return fmt.Errorf("watch services: %w", err)
	}
	defer changes.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-changes.ResultChan():
			if !open {
				return nil // servers end watches now and then; the next one begins with a list
			}
			if err := b.handle(ctx, event); err != nil {
				return err
			}
		}
	}
}

func (b *balancer) handle(ctx context.Context, event watch.Event) error {
	service, ok := event.Object.(*corev1.Service)
	if !ok {
		return apierrors.FromObject(event.Object)
	}
	if event.Type == watch.Deleted {
		return b.release(ctx, key(service))
	}
	return b.serve(ctx, service)
}

// update brings every Service up to date. Addresses that an earlier run handed out are known by the status, and are
// taken in first, so that nobody else gets them.
func (b *balancer) update(ctx context.Context, services []corev1.Service) error {
	there := map[string]bool{}
	for i := range services {
		service := &services[i]
		there[key(service)] = true
		if wanted(service) {
			b.recall(service)
		}
	}
	var failed []error
	for name := range b.given {
		if !there[name] {
			failed = append(failed, b.release(ctx, name))
		}
	}
	for i := range services {
		failed = append(failed, b.serve(ctx, &services[i]))
	}
	return errors.Join(failed...)
}

func key(s *corev1.Service) string { return s.Namespace + "/" + s.Name }

func wanted(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.DeletionTimestamp == nil && s.Spec.LoadBalancerClass == nil
}

// recall takes the address in a Service's status for given, if it is one of the pool's.
func (b *balancer) recall(s *corev1.Service) {
	if _, ok := b.given[key(s)]; ok {
		return
	}
	for _, entry := range s.Status.LoadBalancer.Ingress {
		address, err := netip.ParseAddr(entry.IP)
		if err == nil && slices.Contains(b.Pool, address) && !b.taken(address) {
			b.given[key(s)] = lease{address: address, hostname: b.hostname(s)}
			return
		}
	}
}

func (b *balancer) hostname(s *corev1.Service) string {
	return strings.NewReplacer("NAMESPACE", s.Namespace, "NAME", s.Name).Replace(b.Hostname)
}

func (b *balancer) taken(address netip.Addr) bool {
	for _, l := range b.given {
		if l.address == address {
			return true
		}
	}
	return false
}

// serve gives a Service its address if it wants one, and takes it back if it no longer does.
func (b *balancer) serve(ctx context.Context, s *corev1.Service) error {
	if !wanted(s) {
		if _, ok := b.given[key(s)]; !ok {
			return nil
		}
		if err := b.clearStatus(ctx, s); err != nil {
			return err
		}
		return b.release(ctx, key(s))
	}
	given, ok := b.given[key(s)]
	if !ok {
		free := slices.IndexFunc(b.Pool, func(a netip.Addr) bool { return !b.taken(a) })
		if free < 0 {
			return fmt.Errorf("serve service %s: all %d addresses are in use", key(s), len(b.Pool))
		}
		given = lease{address: b.Pool[free], hostname: b.hostname(s)}
		b.given[key(s)] = given
	}
	status := []corev1.LoadBalancerIngress{{IP: given.address.String(), Hostname: given.hostname}}
	if given.served && sameEntry(s.Status.LoadBalancer.Ingress, status) {
		return nil
	}
	if err := b.Addresses.AddAddress(given.address); err != nil {
		return fmt.Errorf("serve service %s: %w", key(s), err)
	}
	if b.Names != nil {
		if err := b.Names.SetAddress(ctx, given.hostname, given.address); err != nil {
			return fmt.Errorf("serve service %s: make A record of %s: %w", key(s), given.hostname, err)
		}
	}
	if err := b.setStatus(ctx, s, status); err != nil {
		return err
	}
	if given.served {
		return nil
	}
	given.served = true
	b.given[key(s)] = given
	b.Log.Info("load balancer stand-in: address given", "service", key(s), "address", given.address.String(), "hostname", given.hostname)
	return nil
}

func sameEntry(have, want []corev1.LoadBalancerIngress) bool {
	return len(have) == len(want) && (len(want) == 0 || have[0].IP == want[0].IP && have[0].Hostname == want[0].Hostname)
}

// clearStatus takes the entry out of the status, which the API server does by itself for a changed type.
func (b *balancer) clearStatus(ctx context.Context, s *corev1.Service) error {
	if len(s.Status.LoadBalancer.Ingress) == 0 || s.DeletionTimestamp != nil {
		return nil
	}
	return b.setStatus(ctx, s, nil)
}

func (b *balancer) setStatus(ctx context.Context, s *corev1.Service, entries []corev1.LoadBalancerIngress) error {
	s = s.DeepCopy()
	s.Status.LoadBalancer.Ingress = entries
	_, err := b.Client.CoreV1().Services(s.Namespace).UpdateStatus(ctx, s, metav1.UpdateOptions{FieldManager: "rig-balancer"})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // it has changed meanwhile, which the watch tells next
	}
	if err != nil {
		return fmt.Errorf("write status of service %s: %w", key(s), err)
	}
	return nil
}

// release takes back what a Service had.
func (b *balancer) release(ctx context.Context, name string) error {
	given, ok := b.given[name]
	if !ok {
		return nil
	}
	if b.Names != nil {
		if err := b.Names.RemoveAddress(ctx, given.hostname); err != nil {
			return fmt.Errorf("remove A record of %s: %w", given.hostname, err)
		}
	}
	if err := b.Addresses.RemoveAddress(given.address); err != nil {
		return fmt.Errorf("take address of service %s back: %w", name, err)
	}
	delete(b.given, name)
	b.Log.Info("load balancer stand-in: address taken back", "service", name, "address", given.address.String())
	return nil
}
