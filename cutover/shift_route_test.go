package cutover_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// gateway is a stand-in for a controller of the Gateway API: it is none. It reads one HTTPRoute from a real API server, takes the last of
// its rules that has no matches, and draws a backend as the documentation says (HTTPBackendRef.weight): weight / sum of all weights, 1
// where none is given, nothing for 0, and 500 where no backend takes anything. A Service is a server of the test by its name, or, where it has
// no selector, that of an address in its EndpointSlices.
type gateway struct {
	client    *kube.Client
	namespace string
	servers   map[string]http.Handler

	mu      sync.Mutex
	read    time.Time
	names   []string
	weights []int64
	random  *rand.Rand
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	if time.Since(g.read) > 5*time.Millisecond {
		g.refresh(r.Context())
		g.read = time.Now()
	}
	var sum int64
	for _, w := range g.weights {
		sum += w
	}
	if sum == 0 {
		g.mu.Unlock()
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	at, to := g.random.Int64N(sum), ""
	for i, weight := range g.weights {
		if at -= weight; at < 0 {
			to = g.names[i]
			break
		}
	}
	server := g.servers[to]
	g.mu.Unlock()
	if server == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	server.ServeHTTP(w, r)
}

// refresh follows the objects; g.mu is held.
func (g *gateway) refresh(ctx context.Context) {
	r, err := g.client.ResourceFor(ctx, "gateway.networking.k8s.io", "HTTPRoute")
	if err != nil {
		return
	}
	obj, err := g.client.At(r, g.namespace).Get(ctx, "shop", metav1.GetOptions{})
	if err != nil {
		return
	}
	g.names, g.weights = nil, nil
	rules, _, _ := unstructured.NestedSlice(obj.Object, "spec", "rules")
	for _, rule := range rules {
		m := rule.(map[string]any)
		refs, _ := m["backendRefs"].([]any)
		if text := fmt.Sprint(m["matches"]); len(refs) == 0 || m["matches"] != nil && !strings.Contains(text, "value:/]") {
			continue
		}
		for _, ref := range refs {
			b := ref.(map[string]any)
			weight, said := b["weight"].(int64)
			if !said {
				weight = 1
			}
			g.names, g.weights = append(g.names, g.server(ctx, b["name"].(string))), append(g.weights, weight)
		}
	}
}

func (g *gateway) server(ctx context.Context, name string) string {
	svc, err := g.client.Typed.CoreV1().Services(g.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil || svc.Spec.Type == corev1.ServiceTypeExternalName || len(svc.Spec.Selector) > 0 {
		return name
	}
	if at := addressesOf(ctx, g.client, g.namespace, name); len(at) > 0 {
		return fmt.Sprintf("%s %d", at[0], svc.Spec.Ports[0].Port)
	}
	return "nowhere"
}

// addressesOf are the endpoints of a Service.
func addressesOf(ctx context.Context, client *kube.Client, namespace, service string) []string {
	list, err := client.Typed.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		return nil
	}
	var all []string
	for _, s := range list.Items {
		for _, e := range s.Endpoints {
			all = append(all, e.Addresses...)
		}
	}
	return all
}

// ownAddress is an address of this machine that may stand in an EndpointSlice: none of the loopback's may. What is sent there does not
// leave the machine.
func ownAddress(t *testing.T) netip.Addr {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return p.Addr()
		}
	}
	t.Skip("this machine has no address beside the loopback's")
	return netip.Addr{}
}

const shopRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, annotations: {note: kept}}
spec:
  parentRefs: [{name: edge}]
  hostnames: [shop.apps.test]
  rules:
    - matches: [{path: {type: PathPrefix, value: /api}}]
      timeouts: {request: 7s}
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: b}]}}]
      backendRefs: [{name: api, port: 80, weight: 3}, {name: web, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-C, value: d}]}}]}]
    - backendRefs: [{name: web, port: 80, weight: 2}, {name: old, port: 80, weight: 0}]
    - matches: [{path: {type: Exact, value: /gone}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example.com}}]`

// weightWorld is a world whose blue entry is the stand-in, on a real API server.
func weightWorld(t *testing.T, client *kube.Client, route string) (*world, string) {
	t.Helper()
	own := ownAddress(t)
	namespace := kubetest.Namespace(t, client)
	kubetest.Apply(t, client, namespace, route)
	w := newWorldBeside(t, func(w *world) map[netip.Addr]http.Handler {
		return map[netip.Addr]http.Handler{own: w.green, netip.MustParseAddr("127.0.0.4"): &gateway{
			client: client, namespace: namespace, random: rand.New(rand.NewPCG(3, 9)),
			servers: map[string]http.Handler{"web": w.blue, "old": nil, fmt.Sprintf("%s %d", own, w.blue.addr.Port()): w.green},
		}}
	})
	port := w.blue.addr.Port()
	w.names.addresses["green.lb.test."] = own.String()
	app := &w.opts.Applications[0]
	app.Namespace, app.Writes = namespace, migration.WritesNone
	app.Hostnames[0].HTTPRoute = "shop"
	app.Hostnames[0].Blue = &migration.Entry{Target: "blue.lb.test.", Address: "127.0.0.4"}
	app.Shift = &migration.Shift{
		By: migration.ShiftByRoute, Steps: []int{20, 50}, For: migration.Duration(time.Minute), Tolerance: 10, Port: int(port),
		Tell: &migration.Tell{Scheme: "http", Path: "/", OnBlue: "hello from blue", OnGreen: "hello from green"},
	}
	w.opts.Blue, w.opts.Green = cutover.Side{Kube: client}, cutover.Side{Kube: client, Namespaces: map[string]string{namespace: namespace + "-green"}}
	return w, namespace
}

// routeOf is the route's spec and its annotations.
func routeOf(t *testing.T, client *kube.Client, namespace string) (spec string, obj *unstructured.Unstructured) {
	t.Helper()
	obj = kubetest.Get(t, client, "gateway.networking.k8s.io", "HTTPRoute", namespace, "shop")
	raw, err := json.Marshal(obj.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), obj
}

func update(t *testing.T, client *kube.Client, namespace string, obj *unstructured.Unstructured) {
	t.Helper()
	r, err := client.ResourceFor(t.Context(), "gateway.networking.k8s.io", "HTTPRoute")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.At(r, namespace).Update(t.Context(), obj, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// watchedOnly makes a step, lets somebody change the split, and goes on with the watch alone: what the split is by then is no step's, so
// that the application goes back.
func watchedOnly(t *testing.T, w *world, change func()) {
	t.Helper()
	opts := w.shiftOptions(w.lowered(t), 0, 20)
	p, _, err := w.step(t, cutover.TTLResult{Names: opts.Held}, 0, 20)
	if err != nil {
		t.Fatal(err)
	}
	change()
	rec := &plan.MemoryRecorder{}
	raw, _ := w.rec.Done(p.Changes[0].ID)
	if err := rec.Succeed(p.Stage, p.Changes[0].ID, raw); err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplyShift(t.Context(), p, rec, opts); !errors.Is(err, cutover.ErrBreach) || !strings.Contains(err.Error(), "somebody has changed the") {
		t.Errorf("err = %v, want a breach", err)
	}
}

func made(t *testing.T, client *kube.Client, namespace string) int {
	t.Helper()
	svcs, err := client.Typed.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := client.Typed.DiscoveryV1().EndpointSlices(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return len(svcs.Items) + len(list.Items)
}

func unsplit(t *testing.T, w *world, shifts ...*plan.Plan) cutover.UnsplitResult {
	t.Helper()
	back := cutover.UnsplitOptions{Options: w.opts, App: "shop", Shifts: shifts}
	p, err := cutover.PlanUnsplit(t.Context(), back)
	if err != nil {
		t.Fatal(err)
	}
	result, err := cutover.ApplyUnsplit(t.Context(), p, &plan.MemoryRecorder{}, back)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestC21_RequestsAreSplitByTheWeightsOfAnHTTPRoute: in steps, measured through blue's entry, and back from whatever share and whatever was
// edited, to exactly what stood there.
func TestC21_RequestsAreSplitByTheWeightsOfAnHTTPRoute(t *testing.T) {
	client := startLight(t)
	kubetest.Gateway(t, client)
	t.Run("there and back", func(t *testing.T) { weighedThereAndBack(t, client) })
	t.Run("back whatever was edited", func(t *testing.T) { editedRouteGoesBack(t, client) })
	t.Run("put back by somebody", func(t *testing.T) {
		w, namespace := weightWorld(t, client, shopRoute)
		watchedOnly(t, w, func() {
			_, obj := routeOf(t, client, namespace)
			rules, _, _ := unstructured.NestedSlice(obj.Object, "spec", "rules")
			rules[1].(map[string]any)["backendRefs"].([]any)[0].(map[string]any)["weight"] = int64(9)
			_ = unstructured.SetNestedSlice(obj.Object, rules, "spec", "rules")
			update(t, client, namespace, obj)
		})
	})
	t.Run("large weights", func(t *testing.T) {
		w, _ := weightWorld(t, client, strings.Replace(shopRoute, "weight: 2}", "weight: 9999}, {name: web, port: 81, weight: 10000}", 1))
		w.opts.Applications[0].Shift.Steps = []int{7, 50}
		held := w.lowered(t)
		p, _, err := w.step(t, held, 0, 7)
		if err != nil {
			t.Fatal(err)
		}
		opts := w.shiftOptions(held, 7, 50)
		opts.Before = []*plan.Plan{p}
		if p, err := cutover.PlanShift(t.Context(), opts); err != nil || p.Err() != nil {
			t.Errorf("the second step: %v, %v", p.Err(), err)
		}
		unsplit(t, w, p)
	})
	t.Run("a stale writer", func(t *testing.T) { staleSplitIsRefused(t, client) })
	t.Run("green's address changes", func(t *testing.T) { addressIsFollowed(t, client) })
	t.Run("green's address changes in the soak", func(t *testing.T) {
		w, namespace := weightWorld(t, client, shopRoute)
		p, _, err := w.step(t, w.lowered(t), 0, 20)
		if err != nil {
			t.Fatal(err)
		}
		const other = "240.0.0.1"
		w.names.addresses["green.lb.test."] = other
		soaking := cutover.SoakOptions{Options: w.opts, App: "shop", Shifts: []*plan.Plan{p}}
		sp, err := cutover.PlanSoak(t.Context(), soaking)
		if err != nil || sp.Err() != nil {
			t.Fatal(err, sp.Err())
		}
		if _, err := cutover.ApplySoak(t.Context(), sp, w.rec, soaking); err == nil {
			t.Error("nobody answers at green's new address, and the soak passes")
		}
		list, err := client.Typed.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		if got := addressesOf(t.Context(), client, namespace, list.Items[0].Name); len(got) != 1 || got[0] != other {
			t.Errorf("blue's entry sends to %v", got)
		}
	})
	t.Run("refusals", func(t *testing.T) { routesThatAreNotSplit(t, client) })
}

func weighedThereAndBack(t *testing.T, client *kube.Client) {
	w, namespace := weightWorld(t, client, shopRoute)
	before, was := routeOf(t, client, namespace)
	held := w.lowered(t)
	var plans []*plan.Plan
	from := 0
	for _, to := range []int{20, 50} {
		opts := w.shiftOptions(held, from, to)
		opts.Before = plans
		p, err := cutover.PlanShift(t.Context(), opts)
		if err != nil || p.Err() != nil {
			t.Fatal(err, p.Err())
		}
		result, err := cutover.ApplyShift(t.Context(), p, w.rec, opts)
		if err != nil {
			t.Fatalf("step to %d: %v", to, err)
		}
		m := result.Measured[0]
		if off := m.Percent - float64(to); off > 10 || off < -10 || m.Type != "requests" || m.Blue+m.Green < 200 {
			t.Errorf("step to %d: measured %s", to, m)
		}
		// Killed before its outcome was recorded, a step is made again, and nothing is doubled.
		if _, err := cutover.ApplyShift(t.Context(), p, &plan.MemoryRecorder{}, opts); err != nil || made(t, client, namespace) != 2 {
			t.Errorf("again: %v, %d objects", err, made(t, client, namespace))
		}
		plans, from = append(plans, p), to
	}
	spec, _ := routeOf(t, client, namespace)
	for _, want := range []string{`"weight":3},`, `{"request":"7s"}`, `"new.example.com"`, `"weight":0`} {
		if !strings.Contains(spec, want) {
			t.Errorf("no %s in %s", want, spec)
		}
	}
	if n := strings.Count(spec, `"X-C"`); n != 2 {
		t.Errorf("a filter of a backend is there %d times, want it at green's too: %s", n, spec)
	}
	if _, err := cutover.PlanShift(t.Context(), w.shiftOptions(held, 0, 20)); err != nil {
		t.Fatal(err)
	}
	// Back, with the plan of any step alone: what was killed had written the next one's weights.
	for _, shifts := range [][]*plan.Plan{plans[:1], plans} {
		if result := unsplit(t, w, shifts...); len(result.Edited) > 0 {
			t.Errorf("nobody has edited it: %v", result.Edited)
		}
		after, now := routeOf(t, client, namespace)
		if after != before || !reflect.DeepEqual(now.GetAnnotations(), was.GetAnnotations()) || made(t, client, namespace) != 0 {
			t.Errorf("%d objects are left; before\n%s %v\nnow\n%s %v", made(t, client, namespace), before, was.GetAnnotations(), after, now.GetAnnotations())
		}
	}
}

func editedRouteGoesBack(t *testing.T, client *kube.Client) {
	w, namespace := weightWorld(t, client, shopRoute)
	p, _, err := w.step(t, w.lowered(t), 0, 20)
	if err != nil {
		t.Fatal(err)
	}
	_, obj := routeOf(t, client, namespace)
	rules, _, _ := unstructured.NestedSlice(obj.Object, "spec", "rules")
	rules[0].(map[string]any)["timeouts"] = map[string]any{"request": "9s"}
	refs := rules[1].(map[string]any)["backendRefs"].([]any)
	green := refs[len(refs)-1].(map[string]any)
	green["weight"] = int64(1000)
	rules = append(rules, map[string]any{"matches": []any{map[string]any{"path": map[string]any{"type": "Exact", "value": "/new"}}}, "backendRefs": []any{green}})
	_ = unstructured.SetNestedSlice(obj.Object, rules, "spec", "rules")
	update(t, client, namespace, obj)
	result := unsplit(t, w, p)
	spec, now := routeOf(t, client, namespace)
	if strings.Contains(spec, "crossfade") || strings.Contains(spec, "/new") || made(t, client, namespace) != 0 {
		t.Errorf("something still leads to green: %s", spec)
	}
	if !strings.Contains(spec, `"9s"`) || strings.Count(spec, `"weight":3`) != 1 || !strings.Contains(spec, `"weight":2`) {
		t.Errorf("what was edited is to stay, and blue's weights are to be what they were: %s", spec)
	}
	if len(result.Edited) != 1 || !strings.Contains(result.Edited[0], "/new → crossfade-shift-") || len(now.GetAnnotations()) != 1 {
		t.Errorf("said %v, annotations %v", result.Edited, now.GetAnnotations())
	}
}

// flip is a zone whose fence is another writer's from the second look at it on.
type flip struct {
	zone.Zone
	looks atomic.Int64
	first int64
}

func (f *flip) Lookup(ctx context.Context, name, typ string) (zone.RRset, error) {
	if set, err := f.Zone.Lookup(ctx, name, typ); typ != "TXT" || err != nil || f.looks.Add(1) <= f.first {
		return set, err
	}
	return zone.RRset{Name: name, Type: typ, TTL: 60, Data: []string{`"crossfade/move/another"`}}, nil
}

// staleSplitIsRefused: before he has marked anything, and after: then his mark goes. No request is led to green.
func staleSplitIsRefused(t *testing.T, client *kube.Client) {
	for _, first := range []int64{0, 1} {
		w, namespace := weightWorld(t, client, shopRoute)
		before, was := routeOf(t, client, namespace)
		opts := w.shiftOptions(w.lowered(t), 0, 20)
		p, err := cutover.PlanShift(t.Context(), opts)
		if err != nil || p.Err() != nil {
			t.Fatal(err, p.Err())
		}
		opts.Zones[0].Driver = &flip{Zone: opts.Zones[0].Driver, first: first}
		var fenced *zone.FencedError
		if _, err := cutover.ApplyShift(t.Context(), p, w.rec, opts); !errors.As(err, &fenced) || !errors.Is(err, plan.ErrMoved) {
			t.Errorf("after %d looks: err = %v", first, err)
		}
		after, now := routeOf(t, client, namespace)
		if after != before || !reflect.DeepEqual(now.GetAnnotations(), was.GetAnnotations()) || made(t, client, namespace) != 0 {
			t.Errorf("after %d looks he has left something: %s %v", first, after, now.GetAnnotations())
		}
	}
}

// addressIsFollowed: while a step is watched, green's load balancer gets another address.
func addressIsFollowed(t *testing.T, client *kube.Client) {
	w, namespace := weightWorld(t, client, shopRoute)
	own := w.names.addresses["green.lb.test."]
	delete(w.names.addresses, "green.lb.test.")
	const other = "240.0.0.1"
	var since atomic.Int64
	since.Store(1 << 40)
	w.names.resolve = func(name, typ string) (dnsx.Answer, error) {
		answer, at := dnsx.Answer{Rcode: "NOERROR", Authoritative: true}, own
		if w.green.hits.Load() > since.Load()+3 { // the step is made, and watched
			at = other
		}
		if typ == "A" {
			answer.Answer = []dnsx.Record{{Name: name, Type: typ, TTL: 60, Data: at}}
		}
		return answer, nil
	}
	opts := w.shiftOptions(w.lowered(t), 0, 20)
	p, err := cutover.PlanShift(t.Context(), opts)
	if err != nil || p.Err() != nil {
		t.Fatal(err, p.Err())
	}
	since.Store(w.green.hits.Load())
	if _, err := cutover.ApplyShift(t.Context(), p, w.rec, opts); err == nil {
		t.Error("nobody answers at green's new address, and the step passes")
	}
	svcs, err := client.Typed.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(svcs.Items) != 1 {
		t.Fatalf("%v, %v", svcs, err)
	}
	if got := addressesOf(t.Context(), client, namespace, svcs.Items[0].Name); len(got) != 1 || got[0] != other {
		t.Errorf("blue's entry sends to %v", got)
	}
	unsplit(t, w, p)
	if made(t, client, namespace) != 0 {
		t.Error("what was renewed is not taken away")
	}
}

func routesThatAreNotSplit(t *testing.T, client *kube.Client) {
	for _, c := range []struct{ from, to, says string }{
		{"backendRefs: [{name: web, port: 80, weight: 2}", "backendRefs: [{group: example.com, kind: Bucket, name: web, weight: 2}", "no Service but of the group example.com"},
		{"hostnames: [shop.apps.test]", "hostnames: [shop.apps.test, www.apps.test]", "are for [www.apps.test] too"},
		{"annotations: {note: kept}", "annotations: {argocd.argoproj.io/tracking-id: x}", "Argo CD"},
		{"parentRefs: [{name: edge}]", "parentRefs: [{name: edge}, {group: '', kind: Service, name: web}]", "hangs at the Service"},
		{"weight: 2}", "weight: 999999}, {name: w, port: 80, weight: 1000000}", "too large to be shared out"},
		{"hostnames: [shop.apps.test]", "hostnames: [other.apps.test]", "no rule for the hostname"},
	} {
		w, _ := weightWorld(t, client, strings.Replace(shopRoute, c.from, c.to, 1))
		p, err := cutover.PlanShift(t.Context(), w.shiftOptions(cutover.TTLResult{}, 0, 20))
		if err != nil || !refusedFor(p, c.says) {
			t.Errorf("%s: %+v, %v", c.says, p, err)
		}
	}
}
