package zonetest

import (
	"context"
	"errors"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

const (
	blue  = "blue.lb.test."
	green = "green.lb.test."
)

// lookupAll reads several types at once: those that are there, in the order that was asked for.
func lookupAll(s *suite) {
	name := s.name("a")
	v4, v6 := set(name, "A", 60, "192.0.2.1", "192.0.2.2"), set(name, "AAAA", 30, "2001:db8::1")
	s.Put(s.T, v4, v6, set(name, "TXT", 60, `"not asked for"`))
	for want, types := range map[string][]string{
		text(v6) + " " + text(v4): {"AAAA", "CNAME", "A"}, text(v4): {"CNAME", "A"}, "": {"CNAME", "MX"},
	} {
		sets, err := zone.LookupAll(s.Context(), s.Zone, name, types...)
		var got []string
		for _, set := range sets {
			got = append(got, text(set))
		}
		if err != nil || strings.Join(got, " ") != want {
			s.Errorf("%v: got %v, %v, want %s", types, got, err, want)
		}
	}
	if sets, err := zone.LookupAll(s.Context(), s.Zone, s.name("none"), "CNAME", "A"); err != nil || len(sets) > 0 {
		s.Errorf("a name that is not there has %v, %v", sets, err)
	}
}

func swapCNAME(s *suite) {
	from, to := s.cname("a", blue, 60), s.cname("a", green, 60)
	s.Put(s.T, from)
	c := change(one(from), one(to))
	if r := s.swap(c); !r.Applied || len(r.After) != 1 || text(r.After[0]) != text(to) {
		s.Errorf("Swap says %+v", r)
	}
	s.holds(to)
	s.swap(c.Reverse())
	s.holds(from)
}

func changeTTL(s *suite) {
	high, low := s.cname("a", blue, 300), s.cname("a", blue, 5)
	s.Put(s.T, high)
	if r := s.swap(change(one(high), one(low))); !r.Applied {
		s.Error("a change of TTL was not applied")
	}
	s.holds(low)
	s.swap(change(one(low), one(high)))
	s.holds(high)
	// The same for one address of two.
	name := s.name("b")
	h2, l2 := set(name, "A", 300, "192.0.2.1", "192.0.2.2"), set(name, "A", 7, "192.0.2.1", "192.0.2.2")
	s.Put(s.T, h2)
	s.swap(change(one(h2), one(l2)))
	s.holds(l2)
}

func twiceIsOnce(s *suite) {
	from, to := s.cname("a", blue, 60), s.cname("a", green, 60)
	s.Put(s.T, from)
	c := change(one(from), one(to))
	s.swap(c)
	if r := s.swap(c); r.Applied || r.Attempts != 0 {
		s.Errorf("the second Swap says %+v", r)
	}
	s.holds(to)
}

func refuseWhatMoved(s *suite) {
	there, expected, to := s.cname("a", "other.lb.test.", 60), s.cname("a", blue, 60), s.cname("a", green, 60)
	s.Put(s.T, there)
	s.refused(change(one(expected), one(to)), zone.ErrMoved)
	s.holds(there)
	// A name that holds nothing has moved too.
	s.refused(change(one(s.cname("b", blue, 60)), one(s.cname("b", green, 60))), zone.ErrMoved)
	s.absent(s.name("b"), "CNAME")
	// So has a set with one more record than was seen.
	name := s.name("c")
	s.Put(s.T, set(name, "A", 60, "192.0.2.1", "192.0.2.9"))
	s.refused(change(one(set(name, "A", 60, "192.0.2.1")), one(set(name, "A", 60, "192.0.2.2"))), zone.ErrMoved)
	s.holds(set(name, "A", 60, "192.0.2.1", "192.0.2.9"))
}

func refuseMovedTTL(s *suite) {
	there := s.cname("a", blue, 300)
	s.Put(s.T, there)
	s.refused(change(one(s.cname("a", blue, 60)), one(s.cname("a", green, 60))), zone.ErrMoved)
	s.holds(there)
}

func namesInAnyForm(s *suite) {
	from, to := s.cname("a", blue, 60), s.cname("a", green, 60)
	s.Put(s.T, from)
	loud := set(strings.ToUpper(strings.TrimSuffix(from.Name, ".")), "CNAME", 60, strings.ToUpper(blue))
	s.swap(zone.Change{Name: loud.Name, Old: one(loud), New: one(to)})
	s.holds(to)
	u := "bücher-" + s.label + "." + s.Zone.Apex()
	created := zone.Change{Name: u, New: one(set(u, "A", 60, "192.0.2.1"))}
	r := s.swap(created)
	if len(r.After) != 1 || !strings.HasPrefix(r.After[0].Name, "xn--") {
		s.Fatalf("the name is not in A-labels: %+v", r.After)
	}
	s.holds(set(r.After[0].Name, "A", 60, "192.0.2.1"))
}

// acrossTypes is what a change from other records to a CNAME is refused with when something else is in its way.
func (s *suite) acrossTypes() error {
	if s.OneType {
		return zone.ErrInvalid
	}
	return zone.ErrConflict
}

func changeOfType(s *suite) {
	name := s.name("a")
	alias := set(name, "CNAME", 60, blue)
	v4, v6 := set(name, "A", 30, "192.0.2.1"), set(name, "AAAA", 30, "2001:db8::1")
	s.Put(s.T, alias)
	c := change(one(alias), one(v4, v6))
	switch {
	case s.OneType:
		s.refused(c, zone.ErrInvalid)
		s.holds(alias)
		back := set(s.name("back"), "A", 30, "192.0.2.1")
		s.Put(s.T, back)
		s.refused(change(one(back), one(set(back.Name, "CNAME", 60, blue))), zone.ErrInvalid)
		s.holds(back)
	case s.NoNewAlias:
		s.swap(c)
		s.holds(v4, v6)
		s.absent(name, "CNAME")
		s.refused(c.Reverse(), zone.ErrInvalid)
		s.holds(v4, v6)
	default:
		s.swap(c)
		s.holds(v4, v6)
		s.absent(name, "CNAME")
		s.swap(c.Reverse())
		s.holds(alias)
		s.absent(name, "A")
	}
	// An AAAA that the plan has not seen is in the way of a CNAME.
	other := s.name("b")
	v4, v6 = set(other, "A", 30, "192.0.2.1"), set(other, "AAAA", 30, "2001:db8::1")
	s.Put(s.T, v4, v6)
	s.refused(change(one(v4), one(set(other, "CNAME", 60, green))), s.acrossTypes())
	s.holds(v4, v6)
}

func setsOfSeveral(s *suite) {
	name := s.name("a")
	from := one(set(name, "A", 60, "192.0.2.1", "192.0.2.2"), set(name, "AAAA", 60, "2001:db8::1"))
	to := one(set(name, "A", 60, "192.0.2.2", "192.0.2.3"))
	s.Put(s.T, from...)
	c := change(from, to)
	if s.OneType {
		s.refused(c, zone.ErrInvalid)
		s.holds(from...)
		// One of the types alone is one change; the other stays.
		c = change(from[:1], to)
		s.swap(c)
		s.holds(to[0], from[1])
		s.swap(c.Reverse())
		s.holds(from...)
		return
	}
	s.swap(c)
	s.holds(to...)
	s.absent(name, "AAAA")
	s.swap(c.Reverse())
	s.holds(from...)
	// A set that stays as it is belongs to the change too.
	stays := change(from, one(set(name, "A", 60, "192.0.2.9"), from[1]))
	s.swap(stays)
	s.holds(stays.New...)
}

func apexAddresses(s *suite) {
	apex := s.Zone.Apex()
	from := one(set(apex, "A", 60, "192.0.2.1"), set(apex, "AAAA", 60, "2001:db8::1"))
	to := one(set(apex, "A", 60, "192.0.2.2"), set(apex, "AAAA", 60, "2001:db8::2"))
	s.Put(s.T, from...)
	if s.OneType {
		s.refused(change(from, to), zone.ErrInvalid)
		s.holds(from...)
		s.refused(zone.Change{Name: apex, Old: from, Remove: true}, zone.ErrInvalid)
		s.holds(from...)
		for i := range from {
			s.swap(change(from[i:i+1], to[i:i+1]))
		}
	} else {
		s.swap(change(from, to))
	}
	s.holds(to...)
	s.refused(change(to, one(set(apex, "CNAME", 60, green))), zone.ErrInvalid)
	if s.OneType {
		s.swap(zone.Change{Name: apex, Old: to[:1], Remove: true})
		s.holds(to[1])
		s.swap(zone.Change{Name: apex, Old: to[1:], Remove: true})
	} else {
		s.swap(zone.Change{Name: apex, Old: to, Remove: true})
	}
	s.absent(apex, "A")
	s.absent(apex, "AAAA")
}

func conflictingTypes(s *suite) {
	for label, other := range map[string]zone.RRset{
		"txt": set("", "TXT", 60, `"keep me"`), "mx": set("", "MX", 60, "10 mail.test."), "caa": set("", "CAA", 60, `0 issue "ca.test"`),
		"srv": set("", "SRV", 60, "0 0 443 a.test."), "aaaa": set("", "AAAA", 60, "2001:db8::7"),
	} {
		name := s.name(label)
		other.Name = name
		from := set(name, "A", 60, "192.0.2.1")
		s.Put(s.T, from, other)
		s.refused(change(one(from), one(set(name, "CNAME", 60, green))), s.acrossTypes())
		s.holds(from, other)
	}
	// A name that is an alias takes no address beside it.
	alias := s.cname("alias", blue, 60)
	s.Put(s.T, alias)
	if _, err := s.Zone.Swap(s.Context(), change(nil, one(set(alias.Name, "A", 60, "192.0.2.1")))); !errors.Is(err, zone.ErrConflict) {
		s.Fatalf("Swap returned %v, want ErrConflict", err)
	}
	s.holds(alias)
}

func othersStay(s *suite) {
	name := s.name("a")
	from, to := set(name, "A", 60, "192.0.2.1"), set(name, "A", 60, "192.0.2.2")
	txt, mx := set(name, "TXT", 120, `"heritage=someone-else"`), set(name, "MX", 120, "10 mail.test.")
	below := set("x."+name, "A", 60, "192.0.2.77")
	s.Put(s.T, from, txt, mx, below)
	s.swap(change(one(from), one(to)))
	s.holds(to, txt, mx, below)
	s.swap(zone.Change{Name: name, Old: one(to), Remove: true})
	s.absent(name, "A")
	s.holds(txt, mx, below)
}

func createAndRemove(s *suite) {
	made := set(s.name("a"), "A", 60, "192.0.2.1")
	c := change(nil, one(made))
	s.swap(c)
	s.holds(made)
	s.refused(change(nil, one(set(made.Name, "A", 60, "192.0.2.2"))), zone.ErrMoved)
	s.holds(made)
	s.refused(zone.Change{Name: made.Name, Old: one(made)}, zone.ErrInvalid)
	s.swap(c.Reverse())
	s.absent(made.Name, "A")
	if r := s.swap(c.Reverse()); r.Applied {
		s.Error("removing what is gone was applied")
	}
}

func refuseInvalid(s *suite) {
	apex := s.Zone.Apex()
	a := func(name string) []zone.RRset { return one(set(name, "A", 60, "192.0.2.1")) }
	for what, c := range map[string]zone.Change{
		"another zone":               change(nil, a("www.example.com.")),
		"a zone that ends alike":     change(nil, a("www.not"+apex)),
		"a label of 64 bytes":        change(nil, a(strings.Repeat("x", 64)+"."+apex)),
		"an empty label":             change(nil, a("a.."+apex)),
		"no new records":             {Name: s.name("a"), Old: a(s.name("a"))},
		"two sets of one type":       change(nil, append(a(s.name("a")), a(s.name("a"))...)),
		"a set at another name":      {Name: s.name("a"), New: a(s.name("b"))},
		"two aliases":                change(nil, one(set(s.name("a"), "CNAME", 60, blue, green))),
		"an alias beside an address": change(nil, append(a(s.name("a")), set(s.name("a"), "CNAME", 60, blue))),
		"data of another type":       change(nil, one(set(s.name("a"), "A", 60, "not-an-address"))),
		"a second record hidden":     change(nil, one(set(s.name("a"), "A", 60, "192.0.2.1\nb.test. 60 IN A 192.0.2.2"))),
		"no data":                    change(nil, one(set(s.name("a"), "A", 60))),
		"a zone's own NS":            change(nil, one(set(s.name("a"), "NS", 60, "ns.test."))),
	} {
		if _, err := s.Zone.Swap(s.Context(), c); !errors.Is(err, zone.ErrInvalid) {
			s.Errorf("%s: Swap returned %v, want ErrInvalid", what, err)
		}
	}
}

func cancelledBefore(s *suite) {
	from, to := s.cname("a", blue, 60), s.cname("a", green, 60)
	s.Put(s.T, from)
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, err := s.Zone.Swap(ctx, change(one(from), one(to))); !errors.Is(err, context.Canceled) {
		s.Errorf("Swap returned %v, want context.Canceled", err)
	}
	s.holds(from)
}

func oneOfTwoWins(s *suite) {
	from := s.cname("a", blue, 60)
	s.Put(s.T, from)
	results := make([]error, 6)
	var group errgroup.Group
	for i := range results {
		to := s.cname("a", string(rune('a'+i))+".lb.test.", 60)
		group.Go(func() error {
			_, results[i] = s.Zone.Swap(s.Context(), change(one(from), one(to)))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		s.Fatal(err)
	}
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, zone.ErrMoved):
			s.Errorf("a loser got %v, want ErrMoved", err)
		}
	}
	if won == 0 || won > 1 && s.Conditions == WithChange {
		s.Errorf("%d changes of the same record won, want 1", won)
	}
	if got, err := s.Zone.Lookup(s.Context(), from.Name, "CNAME"); err != nil || len(got.Data) != 1 || got.Data[0] == blue {
		s.Errorf("the name holds %s, %v", text(got), err)
	}
}

// alwaysAnAnswer asks all the time while the record goes to and fro. A CNAME for a CNAME is a replacement at every provider: weak
// servers may show the old one for longer, and none may show nothing.
func alwaysAnAnswer(s *suite) {
	name := s.name("a")
	from, to := one(set(name, "CNAME", 5, blue)), one(set(name, "CNAME", 5, green))
	s.Put(s.T, from...)
	ctx, stop := context.WithCancel(s.Context())
	defer stop()
	// Each exchange waits for at least one answer that was asked for after it.
	answered := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		defer close(answered)
		for ctx.Err() == nil {
			got, err := s.Query(ctx, name, "CNAME")
			if ctx.Err() != nil {
				return
			}
			if err != nil || text(got) != text(from[0]) && text(got) != text(to[0]) {
				s.Errorf("during a swap a client got %s, %v", text(got), err)
				return
			}
			select {
			case answered <- struct{}{}:
			default:
			}
		}
	})
	for range 10 {
		s.swap(change(from, to))
		s.swap(change(to, from))
		<-answered
	}
	stop()
	group.Wait()
}
