package cutover_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/rfc2136"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// sideOf is a side whose objects are client-go's fake: what is tested is what is made of them.
func sideOf(objects ...runtime.Object) cutover.Side {
	return cutover.Side{Kube: &kube.Client{Typed: fake.NewClientset(objects...)}}
}

func keeper(args ...string) *appsv1.Deployment {
	replicas := int32(1)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dns", Name: "external-dns"},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Name: "main", Image: "registry.k8s.io/external-dns/external-dns:v0.15.0", Args: append([]string{"--source=ingress", "--provider=rfc2136"}, args...)},
		}}}},
	}
}

func asking(name string, annotations map[string]string) *networkingv1.Ingress {
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", Annotations: annotations},
		Spec:       networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: strings.TrimSuffix(name, ".")}}},
		Status:     networkingv1.IngressStatus{LoadBalancer: networkingv1.IngressLoadBalancerStatus{Ingress: []networkingv1.IngressLoadBalancerIngress{{Hostname: "Green.LB.test"}}}},
	}
}

func ownership(name, owner string) zone.RRset {
	return zone.RRset{Name: name, Type: "TXT", TTL: 300, Data: []string{`"heritage=external-dns,external-dns/owner=` + owner + `,external-dns/resource=ingress/demo/shop"`}}
}

const ownerName = "cname-" + shopName

// keptWorld is a world whose name external-dns keeps on both sides.
func keptWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if err := w.zone.Put(ownership(ownerName, "blue-prod")); err != nil {
		t.Fatal(err)
	}
	w.opts.Blue = sideOf(keeper("--txt-owner-id=blue-prod"), asking(shopName, nil))
	w.opts.Green = sideOf(keeper("--txt-owner-id=green-prod"), asking(shopName, nil))
	return w
}

func (w *world) owner(t *testing.T, name string) string {
	t.Helper()
	set, err := w.zone.Lookup(t.Context(), name, "TXT")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(set.Data, " ")
}

// TestC25_OwnershipGoesWithTheName: there with the swap, back with the return, byte for byte.
func TestC25_OwnershipGoesWithTheName(t *testing.T) {
	w := keptWorld(t)
	before := w.owner(t, ownerName)
	p, swapped := w.swapped(t)
	if got, want := w.owner(t, ownerName), strings.Replace(before, "blue-prod", "green-prod", 1); got != want {
		t.Errorf("after the swap external-dns's record is %s, want %s", got, want)
	}
	if with := swapped.Names[0].Change.With; len(with) != 1 || with[0].Old.Name != ownerName {
		t.Errorf("the change went with %+v", with)
	}
	if !noted(p, "blue-prod hands it over to green-prod in the same message ("+ownerName+")") {
		t.Errorf("notes: %+v", p.Notes)
	}
	w.returned(t, p)
	if got := w.owner(t, ownerName); got != before {
		t.Errorf("after the return external-dns's record is %s, want %s", got, before)
	}
}

func noted(p *plan.Plan, text string) bool {
	for _, n := range p.Notes {
		if contains(n.Text, text) {
			return true
		}
	}
	return false
}

