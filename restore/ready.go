package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	pollFirst = 100 * time.Millisecond
	pollLast  = 2 * time.Second
	// sayEvery is how often a wait says what it waits for.
	sayEvery = 30 * time.Second
	// lastLevel is after every object's.
	lastLevel = 1 << 20
)

// A watched object is one that a wait ends with.
type watched struct {
	Target target `json:"target"`
	// Endpoints demands a ready endpoint behind a Service.
	Endpoints bool `json:"endpoints,omitempty"`
	// Gone demands that no pod of a workload is left.
	Gone bool `json:"gone,omitempty"`
}

// readyData is the Data of a change that waits.
type readyData struct {
	Level   int       `json:"level"`
	Objects []watched `json:"objects"`
}

// waited is the outcome of a wait.
type waited struct {
	Ready   int     `json:"ready"`
	Seconds float64 `json:"seconds"`
}

// planReady adds the wait for what green shows while it is dark: the addresses of balancers, and the workloads of
// applications that run read-only.
func (pl *planner) planReady() {
	pl.addWait("ready", lastLevel, pl.watch(func(it *item) bool {
		return pl.opts.darkOf(it.entry.App) == "read-only"
	}))
}

func (pl *planner) addWait(name string, level int, objects []watched) {
	if len(objects) == 0 {
		return
	}
	var names []string
	for _, o := range objects {
		names = append(names, o.Target.key().String())
	}
	what := strings.Join(names, ", ")
	if len(names) > 5 {
		what = fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	pl.plan.Add(plan.Change{
		ID: pl.id(name), Action: ActionWait, Target: "green: " + what,
		Why:  fmt.Sprintf("what follows needs them to be so; it changes nothing, so that nothing is taken back; it ends after %s", pl.opts.Ready),
		Data: plan.JSON(readyData{Level: level, Objects: objects}),
	})
}

// watch lists the objects whose readiness can be waited for, given which of them run.
func (pl *planner) watch(runs func(*item) bool) []watched {
	var out []watched
	for _, it := range pl.cargo.items {
		r, ok := pl.view.resource(it.running)
		if !ok {
			continue
		}
		on := runs(it)
		switch k := it.key; {
		case k.is("", "Service"):
			endpoints := on && pl.fed(it, runs)
			if endpoints || digString(it.running.Object, "spec", "type") == "LoadBalancer" {
				out = append(out, watched{Target: targetOf(r, it.running), Endpoints: endpoints})
			}
		case on && isWorkload(k) && podsRun(it), on && k.is("", "PersistentVolumeClaim"):
			out = append(out, watched{Target: targetOf(r, it.running)})
		}
	}
	return out
}

func isWorkload(k key) bool {
	return k.is("apps", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet") || k.is("", "ReplicationController", "Pod")
}

func podsRun(it *item) bool { return it.key.Kind == "DaemonSet" || podsOf(it) > 0 }

// fed reports whether a workload of the plan that runs feeds a Service.
func (pl *planner) fed(service *item, runs func(*item) bool) bool {
	selector := dig(service.running.Object, "spec", "selector")
	return slices.ContainsFunc(pl.cargo.items, func(it *item) bool {
		fits := false
		podTemplates(it.running, func(_, meta map[string]any) { fits = digMatches(selector, dig(meta, "labels")) })
		return fits && it.key.Namespace == service.key.Namespace && isWorkload(it.key) && podsRun(it) && runs(it)
	})
}

// A StuckError says what did not become ready, and why as far as green shows it (K22).
type StuckError struct {
	After   time.Duration
	Reasons []string
}

// Error gives each object a line.
func (e *StuckError) Error() string {
	return fmt.Sprintf("not ready after %s:\n  %s", e.After.Round(time.Second), strings.Join(e.Reasons, "\n  "))
}

// errFailed marks a state that does not get better by waiting.
var errFailed = errors.New("it has failed")

// waitReady waits until every object is as it should be, says every 30 s what it waits for, and ends at Options.Ready.
func (w *writer) waitReady(ctx context.Context, data readyData) (waited, error) {
	began := w.opts.Clock.Now()
	said, pending := began, data.Objects
	poll := pollFirst
	for {
		var left []watched
		var reasons []string
		failed := false
		for _, o := range pending {
			why, err := w.unready(ctx, o)
			if err != nil && !errors.Is(err, errFailed) {
				return waited{}, err
			}
			failed = failed || err != nil
			if why != "" {
				left = append(left, o)
				reasons = append(reasons, o.Target.key().String()+": "+why)
			}
		}
		passed := w.opts.Clock.Now().Sub(began)
		if len(left) == 0 {
			return waited{Ready: len(data.Objects), Seconds: passed.Seconds()}, nil
		}
		if failed || passed >= w.opts.Ready {
			for i, o := range left[:min(len(left), 5)] {
				reasons[i] += w.explain(ctx, o.Target)
			}
			return waited{}, &StuckError{After: passed, Reasons: reasons}
		}
		if w.opts.Clock.Now().Sub(said) >= sayEvery {
			said = w.opts.Clock.Now()
			w.opts.Log.InfoContext(ctx, "wait until green is ready", "waited", passed.Round(time.Second), "limit", w.opts.Ready, "first", reasons[0], "left", len(left))
		}
		if err := w.opts.Clock.Sleep(ctx, poll); err != nil {
			return waited{}, fmt.Errorf("wait for %s: %w", reasons[0], err)
		}
		pending, poll = left, min(poll*2, pollLast)
	}
}

// unready returns why an object is not as it should be; "" means that it is. errFailed comes with a reason that waiting
// does not mend.
func (w *writer) unready(ctx context.Context, o watched) (string, error) {
	t := o.Target
	obj, err := w.opts.Green.At(t.resource(), t.Namespace).Get(ctx, t.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if o.Gone {
			return "", nil
		}
		return "it is not there", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", t.key(), err)
	}
	switch k := t.key(); {
	case o.Gone:
		return w.podsLeft(ctx, obj)
	case k.is("", "Service"):
		return w.serviceUnready(ctx, obj, o.Endpoints)
	case k.is("", "PersistentVolumeClaim"):
		return w.claimUnready(ctx, obj)
	}
	res, err := status.Compute(obj)
	switch {
	case err != nil:
		return "", fmt.Errorf("compute the state of %s: %w", t.key(), err)
	case res.Status == status.CurrentStatus:
		return "", nil
	case res.Status == status.FailedStatus:
		return res.Message, errFailed
	}
	return res.Message, nil
}

func (w *writer) serviceUnready(ctx context.Context, obj *unstructured.Unstructured, endpoints bool) (string, error) {
	if digString(obj.Object, "spec", "type") == "LoadBalancer" && len(digList(obj.Object, "status", "loadBalancer", "ingress")) == 0 {
		return "its balancer has no address yet", nil
	}
	if !endpoints {
		return "", nil
	}
	slices, err := w.opts.Green.Typed.DiscoveryV1().EndpointSlices(obj.GetNamespace()).List(ctx, metav1.ListOptions{
		LabelSelector: "kubernetes.io/service-name=" + obj.GetName(),
	})
	if err != nil {
		return "", fmt.Errorf("list the endpoints of %s: %w", keyOf(obj), err)
	}
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				return "", nil
			}
		}
	}
	return "no pod behind it is ready", nil
}

