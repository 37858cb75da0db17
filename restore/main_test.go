package restore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestMain(m *testing.M) {
	os.Exit(kubetest.Main(m, cluster.LightOptions{Name: "restore", Controllers: true}))
}

// memArchive is a revision in memory.
type memArchive struct {
	index   archive.Index
	objects map[string]*unstructured.Unstructured
}

func (m *memArchive) Index() archive.Index { return m.index }

func (m *memArchive) Object(_ context.Context, e archive.Entry) (*unstructured.Unstructured, error) {
	obj, ok := m.objects[e.ID()]
	if !ok {
		return nil, fmt.Errorf("%s: %w", e.ID(), archive.ErrNotExist)
	}
	return obj.DeepCopy(), nil
}

// parse reads YAML documents, with namespaces where they name none and are not cluster-scoped.
func parse(t testing.TB, namespace, documents string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, doc := range strings.Split(documents, "\n---\n") {
		raw, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatalf("read %s: %v", doc, err)
		}
		obj := &unstructured.Unstructured{}
		if err := obj.UnmarshalJSON(raw); err != nil {
			t.Fatalf("read %s: %v", doc, err)
		}
		if obj.GetNamespace() == "" && namespace != "" && !clusterScoped(obj.GetKind()) {
			obj.SetNamespace(namespace)
		}
		out = append(out, obj)
	}
	return out
}

func clusterScoped(kind string) bool {
	for _, suffix := range []string{"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "WebhookConfiguration", "Namespace", "PersistentVolume", "Class", "APIService"} {
		if strings.HasSuffix(kind, suffix) {
			return true
		}
	}
	return false
}

// archived is a revision with the objects of one application; cluster-scoped ones are shared.
func archived(t testing.TB, revision int, app string, objects ...*unstructured.Unstructured) *memArchive {
	t.Helper()
	m := &memArchive{objects: map[string]*unstructured.Unstructured{}, index: archive.Index{
		Format: 1, Migration: "m", Revision: revision, BlueUID: "blue", BlueVersion: "v1.28.15",
	}}
	for _, obj := range objects {
		gvk := obj.GroupVersionKind()
		e := archive.Entry{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
		if e.Namespace != "" {
			e.App = app
		}
		raw, err := obj.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(append([]byte("keyed for the test: "), raw...))
		e.Hash, e.Encrypted = hex.EncodeToString(sum[:]), gvk.Kind == "Secret"
		m.objects[e.ID()] = obj
		m.index.Entries = append(m.index.Entries, e)
	}
	return m
}

// a fixture is one restore into a namespace of the test's own.
type fixture struct {
	c    *kube.Client
	ns   string
	opts Options
}

func newFixture(t *testing.T, blue string, app migration.Application, documents string) *fixture {
	t.Helper()
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	documents = strings.ReplaceAll(documents, "GROUP", ns)
	app.Name, app.Namespace = "shop", blue
	return &fixture{c: c, ns: ns, opts: Options{
		Migration: "m-" + ns, Stage: "restore", Green: c, Archive: archived(t, 1, "shop", parse(t, blue, documents)...),
		Applications: []migration.Application{app}, Maps: migration.Maps{Namespaces: map[string]string{blue: ns}},
	}}
}

func (f *fixture) plan(t *testing.T) *plan.Plan {
	t.Helper()
	p, err := Plan(t.Context(), f.opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fixture) restore(t *testing.T) (*plan.Plan, Result) {
	t.Helper()
	p := f.plan(t)
	return p, f.apply(t, p, &plan.MemoryRecorder{})
}

func (f *fixture) apply(t *testing.T, p *plan.Plan, rec plan.Recorder) Result {
	t.Helper()
	res, err := Apply(t.Context(), p, rec, f.opts)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func (f *fixture) get(t *testing.T, group, kind, name string) map[string]any {
	t.Helper()
	return kubetest.Get(t, f.c, group, kind, f.ns, name).Object
}
