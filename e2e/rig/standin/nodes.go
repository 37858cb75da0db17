package standin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// nodes plays kubelets and balancers.
type nodes struct {
	side   string
	client *kube.Client
	// endpoints are played as well.
	endpoints bool
	next      int
	// writing is held while EndpointSlices of a Service are written: who read the Service before another change of it would write down
	// pods that it does not choose any more, and nobody would come to mend that.
	writing sync.Mutex
}

// managedBy marks the EndpointSlices that are played.
const managedBy = "stand-in"

// Nodes plays the kubelets and the balancers of a cluster that has neither, until the returned function is called. Every
// pod runs and is ready at once, a pod of a Job has succeeded, one with the annotation SIDE-stuck waits for ever, and Balancers is included.
func Nodes(side string, client *kube.Client) (stop func(context.Context) error) {
	n := &nodes{side: side, client: client, endpoints: true}
	return play(n.pods, n.services)
}

// Balancers plays the balancers of a cluster, until the returned function is called: a Service of type LoadBalancer gets the
// address that its annotation SIDE-address names.
func Balancers(side string, client *kube.Client) (stop func(context.Context) error) {
	n := &nodes{side: side, client: client}
	return play(n.services)
}

func play(parts ...func(context.Context)) (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, part := range parts {
		group.Go(func() { part(ctx) })
	}
	return func(context.Context) error {
		cancel()
		group.Wait()
		return nil
	}
}

func (n *nodes) pods(ctx context.Context) {
	n.follow(ctx, func(ctx context.Context) (watch.Interface, error) {
		return n.client.Typed.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{})
	})
}

func (n *nodes) services(ctx context.Context) {
	n.follow(ctx, func(ctx context.Context) (watch.Interface, error) {
		return n.client.Typed.CoreV1().Services("").Watch(ctx, metav1.ListOptions{})
	})
}

// follow plays on every change. What could not be written is tried again on the next one, and at the latest when the watch
// begins again.
func (n *nodes) follow(ctx context.Context, begin func(context.Context) (watch.Interface, error)) {
	for ctx.Err() == nil {
		w, err := begin(ctx)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		for event := range w.ResultChan() {
			switch obj := event.Object.(type) {
			case *corev1.Pod:
				_ = n.playPod(ctx, obj)
				_ = n.playAllEndpoints(ctx, obj.Namespace)
			case *corev1.Service:
				_ = n.playBalancer(ctx, obj)
				if n.endpoints && event.Type != watch.Deleted {
					_ = n.playEndpoints(ctx, obj.Namespace, obj.Name)
				}
			}
		}
	}
}

func (n *nodes) playPod(ctx context.Context, pod *corev1.Pod) error {
	if pod.Status.Phase != corev1.PodPending || pod.DeletionTimestamp != nil {
		return nil
	}
	if pod.Annotations[n.side+"-stuck"] != "" {
		return n.playStuck(ctx, pod)
	}
	n.next++
	pod.Status.PodIP = fmt.Sprintf("10.200.%d.%d", n.next/250, n.next%250+1)
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	pod.Status.Phase = corev1.PodRunning
	ready := corev1.ConditionTrue
	for _, owner := range pod.OwnerReferences {
		if owner.Kind == "Job" {
			pod.Status.Phase, ready = corev1.PodSucceeded, corev1.ConditionFalse
		}
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	_, err := n.client.Typed.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

// playStuck lets a pod wait for ever, as one whose image nobody has.
func (n *nodes) playStuck(ctx context.Context, pod *corev1.Pod) error {
	if len(pod.Status.ContainerStatuses) > 0 {
		return nil
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: pod.Spec.Containers[0].Name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "a stand-in: nobody has the image"}},
	}}
	_, err := n.client.Typed.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

// playAllEndpoints plays those of a namespace, when something of its pods has changed.
func (n *nodes) playAllEndpoints(ctx context.Context, namespace string) error {
	services, err := n.client.Typed.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range services.Items {
		err = errors.Join(err, n.playEndpoints(ctx, namespace, services.Items[i].Name))
	}
	return err
}

// playEndpoints puts the pods that a Service chooses behind it, and no others: the controller passes over pods that are on no node.
func (n *nodes) playEndpoints(ctx context.Context, namespace, name string) error {
	n.writing.Lock()
	defer n.writing.Unlock()
	svc, err := n.client.Typed.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	slices := n.client.Typed.DiscoveryV1().EndpointSlices(svc.Namespace)
	written, err := slices.List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + svc.Name + "," + discoveryv1.LabelManagedBy + "=" + managedBy})
	if err != nil {
		return err
	}
	left := map[string]bool{}
	for _, slice := range written.Items {
		left[slice.Name] = true
	}
	pods, err := n.client.Typed.CoreV1().Pods(svc.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(svc.Spec.Selector).String()})
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		if len(svc.Spec.Selector) == 0 || pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		name := svc.Name + "-" + string(pod.UID)
		if left[name] {
			delete(left, name)
			continue
		}
		_, err := slices.Create(ctx, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Name:            name,
				Labels:          map[string]string{discoveryv1.LabelServiceName: svc.Name, discoveryv1.LabelManagedBy: managedBy},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
			},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints: []discoveryv1.Endpoint{{
				Addresses: []string{pod.Status.PodIP}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
			}},
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	for name := range left {
		if err := slices.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func (n *nodes) playBalancer(ctx context.Context, svc *corev1.Service) error {
	ip := svc.Annotations[n.side+"-address"]
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || ip == "" || len(svc.Status.LoadBalancer.Ingress) > 0 {
		return nil
	}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip}}
	_, err := n.client.Typed.CoreV1().Services(svc.Namespace).UpdateStatus(ctx, svc, metav1.UpdateOptions{})
	return err
}
