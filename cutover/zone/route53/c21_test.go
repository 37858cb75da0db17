package route53_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/route53/route53fake"
	"github.com/crossfade-project/crossfade/cutover/zone/zonetest"
)

// TestC21_SplitsAreOfTheContract runs the rules of zone.Weigher against the fake, which answers by weight.
func TestC21_SplitsAreOfTheContract(t *testing.T) {
	w := start(t, func(o *route53fake.Options) { o.Page = 2; o.Rate = 5 })
	zonetest.RunWeighing(t, w.target(w.driver(t, nil)))
	for _, batch := range w.actions() {
		if strings.Contains(batch, "UPSERT") {
			t.Errorf("an UPSERT has no condition: %s", batch)
		}
	}
}

// TestC21_SimpleToWeightedDeletesFirst: the simple set goes and the weighted ones come in one batch, with the fence, and the other way
// round; no weight is 0, so that the shares are never all 0, which would be equal shares.
func TestC21_SimpleToWeightedDeletesFirst(t *testing.T) {
	w := start(t, nil)
	w.put(cname(blue, 60))
	d := w.driver(t, nil)
	c := fenced(t, d)
	for _, step := range [][2]int{{0, 5}, {5, 99}, {99, 0}} {
		if _, err := d.Weigh(t.Context(), zone.Weighing{Change: c, From: step[0], To: step[1]}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, batch := range w.Batches()[1:] {
		var parts []string
		for _, change := range batch {
			if change.Set.Type == "TXT" {
				parts = append(parts, change.Action+" fence")
				continue
			}
			text := fmt.Sprintf("%s %s %s", change.Action, change.Set.SetIdentifier, change.Set.Values()[0])
			if change.Set.Weight != nil {
				text += fmt.Sprintf(" %d", *change.Set.Weight)
			}
			parts = append(parts, text)
		}
		got = append(got, strings.Join(parts, ", "))
	}
	want := []string{
		"DELETE  blue.lb.test., DELETE fence, CREATE crossfade-blue blue.lb.test. 95, CREATE crossfade-green green.lb.test. 5, CREATE fence",
		"DELETE crossfade-blue blue.lb.test. 95, DELETE crossfade-green green.lb.test. 5, DELETE fence, CREATE crossfade-blue blue.lb.test. 1, CREATE crossfade-green green.lb.test. 99, CREATE fence",
		"DELETE crossfade-blue blue.lb.test. 1, DELETE crossfade-green green.lb.test. 99, DELETE fence, CREATE  blue.lb.test., CREATE fence",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// weighted is a weighted set as somebody else makes one.
func weighted(id, to string, weight int64) route53fake.RecordSet {
	ttl := int64(60)
	return route53fake.RecordSet{Name: "shop.apps.test.", Type: "CNAME", SetIdentifier: id, Weight: &weight, TTL: &ttl, Records: route53fake.Records(to)}
}

// TestC21_ForeignWeightedSetsStay: sets with identifiers of others, a third set beside ours, and one of ours with a health check are no
// split of ours, whatever they answer; nothing changes them.
func TestC21_ForeignWeightedSetsStay(t *testing.T) {
	checked := weighted("crossfade-green", green, 5)
	checked.HealthCheckID = "hc-1"
	for name, sets := range map[string][]route53fake.RecordSet{
		"others' identifiers": {weighted("a", blue, 95), weighted("b", green, 5)},
		"a third set":         {weighted("crossfade-blue", blue, 90), weighted("crossfade-green", green, 5), weighted("theirs", "third.lb.test.", 5)},
		"a health check":      {weighted("crossfade-blue", blue, 95), checked},
		"half of a split":     {weighted("crossfade-blue", blue, 95)},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, nil)
			w.Put(zoneID, sets...)
			d := w.driver(t, nil)
			before := fmt.Sprintf("%+v", w.Sets(zoneID))
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
			if _, err := d.Share(t.Context(), c); !errors.Is(err, zone.ErrMoved) {
				t.Errorf("Share gives %v", err)
			}
			if after := fmt.Sprintf("%+v", w.Sets(zoneID)); after != before || len(w.Batches()) > 0 {
				t.Errorf("the zone became %s", after)
			}
		})
	}
}

// TestC21_AChangedWeightIsNotOverwritten: weights that somebody has set by hand between reading and changing refuse the batch; before
// it, they are another share than expected. Both ways out of the split still stand.
func TestC21_AChangedWeightIsNotOverwritten(t *testing.T) {
	var w *world
	armed := false
	w = start(t, func(o *route53fake.Options) {
		o.Fault = func(op string, _ int) route53fake.Fault {
			if armed && op == "POST hostedzone rrset" {
				armed = false
				w.Put(zoneID, weighted("crossfade-green", green, 0))
			}
			return route53fake.None
		}
	})
	w.put(cname(blue, 60))
	d := w.driver(t, nil)
	c := fenced(t, d)
	if _, err := d.Weigh(t.Context(), zone.Weighing{Change: c, To: 25}); err != nil {
		t.Fatal(err)
	}
	armed = true
	if _, err := d.Weigh(t.Context(), zone.Weighing{Change: c, From: 25, To: 50}); !errors.Is(err, zone.ErrMoved) {
		t.Fatalf("got %v, want ErrMoved", err)
	}
	if _, err := d.Share(t.Context(), c); !errors.Is(err, zone.ErrMoved) || !strings.Contains(err.Error(), "green.lb.test. by weight 0") {
		t.Errorf("Share gives %v", err)
	}
	w.Put(zoneID, weighted("crossfade-green", green, 50))
	if share, err := d.Share(t.Context(), c); !errors.Is(err, zone.ErrMoved) {
		t.Errorf("weights 75 and 50 are a share of %d, %v", share, err)
	}
	if _, err := d.Swap(t.Context(), c.Reverse()); err != nil {
		t.Errorf("back to blue: %v", err)
	}
	if sets := w.Sets(zoneID); len(sets) != 4 {
		t.Errorf("the zone is left with %+v", sets)
	}
}

// TestC21_ALostAnswerIsReadBack: a split whose answer was lost is found made, and not made twice (C4).
func TestC21_ALostAnswerIsReadBack(t *testing.T) {
	lose := false
	w := start(t, func(o *route53fake.Options) {
		o.Fault = func(op string, _ int) route53fake.Fault {
			if lose && op == "POST hostedzone rrset" {
				lose = false
				return route53fake.LoseReply
			}
			return route53fake.None
		}
	})
	w.put(cname(blue, 60))
	d := w.driver(t, nil)
	c := fenced(t, d)
	lose = true
	r, err := d.Weigh(t.Context(), zone.Weighing{Change: c, To: 25})
	if err != nil || !r.Applied || !r.Recovered {
		t.Fatalf("got %+v, %v", r, err)
	}
	if n := len(w.Batches()); n != 2 {
		t.Errorf("%d batches were carried out", n)
	}
}

// TestC21_OneRecordInAWeightedSet: several addresses on one side are refused before anything is asked.
func TestC21_OneRecordInAWeightedSet(t *testing.T) {
	w := start(t, nil)
	d := w.driver(t, nil)
	two := zone.RRset{Name: "shop.apps.test.", Type: "A", TTL: 60, Data: []string{"192.0.2.1", "192.0.2.2"}}
	c := zone.Change{Name: two.Name, Old: []zone.RRset{two}, New: []zone.RRset{{Name: two.Name, Type: "A", TTL: 60, Data: []string{"192.0.2.3"}}}}
	if err := d.JudgeWeighing(zone.Weighing{Change: c, To: 5}); !errors.Is(err, zone.ErrInvalid) || !strings.Contains(err.Error(), "one record") {
		t.Errorf("got %v", err)
	}
}
