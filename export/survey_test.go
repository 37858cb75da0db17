package export_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/crossfade-project/crossfade/export"
	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func has(t *testing.T, r *archive.Reader, want bool, names ...string) {
	t.Helper()
	got := ids(r)
	for _, n := range names {
		if slices.Contains(got, n) != want {
			t.Errorf("archived is %s: %v, want %v", n, !want, want)
		}
	}
}

func TestK09_EndpointsAreKeptOnlyForServicesWithoutSelector(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, `
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {ports: [{port: 5432}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: outside}
subsets: [{addresses: [{ip: 192.0.2.1}], ports: [{port: 5432}]}]
---
apiVersion: v1
kind: Service
metadata: {name: sliced}
spec: {ports: [{port: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sliced-by-hand, labels: {kubernetes.io/service-name: sliced}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.2]}]
---
apiVersion: v1
kind: Service
metadata: {name: selecting}
spec: {selector: {app: shop}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: orphan}
subsets: [{addresses: [{ip: 192.0.2.3}], ports: [{port: 1}]}]`)
	eventually(t, "the controllers have made their endpoints", func() bool {
		slices, err := c.Typed.DiscoveryV1().EndpointSlices(ns).List(t.Context(), metav1.ListOptions{})
		_, eerr := c.Typed.CoreV1().Endpoints(ns).Get(t.Context(), "selecting", metav1.GetOptions{})
		return err == nil && eerr == nil && len(slices.Items) >= 3
	})
	_, _, r := newExporter(t, c, app("shop", ns, "")).run(t)
	has(t, r, true, "Service/outside", "Service/sliced", "Service/selecting", "Endpoints/outside", "EndpointSlice/sliced-by-hand")
	has(t, r, false, "Endpoints/selecting", "Endpoints/orphan")
	for _, id := range ids(r) {
		if strings.HasPrefix(id, "EndpointSlice/") && id != "EndpointSlice/sliced-by-hand" {
			t.Errorf("archived is %s, which a controller makes again", id)
		}
	}
}

func TestK08_WhatControllersMakeAgainIsDropped(t *testing.T) {
	c := kubetest.Connect(t)
	ns, _ := start(t, c)
	withJob(t, c, ns)
	kubetest.RunningPod(t, c, ns, "bare", map[string]string{"app": "shop"})
	p, result, r := newExporter(t, c, app("shop", ns, "app=shop")).run(t)
	has(t, r, true, "Deployment/web", "StatefulSet/db", "CronJob/clock", "Job/import", "Pod/bare")
	has(t, r, false, "Job/clock-1")
	for _, id := range ids(r) {
		if strings.HasPrefix(id, "ReplicaSet/") || strings.HasPrefix(id, "ControllerRevision/") || strings.HasPrefix(id, "Pod/") && id != "Pod/bare" {
			t.Errorf("archived is %s, which a controller makes again", id)
		}
	}
	if len(result.Dropped) == 0 || !slices.ContainsFunc(p.Notes, func(n plan.Note) bool { return strings.Contains(n.Text, "made again by its controller") }) {
		t.Errorf("what was dropped is not reported: %v", result.Dropped)
	}
}

