package backend_test

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
)

func TestMain(m *testing.M) {
	os.Exit(kubetest.Main(m, cluster.LightOptions{Name: "backend"}))
}

const ingress = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, annotations: {note: kept}}
spec:
  ingressClassName: nginx
  tls: [{hosts: [shop.example.com], secretName: cert}]
  rules:
    - host: other.example.com
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: other, port: {number: 80}}}}]}
    - host: shop.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
          - {path: /api, pathType: Exact, backend: {service: {name: api, port: {name: http}}}}`

const route = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge, namespace: infra}]
  hostnames: [shop.example.com]
  rules:
    - matches: [{path: {type: PathPrefix, value: /api}}]
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: b}]}}]
      backendRefs: [{name: api, port: 8080}]
    - backendRefs: [{name: web, port: 80, weight: 7}]
    - matches: [{path: {type: Exact, value: /old}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example.com}}]`

const (
	host  = "Shop.Example.com."
	token = "crossfade/move/1"
)

// put makes an object and claims its host.
func put(t *testing.T, c *kube.Client, document string) (*backend.State, *unstructured.Unstructured) {
	t.Helper()
	ns := kubetest.Namespace(t, c)
	obj := kubetest.Apply(t, c, ns, document)[0]
	ref := backend.Ref{Kind: obj.GetKind(), Namespace: ns, Name: obj.GetName()}
	if err := backend.Claim(t.Context(), c, ref, string(obj.GetUID()), host, token, ""); err != nil {
		t.Fatal(err)
	}
	s, err := backend.Read(t.Context(), c, ref, host)
	if err != nil {
		t.Fatal(err)
	}
	if s.Fence != token {
		t.Fatalf("the fence is %q", s.Fence)
	}
	return s, obj
}

