package kube_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
)

// between returns a client of the same server behind a handler that may answer in its stead: it does so by returning true.
func between(t *testing.T, c *kube.Client, instead func(w http.ResponseWriter, r *http.Request) bool) *kube.Client {
	t.Helper()
	target, err := url.Parse(c.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	if proxy.Transport, err = rest.TransportFor(c.Config); err != nil {
		t.Fatal(err)
	}
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !instead(w, r) {
			proxy.ServeHTTP(w, r)
		}
	})
}

func serve(t *testing.T, handler http.HandlerFunc) *kube.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := kube.ForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func say(t *testing.T, w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write([]byte(body)); err != nil {
		t.Error(err)
	}
}

func fill(t *testing.T, c *kube.Client, ns string, count int) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	for i := range count {
		group.Go(func() error {
			_, err := c.Typed.CoreV1().ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("c-%04d", i)}}, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

const gone = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"The provided continue parameter is too old"}`

func TestK17_ExpiredTokenRestartsTheListWithoutHolesOrDoubles(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	const count = 1100
	fill(t, c, ns, count)
	var expired atomic.Int32
	flaky := between(t, c, func(w http.ResponseWriter, r *http.Request) bool {
		// The second page expires once, and after the restart the third does.
		if r.URL.Query().Get("continue") == "" || expired.Load() == 2 {
			return false
		}
		if expired.Add(1) == 2 {
			_, err := c.Typed.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c-0000-new"}}, metav1.CreateOptions{})
			if err != nil {
				t.Error(err)
			}
		}
		say(t, w, http.StatusGone, gone)
		return true
	})
	maps, err := flaky.ResourceFor(t.Context(), "", "ConfigMap")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for obj, err := range flaky.List(t.Context(), maps, ns, "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, obj.GetName())
	}
	if expired.Load() != 2 {
		t.Fatalf("the token expired %d times, want 2", expired.Load())
	}
	slices.Sort(got)
	if whole := len(slices.Compact(slices.Clone(got))); len(got) != count+1 || whole != count+1 {
		t.Errorf("%d objects were yielded, %d of them different, want %d", len(got), whole, count+1)
	}
}

func TestK17_AListThatExpiresForeverEndsWithAnError(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	fill(t, c, ns, 501)
	flaky := between(t, c, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("continue") == "" {
			return false
		}
		say(t, w, http.StatusGone, gone)
		return true
	})
	maps, err := flaky.ResourceFor(t.Context(), "", "ConfigMap")
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range flaky.List(t.Context(), maps, ns, "") {
		last = err
	}
	if !errors.Is(last, kube.ErrListExpired) {
		t.Errorf("the list ended with %v: an incomplete one must not look complete", last)
	}
}

func TestK17_ADeadAPIServiceIsReportedBesideWhatLives(t *testing.T) {
	c := kubetest.Connect(t)
	made := kubetest.Apply(t, c, "", `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.dead.example.org}
spec: {group: dead.example.org, version: v1, groupPriorityMinimum: 10, versionPriority: 10, insecureSkipTLSVerify: true, service: {name: gone, namespace: default}}`)
	t.Cleanup(func() {
		services, err := c.ResourceFor(t.Context(), "apiregistration.k8s.io", "APIService")
		if err != nil {
			return // the test's context has ended, and the cluster ends with the tests
		}
		_ = c.At(services, "").Delete(t.Context(), made[0].GetName(), metav1.DeleteOptions{}) // as above
	})
	var dead []kube.DeadGroup
	var resources []kube.Resource
	for range 1000 { // discovery learns of it in its own time
		var err error
		if resources, dead, err = c.Resources(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(dead) > 0 {
			break
		}
	}
	if len(dead) != 1 || dead[0].GroupVersion != "dead.example.org/v1" || dead[0].Why == "" {
		t.Errorf("the dead APIs are %+v", dead)
	}
	if !slices.ContainsFunc(resources, func(r kube.Resource) bool { return r.String() == "deployments.apps" }) {
		t.Error("what lives is not returned")
	}
}

func TestK23_RequestsAreNotHeldBackOnOurSide(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		say(t, w, http.StatusOK, `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"}}`)
	})
	const requests = 400
	began := time.Now()
	for range requests {
		if _, err := c.Typed.CoreV1().ConfigMaps("n").Get(t.Context(), "c", metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	// client-go's default of 5 a second after 10 would take 78 s; 20 a second would take 19 s.
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("%d requests took %s", requests, took)
	}
}

func TestK23_RetryAfterIsHonoured(t *testing.T) {
	var calls atomic.Int32
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			say(t, w, http.StatusTooManyRequests, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests","code":429}`)
			return
		}
		say(t, w, http.StatusOK, `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"}}`)
	})
	began := time.Now()
	if _, err := c.Typed.CoreV1().ConfigMaps("n").Get(t.Context(), "c", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < time.Second || calls.Load() != 2 {
		t.Errorf("%d requests in %s: it did not wait the second that the server asked for", calls.Load(), took)
	}
}

func TestIdentityTellsTheCluster(t *testing.T) {
	c := kubetest.Connect(t)
	id, err := c.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if id.UID == "" || !strings.HasPrefix(id.Version, "v1.") || id.Server != c.Config.Host {
		t.Errorf("the identity is %+v", id)
	}
}

