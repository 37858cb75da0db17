package cutover_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/nodeflows"
)

// api plays the parts of an API server, and of the kubelet behind it, that evidence asks: a real one without nodes runs
// no pod and has no log.
type api struct {
	mu      sync.Mutex
	pods    map[string]*corev1.Pod
	counts  map[string]string // a pod's answer to the request for its counter
	log     string
	logs    map[string][]string // of a pod, where it has its own: each line with its time
	phase   corev1.PodPhase
	deleted []string
	made    []corev1.Pod
	// services of all namespaces, which it may not let one list
	services   []corev1.Service
	noServices bool
	noNodes    bool
	broken     bool   // pods answer 503
	lb         string // the name of the load balancer of the Service web
	client     *kube.Client
	// more nodes than the first; waiting counts requests that have come and have no answer yet, and most is its highest
	more          int
	waiting, most atomic.Int32
}

func startAPI(t *testing.T) (*api, *kube.Client) {
	t.Helper()
	a := &api{pods: map[string]*corev1.Pod{}, counts: map[string]string{}, phase: corev1.PodSucceeded}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	client, err := kube.ForConfig(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	a.client = client
	return a, client
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := a.waiting.Add(1)
	defer a.waiting.Add(-1)
	a.mu.Lock()
	a.most.Store(max(a.most.Load(), now))
	defer a.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/api/v1/nodes" && a.noNodes:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: typ("Status"), Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden})
	case r.URL.Path == "/api/v1/namespaces/demo/services/web":
		svc := corev1.Service{TypeMeta: typ("Service"), ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web"}, Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, ClusterIPs: []string{"10.96.0.7"}, Ports: []corev1.ServicePort{{Port: 80, NodePort: 30080}},
		}}
		if a.lb != "" {
			svc.Spec.Type, svc.Status.LoadBalancer.Ingress = corev1.ServiceTypeLoadBalancer, []corev1.LoadBalancerIngress{{Hostname: a.lb}}
		}
		reply(w, svc)
	case r.URL.Path == "/api/v1/nodes":
		list := corev1.NodeList{TypeMeta: typ("NodeList")}
		for i := range 1 + a.more {
			list.Items = append(list.Items, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i+1)}})
		}
		reply(w, list)
	case r.URL.Path == "/api/v1/services" && a.noServices:
		http.Error(w, "no", http.StatusForbidden)
	case r.URL.Path == "/api/v1/services":
		reply(w, corev1.ServiceList{TypeMeta: typ("ServiceList"), Items: a.services})
	case strings.Contains(r.URL.Path, "/proxy/"):
		name, _, _ := strings.Cut(parts[5], ":")
		if a.broken {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(a.counts[name]))
	case strings.HasSuffix(r.URL.Path, "/log") && a.logs != nil:
		_, _ = w.Write([]byte(logSince(a.logs[parts[5]], r.URL.Query())))
	case strings.HasSuffix(r.URL.Path, "/log"):
		_, _ = w.Write([]byte(a.log))
	case len(parts) == 5 && r.Method == http.MethodGet:
		a.list(w, r)
	case len(parts) == 5 && r.Method == http.MethodPost:
		var pod corev1.Pod
		if err := json.NewDecoder(r.Body).Decode(&pod); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		pod.Name = fmt.Sprint(pod.GenerateName, len(a.made)+1)
		pod.Status.Phase = a.phase
		a.pods[pod.Name] = &pod
		a.made = append(a.made, pod)
		reply(w, pod)
	case r.Method == http.MethodDelete:
		delete(a.pods, parts[5])
		a.deleted = append(a.deleted, parts[5])
		reply(w, metav1.Status{TypeMeta: typ("Status"), Status: metav1.StatusSuccess})
	case a.pods[parts[5]] != nil:
		reply(w, a.pods[parts[5]])
	default:
		http.NotFound(w, r)
	}
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	selector, err := metav1.ParseToLabelSelector(r.URL.Query().Get("labelSelector"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	chosen, err := metav1.LabelSelectorAsMap(selector)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	list := corev1.PodList{TypeMeta: typ("PodList")}
	for _, pod := range a.pods {
		match := true
		for k, v := range chosen {
			match = match && pod.Labels[k] == v
		}
		if match {
			list.Items = append(list.Items, *pod)
		}
	}
	reply(w, list)
}

func typ(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: kind} }

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (a *api) pod(name, uid, count string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pods[name] = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo", UID: types.UID(uid), Labels: map[string]string{"app": "shop"}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	a.counts[name] = count
}

func (a *api) drop(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pods, name)
}

