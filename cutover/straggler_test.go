package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/nodeflows"
)

// scene is evidence around which something happens: before each look, at the time of the look.
type scene struct {
	cutover.Evidence
	clock  clock.Clock
	before func(at time.Time)
}

func (s scene) Collect(ctx context.Context, last cutover.Observation) (cutover.Observation, error) {
	s.before(s.clock.Now())
	return s.Evidence.Collect(ctx, last)
}

// visits are the times at which somebody comes, and what they do.
type visits struct {
	at   []time.Time
	come func(at time.Time)
}

func (v *visits) until(at time.Time) {
	for len(v.at) > 0 && !at.Before(v.at[0]) {
		v.come(v.at[0])
		v.at = v.at[1:]
	}
}

// nobody comes.
func nobody(time.Time) {}

// A straggler is one kind of user who has not noticed, and the evidence that shows him.
type straggler struct {
	name string
	// interval between two looks.
	interval time.Duration
	// build returns the evidence, what a visit is, and what one that does not count is: nobody, where everybody counts.
	build func(t *testing.T, c *clock.Fake) (e cutover.Evidence, visit, harmless func(at time.Time))
	who   string
}

func blueFlows(tab *table, c *clock.Fake) cutover.FlowEvidence {
	return cutover.FlowEvidence{
		Reader: tab, Clock: c, Ignore: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
		Entries: []cutover.Entry{{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Port: 443, NodePort: 30650}},
	}
}

func connection(from, to, state string) nodeflows.Flow {
	f, d := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	return nodeflows.Flow{Protocol: "tcp", Source: f.Addr(), SourcePort: f.Port(), Destination: d.Addr(), DestinationPort: d.Port(), State: state}
}

// seenFor keeps a connection in the table for as long as connection tracking would.
func seenFor(tab *table, c *clock.Fake, flow nodeflows.Flow, keep time.Duration) func(time.Time) {
	gone := time.Time{}
	return func(at time.Time) {
		if at.IsZero() { // time passes
			if !gone.IsZero() && c.Now().After(gone) {
				tab.flows, gone = nil, time.Time{}
			}
			return
		}
		tab.flows, gone = []nodeflows.Flow{flow}, at.Add(keep)
	}
}

