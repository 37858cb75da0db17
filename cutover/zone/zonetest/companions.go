package zonetest

import (
	"errors"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

func owned(name, owner string) zone.RRset {
	return set(name, "TXT", 120, `"heritage=external-dns,external-dns/owner=`+owner+`"`)
}

// companions is C25: what is said about a name changes in the message that changes the name, or not at all. A zone that
// cannot do that says so and changes nothing.
func companions(s *suite) {
	from, to := s.cname("a", blue, 60), s.cname("a", green, 60)
	mine, others := s.name("cname-a"), s.name("old-a")
	c := change(one(from), one(to))
	c.With = []zone.Companion{
		{Old: owned(mine, "blue"), New: owned(mine, "green")},
		{Old: set(others, "TXT", 60, `"kept"`, `"was"`), New: set(others, "TXT", 60, `"is"`, `"kept"`)},
	}
	s.Put(s.T, from, c.With[0].Old, c.With[1].Old)
	if !s.carries(c) {
		s.holds(from, c.With[0].Old)
		return
	}
	if r := s.swap(c); !r.Applied {
		s.Error("the change was not applied")
	}
	s.holds(to, c.With[0].New)
	s.holdsAll(c.With[1].New)
	if r := s.swap(c); r.Applied {
		s.Error("a second time it was applied again")
	}
	s.swap(c.Reverse())
	s.holds(from, c.With[0].Old)
	s.holdsAll(c.With[1].Old)
	if back := c.Reverse().Reverse(); text(back.With[0].New) != text(c.With[0].New) || text(back.With[1].Old) != text(c.With[1].Old) {
		s.Errorf("the reverse of the reverse is %+v", back.With)
	}
}

// carries reports whether the zone changes companions together with a name. One that cannot must refuse such a change, whatever else
// speaks against it.
func (s *suite) carries(c zone.Change) bool {
	s.Helper()
	if zone.Together(s.Zone) {
		return true
	}
	s.refused(c, zone.ErrInvalid)
	return false
}

// companionMoved is C25: a companion that is not as it was seen keeps the name where it is, and the other way round.
func companionMoved(s *suite) {
	from, to := s.cname("a", blue, 60), s.cname("a", green, 60)
	name := s.name("cname-a")
	third := owned(name, "third")
	s.Put(s.T, from, third)
	c := change(one(from), one(to))
	c.With = []zone.Companion{{Old: owned(name, "blue"), New: owned(name, "green")}}
	if !s.carries(c) {
		s.holds(from, third)
		return
	}
	s.refused(c, zone.ErrMoved)
	s.holds(from, third)
	// One more string than was seen.
	more := s.cname("b", blue, 60)
	at := s.name("cname-b")
	both := set(at, "TXT", 120, `"another's"`, `"heritage=external-dns,external-dns/owner=blue"`)
	s.Put(s.T, more, both)
	c = change(one(more), one(s.cname("b", green, 60)))
	c.With = []zone.Companion{{Old: owned(at, "blue"), New: owned(at, "green")}}
	s.refused(c, zone.ErrMoved)
	s.holds(more)
	s.holdsAll(both)
	// None at all: a companion is not made.
	alone := s.cname("c", blue, 60)
	s.Put(s.T, alone)
	c = change(one(alone), one(s.cname("c", green, 60)))
	c.With = []zone.Companion{{Old: owned(s.name("cname-c"), "blue"), New: owned(s.name("cname-c"), "green")}}
	s.refused(c, zone.ErrMoved)
	s.holds(alone)
	s.absent(s.name("cname-c"), "TXT")
	// The name moved and its companion did not: somebody else was there.
	half := s.cname("d", green, 60)
	s.Put(s.T, half, owned(s.name("cname-d"), "blue"))
	c = change(one(s.cname("d", blue, 60)), one(half))
	c.With = []zone.Companion{{Old: owned(s.name("cname-d"), "blue"), New: owned(s.name("cname-d"), "green")}}
	s.refused(c, zone.ErrMoved)
	s.holds(half, owned(s.name("cname-d"), "blue"))
}

// companionFenced is C25 and C07: without the fence neither moves.
func companionFenced(s *suite) {
	from, to := s.cname("a", blue, 60), s.cname("a", green, 60)
	name := s.name("cname-a")
	s.Put(s.T, from, owned(name, "blue"))
	s.claim(from.Name, s.fence(from.Name, "present"), "")
	c := change(one(from), one(to))
	c.Fence = s.fence(from.Name, "stale")
	c.With = []zone.Companion{{Old: owned(name, "blue"), New: owned(name, "green")}}
	if !s.carries(c) {
		s.holds(from, owned(name, "blue"))
		return
	}
	_, err := s.Zone.Swap(s.Context(), c)
	s.fenced(err, "present")
	s.holds(from, owned(name, "blue"))
	c.Fence = s.fence(from.Name, "present")
	s.swap(c)
	s.holds(to, owned(name, "green"))
}

// companionAtName is C25 in external-dns's first format: the TXT stands at the name itself, beside its addresses, and others'
// strings may stand in the set.
func companionAtName(s *suite) {
	name := s.name("a")
	from, to := set(name, "A", 60, "192.0.2.1"), set(name, "A", 60, "192.0.2.2")
	old := set(name, "TXT", 120, `"heritage=external-dns,external-dns/owner=blue"`, `"v=spf1 -all"`)
	c := change(one(from), one(to))
	c.With = []zone.Companion{{Old: old, New: set(name, "TXT", 120, `"heritage=external-dns,external-dns/owner=green"`, `"v=spf1 -all"`)}}
	s.Put(s.T, from, old)
	if !s.carries(c) {
		s.holds(from)
		s.holdsAll(old)
		return
	}
	s.swap(c)
	s.holds(to)
	s.holdsAll(c.With[0].New)
}

func companionInvalid(s *suite) {
	from, to := s.cname("a", blue, 60), s.cname("a", green, 60)
	s.Put(s.T, from)
	at := s.name("cname-a")
	fence := s.fence(from.Name, "one")
	for what, w := range map[string][]zone.Companion{
		"another type":     {{Old: set(at, "A", 60, "192.0.2.1"), New: set(at, "A", 60, "192.0.2.2")}},
		"another name":     {{Old: owned(at, "blue"), New: owned(s.name("cname-b"), "blue")}},
		"another zone":     {{Old: owned("cname-a.example.com.", "blue"), New: owned("cname-a.example.com.", "green")}},
		"nothing new":      {{Old: owned(at, "blue"), New: set(at, "TXT", 60)}},
		"nothing old":      {{Old: set(at, "TXT", 60), New: owned(at, "green")}},
		"twice":            {{Old: owned(at, "blue"), New: owned(at, "green")}, {Old: owned(at, "blue"), New: owned(at, "red")}},
		"the fence itself": {{Old: owned(fence.Name, "blue"), New: owned(fence.Name, "green")}},
	} {
		c := change(one(from), one(to))
		c.Fence, c.With = fence, w
		if _, err := s.Zone.Swap(s.Context(), c); !errors.Is(err, zone.ErrInvalid) {
			s.Errorf("%s: Swap returned %v, want ErrInvalid", what, err)
		}
	}
	s.holds(from)
}

// holdsAll is holds for sets of several records, whose order means nothing.
func (s *suite) holdsAll(want zone.RRset) {
	s.Helper()
	got, err := s.Zone.Lookup(s.Context(), want.Name, want.Type)
	if err != nil {
		s.Fatalf("Lookup of %s %s: %v", want.Name, want.Type, err)
	}
	if !sameData(got, want) {
		s.Fatalf("%s %s holds %s, want %s", want.Name, want.Type, text(got), text(want))
	}
}

func sameData(a, b zone.RRset) bool {
	if len(a.Data) != len(b.Data) || a.TTL != b.TTL {
		return false
	}
	seen := map[string]bool{}
	for _, d := range a.Data {
		seen[d] = true
	}
	for _, d := range b.Data {
		if !seen[d] {
			return false
		}
	}
	return true
}