func TestK05_LeasesEventsAndTokensAreNeverExported(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, `
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: leader}
---
apiVersion: v1
kind: Event
metadata: {name: happened}
involvedObject: {kind: Pod, name: x, namespace: `+ns+`}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: leader, annotations: {control-plane.alpha.kubernetes.io/leader: "{}"}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
apiVersion: v1
kind: Secret
metadata: {name: robot-token, annotations: {kubernetes.io/service-account.name: robot}}
type: kubernetes.io/service-account-token`)
	eventually(t, "the namespace has its own objects", func() bool {
		_, err := c.Typed.CoreV1().ConfigMaps(ns).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		_, aerr := c.Typed.CoreV1().ServiceAccounts(ns).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil && aerr == nil
	})
	e := newExporter(t, c, app("shop", ns, ""))
	p, _, r := e.run(t)
	has(t, r, true, "ServiceAccount/robot")
	has(t, r, false, "Lease/leader", "Event/happened", "ConfigMap/leader", "Secret/robot-token", "ConfigMap/kube-root-ca.crt", "ServiceAccount/default")
	if !slices.ContainsFunc(p.Notes, func(n plan.Note) bool { return n.Level == plan.Loss && strings.Contains(n.What, "robot-token") }) {
		t.Errorf("the lost token is not reported: %+v", p.Notes)
	}
	_, err := c.Typed.CoreV1().ServiceAccounts(ns).Patch(t.Context(), "default", types.MergePatchType, []byte(`{"imagePullSecrets":[{"name":"pull"}]}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, r = e.run(t)
	has(t, r, true, "ServiceAccount/default")
}

const widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: unused.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: unused, singular: unused, kind: Unused}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]`

func TestCustomResourcesBringTheirDefinitions(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	ensureShared(t, c, widgets)
	eventually(t, "the custom resource is served", func() bool {
		_, err := c.ResourceFor(t.Context(), "example.org", "Widget")
		return err == nil
	})
	kubetest.Apply(t, c, ns, "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: w}\nspec: {nothing: null, empty: {}}")
	_, _, r := newExporter(t, c, app("shop", ns, "")).run(t)
	has(t, r, true, "Widget/w", "CustomResourceDefinition/widgets.example.org")
	has(t, r, false, "CustomResourceDefinition/unused.example.org")
	spec, _ := object(t, r, "Widget", "w").Object["spec"].(map[string]any)
	if v, present := spec["nothing"]; present && v != nil {
		t.Errorf("null became %v", v)
	}
}

func TestK17_OneDeadAPIServiceNeverStopsTheExport(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	ensureShared(t, c, `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.dead.example.org}
spec: {group: dead.example.org, version: v1, groupPriorityMinimum: 10, versionPriority: 10, insecureSkipTLSVerify: true, service: {name: gone, namespace: default}}`)
	kubetest.Apply(t, c, ns, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}")
	eventually(t, "discovery lists the dead API", func() bool {
		_, dead, err := c.Resources(t.Context())
		return err == nil && len(dead) == 1
	})
	p, result, r := newExporter(t, c, app("shop", ns, "")).run(t)
	has(t, r, true, "ConfigMap/settings")
	if len(result.Unread) != 1 || result.Unread[0].GroupVersion != "dead.example.org/v1" || !slices.Equal(r.Index().Unread, []string{"dead.example.org/v1"}) {
		t.Errorf("the dead API is not in the result: %+v", result.Unread)
	}
	if !slices.ContainsFunc(p.Notes, func(n plan.Note) bool { return n.Level == plan.Warning && n.What == "dead.example.org/v1" }) {
		t.Errorf("the dead API is not in the plan: %+v", p.Notes)
	}
}

func TestClaimsWithoutADecisionAreRefused(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}`)
	a := app("shop", ns, "")
	e := newExporter(t, c, a)
	p, err := export.Plan(t.Context(), e.opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), ns+"/data") || !strings.Contains(err.Error(), "volumes: empty") {
		t.Errorf("the plan says %v", err)
	}
	if _, err := export.Apply(t.Context(), p, &plan.MemoryRecorder{}, e.opts); err == nil {
		t.Error("a refused plan was applied")
	}
	a.Volumes = "empty"
	e.opts.Applications = []migration.Application{a}
	p, _, r := e.run(t)
	has(t, r, true, "PersistentVolumeClaim/data")
	if !slices.ContainsFunc(p.Notes, func(n plan.Note) bool { return n.What == "StorageClass fast" }) {
		t.Errorf("the class that blue does not have is not reported: %+v", p.Notes)
	}
}

func TestExportWithoutRightsIsRefusedInThePlanWithEveryKind(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	ensureShared(t, c, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: `+ns+`}
rules:
- {apiGroups: [""], resources: [namespaces, configmaps], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: `+ns+`}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: `+ns+`}
subjects: [{kind: User, name: reader}]`)
	e := newExporter(t, kubetest.As(t, c, "reader"), app("shop", ns, ""))
	p, err := export.Plan(t.Context(), e.opts)
	if err != nil {
		t.Fatal(err)
	}
	said := p.Err()
	for _, kind := range []string{"list secrets", "list deployments.apps", "list clusterrolebindings.rbac.authorization.k8s.io"} {
		if said == nil || !strings.Contains(said.Error(), kind) {
			t.Errorf("%q is not refused: %v", kind, said)
		}
	}
	if said != nil && strings.Contains(said.Error(), "list configmaps") {
		t.Error("what may be listed is refused")
	}
}

func TestASelectorOrNamespaceThatMatchesNothingIsRefused(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, labels: {app: shop}}")
	p, err := export.Plan(t.Context(), newExporter(t, c, app("shop", ns, "app=shop"), app("typo", ns, "app=shpo"), app("lost", "no-such-namespace", "")).opts)
	if err != nil {
		t.Fatal(err)
	}
	said := p.Err()
	for _, what := range []string{"app=shpo", "namespace no-such-namespace"} {
		if said == nil || !strings.Contains(said.Error(), what) {
			t.Errorf("%s is not refused: %v", what, said)
		}
	}
	if said != nil && strings.Contains(said.Error(), "application shop") {
		t.Errorf("what matches is refused: %v", said)
	}
}