func (w *world) returned(t *testing.T, swap *plan.Plan) *plan.Plan {
	t.Helper()
	opts := cutover.ReturnOptions{Options: w.opts, App: "shop", Swap: swap}
	p, err := cutover.PlanReturn(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplyReturn(t.Context(), p, w.rec, opts); err != nil {
		t.Fatal(err)
	}
	if set := w.lookup(t, "CNAME"); set.Data[0] != "blue.lb.test." {
		t.Errorf("the name leads to %v after the return", set.Data)
	}
	return p
}

// TestC25_ReturnTakesWhatGreenWrote: green's external-dns has written its record anew, in a further form too; both go back to
// blue's, or blue's would not keep the name. A record that is nobody's any more holds nothing up.
func TestC25_ReturnTakesWhatGreenWrote(t *testing.T) {
	w := keptWorld(t)
	p, _ := w.swapped(t)
	rewritten := ownership(ownerName, "green-prod")
	rewritten.Data = []string{`"heritage=external-dns,external-dns/owner=green-prod,external-dns/resource=ingress/other/web"`}
	if err := w.zone.Put(rewritten); err != nil {
		t.Fatal(err)
	}
	w.returned(t, p)
	if got := w.owner(t, ownerName); !strings.Contains(got, "owner=blue-prod,external-dns/resource=ingress/other/web") {
		t.Errorf("external-dns's record is %s", got)
	}

	w = keptWorld(t)
	p, _ = w.swapped(t)
	if err := w.zone.Put(zone.RRset{Name: ownerName, Type: "TXT", TTL: 60, Data: []string{`"gone"`}}); err != nil {
		t.Fatal(err)
	}
	back := w.returned(t, p)
	if !noted(back, "none of external-dns's records of it says that it is green-prod's any more") {
		t.Errorf("notes: %+v", back.Notes)
	}
}

// TestC25_WithoutHandoverNothingMoves: where the ownership cannot go with the name, the plan refuses, and says what helps.
func TestC25_WithoutHandoverNothingMoves(t *testing.T) {
	paused := &migration.ExternalDNS{Paused: true}
	for name, tt := range map[string]struct {
		change func(*testing.T, *world)
		want   string // empty: it goes through
	}{
		"both sides are kept": {func(*testing.T, *world) {}, ""},
		"one owner id on both sides": {func(_ *testing.T, w *world) {
			w.opts.Green = sideOf(keeper("--txt-owner-id=blue-prod"), asking(shopName, nil))
		}, "has the owner id blue-prod on both sides"},
		"green has none": {func(_ *testing.T, w *world) { w.opts.Green = sideOf(asking(shopName, nil)) },
			"no Deployment of green runs an external-dns that could take it"},
		"blue's is not to be found": {func(_ *testing.T, w *world) { w.opts.Blue = sideOf() }, "no Deployment of blue runs external-dns as blue-prod"},
		"it is a third one's":       {func(t *testing.T, w *world) { w.put(t, ownership(ownerName, "third")) }, "runs external-dns as third"},
		"green owns it already": {func(t *testing.T, w *world) {
			w.put(t, ownership(ownerName, "green-prod"))
			w.opts.Times.ExternalDNS = &migration.ExternalDNS{Blue: &migration.ExternalDNSOwner{Owner: "blue-prod"}}
		}, "which is green's, while the name leads to blue"},
		"another registry on green": {func(_ *testing.T, w *world) {
			w.opts.Green = sideOf(keeper("--txt-owner-id=green-prod", "--registry=dynamodb"), asking(shopName, nil))
		}, "keeps its records in the registry dynamodb"},
		"another registry on blue": {func(t *testing.T, w *world) {
			w.remove(t, ownership(ownerName, "blue-prod"))
			w.opts.Blue = sideOf(keeper("--registry=dynamodb"))
			w.opts.Times.ExternalDNS = &migration.ExternalDNS{}
		}, "what it owns stands in the registry dynamodb"},
		"another prefix on green": {func(_ *testing.T, w *world) {
			w.opts.Green = sideOf(keeper("--txt-owner-id=green-prod", "--txt-prefix=x-"), asking(shopName, nil))
		}, "in one way on blue"},
		"encrypted": {func(t *testing.T, w *world) {
			w.put(t, zone.RRset{Name: ownerName, Type: "TXT", TTL: 60, Data: []string{`"7cW3gqcYVYHyHEZxZ8uvTEkgKKtdEOdVMEzlFGJPHVsBwrwSbkQ0mCyRj1OZqPQ="`}})
		}, "is encrypted, or of another unknown form"},
		"green's is told in a Secret": {func(_ *testing.T, w *world) {
			d := keeper()
			d.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "EXTERNAL_DNS_TXT_OWNER_ID", ValueFrom: &corev1.EnvVarSource{}}}
			w.opts.Green = sideOf(d, asking(shopName, nil))
		}, "EXTERNAL_DNS_TXT_OWNER_ID takes its value from another object"},
		"two on green": {func(_ *testing.T, w *world) {
			second := keeper("--txt-owner-id=second")
			second.Name = "second"
			w.opts.Green = sideOf(keeper("--txt-owner-id=green-prod"), second, asking(shopName, nil))
		}, "more than one external-dns could keep it"},
		"two on green, one for another domain": {func(_ *testing.T, w *world) {
			second := keeper("--txt-owner-id=second", "--domain-filter=other.test")
			second.Name = "second"
			w.opts.Green = sideOf(keeper("--txt-owner-id=green-prod"), second, asking(shopName, nil))
		}, ""},
		"nobody on green asks for it": {func(_ *testing.T, w *world) { w.opts.Green = sideOf(keeper("--txt-owner-id=green-prod")) },
			"would delete the record as soon as it owns it"},
		"nobody asks, and nothing is deleted": {func(_ *testing.T, w *world) {
			w.opts.Green = sideOf(keeper("--txt-owner-id=green-prod", "--policy=upsert-only"))
		}, ""},
		"a Service that green's does not read": {func(_ *testing.T, w *world) {
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", Annotations: map[string]string{"external-dns.alpha.kubernetes.io/hostname": "shop.apps.test"}}}
			w.opts.Green = sideOf(keeper("--txt-owner-id=green-prod"), svc)
		}, "would delete the record as soon as it owns it"},
		"green's would write an address": {func(_ *testing.T, w *world) {
			in := asking(shopName, nil)
			in.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "127.0.0.3"}}
			w.opts.Green = sideOf(keeper("--txt-owner-id=green-prod"), in)
		}, "the swap writes green.lb.test., and for Ingress demo/shop green's external-dns would write 127.0.0.3"},
		"green's would write what it is told": {func(_ *testing.T, w *world) {
			in := asking(shopName, map[string]string{"external-dns.alpha.kubernetes.io/target": "green.lb.test"})
			in.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "127.0.0.3"}}
			w.opts.Green = sideOf(keeper("--txt-owner-id=green-prod"), in)
		}, ""},
		"what asks on green has no address": {func(_ *testing.T, w *world) {
			in := asking(shopName, nil)
			in.Status = networkingv1.IngressStatus{}
			w.opts.Green = sideOf(keeper("--txt-owner-id=green-prod"), in)
		}, "has no address: under the policy sync"},
		"blue demands a TTL": {func(_ *testing.T, w *world) {
			w.opts.Blue = sideOf(keeper("--txt-owner-id=blue-prod"), asking(shopName, map[string]string{"external-dns.alpha.kubernetes.io/ttl": "300"}))
		}, "demands the TTL 300 of external-dns"},
		"paused, and it runs": {func(_ *testing.T, w *world) { w.opts.Times.ExternalDNS = paused }, "the file says that external-dns is paused, and it runs"},
		"paused, and it stands still": {func(_ *testing.T, w *world) {
			zero := int32(0)
			blue, green := keeper("--txt-owner-id=blue-prod"), keeper("--registry=dynamodb")
			blue.Spec.Replicas, green.Spec.Replicas = &zero, &zero
			w.opts.Blue, w.opts.Green = sideOf(blue), sideOf(green)
			w.opts.Times.ExternalDNS = paused
		}, ""},
		"the file says how it runs": {func(_ *testing.T, w *world) {
			w.opts.Blue, w.opts.Green = cutover.Side{}, cutover.Side{}
			w.opts.Times.ExternalDNS = &migration.ExternalDNS{Blue: &migration.ExternalDNSOwner{Owner: "blue-prod"}, Green: &migration.ExternalDNSOwner{Owner: "green-prod"}}
		}, ""},
		"neither side can be asked": {func(_ *testing.T, w *world) { w.opts.Blue, w.opts.Green = cutover.Side{}, cutover.Side{} }, "could not be looked up"},
		"a weak provider":           {func(_ *testing.T, w *world) { w.opts.Zones[0].Driver = single{w.zone} }, "cannot change external-dns's record in the same transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			w := keptWorld(t)
			tt.change(t, w)
			p, err := cutover.PlanTTL(t.Context(), w.opts)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				if len(p.Refusals) > 0 {
					t.Errorf("refused: %+v", p.Refusals)
				}
				return
			}
			if !refusedFor(p, tt.want) {
				t.Errorf("refusals = %+v, want %q", p.Refusals, tt.want)
			}
			for _, r := range p.Refusals {
				if r.Mend == "" {
					t.Errorf("%s has no mend", r.Why)
				}
			}
		})
	}
}

