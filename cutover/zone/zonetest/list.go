package zonetest

import (
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// listShowsWhatLeads is C24: whatever leads to a name or to an address is in the list of the zone, in a form in which that can be seen.
// A zone that cannot be listed is no zone in which nothing was found, so every driver lists.
func listShowsWhatLeads(s *suite) {
	lister, ok := s.Zone.(zone.Lister)
	if !ok {
		s.Fatal("it cannot be listed")
	}
	under := "." + s.label + "." + s.Zone.Apex()
	for _, tt := range []struct {
		set  zone.RRset
		want string // names and addresses
	}{
		{set("alias"+under, "CNAME", 60, "old.test."), "[old.test.] []"},
		{set("four"+under, "A", 60, "192.0.2.77", "192.0.2.78"), "[] [192.0.2.77 192.0.2.78]"},
		{set("six"+under, "AAAA", 60, "2001:db8::77"), "[] [2001:db8::77]"},
		{set("*.many"+under, "CNAME", 60, "old.test."), "[old.test.] []"},
		{set("*.more"+under, "A", 60, "192.0.2.77"), "[] [192.0.2.77]"},
		{set("_xmpp._tcp"+under, "SRV", 60, "0 0 5222 old.test."), "[old.test.] []"},
		{set("post"+under, "MX", 60, "10 old.test."), "[old.test.] []"},
	} {
		s.Put(s.T, tt.set)
		sets, err := lister.List(s.Context())
		if err != nil {
			s.Fatalf("List: %v", err)
		}
		i := slices.IndexFunc(sets, func(x zone.RRset) bool { return x.Name == tt.set.Name && x.Type == tt.set.Type })
		if i < 0 {
			s.Errorf("%s %s is not in the list", tt.set.Name, tt.set.Type)
			continue
		}
		names, addrs, err := dnsx.LeadsTo(dnsx.RRset(sets[i]))
		if err != nil || fmt.Sprint(names, addrs) != tt.want {
			s.Errorf("%s %s leads to %v %v, want %s: %v", tt.set.Name, tt.set.Type, names, addrs, tt.want, err)
		}
	}
}
