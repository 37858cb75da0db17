package cutover_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// pauseWorld is a world whose external-dns Crossfade is to pause: one real API server stands for both sides, as two namespaces.
type pauseWorld struct {
	*world
	// t is the test of this world: what the world makes is gone with it.
	t      *testing.T
	client *kube.Client
	// blue and green are the namespaces of the two Deployments, both named external-dns.
	dnsBlue, dnsGreen string
	told              []cutover.Paused
	resumed           []cutover.Resumed
}

const (
	blueReplicas  = 3
	greenReplicas = 2
)

func newPauseWorld(t *testing.T, client *kube.Client) *pauseWorld {
	t.Helper()
	w := &pauseWorld{world: newWorld(t), t: t, client: client}
	w.put(t, ownership(ownerName, "blue-prod"))
	w.opts.Blue, w.opts.Green = cutover.Side{Kube: client}, cutover.Side{Kube: client}
	w.dnsBlue, w.dnsGreen = w.namespace(t), w.namespace(t)
	w.deploy(t, w.dnsBlue, "external-dns", blueReplicas, "--txt-owner-id=blue-prod")
	w.deploy(t, w.dnsGreen, "external-dns", greenReplicas, "--txt-owner-id=green-prod")
	w.opts.Times.ExternalDNS = &migration.ExternalDNS{Pause: &migration.ExternalDNSPause{
		Blue: []string{w.dnsBlue + "/external-dns"}, Green: []string{w.dnsGreen + "/external-dns"},
	}}
	w.opts.Pausing = func(p cutover.Paused) error {
		w.told = append(w.told, p)
		return nil
	}
	return w
}