func TestSecretsWithoutRecipientAreRefused(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}")
	e := newExporter(t, c, app("shop", ns, ""))
	e.opts.Archive = archive.Options{}
	p, err := export.Plan(t.Context(), e.opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "archive.recipients") {
		t.Errorf("the plan says %v", err)
	}
}

func TestDeltaReadsOneApplicationAndKeepsTheOthers(t *testing.T) {
	c := kubetest.Connect(t)
	ns, other := kubetest.Namespace(t, c), kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {a: b}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: before}")
	kubetest.Apply(t, c, other, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}")
	e := newExporter(t, c, app("shop", ns, ""), app("bandit", other, ""))
	_, first, r := e.run(t)
	secret := entry(t, r, "Secret", "keys")

	if err := c.Typed.CoreV1().ConfigMaps(ns).Delete(t.Context(), "old", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Typed.CoreV1().ConfigMaps(other).Delete(t.Context(), "theirs", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := c.Typed.CoreV1().ConfigMaps(ns).Patch(t.Context(), "settings", types.MergePatchType, []byte(`{"data":{"a":"after"}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	e.opts.Stage, e.opts.Only = "delta/shop", []string{"shop"}
	_, second, r := e.run(t)
	if second.Revision != first.Revision+1 || r.Index().Previous != first.Index {
		t.Errorf("revision %d on top of %s, want %d on %s", second.Revision, r.Index().Previous, first.Revision+1, first.Index)
	}
	has(t, r, true, "Secret/keys", "ConfigMap/settings", "ConfigMap/theirs")
	has(t, r, false, "ConfigMap/old")
	if got := entry(t, r, "Secret", "keys"); got != secret {
		t.Errorf("a Secret that did not change has another entry: %+v, was %+v", got, secret)
	}
	if data := object(t, r, "ConfigMap", "settings").Object["data"].(map[string]any); data["a"] != "after" {
		t.Errorf("the delta holds %v", data)
	}
}

func entry(t *testing.T, r *archive.Reader, kind, name string) archive.Entry {
	t.Helper()
	i := slices.IndexFunc(r.Index().Entries, func(e archive.Entry) bool { return e.Kind == kind && e.Name == name })
	if i < 0 {
		t.Fatalf("the archive has no %s %s", kind, name)
	}
	return r.Index().Entries[i]
}

func TestKilledAfterTheRevisionWasWrittenTheNextTryFindsIt(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}")
	e := newExporter(t, c, app("shop", ns, ""))
	p, err := export.Plan(t.Context(), e.opts)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second with a journal that lost the outcome
		result, err := export.Apply(t.Context(), p, &plan.MemoryRecorder{}, e.opts)
		if err != nil {
			t.Fatal(err)
		}
		if result.Revision != 1 {
			t.Errorf("revision %d was written, want 1 only", result.Revision)
		}
	}
	e.opts.Stage = "again"
	if _, err := export.Apply(t.Context(), reprefix(p), &plan.MemoryRecorder{}, e.opts); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("a plan on top of an older revision was applied: %v", err)
	}
}

// reprefix makes the plan one of another change.
func reprefix(p *plan.Plan) *plan.Plan {
	out := *p
	out.Changes = slices.Clone(p.Changes)
	out.Changes[0].ID = "another/archive"
	return &out
}

// Whoever reads the object again mends it; whoever carries it over is stopped by it.
func TestADamagedArchiveIsMendedOrStopsTheExport(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}")
	kubetest.Apply(t, c, ns, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other, labels: {app: other}}")
	e := newExporter(t, c, app("other", ns, "app=other"), app("shop", ns, ""))
	_, _, r := e.run(t)
	settings := entry(t, r, "ConfigMap", "settings")
	if settings.App != "shop" {
		t.Fatalf("settings belongs to %s", settings.App)
	}
	damage := func() {
		t.Helper()
		if err := os.WriteFile(filepath.Join(e.dir, filepath.FromSlash(settings.Blob)), []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := func() error {
		t.Helper()
		p, err := export.Plan(t.Context(), e.opts)
		if err != nil {
			t.Fatal(err)
		}
		_, err = export.Apply(t.Context(), p, &plan.MemoryRecorder{}, e.opts)
		return err
	}
	damage()
	if err := again(); err != nil {
		t.Errorf("an export of everything does not mend a damaged blob: %v", err)
	}
	damage()
	e.opts.Only, e.opts.Stage = []string{"other"}, "delta/other"
	if err := again(); !errors.Is(err, archive.ErrCorrupt) {
		t.Errorf("an export of another application passed over a damaged blob: %v", err)
	}
}

func TestPayloadsStreamIntoTheArchive(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	a := app("shop", ns, "")
	a.Payload = &migration.Payload{Export: migration.Hook{Command: []string{"printf", "rows of a platform's database"}}}
	e := newExporter(t, c, a)
	_, result, r := e.run(t)
	var got strings.Builder
	found, err := r.Payload(t.Context(), "shop", &got)
	if err != nil || !found || got.String() != "rows of a platform's database" || result.Verified.Payloads != 1 {
		t.Errorf("the payload is %q (%v, %v), the report %+v", got.String(), found, err, result.Verified)
	}
	a.Payload.Export.Command = []string{"false"}
	p, err := export.Plan(t.Context(), e.opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := export.Apply(t.Context(), p, &plan.MemoryRecorder{}, e.opts); err == nil {
		t.Error("a payload whose hook failed passed")
	}
}

// oldGreen serves autoscaling/v1 and nothing newer.
func oldGreen(t *testing.T) *kube.Client {
	t.Helper()
	answers := map[string]string{
		"/api":                 `{"kind":"APIVersions","versions":["v1"]}`,
		"/apis":                `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"autoscaling","versions":[{"groupVersion":"autoscaling/v1","version":"v1"}],"preferredVersion":{"groupVersion":"autoscaling/v1","version":"v1"}}]}`,
		"/api/v1":              `{"kind":"APIResourceList","groupVersion":"v1","resources":[]}`,
		"/apis/autoscaling/v1": `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"autoscaling/v1","resources":[{"name":"horizontalpodautoscalers","namespaced":true,"kind":"HorizontalPodAutoscaler","verbs":["list","create"]}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write([]byte(body)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	c, err := kube.ForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestK16_ObjectsAreReadInAVersionThatBothSidesServe(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: up}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}`)
	e := newExporter(t, c, app("shop", ns, ""))
	_, _, r := e.run(t)
	if got := entry(t, r, "HorizontalPodAutoscaler", "up").Version; got != "v2" {
		t.Errorf("without green it is read in %s, want the preferred v2", got)
	}
	e.opts.Green = oldGreen(t)
	_, _, r = e.run(t)
	if got := object(t, r, "HorizontalPodAutoscaler", "up").GetAPIVersion(); got != "autoscaling/v1" {
		t.Errorf("it is read in %s, which green does not serve", got)
	}
}

func TestK13_AttemptsToIssueCertificatesAreSkippedAndTheirSecretsKept(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	definition := func(group, plural, kind string) string {
		return `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ` + plural + `.` + group + `}
spec:
  group: ` + group + `
  scope: Namespaced
  names: {plural: ` + plural + `, singular: ` + strings.ToLower(kind) + `, kind: ` + kind + `}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]`
	}
	ensureShared(t, c, definition("cert-manager.io", "certificates", "Certificate")+"\n---"+
		definition("cert-manager.io", "certificaterequests", "CertificateRequest")+"\n---"+definition("acme.cert-manager.io", "orders", "Order"))
	for _, k := range [][2]string{{"cert-manager.io", "Certificate"}, {"cert-manager.io", "CertificateRequest"}, {"acme.cert-manager.io", "Order"}} {
		eventually(t, k[1]+" is served", func() bool {
			_, err := c.ResourceFor(t.Context(), k[0], k[1])
			return err == nil
		})
	}
	kubetest.Apply(t, c, ns, `
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: web}
---
apiVersion: cert-manager.io/v1
kind: CertificateRequest
metadata: {name: web-1}
---
apiVersion: acme.cert-manager.io/v1
kind: Order
metadata: {name: web-1-2}
---
apiVersion: v1
kind: Secret
metadata: {name: web-tls}
type: kubernetes.io/tls
stringData: {tls.crt: "", tls.key: ""}`)
	_, _, r := newExporter(t, c, app("shop", ns, "")).run(t)
	has(t, r, true, "Certificate/web", "Secret/web-tls", "CustomResourceDefinition/certificates.cert-manager.io")
	has(t, r, false, "CertificateRequest/web-1", "Order/web-1-2")
}