// toGreen sends every target of an Ingress to a Service of ours, and of a route to green's namespace.
func toGreen(t *testing.T, s *backend.State) backend.Change {
	t.Helper()
	next, err := backend.Replace(s.Kind, s.Rules, func(to backend.Target) ([]backend.Target, error) {
		if s.Kind == backend.Ingress {
			to.Service = "green-" + to.Service
		} else {
			to.Namespace = "green"
		}
		return []backend.Target{to}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return backend.Change{Ref: s.Ref, Host: s.Host, UID: s.UID, Old: s.Rules, New: next, Fence: token}
}

func read(t *testing.T, c *kube.Client, ref backend.Ref) *unstructured.Unstructured {
	t.Helper()
	s, err := backend.Read(t.Context(), c, ref, host)
	if err != nil {
		t.Fatal(err)
	}
	return s.Object
}

func spec(t *testing.T, obj *unstructured.Unstructured) string {
	t.Helper()
	raw, err := json.Marshal(obj.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// There and back leaves every spec byte for byte as it was, and no mark behind.
func TestI06_ABackendThereAndBack(t *testing.T) {
	c := kubetest.Connect(t)
	kubetest.Gateway(t, c)
	for _, tc := range []struct{ document, there string }{
		{ingress, "/ → green-web:80, /api → green-api:http"},
		{route, "/api → green/api:8080 (weight 1), / → green/web:80 (weight 7)"},
	} {
		s, was := put(t, c, tc.document)
		change := toGreen(t, s)
		if got := backend.Describe(change.New); got != tc.there {
			t.Errorf("%s: it is to lead to %s, want %s", s.Ref, got, tc.there)
		}
		for try, already := range []bool{false, true} { // a second time is what a killed run does
			result, err := change.Make(t.Context(), c)
			if err != nil || result.Already != already || result.Generation == s.Generation {
				t.Fatalf("%s: try %d: %+v, %v", s.Ref, try, result, err)
			}
		}
		there := read(t, c, s.Ref)
		if rules, _, _ := unstructured.NestedSlice(there.Object, "spec", "rules"); s.Kind == backend.Ingress && !strings.Contains(backend.Describe(marshal(t, rules)), "other:80") {
			t.Errorf("another host's rule was changed: %s", spec(t, there))
		}
		if _, err := change.Reverse().Make(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := backend.Release(t.Context(), c, s.Ref, s.UID, host, token); err != nil {
			t.Fatal(err)
		}
		back := read(t, c, s.Ref)
		if spec(t, back) != spec(t, was) {
			t.Errorf("%s: spec\n%s\nwas\n%s", s.Ref, spec(t, back), spec(t, was))
		}
		if !reflect.DeepEqual(back.GetAnnotations(), was.GetAnnotations()) {
			t.Errorf("%s: annotations %v, were %v", s.Ref, back.GetAnnotations(), was.GetAnnotations())
		}
	}
}

func marshal(t *testing.T, v any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What somebody else has changed in these rules is not overwritten, in either direction; what he changes elsewhere stays.
func TestI03_AnothersRulesAreKept(t *testing.T) {
	c := kubetest.Connect(t)
	s, _ := put(t, c, ingress)
	change := toGreen(t, s)
	ingresses := c.Typed.NetworkingV1().Ingresses(s.Namespace)
	patch := func(path, value string) {
		t.Helper()
		if _, err := ingresses.Patch(t.Context(), s.Name, types.JSONPatchType, []byte(`[{"op":"replace","path":"`+path+`","value":`+value+`}]`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	patch("/spec/rules/0/http/paths/0/backend/service/name", `"elsewhere"`)
	if _, err := change.Make(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	patch("/spec/rules/1/http/paths/1/backend/service/name", `"third"`)
	before := spec(t, read(t, c, s.Ref))
	var moved *backend.MovedError
	for _, ch := range []backend.Change{change, change.Reverse()} {
		if _, err := ch.Make(t.Context(), c); !errors.As(err, &moved) || !strings.Contains(moved.Now, "/api → third:http") {
			t.Errorf("err = %v", err)
		}
	}
	if after := spec(t, read(t, c, s.Ref)); after != before {
		t.Errorf("it was overwritten:\n%s\n%s", before, after)
	}
	patch("/spec/rules/1/http/paths/1/backend/service/name", `"green-api"`)
	if _, err := change.Reverse().Make(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	rules, _, _ := unstructured.NestedSlice(read(t, c, s.Ref).Object, "spec", "rules")
	if got := backend.Describe(marshal(t, rules)); got != "/ → elsewhere:80, / → web:80, /api → api:http" {
		t.Errorf("afterwards %s", got)
	}
}

// Who lost the fence changes nothing, whatever he believes.
func TestAStaleWriterIsRefused(t *testing.T) {
	c := kubetest.Connect(t)
	s, _ := put(t, c, ingress)
	change := toGreen(t, s)
	var fenced *backend.FencedError
	if err := backend.Claim(t.Context(), c, s.Ref, s.UID, host, "crossfade/move/9", ""); !errors.As(err, &fenced) || fenced.Found != token {
		t.Errorf("a claim over another's: %v", err)
	}
	if err := backend.Claim(t.Context(), c, s.Ref, s.UID, host, "crossfade/move/2", token); err != nil {
		t.Fatal(err)
	}
	before := spec(t, read(t, c, s.Ref))
	if _, err := change.Make(t.Context(), c); !errors.As(err, &fenced) || fenced.Found != "crossfade/move/2" {
		t.Errorf("err = %v", err)
	}
	if err := backend.Release(t.Context(), c, s.Ref, s.UID, host, token); !errors.As(err, &fenced) {
		t.Errorf("a release: %v", err)
	}
	if after := spec(t, read(t, c, s.Ref)); after != before {
		t.Errorf("it changed: %s", after)
	}
}

// Controllers write the status all the while, and several hosts of one Ingress are changed at once: no update is lost.
func TestRacingWriters(t *testing.T) {
	c := kubetest.Connect(t)
	s, _ := put(t, c, ingress)
	const second = "other.example.com"
	if err := backend.Claim(t.Context(), c, s.Ref, s.UID, second, token, ""); err != nil {
		t.Fatal(err)
	}
	other, err := backend.Read(t.Context(), c, s.Ref, second)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for _, one := range []*backend.State{s, other} {
		change := toGreen(t, one)
		group.Go(func() {
			for range 10 {
				if _, err := change.Make(t.Context(), c); err != nil {
					t.Error(err)
				}
				change = change.Reverse()
			}
			if _, err := change.Make(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	rules, _, _ := unstructured.NestedSlice(read(t, c, s.Ref).Object, "spec", "rules")
	if got := backend.Describe(marshal(t, rules)); got != "/ → green-other:80, / → green-web:80, /api → green-api:http" {
		t.Errorf("afterwards %s", got)
	}
}

func TestASplitByWeight(t *testing.T) {
	c := kubetest.Connect(t)
	kubetest.Gateway(t, c)
	s, _ := put(t, c, route)
	blue, green := int64(70), int64(30)
	next, err := backend.Replace(s.Kind, s.Rules, func(to backend.Target) ([]backend.Target, error) {
		to.Weight = &blue
		other := to
		other.Namespace, other.Weight = "green", &green
		return []backend.Target{to, other}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	change := backend.Change{Ref: s.Ref, Host: s.Host, UID: s.UID, Old: s.Rules, New: next, Fence: token}
	for range 2 {
		if _, err := change.Make(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if got := backend.Describe(marshal(t, read(t, c, s.Ref).Object["spec"].(map[string]any)["rules"])); got != "/api → api:8080 (weight 70) + green/api:8080 (weight 30), / → web:80 (weight 70) + green/web:80 (weight 30)" {
		t.Errorf("it leads to %s", got)
	}
	targets, err := backend.Targets(s.Kind, s.Rules)
	if err != nil || len(targets) != 2 {
		t.Errorf("targets %v, %v", targets, err)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, ingress)
	for _, ref := range []backend.Ref{{Kind: backend.Ingress, Namespace: ns, Name: "none"}, {Kind: "TLSRoute", Namespace: ns, Name: "web"}} {
		if _, err := backend.Read(t.Context(), c, ref, host); !errors.Is(err, backend.ErrNotExist) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, err := backend.Read(t.Context(), c, backend.Ref{Kind: backend.Ingress, Namespace: ns, Name: "web"}, "third.example.com"); !errors.Is(err, backend.ErrNotExist) || !strings.Contains(err.Error(), "third.example.com") {
		t.Errorf("a host without a rule: %v", err)
	}
}

// Objects of our own are made once, mended, and taken away only while they are as we made them.
func TestI03_ObjectsOfOurOwn(t *testing.T) {
	c := kubetest.Connect(t)
	kubetest.Gateway(t, c)
	ns := kubetest.Namespace(t, c)
	service := func(target string) *unstructured.Unstructured {
		return backend.ExternalName("move", ns, "crossfade-web", target, []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}})
	}
	grant := backend.Grant("move", ns, "crossfade-move", "blue", []string{"web", "api"})
	for _, obj := range []*unstructured.Unstructured{service("web.green.svc.cluster.local"), grant} {
		first, err := backend.Put(t.Context(), c, obj)
		if err != nil {
			t.Fatal(err)
		}
		if made, err := backend.Create(t.Context(), c, obj); err != nil || made {
			t.Errorf("what is as it should be: made %v, %v", made, err)
		}
		if again, err := backend.Put(t.Context(), c, obj); err != nil || again != first {
			t.Errorf("made again: %s, %v; was %s", again, err, first)
		}
	}
	if _, err := backend.Put(t.Context(), c, service("web.elsewhere.svc.cluster.local")); err != nil {
		t.Fatal(err)
	}
	services := c.Typed.CoreV1().Services(ns)
	if svc, err := services.Get(t.Context(), "crossfade-web", metav1.GetOptions{}); err != nil || svc.Spec.ExternalName != "web.elsewhere.svc.cluster.local" || len(svc.Spec.Ports) != 2 || svc.Spec.Ports[0].Name != "http" {
		t.Errorf("mended: %+v, %v", svc.Spec, err)
	}
	if _, err := backend.Create(t.Context(), c, service("web.green.svc.cluster.local")); !errors.Is(err, backend.ErrChanged) {
		t.Errorf("made over a changed one: %v", err)
	}
	if err := backend.Drop(t.Context(), c, service("web.green.svc.cluster.local")); !errors.Is(err, backend.ErrChanged) {
		t.Errorf("drop of a changed one: %v", err)
	}
	for _, obj := range []*unstructured.Unstructured{service("web.elsewhere.svc.cluster.local"), grant} {
		for range 2 {
			if err := backend.Drop(t.Context(), c, obj); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := services.Get(t.Context(), "crossfade-web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("it is still there: %v", err)
	}
	foreign := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "crossfade-web"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "web.green.svc.cluster.local"}}
	if _, err := services.Create(t.Context(), foreign, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := backend.Put(t.Context(), c, service("web.green.svc.cluster.local")); !errors.Is(err, backend.ErrForeign) {
		t.Errorf("over a foreign one: %v", err)
	}
	if _, err := backend.Create(t.Context(), c, service("web.green.svc.cluster.local")); !errors.Is(err, backend.ErrForeign) {
		t.Errorf("created over a foreign one: %v", err)
	}
	if err := backend.Drop(t.Context(), c, service("web.green.svc.cluster.local")); err != nil {
		t.Error(err)
	}
	if _, err := services.Get(t.Context(), "crossfade-web", metav1.GetOptions{}); err != nil {
		t.Errorf("a foreign one was taken away: %v", err)
	}
}

func TestBackendsThatAreNoServices(t *testing.T) {
	for kind, rules := range map[string]string{
		backend.Ingress:   `[{"host":"a","http":{"paths":[{"path":"/","backend":{"resource":{"kind":"Bucket","name":"x"}}}]}}]`,
		backend.HTTPRoute: `[{"backendRefs":[{"group":"example.com","kind":"Bucket","name":"x"}]}]`,
	} {
		if _, err := backend.Targets(kind, json.RawMessage(rules)); err == nil {
			t.Errorf("%s: a backend that is no Service is taken for one", kind)
		}
	}
	if _, err := backend.Replace(backend.Ingress, json.RawMessage(`[{"http":{"paths":[{"backend":{"service":{"name":"x","port":{"number":1}}}}]}}]`), func(to backend.Target) ([]backend.Target, error) {
		return []backend.Target{to, to}, nil
	}); err == nil {
		t.Error("an Ingress cannot split")
	}
}