func theStragglers() []straggler {
	const slow = 30 * time.Minute
	bySYN := func(to string) func(*testing.T, *clock.Fake) (cutover.Evidence, func(time.Time), func(time.Time)) {
		return func(_ *testing.T, c *clock.Fake) (cutover.Evidence, func(time.Time), func(time.Time)) {
			tab := &table{clock: c}
			come := seenFor(tab, c, connection("198.51.100.7:4000", to, "SYN_SENT"), 2*time.Minute)
			scan := seenFor(tab, c, connection("203.0.113.9:4000", to, "SYN_SENT"), 2*time.Minute)
			pass := scene{Evidence: blueFlows(tab, c), clock: c, before: func(time.Time) { come(time.Time{}); scan(time.Time{}) }}
			return pass, come, scan
		}
	}
	return []straggler{
		{"a request in an access log", slow, func(t *testing.T, c *clock.Fake) (cutover.Evidence, func(time.Time), func(time.Time)) {
			a, client := startAPI(t)
			r := newLogRig(a)
			evidence, _ := r.evidence(t)
			evidence.Kube, evidence.Clock = client, c
			r.pod("one", "u1", "")
			r.asked("one", "198.51.100.7", "other.example.org")
			return evidence, func(time.Time) { r.asked("one", "198.51.100.7", "shop.example.org") }, func(time.Time) { r.asked("one", "192.0.2.9", "shop.example.org") }
		}, "pod one: for shop.example.org from 198.51.100.7"},
		{"a request in Prometheus", slow, func(t *testing.T, c *clock.Fake) (cutover.Evidence, func(time.Time), func(time.Time)) {
			f, evidence, _ := promEvidence(t, migration.IdleQuery{Counter: true})
			evidence.Clock = c
			f.set("q", steady("a", 5))
			return evidence, func(at time.Time) { f.set("q", steady("a", 5, at.Sub(hour(0)).Hours(), 6)) }, nobody
		}, `requests{pod="a"} counted 1 more`},
		{"a request that the application counts", slow, func(t *testing.T, c *clock.Fake) (cutover.Evidence, func(time.Time), func(time.Time)) {
			a, client := startAPI(t)
			a.pod("one", "u1", `{"requests":100}`)
			evidence := cutover.RequestEvidence{Kube: client, Clock: c, App: migration.Application{
				Name: "shop", Namespace: "demo", Selector: "app=shop", Requests: &migration.Counter{Pods: migration.PodEndpoint{Port: 8080, Path: "/requests"}, Field: "requests"},
			}}
			return evidence, func(time.Time) { a.pod("one", "u1", `{"requests":101}`) }, nobody
		}, "pod one: 1 requests more"},
		{"a hard-coded address", time.Minute, bySYN("192.0.2.1:443"), "198.51.100.7:4000 > 192.0.2.1:443 SYN_SENT"},
		{"a hard-coded node port", time.Minute, bySYN("172.16.0.4:30650"), "198.51.100.7:4000 > 172.16.0.4:30650 SYN_SENT"},
		{"a record in another zone", slow, func(t *testing.T, c *clock.Fake) (cutover.Evidence, func(time.Time), func(time.Time)) {
			w := newWorld(t)
			held := w.lowered(t)
			must(t, w.zone.Put(cname(shopName, 10, "green.lb.test.")))
			other := &longer{Zone: w.zone}
			w.opts.Zones[0].Driver, w.opts.Clock = other, c
			evidence := cutover.NameEvidence{Options: w.opts, Held: held.Names, Entries: []cutover.Entry{{Target: "blue.lb.test."}}}
			seen := false
			pass := scene{Evidence: evidence, clock: c, before: func(time.Time) {
				if !seen {
					other.more = nil
				}
				seen = false
			}}
			at := func(target string) func(time.Time) {
				return func(time.Time) {
					other.more, seen = []zone.RRset{{Name: "*.old.example.org.", Type: "CNAME", TTL: 60, Data: []string{target}}}, true
				}
			}
			return pass, at("blue.lb.test."), at("green.lb.test.")
		}, "*.old.example.org. CNAME [blue.lb.test.]"},
	}
}

// TestC24_OneStragglerInThreeDaysBlocks: one visit at hour 50 of 72, of each kind, and the time begins again with it, with who it was.
// What comes from probes and scanners, and what leads elsewhere, does not.
func TestC24_OneStragglerInThreeDaysBlocks(t *testing.T) {
	for _, s := range theStragglers() {
		for _, counts := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%t", s.name, counts), func(t *testing.T) {
				c := clock.NewFake(hour(0))
				evidence, visit, harmless := s.build(t, c)
				if !counts {
					visit = harmless
				}
				came := hour(50).Add(17 * time.Second)
				v := &visits{at: []time.Time{came}, come: visit}
				opts := idleOptions(c, scene{Evidence: evidence, clock: c, before: v.until})
				opts.Rehearsal, opts.Retirement.Interval = nil, migration.Duration(s.interval)
				idle, err := cutover.WatchIdle(t.Context(), opts)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case !counts && (len(idle.Restarts) > 0 || c.Now().After(hour(73))):
					t.Errorf("what is harmless blocked: %v", idle.Restarts)
				case counts && (idle.Since.Before(came.Add(-time.Minute)) || c.Now().Before(came.Add(72*time.Hour-time.Minute))):
					t.Errorf("idle since %s, found at %s, though somebody came at %s", idle.Since, c.Now(), came)
				case counts && (len(idle.Restarts) == 0 || !strings.Contains(idle.Restarts[0].Why, s.who)):
					t.Errorf("it does not say who it was (%s): %v", s.who, idle.Restarts)
				}
			})
		}
	}
}

// TestC24_AStragglerEveryThreeDaysBlocksForEver: the watch ends at its limit, with who it was.
func TestC24_AStragglerEveryThreeDaysBlocksForEver(t *testing.T) {
	for _, s := range theStragglers() {
		if s.interval < time.Hour/2 {
			continue // weeks of minutes show no more
		}
		t.Run(s.name, func(t *testing.T) {
			c := clock.NewFake(hour(0))
			evidence, visit, _ := s.build(t, c)
			v := &visits{come: visit}
			for h := 71.0; h < 1000; h += 71 {
				v.at = append(v.at, hour(h))
			}
			if strings.Contains(s.name, "Prometheus") || strings.Contains(s.name, "counts") {
				v.at = v.at[:1] // the visit sets a number, which rises once
			}
			opts := idleOptions(c, scene{Evidence: evidence, clock: c, before: v.until})
			opts.Rehearsal, opts.Retirement.Interval, opts.Limit = nil, migration.Duration(s.interval), 142*time.Hour
			if _, err := cutover.WatchIdle(t.Context(), opts); !errors.Is(err, cutover.ErrNotIdle) {
				t.Errorf("err = %v, want ErrNotIdle", err)
			}
		})
	}
}

