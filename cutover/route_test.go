package cutover_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const routeHost = "shop.example.com"

// controller is a stand-in for an ingress controller, and none: it reads the one Ingress, or the one HTTPRoute, that it is for,
// again and again, finds the Service that it leads to, and sends requests there. Services are web servers by name.
type controller struct {
	t        *testing.T
	client   *kube.Client
	kind     string
	blue     string
	services map[string]http.Handler // by namespace/name
	to       atomic.Pointer[target]
	server   *httptest.Server
	stop     chan struct{}
	done     sync.WaitGroup
}

// target is the Service that requests go to, or why they go nowhere.
type target struct {
	service string
	err     error
}

func startController(t *testing.T, client *kube.Client, kind, blue string, services map[string]http.Handler) *controller {
	t.Helper()
	c := &controller{t: t, client: client, kind: kind, blue: blue, services: services, stop: make(chan struct{})}
	c.read()
	c.server = httptest.NewServer(c)
	c.done.Go(func() {
		for {
			select {
			case <-c.stop:
				return
			case <-time.After(5 * time.Millisecond):
				c.read()
			}
		}
	})
	t.Cleanup(func() {
		close(c.stop)
		c.done.Wait()
		c.server.Close()
	})
	return c
}

func (c *controller) get(group, kind, namespace, name string) *unstructured.Unstructured {
	r, err := c.client.ResourceFor(c.t.Context(), group, kind)
	if err != nil {
		return nil
	}
	obj, err := c.client.At(r, namespace).Get(c.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return obj
}

// read takes the rules in, and says in a route's status that it has done so.
func (c *controller) read() {
	group := "networking.k8s.io"
	if c.kind == "HTTPRoute" {
		group = "gateway.networking.k8s.io"
	}
	obj := c.get(group, c.kind, c.blue, "web")
	if obj == nil {
		return
	}
	service, err := c.backend(obj)
	c.to.Store(&target{service, err})
	was := c.t.Context()
	if c.kind != "HTTPRoute" || was.Err() != nil {
		return
	}
	parents, _, _ := unstructured.NestedSlice(obj.Object, "status", "parents")
	if text := fmt.Sprint(parents); strings.Contains(text, fmt.Sprintf("observedGeneration:%d ", obj.GetGeneration())) {
		return
	}
	condition := func(typ string) any {
		return map[string]any{"type": typ, "status": "True", "reason": typ, "message": "", "observedGeneration": obj.GetGeneration(), "lastTransitionTime": "2026-11-22T12:00:00Z"}
	}
	next := obj.DeepCopy()
	_ = unstructured.SetNestedSlice(next.Object, []any{map[string]any{
		"controllerName": "example.com/stand-in", "parentRef": map[string]any{"name": "edge"},
		"conditions": []any{condition("Accepted"), condition("ResolvedRefs")},
	}}, "status", "parents")
	r, err := c.client.ResourceFor(was, group, c.kind)
	if err == nil {
		_, _ = c.client.At(r, c.blue).UpdateStatus(was, next, metav1.UpdateOptions{}) // a conflict is tried again at the next look
	}
}

func (c *controller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := c.to.Load()
	if to.err != nil {
		http.Error(w, to.err.Error(), http.StatusServiceUnavailable)
		return
	}
	c.services[to.service].ServeHTTP(w, r)
}

// backend is the Service that the rules lead to.
func (c *controller) backend(obj *unstructured.Unstructured) (string, error) {
	rules, _, _ := unstructured.NestedSlice(obj.Object, "spec", "rules")
	rule := rules[len(rules)-1].(map[string]any)
	if c.kind == "HTTPRoute" {
		ref := rule["backendRefs"].([]any)[0].(map[string]any)
		namespace, _ := ref["namespace"].(string)
		if namespace == "" {
			namespace = c.blue
		}
		if namespace != c.blue && !c.granted(namespace) {
			return "", fmt.Errorf("no grant for %s", namespace)
		}
		return c.known(namespace + "/" + ref["name"].(string))
	}
	path := rule["http"].(map[string]any)["paths"].([]any)[0].(map[string]any)
	name := path["backend"].(map[string]any)["service"].(map[string]any)["name"].(string)
	if c.services[c.blue+"/"+name] != nil {
		return c.blue + "/" + name, nil
	}
	svc := c.get("", "Service", c.blue, name)
	if svc == nil {
		return "", fmt.Errorf("no Service %s", name)
	}
	target, _, _ := unstructured.NestedString(svc.Object, "spec", "externalName")
	parts := strings.Split(target, ".")
	if len(parts) < 3 {
		return "", fmt.Errorf("Service %s leads to %q", name, target)
	}
	return c.known(parts[1] + "/" + parts[0])
}

func (c *controller) known(service string) (string, error) {
	if c.services[service] == nil {
		return "", fmt.Errorf("no Service %s", service)
	}
	return service, nil
}

func (c *controller) granted(namespace string) bool {
	r, err := c.client.ResourceFor(c.t.Context(), "gateway.networking.k8s.io", "ReferenceGrant")
	if err != nil {
		return false
	}
	list, err := c.client.At(r, namespace).List(c.t.Context(), metav1.ListOptions{})
	return err == nil && len(list.Items) > 0
}

func (c *controller) addr() netip.AddrPort {
	return netip.MustParseAddrPort(c.server.Listener.Addr().String())
}

// users ask all the while, each request on a connection of its own, and count who answers.
type users struct {
	blue, green, failed atomic.Int64
	last                atomic.Value
	stop                chan struct{}
	done                sync.WaitGroup
}

func startUsers(to netip.AddrPort) *users {
	u := &users{stop: make(chan struct{})}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	for range 3 {
		u.done.Go(func() {
			for {
				select {
				case <-u.stop:
					return
				default:
					u.ask(client, to)
				}
			}
		})
	}
	return u
}

func (u *users) ask(client *http.Client, to netip.AddrPort) {
	resp, err := client.Get("http://" + to.String() + "/")
	if err != nil {
		u.failed.Add(1)
		u.last.Store(err.Error())
		return
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		u.failed.Add(1)
		u.last.Store(fmt.Sprintf("%d %s", resp.StatusCode, body))
	case strings.Contains(string(body), "blue"):
		u.blue.Add(1)
	default:
		u.green.Add(1)
	}
}

func (u *users) end() {
	close(u.stop)
	u.done.Wait()
}

func (u *users) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for limit := time.Now().Add(2 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("no user ever saw %s; last failure %v", what, u.last.Load())
		}
	}
}

