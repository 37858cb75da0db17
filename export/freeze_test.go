package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/export"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const running = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: shop}, annotations: {note: "kept"}}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop, part: web}}
  template: {metadata: {labels: {app: shop, part: web}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: asleep, labels: {app: shop}}
spec:
  replicas: 0
  selector: {matchLabels: {app: shop, part: asleep}}
  template: {metadata: {labels: {app: shop, part: asleep}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, labels: {app: shop}}
spec:
  serviceName: db
  selector: {matchLabels: {app: shop, part: db}}
  template: {metadata: {labels: {app: shop, part: db}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: clock, labels: {app: shop}}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: paused, labels: {app: shop}}
spec:
  schedule: "0 0 1 1 *"
  suspend: true
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: import, labels: {app: shop}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
`

// specs returns what a person owns of every object of the application: all but status and what the server counts.
func specs(t *testing.T, c *kube.Client, ns string) string {
	t.Helper()
	var out bytes.Buffer
	for _, one := range [][3]string{
		{"apps", "Deployment", "web"}, {"apps", "Deployment", "asleep"}, {"apps", "StatefulSet", "db"},
		{"batch", "CronJob", "clock"}, {"batch", "CronJob", "paused"}, {"batch", "Job", "import"},
	} {
		raw, err := json.MarshalIndent(kube.Canonical(kubetest.Get(t, c, one[0], one[1], ns, one[2])).Object, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s\n", raw)
	}
	return out.String()
}

func field(t *testing.T, c *kube.Client, ns, group, kind, name, path string) any {
	t.Helper()
	v, _, err := unstructured.NestedFieldNoCopy(kubetest.Get(t, c, group, kind, ns, name).Object, strings.Split(path, ".")...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func quiesce(c *kube.Client, ns string) export.FreezeOptions {
	a := app("shop", ns, "app=shop")
	a.Writes = migration.WritesQuiesce
	return export.FreezeOptions{Migration: "m", Blue: c, App: a, Applications: []migration.Application{a}}
}

func planned(t *testing.T, opts export.FreezeOptions) *plan.Plan {
	t.Helper()
	p, err := export.PlanFreeze(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return stored(t, p)
}

// stored returns a plan as it comes back from the disk.
func stored(t *testing.T, p *plan.Plan) *plan.Plan {
	t.Helper()
	var out plan.Plan
	if err := json.Unmarshal(plan.JSON(p), &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

func start(t *testing.T, c *kube.Client) (ns, before string) {
	t.Helper()
	ns = kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, running)
	eventually(t, "the workloads have their pods", func() bool {
		pods, err := c.Typed.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		return err == nil && len(pods.Items) == 4
	})
	return ns, specs(t, c, ns)
}

func TestI06_QuiesceAndThawLeaveEverySpecAsItWas(t *testing.T) {
	c := kubetest.Connect(t)
	ns, before := start(t, c)
	opts := quiesce(c, ns)
	p, rec := planned(t, opts), &plan.MemoryRecorder{}
	result, err := export.ApplyFreeze(t.Context(), p, rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	if result.Stopped != 4 {
		t.Errorf("stopped %d workloads, want web, db, clock and import", result.Stopped)
	}
	if got := field(t, c, ns, "apps", "Deployment", "web", "spec.replicas"); got != int64(0) {
		t.Errorf("web has replicas %v after the quiesce", got)
	}
	pods, err := c.Typed.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 0 {
		t.Errorf("%d pods run after the quiesce (%v)", len(pods.Items), err)
	}
	for range 2 {
		if _, err := export.Thaw(t.Context(), p, rec, opts); err != nil {
			t.Fatal(err)
		}
	}
	if after := specs(t, c, ns); after != before {
		t.Errorf("the specs are\n%s\nand were\n%s", after, before)
	}
}

func TestK01_QuiescedTwiceAndThawedEverySpecIsAsItWas(t *testing.T) {
	c := kubetest.Connect(t)
	ns, before := start(t, c)
	opts := quiesce(c, ns)
	p := planned(t, opts)
	for range 2 { // the second with a journal that knows of nothing
		if _, err := export.ApplyFreeze(t.Context(), p, &plan.MemoryRecorder{}, opts); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := export.Thaw(t.Context(), p, &plan.MemoryRecorder{}, opts); err != nil {
		t.Fatal(err)
	}
	if after := specs(t, c, ns); after != before {
		t.Errorf("the specs are\n%s\nand were\n%s", after, before)
	}
	if got := field(t, c, ns, "batch", "CronJob", "paused", "spec.suspend"); got != true {
		t.Errorf("the CronJob that was suspended by its owner has suspend %v after the thaw", got)
	}
}

func TestK02_KilledAtAnyPointTheQuiesceIsTakenBackFromThePlanAlone(t *testing.T) {
	c := kubetest.Connect(t)
	ns, before := start(t, c)
	opts := quiesce(c, ns)
	whole := planned(t, opts)
	for made := range len(whole.Changes) {
		part := *whole
		part.Changes = whole.Changes[:made]
		if _, err := export.ApplyFreeze(t.Context(), &part, &plan.MemoryRecorder{}, opts); err != nil {
			t.Fatal(err)
		}
		// The process died here: what it recorded is lost, the plan is on disk.
		if _, err := export.Thaw(t.Context(), stored(t, whole), &plan.MemoryRecorder{}, opts); err != nil {
			t.Fatal(err)
		}
		if after := specs(t, c, ns); after != before {
			t.Fatalf("killed after %d changes, the specs are\n%s\nand were\n%s", made, after, before)
		}
	}
}

func TestK02_ArchiveCarriesTheValuesFromBeforeTheQuiesce(t *testing.T) {
	c := kubetest.Connect(t)
	ns, _ := start(t, c)
	opts := quiesce(c, ns)
	p := planned(t, opts)
	if _, err := export.ApplyFreeze(t.Context(), p, &plan.MemoryRecorder{}, opts); err != nil {
		t.Fatal(err)
	}
	e := newExporter(t, c, opts.App)
	e.opts.Frozen = []*plan.Plan{stored(t, p)}
	_, _, r := e.run(t)
	if got, _, _ := unstructured.NestedInt64(object(t, r, "Deployment", "web").Object, "spec", "replicas"); got != 2 {
		t.Errorf("the archive has web with %d replicas, want 2", got)
	}
	if got, _, _ := unstructured.NestedBool(object(t, r, "CronJob", "clock").Object, "spec", "suspend"); got {
		t.Error("the archive has clock suspended")
	}
	if got, _, _ := unstructured.NestedBool(object(t, r, "CronJob", "paused").Object, "spec", "suspend"); !got {
		t.Error("the archive has paused running, which its owner had suspended")
	}
}

func TestK03_WhatWouldScaleBackIsRefusedByName(t *testing.T) {
	c := kubetest.Connect(t)
	ns, _ := start(t, c)
	kubetest.Apply(t, c, ns, `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: up}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: argo, labels: {app: shop}, annotations: {argocd.argoproj.io/tracking-id: "shop:apps/Deployment:x/argo"}}