// claimUnready knows that a claim whose class waits for its first consumer is not bound before a pod wants it.
func (w *writer) claimUnready(ctx context.Context, obj *unstructured.Unstructured) (string, error) {
	phase := digString(obj.Object, "status", "phase")
	if phase == "Bound" {
		return "", nil
	}
	reason := "the claim is not bound (" + phase + ")"
	class := digString(obj.Object, "spec", "storageClassName")
	if class == "" {
		return reason, nil
	}
	sc, err := w.opts.Green.Typed.StorageV1().StorageClasses().Get(ctx, class, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return reason + ": there is no StorageClass " + class, nil
	}
	if err != nil {
		return "", fmt.Errorf("read StorageClass %s: %w", class, err)
	}
	if sc.VolumeBindingMode == nil || *sc.VolumeBindingMode != "WaitForFirstConsumer" {
		return reason, nil
	}
	pods, err := w.opts.Green.Typed.CoreV1().Pods(obj.GetNamespace()).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("look for pods that use %s: %w", keyOf(obj), err)
	}
	for _, pod := range pods.Items {
		for _, volume := range pod.Spec.Volumes {
			if volume.PersistentVolumeClaim != nil && volume.PersistentVolumeClaim.ClaimName == obj.GetName() {
				return reason, nil
			}
		}
	}
	return "", nil
}

