package zonetest

import (
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

func (s *suite) fence(name, token string) zone.Fence {
	s.Helper()
	at, err := zone.FenceName(name, s.Zone.Apex())
	if err != nil {
		s.Fatal(err)
	}
	return zone.Fence{Name: at, Token: token}
}

func (s *suite) claim(name string, f zone.Fence, previous string) {
	s.Helper()
	if err := s.Zone.Claim(s.Context(), name, f, previous); err != nil {
		s.Fatalf("Claim: %v", err)
	}
}

func (s *suite) fenced(err error, found string) {
	s.Helper()
	var fenced *zone.FencedError
	if !errors.As(err, &fenced) || fenced.Found != found {
		s.Fatalf("got %v, want a FencedError that found %q", err, found)
	}
}

func fenceLife(s *suite) {
	from, to := s.cname("a", blue, 60), s.cname("a", green, 60)
	s.Put(s.T, from)
	mine, theirs := s.fence(from.Name, "one"), s.fence(from.Name, "two")
	c := change(one(from), one(to))
	c.Fence = mine
	_, err := s.Zone.Swap(s.Context(), c)
	s.fenced(err, "")
	s.holds(from)
	s.claim(from.Name, mine, "")
	s.claim(from.Name, mine, "")
	s.fenced(s.Zone.Claim(s.Context(), from.Name, theirs, ""), "one")
	s.fenced(s.Zone.Release(s.Context(), theirs), "one")
	s.swap(c)
	s.holds(to)
	for range 2 {
		if err := s.Zone.Release(s.Context(), mine); err != nil {
			s.Fatalf("Release: %v", err)
		}
	}
	s.absent(mine.Name, "TXT")
	s.holds(to)
}

// fenceStale is C7: after a take-over nothing that the former writer still sends is carried out, not even a change of
// TTL, whose old data are right.
func fenceStale(s *suite) {
	high := s.cname("a", blue, 300)
	s.Put(s.T, high)
	stale, present := s.fence(high.Name, "stale"), s.fence(high.Name, "present")
	s.claim(high.Name, stale, "")
	s.claim(high.Name, present, "stale")
	for _, to := range []zone.RRset{s.cname("a", green, 300), s.cname("a", blue, 5)} {
		c := change(one(high), one(to))
		c.Fence = stale
		_, err := s.Zone.Swap(s.Context(), c)
		s.fenced(err, "present")
		s.holds(high)
		c.Fence = present
		s.swap(c)
		s.holds(to)
		s.swap(c.Reverse())
	}
	s.fenced(s.Zone.Claim(s.Context(), high.Name, s.fence(high.Name, "third"), "stale"), "present")
}

func fenceRace(s *suite) {
	at := s.cname("a", blue, 60)
	s.Put(s.T, at)
	errs := make([]error, 5)
	var group errgroup.Group
	for i := range errs {
		f := s.fence(at.Name, "writer-"+string(rune('a'+i)))
		group.Go(func() error {
			errs[i] = s.Zone.Claim(s.Context(), at.Name, f, "")
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		s.Fatal(err)
	}
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, zone.ErrFenced):
			s.Errorf("a loser got %v, want ErrFenced", err)
		}
	}
	if won == 0 || won > 1 && s.Conditions == WithChange {
		s.Errorf("%d claims won, want 1", won)
	}
}

// fenceWildcard is C12: neither a fence nor a refused one ends what a wildcard answers.
func fenceWildcard(s *suite) {
	under := "." + s.label + "." + s.Zone.Apex()
	wild := set("*"+under, "A", 60, "192.0.2.5")
	shop := set("shop"+under, "CNAME", 60, blue)
	s.Put(s.T, wild, shop)
	s.claim(shop.Name, s.fence(shop.Name, "one"), "")
	answers := func(name string) {
		s.Helper()
		if got, err := s.Query(s.Context(), name, "A"); err != nil || len(got.Data) != 1 || got.Data[0] != "192.0.2.5" {
			s.Fatalf("the wildcard no longer answers for %s: %s, %v", name, text(got), err)
		}
	}
	answers("any" + under)
	answers("x.y" + under)
	// Only the wildcard answers for these: a fence beside the second one would put a node "y" into the tree.
	for _, name := range []string{"any" + under, "x.y" + under} {
		if err := s.Zone.Claim(s.Context(), name, s.fence(name, "one"), ""); !errors.Is(err, zone.ErrInvalid) {
			s.Fatalf("Claim for %s returned %v, want ErrInvalid", name, err)
		}
		answers(name)
	}
	// Its answer looks like a record of the name, and must not be swapped as if it were one.
	synthesised := set("any"+under, "A", 60, "192.0.2.5")
	s.refused(change(one(synthesised), one(set("any"+under, "A", 60, "192.0.2.6"))), zone.ErrMoved)
	answers("any" + under)
}