func TestC24_RequestsAreCountedPodByPod(t *testing.T) {
	a, client := startAPI(t)
	c := clock.NewFake(time.Unix(1e9, 0))
	evidence := cutover.RequestEvidence{Kube: client, Clock: c, App: migration.Application{
		Name: "shop", Namespace: "demo", Selector: "app=shop",
		Requests: &migration.Counter{Pods: migration.PodEndpoint{Port: 8080, Path: "/requests"}, Field: "requests"},
	}}
	var last cutover.Observation
	for _, step := range []struct {
		name  string
		setup func()
		want  cutover.Use
		reach bool // the look reaches back to the last one
	}{
		{"the first look", func() { a.pod("one", "u1", `{"requests":100}`) }, cutover.Quiet, false},
		{"nothing new", func() {}, cutover.Quiet, true},
		{"one more", func() { a.pod("one", "u1", `{"requests":101}`) }, cutover.Used, true},
		{"a new pod without requests", func() { a.pod("two", "u2", `{"requests":0}`) }, cutover.Quiet, true},
		{"the other one counts", func() { a.pod("two", "u2", `{"requests":4}`) }, cutover.Used, true},
		{"a restarted counter", func() { a.pod("one", "u1", `{"requests":0}`) }, cutover.Quiet, false},
		{"a restarted counter that counted since", func() { a.pod("two", "u2", `{"requests":3}`) }, cutover.Used, false},
		{"a pod made again under its name", func() { a.pod("one", "u3", `{"requests":0}`) }, cutover.Quiet, false},
		{"a pod made again that counted", func() { a.pod("one", "u4", `{"requests":2}`) }, cutover.Used, false},
		{"a pod less", func() { a.drop("two") }, cutover.Quiet, false},
	} {
		step.setup()
		if err := c.Sleep(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		obs, err := evidence.Collect(t.Context(), last)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if obs.Use != step.want {
			t.Errorf("%s: %s, want %s: %s", step.name, obs.Use, step.want, obs.Text)
		}
		if reach := !last.At.IsZero() && obs.From.Equal(last.At); reach != step.reach {
			t.Errorf("%s: reaches back to %s, last look at %s; want %t", step.name, obs.From, last.At, step.reach)
		}
		last = obs
	}
}

// TestC24_APodThatBeganAgainIsALoss: a request that ends the process which counts it leaves 0 after 0. The time begins again with it.
func TestC24_APodThatBeganAgainIsALoss(t *testing.T) {
	a, client := startAPI(t)
	evidence := cutover.RequestEvidence{Kube: client, Clock: clock.NewFake(time.Unix(1e9, 0)), App: migration.Application{
		Name: "shop", Namespace: "demo", Selector: "app=shop",
		Requests: &migration.Counter{Pods: migration.PodEndpoint{Port: 8080, Path: "/requests"}, Field: "requests"},
	}}
	running := func(restarts int32, id string) {
		a.pod("one", "u1", `{"requests":0}`)
		a.pods["one"].Status.ContainerStatuses = []corev1.ContainerStatus{
			{Name: "proxy", ContainerID: "containerd://p"}, {Name: "web", RestartCount: restarts, ContainerID: "containerd://" + id},
		}
	}
	running(0, "a")
	last, err := evidence.Collect(t.Context(), cutover.Observation{})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name  string
		setup func()
		lost  bool
	}{
		{"the same", func() {}, false},
		{"the same, told in another order", func() { slices.Reverse(a.pods["one"].Status.ContainerStatuses) }, false},
		{"a restart", func() { running(1, "b") }, true},
		{"and quiet since", func() {}, false},
		{"a container that is another, its restarts forgotten", func() { running(1, "c") }, true},
	} {
		step.setup()
		obs, err := evidence.Collect(t.Context(), last)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if lost := contains(obs.Lost, "pod one began again"); lost != step.lost || obs.Use != cutover.Quiet || step.lost && obs.From.Before(obs.At) {
			t.Errorf("%s: %s, lost: %q", step.name, obs.Use, obs.Lost)
		}
		last = obs
	}
}

// A pod that the migration itself puts into an application's namespace is none of its pods.
func TestC24_PodsOfTheMigrationAreNotCounted(t *testing.T) {
	a, client := startAPI(t)
	a.pod("one", "u1", `{"requests":100}`)
	a.pod("ours", "u2", `{"requests":7}`)
	a.pods["ours"].Labels[kube.LabelComponent] = "front"
	evidence := cutover.RequestEvidence{Kube: client, App: migration.Application{
		Name: "shop", Namespace: "demo", Selector: "app=shop", Requests: &migration.Counter{Pods: migration.PodEndpoint{Port: 8080, Path: "/requests"}, Field: "requests"},
	}}
	last, err := evidence.Collect(t.Context(), cutover.Observation{})
	if err != nil {
		t.Fatal(err)
	}
	// A counter may be of other pods than the application's.
	a.pod("proxy", "u3", `{"requests":1}`)
	a.pods["proxy"].Labels["app"] = "proxy"
	of := evidence
	of.App.Requests = &migration.Counter{Pods: migration.PodEndpoint{Selector: "app=proxy", Port: 8080, Path: "/requests"}, Field: "requests"}
	if obs, err := of.Collect(t.Context(), cutover.Observation{}); err != nil || !contains(obs.Text, "1 pods count 1 requests") {
		t.Errorf("of other pods: %+v, %v", obs, err)
	}
	a.drop("ours")
	if obs, err := evidence.Collect(t.Context(), last); err != nil || obs.Lost != "" || !contains(obs.Text, "1 pods count 100 requests") {
		t.Errorf("%+v, %v", obs, err)
	}
}

