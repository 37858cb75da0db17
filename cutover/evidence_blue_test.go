package cutover_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/nodeflows"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// blueOptions are those of two applications: one whose hostname the DNS moves, with a counter, and one without a hostname.
func blueOptions(a *api, t *testing.T) cutover.BlueEvidenceOptions {
	t.Helper()
	counter := &migration.Counter{Pods: migration.PodEndpoint{Port: 8080, Path: "/requests"}, Field: "requests"}
	return cutover.BlueEvidenceOptions{
		Options: cutover.Options{
			Migration: "move", Blue: cutover.Side{Kube: a.client},
			Applications: []migration.Application{
				{Name: "shop", Namespace: "demo", Requests: counter, Hostnames: []migration.Hostname{{Name: "Shop.apps.test.", Port: 443, Blue: &migration.Entry{Address: "192.0.2.1"}}}},
				{Name: "batch", Namespace: "night"},
			},
		},
		Retirement: migration.Retirement{
			Interval: migration.Duration(time.Minute), Ignore: []string{"203.0.113.9/24"}, Unlisted: []string{"apps.test"},
			AccessLogs: []migration.AccessLog{{Format: "envoy", Namespace: "edge", Selector: "app=envoy"}},
			Prometheus: []migration.IdleQuery{{Name: "edge", URL: "https://prometheus.test", Query: "up"}},
		},
		Helper: "rig.test/crossfade:1",
		Held:   []cutover.Held{{App: "shop", Name: shopName}},
	}
}

// TestC24_EverythingThatTheFileNamesIsEvidence: no source of the file is left out, and each knows what is blue's and whom to ignore.
func TestC24_EverythingThatTheFileNamesIsEvidence(t *testing.T) {
	a, _ := startAPI(t)
	opts := blueOptions(a, t)
	list, err := cutover.BlueEvidence(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	blue := netip.MustParseAddr("192.0.2.1")
	ignored := "[203.0.113.0/24]"
	for _, e := range list {
		names = append(names, e.Name())
		switch e := e.(type) {
		case cutover.AccessLogEvidence:
			if fmt.Sprint(e.Hostnames, e.Namespaces, e.Ignore) != "[Shop.apps.test.] [demo] "+ignored {
				t.Errorf("access log: %v %v %v", e.Hostnames, e.Namespaces, e.Ignore)
			}
		case cutover.FlowEvidence:
			reader, ok := e.Reader.(cutover.PodFlows)
			if !ok || fmt.Sprint(e.Ignore) != ignored || len(e.Entries) != 1 || e.Entries[0].Addresses[0] != blue || reader.For != 55*time.Second {
				t.Errorf("connections: %+v", e)
			}
		case cutover.NameEvidence:
			if len(e.Held) != 1 || len(e.Entries) != 1 || e.Entries[0].Addresses[0] != blue || fmt.Sprint(e.Unlisted) != "[apps.test]" {
				t.Errorf("names: %+v", e)
			}
		}
	}
	want := "access log of app=envoy in edge, Prometheus: edge, requests that shop counts on blue, connections through blue's nodes, names that lead to blue"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("evidence: %s\nwant: %s", got, want)
	}

	opts.Once = true
	if list, err = cutover.BlueEvidence(t.Context(), opts); err != nil || list[3].(cutover.FlowEvidence).Reader.(cutover.PodFlows).For != 0 {
		t.Errorf("a single look watches as long as one of many: %v", err)
	}
	// A hostname that keeps its entry is judged by its rules: nobody can tell its connections apart from green's.
	opts.Applications[0].Hostnames[0].Switch = migration.SwitchBackend
	opts.Held[0].Route = &cutover.Route{}
	if list, err = cutover.BlueEvidence(t.Context(), opts); err != nil || len(list) != 4 || list[1].Name() != "rules that lead to blue" || len(list[0].(cutover.AccessLogEvidence).Hostnames) > 0 {
		t.Errorf("at the backend: %v %v", list, err)
	}
	// Beside one that moves, only that one is a name to look for.
	opts.Applications[1].Hostnames = []migration.Hostname{{Name: "night.apps.test", Port: 443, Blue: &migration.Entry{Address: "192.0.2.1"}}}
	opts.Held = append(opts.Held, cutover.Held{App: "batch", Name: "night.apps.test."})
	list, err = cutover.BlueEvidence(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if e := list[len(list)-1].(cutover.NameEvidence); len(e.Held) != 1 || e.Held[0].App != "batch" || len(e.Entries) != 1 {
		t.Errorf("beside one that moves: %+v", e)
	}
}

// An entry that is not known, and a network that cannot be read, are no reason to look less.
func TestI08_BlueOfWhichNothingIsKnownIsNotWatched(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*cutover.BlueEvidenceOptions)
		want   string
	}{
		"no cluster": {func(o *cutover.BlueEvidenceOptions) { o.Blue.Kube = nil }, "no cluster was given"},
		"no address": {func(o *cutover.BlueEvidenceOptions) { o.Applications[0].Hostnames[0].Blue = nil }, "no address of shop.apps.test. on blue is known"},
		"no way of a forwarding": {func(o *cutover.BlueEvidenceOptions) {
			o.Forwards = map[string]*plan.Plan{"shop": plan.New("move", "forward/shop")}
		}, "the plan of forward/shop names no pods"},
		"no network": {func(o *cutover.BlueEvidenceOptions) { o.Retirement.Ignore = []string{"203.0.113.9"} }, "retirement.ignore"},
	} {
		a, _ := startAPI(t)
		opts := blueOptions(a, t)
		tt.change(&opts)
		if list, err := cutover.BlueEvidence(t.Context(), opts); err == nil || !contains(err.Error(), tt.want) {
			t.Errorf("%s: %d sources, %v, want %q", name, len(list), err, tt.want)
		}
	}
	a, _ := startAPI(t)
	a.noServices = true
	if _, err := cutover.BlueEvidence(t.Context(), blueOptions(a, t)); err == nil || !contains(err.Error(), "list blue's Services") {
		t.Errorf("Services that cannot be listed: %v", err)
	}
}

