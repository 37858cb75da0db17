package provision_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/provision"
)

func TestMain(m *testing.M) {
	os.Exit(kubetest.Main(m, cluster.LightOptions{Name: "provision", Controllers: true}))
}

// options move a namespace of the test's own to another one of the same cluster.
func options(t *testing.T) (c *kube.Client, blue, green string, opts provision.Options) {
	t.Helper()
	c = kubetest.Connect(t)
	blue = kubetest.Namespace(t, c)
	green = blue + "-green"
	return c, blue, green, provision.Options{
		Migration: "m-" + blue, Stage: "provision", Blue: c, Green: c, Namespaces: map[string]string{blue: green},
	}
}

func planned(t *testing.T, opts provision.Options) *plan.Plan {
	t.Helper()
	p, err := provision.Plan(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func apply(t *testing.T, p *plan.Plan, opts provision.Options) provision.Result {
	t.Helper()
	res, err := provision.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func namespace(t *testing.T, c *kube.Client, name string) *corev1.Namespace {
	t.Helper()
	ns, err := c.Typed.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func patch(t *testing.T, c *kube.Client, name, body string) {
	t.Helper()
	if _, err := c.Typed.CoreV1().Namespaces().Patch(t.Context(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestANamespaceIsMadeAsBluesAndOurs(t *testing.T) {
	c, blue, green, opts := options(t)
	patch(t, c, blue, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted","team":"a"},"annotations":{"owner":"x","kubectl.kubernetes.io/last-applied-configuration":"{}"}}}`)
	p := planned(t, opts)
	if res := apply(t, p, opts); res.Created != 1 {
		t.Errorf("made %+v", res)
	}
	ns := namespace(t, c, green)
	if ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" || ns.Labels["team"] != "a" || ns.Labels[kube.LabelMigration] != opts.Migration ||
		ns.Labels[corev1.LabelMetadataName] != green || ns.Annotations["owner"] != "x" || len(ns.Annotations) != 1 {
		t.Errorf("it has %v and %v", ns.Labels, ns.Annotations)
	}
	if res := apply(t, p, opts); res.Found != 1 { // as after a kill before the record
		t.Errorf("made again: %+v", res)
	}
	if again := planned(t, opts); len(again.Changes) != 0 {
		t.Errorf("planned again: %v", again.Changes)
	}
}

func refused(t *testing.T, p *plan.Plan, text string) {
	t.Helper()
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("the refusals are %v, want one that says %q", err, text)
	}
}

func TestI03_ForeignNamespacesAreUsedEmptyOrAdopted(t *testing.T) {
	c, _, green, opts := options(t)
	if _, err := c.Typed.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: green}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if p := planned(t, opts); len(p.Changes) != 0 || p.Err() != nil {
		t.Errorf("an empty foreign namespace gives %v, %v", p.Changes, p.Err())
	}
	kubetest.Apply(t, c, green, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}")
	refused(t, planned(t, opts), "ConfigMap theirs")
	opts.Shared = true
	if p := planned(t, opts); len(p.Changes) != 0 || p.Err() != nil {
		t.Errorf("a shared namespace gives %v, %v", p.Changes, p.Err())
	}
	opts.Shared, opts.Adopt = false, true
	p := planned(t, opts)
	if res := apply(t, p, opts); res.Adopted != 1 || namespace(t, c, green).Labels[kube.LabelMigration] != opts.Migration {
		t.Errorf("adopted %+v", res)
	}
	if res := apply(t, p, opts); res.Found != 1 {
		t.Errorf("adopted again: %+v", res)
	}
}

func TestI03_ANamespaceThatAppearsMeanwhileIsNotTaken(t *testing.T) {
	c, _, green, opts := options(t)
	p := planned(t, opts)
	if _, err := c.Typed.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: green}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := provision.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("the error is %v, want ErrMoved", err)
	}
	if ns := namespace(t, c, green); ns.Labels[kube.LabelMigration] != "" {
		t.Error("it was labelled")
	}
}

func TestBlueIsNotItsOwnGreen(t *testing.T) {
	c, blue, _, opts := options(t)
	other := kubetest.Namespace(t, c)
	for why, namespaces := range map[string]map[string]string{
		"onto itself":        {blue: blue},
		"goes already":       {blue: "g", other: "g"},
		"blue has none":      {"no-such-" + blue: "g2-" + blue},
		"namespace of blue'": {blue: other, other: "g3-" + blue},
	} {
		opts.Namespaces = namespaces
		refused(t, planned(t, opts), why)
	}
}

func TestK14_ARightThatIsMissingIsSaidBefore(t *testing.T) {
	c, blue, green, opts := options(t)
	kubetest.Apply(t, c, "", fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reads-%[1]s}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reads-%[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads-%[1]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader-%[1]s}]`, blue))
	opts.Green = kubetest.As(t, c, "reader-"+blue)
	refused(t, planned(t, opts), "create namespaces")
	if _, err := c.Typed.CoreV1().Namespaces().Get(t.Context(), green, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("it is there: %v", err)
	}
}

func destroyOptions(t *testing.T) (*kube.Client, string, provision.DestroyOptions) {
	t.Helper()
	c, blue, _, opts := options(t)
	opts.Stage = "destroy"
	return c, blue, provision.DestroyOptions{
		Options: opts, Delete: []string{blue}, Certificate: provision.Certificate{Hash: "abc", Typed: opts.Migration},
	}
}

func TestI10_BlueIsNotDestroyedWithoutItsCertificate(t *testing.T) {
	c, blue, opts := destroyOptions(t)
	p, err := provision.PlanDestroy(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for name, cert := range map[string]provision.Certificate{"none": {}, "not typed": {Hash: "abc"}, "another name": {Hash: "abc", Typed: "n"}, "no hash": {Typed: opts.Migration}} {
		bad := opts
		bad.Certificate = cert
		if _, err := provision.PlanDestroy(t.Context(), bad); !errors.Is(err, provision.ErrNotConfirmed) {
			t.Errorf("%s: planning gives %v", name, err)
		}
		if _, err := provision.Destroy(t.Context(), p, &plan.MemoryRecorder{}, bad); !errors.Is(err, provision.ErrNotConfirmed) {
			t.Errorf("%s: destroying gives %v", name, err)
		}
	}
	other := opts
	other.Certificate.Hash = "another"
	if _, err := provision.Destroy(t.Context(), p, &plan.MemoryRecorder{}, other); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("a plan of another certificate gives %v", err)
	}
	if namespace(t, c, blue).DeletionTimestamp != nil {
		t.Error("it is being deleted")
	}
	for _, name := range []string{"default", "kube-system", "elsewhere", opts.Namespaces[blue]} {
		bad := opts
		bad.Delete = []string{name}
		p, err := provision.PlanDestroy(t.Context(), bad)
		if err != nil || p.Err() == nil || len(p.Changes) > 0 {
			t.Errorf("deleting %s gives %v, %v", name, p, err)
		}
	}
}

const volume = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-%[1]s}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], persistentVolumeReclaimPolicy: Delete, hostPath: {path: /nowhere}, claimRef: {namespace: %[1]s, name: data}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: shared-%[1]s}`

func TestK25_VolumesAreKeptAndClusterScopedObjectsStay(t *testing.T) {
	c, blue, opts := destroyOptions(t)
	kubetest.Apply(t, c, "", fmt.Sprintf(volume, blue))
	kubetest.Apply(t, c, blue, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}")
	p, err := provision.PlanDestroy(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	// A volume that came after the plan and would go with the namespace stops it.
	kubetest.Apply(t, c, "", strings.Split(fmt.Sprintf(strings.Replace(volume, "pv-%[1]s", "late-%[1]s", 1), blue), "\n---\n")[0])
	if _, err := provision.Destroy(t.Context(), p, &plan.MemoryRecorder{}, opts); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("a late volume gives %v, want ErrMoved", err)
	}
	if namespace(t, c, blue).DeletionTimestamp != nil {
		t.Fatal("it is being deleted")
	}
	if p, err = provision.PlanDestroy(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	res, err := provision.Destroy(t.Context(), p, &plan.MemoryRecorder{}, opts)
	if err != nil || res.Deleted != 1 || res.Retained != 1 {
		t.Fatalf("destroyed %+v, %v", res, err)
	}
	for _, name := range []string{"pv-" + blue, "late-" + blue} {
		pv, err := c.Typed.CoreV1().PersistentVolumes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain || pv.DeletionTimestamp != nil {
			t.Errorf("volume %s is %v, %v", name, pv, err)
		}
	}
	kubetest.Get(t, c, "rbac.authorization.k8s.io", "ClusterRole", "", "shared-"+blue)
	if _, err := c.Typed.CoreV1().Namespaces().Get(t.Context(), blue, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is there: %v", err)
	}
	if res, err := provision.Destroy(t.Context(), p, &plan.MemoryRecorder{}, opts); err != nil || res.Deleted != 1 {
		t.Errorf("destroyed again: %+v, %v", res, err)
	}
}

// TestI03_WhatDidNotMoveIsNotDeletedWithANamespace: neither when the plan is made, nor when it came after the plan.
func TestI03_WhatDidNotMoveIsNotDeletedWithANamespace(t *testing.T) {
	c, blue, opts := destroyOptions(t)
	const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %s}
spec: {replicas: 1, selector: {matchLabels: {app: w}}, template: {metadata: {labels: {app: w}}, spec: {containers: [{name: c, image: i}]}}}`
	pod := func(name, more string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + more + "}\nspec: {containers: [{name: c, image: i}]}"
	}
	kubetest.Apply(t, c, blue, fmt.Sprintf(web, "web"))
	kubetest.Apply(t, c, blue, pod("of-operator", ", ownerReferences: [{apiVersion: example.org/v1, kind: Db, name: db, uid: u, controller: true}]"))
	kubetest.Apply(t, c, blue, pod("of-crossfade", ", labels: {"+kube.LabelMigration+": "+opts.Migration+"}"))
	opts.Archived = map[string]bool{"apps/Deployment/" + blue + "/web": true, "example.org/Db/" + blue + "/db": true}
	p, err := provision.PlanDestroy(t.Context(), opts)
	if err != nil || p.Err() != nil {
		t.Fatalf("with what has moved: %v, %v", p.Err(), err)
	}
	kubetest.Apply(t, c, blue, fmt.Sprintf(web, "late"))
	kubetest.Apply(t, c, blue, pod("debug", ""))
	if _, err := provision.Destroy(t.Context(), p, &plan.MemoryRecorder{}, opts); !errors.Is(err, plan.ErrMoved) || !strings.Contains(err.Error(), "Deployment late, Pod debug") {
		t.Errorf("what came after the plan gives %v, want ErrMoved", err)
	}
	if namespace(t, c, blue).DeletionTimestamp != nil {
		t.Error("it is being deleted")
	}
	if p, err = provision.PlanDestroy(t.Context(), opts); err != nil || len(p.Changes) > 0 {
		t.Fatalf("planned %+v, %v", p, err)
	}
	refused(t, p, "the archive does not hold Deployment late, Pod debug")
}

func TestK25_ANamespaceThatHangsIsExplainedAndKeepsItsFinalizers(t *testing.T) {
	c, blue, opts := destroyOptions(t)
	kubetest.Apply(t, c, blue, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.org/waits]}")
	p, err := provision.PlanDestroy(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	// The first try only begins; the second knows why it hangs, since the controller has said so by then.
	opts.Clock, opts.Limit = clock.NewFake(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)), time.Nanosecond
	var hang *provision.HangError
	if _, err := provision.Destroy(t.Context(), p, &plan.MemoryRecorder{}, opts); !errors.As(err, &hang) {
		t.Fatalf("the error is %v, want a HangError", err)
	}
	watch, err := c.Typed.CoreV1().Namespaces().Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + blue})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		raw, err := json.Marshal(event.Object)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), "example.org/waits") {
			break
		}
	}
	if _, err := provision.Destroy(t.Context(), p, &plan.MemoryRecorder{}, opts); !errors.As(err, &hang) || !strings.Contains(err.Error(), "example.org/waits") {
		t.Errorf("the error is %v, want one that names the finalizer", err)
	}
	held := kubetest.Get(t, c, "", "ConfigMap", blue, "held")
	if len(held.GetFinalizers()) != 1 {
		t.Error("the finalizer was taken away")
	}
}
