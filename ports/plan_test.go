package ports_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/ports"
)

func usual() ports.Range { return ports.Range{From: 30000, To: 32767} }

func want(port int32, service string) ports.Want {
	return ports.Want{Port: port, Namespace: "shop", Service: service, Protocol: "TCP", Use: ports.NodePort}
}

func used(port int32, namespace, service string) ports.Used {
	return ports.Used{Port: port, Namespace: namespace, Service: service, Protocol: "TCP", Use: ports.NodePort}
}

func newOf(t *testing.T, p ports.Planned, old int32) int32 {
	t.Helper()
	if len(p.Refusals) > 0 {
		t.Fatal(p.Refusals)
	}
	to, ok := p.Map.Map()[old]
	if !ok {
		t.Fatalf("%d is not in the map %v", old, p.Map)
	}
	return to
}

func refusedFor(t *testing.T, p ports.Planned, text string) {
	t.Helper()
	if len(p.Refusals) != 1 || !strings.Contains(p.Refusals[0].What+p.Refusals[0].Why, text) || p.Refusals[0].Mend == "" {
		t.Errorf("refusals are %v, want one that says %q and its mend", p.Refusals, text)
	}
}

func TestP02_RemapsFillTheStaticBandFirst(t *testing.T) {
	for size, band := range map[int32]int32{2768: 86, 100: 16, 8: 8, 10000: 128} {
		if got := (ports.Range{From: 30000, To: 30000 + size - 1}).StaticBand(); got != band {
			t.Errorf("the static band of %d numbers has %d, want %d", size, got, band)
		}
	}
	in := ports.Input{Range: usual()}
	for i := range int32(80) {
		in.Wants = append(in.Wants, want(31000+i, fmt.Sprint("s", i)))
		in.Used = append(in.Used, used(31000+i, "else", fmt.Sprint("t", i)))
	}
	for _, line := range ports.Plan(in).Map {
		if line.New >= 30000+usual().StaticBand() {
			t.Errorf("%d went to %d, outside the static band that has room", line.Port, line.New)
		}
	}
}

func TestP03_OneNumberOneServiceInTheWholeCluster(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   ports.Input
		to   int32
	}{
		{"free: it stays", ports.Input{Wants: []ports.Want{want(31000, "web")}}, 31000},
		{"taken in another namespace", ports.Input{Wants: []ports.Want{want(31000, "web")}, Used: []ports.Used{used(31000, "far", "x")}}, 30000},
		{"taken by a health check", ports.Input{Wants: []ports.Want{want(31000, "web")}, Used: []ports.Used{{Port: 31000, Namespace: "far", Service: "lb", Use: ports.HealthCheck}}}, 30000},
		{"taken for the other protocol", ports.Input{Wants: []ports.Want{want(31000, "web")}, Used: []ports.Used{{Port: 31000, Namespace: "far", Service: "dns", Protocol: "UDP", Use: ports.NodePort}}}, 30000},
		{"taken by a pod of a node", ports.Input{Wants: []ports.Want{want(31000, "web")}, Taken: []ports.HostPort{{Port: 31000, Protocol: "TCP", Owner: "Pod kube/agent"}}}, 30000},
		{"held by its own Service, restored before", ports.Input{
			Wants: []ports.Want{want(31000, "web")},
			Used:  []ports.Used{{Port: 30007, Namespace: "shop", Service: "web", Protocol: "TCP", Use: ports.NodePort, Ours: true}},
		}, 30007},
		{"held by a Service of its name that is not ours", ports.Input{Wants: []ports.Want{want(31000, "web")}, Used: []ports.Used{used(31000, "shop", "web")}}, 30000},
		{"out of range", ports.Input{Wants: []ports.Want{want(8080, "web")}}, 30000},
		{"listed", ports.Input{Wants: []ports.Want{want(31000, "web")}, Explicit: map[int32]int32{31000: 32000}}, 32000},
		{"its lowest neighbours are taken", ports.Input{Wants: []ports.Want{want(31000, "web")}, Used: []ports.Used{used(31000, "far", "x"), used(30000, "far", "y"), used(30001, "a", "z")}}, 30002},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.Range = usual()
			old := tc.in.Wants[0].Port
			if got := newOf(t, ports.Plan(tc.in), old); got != tc.to {
				t.Errorf("%d went to %d, want %d", old, got, tc.to)
			}
		})
	}
}

