package proof

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/internal/kube"
)

func TestDifferencesOfStatesAreSeenBothWays(t *testing.T) {
	want := state{"green a": "1", "green b": "2"}
	got := state{"green a": "1", "green b": "3", "blue c": "4"}
	differences := strings.Join(got.differences(want), "\n")
	for _, part := range []string{"green b is 3, want 2", "blue c is there"} {
		if !strings.Contains(differences, part) {
			t.Errorf("%q does not say %q", differences, part)
		}
	}
	if d := want.differences(got); len(d) != 2 || got.hash() == want.hash() {
		t.Errorf("the other way: %v", d)
	}
	if d := got.only("green ").differences(state{"green a": "1", "green b": "3"}); len(d) != 0 {
		t.Errorf("only one side: %v", d)
	}
}

func TestPlainLeavesOutWhatAServerChoseAndKeepsWhoseItIs(t *testing.T) {
	service := func(ip string, port int64, target string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"kind": "Service", "metadata": map[string]any{"name": "shop", "labels": map[string]any{kube.LabelMigration: "one"}},
			"spec": map[string]any{"clusterIP": ip, "ports": []any{map[string]any{"nodePort": port, "targetPort": target}}},
		}}
	}
	text := func(obj *unstructured.Unstructured) string {
		out, err := plain(obj)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	one := text(service("10.0.0.1", 30000, "http"))
	if other := text(service("10.0.0.2", 30001, "http")); one != other {
		t.Errorf("%s and %s differ", one, other)
	}
	if other := text(service("10.0.0.1", 30000, "admin")); one == other {
		t.Error("another target port makes no difference")
	}
	foreign := service("10.0.0.1", 30000, "http")
	foreign.SetLabels(map[string]string{kube.LabelMigration: "two"})
	if text(foreign) == one {
		t.Error("another migration's object makes no difference")
	}
}

func TestI02_AWatchNotesWhatIsDeniedAndWhenEachServerMoved(t *testing.T) {
	w := &watch{current: map[string]string{}}
	leadsTo := func(side string) *dns.Msg {
		return &dns.Msg{Answer: []dns.RR{&dns.CNAME{Target: "shop.demo." + side + ".lb.test."}}}
	}
	for _, name := range []string{"primary", "secondary", "resolver"} {
		w.note(lookout{name: name}, "shop", leadsTo("blue"), nil)
	}
	w.note(lookout{name: "primary"}, "shop", leadsTo("green"), nil)
	if servers, _ := w.moved("shop", "green", w.moves[0].at); !servers.IsZero() {
		t.Error("all servers moved when one did")
	}
	if where := w.where("shop"); where != "primary green, secondary blue" {
		t.Errorf("it leads to %q", where)
	}
	w.note(lookout{name: "secondary"}, "shop", leadsTo("green"), nil)
	w.note(lookout{name: "resolver"}, "shop", leadsTo("green"), nil)
	if servers, resolver := w.moved("shop", "green", w.moves[0].at); servers.IsZero() || resolver.IsZero() || w.where("shop") != "green" {
		t.Errorf("servers %s, resolver %s, now %s", servers, resolver, w.where("shop"))
	}
	w.note(lookout{name: "primary"}, "shop", &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeNameError}}, nil)
	w.note(lookout{name: "primary"}, "shop", &dns.Msg{}, nil)
	w.note(lookout{name: "primary"}, "shop", nil, errors.New("no answer"))
	w.stop = func() {}
	if asked, denied, silent := w.end(); asked != 9 || len(denied) != 2 || silent != 1 {
		t.Errorf("%d asked, denied %v, %d silent", asked, denied, silent)
	}
}

func TestAGatheringActsOnceAllHaveComeOrLeft(t *testing.T) {
	acts := 0
	g := &gathering{full: make(chan struct{}), act: func(Options) error { acts++; return nil }}
	for range 3 {
		g.expect()
	}
	var met sync.WaitGroup
	for range 2 {
		met.Go(func() {
			if err := g.meet(t.Context(), Options{}); err != nil {
				t.Error(err)
			}
			g.leave(Options{})
		})
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if err := g.meet(ended, Options{}); !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("the third: %v", err)
	}
	met.Wait()
	if acts != 1 {
		t.Errorf("it acted %d times", acts)
	}
}