func TestI08_CounterThatSaysNothingIsNoEvidence(t *testing.T) {
	for name, setup := range map[string]func(*api){
		"no pods":           func(*api) {},
		"no health":         func(a *api) { a.pod("one", "u1", `{"requests":1}`); a.broken = true },
		"no JSON":           func(a *api) { a.pod("one", "u1", "hello") },
		"no field":          func(a *api) { a.pod("one", "u1", `{"served":1}`) },
		"less than nothing": func(a *api) { a.pod("one", "u1", `{"requests":-1}`) },
		"null":              func(a *api) { a.pod("one", "u1", `{"requests":null}`) },
		"a text":            func(a *api) { a.pod("one", "u1", `{"requests":"many"}`) },
		"not running":       func(a *api) { a.pod("one", "u1", `{"requests":1}`); a.pods["one"].Status.Phase = corev1.PodPending },
	} {
		t.Run(name, func(t *testing.T) {
			a, client := startAPI(t)
			setup(a)
			evidence := cutover.RequestEvidence{Kube: client, App: migration.Application{
				Name: "shop", Namespace: "demo", Selector: "app=shop",
				Requests: &migration.Counter{Pods: migration.PodEndpoint{Port: 8080, Path: "/requests"}, Field: "requests"},
			}}
			if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err == nil {
				t.Errorf("observation = %+v, want an error", obs)
			}
		})
	}
}

func podFlows(client *kube.Client) cutover.PodFlows {
	return cutover.PodFlows{Kube: client, Migration: "move", Image: "rig.test/crossfade:1", For: 4 * time.Second, Clock: clock.NewFake(time.Unix(1e9, 0))}
}

func TestPodFlowsReadsTheLogAndLeavesNothing(t *testing.T) {
	a, client := startAPI(t)
	a.log = `{"protocol":"tcp","source":"198.51.100.1","sourcePort":1,"destination":"192.0.2.1","destinationPort":80,"backend":"10.0.0.1","state":"ESTABLISHED"}` + "\n" +
		`{"format":1,"looks":4,"count":1}` + "\n"
	left := func(name string, labels map[string]string) {
		a.pods[name] = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	left("left", map[string]string{"crossfade.dev/migration": "move", "crossfade.dev/component": "node-flows"})
	left("other", map[string]string{"crossfade.dev/migration": "other", "crossfade.dev/component": "node-flows"})
	left("stranger", nil)
	reports, err := podFlows(client).Flows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(reports) != 1 || reports[0].Node != "n1" || len(reports[0].Flows) != 1 {
		t.Errorf("reports = %+v", reports)
	}
	if len(a.pods) != 2 || a.pods["other"] == nil || a.pods["stranger"] == nil {
		t.Errorf("pods left: %v", a.deleted)
	}
	made := a.made[0]
	if made.Spec.NodeName != "n1" || !made.Spec.HostNetwork || made.Spec.ActiveDeadlineSeconds == nil || made.Labels["crossfade.dev/migration"] != "move" {
		t.Errorf("pod = %+v", made)
	}
	if got := fmt.Sprint(made.Spec.Containers[0].Args); got != "[node-flows --for 4s --every 1s]" {
		t.Errorf("arguments = %s", got)
	}
}

// Every node of a large cluster has its pod, and its API server no more requests at once than it has for a small one.
func TestC24_ManyNodesAreNotManyRequestsAtOnce(t *testing.T) {
	a, client := startAPI(t)
	a.more, a.log = 199, `{"format":1,"looks":4,"count":0}`+"\n"
	flows := podFlows(client)
	flows.Clock = clock.System{}
	flows.For = time.Millisecond
	reports, err := flows.Flows(t.Context())
	if err != nil || len(reports) != 200 || len(a.pods) > 0 {
		t.Errorf("%d reports, %v; %d pods are left", len(reports), err, len(a.pods))
	}
	if most := a.most.Load(); most > 16 {
		t.Errorf("%d requests at once", most)
	}
}

func TestI08_PodThatSaysNothingIsNoEvidence(t *testing.T) {
	for name, setup := range map[string]func(*api){
		"it fails":       func(a *api) { a.phase = corev1.PodFailed },
		"it never ends":  func(a *api) { a.phase = corev1.PodPending },
		"its log is cut": func(a *api) { a.log = `{"format":1,"looks":4,"count":1}` },
	} {
		t.Run(name, func(t *testing.T) {
			a, client := startAPI(t)
			setup(a)
			if reports, err := podFlows(client).Flows(t.Context()); err == nil {
				t.Errorf("reports = %+v, want an error", reports)
			} else if a.log != "" && !errors.Is(err, nodeflows.ErrIncomplete) {
				t.Errorf("err = %v, want ErrIncomplete", err)
			}
			if len(a.pods) > 0 {
				t.Errorf("pods are left: %v", a.pods)
			}
		})
	}
}
