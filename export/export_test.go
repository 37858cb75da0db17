package export_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/export"
	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// exporter is an export of one namespace into a folder.
type exporter struct {
	opts     export.Options
	dir      string
	identity *age.X25519Identity
}

func newExporter(t testing.TB, c *kube.Client, apps ...migration.Application) exporter {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "archive")
	return exporter{dir: dir, identity: id, opts: export.Options{
		Migration: "m", Blue: c, Applications: apps, Store: &archive.Dir{Path: dir},
		Archive: archive.Options{Recipients: []string{id.Recipient().String()}, Identities: []string{id.String()}},
		Clock:   clock.NewFake(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)),
	}}
}

// run plans, applies and reads what was written.
func (e exporter) run(t *testing.T) (*plan.Plan, export.Result, *archive.Reader) {
	t.Helper()
	p, err := export.Plan(t.Context(), e.opts)
	if err != nil {
		t.Fatal(err)
	}
	result, err := export.Apply(t.Context(), p, &plan.MemoryRecorder{}, e.opts)
	if err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(t.Context(), e.opts.Store, e.opts.Archive)
	if err != nil {
		t.Fatal(err)
	}
	return p, result, r
}

// ids lists the entries, "Kind/name".
func ids(r *archive.Reader) []string {
	var out []string
	for _, e := range r.Index().Entries {
		out = append(out, e.Kind+"/"+e.Name)
	}
	return out
}

func object(t *testing.T, r *archive.Reader, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, e := range r.Index().Entries {
		if e.Kind == kind && e.Name == name {
			obj, err := r.Object(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			return obj
		}
	}
	t.Fatalf("the archive has no %s %s", kind, name)
	return nil
}

func app(name, namespace, selector string) migration.Application {
	return migration.Application{Name: name, Namespace: namespace, Selector: selector, Wave: 1, Writes: migration.WritesNone}
}

const shop = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: shop}}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {serviceAccountName: shop, priorityClassName: gold, containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: shop}}
spec: {selector: {app: shop}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: keys, labels: {app: shop}}
stringData: {password: correct-horse-battery}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: live}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: shop, labels: {app: shop}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: clock, labels: {app: shop}}
spec:
  schedule: "* * * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: shop, namespace: NS}]
`

func ensureShared(t *testing.T, c *kube.Client, documents string) {
	t.Helper()
	made := kubetest.Apply(t, c, "", documents)
	t.Cleanup(func() {
		for _, obj := range made {
			res, err := c.ResourceFor(context.Background(), obj.GroupVersionKind().Group, obj.GetKind())
			if err == nil {
				err = c.At(res, "").Delete(context.Background(), obj.GetName(), metav1.DeleteOptions{})
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func deploy(t *testing.T, c *kube.Client, ns string) {
	t.Helper()
	ensureShared(t, c, `
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: gold}
value: 1000
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: shop-nodes}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: shop-nodes}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: shop-nodes}
subjects: [{kind: ServiceAccount, name: shop, namespace: `+ns+`}]`)
	kubetest.Apply(t, c, ns, strings.ReplaceAll(shop, "NS", ns))
	eventually(t, "the Deployment has its pods", func() bool {
		pods, err := c.Typed.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		return err == nil && len(pods.Items) == 2
	})
}

// eventually waits for a controller of the real cluster, whose time is not ours to set.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1200 {
		if ok() {
			return
		}
		if err := (clock.System{}).Sleep(t.Context(), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("it never came that %s", what)
}

func TestExportWritesWhatTheApplicationHasAndWhatItRefersTo(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	deploy(t, c, ns)
	e := newExporter(t, c, app("shop", ns, "app=shop"))
	p, result, r := e.run(t)

	want := []string{
		"ClusterRole/shop-nodes", "ClusterRoleBinding/shop-nodes", "ConfigMap/settings", "CronJob/clock", "Deployment/web", "Namespace/" + ns,
		"PriorityClass/gold", "RoleBinding/reads", "Secret/keys", "Service/web", "ServiceAccount/shop",
	}
	got := ids(r)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("archived %v, want %v", got, want)
	}
	if result.Verified.Objects != len(want) || result.Encrypted != 1 || result.Verified.Opened != 1 {
		t.Errorf("the result says %+v", result)
	}
	if len(p.Changes) != 1 || !slices.ContainsFunc(p.Notes, func(n plan.Note) bool { return strings.Contains(n.Text, "configmaps/settings") }) {
		t.Errorf("the plan does not say that configmaps/settings matches no selector: %+v", p.Notes)
	}
	if object(t, r, "Deployment", "web").GetManagedFields() != nil {
		t.Error("managedFields are archived")
	}
}

func TestI09_NoSecretIsInClearInTheArchiveOrThePlan(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	deploy(t, c, ns)
	e := newExporter(t, c, app("shop", ns, "app=shop"))
	p, _, r := e.run(t)
	for _, clear := range []string{"correct-horse-battery", "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"} {
		if bytes.Contains(plan.JSON(p), []byte(clear)) {
			t.Error("the plan holds the Secret")
		}
		err := filepath.WalkDir(e.dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			if bytes.Contains(raw, []byte(clear)) {
				t.Errorf("%s holds the Secret", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if data, _, _ := unstructured.NestedString(object(t, r, "Secret", "keys").Object, "data", "password"); data != "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5" {
		t.Errorf("the Secret reads back as %q", data)
	}
}