// A wildcard's text is an answer at the fence's name as long as there is no fence: it is nobody's token.
func fenceUnderWildcardText(s *suite) {
	under := "." + s.label + "." + s.Zone.Apex()
	wild := set("*"+under, "TXT", 60, `"v=spf1 -all"`, `"anything"`)
	shop, moved := set("shop"+under, "CNAME", 60, blue), set("shop"+under, "CNAME", 60, green)
	s.Put(s.T, wild, shop)
	one, two := s.fence(shop.Name, "one"), s.fence(shop.Name, "two")
	s.claim(shop.Name, one, "")
	s.claim(shop.Name, two, "one")
	c := change([]zone.RRset{shop}, []zone.RRset{moved})
	c.Fence = two
	s.swap(c)
	if err := s.Zone.Release(s.Context(), two); err != nil {
		s.Fatalf("Release: %v", err)
	}
	var fenced *zone.FencedError
	c.Old, c.New = c.New, c.Old
	if _, err := s.Zone.Swap(s.Context(), c); !errors.As(err, &fenced) || fenced.Found != "" {
		s.Errorf("without its fence the swap returned %v", err)
	}
	if got, err := s.Query(s.Context(), "any"+under, "TXT"); err != nil || len(got.Data) != 2 {
		s.Errorf("the wildcard answers %s, %v", text(got), err)
	}
}

func swapWildcard(s *suite) {
	under := "." + s.label + "." + s.Zone.Apex()
	from, to := set("*"+under, "CNAME", 60, blue), set("*"+under, "CNAME", 60, green)
	s.Put(s.T, from)
	f := s.fence(from.Name, "one")
	s.claim(from.Name, f, "")
	c := change(one(from), one(to))
	c.Fence = f
	if s.NoWildcards {
		s.refused(c, zone.ErrInvalid)
		s.holds(from)
		return
	}
	s.swap(c)
	s.holds(to)
	if got, err := s.Query(s.Context(), "any"+under, "CNAME"); err != nil || got.Data[0] != green {
		s.Errorf("the wildcard answers %s, %v", text(got), err)
	}
}

func probe(s *suite) {
	at := s.cname("a", blue, 60)
	s.Put(s.T, at)
	for _, name := range []string{at.Name, s.name("unknown"), s.Zone.Apex()} {
		if err := s.Zone.Probe(s.Context(), name); err != nil {
			s.Fatalf("Probe of %s: %v", name, err)
		}
	}
	s.holds(at)
	s.absent(s.name("unknown"), "CNAME")
}

// createUnderWildcard: a new name may stand beside a wildcard, and may not make a new level below one.
func createUnderWildcard(s *suite) {
	under := "." + s.label + "." + s.Zone.Apex()
	s.Put(s.T, set("*"+under, "A", 60, "192.0.2.5"), set("old.level"+under, "A", 60, "192.0.2.6"))
	s.refused(change(nil, one(set("new.made"+under, "AAAA", 60, "2001:db8::1"))), zone.ErrInvalid)
	if got, err := s.Query(s.Context(), "made"+under, "A"); err != nil || len(got.Data) != 1 {
		s.Fatalf("the wildcard no longer answers: %s, %v", text(got), err)
	}
	// A type that the wildcard does not answer with: the name looks empty.
	beside := set("beside"+under, "AAAA", 60, "2001:db8::2")
	s.swap(change(nil, one(beside)))
	s.holds(beside)
	// A type that it does answer with: its answer is nothing that stands at the name, not even where it says the very same.
	for _, made := range []zone.RRset{set("other"+under, "A", 60, "192.0.2.8"), set("same"+under, "A", 60, "192.0.2.5")} {
		there := change(nil, one(made))
		for _, c := range []zone.Change{there, there.Reverse()} {
			if first, second := s.swap(c), s.swap(c); !first.Applied || second.Applied {
				s.Errorf("%s was changed to %v: %t, and once more: %t", made.Name, c.New, first.Applied, second.Applied)
			}
		}
		if got, err := s.Query(s.Context(), made.Name, "A"); err != nil || len(got.Data) != 1 || got.Data[0] != "192.0.2.5" {
			s.Errorf("the wildcard no longer answers for %s: %s, %v", made.Name, text(got), err)
		}
	}
	deep := set("new.deep."+s.name("free"), "A", 60, "192.0.2.7")
	s.swap(change(nil, one(deep)))
	s.holds(deep)
}
