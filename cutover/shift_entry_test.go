package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// ingress is a stand-in for ingress-nginx: it is not the controller. It reads the Ingresses of one namespace from a real API server, and sends
// requests where the documentation says ("Annotations", section Canary): an Ingress with canary "true" takes canary-weight of 100
// requests of the host and path that a plain Ingress of the same class has, and nothing where there is no plain one. Services
// are servers of the test, by name; one of type ExternalName is the server of its name.
type ingress struct {
	client    *kube.Client
	namespace string
	servers   map[string]http.Handler

	mu     sync.Mutex
	read   time.Time
	main   string // servers
	canary string
	weight int
	random *rand.Rand
}

func (i *ingress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	if time.Since(i.read) > 5*time.Millisecond {
		i.refresh(r.Context(), strings.Split(r.Host, ":")[0])
		i.read = time.Now()
	}
	to := i.main
	if i.canary != "" && i.random.IntN(100) < i.weight {
		to = i.canary
	}
	server := i.servers[to]
	i.mu.Unlock()
	if server == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	server.ServeHTTP(w, r)
}

// refresh follows the objects; i.mu is held.
func (i *ingress) refresh(ctx context.Context, host string) {
	list, err := i.client.Typed.NetworkingV1().Ingresses(i.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	i.main, i.canary, i.weight = "", "", 0
	for _, ing := range list.Items {
		if ing.Spec.IngressClassName == nil || *ing.Spec.IngressClassName != "nginx" || len(ing.Spec.Rules) == 0 || ing.Spec.Rules[0].Host != host {
			continue
		}
		name := ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name
		if svc, err := i.client.Typed.CoreV1().Services(i.namespace).Get(ctx, name, metav1.GetOptions{}); err == nil && svc.Spec.Type == corev1.ServiceTypeExternalName {
			name = svc.Spec.ExternalName
		}
		if ing.Annotations["nginx.ingress.kubernetes.io/canary"] != "true" {
			i.main = name
			continue
		}
		i.canary = name
		i.weight, _ = strconv.Atoi(ing.Annotations["nginx.ingress.kubernetes.io/canary-weight"])
	}
	if i.main == "" {
		i.canary = ""
	}
}

// entryWorld is a world whose blue entry is the stand-in, on a real API server.
func entryWorld(t *testing.T, client *kube.Client, namespace, class string) *world {
	t.Helper()
	w := newWorldBeside(t, func(w *world) map[netip.Addr]http.Handler {
		return map[netip.Addr]http.Handler{netip.MustParseAddr("127.0.0.4"): &ingress{
			client: client, namespace: namespace, servers: map[string]http.Handler{"web": w.blue, "green.lb.test": w.green}, random: rand.New(rand.NewPCG(2, 7)),
		}}
	})
	ctx := t.Context()
	if _, err := client.Typed.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	prefix := networkingv1.PathTypePrefix
	_, err := client.Typed.NetworkingV1().Ingresses(namespace).Create(ctx, &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Annotations: map[string]string{"nginx.ingress.kubernetes.io/proxy-body-size": "8m"}},
		Spec: networkingv1.IngressSpec{IngressClassName: &class, Rules: []networkingv1.IngressRule{{Host: "shop.apps.test", IngressRuleValue: networkingv1.IngressRuleValue{
			HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{
				Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}},
			}}}},
		}}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	app := &w.opts.Applications[0]
	app.Namespace, app.Writes = namespace, migration.WritesNone
	app.Hostnames[0].Ingress = "shop"
	app.Hostnames[0].Blue = &migration.Entry{Target: "blue.lb.test.", Address: "127.0.0.4"}
	app.Shift = &migration.Shift{
		By: migration.ShiftByIngress, Steps: []int{20, 50}, For: migration.Duration(time.Minute), Tolerance: 10,
		Tell: &migration.Tell{Scheme: "http", Path: "/", OnBlue: "hello from blue", OnGreen: "hello from green"},
	}
	w.opts.Blue, w.opts.Green = cutover.Side{Kube: client}, cutover.Side{Kube: client, Namespaces: map[string]string{namespace: namespace + "-green"}}
	return w
}

