package cutover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/nodeflows"
)

const (
	componentFlows   = "node-flows"
	defaultHelperNS  = metav1.NamespaceSystem
	podStartAllowed  = 2 * time.Minute
	podPoll          = 500 * time.Millisecond
	podDeleteTimeout = 30 * time.Second
)

// PodFlows reads connection tracking through a short-lived pod on the network of each node. The image's entry point must
// be this project's program.
type PodFlows struct {
	Kube      *kube.Client
	Migration string
	// Image is this project's image as the nodes can pull it.
	Image string
	// Namespace of the pods; it must allow pods on the host's network. Default kube-system.
	Namespace string
	// For is how long each pod watches, Every how often it looks. Defaults: 10s and 1s.
	For, Every time.Duration
	Log        *slog.Logger
	Clock      clock.Clock
}

// Flows implements FlowReader.
func (p PodFlows) Flows(ctx context.Context) ([]nodeflows.Report, error) {
	p = p.withDefaults()
	if p.Image == "" {
		return nil, errors.New("blue.helper names no image of this project, so the nodes' connections cannot be read")
	}
	nodes, err := p.nodes(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.sweep(ctx); err != nil {
		return nil, err
	}
	asks := make(slots, parallelRequests)
	return watchNodes(ctx, nodes, func(ctx context.Context, node string) (nodeflows.Report, error) { return p.watch(ctx, node, asks) })
}

// parallelRequests bounds how many requests for the pods are under way at once: a large cluster's API server has others to serve.
const parallelRequests = 16

// slots are taken by what is under way.
type slots chan struct{}

func (s slots) with(ctx context.Context, ask func() error) error {
	select {
	case s <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s }()
	return ask()
}

func (p PodFlows) withDefaults() PodFlows {
	if p.Namespace == "" {
		p.Namespace = defaultHelperNS
	}
	if p.For <= 0 {
		p.For = 10 * time.Second
	}
	if p.Every <= 0 {
		p.Every = time.Second
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	if p.Clock == nil {
		p.Clock = clock.System{}
	}
	return p
}

func (p PodFlows) nodes(ctx context.Context) ([]string, error) {
	list, err := p.Kube.Typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list blue's nodes: %w", err)
	}
	var names []string
	for _, n := range list.Items {
		names = append(names, n.Name)
	}
	return names, nil
}

// sweep deletes what a run that was killed left. Only pods with both of our labels are ours (I3).
func (p PodFlows) sweep(ctx context.Context) error {
	selector := fmt.Sprintf("%s=%s,%s=%s", kube.LabelMigration, p.Migration, kube.LabelComponent, componentFlows)
	left, err := p.Kube.Typed.CoreV1().Pods(p.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return fmt.Errorf("list left pods in %s: %w", p.Namespace, err)
	}
	for _, pod := range left.Items {
		if err := p.remove(ctx, pod.Name); err != nil {
			return err
		}
	}
	return nil
}

func (p PodFlows) remove(ctx context.Context, name string) error {
	now := int64(0)
	err := p.Kube.Typed.CoreV1().Pods(p.Namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete pod %s/%s: %w", p.Namespace, name, err)
	}
	return nil
}

// watch runs one pod to its end and reads its log. The pod is deleted whatever becomes of it.
func (p PodFlows) watch(ctx context.Context, node string, asks slots) (report nodeflows.Report, err error) {
	var pod *corev1.Pod
	if err := asks.with(ctx, func() error {
		pod, err = p.Kube.Typed.CoreV1().Pods(p.Namespace).Create(ctx, p.pod(node), metav1.CreateOptions{})
		return err
	}); err != nil {
		return report, fmt.Errorf("create a pod in %s: %w", p.Namespace, err)
	}
	defer func() {
		// The pod must go even when the run is being stopped.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), podDeleteTimeout)
		defer cancel()
		err = errors.Join(err, asks.with(ctx, func() error { return p.remove(ctx, pod.Name) }))
	}()
	if err := p.waitDone(ctx, pod.Name, asks); err != nil {
		return report, err
	}
	var raw []byte
	if err := asks.with(ctx, func() error {
		raw, err = p.Kube.Typed.CoreV1().Pods(p.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
		return err
	}); err != nil {
		return report, fmt.Errorf("read the log of pod %s/%s: %w", p.Namespace, pod.Name, err)
	}
	report, err = nodeflows.Parse(raw)
	if err != nil {
		return nodeflows.Report{}, fmt.Errorf("read the log of pod %s/%s: %w", p.Namespace, pod.Name, err)
	}
	report.Node = node
	return report, nil
}

func (p PodFlows) waitDone(ctx context.Context, name string, asks slots) error {
	began := p.Clock.Now()
	limit := p.For + podStartAllowed
	said := began
	for {
		var pod *corev1.Pod
		if err := asks.with(ctx, func() (err error) {
			pod, err = p.Kube.Typed.CoreV1().Pods(p.Namespace).Get(ctx, name, metav1.GetOptions{})
			return err
		}); err != nil {
			return fmt.Errorf("read pod %s/%s: %w", p.Namespace, name, err)
		}
		switch pod.Status.Phase {
		case corev1.PodSucceeded:
			return nil
		case corev1.PodFailed:
			return fmt.Errorf("pod %s/%s failed: %s", p.Namespace, name, kube.PodReason(pod))
		}
		now := p.Clock.Now()
		if now.Sub(began) >= limit {
			return fmt.Errorf("pod %s/%s did not end within %s: %s", p.Namespace, name, limit, kube.PodReason(pod))
		}
		if now.Sub(said) >= sayEvery {
			p.Log.InfoContext(ctx, "waiting for the pod that reads a node's connections", "pod", name, "state", kube.PodReason(pod))
			said = now
		}
		// It watches for as long, and many that are asked after all the time are many requests.
		if err := p.Clock.Sleep(ctx, max(podPoll, p.For-now.Sub(began))); err != nil {
			return err
		}
	}
}

// pod is bound to its node, bounded in time, and may do nothing but read the node's connection tracking.
func (p PodFlows) pod(node string) *corev1.Pod {
	root, no, yes := int64(0), false, true
	deadline := int64((p.For + podStartAllowed).Seconds())
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "crossfade-" + componentFlows + "-",
			Labels:       map[string]string{kube.LabelMigration: p.Migration, kube.LabelComponent: componentFlows},
		},
		Spec: corev1.PodSpec{
			NodeName:                     node,
			HostNetwork:                  true,
			RestartPolicy:                corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:        &deadline,
			AutomountServiceAccountToken: &no,
			EnableServiceLinks:           &no,
			Tolerations:                  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name:            componentFlows,
				Image:           p.Image,
				ImagePullPolicy: corev1.PullIfNotPresent,
				Args:            []string{componentFlows, "--for", p.For.String(), "--every", p.Every.String()},
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
				},
				SecurityContext: &corev1.SecurityContext{
					RunAsUser:                &root,
					AllowPrivilegeEscalation: &no,
					ReadOnlyRootFilesystem:   &yes,
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_ADMIN"}},
				},
			}},
		},
	}
}
