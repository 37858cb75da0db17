package front

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/internal/kube"
)

const (
	// ledLimit is how long the controllers may take to write down the pods that a Service has been told to choose.
	ledLimit = time.Minute
	ledPoll  = 500 * time.Millisecond
	// ledPause is how long nodes may take to follow what is written down: kube-proxy gathers changes for a second.
	ledPause = 3 * time.Second
)

// WaitLed waits until the Services lead to the pods that they choose, and to no others. Before that a connection still reaches the pods
// from before, and a client would be taken for a knock, or a knock for a client.
func (c Cluster) WaitLed(ctx context.Context, switches []Switch) error {
	until := c.Clock.Now().Add(ledLimit)
	for _, s := range switches {
		for {
			why, err := c.led(ctx, s)
			if err != nil {
				return err
			}
			if why == "" {
				break
			}
			if !c.Clock.Now().Before(until) {
				return fmt.Errorf("%s does not lead to the pods that it chooses after %s: %s", s, ledLimit, why)
			}
			if err := c.Clock.Sleep(ctx, ledPoll); err != nil {
				return err
			}
		}
	}
	return c.Clock.Sleep(ctx, ledPause)
}

// led says why a Service does not lead to the pods that it chooses, or "". A Service that is gone leads nowhere.
func (c Cluster) led(ctx context.Context, s Switch) (string, error) {
	svc, err := c.Kube.Typed.CoreV1().Services(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && len(svc.Spec.Selector) == 0 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", s, err)
	}
	chosen, err := c.Kube.Typed.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(svc.Spec.Selector).String()})
	if err != nil {
		return "", fmt.Errorf("list the pods of %s: %w", s, err)
	}
	written, err := c.Kube.Typed.DiscoveryV1().EndpointSlices(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + s.Name})
	if apierrors.IsNotFound(err) { // a Kubernetes before 1.21
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("list the EndpointSlices of %s: %w", s, err)
	}
	return ledWrong(chosen.Items, written.Items), nil
}

// ledWrong says which pods are written down and not chosen, or ready and not written down, or "". With two families of addresses a
// pod is written down twice.
func ledWrong(chosen []corev1.Pod, written []discoveryv1.EndpointSlice) string {
	there := map[types.UID]bool{}
	var wrong []string
	for _, slice := range written {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			ref := corev1.ObjectReference{Name: strings.Join(e.Addresses, ", ")}
			if e.TargetRef != nil {
				ref = *e.TargetRef
			}
			if !slices.ContainsFunc(chosen, func(pod corev1.Pod) bool { return pod.UID == ref.UID }) {
				wrong = append(wrong, ref.Name+" is still there")
			}
			there[ref.UID] = true
		}
	}
	for _, pod := range chosen {
		if pod.DeletionTimestamp == nil && kube.PodReady(&pod) && !there[pod.UID] {
			wrong = append(wrong, pod.Name+" is not there yet")
		}
	}
	return strings.Join(wrong, ", ")
}