// objects are the Ingresses and Services of a namespace, with their resource versions where they are blue's own.
func objects(t *testing.T, client *kube.Client, namespace string) []string {
	t.Helper()
	var list []string
	ings, err := client.Typed.NetworkingV1().Ingresses(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ing := range ings.Items {
		list = append(list, fmt.Sprintf("Ingress %s %s", ing.Name, ing.ResourceVersion))
	}
	svcs, err := client.Typed.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, svc := range svcs.Items {
		list = append(list, "Service "+svc.Name)
	}
	return list
}

// TestC21_RequestsAreSplitAtBluesEntry: in steps, measured through blue's entry, and back from whatever share; blue's own Ingress is never
// written.
func TestC21_RequestsAreSplitAtBluesEntry(t *testing.T) {
	client := startLight(t)
	for class, controller := range map[string]string{"nginx": "k8s.io/ingress-nginx", "other": "example.com/other"} {
		_, err := client.Typed.NetworkingV1().IngressClasses().Create(t.Context(), &networkingv1.IngressClass{
			ObjectMeta: metav1.ObjectMeta{Name: class}, Spec: networkingv1.IngressClassSpec{Controller: controller},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("there and back", func(t *testing.T) { splitThereAndBack(t, client) })
	t.Run("back whatever was edited", func(t *testing.T) { editedSplitGoesBack(t, client) })
	t.Run("a stale writer", func(t *testing.T) { staleCanaryIsRefused(t, client) })
	t.Run("weighed by somebody", func(t *testing.T) {
		w := entryWorld(t, client, "weighed", "nginx")
		watchedOnly(t, w, func() { weigh(t, client, "weighed", "35") })
	})
	t.Run("a side that does not tell", func(t *testing.T) {
		w := entryWorld(t, client, "mute", "nginx")
		w.opts.Applications[0].Shift.Tell.OnGreen = "hello from nobody"
		if _, _, err := w.step(t, w.lowered(t), 0, 20); !errors.Is(err, cutover.ErrInconclusive) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another controller", func(t *testing.T) {
		w := entryWorld(t, client, "foreign", "other")
		p, err := cutover.PlanShift(t.Context(), w.shiftOptions(cutover.TTLResult{}, 0, 20))
		if err != nil || !refusedFor(p, "served by example.com/other") {
			t.Errorf("got %+v, %v", p, err)
		}
	})
}

func splitThereAndBack(t *testing.T, client *kube.Client) {
	w := entryWorld(t, client, "split", "nginx")
	before := objects(t, client, "split")
	var last *plan.Plan
	from := 0
	held := w.lowered(t)
	for _, to := range []int{20, 50} {
		p, result, err := w.step(t, held, from, to)
		if err != nil {
			t.Fatalf("step to %d: %v", to, err)
		}
		m := result.Measured[0]
		if off := m.Percent - float64(to); len(result.Measured) != 1 || off > 10 || off < -10 || m.Type != "requests" || m.Blue+m.Green < 200 {
			t.Errorf("step to %d: measured %s", to, m)
		}
		last, from = p, to
	}
	// Killed before its outcome was recorded, a step is made again, and nothing is doubled.
	w.rec = &plan.MemoryRecorder{}
	opts := w.shiftOptions(held, 20, 50)
	if _, err := cutover.ApplyShift(t.Context(), last, w.rec, opts); err != nil {
		t.Errorf("again: %v", err)
	}
	if now := objects(t, client, "split"); len(now) != 3 || !strings.Contains(fmt.Sprint(now), before[0]) {
		t.Errorf("before %v, now %v", before, now)
	}
	// A breach: green fails, and the way back comes from a plan whose weight is another than what is there.
	w.green.status.Store(http.StatusInternalServerError)
	w.rec = &plan.MemoryRecorder{}
	if _, err := cutover.ApplyShift(t.Context(), last, w.rec, opts); err == nil {
		t.Error("green fails, and the step passes")
	}
	weigh(t, client, "split", "35")
	for range 2 {
		back := cutover.UnsplitOptions{Options: w.opts, App: "shop", Shifts: []*plan.Plan{last}}
		p, err := cutover.PlanUnsplit(t.Context(), back)
		if err != nil {
			t.Fatal(err)
		}
		w.rec = &plan.MemoryRecorder{}
		if _, err := cutover.ApplyUnsplit(t.Context(), p, w.rec, back); err != nil {
			t.Fatal(err)
		}
	}
	if now := objects(t, client, "split"); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("before %v, now %v", before, now)
	}
}

// weigh sets the weight of the one canary by hand.
func weigh(t *testing.T, client *kube.Client, namespace, weight string) {
	t.Helper()
	ing := canaryOf(t, client, namespace)
	ing.Annotations["nginx.ingress.kubernetes.io/canary-weight"] = weight
	if _, err := client.Typed.NetworkingV1().Ingresses(namespace).Update(t.Context(), ing, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// canaryOf is the one canary of a namespace.
func canaryOf(t *testing.T, client *kube.Client, namespace string) *networkingv1.Ingress {
	t.Helper()
	list, err := client.Typed.NetworkingV1().Ingresses(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ing := range list.Items {
		if ing.Annotations["nginx.ingress.kubernetes.io/canary"] == "true" {
			return &ing
		}
	}
	t.Fatal("there is no canary")
	return nil
}

// editedSplitGoesBack: somebody has changed everything about the canary and its Service, also who owns them, and a finalizer holds the
// canary. It takes no request any more after the way back, what was changed is said, and another host that cannot be taken back keeps nothing up.
func editedSplitGoesBack(t *testing.T, client *kube.Client) {
	const namespace = "edited"
	w := entryWorld(t, client, namespace, "nginx")
	before := objects(t, client, namespace)
	p, _, err := w.step(t, w.lowered(t), 0, 20)
	if err != nil {
		t.Fatal(err)
	}
	name := canaryOf(t, client, namespace).Name
	ingresses := client.Typed.NetworkingV1().Ingresses(namespace)
	edit := func(change func(*networkingv1.Ingress)) {
		t.Helper()
		ing := canaryOf(t, client, namespace)
		change(ing)
		if _, err := ingresses.Update(t.Context(), ing, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	edit(func(ing *networkingv1.Ingress) {
		ing.Labels = map[string]string{"team": "web"}
		ing.Annotations["nginx.ingress.kubernetes.io/canary-by-header"] = "X-Green"
		ing.Annotations["nginx.ingress.kubernetes.io/canary-weight"] = "90"
		ing.Finalizers = []string{"example.com/held"}
		more := *ing.Spec.Rules[0].DeepCopy()
		more.Host = "more.apps.test"
		ing.Spec.Rules = append(ing.Spec.Rules, more)
	})
	svc, err := client.Typed.CoreV1().Services(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	svc.Spec.ExternalName = "elsewhere.lb.test"
	if _, err := client.Typed.CoreV1().Services(namespace).Update(t.Context(), svc, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	back := cutover.UnsplitOptions{Options: w.opts, App: "shop", Shifts: []*plan.Plan{p}}
	bp, err := cutover.PlanUnsplit(t.Context(), back)
	if err != nil {
		t.Fatal(err)
	}
	broken := bp.Changes[0]
	broken.ID, broken.Data = "unshift/shop/broken", []byte(`"nothing that can be taken back"`)
	whole := bp.Changes
	bp.Changes = append([]plan.Change{broken}, whole...)
	if _, err := cutover.ApplyUnsplit(t.Context(), bp, w.rec, back); err == nil || !strings.Contains(err.Error(), "read the plan") {
		t.Errorf("err = %v, want that of the host that cannot be taken back", err)
	}
	held := canaryOf(t, client, namespace)
	if a := held.Annotations; held.DeletionTimestamp == nil || a["nginx.ingress.kubernetes.io/canary-weight"] != "0" || a["nginx.ingress.kubernetes.io/canary-by-header"] != "" {
		t.Errorf("the canary that is held still takes requests: %v", a)
	}
	edit(func(ing *networkingv1.Ingress) { ing.Finalizers = nil })
	if now := objects(t, client, namespace); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("before %v, now %v", before, now)
	}
	bp.Changes = whole
	result, err := cutover.ApplyUnsplit(t.Context(), bp, w.rec, back)
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(result.Edited, "\n")
	for _, want := range []string{"spec of Ingress", "the label team", "canary-by-header", "held by finalizers (example.com/held)", "spec of Service"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said:\n%s", want, said)
		}
	}
	if strings.Contains(said, "canary-weight") {
		t.Errorf("a weight is no edit: it may be that of any step:\n%s", said)
	}
}

// staleCanaryIsRefused: who lost the fence splits nothing, whether he finds that out before he has made the canary or after, or whether
// the canary is another's; and what he made between the way back's two looks is taken away by the second.
func staleCanaryIsRefused(t *testing.T, client *kube.Client) {
	const namespace = "stale"
	w := entryWorld(t, client, namespace, "nginx")
	before := objects(t, client, namespace)
	opts := w.shiftOptions(w.lowered(t), 0, 20)
	p, err := cutover.PlanShift(t.Context(), opts)
	if err != nil || p.Err() != nil {
		t.Fatal(err, p.Err())
	}
	driver := opts.Zones[0].Driver
	for _, first := range []int64{0, 1} {
		opts.Zones[0].Driver = &flip{Zone: driver, first: first}
		var fenced *zone.FencedError
		if _, err := cutover.ApplyShift(t.Context(), p, &plan.MemoryRecorder{}, opts); !errors.As(err, &fenced) || !errors.Is(err, plan.ErrMoved) {
			t.Errorf("after %d looks: err = %v", first, err)
		}
		if now := objects(t, client, namespace); fmt.Sprint(now) != fmt.Sprint(before) {
			t.Errorf("after %d looks he has left %v", first, now)
		}
	}
	opts.Zones[0].Driver = driver
	if _, err := cutover.ApplyShift(t.Context(), p, w.rec, opts); err != nil {
		t.Fatal(err)
	}
	fence := func(token string) {
		t.Helper()
		ing := canaryOf(t, client, namespace)
		for k := range ing.Annotations {
			if strings.HasPrefix(k, "crossfade.dev/fence-") {
				ing.Annotations[k] = token
			}
		}
		if _, err := client.Typed.NetworkingV1().Ingresses(namespace).Update(t.Context(), ing, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	fence("crossfade/move/another")
	weigh(t, client, namespace, "0")
	if _, err := cutover.ApplyShift(t.Context(), p, &plan.MemoryRecorder{}, opts); !errors.Is(err, plan.ErrMoved) || canaryOf(t, client, namespace).Annotations["nginx.ingress.kubernetes.io/canary-weight"] != "0" {
		t.Errorf("another's canary: err = %v", err)
	}
	// The return looks again, under a fence of its own: the stale writer is refused after it.
	back := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: p, Shifts: []*plan.Plan{p}}
	rp, err := cutover.PlanReturn(t.Context(), back)
	if err != nil || rp.Err() != nil {
		t.Fatal(err, rp.Err())
	}
	returned, err := cutover.ApplyReturn(t.Context(), rp, &plan.MemoryRecorder{}, back)
	if err != nil || len(returned.Fences) != 1 {
		t.Fatalf("%+v, %v", returned, err)
	}
	if now := objects(t, client, namespace); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("before %v, now %v", before, now)
	}
	if _, err := cutover.ApplyShift(t.Context(), p, &plan.MemoryRecorder{}, opts); !errors.Is(err, plan.ErrMoved) {
		t.Errorf("a writer of before the return: err = %v", err)
	}
	if now := objects(t, client, namespace); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("before %v, now %v", before, now)
	}
	// The next run has the return's fence.
	next := opts
	next.Held = cutover.UnderFences(opts.Held, returned.Fences)
	np, err := cutover.PlanShift(t.Context(), next)
	if err != nil || np.Err() != nil {
		t.Fatal(err, np.Err())
	}
	if _, err := cutover.ApplyShift(t.Context(), np, &plan.MemoryRecorder{}, next); err != nil {
		t.Errorf("the next run: %v", err)
	}
}
