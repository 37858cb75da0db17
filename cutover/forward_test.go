package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// quick is a clock whose seconds pass in some milliseconds, so that what others do in real time is met. What polls others in parts of a
// second waits for half of that, so that its limit of a minute is half a minute of theirs.
type quick struct {
	clock.Fake
	// hasty is set where a wait is to last to its limit, and nobody is waited for.
	hasty bool
}

func (q *quick) Sleep(ctx context.Context, d time.Duration) error {
	if d < time.Second && !q.hasty {
		time.Sleep(d / 2)
	} else {
		time.Sleep(min(d, 50*time.Millisecond))
	}
	return q.Fake.Sleep(ctx, d)
}

// forward is a namespace with Services, and the options of a forwarding of the Service shop, whose entry on blue is a listener of the
// test. after is how often a pod's counts are read before it has counted somebody.
func (w frontWorld) forward(t *testing.T, after int) (ns string, opts cutover.ForwardOptions) {
	t.Helper()
	ns, brown := w.brownOut(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	kubetest.Apply(t, w.client, ns, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {type: NodePort, selector: {app: shop}, ports: [{name: web, port: %d, targetPort: 8080}, {name: more, port: 9, targetPort: more}]}
`, port))
	brown.Stage, brown.Clock = "forward/shop", &quick{Fake: *clock.NewFake(time.Now())}
	app := &brown.Applications[0]
	app.Forward = &migration.Forward{Way: "pod"}
	app.Checks = []migration.Check{{Name: "connects", TCP: &migration.TCPCheck{Port: port}}}
	app.Hostnames = []migration.Hostname{{Name: "shop.apps.test", Service: "front", Port: port, Blue: &migration.Entry{Address: "127.0.0.1"}, Green: &migration.Entry{Address: "192.0.2.9"}}}
	if after >= 0 {
		w.pods.Stragglers.Come(ns, netip.MustParseAddr("192.0.2.66"), after)
	}
	return ns, cutover.ForwardOptions{Options: brown.Options, App: "shop", Helper: "rig.test/crossfade:1"}
}

func (w frontWorld) front(t *testing.T, ns string) string {
	t.Helper()
	obj := kubetest.Get(t, w.client, "", "Service", ns, "front")
	obj.SetManagedFields(nil)
	obj.SetResourceVersion("")
	raw, err := obj.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func forwardingAndBack(t *testing.T, w frontWorld) {
	ns, opts := w.forward(t, 1)
	before := w.front(t, ns)
	p, err := cutover.PlanForward(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	var rec plan.MemoryRecorder
	result, err := cutover.ApplyForward(t.Context(), p, &rec, opts)
	if err != nil {
		t.Fatal(err)
	}
	port := opts.Applications[0].Hostnames[0].Port
	want := []string{fmt.Sprintf("%s/front:%d > 192.0.2.9:%d", ns, port, port), ns + "/front:9 > 192.0.2.9:9"}
	if !slices.Equal(result.To, want) || len(result.Checks) != 1 || result.Since.IsZero() {
		t.Errorf("got %+v", result)
	}
	svc, err := w.client.Typed.CoreV1().Services(ns).Get(t.Context(), "front", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pods, err := w.client.Typed.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: kube.LabelFront + "=" + svc.Spec.Selector[kube.LabelFront]})
	if err != nil || len(pods.Items) != 2 || len(svc.Spec.Selector) != 1 || svc.Spec.Ports[0].TargetPort.IntValue() != 20001 || svc.Spec.Ports[1].TargetPort.IntValue() != 20002 {
		t.Errorf("%d pods behind %+v, %v", len(pods.Items), svc.Spec, err)
	}
	for _, pod := range pods.Items {
		c := pod.Spec.Containers[0]
		if *pod.Spec.AutomountServiceAccountToken || !*pod.Spec.SecurityContext.RunAsNonRoot || !*c.SecurityContext.ReadOnlyRootFilesystem || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("a pod that may more than it needs: %+v", pod.Spec)
		}
	}
	again, err := cutover.ApplyForward(t.Context(), p, &rec, opts)
	if err != nil || !again.Since.Equal(result.Since) {
		t.Errorf("a second call does it again: %+v, %v", again, err)
	}
	// A brown-out of a Service that leads to green already puts it back to that.
	brown := cutover.BrownOutOptions{
		Options: opts.Options, For: time.Second, Helper: opts.Helper, Retirement: migration.Retirement{Interval: migration.Duration(time.Second)},
		Evidence: []cutover.Evidence{&script{name: "counter", clock: opts.Clock, reach: true}},
	}
	brown.Stage, brown.Applications = "brown-out", []migration.Application{{Name: "shop", Namespace: ns, Selector: "app=shop", Checks: []migration.Check{{Name: "there", Command: []string{"true"}}}}}
	forwarding := w.front(t, ns)
	bp, err := cutover.PlanBrownOut(t.Context(), brown)
	if err != nil {
		t.Fatal(err)
	}
	brown.Retirement.Ignore = []string{"192.0.2.66/32"}
	if _, err := cutover.ApplyBrownOut(t.Context(), bp, &plan.MemoryRecorder{}, brown); err != nil {
		t.Error(err)
	}
	if now := w.front(t, ns); now != forwarding {
		t.Errorf("the Service led to green as\n%s\nand is\n%s", forwarding, now)
	}
	for range 2 {
		if err := cutover.EndForward(t.Context(), p, opts.Options); err != nil {
			t.Fatal(err)
		}
		if now := w.front(t, ns); now != before {
			t.Errorf("the Service was\n%s\nand is\n%s", before, now)
		}
	}
	w.noDeployments(t, ns)
}

// I6: a forwarding that was killed after any of its changes is made by the same plan, or taken back from it, and the Service is exactly
// what it was.
func forwardingThatWasKilled(t *testing.T, w frontWorld) {
	ns, opts := w.forward(t, -1)
	w.pods.Stragglers.Counting(ns)
	before := w.front(t, ns)
	p, err := cutover.PlanForward(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for done := range len(p.Changes) + 1 {
		for _, goesOn := range []bool{false, true} {
			half := *p
			half.Changes = slices.Clone(p.Changes[:done])
			if err := cutover.MakeForward(t.Context(), &half, opts); err != nil && done > 0 {
				t.Fatalf("%d changes: %v", done, err)
			}
			if goesOn {
				if _, err := cutover.ApplyForward(t.Context(), p, &plan.MemoryRecorder{}, opts); err != nil {
					t.Errorf("killed after %d changes, and again: %v", done, err)
				}
			}
			for range 2 {
				if err := cutover.EndForward(t.Context(), p, opts.Options); err != nil {
					t.Fatal(err)
				}
			}
			if now := w.front(t, ns); now != before {
				t.Errorf("killed after %d changes: the Service was\n%s\nand is\n%s", done, before, now)
			}
			w.noDeployments(t, ns)
		}
	}
}

func (w frontWorld) noDeployments(t *testing.T, ns string) {
	t.Helper()
	list, err := w.client.Typed.AppsV1().Deployments(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("%d Deployments are left, %v", len(list.Items), err)
	}
}

// What does not answer by way of green, or answers by another way, is put back at once.
func forwardingThatFails(t *testing.T, w frontWorld) {
	for name, tt := range map[string]struct {
		after  int
		change func(*cutover.ForwardOptions)
		want   string
	}{
		"not counted": {-1, func(*cutover.ForwardOptions) {}, "not by way of our pods"},
		"no answer":   {1, func(o *cutover.ForwardOptions) { o.Applications[0].Checks[0].TCP.Port = 1 }, "does not answer by way of green"},
	} {
		ns, opts := w.forward(t, tt.after)
		before := w.front(t, ns)
		tt.change(&opts)
		opts.Clock.(*quick).hasty = true
		p, err := cutover.PlanForward(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cutover.ApplyForward(t.Context(), p, &plan.MemoryRecorder{}, opts); err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, cutover.ErrNotUndone) {
			t.Errorf("%s: err = %v, want %q", name, err, tt.want)
		}
		if now := w.front(t, ns); now != before {
			t.Errorf("%s: the Service was\n%s\nand is\n%s", name, before, now)
		}
		w.noDeployments(t, ns)
	}
}

func forwardingInACircle(t *testing.T, w frontWorld) {
	ns, _ := w.forward(t, -1)
	for name, tt := range map[string]struct {
		change func(*migration.Application, *cutover.ForwardOptions)
		want   string
	}{
		"address": {func(a *migration.Application, _ *cutover.ForwardOptions) { a.Hostnames[0].Green.Address = "127.0.0.1" }, "is an address of blue's entry of shop.apps.test: what blue sends there comes back"},
		"target": {func(a *migration.Application, _ *cutover.ForwardOptions) {
			a.Hostnames[0].Green.Target, a.Hostnames[0].Blue.Target = "lb.test", "lb.test"
		}, "green's entry lb.test. is blue's"},
		"nowhere":   {func(a *migration.Application, _ *cutover.ForwardOptions) { a.Hostnames[0].Green = nil }, "no address of green's entry is known"},
		"headless":  {func(a *migration.Application, _ *cutover.ForwardOptions) { a.Hostnames[0].Service = "headless" }, "it is headless"},
		"local":     {func(a *migration.Application, _ *cutover.ForwardOptions) { a.Hostnames[0].Service = "local" }, "externalTrafficPolicy is Local"},
		"datagrams": {func(a *migration.Application, _ *cutover.ForwardOptions) { a.Hostnames[0].Service = "nodeport" }, "it has a port of UDP"},
		"others":    {func(a *migration.Application, _ *cutover.ForwardOptions) { a.Hostnames[0].Service = "others" }, "others use it"},
		"missing":   {func(a *migration.Application, _ *cutover.ForwardOptions) { a.Hostnames[0].Service = "none" }, "it does not exist on blue"},
		"no way":    {func(a *migration.Application, _ *cutover.ForwardOptions) { a.Hostnames[0].Service = "" }, "neither a Service nor an Ingress"},
		"no image":  {func(_ *migration.Application, o *cutover.ForwardOptions) { o.Helper = "" }, "blue.helper names no image"},
		"ports": {func(_ *migration.Application, o *cutover.ForwardOptions) {
			green := kubetest.Namespace(t, w.client)
			kubetest.Apply(t, w.client, green, fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: front}\nspec: {selector: {app: shop}, ports: [{port: %d}]}\n", o.Applications[0].Hostnames[0].Port))
			o.Green = cutover.Side{Kube: w.client, Namespaces: map[string]string{o.Applications[0].Namespace: green}}
		}, "it has a port 9, and green's Service"},
	} {
		_, opts := w.forward(t, -1)
		tt.change(&opts.Applications[0], &opts)
		p, err := cutover.PlanForward(t.Context(), opts)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := p.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		early := plan.New("move", "preflight")
		if err := cutover.ExamineForward(t.Context(), early, opts); err != nil {
			t.Fatal(err)
		}
		if refused := early.Err() != nil; refused == (name == "nowhere" || name == "no image") {
			t.Errorf("%s: before green is there: %v", name, early.Err())
		}
	}
	w.noDeployments(t, ns)
}

// I8, C24: who is passed on is a use of blue, by name; a pod that forgot what it counted, or says nothing, is no silence.
func forwardingIsEvidence(t *testing.T, w frontWorld) {
	ns, opts := w.forward(t, 1)
	p, err := cutover.PlanForward(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplyForward(t.Context(), p, &plan.MemoryRecorder{}, opts); err != nil {
		t.Fatal(err)
	}
	opts.Clock = clock.System{}
	e, err := cutover.NewForwardEvidence(opts.Options, "shop", p, []netip.Prefix{netip.MustParsePrefix("192.0.2.66/32")})
	if err != nil {
		t.Fatal(err)
	}
	w.pods.Stragglers.Go(ns)
	first, err := e.Collect(t.Context(), cutover.Observation{})
	if err != nil || first.Use != cutover.Quiet || !first.From.Equal(first.At) {
		t.Fatalf("the first look: %+v, %v", first, err)
	}
	second, err := e.Collect(t.Context(), first)
	if err != nil || second.Use != cutover.Quiet || !second.From.Equal(first.At) {
		t.Fatalf("a quiet look: %+v, %v", second, err)
	}
	w.pods.Stragglers.Come(ns, netip.MustParseAddr("192.0.2.66"), 0)
	if got, err := e.Collect(t.Context(), second); err != nil || got.Use != cutover.Quiet {
		t.Errorf("one to be ignored: %+v, %v", got, err)
	}
	w.pods.Stragglers.Come(ns, netip.MustParseAddr("192.0.2.77"), 0)
	third, err := e.Collect(t.Context(), second)
	if err != nil || third.Use != cutover.Used || len(third.Details) == 0 || !strings.HasPrefix(third.Details[0], "192.0.2.77 at "+ns+"/front:") {
		t.Errorf("somebody came: %+v, %v", third, err)
	}
	// Each look counts what came since the one before: one connection at each of two pods, and then one more.
	w.pods.Stragglers.Come(ns, netip.MustParseAddr("192.0.2.66"), 0)
	w.pods.Stragglers.Come(ns, netip.MustParseAddr("192.0.2.77"), 0)
	if fourth, err := e.Collect(t.Context(), third); err != nil || third.Uses != 2 || fourth.Uses != 2 || !strings.Contains(fourth.Text, "2 of them since the last look, of 2 clients") {
		t.Errorf("%d uses and then %d, %q, %v", third.Uses, fourth.Uses, fourth.Text, err)
	}
	w.pods.Stragglers.Go(ns)
	pods := w.client.Typed.CoreV1().Pods(ns)
	if err := pods.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: kube.LabelFront}); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		got, err := e.Collect(t.Context(), second)
		if err != nil { // nobody counts just now
			if time.Now().Before(until) {
				continue
			}
			t.Fatal(err)
		}
		if !got.From.Equal(got.At) {
			t.Errorf("pods that were replaced reach back: %+v", got)
		}
		break
	}
	if err := cutover.EndForward(t.Context(), p, opts.Options); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := e.Collect(t.Context(), second); err != nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal("pods that are gone are evidence")
		}
	}
}
