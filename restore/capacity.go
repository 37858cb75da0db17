package restore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/crossfade-project/crossfade/internal/plan"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// checkCapacity refuses what green's nodes have no room for (K24): the requests of all that is to run, beside those of the
// pods that green runs already.
func (pl *planner) checkCapacity(ctx context.Context) error {
	needs := requests{}
	for _, it := range pl.cargo.items {
		pods := podsOf(it)
		podTemplates(it.running, func(spec, _ map[string]any) { needs.add(podRequests(spec), pods) })
	}
	if len(needs) == 0 {
		return nil
	}
	free, nodes, err := pl.room(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(needs)) {
		need, have := needs[name], free[name]
		if need.Cmp(have) <= 0 {
			continue
		}
		missing := need.DeepCopy()
		missing.Sub(have)
		pl.plan.Refuse("green: room for "+name, fmt.Sprintf("%s is to move and %s is free on %d schedulable nodes: %s is missing", need.String(), have.String(), nodes, missing.String()),
			"add nodes to green, or move fewer applications at once")
	}
	return nil
}

// room is what green's schedulable nodes have left after the requests of others' pods.
func (pl *planner) room(ctx context.Context) (requests, int, error) {
	list, err := pl.opts.Green.Typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, 0, fmt.Errorf("look for room on green: list nodes: %w", err)
	}
	free, counted := requests{}, map[string]bool{}
	for _, node := range list.Items {
		if node.Spec.Unschedulable {
			pl.plan.Note(plan.Info, "node "+node.Name, "it is cordoned and is not counted as room")
			continue
		}
		counted[node.Name] = true
		for name, quantity := range node.Status.Allocatable {
			free.plus(string(name), quantity)
		}
	}
	r, err := pl.opts.Green.ResourceFor(ctx, "", "Pod")
	if err != nil {
		return nil, 0, fmt.Errorf("look for room on green: %w", err)
	}
	targets := map[string]bool{}
	for _, it := range pl.cargo.items {
		targets[it.key.Namespace] = true
	}
	for pod, err := range pl.opts.Green.List(ctx, r, "", "") {
		if err != nil {
			return nil, 0, fmt.Errorf("look for room on green: %w", err)
		}
		phase := digString(pod.Object, "status", "phase")
		spec := dig(pod.Object, "spec")
		// What runs in the target namespaces already is counted among what is to move.
		if !counted[digString(spec, "nodeName")] || phase == string(corev1.PodSucceeded) || phase == string(corev1.PodFailed) || targets[pod.GetNamespace()] {
			continue
		}
		for name, quantity := range podRequests(spec) {
			left := free[name]
			left.Sub(quantity)
			free[name] = left
		}
	}
	return free, len(counted), nil
}

// requests are amounts by the name of the resource.
type requests map[string]resource.Quantity

func (r requests) plus(name string, q resource.Quantity) {
	sum := r[name]
	sum.Add(q)
	r[name] = sum
}

func (r requests) add(pod requests, times int64) {
	for name, q := range pod {
		q = q.DeepCopy()
		if q.Mul(times); !q.IsZero() {
			r.plus(name, q)
		}
	}
}

// podRequests is what the scheduler reserves for one pod: its containers together, or its largest init container where
// that is more, and the overhead. Init containers that stay on count as containers.
func podRequests(spec map[string]any) requests {
	sum, largest := requests{}, requests{}
	for _, c := range digMaps(spec, "containers") {
		sum.add(requested(c), 1)
	}
	for _, c := range digMaps(spec, "initContainers") {
		if c["restartPolicy"] == "Always" {
			sum.add(requested(c), 1)
			continue
		}
		for name, q := range requested(c) {
			if max := largest[name]; q.Cmp(max) > 0 {
				largest[name] = q
			}
		}
	}
	for name, q := range largest {
		if have := sum[name]; q.Cmp(have) > 0 {
			sum[name] = q
		}
	}
	sum.add(quantities(dig(spec, "overhead")), 1)
	return sum
}

// requested is what a container requests; a limit without a request is one.
func requested(c map[string]any) requests {
	out := quantities(dig(c, "resources", "limits"))
	maps.Copy(out, quantities(dig(c, "resources", "requests")))
	return out
}

func quantities(m map[string]any) requests {
	out := requests{}
	for name, value := range m {
		q, err := resource.ParseQuantity(fmt.Sprint(value))
		if err == nil { // green's server says what is wrong with one that cannot be read
			out[name] = q
		}
	}
	return out
}