func TestP03_TCPAndUDPShareANumberOnlyWithinOneService(t *testing.T) {
	tcp, udp := want(31000, "dns"), want(31000, "dns")
	udp.Protocol = "UDP"
	p := ports.Plan(ports.Input{Range: usual(), Wants: []ports.Want{udp, tcp}, Used: []ports.Used{used(31000, "far", "x")}})
	if len(p.Map) != 1 || newOf(t, p, 31000) != 30000 || p.Map[0].Protocol != "TCP+UDP" {
		t.Errorf("the map is %+v, want one line for both protocols", p.Map)
	}
	udp.Service = "other"
	refusedFor(t, ports.Plan(ports.Input{Range: usual(), Wants: []ports.Want{udp, tcp}}), "both")
}

func TestP03_ListedNumbersThatCannotBeAreRefused(t *testing.T) {
	for why, in := range map[string]ports.Input{
		"range":     {Explicit: map[int32]int32{31000: 8080}},
		"far/x has": {Explicit: map[int32]int32{31000: 31001}, Used: []ports.Used{used(31001, "far", "x")}},
		"planned":   {Explicit: map[int32]int32{31000: 31500, 31001: 31500}},
	} {
		in.Range, in.Wants = usual(), []ports.Want{want(31000, "web"), want(31001, "api")}
		refusedFor(t, ports.Plan(in), why)
	}
	refusedFor(t, ports.Plan(ports.Input{Wants: []ports.Want{want(31000, "web")}}), "range is not known")
	refusedFor(t, ports.Plan(ports.Input{Range: ports.Range{From: 30000, To: 30000}, Wants: []ports.Want{want(31000, "web"), want(31001, "api")}}), "no free number")
}

func TestP04_UnwantedAllocationHostPortsAndOutgoingRange(t *testing.T) {
	unneeded := want(31000, "lb")
	unneeded.Unneeded = true
	if p := ports.Plan(ports.Input{Range: usual(), Wants: []ports.Want{unneeded}}); len(p.Map) != 0 || len(p.Refusals) != 0 {
		t.Errorf("a Service that wants no node ports got %v", p.Map)
	}
	host := ports.HostPort{Port: 9100, Protocol: "TCP", Owner: "DaemonSet shop/agent"}
	other := ports.HostPort{Port: 9100, Protocol: "TCP", Owner: "Pod kube/agent"}
	p := ports.Plan(ports.Input{HostPorts: []ports.HostPort{host, {Owner: "Pod shop/net", Network: true}}, Taken: []ports.HostPort{other}})
	if len(p.Notes) != 2 || !strings.Contains(fmt.Sprint(p.Notes), "cannot share a node") || !strings.Contains(fmt.Sprint(p.Notes), "node's network") {
		t.Errorf("notes are %v", p.Notes)
	}
	host.Port = 31000
	refusedFor(t, ports.Plan(ports.Input{Range: usual(), HostPorts: []ports.HostPort{host}, Used: []ports.Used{used(31000, "far", "x")}}), "as a node port")
	p = ports.Plan(ports.Input{Range: ports.Range{From: 30000, To: 40000}, Wants: []ports.Want{want(31000, "web")}})
	if len(p.Notes) != 1 || !strings.Contains(p.Notes[0].Text, "outgoing") {
		t.Errorf("a range that reaches into outgoing ports gives the notes %v", p.Notes)
	}
}

