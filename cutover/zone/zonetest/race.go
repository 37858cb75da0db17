package zonetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// strengthFits holds the words of a zone against what it says of its conditions.
func strengthFits(s *suite) {
	strength := s.Zone.Strength()
	if !slices.Contains([]zone.Strength{zone.Atomic, zone.Transactional, zone.Weak}, strength) {
		s.Fatalf("the zone's strength is %q", strength)
	}
	if s.Conditions == Before && strength != zone.Weak {
		s.Errorf("a zone whose conditions are checked before the change says that it is %s", strength)
	}
}

// The bounds of a race.
const (
	racers  = 4
	winsOf  = 3
	triesOf = 60
)

// noUpdateIsLost lets writers count in one record: each reads it and replaces it by the next number. With conditions in the change
// the last number is how many changes won; where they are checked before, no number may be above that. A change that was made, and
// replaced by the next writer before it was read back, may be called uncertain: it counts for either.
func noUpdateIsLost(s *suite) {
	name := s.name("a")
	// Each writer's numbers differ from those of the others, so that nobody takes another's record for its own.
	counter := func(writer, n int) zone.RRset { return set(name, "A", 60, fmt.Sprintf("10.0.%d.%d", writer, n)) }
	s.Put(s.T, counter(0, 0))
	fence := s.fence(name, "racers")
	s.claim(name, fence, "")
	var won, unsure atomic.Int64
	var group errgroup.Group
	for writer := range racers {
		group.Go(func() error {
			for wins, tries := 0, 0; wins < winsOf; tries++ {
				if tries == triesOf {
					return errors.New("a writer never got its turn")
				}
				now, err := s.Zone.Lookup(s.Context(), name, "A")
				if err != nil {
					return err
				}
				n, err := number(now)
				if err != nil {
					return err
				}
				c := change(one(now), one(counter(writer+1, n+1)))
				c.Fence = fence
				result, err := s.Zone.Swap(s.Context(), c)
				switch {
				case err == nil && result.Applied:
					wins++
					won.Add(1)
				case errors.Is(err, zone.ErrUncertain):
					wins++
					unsure.Add(1)
				case err != nil && !errors.Is(err, zone.ErrMoved):
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		s.Fatal(err)
	}
	end, err := s.Zone.Lookup(s.Context(), name, "A")
	if err != nil {
		s.Fatal(err)
	}
	last, err := number(end)
	if err != nil {
		s.Fatal(err)
	}
	if sure, most := int(won.Load()), int(won.Load()+unsure.Load()); last > most || last < sure && s.Conditions == WithChange {
		s.Errorf("%d changes won, %d may have, and the record counts %d", sure, most-sure, last)
	}
}

func number(set zone.RRset) (int, error) {
	if len(set.Data) != 1 {
		return 0, fmt.Errorf("the record holds %s", text(set))
	}
	return strconv.Atoi(set.Data[0][strings.LastIndex(set.Data[0], ".")+1:])
}

// foreignStay is I3 and C6: whatever is done to one name, all other records stay as they are.
func foreignStay(s *suite) {
	under := "." + s.label + "." + s.Zone.Apex()
	own, made := set("own"+under, "CNAME", 60, blue), set("made"+under, "A", 60, "192.0.2.1")
	foreign := one(
		set("a"+under, "CNAME", 300, "elsewhere.test."), set("own-2"+under, "A", 300, "192.0.2.1", "192.0.2.2"), set("own-2"+under, "AAAA", 300, "2001:db8::1"),
		set("mail"+under, "MX", 600, "10 mx.test."), set("mail"+under, "TXT", 600, `"heritage=external-dns,owner=x"`, `"v=spf1 -all"`),
		set("_sip._tcp"+under, "SRV", 600, "0 0 5060 sip.test."), set("ca"+under, "CAA", 600, `0 issue "ca.test"`), set("*.wild"+under, "A", 60, "192.0.2.9"),
		set("x.own"+under, "TXT", 60, `"below"`),
	)
	s.Put(s.T, append(slices.Clone(foreign), own)...)
	before := s.everythingBut(own.Name, made.Name)
	fence := s.fence(own.Name, "one")
	s.claim(own.Name, fence, "")
	swap := change(one(own), one(set(own.Name, "CNAME", 5, green)))
	swap.Fence = fence
	s.swap(swap)
	s.swap(change(nil, one(made)))
	s.refused(change(one(set(own.Name, "CNAME", 5, "other.test.")), one(own)), zone.ErrMoved)
	if err := s.Zone.Probe(s.Context(), own.Name); err != nil {
		s.Errorf("Probe: %v", err)
	}
	s.swap(swap.Reverse())
	s.swap(zone.Change{Name: made.Name, Old: one(made), Remove: true})
	if err := s.Zone.Release(s.Context(), fence); err != nil {
		s.Errorf("Release: %v", err)
	}
	s.holds(foreign...)
	if after := s.everythingBut(own.Name, made.Name); !slices.Equal(before, after) {
		s.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

// everythingBut lists the zone without some names, where it can be listed, and without what a server writes itself.
func (s *suite) everythingBut(names ...string) []string {
	s.Helper()
	lister, ok := s.Zone.(zone.Lister)
	if !ok {
		return nil // holds has looked at each foreign record
	}
	sets, err := lister.List(s.Context())
	if err != nil {
		s.Fatalf("List: %v", err)
	}
	var out []string
	for _, set := range sets {
		if slices.Contains(names, set.Name) || slices.Contains([]string{"SOA", "RRSIG", "NSEC", "NSEC3", "TYPE65534"}, set.Type) {
			continue
		}
		slices.Sort(set.Data)
		out = append(out, text(set))
	}
	slices.Sort(out)
	return out
}
