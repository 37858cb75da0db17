package restore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const runningApp = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: live}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: shop}}
  template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, labels: {app: bare}}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: clock}
spec: {schedule: "* * * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}
status: {lastScheduleTime: "2026-11-21T11:59:00Z"}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: paused}
spec: {suspend: true, schedule: "* * * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: done}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
status: {conditions: [{type: Complete, status: "True"}]}`

func (f *fixture) absent(t *testing.T, group, kind, name string) {
	t.Helper()
	r, err := f.c.ResourceFor(t.Context(), group, kind)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.c.At(r, f.ns).Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("%s %s is there (%v), want it absent", kind, name, err)
	}
}

// isDark checks that nothing of runningApp can run.
func (f *fixture) isDark(t *testing.T) {
	t.Helper()
	for kind, name := range map[string]string{"Deployment": "web", "StatefulSet": "db"} {
		if n, ok := digInt(f.get(t, "apps", kind, name), "spec", "replicas"); !ok || n != 0 {
			t.Errorf("%s %s has %d replicas", kind, name, n)
		}
	}
	for _, name := range []string{"clock", "paused"} {
		if !digBool(f.get(t, "batch", "CronJob", name), "spec", "suspend") {
			t.Errorf("CronJob %s fires", name)
		}
	}
	if !digBool(f.get(t, "batch", "Job", "once"), "spec", "suspend") {
		t.Error("Job once runs")
	}
	f.absent(t, "apps", "DaemonSet", "agent")
	f.absent(t, "", "Pod", "bare")
	pods, err := f.c.Typed.CoreV1().Pods(f.ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) > 0 {
		t.Errorf("green has %d pods before its turn, %v", len(pods.Items), err)
	}
}

// start plans and applies a start, but for the wait: no kubelet makes anything ready here.
func (f *fixture) turn(t *testing.T, p *plan.Plan, err error) Result {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var changes []plan.Change
	for _, c := range p.Changes {
		if c.Action != ActionWait {
			changes = append(changes, c)
		}
	}
	p.Changes = changes
	return f.apply(t, p, &plan.MemoryRecorder{})
}

func (f *fixture) start(t *testing.T) Result {
	t.Helper()
	opts := f.opts
	opts.Stage, opts.Only = "start/shop", []string{"shop"}
	p, err := PlanStart(t.Context(), opts)
	return f.turn(t, p, err)
}

func (f *fixture) stop(t *testing.T) Result {
	t.Helper()
	opts := f.opts
	opts.Stage, opts.Only = "stop/shop", []string{"shop"}
	p, err := PlanStop(t.Context(), opts)
	return f.turn(t, p, err)
}

func TestK05_GreenStartsDarkAndTakesItsTurnAsArchived(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, runningApp)
	f.restore(t)
	f.isDark(t)
	f.start(t)
	if n, _ := digInt(f.get(t, "apps", "Deployment", "web"), "spec", "replicas"); n != 3 {
		t.Errorf("Deployment web has %d replicas, want blue's 3", n)
	}
	if n, _ := digInt(f.get(t, "apps", "StatefulSet", "db"), "spec", "replicas"); n != 1 {
		t.Errorf("StatefulSet db has %d replicas, want the default 1", n)
	}
	clockJob := f.get(t, "batch", "CronJob", "clock")
	if digBool(clockJob, "spec", "suspend") || !digBool(f.get(t, "batch", "CronJob", "paused"), "spec", "suspend") {
		t.Error("cron jobs do not fire as blue's did")
	}
	if last := digString(clockJob, "status", "lastScheduleTime"); last < "2026-11-21T11:59:00Z" {
		t.Errorf("green believes that the job fired last at %q: it would fire again what blue has done", last)
	}
	if digBool(f.get(t, "batch", "Job", "once"), "spec", "suspend") {
		t.Error("Job once does not run")
	}
	f.get(t, "apps", "DaemonSet", "agent")
	f.get(t, "", "Pod", "bare")
	if again := f.start(t); again.Created+again.Started > 0 {
		t.Errorf("started again: %+v", again)
	}
	f.stop(t)
	if err := f.c.Typed.CoreV1().Pods(f.ns).DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if again := f.stop(t); again.Stopped+again.Deleted > 0 {
		t.Errorf("stopped again: %+v", again)
	}
	if n, _ := digInt(f.get(t, "apps", "Deployment", "web"), "spec", "replicas"); n != 0 {
		t.Errorf("after the stop, Deployment web has %d replicas", n)
	}
	if !digBool(f.get(t, "batch", "CronJob", "clock"), "spec", "suspend") {
		t.Error("after the stop, CronJob clock fires")
	}
	f.absent(t, "apps", "DaemonSet", "agent")
}

func TestK05_WithoutARecordOfBluesLastRunNothingIsMadeUp(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, `
apiVersion: batch/v1
kind: CronJob
metadata: {name: yearly}
spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}`)
	f.opts.Clock = clock.NewFake(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	f.restore(t)
	f.start(t)
	if last := digString(f.get(t, "batch", "CronJob", "yearly"), "status", "lastScheduleTime"); last != "2026-11-21T12:00:00Z" {
		t.Errorf("the last run is %q, want the time of the start", last)
	}
}

func TestK05_ReadOnlyGreenRunsFrozenUntilItsTurn(t *testing.T) {
	hook := func(mode string) migration.Hook {
		return migration.Hook{Patch: &migration.PatchHook{Kind: "ConfigMap", Name: "settings", Merge: map[string]any{"data": map[string]any{"mode": mode}}}}
	}
	app := migration.Application{Dark: migration.DarkReadOnly, Freeze: &migration.Freeze{
		Enter: []migration.Hook{hook("read-only")}, Leave: []migration.Hook{hook("live")},
	}}
	f := newFixture(t, "shop", app, runningApp)
	p := f.plan(t)
	var waits []string
	for _, c := range p.Changes {
		if c.Action == ActionWait {
			waits = append(waits, c.Target)
		}
	}
	if len(waits) != 1 || !strings.Contains(waits[0], "Deployment") {
		t.Errorf("the plan waits for %v, want the running workloads", waits)
	}
	f.turn(t, p, nil)
	if n, _ := digInt(f.get(t, "apps", "Deployment", "web"), "spec", "replicas"); n != 3 {
		t.Errorf("a read-only green runs %d replicas, want 3", n)
	}
	mode := func() string { return digString(f.get(t, "", "ConfigMap", "settings"), "data", "mode") }
	if mode() != "read-only" || !digBool(f.get(t, "batch", "CronJob", "clock"), "spec", "suspend") || !digBool(f.get(t, "batch", "Job", "once"), "spec", "suspend") {
		t.Errorf("before its turn green is in mode %q, or jobs fire", mode())
	}
	f.start(t)
	if mode() != "live" || digBool(f.get(t, "batch", "CronJob", "clock"), "spec", "suspend") {
		t.Errorf("after the start green is in mode %q, or jobs rest", mode())
	}
	f.stop(t)
	if mode() != "read-only" || !digBool(f.get(t, "batch", "CronJob", "clock"), "spec", "suspend") {
		t.Errorf("after the stop green is in mode %q, or jobs fire", mode())
	}
	if n, _ := digInt(f.get(t, "apps", "Deployment", "web"), "spec", "replicas"); n != 3 {
		t.Errorf("after the stop a read-only green runs %d replicas, want 3: it goes on reading", n)
	}
	f.opts.Applications[0].Freeze.Enter[0] = migration.Hook{HTTP: &migration.HTTPHook{URL: "http://x"}}
	if err := f.plan(t).Err(); err == nil || !strings.Contains(err.Error(), "read-only needs a patch") {
		t.Errorf("a freeze that cannot hold green back gives %v", err)
	}
}

func TestK05_AStoppedSetKeepsItsClaims(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  persistentVolumeClaimRetentionPolicy: {whenScaled: Delete, whenDeleted: Retain}
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: i}]}}`)
	f.restore(t)
	f.start(t)
	f.stop(t)
	if policy := digString(f.get(t, "apps", "StatefulSet", "db"), "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"); policy != "Retain" {
		t.Errorf("stopped with whenScaled %s, which deletes green's data", policy)
	}
}