func TestP05_TheMapIsDataAndTextIsOnlyReported(t *testing.T) {
	a, b := want(31000, "web"), want(31001, "web-2")
	a.Name = "http"
	health := ports.Want{Port: 31002, Namespace: "shop", Service: "web", Use: ports.HealthCheck}
	in := ports.Input{
		Range: usual(), Wants: []ports.Want{b, a, health}, Used: []ports.Used{used(31000, "far", "x")},
		Mentions: map[int32][]string{31000: {"ConfigMap shop/c, url"}, 31001: {"ConfigMap shop/c, other"}},
	}
	p := ports.Plan(in)
	lines := []string{
		"SHOP_WEB_HTTP_NODE_PORT=30000", "SHOP_WEB_HTTP_NODE_PORT_OLD=31000", "SHOP_WEB_2_NODE_PORT=31001", "SHOP_WEB_2_NODE_PORT_OLD=31001",
		"SHOP_WEB_HEALTH_CHECK_NODE_PORT=31002", "SHOP_WEB_HEALTH_CHECK_NODE_PORT_OLD=31002",
	}
	if got := p.Map.Env(); !slices.Equal(got, lines) {
		t.Errorf("the environment file is %q", got)
	}
	if p.Map.Reverse()[30000] != 31000 {
		t.Errorf("the way back is %v", p.Map.Reverse())
	}
	if len(p.Notes) != 1 || !strings.Contains(p.Notes[0].Text, "ConfigMap shop/c, url") {
		t.Errorf("only the text with a number that changes is reported; notes are %v", p.Notes)
	}
	var back ports.Map
	if err := json.Unmarshal(p.Stage("m", "ports").Data, &back); err != nil || !reflect.DeepEqual(back, p.Map) {
		t.Errorf("the map reads back as %v, %v", back, err)
	}
}

// scramble makes an input with collisions of every kind.
func scramble(r *rand.Rand, wants, used int) ports.Input {
	in := ports.Input{Range: usual(), Explicit: map[int32]int32{}}
	for _, n := range r.Perm(2600)[:wants] {
		w := want(int32(30000+n), fmt.Sprint("s", n/3))
		w.Use, w.Port = ports.NodePort, w.Port+int32(r.IntN(2))*3000
		in.Wants = append(in.Wants, w)
	}
	for _, n := range r.Perm(2767)[:used] {
		in.Used = append(in.Used, ports.Used{
			Port: int32(30000 + n), Namespace: []string{"shop", "far"}[r.IntN(2)], Service: fmt.Sprint("s", r.IntN(900)), Protocol: "TCP",
			Use: ports.NodePort, Ours: r.IntN(3) == 0,
		})
	}
	return in
}

func TestP08_AnyInputGivesTheSameMapInAnyOrderAndNoCollision(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		in := scramble(r, 1+r.IntN(1200), r.IntN(1200))
		first := ports.Plan(in)
		seen, foreign := map[int32]bool{}, map[int32]string{}
		for _, u := range in.Used {
			foreign[u.Port] = u.Namespace + "/" + u.Service
			if u.Ours {
				foreign[u.Port] += " ours"
			}
		}
		for _, line := range first.Map {
			if seen[line.New] || !in.Range.Has(line.New) {
				t.Fatalf("seed %d: %d is given twice or out of range", seed, line.New)
			}
			if who := foreign[line.New]; who != "" && who != "shop/"+line.Service+" ours" {
				t.Fatalf("seed %d: %s/%s got %d, which %s has", seed, line.Namespace, line.Service, line.New, who)
			}
			seen[line.New] = true
		}
		r.Shuffle(len(in.Wants), func(i, j int) { in.Wants[i], in.Wants[j] = in.Wants[j], in.Wants[i] })
		r.Shuffle(len(in.Used), func(i, j int) { in.Used[i], in.Used[j] = in.Used[j], in.Used[i] })
		if again := ports.Plan(in); !reflect.DeepEqual(first, again) {
			t.Fatalf("seed %d: another order gives another plan", seed)
		}
		if len(first.Map) != len(in.Wants) {
			t.Fatalf("seed %d: %d of %d wants have a number, refusals %v", seed, len(first.Map), len(in.Wants), first.Refusals)
		}
	}
}

func BenchmarkPlan2000(b *testing.B) {
	in := scramble(rand.New(rand.NewPCG(1, 1)), 2000, 700)
	for b.Loop() {
		ports.Plan(in)
	}
}