// TestC24_AllWaysToBluesAddressAreWatched: whichever way a Service owns the address, or the name, of an entry, its node port and its
// address inside the cluster are blue's too.
func TestC24_AllWaysToBluesAddressAreWatched(t *testing.T) {
	service := func(name string, ip string, port int32) corev1.Service {
		return corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "edge", Name: name},
			Spec:       corev1.ServiceSpec{ClusterIPs: []string{ip}, Ports: []corev1.ServicePort{{Port: 443, NodePort: port}}},
		}
	}
	byAddress, byName, byMapped, others := service("external", "10.96.0.1", 31001), service("name", "10.96.0.2", 31002), service("mapped", "10.96.0.3", 31003), service("others", "10.96.0.4", 31004)
	byAddress.Spec.ExternalIPs = []string{"192.0.2.1"}
	byName.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "LB.blue.test"}}
	byMapped.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "::ffff:192.0.2.1"}}
	others.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.7"}, {Hostname: "lb.other.test"}}
	a, _ := startAPI(t)
	a.services = []corev1.Service{byAddress, byName, byMapped, others}
	opts := blueOptions(a, t)
	opts.Applications[0].Hostnames[0].Blue.Target = "lb.blue.test"
	list, err := cutover.BlueEvidence(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]cutover.Use{
		"172.16.0.4:31001": cutover.Used, "172.16.0.4:31002": cutover.Used, "172.16.0.4:31003": cutover.Used, "172.16.0.4:31004": cutover.Quiet,
		"10.96.0.1:443": cutover.Used, "10.96.0.4:443": cutover.Quiet, "10.96.0.1:8443": cutover.Quiet,
	} {
		at := netip.MustParseAddrPort(to)
		a.log = fmt.Sprintf(`{"protocol":"tcp","source":"198.51.100.1","sourcePort":1,"destination":%q,"destinationPort":%d,"state":"ESTABLISHED"}`+"\n"+`{"format":1,"looks":4,"count":1}`+"\n", at.Addr(), at.Port())
		if obs, err := list[3].Collect(t.Context(), cutover.Observation{}); err != nil || obs.Use != want {
			t.Errorf("%s: %s, %v, want %s", to, obs.Use, err, want)
		}
	}
}

