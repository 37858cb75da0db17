package zonetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// RunWeighing checks the rules of zone.Weigher, as subtests. The target's Query must answer by weight.
func RunWeighing(t *testing.T, target Target) {
	weigher, ok := zone.AsWeigher(target.Zone)
	if !ok {
		t.Fatal("the zone cannot split a name's answers")
	}
	for _, rule := range []struct {
		name  string
		check func(s *weighing)
	}{
		{"SplitAndBack", splitAndBack},
		{"SwapsEndASplit", swapsEndASplit},
		{"TwiceIsOnce", weighTwice},
		{"RefuseAnotherShare", refuseAnotherShare},
		{"RefuseWhatMoved", weighMoved},
		{"UnderTheFence", weighFenced},
		{"ApexAddresses", weighApex},
		{"RefuseInvalid", weighInvalid},
		{"OthersStay", weighOthersStay},
	} {
		t.Run("C21_"+rule.name, func(t *testing.T) {
			rule.check(&weighing{suite: &suite{T: t, Target: target, label: "w" + strings.ToLower(rule.name)}, weigher: weigher})
		})
	}
}

// weighing is one rule at work.
type weighing struct {
	*suite
	weigher zone.Weigher
}

// pair puts a name that holds blue, under a fence, and returns its change to green.
func (s *weighing) pair(label string) zone.Change {
	s.Helper()
	c := change(one(s.cname(label, blue, 60)), one(s.cname(label, green, 60)))
	s.Put(s.T, c.Old...)
	c.Fence = s.fence(c.Name, "mine")
	s.claim(c.Name, c.Fence, "")
	return c
}

func (s *weighing) weigh(c zone.Change, from, to int) zone.Result {
	s.Helper()
	result, err := s.weigher.Weigh(s.Context(), zone.Weighing{Change: c, From: from, To: to})
	if err != nil {
		s.Fatalf("Weigh from %d to %d: %v", from, to, err)
	}
	return result
}

func (s *weighing) share(c zone.Change, want int) {
	s.Helper()
	if got, err := s.weigher.Share(s.Context(), c); err != nil || got != want {
		s.Fatalf("Share is %d and %v, want %d", got, err, want)
	}
}

// drawn counts the new answers of a thousand questions: each is one side, whole, with its TTL.
func (s *weighing) drawn(c zone.Change) (to int) {
	s.Helper()
	const questions = 1000
	for range questions {
		got, err := s.Query(s.Context(), c.Name, c.Old[0].Type)
		if err != nil {
			s.Fatalf("a question while %s is split: %v", c.Name, err)
		}
		switch text(got) {
		case text(c.Old[0]):
		case text(c.New[0]):
			to++
		default:
			s.Fatalf("a question while %s is split gets %s", c.Name, text(got))
		}
	}
	return to
}

// splitAndBack goes up in steps and back to blue alone. While it lasts the name is never read as if it held one side.
func splitAndBack(s *weighing) {
	c := s.pair("a")
	s.share(c, 0)
	from := 0
	for _, to := range []int{5, 25, 99, 1, 50} {
		if r := s.weigh(c, from, to); !r.Applied || r.Strength != s.Zone.Strength() {
			s.Errorf("Weigh to %d says %+v", to, r)
		}
		s.share(c, to)
		green := s.drawn(c)
		// Of a thousand, four standard deviations and a little for the ends.
		if off := green - 10*to; off*off > 16*10*to*(100-to)/100+100 {
			s.Errorf("%d of 1000 answers are green's, want about %d", green, 10*to)
		}
		if set, err := s.Zone.Lookup(s.Context(), c.Name, "CNAME"); !errors.Is(err, zone.ErrConflict) {
			s.Errorf("a split name was read as %s, %v", text(set), err)
		}
		for _, way := range []zone.Change{c, c.Reverse()} {
			if half, err := s.weigher.Underway(s.Context(), way); err != nil || !half {
				s.Errorf("a split is not known as a change under way: %v, %v", half, err)
			}
		}
		from = to
	}
	s.weigh(c, from, 0)
	s.share(c, 0)
	s.holds(c.Old...)
	if half, err := s.weigher.Underway(s.Context(), c); err != nil || half {
		s.Errorf("a plain name is known as split: %v, %v", half, err)
	}
}

// swapsEndASplit: Swap leads out of a split to either side, in one change.
func swapsEndASplit(s *weighing) {
	for label, there := range map[string]bool{"there": true, "back": false} {
		c := s.pair(label)
		s.weigh(c, 0, 30)
		end := c
		if !there {
			end = c.Reverse()
		}
		if r := s.swap(end); !r.Applied || r.Attempts != 1 {
			s.Errorf("%s: the swap says %+v", label, r)
		}
		s.holds(end.New...)
	}
}

func weighTwice(s *weighing) {
	c := s.pair("a")
	s.weigh(c, 0, 30)
	if r := s.weigh(c, 0, 30); r.Applied {
		s.Error("a second time it was applied again")
	}
	s.share(c, 30)
	s.weigh(c, 30, 0)
	if r := s.weigh(c, 30, 0); r.Applied {
		s.Error("going back was applied again")
	}
}