func (w *pauseWorld) namespace(t *testing.T) string {
	t.Helper()
	ns, err := w.client.Typed.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "dns-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// deploy makes a Deployment of external-dns, which is gone with the test.
func (w *pauseWorld) deploy(t *testing.T, namespace, name string, replicas int32, args ...string) *appsv1.Deployment {
	t.Helper()
	d := keeper(args...)
	app := map[string]string{"app": name}
	d.Namespace, d.Name, d.Spec.Replicas = namespace, name, &replicas
	d.Spec.Selector, d.Spec.Template.Labels = &metav1.LabelSelector{MatchLabels: app}, app
	return w.create(t, d)
}

func (w *pauseWorld) create(t *testing.T, d *appsv1.Deployment) *appsv1.Deployment {
	t.Helper()
	deployments := w.client.Typed.AppsV1().Deployments(d.Namespace)
	made, err := deployments.Create(t.Context(), d, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.t.Cleanup(func() {
		// It may be gone, which is what is wanted.
		_ = deployments.Delete(context.Background(), d.Name, metav1.DeleteOptions{})
	})
	return made
}

func (w *pauseWorld) get(t *testing.T, namespace string) *appsv1.Deployment {
	t.Helper()
	d, err := w.client.Typed.AppsV1().Deployments(namespace).Get(context.Background(), "external-dns", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *pauseWorld) replicas(t *testing.T, namespace string) int32 {
	return *w.get(t, namespace).Spec.Replicas
}

func (w *pauseWorld) setReplicas(t *testing.T, namespace string, n int32) {
	t.Helper()
	d := w.get(t, namespace)
	d.Spec.Replicas = &n
	if _, err := w.client.Typed.AppsV1().Deployments(namespace).Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// pod makes a pod of external-dns that the API server believes to be there.
func (w *pauseWorld) pod(t *testing.T, namespace string) (end func()) {
	t.Helper()
	pods := w.client.Typed.CoreV1().Pods(namespace)
	_, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "external-dns-1", Labels: map[string]string{"app": "external-dns"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := pods.Delete(context.Background(), "external-dns-1", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
}

func (w *pauseWorld) restoreOptions() cutover.RestoreOptions {
	opts := cutover.RestoreOptions{Options: w.opts, Resumed: func(r cutover.Resumed) error {
		w.resumed = append(w.resumed, r)
		return nil
	}}
	opts.Paused = w.told
	return opts
}

// restored takes the end of a rollback, or of a retirement, and returns what became of each.
func (w *pauseWorld) restored(t *testing.T, opts cutover.RestoreOptions) (*plan.Plan, map[string]cutover.Resumed) {
	t.Helper()
	p, err := cutover.PlanRestoreTTL(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := cutover.ApplyRestoreTTL(t.Context(), p, w.rec, opts); err != nil {
		t.Fatal(err)
	}
	became := map[string]cutover.Resumed{}
	for _, r := range w.resumed {
		became[r.Side] = r
	}
	return p, became
}

// guarded is a zone that tells of every change before it is made.
type guarded struct {
	zone.Zone
	before func()
}

func (g guarded) Claim(ctx context.Context, name string, fence zone.Fence, previous string) error {
	g.before()
	return g.Zone.Claim(ctx, name, fence, previous)
}

func (g guarded) Swap(ctx context.Context, c zone.Change) (zone.Result, error) {
	g.before()
	return g.Zone.Swap(ctx, c)
}

// sleeper calls something at each sleep.
type sleeper struct {
	*clock.Fake
	slept func(n int)
	n     int
}

func (s *sleeper) Sleep(ctx context.Context, d time.Duration) error {
	s.n++
	s.slept(s.n)
	return s.Fake.Sleep(ctx, d)
}

func specOf(t *testing.T, d *appsv1.Deployment) string {
	t.Helper()
	raw, err := json.Marshal(d.Spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestC25_ExternalDNSIsPaused: on a real API server, what the file names stands still before the first change of a name, nothing else
// is touched, and a rollback gives back exactly what was there.
func TestC25_ExternalDNSIsPaused(t *testing.T) {
	client := startLight(t)
	for name, test := range map[string]func(*testing.T, *kube.Client){
		"before the first name changes":          pausedBeforeTheFirstName,
		"killed at any point":                    pauseIsKilled,
		"planned anew":                           pauseIsPlannedAnew,
		"pods that do not end":                   podsThatDoNotEnd,
		"what moved is not paused":               movedIsNotPaused,
		"changed while it is paused":             changedWhileItIsPaused,
		"one cluster":                            bothSidesNameOne,
		"what may not be named is refused":       namedInVain,
		"runs again":                             runsAgain,
		"somebody else's changes stay":           foreignChangesStay,
		"somebody else's change just before":     foreignChangeJustBefore,
		"green gives no answer on the way back":  greenGivesNoAnswer,
		"with the names at green":                namesStayAtGreen,
		"whoever it was that stood still before": stoodStillBefore,
	} {
		t.Run(name, func(t *testing.T) { test(t, client) })
	}
}

func pausedBeforeTheFirstName(t *testing.T, client *kube.Client) {
	w := newPauseWorld(t, client)
	other := w.deploy(t, w.dnsBlue, "external-dns-of-others", 4, "--domain-filter=others.test")
	blue, green := specOf(t, w.get(t, w.dnsBlue)), specOf(t, w.get(t, w.dnsGreen))
	ends := w.pod(t, w.dnsBlue)
	w.opts.Clock = &sleeper{Fake: w.clock, slept: func(n int) {
		if n == 3 {
			ends()
		}
	}}
	var log strings.Builder
	w.opts.Log = slog.New(slog.NewTextHandler(&log, nil))
	touched := 0
	w.opts.Zones[0].Driver = guarded{w.zone, func() {
		touched++
		pods, err := client.Typed.CoreV1().Pods(w.dnsBlue).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(pods.Items) > 0 || w.replicas(t, w.dnsBlue)+w.replicas(t, w.dnsGreen) > 0 {
			t.Errorf("a name is touched while external-dns runs: %d pods, %v", len(pods.Items), err)
		}
	}}
	held := w.lowered(t)
	if touched < 2 {
		t.Errorf("the zone was changed %d times", touched)
	}
	if !strings.Contains(log.String(), "an external-dns that is ending may still write") {
		t.Errorf("the wait does not say why: %s", log.String())
	}
	if len(w.told) != 2 || w.told[0].Replicas != blueReplicas || w.told[1].Replicas != greenReplicas {
		t.Errorf("told of %+v", w.told)
	}
	now, err := client.Typed.AppsV1().Deployments(w.dnsBlue).Get(t.Context(), other.Name, metav1.GetOptions{})
	if err != nil || now.ResourceVersion != other.ResourceVersion {
		t.Errorf("a Deployment that nobody named was touched: %v", err)
	}
	opts := w.restoreOptions()
	opts.Held = held.Names
	_, became := w.restored(t, opts)
	if got := specOf(t, w.get(t, w.dnsBlue)); got != blue {
		t.Errorf("blue's spec was %s and is %s", blue, got)
	}
	if got := specOf(t, w.get(t, w.dnsGreen)); got != green {
		t.Errorf("green's spec was %s and is %s", green, got)
	}
	if len(became) != 2 || became["blue"].Left != "" || became["green"].Left != "" {
		t.Errorf("became %+v", became)
	}
}

// diesAt is a recorder that is killed before it has recorded the outcome of a change.
type diesAt struct {
	*plan.MemoryRecorder
	at string
}

var errKilled = errors.New("killed")

func (f diesAt) Succeed(stage, id string, outcome json.RawMessage) error {
	if strings.Contains(id, f.at) {
		return errKilled
	}
	return f.MemoryRecorder.Succeed(stage, id, outcome)
}

func pauseIsKilled(t *testing.T, client *kube.Client) {
	w := newPauseWorld(t, client)
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	// Before it was told of: nothing is stopped, and nothing would be started.
	opts := w.opts
	opts.Pausing = func(cutover.Paused) error { return errKilled }
	if _, err := cutover.ApplyTTL(t.Context(), p, w.rec, opts); !errors.Is(err, errKilled) || w.replicas(t, w.dnsBlue) != blueReplicas {
		t.Fatalf("%v, and %d replicas", err, w.replicas(t, w.dnsBlue))
	}
	// After it was stopped, before that was recorded: the same plan goes on, and says no other number.
	if _, err := cutover.ApplyTTL(t.Context(), p, diesAt{w.rec, "/pause/blue"}, w.opts); !errors.Is(err, errKilled) || w.replicas(t, w.dnsBlue) != 0 {
		t.Fatalf("%v, and %d replicas", err, w.replicas(t, w.dnsBlue))
	}
	if _, err := cutover.ApplyTTL(t.Context(), p, w.rec, w.opts); err != nil {
		t.Fatal(err)
	}
	if len(w.told) != 2 || w.told[0].Replicas != blueReplicas {
		t.Errorf("told of %+v", w.told)
	}
	// The way back, killed after the first was started.
	ropts := w.restoreOptions()
	back, err := cutover.PlanRestoreTTL(t.Context(), ropts)
	if err != nil {
		t.Fatal(err)
	}
	if err := cutover.ApplyRestoreTTL(t.Context(), back, diesAt{w.rec, "/external-dns/blue"}, ropts); !errors.Is(err, errKilled) || w.replicas(t, w.dnsBlue) != blueReplicas {
		t.Fatalf("%v, and %d replicas", err, w.replicas(t, w.dnsBlue))
	}
	if err := cutover.ApplyRestoreTTL(t.Context(), back, w.rec, ropts); err != nil {
		t.Fatal(err)
	}
	if w.replicas(t, w.dnsBlue) != blueReplicas || w.replicas(t, w.dnsGreen) != greenReplicas {
		t.Errorf("%d and %d replicas", w.replicas(t, w.dnsBlue), w.replicas(t, w.dnsGreen))
	}
}

// A plan that was forgotten, because something moved, must not take what an earlier one has stopped for stopped by its owner.
func pauseIsPlannedAnew(t *testing.T, client *kube.Client) {
	w := newPauseWorld(t, client)
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplyTTL(t.Context(), p, diesAt{w.rec, "/gone/"}, w.opts); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	w.rec, w.opts.Paused = &plan.MemoryRecorder{}, w.told
	again, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil || noted(again, "whoever stopped it starts it again") || !strings.HasPrefix(again.Changes[0].Reverse.How, fmt.Sprintf("scale it to %d again", blueReplicas)) {
		t.Errorf("planned again: %v, %+v, %+v", err, again.Changes[0], again.Notes)
	}
	w.lowered(t)
	opts := w.restoreOptions()
	for i := range opts.Paused {
		if opts.Paused[i].Replicas == 0 {
			t.Errorf("told of %+v", opts.Paused)
		}
	}
	w.restored(t, opts)
	if w.replicas(t, w.dnsBlue) != blueReplicas || w.replicas(t, w.dnsGreen) != greenReplicas {
		t.Errorf("%d and %d replicas", w.replicas(t, w.dnsBlue), w.replicas(t, w.dnsGreen))
	}
}

func podsThatDoNotEnd(t *testing.T, client *kube.Client) {
	w := newPauseWorld(t, client)
	defer w.pod(t, w.dnsGreen)()
	began := w.clock.Now()
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cutover.ApplyTTL(t.Context(), p, w.rec, w.opts)
	if err == nil || !contains(err.Error(), "still has the pods external-dns-1 after 5m0s") {
		t.Errorf("err = %v", err)
	}
	if waited := w.clock.Now().Sub(began); waited < 5*time.Minute || waited > 6*time.Minute {
		t.Errorf("it waited %s", waited)
	}
	if set := w.lookup(t, "CNAME"); set.TTL != 300 {
		t.Errorf("the name was changed: %+v", set)
	}
}

func movedIsNotPaused(t *testing.T, client *kube.Client) {
	for what, move := range map[string]func(*pauseWorld){
		"replicas": func(w *pauseWorld) { w.setReplicas(t, w.dnsBlue, blueReplicas+2) },
		"uid": func(w *pauseWorld) {
			if err := client.Typed.AppsV1().Deployments(w.dnsBlue).Delete(t.Context(), "external-dns", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			w.deploy(t, w.dnsBlue, "external-dns", blueReplicas)
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newPauseWorld(t, client)
			p, err := cutover.PlanTTL(t.Context(), w.opts)
			if err != nil {
				t.Fatal(err)
			}
			move(w)
			var moved *plan.MovedError
			if _, err := cutover.ApplyTTL(t.Context(), p, w.rec, w.opts); !errors.As(err, &moved) || !strings.HasSuffix(moved.What, "'s "+what) {
				t.Errorf("err = %v", err)
			}
			if w.replicas(t, w.dnsBlue) == 0 || len(w.told) > 0 {
				t.Errorf("%d replicas, told of %+v", w.replicas(t, w.dnsBlue), w.told)
			}
		})
	}
}

// Between reading and writing, the server itself holds the condition: what does not matter is tried again, what does is refused.
func changedWhileItIsPaused(t *testing.T, client *kube.Client) {
	for what, change := range map[string]func(*pauseWorld){
		"an annotation": func(w *pauseWorld) {
			d := w.get(t, w.dnsBlue)
			d.Annotations = map[string]string{"a": "b"}
			if _, err := client.Typed.AppsV1().Deployments(w.dnsBlue).Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		},
		"replicas": func(w *pauseWorld) { w.setReplicas(t, w.dnsBlue, 9) },
	} {
		t.Run(what, func(t *testing.T) {
			w := newPauseWorld(t, client)
			once := false
			w.opts.Pausing = func(p cutover.Paused) error {
				if !once {
					once = true
					change(w)
				}
				w.told = append(w.told, p)
				return nil
			}
			p, err := cutover.PlanTTL(t.Context(), w.opts)
			if err != nil {
				t.Fatal(err)
			}
			_, err = cutover.ApplyTTL(t.Context(), p, w.rec, w.opts)
			if what == "replicas" {
				if !errors.Is(err, plan.ErrMoved) || w.replicas(t, w.dnsBlue) != 9 {
					t.Errorf("%v, and %d replicas", err, w.replicas(t, w.dnsBlue))
				}
				return
			}
			if err != nil || w.replicas(t, w.dnsBlue) != 0 || w.get(t, w.dnsBlue).Annotations["a"] != "b" {
				t.Errorf("%v, and %d replicas", err, w.replicas(t, w.dnsBlue))
			}
		})
	}
}

func bothSidesNameOne(t *testing.T, client *kube.Client) {
	w := newPauseWorld(t, client)
	w.setReplicas(t, w.dnsGreen, 0)
	w.opts.Times.ExternalDNS.Pause.Green = w.opts.Times.ExternalDNS.Pause.Blue
	w.lowered(t)
	if len(w.told) != 1 || w.told[0].Side != "blue" {
		t.Errorf("told of %+v", w.told)
	}
	w.restored(t, w.restoreOptions())
	if w.replicas(t, w.dnsBlue) != blueReplicas {
		t.Errorf("%d replicas", w.replicas(t, w.dnsBlue))
	}
}

func namedInVain(t *testing.T, client *kube.Client) {
	for name, tt := range map[string]struct {
		change         func(*pauseWorld)
		refused, warns string
	}{
		"as it is": {change: func(*pauseWorld) {}},
		"does not exist": {change: func(w *pauseWorld) {
			w.opts.Times.ExternalDNS.Pause.Blue = append(w.opts.Times.ExternalDNS.Pause.Blue, w.dnsBlue+"/other")
		}, refused: "it does not exist"},
		"is something else": {change: func(w *pauseWorld) {
			d := w.get(t, w.dnsBlue)
			d.Spec.Template.Spec.Containers[0].Image, d.Spec.Template.Spec.Containers[0].Args = "nginx", nil
			d.Name, d.ResourceVersion, d.UID = "nginx", "", ""
			w.create(t, d)
			w.opts.Times.ExternalDNS.Pause.Blue = append(w.opts.Times.ExternalDNS.Pause.Blue, w.dnsBlue+"/nginx")
		}, refused: "none of its containers runs that"},
		"an application's own": {change: func(w *pauseWorld) {
			w.opts.Applications[0].Namespace = w.dnsBlue
		}, refused: "it belongs to application shop"},
		"another runs and is not named": {change: func(w *pauseWorld) {
			w.deploy(t, w.dnsGreen, "second", 1)
		}, refused: "and the file does not name it under cutover.externalDNS.pause"},
		"another is not named and concerns nothing": {change: func(w *pauseWorld) {
			w.deploy(t, w.dnsGreen, "second", 1, "--domain-filter=others.test")
		}},
		"a side that cannot be read": {change: func(w *pauseWorld) { w.opts.Green = cutover.Side{} }, refused: "it is to be paused, and could not be read: green was not asked"},
		"an autoscaler": {change: func(w *pauseWorld) {
			w.autoscaler(t, nil)
		}, warns: "HorizontalPodAutoscaler grows scales it"},
		"KEDA": {change: func(w *pauseWorld) {
			yes := true
			w.autoscaler(t, []metav1.OwnerReference{{APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject", Name: "dns", UID: "1", Controller: &yes}})
		}, warns: "ScaledObject dns scales it"},
		"GitOps": {change: func(w *pauseWorld) {
			d := w.get(t, w.dnsBlue)
			d.Labels = map[string]string{"argocd.argoproj.io/instance": "platform"}
			if _, err := client.Typed.AppsV1().Deployments(w.dnsBlue).Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}, warns: "Argo CD (application platform) keeps it as its source says"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newPauseWorld(t, client)
			tt.change(w)
			p, err := cutover.PlanTTL(t.Context(), w.opts)
			if err != nil {
				t.Fatal(err)
			}
			if tt.refused == "" && len(p.Refusals) > 0 || tt.refused != "" && !refusedFor(p, tt.refused) {
				t.Errorf("refusals %+v, want %q", p.Refusals, tt.refused)
			}
			if tt.warns != "" && !noted(p, tt.warns) {
				t.Errorf("notes %+v, want %q", p.Notes, tt.warns)
			}
			if w.replicas(t, w.dnsGreen) != greenReplicas {
				t.Error("planning has changed something")
			}
		})
	}
}

func (w *pauseWorld) autoscaler(t *testing.T, owners []metav1.OwnerReference) {
	t.Helper()
	_, err := w.client.Typed.AutoscalingV2().HorizontalPodAutoscalers(w.dnsBlue).Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "grows", OwnerReferences: owners},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "external-dns"}, MaxReplicas: 5,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// What has started it again is found when the swap is planned, and just before each name moves.
func runsAgain(t *testing.T, client *kube.Client) {
	for what, start := range map[string]func(*pauseWorld) func(){
		"scaled up": func(w *pauseWorld) func() {
			w.setReplicas(t, w.dnsBlue, 1)
			return func() { w.setReplicas(t, w.dnsBlue, 0) }
		},
		"a pod": func(w *pauseWorld) func() { return w.pod(t, w.dnsGreen) },
	} {
		t.Run(what, func(t *testing.T) {
			w := newPauseWorld(t, client)
			opts := w.swapOptions(w.lowered(t))
			p, err := cutover.PlanSwap(t.Context(), opts)
			if err != nil || len(p.Refusals) > 0 {
				t.Fatal(err, p.Refusals)
			}
			stop := start(w)
			if what == "scaled up" {
				late, err := cutover.PlanSwap(t.Context(), opts)
				if err != nil || !refusedFor(late, "external-dns runs again") {
					t.Errorf("refusals %+v, %v", late.Refusals, err)
				}
			}
			var moved *plan.MovedError
			_, err = cutover.ApplySwap(t.Context(), p, w.rec, opts)
			if !errors.As(err, &moved) || !contains(err.Error(), "external-dns runs again") {
				t.Errorf("err = %v", err)
			}
			if set := w.lookup(t, "CNAME"); set.Data[0] != "blue.lb.test." {
				t.Errorf("the name was moved: %+v", set)
			}
			stop()
			if _, err := cutover.ApplySwap(t.Context(), p, w.rec, opts); err != nil {
				t.Errorf("once it stands still again: %v", err)
			}
		})
	}
}

func foreignChangesStay(t *testing.T, client *kube.Client) {
	w := newPauseWorld(t, client)
	w.lowered(t)
	w.setReplicas(t, w.dnsBlue, 7)
	if err := client.Typed.AppsV1().Deployments(w.dnsGreen).Delete(t.Context(), "external-dns", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.deploy(t, w.dnsGreen, "external-dns", 0)
	p, became := w.restored(t, w.restoreOptions())
	if w.replicas(t, w.dnsBlue) != 7 || w.replicas(t, w.dnsGreen) != 0 {
		t.Errorf("%d and %d replicas", w.replicas(t, w.dnsBlue), w.replicas(t, w.dnsGreen))
	}
	for side, want := range map[string]string{"blue": "somebody has scaled it to 7 meanwhile", "green": "made it anew"} {
		if r := became[side]; !strings.Contains(r.Left, want) || r.Still || !noted(p, want) {
			t.Errorf("%s became %+v, want %q", side, r, want)
		}
	}
}

func foreignChangeJustBefore(t *testing.T, client *kube.Client) {
	w := newPauseWorld(t, client)
	w.lowered(t)
	opts := w.restoreOptions()
	p, err := cutover.PlanRestoreTTL(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	w.setReplicas(t, w.dnsBlue, 1)
	if err := cutover.ApplyRestoreTTL(t.Context(), p, w.rec, opts); err != nil {
		t.Fatal(err)
	}
	if w.replicas(t, w.dnsBlue) != 1 || w.replicas(t, w.dnsGreen) != greenReplicas {
		t.Errorf("%d and %d replicas", w.replicas(t, w.dnsBlue), w.replicas(t, w.dnsGreen))
	}
}

func greenGivesNoAnswer(t *testing.T, client *kube.Client) {
	w := newPauseWorld(t, client)
	w.lowered(t)
	opts := w.restoreOptions()
	opts.Green.Kube = nil
	_, became := w.restored(t, opts)
	if r := became["green"]; !r.Still || !strings.Contains(r.Left, "where green answers again, `crossfade rollback` starts it") {
		t.Errorf("green became %+v", r)
	}
	if w.replicas(t, w.dnsBlue) != blueReplicas {
		t.Errorf("blue has %d replicas", w.replicas(t, w.dnsBlue))
	}
	opts = w.restoreOptions()
	opts.Blue.Kube = nil
	if _, err := cutover.PlanRestoreTTL(t.Context(), opts); err == nil {
		t.Error("blue's is passed over in silence")
	}
}

func namesStayAtGreen(t *testing.T, client *kube.Client) {
	for name, tt := range map[string]struct {
		change func(*pauseWorld)
		stays  string // empty: green's is started again
	}{
		"an owner of its own":   {change: func(*pauseWorld) {}},
		"the names are its own": {func(w *pauseWorld) { w.put(t, ownership(ownerName, "green-prod")) }, "a name is its own by external-dns's record"},
		"it takes the others'":  {func(w *pauseWorld) { w.tell(t, "--migrate-from-txt-owner=blue-prod") }, "a name is its own by external-dns's record"},
		"another registry":      {func(w *pauseWorld) { w.tell(t, "--registry=noop") }, "in the registry noop"},
		"it only creates":       {func(w *pauseWorld) { w.tell(t, "--registry=noop", "--policy=create-only") }, ""},
		"other domains":         {func(w *pauseWorld) { w.tell(t, "--registry=noop", "--domain-filter=others.test") }, ""},
		"told elsewhere":        {func(w *pauseWorld) { w.tell(t, "--txt-owner-id=$(OWNER)") }, "could not be read"},
		"a record of no meaning": {func(w *pauseWorld) {
			w.put(t, zone.RRset{Name: ownerName, Type: "TXT", TTL: 60, Data: []string{`"7cW3gqcYVYHyHEZxZ8uvTEkgKKtdEOdVMEzlFGJPHVsBwrwSbkQ0mCyRj1OZqPQ="`}})
		}, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newPauseWorld(t, client)
			w.lowered(t)
			tt.change(w)
			opts := w.restoreOptions()
			opts.AtGreen = true
			p, became := w.restored(t, opts)
			blue, green := became["blue"], became["green"]
			if w.replicas(t, w.dnsBlue) != 0 || !blue.Still || !noted(p, fmt.Sprintf("kubectl --namespace=%s scale deployment/external-dns --replicas=%d", w.dnsBlue, blueReplicas)) {
				t.Errorf("blue's: %d replicas, %+v", w.replicas(t, w.dnsBlue), blue)
			}
			if tt.stays == "" && (w.replicas(t, w.dnsGreen) != greenReplicas || green.Left != "") {
				t.Errorf("green's: %d replicas, %+v", w.replicas(t, w.dnsGreen), green)
			}
			if tt.stays != "" && (w.replicas(t, w.dnsGreen) != 0 || !green.Still || !strings.Contains(green.Left, tt.stays)) {
				t.Errorf("green's: %d replicas, %+v, want %q", w.replicas(t, w.dnsGreen), green, tt.stays)
			}
		})
	}
}

// tell gives green's external-dns further arguments.
func (w *pauseWorld) tell(t *testing.T, args ...string) {
	t.Helper()
	d := w.get(t, w.dnsGreen)
	c := &d.Spec.Template.Spec.Containers[0]
	c.Args = append(c.Args, args...)
	if _, err := w.client.Typed.AppsV1().Deployments(w.dnsGreen).Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func stoodStillBefore(t *testing.T, client *kube.Client) {
	w := newPauseWorld(t, client)
	w.setReplicas(t, w.dnsGreen, 0)
	w.lowered(t)
	if len(w.told) != 1 || w.told[0].Side != "blue" {
		t.Errorf("told of %+v", w.told)
	}
	w.restored(t, w.restoreOptions())
	if w.replicas(t, w.dnsBlue) != blueReplicas || w.replicas(t, w.dnsGreen) != 0 {
		t.Errorf("%d and %d replicas", w.replicas(t, w.dnsBlue), w.replicas(t, w.dnsGreen))
	}
}