spec:
  selector: {matchLabels: {app: shop, part: argo}}
  template: {metadata: {labels: {app: shop, part: argo}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: flux, labels: {app: shop, kustomize.toolkit.fluxcd.io/name: all}}
spec:
  selector: {matchLabels: {app: shop, part: flux}}
  template: {metadata: {labels: {app: shop, part: flux}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: operated
  labels: {app: shop}
  ownerReferences: [{apiVersion: example.org/v1, kind: Database, name: main, uid: 1d2c3b4a-0000-4000-8000-000000000000, controller: true}]
spec:
  selector: {matchLabels: {app: shop, part: operated}}
  template: {metadata: {labels: {app: shop, part: operated}}, spec: {containers: [{name: c, image: i}]}}
`)
	said := planned(t, quiesce(c, ns)).Err()
	for _, who := range []string{"HorizontalPodAutoscaler " + ns + "/up", "Argo CD", "Kustomization all", "the operator of Database main"} {
		if said == nil || !strings.Contains(said.Error(), who) {
			t.Errorf("the refusals do not name %s: %v", who, said)
		}
	}
	_, err := export.ApplyFreeze(t.Context(), planned(t, quiesce(c, ns)), &plan.MemoryRecorder{}, quiesce(c, ns))
	var refused *plan.RefusedError
	if !errors.As(err, &refused) || field(t, c, ns, "apps", "Deployment", "web", "spec.replicas") != int64(2) {
		t.Errorf("a refused plan was applied: %v", err)
	}
}

func TestQuiesceThatWouldLeaveSomethingRunningIsRefused(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.RunningPod(t, c, ns, "bare", map[string]string{"app": "shop"})
	kubetest.Apply(t, c, ns, `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere, labels: {app: shop}}
spec:
  selector: {matchLabels: {app: shop, part: everywhere}}
  template: {metadata: {labels: {app: shop, part: everywhere}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: unlabelled}
spec:
  selector: {matchLabels: {app: shop, part: un}}
  template: {metadata: {labels: {app: shop, part: un}}, spec: {containers: [{name: c, image: i}]}}`)
	eventually(t, "the Deployment has its pod", func() bool {
		pods, err := c.Typed.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "part=un"})
		return err == nil && len(pods.Items) == 1
	})
	opts := quiesce(c, ns)
	opts.Applications = append([]migration.Application{app("other", ns, "app=other")}, opts.Applications...)
	said := planned(t, opts).Err()
	for _, who := range []string{"Pod bare", "DaemonSet " + ns + "/everywhere", "give Deployment unlabelled the labels of its pods"} {
		if said == nil || !strings.Contains(said.Error(), who) {
			t.Errorf("the refusals do not name %s: %v", who, said)
		}
	}
}

func TestK04_ScalingThatDeletesClaimsIsRefused(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, labels: {app: shop}}
spec:
  serviceName: db
  persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}
  selector: {matchLabels: {app: shop}}
  template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: c, image: i}]}}
`)
	err := planned(t, quiesce(c, ns)).Err()
	if err == nil || !strings.Contains(err.Error(), "whenScaled") || !strings.Contains(err.Error(), "Retain") {
		t.Errorf("the plan says %v", err)
	}
}

// ticking is a clock whose sleeps pass at once, after something has happened in the world.
type ticking struct {
	*clock.Fake
	tick func()
}

func (c ticking) Sleep(ctx context.Context, d time.Duration) error {
	c.tick()
	return c.Fake.Sleep(ctx, d)
}

func withJob(t *testing.T, c *kube.Client, ns string) {
	t.Helper()
	uid := kubetest.Get(t, c, "batch", "CronJob", ns, "clock").GetUID()
	kubetest.Apply(t, c, ns, `
apiVersion: batch/v1
kind: Job
metadata:
  name: clock-1
  labels: {app: shop}
  ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: clock, uid: `+string(uid)+`, controller: true}]
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
`)
}

func TestQuiesceWaitsForTheJobsOfSuspendedCronJobs(t *testing.T) {
	c := kubetest.Connect(t)
	ns, _ := start(t, c)
	withJob(t, c, ns)
	opts := quiesce(c, ns)
	opts.App.Writes = migration.WritesNone // CronJobs only
	waits := 0
	opts.Clock = ticking{Fake: clock.NewFake(time.Now()), tick: func() {
		if waits++; waits == 3 {
			body := `{"status":{"startTime":"2026-11-21T12:00:00Z","completionTime":"2026-11-21T12:00:09Z","succeeded":1,"conditions":[{"type":"Complete","status":"True"}]}}`
			_, err := c.Typed.BatchV1().Jobs(ns).Patch(t.Context(), "clock-1", types.MergePatchType, []byte(body), metav1.PatchOptions{}, "status")
			if err != nil {
				t.Error(err)
			}
		}
	}}
	if _, err := export.ApplyFreeze(t.Context(), planned(t, opts), &plan.MemoryRecorder{}, opts); err != nil {
		t.Fatal(err)
	}
	if waits < 3 {
		t.Errorf("it waited %d times, and the job ran until the third", waits)
	}
}

func TestQuiesceThatCannotFinishIsTakenBackAndSaysWhatStillRuns(t *testing.T) {
	c := kubetest.Connect(t)
	ns, before := start(t, c)
	withJob(t, c, ns)
	opts := quiesce(c, ns)
	var lines bytes.Buffer
	opts.Wait, opts.Clock, opts.Log = 90*time.Second, clock.NewFake(time.Now()), slog.New(slog.NewTextHandler(&lines, nil))
	_, err := export.ApplyFreeze(t.Context(), planned(t, opts), &plan.MemoryRecorder{}, opts)
	if err == nil || !strings.Contains(err.Error(), "clock-1") || !strings.Contains(err.Error(), "taken back") {
		t.Errorf("the error is %v", err)
	}
	if after := specs(t, c, ns); after != before {
		t.Errorf("the specs are\n%s\nand were\n%s", after, before)
	}
	if n := strings.Count(lines.String(), "clock-1"); n < 3 {
		t.Errorf("90 s of waiting gave %d lines of reasons, want one each 30 s at least", n)
	}
}

func TestThawNamesWhatSomebodyElseChangedAndThawsTheRest(t *testing.T) {
	c := kubetest.Connect(t)
	ns, _ := start(t, c)
	opts := quiesce(c, ns)
	p := planned(t, opts)
	if _, err := export.ApplyFreeze(t.Context(), p, &plan.MemoryRecorder{}, opts); err != nil {
		t.Fatal(err)
	}
	_, err := c.Typed.AppsV1().Deployments(ns).Patch(t.Context(), "web", types.MergePatchType, []byte(`{"spec":{"replicas":7}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = export.Thaw(t.Context(), p, &plan.MemoryRecorder{}, opts)
	if !errors.Is(err, plan.ErrMoved) || !strings.Contains(err.Error(), ns+"/web") {
		t.Errorf("the error is %v", err)
	}
	if got := field(t, c, ns, "apps", "Deployment", "web", "spec.replicas"); got != int64(7) {
		t.Errorf("what somebody else set was overwritten with %v", got)
	}
	if got := field(t, c, ns, "apps", "StatefulSet", "db", "spec.replicas"); got != int64(1) {
		t.Errorf("db has replicas %v after the thaw", got)
	}
}

// players are pods with a switch that refuses writes.
type players struct {
	mu     sync.Mutex
	frozen map[string]bool
	stuck  map[string]bool // pods that say yes and go on writing
	calls  []string
}

func (p *players) answer(w http.ResponseWriter, call kubetest.PodCall) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, call.Pod+" "+call.Path)
	switch call.Path {
	case "/freeze":
		p.frozen[call.Pod] = !p.stuck[call.Pod]
	case "/thaw":
		p.frozen[call.Pod] = false
	case "/write":
		if p.frozen[call.Pod] {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

func freezing(c *kube.Client, ns string) export.FreezeOptions {
	at := func(path string) *migration.HTTPHook {
		return &migration.HTTPHook{Pods: &migration.PodEndpoint{Port: 8080, Path: path}}
	}
	a := app("shop", ns, "app=shop")
	a.Writes = migration.WritesFreeze
	a.Freeze = &migration.Freeze{
		Enter: []migration.Hook{
			{Patch: &migration.PatchHook{Kind: "ConfigMap", Name: "settings", Merge: map[string]any{"data": map[string]any{"mode": "read-only"}}}},
			{HTTP: at("/freeze")},
		},
		Leave: []migration.Hook{
			{Patch: &migration.PatchHook{Kind: "ConfigMap", Name: "settings", Merge: map[string]any{"data": map[string]any{"mode": "live"}}}},
			{HTTP: at("/thaw")},
		},
		Probe: &migration.Probe{HTTP: *at("/write"), Refused: []int{http.StatusServiceUnavailable}},
	}
	return export.FreezeOptions{Migration: "m", Blue: c, App: a, Applications: []migration.Application{a}, Clock: clock.NewFake(time.Now())}
}

func playShop(t *testing.T) (*kube.Client, string, *players) {
	t.Helper()
	pods := &players{frozen: map[string]bool{}, stuck: map[string]bool{}}
	server := kubetest.Connect(t)
	ns := kubetest.Namespace(t, server)
	kubetest.Apply(t, server, ns, `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: shop}}
data: {other: stays}`)
	for _, name := range []string{"web-1", "web-2"} {
		kubetest.RunningPod(t, server, ns, name, map[string]string{"app": "shop"})
	}
	return kubetest.WithPods(t, server, pods.answer), ns, pods
}

func TestI06_FreezeAndThawLeaveThePatchedObjectAsItWas(t *testing.T) {
	c, ns, pods := playShop(t)
	before := kube.Hash(kubetest.Get(t, c, "", "ConfigMap", ns, "settings"))
	opts := freezing(c, ns)
	p, rec := planned(t, opts), &plan.MemoryRecorder{}
	for range 2 {
		if _, err := export.ApplyFreeze(t.Context(), p, rec, opts); err != nil {
			t.Fatal(err)
		}
	}
	if !pods.frozen["web-1"] || !pods.frozen["web-2"] {
		t.Errorf("not every pod is frozen: %v", pods.frozen)
	}
	if got := field(t, c, ns, "", "ConfigMap", "settings", "data.mode"); got != "read-only" {
		t.Errorf("the patch set %v", got)
	}
	for range 2 {
		if _, err := export.Thaw(t.Context(), stored(t, p), rec, opts); err != nil {
			t.Fatal(err)
		}
	}
	if after := kube.Hash(kubetest.Get(t, c, "", "ConfigMap", ns, "settings")); after != before {
		t.Error("the ConfigMap is not as it was: data.mode was absent before")
	}
	if pods.frozen["web-1"] || pods.frozen["web-2"] {
		t.Errorf("a pod is still frozen: %v", pods.frozen)
	}
	if _, err := export.ApplyFreeze(t.Context(), p, rec, opts); err != nil || !pods.frozen["web-1"] {
		t.Errorf("after a thaw the journal's old outcomes passed for a freeze: %v", err)
	}
}

func TestFreezeThatOnePodDoesNotKeepIsTakenBack(t *testing.T) {
	c, ns, pods := playShop(t)
	pods.stuck["web-2"] = true
	before := kube.Hash(kubetest.Get(t, c, "", "ConfigMap", ns, "settings"))
	opts := freezing(c, ns)
	p, rec := planned(t, opts), &plan.MemoryRecorder{}
	_, err := export.ApplyFreeze(t.Context(), p, rec, opts)
	if !errors.Is(err, hook.ErrAccepted) || !strings.Contains(err.Error(), "web-2") {
		t.Errorf("the error is %v", err)
	}
	if pods.frozen["web-1"] || kube.Hash(kubetest.Get(t, c, "", "ConfigMap", ns, "settings")) != before {
		t.Error("the freeze was not taken back")
	}
	pods.stuck["web-2"] = false
	if _, err := export.ApplyFreeze(t.Context(), p, rec, opts); err != nil {
		t.Errorf("tried again with the same plan and journal: %v", err)
	}
	if !pods.frozen["web-1"] || !pods.frozen["web-2"] {
		t.Errorf("not every pod is frozen: %v", pods.frozen)
	}
}

func TestK02_ArchiveCarriesWhatAFreezePatchedAsItWas(t *testing.T) {
	c, ns, _ := playShop(t)
	opts := freezing(c, ns)
	p := planned(t, opts)
	if _, err := export.ApplyFreeze(t.Context(), p, &plan.MemoryRecorder{}, opts); err != nil {
		t.Fatal(err)
	}
	e := newExporter(t, c, opts.App)
	e.opts.Frozen = []*plan.Plan{stored(t, p)}
	_, _, r := e.run(t)
	data, _, _ := unstructured.NestedStringMap(object(t, r, "ConfigMap", "settings").Object, "data")
	if len(data) != 1 || data["other"] != "stays" {
		t.Errorf("the archive has the ConfigMap with %v", data)
	}
}

func TestFreezeWithNoPodToAskIsRefused(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	opts := freezing(c, ns)
	if err := planned(t, opts).Err(); err == nil || !strings.Contains(err.Error(), "no pod of the selector is running") {
		t.Errorf("the plan says %v", err)
	}
}

func TestFreezeWithoutTheRightsIsRefusedInThePlan(t *testing.T) {
	c := kubetest.Connect(t)
	ns, _ := start(t, c)
	kubetest.Apply(t, c, ns, `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: User, name: reader}]`)
	err := planned(t, quiesce(kubetest.As(t, c, "reader"), ns)).Err()
	for _, what := range []string{"patch deployments.apps", "patch cronjobs.batch", "patch statefulsets.apps"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("the refusals do not name %q: %v", what, err)
		}
	}
}