// refuseAnotherShare: who believes in another share than there is, changes nothing.
func refuseAnotherShare(s *weighing) {
	c := s.pair("a")
	s.weigh(c, 0, 30)
	for _, from := range []int{0, 29, 100} {
		if _, err := s.weigher.Weigh(s.Context(), zone.Weighing{Change: c, From: from, To: 60}); !errors.Is(err, zone.ErrMoved) {
			s.Errorf("from %d: %v, want ErrMoved", from, err)
		}
	}
	s.share(c, 30)
	s.swap(c)
	if _, err := s.weigher.Weigh(s.Context(), zone.Weighing{Change: c, From: 30, To: 60}); !errors.Is(err, zone.ErrMoved) {
		s.Errorf("after the swap: %v, want ErrMoved", err)
	}
	s.share(c, 100)
	s.holds(c.New...)
}

// weighMoved: neither side is there, or a split of others' answers.
func weighMoved(s *weighing) {
	c := s.pair("a")
	third := s.cname("a", "third.lb.test.", 60)
	s.Put(s.T, third)
	if _, err := s.weigher.Weigh(s.Context(), zone.Weighing{Change: c, To: 10}); !errors.Is(err, zone.ErrMoved) {
		s.Errorf("got %v, want ErrMoved", err)
	}
	if _, err := s.weigher.Share(s.Context(), c); !errors.Is(err, zone.ErrMoved) {
		s.Errorf("Share gives %v, want ErrMoved", err)
	}
	s.holds(third)
	// A split between blue and a third one is none of this change's.
	other := s.pair("b")
	s.weigh(other, 0, 10)
	foreign := change(other.Old, one(s.cname("b", "third.lb.test.", 60)))
	foreign.Fence = other.Fence
	if _, err := s.weigher.Weigh(s.Context(), zone.Weighing{Change: foreign, From: 10, To: 20}); !errors.Is(err, zone.ErrConflict) && !errors.Is(err, zone.ErrMoved) {
		s.Errorf("another's split was taken for ours: %v", err)
	}
	if _, err := s.Zone.Swap(s.Context(), foreign); err == nil {
		s.Error("another's split was swapped away")
	}
	if half, err := s.weigher.Underway(s.Context(), foreign); err != nil || half {
		s.Errorf("another's split is known as ours: %v, %v", half, err)
	}
	s.share(other, 10)
}

func weighFenced(s *weighing) {
	c := s.pair("a")
	stale := c
	stale.Fence.Token = "stale"
	_, err := s.weigher.Weigh(s.Context(), zone.Weighing{Change: stale, To: 10})
	s.fenced(err, "mine")
	s.share(c, 0)
	s.weigh(c, 0, 10)
	_, err = s.weigher.Weigh(s.Context(), zone.Weighing{Change: stale, From: 10, To: 90})
	s.fenced(err, "mine")
	_, err = s.Zone.Swap(s.Context(), stale)
	s.fenced(err, "mine")
	s.share(c, 10)
}

// weighApex: addresses of both families are shared out together.
func weighApex(s *weighing) {
	name := s.name("a")
	sides := func(last string) []zone.RRset {
		return []zone.RRset{set(name, "A", 60, "192.0.2."+last), set(name, "AAAA", 60, "2001:db8::"+last)}
	}
	c := change(sides("1"), sides("2"))
	s.Put(s.T, c.Old...)
	s.weigh(c, 0, 40)
	s.share(c, 40)
	for i := range c.Old {
		s.drawn(zone.Change{Name: name, Old: c.Old[i : i+1], New: c.New[i : i+1]})
	}
	s.weigh(c, 40, 0)
	s.holds(c.Old...)
}

func weighInvalid(s *weighing) {
	c := s.pair("a")
	address := c
	address.New = one(set(c.Name, "A", 60, "192.0.2.1"))
	same := c
	same.New = c.Old
	ttl := c
	ttl.New = one(s.cname("a", green, 61))
	with := c
	with.With = []zone.Companion{{Old: owned(s.name("cname-a"), "blue"), New: owned(s.name("cname-a"), "green")}}
	for what, w := range map[string]zone.Weighing{
		"another type": {Change: address, To: 10}, "the same answer": {Change: same, To: 10}, "another TTL": {Change: ttl, To: 10},
		"a companion": {Change: with, To: 10}, "all of it": {Change: c, To: 100}, "less than nothing": {Change: c, To: -1},
	} {
		if _, err := s.weigher.Weigh(s.Context(), w); !errors.Is(err, zone.ErrInvalid) {
			s.Errorf("%s: %v, want ErrInvalid", what, err)
		}
		if err := s.weigher.JudgeWeighing(w); !errors.Is(err, zone.ErrInvalid) {
			s.Errorf("%s is judged %v, want ErrInvalid", what, err)
		}
	}
	if err := s.weigher.JudgeWeighing(zone.Weighing{Change: c, To: 10}); err != nil {
		s.Errorf("a good one is judged %v", err)
	}
	s.holds(c.Old...)
}

// weighOthersStay: what else stands beside the addresses of a name is left as it is.
func weighOthersStay(s *weighing) {
	name := s.name("a")
	c := change(one(set(name, "A", 60, "192.0.2.1")), one(set(name, "A", 60, "192.0.2.2")))
	others := []zone.RRset{set(name, "TXT", 120, `"v=spf1 -all"`), set(name, "MX", 120, "10 mx.test."), s.cname("b", blue, 60)}
	s.Put(s.T, slices.Concat(c.Old, others)...)
	s.weigh(c, 0, 10)
	s.weigh(c, 10, 60)
	s.swap(c)
	s.holds(slices.Concat(c.New, others)...)
}