func TestAllowedKnowsVerbsNamespacesAndSubresources(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.Apply(t, c, ns, `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r}
rules: [{apiGroups: [""], resources: [pods/proxy, configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: r}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}
subjects: [{kind: User, name: reader}]`)
	reader := kubetest.As(t, c, "reader")
	for _, one := range []struct {
		verb, resource, namespace string
		want                      bool
	}{
		{"get", "configmaps", ns, true}, {"list", "configmaps", ns, false}, {"get", "configmaps", "", false},
		{"get", "pods/proxy", ns, true}, {"get", "pods", ns, false},
	} {
		r := kube.Resource{}
		r.Version, r.Resource = "v1", one.resource
		if got, _, err := reader.Allowed(t.Context(), one.verb, r, one.namespace); err != nil || got != one.want {
			t.Errorf("%s %s in %q: allowed is %v, %v", one.verb, one.resource, one.namespace, got, err)
		}
	}
}

func TestAKindThatIsMadeLaterIsFound(t *testing.T) {
	c := kubetest.Connect(t)
	if _, err := c.ResourceFor(t.Context(), "example.org", "Gadget"); !errors.Is(err, kube.ErrNotServed) {
		t.Errorf("the error is %v", err)
	}
	kubetest.Apply(t, c, "", `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.org}
spec:
  group: example.org
  scope: Cluster
  names: {plural: gadgets, singular: gadget, kind: Gadget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]`)
	var err error
	for range 1000 { // the server establishes it in its own time
		if _, err = c.ResourceFor(t.Context(), "example.org", "Gadget"); err == nil {
			return
		}
	}
	t.Error(err)
}

func TestPodRequestTellsThePodsAnswerFromTheServersOwn(t *testing.T) {
	c := kubetest.Connect(t)
	ns := kubetest.Namespace(t, c)
	kubetest.RunningPod(t, c, ns, "p", nil)
	// The pod has no address: the real API server answers in its stead.
	_, _, _, err := c.PodRequest(t.Context(), kube.PodRequest{Namespace: ns, Pod: "p", Port: 80, Method: http.MethodPost, Path: "/write"})
	if !errors.Is(err, kube.ErrPodUnreachable) {
		t.Errorf("a pod without an address gives %v", err)
	}
	_, _, _, err = kubetest.As(t, c, "nobody").PodRequest(t.Context(), kube.PodRequest{Namespace: ns, Pod: "p", Port: 80, Method: http.MethodPost, Path: "/write"})
	if !errors.Is(err, kube.ErrPodUnreachable) || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("a user without rights gets %v", err)
	}

	var call kubetest.PodCall
	played := kubetest.WithPods(t, c, func(w http.ResponseWriter, got kubetest.PodCall) {
		call = got
		w.Header().Set("X-Who", "pod")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	status, header, _, err := played.PodRequest(t.Context(), kube.PodRequest{Namespace: ns, Pod: "p", Port: 8080, Method: http.MethodPut, Path: "/a/b?c=d", Body: []byte("x")})
	if err != nil || status != http.StatusServiceUnavailable || header.Get("X-Who") != "pod" {
		t.Errorf("the pod's own 503 gives %d %v", status, err)
	}
	if want := (kubetest.PodCall{Namespace: ns, Pod: "p", Port: "8080", Method: http.MethodPut, Path: "/a/b", Body: "x"}); call != want {
		t.Errorf("the pod was asked %+v, want %+v", call, want)
	}

	old := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		say(t, w, http.StatusServiceUnavailable, "error trying to reach service: 'dial tcp 10.0.0.1:80: connect: connection refused'")
	})
	if _, _, _, err := old.PodRequest(t.Context(), kube.PodRequest{Namespace: ns, Pod: "p", Port: 80, Method: http.MethodPost, Path: "/"}); !errors.Is(err, kube.ErrPodUnreachable) {
		t.Errorf("an older API server's text gives %v", err)
	}
}

func TestHashIgnoresOnlyWhatTheServerOwns(t *testing.T) {
	obj := func(change func(o map[string]any)) *unstructured.Unstructured {
		o := map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"a": "1"},
			"metadata": map[string]any{"name": "c", "labels": map[string]any{"l": "1"}},
		}
		change(o)
		return &unstructured.Unstructured{Object: o}
	}
	base := kube.Hash(obj(func(map[string]any) {}))
	meta := func(o map[string]any) map[string]any { return o["metadata"].(map[string]any) }
	for name, change := range map[string]func(o map[string]any){
		"uid":             func(o map[string]any) { meta(o)["uid"] = "u" },
		"resourceVersion": func(o map[string]any) { meta(o)["resourceVersion"] = "7" },
		"status":          func(o map[string]any) { o["status"] = map[string]any{"x": "y"} },
		"our marks": func(o map[string]any) {
			meta(o)["annotations"] = map[string]any{kube.AnnotationContent: "h"}
			meta(o)["labels"].(map[string]any)[kube.LabelMigration] = "m"
		},
	} {
		if kube.Hash(obj(change)) != base {
			t.Errorf("the hash changes with %s", name)
		}
	}
	for name, change := range map[string]func(o map[string]any){
		"data":    func(o map[string]any) { o["data"].(map[string]any)["a"] = "2" },
		"a label": func(o map[string]any) { meta(o)["labels"].(map[string]any)["l"] = "2" },
		"null":    func(o map[string]any) { o["immutable"] = nil },
	} {
		if kube.Hash(obj(change)) == base {
			t.Errorf("the hash does not change with %s", name)
		}
	}
}