func TestK05_WhatMovedIsNotStarted(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, runningApp)
	f.restore(t)
	opts := f.opts
	opts.Stage, opts.Only = "start/shop", []string{"shop"}
	p, err := PlanStart(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"metadata":{"labels":{"` + kube.LabelMigration + `":"another"}}}`)
	if _, err := f.c.Typed.AppsV1().Deployments(f.ns).Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, opts); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("starting what is another's now gives %v, want ErrMoved", err)
	}
	if n, _ := digInt(f.get(t, "apps", "Deployment", "web"), "spec", "replicas"); n != 0 {
		t.Error("it was started all the same")
	}
}

func TestK07_FinishedJobsNeverRunAgain(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, runningApp)
	f.restore(t)
	f.absent(t, "batch", "Job", "done")
	// The other job ends on blue before green's turn: green's waiting copy goes.
	objects := parse(t, "shop", runningApp)
	for _, obj := range objects {
		if obj.GetName() == "once" {
			obj.Object["status"] = map[string]any{"completionTime": "2026-11-21T12:00:00Z"}
		}
	}
	f.opts.Archive, f.opts.Stage, f.opts.Only = archived(t, 2, "shop", objects...), "restore-delta/shop", []string{"shop"}
	f.restore(t)
	f.start(t)
	f.absent(t, "batch", "Job", "once")
}

func TestK12_WebhooksWaitForTheirBackend(t *testing.T) {
	f := newFixture(t, "shop", migration.Application{}, runningApp+`
---
apiVersion: v1
kind: Service
metadata: {name: hook}
spec: {selector: {app: shop}, ports: [{port: 443}]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook-GROUP, annotations: {cert-manager.io/inject-ca-from: shop/ca}}
webhooks:
- name: a.crossfade.test
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  clientConfig: {caBundle: Zm9v, service: {name: hook, namespace: shop}}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [secrets]}]`)
	hooks := f.c.Typed.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	f.restore(t)
	if _, err := hooks.Get(t.Context(), "hook-"+f.ns, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatalf("the webhook judges others' writes before its backend answers (%v)", err)
	}
	opts := f.opts
	opts.Stage, opts.Only = "start/shop", []string{"shop"}
	p, err := PlanStart(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	wait, hook := -1, -1
	for _, c := range p.Changes {
		at, err := decode[task](c)
		if err != nil {
			t.Fatal(err)
		}
		if c.Action == ActionWait {
			wait = at.Level
		}
		if strings.Contains(c.ID, "WebhookConfiguration") {
			hook = at.Level
		}
	}
	if wait < 0 || hook <= wait {
		t.Errorf("the webhook is at level %d and the wait for its backend at %d", hook, wait)
	}
	f.turn(t, p, nil)
	made, err := hooks.Get(t.Context(), "hook-"+f.ns, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := made.Webhooks[0]
	if w.ClientConfig.Service.Namespace != f.ns || w.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != f.ns || len(w.ClientConfig.CABundle) > 0 || made.Annotations["cert-manager.io/inject-ca-from"] != f.ns+"/ca" {
		t.Errorf("the webhook still points at blue: %+v", made)
	}
	f.stop(t)
	if _, err := hooks.Get(t.Context(), "hook-"+f.ns, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the webhook outlives its backend (%v)", err)
	}
}