func (w *writer) podsLeft(ctx context.Context, obj *unstructured.Unstructured) (string, error) {
	selector := selectorOf(obj)
	if selector == "" {
		return "it is still there", nil // a bare pod
	}
	pods, err := w.opts.Green.Typed.CoreV1().Pods(obj.GetNamespace()).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return "", fmt.Errorf("list the pods of %s: %w", keyOf(obj), err)
	}
	left := 0
	for _, pod := range pods.Items {
		if pod.Status.Phase != "Succeeded" && pod.Status.Phase != "Failed" {
			left++
		}
	}
	if left == 0 {
		return "", nil
	}
	return fmt.Sprintf("%d of its pods still end", left), nil
}

// selectorOf returns a workload's selector in the form that a listing takes, or "" where it has none.
func selectorOf(obj *unstructured.Unstructured) string {
	raw := dig(obj.Object, "spec", "selector")
	if keyOf(obj).is("", "ReplicationController") {
		raw = map[string]any{"matchLabels": raw}
	}
	var parsed metav1.LabelSelector
	if raw == nil || fromMap(raw, &parsed) != nil {
		return ""
	}
	return metav1.FormatLabelSelector(&parsed)
}

// afterWrite waits for what must be true before any later object is written: a CRD is established, and discovery shows
// its kind (K11).
func (w *writer) afterWrite(ctx context.Context, t task, made *unstructured.Unstructured) error {
	if !t.Target.key().is(crdGroup, "CustomResourceDefinition") {
		return nil
	}
	began, poll := w.opts.Clock.Now(), pollFirst
	for {
		why, err := w.unestablished(ctx, t.Target, made)
		if err != nil || why == "" {
			return err
		}
		passed := w.opts.Clock.Now().Sub(began)
		if passed >= w.opts.Ready {
			return &StuckError{After: passed, Reasons: []string{t.Target.key().String() + ": " + why}}
		}
		if err := w.opts.Clock.Sleep(ctx, poll); err != nil {
			return fmt.Errorf("wait for %s: %w", t.Target.key(), err)
		}
		poll = min(poll*2, pollLast)
	}
}

func (w *writer) unestablished(ctx context.Context, t target, made *unstructured.Unstructured) (string, error) {
	live, err := w.opts.Green.At(t.resource(), "").Get(ctx, t.Name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read it again: %w", err)
	}
	why := "it is not established yet"
	for _, c := range digMaps(live.Object, "status", "conditions") {
		if c["type"] == "Established" && c["status"] == "True" {
			why = ""
		} else if c["type"] == "NamesAccepted" && c["status"] == "False" {
			return digString(c, "message"), nil
		}
	}
	if why != "" {
		return why, nil
	}
	group, kind := digString(made.Object, "spec", "group"), digString(made.Object, "spec", "names", "kind")
	if _, err := w.opts.Green.ResourceFor(ctx, group, kind); errors.Is(err, kube.ErrNotServed) {
		return "discovery does not show its kind yet", nil
	} else if err != nil {
		return "", err
	}
	return "", nil
}
