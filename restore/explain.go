package restore

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// logLines is how many of a pod's last lines are shown.
const logLines = 5

func fromMap(m map[string]any, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(m, into)
}

// explain says why an object is stuck, as far as green shows it: the reason of its worst pod, that pod's last event and the
// last lines of its log (K22). What cannot be read is left out: the explanation goes with an error that stands without it.
func (w *writer) explain(ctx context.Context, t target) string {
	var b strings.Builder
	if pod := w.worstPod(ctx, t); pod != nil {
		fmt.Fprintf(&b, "\n    pod %s: %s", pod.Name, podReason(pod))
		if event := w.lastEvent(ctx, t.Namespace, pod.Name, "Pod"); event != "" {
			fmt.Fprintf(&b, "\n    last event: %s", event)
		}
		for _, line := range w.lastLines(ctx, pod) {
			fmt.Fprintf(&b, "\n    log: %s", line)
		}
		return b.String()
	}
	if event := w.lastEvent(ctx, t.Namespace, t.Name, t.Kind); event != "" {
		fmt.Fprintf(&b, "\n    last event: %s", event)
	}
	return b.String()
}

// worstPod returns a pod of the workload or Service that is not ready.
func (w *writer) worstPod(ctx context.Context, t target) *corev1.Pod {
	if t.Kind == "Pod" {
		pod, err := w.opts.Green.Typed.CoreV1().Pods(t.Namespace).Get(ctx, t.Name, metav1.GetOptions{})
		if err != nil {
			return nil
		}
		return pod
	}
	obj, err := w.opts.Green.At(t.resource(), t.Namespace).Get(ctx, t.Name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	selector := selectorOf(obj)
	if t.Kind == "Service" {
		selector = metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: stringsOf(dig(obj.Object, "spec", "selector"))})
	}
	if selector == "" || strings.HasPrefix(selector, "<") { // none chooses nothing here
		return nil
	}
	pods, err := w.opts.Green.Typed.CoreV1().Pods(t.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil
	}
	for i := range pods.Items {
		if !kube.PodReady(&pods.Items[i]) {
			return &pods.Items[i]
		}
	}
	return nil
}

func stringsOf(m map[string]any) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

func podReason(pod *corev1.Pod) string {
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "PodInitializing":
			return strings.TrimSpace(fmt.Sprintf("container %s waits: %s %s", s.Name, s.State.Waiting.Reason, s.State.Waiting.Message))
		case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
			return fmt.Sprintf("container %s ended with code %d: %s", s.Name, s.State.Terminated.ExitCode, s.State.Terminated.Reason)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "it is not scheduled: " + c.Message
		}
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Running != nil && !s.Ready {
			return "container " + s.Name + " runs and does not pass its readiness probe"
		}
	}
	return "it is " + string(pod.Status.Phase)
}

func (w *writer) lastEvent(ctx context.Context, namespace, name, kind string) string {
	list, err := w.opts.Green.Typed.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.name=" + name + ",involvedObject.kind=" + kind,
	})
	if err != nil || len(list.Items) == 0 {
		return ""
	}
	last := slices.MaxFunc(list.Items, func(a, b corev1.Event) int { return eventTime(a).Compare(eventTime(b).Time) })
	return last.Reason + ": " + last.Message
}

func eventTime(e corev1.Event) metav1.Time {
	switch {
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp
	case !e.EventTime.IsZero():
		return metav1.NewTime(e.EventTime.Time)
	}
	return e.CreationTimestamp
}

// lastLines reads the end of the log of the container that is in the way, of its run before where it has restarted.
func (w *writer) lastLines(ctx context.Context, pod *corev1.Pod) []string {
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if s.Ready || (s.State.Terminated != nil && s.State.Terminated.ExitCode == 0) {
			continue
		}
		tail := int64(logLines)
		stream, err := w.opts.Green.Typed.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
			Container: s.Name, TailLines: &tail, Previous: s.State.Running == nil && s.RestartCount > 0,
		}).Stream(ctx)
		if err != nil {
			return nil
		}
		raw, err := io.ReadAll(io.LimitReader(stream, 16<<10))
		if cerr := stream.Close(); err != nil || cerr != nil {
			return nil
		}
		return strings.Split(strings.TrimSpace(string(raw)), "\n")
	}
	return nil
}