// watchedNodes are reports that a test makes up.
type watchedNodes []nodeflows.Report

func (w watchedNodes) Flows(context.Context) ([]nodeflows.Report, error) { return w, nil }

// TestC24_WhatTheNodesKnowTogether: a look covers the time that all nodes cover; two nodes may have the same connection, and one client
// the same port again.
func TestC24_WhatTheNodesKnowTogether(t *testing.T) {
	at := time.Unix(1e9, 0).UTC()
	open, ended := connection("198.51.100.7:4000", "192.0.2.1:443", "ESTABLISHED"), connection("198.51.100.7:4000", "192.0.2.1:443", "TIME_WAIT")
	evidence := blueFlows(nil, nil)
	look := func(last cutover.Observation, reports ...nodeflows.Report) cutover.Observation {
		t.Helper()
		evidence.Reader, evidence.Clock = watchedNodes(reports), nil
		obs, err := evidence.Collect(t.Context(), last)
		if err != nil {
			t.Fatal(err)
		}
		return obs
	}
	report := func(node string, from time.Time, flows ...nodeflows.Flow) nodeflows.Report {
		return nodeflows.Report{Node: node, From: from, Flows: flows}
	}
	for _, order := range [][]nodeflows.Report{{report("a", at), report("b", at.Add(9*time.Second))}, {report("b", at.Add(9*time.Second)), report("a", at)}} {
		if obs := look(cutover.Observation{}, order...); !obs.From.Equal(at.Add(9 * time.Second)) {
			t.Errorf("it covers the time from %s on", obs.From)
		}
	}
	// Open at one node, it is a use that ends there, whatever another remembers of it.
	first := look(cutover.Observation{}, report("a", at, open), report("b", at, ended))
	if obs := look(first, report("a", at), report("b", at, ended)); obs.Use != cutover.Used {
		t.Errorf("what ended at one node of two: %s", obs.Text)
	}
	// The same port again, within the time that an ended connection is remembered.
	ended.TimeStart = at
	again := ended
	again.TimeStart = at.Add(time.Minute)
	first = look(cutover.Observation{}, report("a", at, ended))
	if obs := look(first, report("a", at, again)); obs.Use != cutover.Used {
		t.Errorf("a second connection from the same port: %s", obs.Text)
	}
	for protocol, want := range map[string]cutover.Use{"udp": cutover.Used, "sctp": cutover.Used, "icmp": cutover.Quiet} {
		flow := open
		if flow.Protocol = protocol; protocol == "icmp" {
			flow.SourcePort, flow.DestinationPort = 0, 0
		}
		if obs := look(cutover.Observation{}, report("a", at, flow)); obs.Use != want {
			t.Errorf("%s: %s, want %s", protocol, obs.Use, want)
		}
	}
	evidence.Reader = watchedNodes(nil)
	if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err == nil {
		t.Errorf("no node: %s", obs.Text)
	}
	evidence.Reader, evidence.Entries = watchedNodes{report("a", at)}, nil
	if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err == nil {
		t.Errorf("no entry: %s", obs.Text)
	}
	evidence.Entries = []cutover.Entry{{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Port: 443}} // no node port
	icmp := connection("198.51.100.7:0", "192.0.2.1:0", "")
	icmp.Protocol = "icmp"
	evidence.Reader = watchedNodes{report("a", at, icmp)}
	if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err != nil || obs.Use != cutover.Quiet {
		t.Errorf("a protocol without ports: %s, %v", obs.Text, err)
	}
}
