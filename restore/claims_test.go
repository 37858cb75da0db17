package restore

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// oneCluster makes green blue's own cluster; blue's namespace is a real one.
func oneCluster(t *testing.T, app migration.Application, documents string) *fixture {
	t.Helper()
	c := kubetest.Connect(t)
	blue := kubetest.Namespace(t, c)
	f := newFixture(t, blue, app, strings.ReplaceAll(documents, "BLUE", blue))
	id, err := f.c.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.opts.Archive.(*memArchive).index.BlueUID = id.UID
	kubetest.Apply(t, f.c, blue, strings.ReplaceAll(strings.ReplaceAll(documents, "GROUP", f.ns), "BLUE", blue))
	return f
}

const (
	hostIngress = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: in, annotations: {kubernetes.io/ingress.class: x, crossfade.dev/fence-0123456789abcdef: another}}
spec:
  rules:
    - {host: GROUP.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
    - {host: other.GROUP.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}`
	hostRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: in}
spec:
  parentRefs: [{name: edge, namespace: infra}]
  hostnames: [GROUP.test]
  rules: [{backendRefs: [{name: web, port: 80}]}]`
)

func noteOf(p *plan.Plan, text string) bool {
	for _, n := range p.Notes {
		if strings.Contains(n.Text, text) {
			return true
		}
	}
	return false
}

// What blue's Ingress keeps is left out of green's; what is left of it is made.
func TestGreenGoesWithoutTheHostsThatBlueKeeps(t *testing.T) {
	app := migration.Application{Hostnames: []migration.Hostname{{Ingress: "in", Switch: migration.SwitchBackend}}}
	f := oneCluster(t, app, hostIngress)
	host := f.ns + ".test"
	f.opts.Applications[0].Hostnames[0].Name = host
	f.opts.Maps.Hosts = map[string]string{"other." + host: "other-green." + host}
	p, _ := f.restore(t)
	if !noteOf(p, "blue's keeps "+host) {
		t.Errorf("the plan does not say what blue keeps: %+v", p.Notes)
	}
	made := f.get(t, groupIngress, "Ingress", "in")
	if rules := digMaps(made, "spec", "rules"); len(rules) != 1 || rules[0]["host"] != "other-green."+host {
		t.Errorf("green's Ingress has the rules %v", rules)
	}
	for name := range dig(made, "metadata", "annotations") {
		if strings.HasPrefix(name, fenceAnnotations) {
			t.Errorf("green's bears the fence of blue's: %s", name)
		}
	}
	if again := f.plan(t); len(again.Changes) != 0 {
		t.Errorf("planned again: %v", again.Changes)
	}
	f.opts.Applications[0].Hostnames = append(f.opts.Applications[0].Hostnames, migration.Hostname{Name: "other." + host, Ingress: "in", Switch: migration.SwitchBackend})
	if whole := f.plan(t); !strings.Contains(string(whole.Data), string(keptOnBlue)) {
		t.Errorf("an Ingress whose hosts are all blue's is still made: %s", whole.Data)
	}
}

// Two HTTPRoutes of one Gateway claim one host as two Ingresses of one class do; blue's keeps it where its backend is switched.
func TestTwoRoutesOfOneGatewayAreRefused(t *testing.T) {
	kubetest.Gateway(t, kubetest.Connect(t))
	f := oneCluster(t, migration.Application{}, hostRoute)
	refusedFor(t, f.plan(t), "answers for "+f.ns+".test/ (Gateway infra/edge) too")
	f.opts.Applications[0].Hostnames = []migration.Hostname{{Name: f.ns + ".test", HTTPRoute: "in", Switch: migration.SwitchBackend}}
	noRefusals(t, f.plan(t))
	f.opts.Applications[0].Hostnames[0].Switch = migration.SwitchDNS
	f.opts.Patches = []migration.Patch{{Target: migration.Target{Group: groupGateway, Kind: "HTTPRoute", Namespace: f.opts.Applications[0].Namespace, Name: "in"}, Merge: map[string]any{"spec": map[string]any{"parentRefs": []any{map[string]any{"name": "green", "namespace": "infra"}}}}}}
	noRefusals(t, f.plan(t))
}

// An exact host takes precedence over a wildcard: green's would have blue's requests before its turn.
func TestAnExactHostBesideBluesWildcardIsRefused(t *testing.T) {
	const wild = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: wild, annotations: {kubernetes.io/ingress.class: wild}}
spec: {rules: [{host: "*.GROUP.test", http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}`
	f := oneCluster(t, migration.Application{}, wild)
	f.opts.Maps.Hosts = map[string]string{"*." + f.ns + ".test": "shop." + f.ns + ".test"}
	refusedFor(t, f.plan(t), "the exact host would take its requests from blue before its turn")
	f.opts.Maps.Hosts["*."+f.ns+".test"] = "shop.elsewhere.test"
	noRefusals(t, f.plan(t))
}

func TestClaims(t *testing.T) {
	route := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": groupGateway + "/v1", "kind": "HTTPRoute", "metadata": map[string]any{"namespace": "n", "name": "r"},
		"spec": map[string]any{
			"hostnames": []any{"Shop.Test", "*.test"}, "parentRefs": []any{map[string]any{"name": "edge"}, map[string]any{"kind": "Service", "name": "mesh"}},
			"rules": []any{map[string]any{"matches": []any{map[string]any{"path": map[string]any{"value": "/a"}}, map[string]any{"method": "GET"}}}},
		},
	}}
	if got := fmt.Sprint(claimsOfHosts(route)); got != "[shop.test/a (Gateway n/edge) shop.test/ (Gateway n/edge) *.test/a (Gateway n/edge) *.test/ (Gateway n/edge)]" {
		t.Errorf("claims %s", got)
	}
	exact, wild := claim{"a.b.test", "/", "x"}, claim{"*.test", "/", "x"}
	for _, c := range []struct {
		of, over claim
		want     bool
	}{
		{exact, wild, true},
		{wild, wild, false},
		{wild, exact, false},
		{exact, claim{"*.test", "/", "y"}, false},
		{claim{"test", "/", "x"}, wild, false},
		{claim{".test", "/", "x"}, wild, false},
	} {
		if c.of.shadows(c.over) != c.want {
			t.Errorf("%s over %s: not %v", c.of, c.over, c.want)
		}
	}
}