// TestC24_AnIdleConnectionBlocks: a WebSocket that was there before the watch began, and on which nothing is ever said, is a user. Only
// its end lets the time begin.
func TestC24_AnIdleConnectionBlocks(t *testing.T) {
	for _, state := range []string{"ESTABLISHED", "CLOSE_WAIT"} {
		t.Run(state, func(t *testing.T) {
			c := clock.NewFake(hour(0))
			tab := &table{clock: c, flows: []nodeflows.Flow{connection("198.51.100.7:4000", "192.0.2.1:443", state)}}
			opts := idleOptions(c, blueFlows(tab, c))
			opts.Rehearsal, opts.Limit = nil, 100*time.Hour
			_, err := cutover.WatchIdle(t.Context(), opts)
			if !errors.Is(err, cutover.ErrNotIdle) || !strings.Contains(err.Error(), "198.51.100.7:4000 > 192.0.2.1:443 "+state) {
				t.Fatalf("err = %v", err)
			}
			tab.flows = nil
			began := c.Now()
			idle, err := cutover.WatchIdle(t.Context(), opts)
			if err != nil || idle.Since.Before(began) || c.Now().Sub(began) < 72*time.Hour {
				t.Errorf("idle since %s: %v", idle.Since, err)
			}
		})
	}
}

// TestC24_TheNodePortBehindAnIngressIsWatched: a load balancer in front of the ingress controller passes its connections on to a node
// port that no hostname of the file names.
func TestC24_TheNodePortBehindAnIngressIsWatched(t *testing.T) {
	a, client := startAPI(t)
	service := func(name, address string, port, nodePort int32) corev1.Service {
		return corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ingress-nginx", Name: name},
			Spec:       corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.9"}, Ports: []corev1.ServicePort{{Port: port, NodePort: nodePort}, {Port: 8443, NodePort: nodePort + 1}}},
			Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: address}}}},
		}
	}
	a.services = []corev1.Service{service("controller", "192.0.2.1", 443, 31443), service("other", "192.0.2.2", 443, 32443)}
	opts := cutover.BlueEvidenceOptions{
		Options: cutover.Options{
			Migration: "move", Blue: cutover.Side{Kube: client},
			Applications: []migration.Application{{Name: "shop", Namespace: "demo", Hostnames: []migration.Hostname{{Name: shopName, Port: 443, Blue: &migration.Entry{Address: "192.0.2.1"}}}}},
		},
		Helper: "rig.test/crossfade:1", Once: true,
	}
	evidence, err := cutover.BlueEvidence(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	line := func(port int) string {
		return fmt.Sprintf(`{"protocol":"tcp","source":"198.51.100.1","sourcePort":1,"destination":"172.16.0.4","destinationPort":%d,"state":"ESTABLISHED"}`+"\n"+`{"format":1,"looks":4,"count":1}`+"\n", port)
	}
	for port, want := range map[int]cutover.Use{31443: cutover.Used, 31444: cutover.Quiet, 32443: cutover.Quiet} {
		a.log = line(port)
		obs, err := evidence[0].Collect(t.Context(), cutover.Observation{})
		if err != nil || obs.Use != want || !strings.Contains(obs.Text, "node ports 31443, and blue's addresses") {
			t.Errorf("port %d: %s, %v, want %s: %s", port, obs.Use, err, want, obs.Text)
		}
	}
	a.services = nil
	if evidence, err = cutover.BlueEvidence(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if obs, err := evidence[0].Collect(t.Context(), cutover.Observation{}); err != nil || !strings.Contains(obs.Text, "no node port of blue's entries is known") {
		t.Errorf("%s, %v", obs.Text, err)
	}
}