const webIngress = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: one
  rules:
    - host: other.example.com
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: other, port: {number: 80}}}}]}
    - host: shop.example.com
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}`

const webRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge}]
  hostnames: [shop.example.com]
  rules: [{backendRefs: [{name: web, port: 80}]}]`

const webObjects = `apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}`

// routeWorld is an application whose hostname is switched at its backend, on one real API server.
type routeWorld struct {
	client      *kube.Client
	blue, green string
	kind        string
	opts        cutover.Options
	rec         *plan.MemoryRecorder
	controller  *controller
	podStatus   atomic.Int64
	podHost     atomic.Value
	swapPlan    *plan.Plan
}

func newRouteWorld(t *testing.T, server *kube.Client, kind string) *routeWorld {
	t.Helper()
	w := &routeWorld{kind: kind, rec: &plan.MemoryRecorder{}, blue: kubetest.Namespace(t, server), green: kubetest.Namespace(t, server)}
	w.podStatus.Store(http.StatusOK)
	say := func(text string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "hello from "+text) }
	}
	w.client = kubetest.WithPods(t, server, func(rw http.ResponseWriter, call kubetest.PodCall) {
		w.podHost.Store(call.Host)
		if call.Namespace != w.green || call.Port != "8080" {
			http.Error(rw, "nobody", http.StatusTeapot)
			return
		}
		rw.WriteHeader(int(w.podStatus.Load()))
		_, _ = io.WriteString(rw, "hello from green")
	})
	document, group := webIngress, "networking.k8s.io"
	if kind == "HTTPRoute" {
		document, group = webRoute, "gateway.networking.k8s.io"
		kubetest.Gateway(t, server)
	}
	kubetest.Apply(t, server, w.blue, document)
	for _, ns := range []string{w.blue, w.green} {
		kubetest.Apply(t, server, ns, webObjects)
		pod := kubetest.RunningPod(t, server, ns, "web-1", map[string]string{"app": "web"})
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		if _, err := server.Typed.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w.controller = startController(t, server, kind, w.blue, map[string]http.Handler{w.blue + "/web": say("blue"), w.green + "/web": say("green")})
	at := w.controller.addr()
	if kind == "HTTPRoute" {
		kubetest.Apply(t, server, w.blue, fmt.Sprintf(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: stand-in, listeners: [{name: web, port: %d, protocol: HTTP}]}`, at.Port()))
	}
	setAddress(t, server, group, kind, w.blue, at)
	h := migration.Hostname{Name: routeHost, Port: int(at.Port()), Switch: migration.SwitchBackend, Ingress: "web"}
	if kind == "HTTPRoute" {
		h.Ingress, h.HTTPRoute = "", "web"
	}
	w.opts = cutover.Options{
		Migration: "move",
		Times:     migration.Cutover{Margin: migration.Duration(50 * time.Millisecond), Interval: migration.Duration(50 * time.Millisecond)},
		Rehearsal: &migration.Rehearsal{Soak: migration.Duration(200 * time.Millisecond)},
		Applications: []migration.Application{{
			Name: "shop", Namespace: w.blue, Hostnames: []migration.Hostname{h},
			Checks: []migration.Check{{Name: "front", HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", Contains: "green"}}},
		}},
		Blue: cutover.Side{Kube: w.client}, Green: cutover.Side{Kube: w.client, Namespaces: map[string]string{w.blue: w.green}},
		Clock: clock.System{},
	}
	return w
}

// setAddress writes the address of the stand-in where a controller would.
func setAddress(t *testing.T, c *kube.Client, group, kind, namespace string, at netip.AddrPort) {
	t.Helper()
	name, status := "web", map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]any{"ip": at.Addr().String()}}}}
	if kind == "HTTPRoute" {
		kind, name = "Gateway", "edge"
		status = map[string]any{"addresses": []any{map[string]any{"type": "IPAddress", "value": at.Addr().String()}}}
	}
	r, err := c.ResourceFor(t.Context(), group, kind)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(map[string]any{"status": status})
	if _, err := c.At(r, namespace).Patch(t.Context(), name, types.MergePatchType, raw, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}

func (w *routeWorld) object(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	group := "networking.k8s.io"
	if w.kind == "HTTPRoute" {
		group = "gateway.networking.k8s.io"
	}
	return kubetest.Get(t, w.client, group, w.kind, w.blue, "web")
}

func (w *routeWorld) spec(t *testing.T) string {
	t.Helper()
	raw, err := json.Marshal(w.object(t).Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// ours lists what the migration has made.
func (w *routeWorld) ours(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, at := range []struct{ group, kind, namespace string }{{"", "Service", w.blue}, {"", "Service", w.green}, {"gateway.networking.k8s.io", "ReferenceGrant", w.green}} {
		r, err := w.client.ResourceFor(t.Context(), at.group, at.kind)
		if errors.Is(err, kube.ErrNotServed) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		list, err := w.client.At(r, at.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: kube.LabelMigration + "=move"})
		if err != nil {
			t.Fatal(err)
		}
		for _, obj := range list.Items {
			names = append(names, at.kind+" "+obj.GetName())
		}
	}
	return names
}

func (w *routeWorld) fenced(t *testing.T) cutover.TTLResult {
	t.Helper()
	return lower(t, w.opts, w.rec)
}

func (w *routeWorld) swap(t *testing.T, held cutover.TTLResult) (*plan.Plan, cutover.SwapResult, error) {
	t.Helper()
	opts := cutover.SwapOptions{Options: w.opts, App: "shop", Held: held.Of("shop")}
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	w.swapPlan = p
	result, err := cutover.ApplySwap(t.Context(), p, w.rec, opts)
	return p, result, err
}

func notedWith(notes []plan.Note, text string) bool {
	return slices.ContainsFunc(notes, func(n plan.Note) bool { return contains(n.Text, text) })
}

// One API server serves all tests of routes.
func TestRoutes(t *testing.T) {
	server := startLight(t)
	for _, kind := range []string{"Ingress", "HTTPRoute"} {
		t.Run("I06_thereAndBack/"+kind, func(t *testing.T) { routeThereAndBack(t, newRouteWorld(t, server, kind)) })
		t.Run("refusals/"+kind, func(t *testing.T) { routeRefusals(t, newRouteWorld(t, server, kind)) })
	}
	t.Run("I03_changedRules", func(t *testing.T) { routeChangedRules(t, newRouteWorld(t, server, "Ingress")) })
	t.Run("I08_rulesPutBack", func(t *testing.T) { routePutBack(t, newRouteWorld(t, server, "Ingress")) })
	for _, kind := range []string{"Ingress", "HTTPRoute"} {
		t.Run("madeAgain/"+kind, func(t *testing.T) { routeMadeAgain(t, newRouteWorld(t, server, kind)) })
	}
	for _, kind := range []string{"Ingress", "HTTPRoute"} {
		t.Run("I08_heldAtGreen/"+kind, func(t *testing.T) { routeHeld(t, newRouteWorld(t, server, kind)) })
	}
	t.Run("killed", func(t *testing.T) { routeKilled(t, newRouteWorld(t, server, "HTTPRoute")) })
	t.Run("entriesAtNodes", func(t *testing.T) { entriesAtNodes(t, server) })
	t.Run("entriesAtGateways", func(t *testing.T) { entriesAtGateways(t, server) })
}

// Users ask all the while: none fails, when the backend is switched, and when it is switched back.
func routeThereAndBack(t *testing.T, w *routeWorld) {
	was := w.spec(t)
	u := startUsers(w.controller.addr())
	defer func() {
		u.end()
		if n := u.failed.Load(); n > 0 {
			t.Errorf("%d of %d requests failed, the last: %v", n, n+u.blue.Load()+u.green.Load(), u.last.Load())
		}
	}()
	u.until(t, "blue", func() bool { return u.blue.Load() > 20 })
	found, err := cutover.Inspect(t.Context(), cutover.InspectOptions{Options: w.opts})
	if err != nil || len(found.Refusals) > 0 || !notedWith(found.Notes, "DNS does not move") {
		t.Fatalf("%+v, %v", found, err)
	}
	held := w.fenced(t)
	look := cutover.NamesOptions{Options: w.opts, Apps: []string{"shop"}, Held: held.Names}
	if found, err := cutover.StandingFences(t.Context(), look); err != nil || len(found) != 1 || !contains(found[0].Holds, "the annotation crossfade.dev/fence-") {
		t.Errorf("fences that stand: %+v, %v", found, err)
	}
	if at := ledToGreen(t, look); len(at) > 0 {
		t.Errorf("before the swap, to green lead %v", at)
	}
	p, result, err := w.swap(t, held)
	if err != nil {
		t.Fatal(err)
	}
	if at := ledToGreen(t, look); len(at) != 1 {
		t.Errorf("after the swap, to green lead %v", at)
	}
	if !slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return contains(c.Why, "DNS does not move") && c.Reverse != nil }) {
		t.Errorf("the plan does not say that DNS does not move: %+v", p.Changes)
	}
	if host := w.podHost.Load(); host != fmt.Sprintf("%s:%d", routeHost, w.controller.addr().Port()) {
		t.Errorf("green's pod was asked under %v", host)
	}
	if len(result.Names) != 1 || result.Names[0].Switched == nil || result.Names[0].Seen.At.IsZero() || result.Names[0].Switched.Followed != (w.kind == "HTTPRoute") {
		t.Fatalf("the swap left %+v", result)
	}
	before := u.green.Load()
	u.until(t, "green", func() bool { return u.green.Load() > before+20 })
	settling := cutover.SettleOptions{Options: w.opts, App: "shop", Moved: result.Names}
	if p, err = cutover.PlanSettle(t.Context(), settling); err == nil {
		_, err = cutover.ApplySettle(t.Context(), p, w.rec, settling)
	}
	if err != nil {
		t.Fatal(err)
	}
	soaking := cutover.SoakOptions{Options: w.opts, App: "shop", Moved: result.Names}
	if p, err = cutover.PlanSoak(t.Context(), soaking); err == nil {
		_, err = cutover.ApplySoak(t.Context(), p, w.rec, soaking)
	}
	if err != nil {
		t.Fatal(err)
	}
	routeBack(t, w, held)
	before = u.blue.Load()
	u.until(t, "blue again", func() bool { return u.blue.Load() > before+20 })
	if is := w.spec(t); is != was {
		t.Errorf("afterwards its spec is\n%s\nand was\n%s", is, was)
	}
	if left := w.ours(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if a := w.object(t).GetAnnotations(); len(a) > 0 {
		t.Errorf("annotations left behind: %v", a)
	}
}

// routeBack takes the swap back, and gives the fence up.
func routeBack(t *testing.T, w *routeWorld, held cutover.TTLResult) {
	t.Helper()
	back := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: w.swapPlan}
	led, err := cutover.LeadsToGreen(t.Context(), back)
	if err != nil || len(led) != 1 {
		t.Errorf("led to green: %v, %v", led, err)
	}
	p, err := cutover.PlanReturn(t.Context(), back)
	if err != nil {
		t.Fatal(err)
	}
	result, err := cutover.ApplyReturn(t.Context(), p, w.rec, back)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Names) != 1 || len(result.Fences) != 1 {
		t.Errorf("the return left %+v", result)
	}
	// Who was thought dead cannot switch any more.
	stale := cutover.SwapOptions{Options: w.opts, App: "shop", Held: held.Of("shop")}
	if _, err := cutover.ApplySwap(t.Context(), w.swapPlan, &plan.MemoryRecorder{}, stale); !errors.Is(err, plan.ErrMoved) || !contains(err.Error(), "fence of "+routeHost) {
		t.Errorf("a stale writer: %v", err)
	}
	names := cutover.UnderFences(held.Names, result.Fences)
	release := cutover.RestoreOptions{Options: w.opts, Held: names}
	if p, err = cutover.PlanRestoreTTL(t.Context(), release); err == nil {
		err = cutover.ApplyRestoreTTL(t.Context(), p, w.rec, release)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// routeRefusals are those that reading finds before anything is changed.
func routeRefusals(t *testing.T, w *routeWorld) {
	refused := func(text string) {
		t.Helper()
		p, err := cutover.PlanTTL(t.Context(), w.opts)
		if err != nil {
			t.Fatal(err)
		}
		if !refusedFor(p, text) {
			t.Errorf("not refused for %q: %+v", text, p.Refusals)
		}
	}
	app := &w.opts.Applications[0]
	checks := app.Checks
	app.Checks = []migration.Check{{Name: "port", TCP: &migration.TCPCheck{}}}
	refused("no check reaches green before its backend is switched")
	app.Checks = checks

	services := w.client.Typed.CoreV1().Services(w.green)
	svc, err := services.Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	svc.Spec.Ports[0].Port = 81
	if _, err := services.Update(t.Context(), svc, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	refused("has no port 80")
	if err := services.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	refused("green has no Service " + w.green + "/web")

	app.Hostnames[0].Name = "none.example.com"
	refused("no rule for the host")
	app.Hostnames[0].Name = routeHost

	document := strings.Replace(map[string]string{"Ingress": webIngress, "HTTPRoute": webRoute}[w.kind], "{name: web}", "{name: second}", 1)
	kubetest.Apply(t, w.client, w.blue, document)
	refused("/second has rules for it too, which would stay on blue")
}

// Rules that somebody has changed are not overwritten: not on the way there, and not on the way back.
func routeChangedRules(t *testing.T, w *routeWorld) {
	held := w.fenced(t)
	opts := cutover.SwapOptions{Options: w.opts, App: "shop", Held: held.Of("shop")}
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	lead := func(to string) {
		t.Helper()
		patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/rules/1/http/paths/0/backend/service/name","value":%q}]`, to)
		if _, err := w.client.Typed.NetworkingV1().Ingresses(w.blue).Patch(t.Context(), "web", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	lead("third")
	var moved *plan.MovedError
	if _, err := cutover.ApplySwap(t.Context(), p, &plan.MemoryRecorder{}, opts); !errors.As(err, &moved) || !contains(moved.Now, "third:80") {
		t.Errorf("err = %v", err)
	}
	lead("web")
	if _, _, err := w.swap(t, held); err != nil {
		t.Fatal(err)
	}
	lead("third")
	p, err = cutover.PlanReturn(t.Context(), cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: w.swapPlan})
	if err != nil || !refusedFor(p, "neither what the swap wrote nor what it replaced") {
		t.Errorf("the return: %+v, %v", p, err)
	}
	if !contains(w.spec(t), "third") {
		t.Errorf("it was overwritten: %s", w.spec(t))
	}
}

// Rules that were put back to blue's while green soaks are a breach, whatever the checks say of who answers then.
func routePutBack(t *testing.T, w *routeWorld) {
	w.opts.Applications[0].Checks[0].HTTP.Contains = "hello"
	held := w.fenced(t)
	_, result, err := w.swap(t, held)
	if err != nil {
		t.Fatal(err)
	}
	patch := `[{"op":"replace","path":"/spec/rules/1/http/paths/0/backend/service/name","value":"web"}]`
	if _, err := w.client.Typed.NetworkingV1().Ingresses(w.blue).Patch(t.Context(), "web", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	soaking := cutover.SoakOptions{Options: w.opts, App: "shop", Moved: result.Names}
	p, err := cutover.PlanSoak(t.Context(), soaking)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplySoak(t.Context(), p, w.rec, soaking); !errors.Is(err, cutover.ErrBreach) || !contains(err.Error(), "somebody has changed them") {
		t.Errorf("err = %v", err)
	}
}

// After the soak nobody asks where the rules lead. A run makes again what they lead through, and says where they lead elsewhere.
func routeHeld(t *testing.T, w *routeWorld) {
	held := w.fenced(t)
	if _, _, err := w.swap(t, held); err != nil {
		t.Fatal(err)
	}
	warned := func() string {
		t.Helper()
		p := plan.New("move", "swap/shop")
		if err := cutover.HoldSwitches(t.Context(), p, cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: w.swapPlan}); err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, n := range p.Notes {
			text += string(n.Level) + " " + n.What + " " + n.Text
		}
		return text
	}
	refused := func() string {
		t.Helper()
		pictures, err := cutover.Depict(t.Context(), cutover.DepictOptions{Options: w.opts, Moved: []string{"shop"}})
		if err != nil || len(pictures) != 1 {
			t.Fatal(pictures, err)
		}
		text := ""
		for _, r := range pictures[0].Refusals {
			text += r.Why
		}
		return text
	}
	if text := warned() + refused(); text != "" {
		t.Errorf("as the swap left it: %s", text)
	}
	made := w.ours(t)
	if len(made) == 0 {
		t.Fatal("nothing was made for the switch")
	}
	if w.kind != "Ingress" {
		return
	}
	services := w.client.Typed.CoreV1().Services(w.blue)
	list, err := services.List(t.Context(), metav1.ListOptions{LabelSelector: "crossfade.dev/component=entry"})
	if err != nil || len(list.Items) != 1 {
		t.Fatal(list, err)
	}
	if err := services.Delete(t.Context(), list.Items[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if text := refused(); !contains(text, "through the Service "+list.Items[0].Name+", which is gone") {
		t.Errorf("inspect: %s", text)
	}
	if text := warned(); !contains(text, "was deleted, and nobody was led anywhere: it is made again") {
		t.Errorf("once it is gone: %s", text)
	}
	if text, now := warned(), w.ours(t); text != "" || !slices.Equal(now, made) {
		t.Errorf("made again: %v, %s; was %v", now, text, made)
	}
	for _, to := range []string{"web", "third"} {
		patch := `[{"op":"replace","path":"/spec/rules/1/http/paths/0/backend/service/name","value":"` + to + `"}]`
		if _, err := w.client.Typed.NetworkingV1().Ingresses(w.blue).Patch(t.Context(), "web", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if text := warned(); !contains(text, "/web leads it / → "+to) || !contains(text, "and the swap led it to green") || !contains(text, "`crossfade rollback shop`") {
			t.Errorf("the run, at %s: %s", to, text)
		}
		if text := refused(); !contains(text, "this migration has led it to green, and") {
			t.Errorf("inspect, at %s: %s", to, text)
		}
	}
}

// Somebody deletes the object after the swap and makes it again, with the rules that it had then: the fence has gone with it, and the way
// back is as exact as before.
func routeMadeAgain(t *testing.T, w *routeWorld) {
	was := w.spec(t)
	held := w.fenced(t)
	if _, _, err := w.swap(t, held); err != nil {
		t.Fatal(err)
	}
	obj := w.object(t)
	r, err := w.client.ResourceFor(t.Context(), obj.GroupVersionKind().Group, w.kind)
	if err != nil {
		t.Fatal(err)
	}
	at := w.client.At(r, w.blue)
	if err := at.Delete(t.Context(), obj.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	obj.SetUID("")
	obj.SetResourceVersion("")
	obj.SetAnnotations(nil)
	if _, err := at.Create(t.Context(), obj, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	routeBack(t, w, held)
	if is := w.spec(t); is != was {
		t.Errorf("afterwards its spec is\n%s\nand was\n%s", is, was)
	}
	if a := w.object(t).GetAnnotations(); len(a) > 0 || len(w.ours(t)) > 0 {
		t.Errorf("left behind: %v, %v", a, w.ours(t))
	}
}

// A run that is killed after the switch, and before its outcome is recorded, goes on from there. Green that fails is not switched to.
func routeKilled(t *testing.T, w *routeWorld) {
	held := w.fenced(t)
	w.podStatus.Store(http.StatusInternalServerError)
	if _, _, err := w.swap(t, held); !errors.Is(err, cutover.ErrGate) {
		t.Errorf("green fails, and err = %v", err)
	}
	if contains(w.spec(t), w.green) {
		t.Fatalf("it was switched: %s", w.spec(t))
	}
	w.podStatus.Store(http.StatusOK)
	p, first, err := w.swap(t, held)
	if err != nil {
		t.Fatal(err)
	}
	there := w.spec(t)
	opts := cutover.SwapOptions{Options: w.opts, App: "shop", Held: held.Of("shop")}
	again, err := cutover.ApplySwap(t.Context(), p, &plan.MemoryRecorder{}, opts)
	if err != nil || len(again.Names) != len(first.Names) {
		t.Errorf("again: %+v, %v", again, err)
	}
	if w.spec(t) != there {
		t.Errorf("the second run changed it: %s", w.spec(t))
	}
	// A return whose process dies after each of its changes ends as one that does not.
	back := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: w.swapPlan}
	for range 8 {
		p, err := cutover.PlanReturn(t.Context(), back)
		if err != nil || len(p.Refusals) > 0 {
			t.Fatalf("%+v, %v", p, err)
		}
		back.Fences = append(back.Fences, cutover.PlannedFences(p)...)
		rec := &dyingRecorder{left: len(back.Fences)}
		if _, err = cutover.ApplyReturn(t.Context(), p, rec, back); err == nil {
			break
		}
		if !errors.Is(err, errDies) {
			t.Fatal(err)
		}
	}
	if left := w.ours(t); len(left) > 0 || contains(w.spec(t), w.green) {
		t.Errorf("afterwards: %s, left %v", w.spec(t), left)
	}
}

var errDies = errors.New("killed")

// dyingRecorder fails when an outcome is to be recorded, after as many as are left.
type dyingRecorder struct {
	plan.MemoryRecorder
	left int
}

func (r *dyingRecorder) Succeed(stage, id string, outcome json.RawMessage) error {
	if r.left--; r.left <= 0 {
		return errDies
	}
	return r.MemoryRecorder.Succeed(stage, id, outcome)
}