// single is a zone whose provider changes one name at a time.
type single struct{ zone.Zone }

func (w *world) put(t *testing.T, set zone.RRset) {
	t.Helper()
	if err := w.zone.Put(set); err != nil {
		t.Fatal(err)
	}
}

func (w *world) remove(t *testing.T, set zone.RRset) {
	t.Helper()
	if _, err := w.zone.Swap(t.Context(), zone.Change{Name: set.Name, Old: []zone.RRset{set}, Remove: true}); err != nil {
		t.Fatal(err)
	}
}

// TestC25_SwapLooksAgain: what external-dns has begun to keep since the TTLs were lowered is found before the name moves.
func TestC25_SwapLooksAgain(t *testing.T) {
	w := newWorld(t)
	held := w.lowered(t)
	w.put(t, ownership(ownerName, "late"))
	p, err := cutover.PlanSwap(t.Context(), w.swapOptions(held))
	if err != nil {
		t.Fatal(err)
	}
	if !refusedFor(p, "external-dns owns it: late") {
		t.Errorf("refusals = %+v", p.Refusals)
	}
}

// TestC25_WildcardOwnsNothing: what a wildcard answers for every name says nothing about this one.
func TestC25_WildcardOwnsNothing(t *testing.T) {
	w := keptWorld(t)
	w.remove(t, ownership(ownerName, "blue-prod"))
	w.put(t, ownership("*.apps.test.", "third"))
	w.names.more = []dnsx.RRset{dnsx.RRset(ownership("*.apps.test.", "third"))}
	found, err := cutover.Inspect(t.Context(), cutover.InspectOptions{Options: w.opts})
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Refusals) > 0 || len(found.Names) != 1 || len(found.Names[0].Owners) > 0 {
		t.Errorf("refusals %+v, owners %+v", found.Refusals, found.Names[0].Owners)
	}
}

