package export

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/migration"
)

const (
	awaitStep = time.Second
	logEvery  = 20 * time.Second
)

// awaited names what must have ended once everything is stopped: also what somebody else had stopped before.
func awaited(opts FreezeOptions, found *world) await {
	a := await{CronJobs: map[string]string{}, Workloads: map[string]string{}, Limit: opts.wait().String()}
	for _, w := range found.stop {
		switch {
		case w.res.Kind == "CronJob":
			a.CronJobs[string(w.obj.GetUID())] = w.obj.GetName()
		case opts.App.Writes == migration.WritesQuiesce:
			a.Workloads[string(w.obj.GetUID())] = w.String()
		}
	}
	return a
}

// waitEnded waits until the jobs of the suspended CronJobs have finished and the pods of stopped workloads are gone. Its
// reason is logged at least every 30 seconds, and it ends at its limit.
func waitEnded(ctx context.Context, opts FreezeOptions, a await) (time.Duration, error) {
	limit, err := time.ParseDuration(a.Limit)
	if err != nil {
		return 0, fmt.Errorf("read the plan: %w", err)
	}
	began := opts.clock().Now()
	logged := began
	for {
		left, err := remaining(ctx, opts, a)
		if err != nil {
			return 0, err
		}
		now := opts.clock().Now()
		if len(left) == 0 {
			return now.Sub(began), nil
		}
		if now.Sub(began) >= limit {
			return 0, fmt.Errorf("still running after %s: %s", limit, some(left))
		}
		if now.Sub(logged) >= logEvery {
			logged = now
			orDiscard(opts.Log).InfoContext(ctx, "waiting for what still runs on blue", "application", opts.App.Name,
				"running", some(left), "limit", limit.String(), "since", began)
		}
		if err := opts.clock().Sleep(ctx, awaitStep); err != nil {
			return 0, err
		}
	}
}

func remaining(ctx context.Context, opts FreezeOptions, a await) ([]string, error) {
	w, err := findWorkloads(ctx, opts)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, one := range w.byUID {
		if owner := metav1.GetControllerOf(one.obj); one.res.Kind == "Job" && owner != nil && !finished(one.obj) {
			if cron, ok := a.CronJobs[string(owner.UID)]; ok {
				left = append(left, "Job "+one.obj.GetName()+" of CronJob "+cron)
			}
		}
	}
	for _, pod := range w.pods {
		phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
		uid, _ := w.root(pod)
		if _, ok := a.Workloads[uid]; ok && phase != "Succeeded" && phase != "Failed" {
			left = append(left, "Pod "+pod.GetName())
		}
	}
	slices.SortFunc(left, strings.Compare)
	return left, nil
}
