package clouddns_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/clouddns/clouddnsfake"
	"github.com/crossfade-project/crossfade/cutover/zone/zonetest"
)

// TestC21_SplitsAreOfTheContract runs the rules of zone.Weigher against the fake, which answers by weight.
func TestC21_SplitsAreOfTheContract(t *testing.T) {
	w := start(t, func(o *clouddnsfake.Options) { o.Page = 2 })
	zonetest.RunWeighing(t, zonetest.Target{Zone: w.driver(t, nil), Query: w.query, Put: func(t *testing.T, sets ...zone.RRset) { w.put(sets...) }})
}

// TestC21_OneChangeDeletesWhatIsThere: the plain set goes and the policy comes in one change, with the fence, and the other way round.
func TestC21_OneChangeDeletesWhatIsThere(t *testing.T) {
	w := start(t, nil)
	w.put(cname(blue, 60))
	d := w.driver(t, nil)
	c := toGreen()
	c.Fence = zone.Fence{Name: "_crossfade-shop.apps.test.", Token: "mine"}
	if err := d.Claim(t.Context(), c.Name, c.Fence, ""); err != nil {
		t.Fatal(err)
	}
	for _, step := range [][2]int{{0, 5}, {5, 50}} {
		if _, err := d.Weigh(t.Context(), zone.Weighing{Change: c, From: step[0], To: step[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Swap(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, change := range w.Changes(managed)[1:] {
		text := ""
		for sign, sets := range map[string][]clouddnsfake.RecordSet{"-": change.Deletions, "+": change.Additions} {
			for _, set := range sets {
				if set.Type == "CNAME" {
					text += fmt.Sprintf("%s%s%s ", sign, set.Rrdatas, set.Policy)
				}
			}
		}
		got = append(got, text)
		if len(change.Deletions) != 2 || len(change.Additions) != 2 {
			t.Errorf("the change is %+v", change)
		}
	}
	policy := func(b, g int) string {
		return fmt.Sprintf(`[]{"wrr":{"items":[{"rrdatas":["blue.lb.test."],"weight":%d},{"rrdatas":["green.lb.test."],"weight":%d}]}}`, b, g)
	}
	for i, want := range [][2]string{{"-[blue.lb.test.]", "+" + policy(95, 5)}, {"-" + policy(95, 5), "+" + policy(50, 50)}, {"-" + policy(50, 50), "+[green.lb.test.]"}} {
		if !strings.Contains(got[i], want[0]) || !strings.Contains(got[i], want[1]) {
			t.Errorf("change %d is %s, want %s", i, got[i], want)
		}
	}
}

// TestC21_ForeignPoliciesStay: a policy that is not exactly the two sides of the change is nobody's to change.
func TestC21_ForeignPoliciesStay(t *testing.T) {
	item := func(to string, weight float64) clouddnsfake.Item {
		return clouddnsfake.Item{Weight: weight, Rrdatas: []string{to}}
	}
	for name, policy := range map[string]json.RawMessage{
		"a third item":    clouddnsfake.Weighted(item(blue, 90), item(green, 5), item("third.lb.test.", 5)),
		"another target":  clouddnsfake.Weighted(item(blue, 95), item("third.lb.test.", 5)),
		"one item":        clouddnsfake.Weighted(item(blue, 1)),
		"broken weights":  clouddnsfake.Weighted(item(blue, 0.95), item(green, 0.05)),
		"by place":        json.RawMessage(`{"geo":{"items":[{"location":"us-east1","rrdatas":["blue.lb.test."]},{"location":"us-west1","rrdatas":["green.lb.test."]}]}}`),
		"a health check":  json.RawMessage(`{"wrr":{"items":[{"weight":95,"rrdatas":["blue.lb.test."]},{"weight":5,"rrdatas":["green.lb.test."]}]},"healthCheck":"hc"}`),
		"checked targets": json.RawMessage(`{"wrr":{"items":[{"weight":95,"rrdatas":["blue.lb.test."]},{"weight":5,"rrdatas":["green.lb.test."],"healthCheckedTargets":{"externalEndpoints":["192.0.2.1"]}}]}}`),
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, nil)
			ttl := int64(60)
			w.Put(managed, clouddnsfake.RecordSet{Name: "shop.apps.test.", Type: "CNAME", TTL: &ttl, Policy: policy})
			d := w.driver(t, nil)
			before := fmt.Sprintf("%+v", w.Sets(managed))
			c := toGreen()
			if _, err := d.Weigh(t.Context(), zone.Weighing{Change: c, From: 5, To: 50}); !errors.Is(err, zone.ErrConflict) {
				t.Errorf("Weigh gives %v", err)
			}
			for _, way := range []zone.Change{c, c.Reverse()} {
				if _, err := d.Swap(t.Context(), way); !errors.Is(err, zone.ErrConflict) {
					t.Errorf("Swap gives %v", err)
				}
			}
			if half, err := d.Underway(t.Context(), c); err != nil || half {
				t.Errorf("it is taken for a split of ours: %v, %v", half, err)
			}
			if after := fmt.Sprintf("%+v", w.Sets(managed)); after != before || len(w.Changes(managed)) > 0 {
				t.Errorf("the zone became %s", after)
			}
		})
	}
}