// snapshots reads the whole zone again and again, and demands that name and owner always agree. Each transfer is one version
// of the zone.
func snapshots(ctx context.Context, t *testing.T, driver *rfc2136.Driver, names map[string][]string) (count func() int) {
	var mu sync.Mutex
	var group sync.WaitGroup
	seen, stop := 0, make(chan struct{})
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			sets, err := driver.List(ctx)
			if err != nil {
				t.Errorf("transfer: %v", err)
				return
			}
			at := map[string]string{}
			for _, set := range sets {
				at[set.Name+" "+set.Type] = strings.Join(set.Data, " ")
			}
			for name, owners := range names {
				green := at[name+" CNAME"] == "green.lb.test." || strings.Contains(at[name+" A"], "127.0.0.3")
				for _, owner := range owners {
					if text := at[owner+" TXT"]; strings.Contains(text, "owner=green-prod") != green || text == "" {
						t.Errorf("%s leads to green: %t, and %s holds %s", name, green, owner, text)
						return
					}
				}
			}
			mu.Lock()
			seen++
			mu.Unlock()
		}
	})
	return func() int {
		close(stop)
		group.Wait()
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// TestC25_OwnershipInTheSameMessage, on real BIND, Knot and PowerDNS: every version of the zone that a transfer shows has name and
// ownership in agreement, for every documented form of the ownership record, there and back.
func TestC25_OwnershipInTheSameMessage(t *testing.T) {
	for _, software := range []nameserver.Software{nameserver.BIND, nameserver.Knot, nameserver.PowerDNS} {
		t.Run(string(software), func(t *testing.T) {
			t.Parallel()
			ownershipThereAndBack(t, startNames(t, software))
		})
	}
}

func ownershipThereAndBack(t *testing.T, dns *nameserver.World) {
	t.Helper()
	blue, green := startSides(t)
	const two, three = "two.apps.test.", "three.apps.test."
	text := func(name, owner string) dnsx.Record {
		return dnsx.Record{Name: name, Type: "TXT", TTL: 300, Data: ownership(name, owner).Data[0]}
	}
	err := dns.Add(t.Context(),
		dnsx.Record{Name: "blue.lb.test.", Type: "A", TTL: 60, Data: blue.addr.Addr().String()},
		dnsx.Record{Name: "green.lb.test.", Type: "A", TTL: 60, Data: green.addr.Addr().String()},
		// Since 0.12, by default.
		dnsx.Record{Name: shopName, Type: "CNAME", TTL: 1, Data: "blue.lb.test."}, text(ownerName, "blue-prod"),
		// With a prefix, the first form and the present one beside one another, as versions from 0.12 to 0.17 write them.
		dnsx.Record{Name: two, Type: "CNAME", TTL: 1, Data: "blue.lb.test."}, text("edns-two.apps.test.", "blue-prod"), text("edns-cname-two.apps.test.", "blue-prod"),
		// The first form at the name itself, beside an address and another's text.
		dnsx.Record{Name: three, Type: "A", TTL: 1, Data: blue.addr.Addr().String()}, text(three, "blue-prod"),
		dnsx.Record{Name: three, Type: "TXT", TTL: 300, Data: `"v=spf1 -all"`}, text("a-three.apps.test.", "blue-prod"))
	if err != nil {
		t.Fatal(err)
	}
	waitForSecondary(t, dns)
	driver, err := rfc2136.New(rfc2136.Options{Apex: "apps.test.", Server: dns.Primary.Addr().String(), Key: rfc2136.Key{Name: dns.Key.Name, Algorithm: dns.Key.Algorithm, Secret: dns.Key.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	host := func(name string) migration.Hostname {
		return migration.Hostname{
			Name: name, Port: int(blue.addr.Port()), Blue: &migration.Entry{Target: "blue.lb.test"}, Green: &migration.Entry{Target: "green.lb.test"},
		}
	}
	app := func(name string, hosts ...migration.Hostname) migration.Application {
		return migration.Application{
			Name: name, Namespace: "demo", Hostnames: hosts,
			Checks: []migration.Check{{Name: "front", HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", Contains: "from green"}}},
		}
	}
	opts := cutover.Options{
		Migration: "move",
		Times: migration.Cutover{
			TTL: migration.Duration(time.Second), Margin: migration.Duration(time.Second), Propagation: migration.Duration(30 * time.Second),
			ExternalDNS: &migration.ExternalDNS{},
		},
		Applications: []migration.Application{app("shop", host(shopName), host(three)), app("two", host(two))},
		Zones:        []cutover.Zone{{Zone: migration.Zone{Name: "apps.test", Resolvers: []string{dns.Resolver.Addr().String()}}, Driver: driver}},
		Names:        dns.Client(),
	}
	before := ownersIn(t, driver)
	snaps := snapshots(t.Context(), t, driver, map[string][]string{
		shopName: {ownerName}, two: {"edns-two.apps.test.", "edns-cname-two.apps.test."}, three: {three, "a-three.apps.test."},
	})
	for _, half := range []struct{ app, prefix string }{{"shop", ""}, {"two", "--txt-prefix=edns-"}} {
		// Each half of the names is kept by an installation of its own, as two prefixes need two.
		args := func(owner string) []string {
			list := []string{"--txt-owner-id=" + owner, "--policy=upsert-only"}
			if half.prefix != "" {
				list = append(list, half.prefix)
			}
			return list
		}
		mine := opts
		mine.Blue, mine.Green = sideOf(keeper(args("blue-prod")...)), sideOf(keeper(args("green-prod")...))
		mine.Applications = nil
		for _, a := range opts.Applications {
			if a.Name == half.app {
				mine.Applications = append(mine.Applications, a)
			}
		}
		thereAndBack(t, mine, half.app)
	}
	if n := snaps(); n < 4 {
		t.Errorf("only %d transfers", n)
	}
	if after := ownersIn(t, driver); after != before {
		t.Errorf("ownership before and after:\n%s\n%s", before, after)
	}
}

// ownersIn are all texts of the zone but fences.
func ownersIn(t *testing.T, driver *rfc2136.Driver) string {
	t.Helper()
	sets, err := driver.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, set := range sets {
		if set.Type == "TXT" && !strings.HasPrefix(set.Name, "_crossfade") {
			fmt.Fprintln(&b, set.Name, set.TTL, set.Data)
		}
	}
	return b.String()
}

// thereAndBack swaps an application and returns it.
func thereAndBack(t *testing.T, opts cutover.Options, app string) {
	t.Helper()
	ctx, rec := t.Context(), &plan.MemoryRecorder{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := cutover.PlanTTL(ctx, opts)
	must(err)
	held, err := cutover.ApplyTTL(ctx, p, rec, opts)
	must(err)
	sopts := cutover.SwapOptions{Options: opts, App: app, Held: held.Names}
	sp, err := cutover.PlanSwap(ctx, sopts)
	must(err)
	swapped, err := cutover.ApplySwap(ctx, sp, rec, sopts)
	must(err)
	for _, n := range swapped.Names {
		if len(n.Change.With) == 0 {
			t.Errorf("%s moved alone", n.Name)
		}
	}
	ropts := cutover.ReturnOptions{Options: opts, App: app, Swap: sp}
	p, err = cutover.PlanReturn(ctx, ropts)
	must(err)
	_, err = cutover.ApplyReturn(ctx, p, rec, ropts)
	must(err)
}
