package cutover_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/standin"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// frontWorld is a real API server with its controllers; kubelets, and what runs in the pods, are played.
type frontWorld struct {
	client *kube.Client
	pods   *standin.Pods
}

func startFront(t *testing.T) frontWorld {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an API server")
	}
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	dir := t.TempDir()
	c, err := cluster.Light(t.Context(), cluster.LightOptions{Dir: dir, Controllers: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, c.Stop) })
	direct, err := kube.Connect(kube.Options{Kubeconfig: c.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	nodes := standin.Nodes("blue", direct)
	t.Cleanup(func() { stopped(t, nodes) })
	pods, err := standin.PlayPods(direct, standin.PodsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, pods.Stop) })
	front := filepath.Join(dir, "front.kubeconfig")
	if err := pods.Kubeconfig(front, "blue"); err != nil {
		t.Fatal(err)
	}
	client, err := kube.Connect(kube.Options{Kubeconfig: front})
	if err != nil {
		t.Fatal(err)
	}
	return frontWorld{client, pods}
}

func stopped(t *testing.T, stop func(context.Context) error) {
	t.Helper()
	if err := stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// services of every kind that a brown-out tells apart, and pods of the application and of somebody else.
const services = `
apiVersion: v1
kind: Service
metadata: {name: shop, annotations: {kept: "yes"}}
spec: {type: LoadBalancer, selector: {app: shop}, ports: [{name: web, port: 80, targetPort: http}, {name: tls, port: 443, targetPort: 8443}]}
---
apiVersion: v1
kind: Service
metadata: {name: nodeport}
spec: {type: NodePort, selector: {app: shop, tier: web}, ports: [{port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: routed}
spec: {selector: {app: shop}, ports: [{port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: internal}
spec: {selector: {app: shop}, ports: [{port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: shop}, ports: [{port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: bare}
spec: {type: NodePort, ports: [{port: 9001}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {type: ExternalName, externalName: elsewhere.test}
---
apiVersion: v1
kind: Service
metadata: {name: others}
spec: {type: NodePort, selector: {app: other}, ports: [{port: 9002}]}
---
apiVersion: v1
kind: Service
metadata: {name: local}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: shop}, ports: [{port: 9003}]}
---
apiVersion: v1
kind: Service
metadata: {name: near}
spec: {internalTrafficPolicy: Local, selector: {app: shop}, ports: [{port: 9004}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
    - {host: shop.apps.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: routed, port: {number: 8080}}}}]}}
`

// refusing are those of them that refuse.
func refusing() []string { return []string{"nodeport", "routed", "shop"} }

// brownOut is a namespace with Services, and the options of a brown-out of a second.
func (w frontWorld) brownOut(t *testing.T) (ns string, opts cutover.BrownOutOptions) {
	t.Helper()
	ns = kubetest.Namespace(t, w.client)
	kubetest.Apply(t, w.client, ns, services)
	kubetest.Apply(t, w.client, ns, `
apiVersion: v1
kind: Pod
metadata: {name: shop-1, labels: {app: shop, tier: web}}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: Pod
metadata: {name: other-1, labels: {app: other}}
spec: {containers: [{name: c, image: i}]}
`)
	at := &quick{Fake: *clock.NewFake(time.Now())}
	return ns, cutover.BrownOutOptions{
		Options: cutover.Options{
			Migration: "move", Stage: "brown-out", Clock: at, Blue: cutover.Side{Kube: w.client}, Rehearsal: &migration.Rehearsal{},
			Times:        migration.Cutover{Interval: migration.Duration(100 * time.Millisecond)},
			Applications: []migration.Application{{Name: "shop", Namespace: ns, Selector: "app=shop", Checks: []migration.Check{{Name: "there", Command: []string{"true"}}}}},
		},
		Retirement: migration.Retirement{Interval: migration.Duration(100 * time.Millisecond)},
		For:        time.Second, Helper: "rig.test/crossfade:1",
		Evidence: []cutover.Evidence{&script{name: "counter", clock: at, reach: true}},
	}
}

func (w frontWorld) planned(t *testing.T, opts cutover.BrownOutOptions) *plan.Plan {
	t.Helper()
	p, err := cutover.PlanBrownOut(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	// As it is read again from the disk.
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var again plan.Plan
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	return &again
}

// specs are the Services of a namespace as a client sees them, without what every write moves.
func (w frontWorld) specs(t *testing.T, ns string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"shop", "nodeport", "routed", "internal", "headless", "bare", "outside", "others"} {
		obj := kubetest.Get(t, w.client, "", "Service", ns, name)
		unstructured.RemoveNestedField(obj.Object, "metadata", "managedFields")
		obj.SetResourceVersion("")
		raw, err := obj.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(raw)
	}
	return all
}

// inFront are the Services that lead to pods of ours.
func (w frontWorld) inFront(t *testing.T, ns string) []string {
	t.Helper()
	var names []string
	for name, spec := range w.specs(t, ns) {
		if strings.Contains(spec, kube.LabelFront) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (w frontWorld) asBefore(t *testing.T, ns string, before map[string]string) {
	t.Helper()
	for name, now := range w.specs(t, ns) {
		if now != before[name] {
			t.Errorf("Service %s was\n%s\nand is\n%s", name, before[name], now)
		}
	}
	list, err := w.client.Typed.AppsV1().Deployments(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("%d Deployments are left, %v", len(list.Items), err)
	}
}

// C24: a brown-out that can be undone, before anything is deleted; and a blue that passes on to green, and says who still comes.
func TestC24_BlueRefusesOrForwardsOnARealAPIServer(t *testing.T) {
	w := startFront(t)
	for name, test := range map[string]func(*testing.T, frontWorld){
		"undone":       brownOutIsUndone,
		"straggler":    brownOutMeetsAStraggler,
		"ways":         brownOutLeavesOthersAlone,
		"killed":       brownOutThatWasKilled,
		"gone":         brownOutWithoutItsService,
		"interfered":   brownOutThatSomebodyChanges,
		"inconclusive": brownOutThatSeesTooLittle,
		"needed":       brownOutThatGreenCannotBear,
		"lag":          brownOutWaitsForEndpoints,
		"earlier pods": forwardingBesideEarlierPods,
		"knocks":       brownOutKnocks,
		"dead knocks":  brownOutThatDiedWhileItKnocked,
		"dead forward": forwardingThatWasKilled,
		"forward":      forwardingAndBack,
		"not forward":  forwardingThatFails,
		"circle":       forwardingInACircle,
		"evidence":     forwardingIsEvidence,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

// watching looks at the Services as soon as they refuse.
type watching struct {
	script
	saw func()
}

func (s *watching) Collect(ctx context.Context, last cutover.Observation) (cutover.Observation, error) {
	if s.saw != nil {
		s.saw()
		s.saw = nil
	}
	return s.script.Collect(ctx, last)
}

func brownOutIsUndone(t *testing.T, w frontWorld) {
	ns, opts := w.brownOut(t)
	before := w.specs(t, ns)
	var refused []string
	opts.Evidence = []cutover.Evidence{&watching{script: script{name: "counter", clock: opts.Clock, reach: true}, saw: func() { refused = w.inFront(t, ns) }}}
	p := w.planned(t, opts)
	var rec plan.MemoryRecorder
	result, err := cutover.ApplyBrownOut(t.Context(), p, &rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(refused, refusing()) {
		t.Errorf("%v refused, want %v", refused, refusing())
	}
	w.asBefore(t, ns, before)
	if took := result.Ended.Sub(result.Began); took < opts.For || len(result.Services) != len(refusing()) {
		t.Errorf("it lasted %s: %+v", took, result)
	}
	if result.Rounds["shop"].Passed == 0 || len(result.Evidence) != 1 || result.Evidence[0].Use != cutover.Quiet {
		t.Errorf("what was seen is not in it: %+v", result)
	}
	again, err := cutover.ApplyBrownOut(t.Context(), p, &rec, opts)
	if err != nil || !again.Began.Equal(result.Began) {
		t.Errorf("a second call does it again: %+v, %v", again, err)
	}
}

// C24: whoever comes while blue refuses is named, blocks the retirement, and is served again at once.
func brownOutMeetsAStraggler(t *testing.T, w frontWorld) {
	ns, opts := w.brownOut(t)
	opts.For = time.Hour // so that the straggler alone ends it
	before := w.specs(t, ns)
	w.pods.Stragglers.Come(ns, netip.MustParseAddr("192.0.2.77"), 3)
	_, err := cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts)
	var came *cutover.BrownOutError
	if !errors.As(err, &came) || !errors.Is(err, cutover.ErrBrownOut) || len(came.Callers) != 1 || came.Callers[0].Address != "192.0.2.77" || !strings.HasPrefix(came.Callers[0].Way, ns+"/") {
		t.Fatalf("err = %v", err)
	}
	for _, want := range []string{"192.0.2.77 came 1 times to " + came.Callers[0].Way, "somebody still uses blue"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	w.asBefore(t, ns, before)

	// One that the file says to ignore does not count; other evidence does.
	ns, opts = w.brownOut(t)
	opts.Retirement.Ignore = []string{"192.0.2.0/24"}
	w.pods.Stragglers.Come(ns, netip.MustParseAddr("192.0.2.77"), 3)
	if _, err := cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts); err != nil {
		t.Errorf("a probe that is to be ignored: %v", err)
	}
	ns, opts = w.brownOut(t)
	before = w.specs(t, ns)
	opts.For = time.Hour
	opts.Evidence = []cutover.Evidence{&script{name: "access log", clock: opts.Clock, reach: true, looks: []look{{use: cutover.Quiet}, {use: cutover.Used}}}}
	_, err = cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts)
	if !errors.As(err, &came) || len(came.Seen) != 1 || came.Seen[0].Evidence != "access log" {
		t.Errorf("err = %v", err)
	}
	w.asBefore(t, ns, before)
}

// C24, I3: what is not the migration's to let refuse goes on serving, and is told of.
func brownOutLeavesOthersAlone(t *testing.T, w frontWorld) {
	ns, opts := w.brownOut(t)
	targets := func(p *plan.Plan) (names []string) {
		for _, c := range p.Changes {
			if name, ok := strings.CutPrefix(c.ID, "brown-out/service/"+ns+"/"); ok {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	p := w.planned(t, opts)
	if got := targets(p); !slices.Equal(got, refusing()) {
		t.Errorf("%v would refuse, want %v", got, refusing())
	}
	noted := map[string]string{}
	for _, n := range p.Notes {
		noted[strings.TrimPrefix(n.What, "Service "+ns+"/")] = n.Text
	}
	if _, told := noted["others"]; told || !strings.Contains(noted["headless"], "headless") || !strings.Contains(noted["internal"], "brownOut: {internal: true}") ||
		!strings.Contains(noted["local"], "externalTrafficPolicy is Local") || !strings.Contains(noted["near"], "internalTrafficPolicy is Local") {
		t.Errorf("notes %v", noted)
	}
	opts.Retirement.BrownOut = &migration.BrownOut{Internal: true}
	if got, want := targets(w.planned(t, opts)), []string{"internal", "nodeport", "routed", "shop"}; !slices.Equal(got, want) {
		t.Errorf("with internal %v would refuse, want %v", got, want)
	}
	// What is to be deleted as a whole refuses as a whole.
	opts.Retirement.Delete.Namespaces = []string{ns}
	if got, want := targets(w.planned(t, opts)), []string{"internal", "nodeport", "others", "routed", "shop"}; !slices.Equal(got, want) {
		t.Errorf("of a namespace to be deleted %v would refuse, want %v", got, want)
	}
	opts.Retirement = migration.Retirement{}
	opts.Applications[0].Hostnames = []migration.Hostname{{Name: "shop.apps.test", Service: "headless"}, {Name: "www.apps.test", Service: "others"}, {Name: "api.apps.test"}, {Name: "near.apps.test", Service: "local"}}
	opts.Helper = ""
	p, err := cutover.PlanBrownOut(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"it is headless", "externalTrafficPolicy is Local: whoever comes to a node without a pod of ours would be dropped", "no application of the migration has", "neither a Service, an Ingress nor an HTTPRoute", "blue.helper names no image"} {
		if err := p.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// C24: that nothing leads in is no proof where something did, of which clients are known.
func brownOutWithoutItsService(t *testing.T, w frontWorld) {
	ns := kubetest.Namespace(t, w.client)
	_, opts := w.brownOut(t)
	opts.Applications[0].Namespace = ns // without any Service
	if p := w.planned(t, opts); len(p.Changes) > 0 || len(p.Notes) != 1 || !strings.Contains(p.Notes[0].Text, "nothing leads to the applications from outside") {
		t.Errorf("without a Service: %+v", p)
	}
	// What an earlier one let refuse is known of its changes.
	for _, change := range []string{"brown-out/pods/" + ns, "brown-out/service/" + ns + "/web", "brown-out/watch"} {
		if service, ok := cutover.Refuses("brown-out", change); ok {
			opts.Refused = append(opts.Refused, service)
		}
	}
	opts.Applications[0].Hostnames = []migration.Hostname{{Name: "shop.apps.test", Service: "shop"}}
	p, err := cutover.PlanBrownOut(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range p.Refusals {
		got = append(got, r.What+": "+r.Why)
	}
	want := []string{
		"Service " + ns + "/shop: clients of shop.apps.test come by it, and it is gone: whoever comes now is seen by nobody",
		"Service " + ns + "/web: it refused in a brown-out that did not come to its end, and it is gone: whoever comes now is seen by nobody",
	}
	if !slices.Equal(got, want) {
		t.Errorf("refused: %q, want %q", got, want)
	}
}

// I6: what a killed run has left is put back from the plan alone, however far it had come, and however often that is done.
func brownOutThatWasKilled(t *testing.T, w frontWorld) {
	ns, opts := w.brownOut(t)
	before := w.specs(t, ns)
	p := w.planned(t, opts)
	for done := range len(refusing()) + 2 {
		// The process dies with the change after: nothing of its own undoing runs.
		half := *p
		half.Changes = slices.Clone(p.Changes[:done])
		if err := cutover.MakeBrownOut(t.Context(), &half, &plan.MemoryRecorder{}, opts); err != nil {
			t.Fatal(err)
		}
		if got := len(w.inFront(t, ns)); got != max(0, done-1) {
			t.Errorf("after %d changes %d Services lead to our pods", done, got)
		}
		for range 2 {
			if err := cutover.EndBrownOut(t.Context(), p, &plan.MemoryRecorder{}, opts.Options); err != nil {
				t.Fatal(err)
			}
			w.asBefore(t, ns, before)
		}
	}
	// Ctrl-C: put back before the process ends.
	opts.For = time.Hour
	ctx, stop := context.WithCancel(t.Context())
	opts.Evidence = []cutover.Evidence{&watching{script: script{name: "counter", clock: opts.Clock, reach: true}, saw: stop}}
	if _, err := cutover.ApplyBrownOut(ctx, p, &plan.MemoryRecorder{}, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want that it was stopped", err)
	}
	w.asBefore(t, ns, before)
}

func brownOutThatSomebodyChanges(t *testing.T, w frontWorld) {
	ns, opts := w.brownOut(t)
	opts.For = time.Hour
	patch := func(name, body string) {
		if _, err := w.client.Typed.CoreV1().Services(ns).Patch(t.Context(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
	}
	before := w.specs(t, ns)
	p := w.planned(t, opts)
	patch("shop", `{"spec":{"selector":{"version":"2"}}}`)
	_, err := cutover.ApplyBrownOut(t.Context(), p, &plan.MemoryRecorder{}, opts)
	if !errors.Is(err, plan.ErrMoved) {
		t.Errorf("a Service that has changed since the plan: %v", err)
	}
	patch("shop", `{"spec":{"selector":{"version":null}}}`)
	w.asBefore(t, ns, before)

	// Meanwhile: somebody's own ports and labels stay, what is ours goes.
	opts.Evidence = []cutover.Evidence{&watching{script: script{name: "counter", clock: opts.Clock, reach: true}, saw: func() {
		patch("shop", `{"metadata":{"labels":{"new":"yes"}},"spec":{"ports":[{"name":"web","port":80,"targetPort":20003},{"name":"more","port":81,"targetPort":8081}]}}`)
		patch("routed", `{"spec":{"selector":{"crossfade.dev/front":null,"app":"v2"}}}`)
	}}}
	_, err = cutover.ApplyBrownOut(t.Context(), p, &plan.MemoryRecorder{}, opts)
	var unseen *cutover.InconclusiveError
	if !errors.As(err, &unseen) || errors.Is(err, cutover.ErrNotUndone) {
		t.Fatalf("err = %v", err)
	}
	shop, err := w.client.Typed.CoreV1().Services(ns).Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s := shop.Spec; len(s.Selector) != 1 || s.Selector["app"] != "shop" || len(s.Ports) != 2 || s.Ports[0].TargetPort.String() != "http" && s.Ports[1].TargetPort.String() != "http" || shop.Labels["new"] != "yes" {
		t.Errorf("shop is %+v, labels %v", s, shop.Labels)
	}
	routed, err := w.client.Typed.CoreV1().Services(ns).Get(t.Context(), "routed", metav1.GetOptions{})
	if err != nil || routed.Spec.Selector["app"] != "v2" || len(routed.Spec.Selector) != 1 || routed.Spec.Ports[0].TargetPort.IntValue() != 8080 {
		t.Errorf("routed is %+v, %v", routed.Spec, err)
	}
	if got := w.inFront(t, ns); len(got) > 0 {
		t.Errorf("%v still lead to our pods", got)
	}
}

// I8: what could not be seen proves nothing.
func brownOutThatSeesTooLittle(t *testing.T, w frontWorld) {
	ns, opts := w.brownOut(t)
	before := w.specs(t, ns)
	opts.Evidence = []cutover.Evidence{&script{name: "blind", clock: opts.Clock, looks: repeat(10000, look{err: errors.New("no answer")})}}
	_, err := cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts)
	var unseen *cutover.InconclusiveError
	if !errors.As(err, &unseen) || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("evidence that gives no answer: %v", err)
	}
	w.asBefore(t, ns, before)

	// The pod that counts is replaced: what it had counted is lost.
	_, opts = w.brownOut(t)
	ns = opts.Applications[0].Namespace
	before = w.specs(t, ns)
	opts.For = time.Hour
	opts.Evidence = []cutover.Evidence{&watching{script: script{name: "counter", clock: opts.Clock, reach: true}, saw: func() {
		if err := w.client.Typed.CoreV1().Pods(ns).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: kube.LabelFront}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	}}}
	_, err = cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts)
	if !errors.As(err, &unseen) {
		t.Errorf("a pod that was replaced: %v", err)
	}
	w.asBefore(t, ns, before)
}

// Green that still needs blue fails its checks, and gets blue back.
func brownOutThatGreenCannotBear(t *testing.T, w frontWorld) {
	ns, opts := w.brownOut(t)
	before := w.specs(t, ns)
	opts.For = time.Hour
	opts.Applications[0].Checks[0].Command = []string{"false"}
	_, err := cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts)
	if !errors.Is(err, cutover.ErrBreach) {
		t.Errorf("err = %v", err)
	}
	w.asBefore(t, ns, before)
}

// A Service that still leads to the pods from before refuses nobody: what came then would be judged wrongly.
func brownOutWaitsForEndpoints(t *testing.T, w frontWorld) {
	ns, opts := w.brownOut(t)
	before := w.specs(t, ns)
	slices := w.client.Typed.DiscoveryV1().EndpointSlices(ns)
	pod, err := w.client.Typed.CoreV1().Pods(ns).Get(t.Context(), "shop-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	late := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "late", Labels: map[string]string{discoveryv1.LabelServiceName: "shop"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.200.99.9"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod.Name, UID: pod.UID}}},
	}
	if _, err := slices.Create(t.Context(), late, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	opts.Evidence = []cutover.Evidence{&watching{script: script{name: "counter", clock: opts.Clock, reach: true}, saw: func() { t.Error("it watches while a Service leads to its own pods") }}}
	_, err = cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts)
	var unseen *cutover.InconclusiveError
	if !errors.As(err, &unseen) || !strings.Contains(err.Error(), "Service "+ns+"/shop does not lead to the pods that it chooses after 1m0s: shop-1 is still there") || errors.Is(err, cutover.ErrNotUndone) {
		t.Errorf("err = %v", err)
	}
	w.asBefore(t, ns, before)

	// The controllers come to it while it waits.
	gone := false
	opts.Evidence = []cutover.Evidence{&watching{script: script{name: "counter", clock: opts.Clock, reach: true}, saw: func() {
		_, err := slices.Get(t.Context(), "late", metav1.GetOptions{})
		gone = apierrors.IsNotFound(err)
	}}}
	time.AfterFunc(time.Second, func() { _ = slices.Delete(context.Background(), "late", metav1.DeleteOptions{}) })
	if _, err := cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts); err != nil || !gone {
		t.Errorf("a Service that follows late: %v, followed %v", err, gone)
	}
	w.asBefore(t, ns, before)
}

// Pods of an earlier Deployment have the same labels: they are not the new one's, and nobody is led to them.
func forwardingBesideEarlierPods(t *testing.T, w frontWorld) {
	ns, opts := w.forward(t, 1)
	before := w.front(t, ns)
	p, err := cutover.PlanForward(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	var name string
	for _, c := range p.Changes {
		if at, ok := strings.CutPrefix(c.Target, "blue: Deployment "+ns+"/"); ok {
			name = at
		}
	}
	owner, err := w.client.Typed.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	for _, pod := range []string{"earlier-1", "earlier-2"} {
		_, err := w.client.Typed.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: pod, Labels: map[string]string{kube.LabelFront: name, kube.LabelMigration: "move", kube.LabelComponent: "forwarder"},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: owner.UID, Controller: &yes}},
			},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	opts.Clock.(*quick).hasty = true
	_, err = cutover.ApplyForward(t.Context(), p, &plan.MemoryRecorder{}, opts)
	if err == nil || !strings.Contains(err.Error(), "of an earlier Deployment there is still earlier-1, earlier-2") {
		t.Errorf("err = %v", err)
	}
	if now := w.front(t, ns); now != before {
		t.Errorf("the Service was\n%s\nand is\n%s", before, now)
	}
	w.noDeployments(t, ns)
}
