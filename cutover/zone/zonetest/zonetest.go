package zonetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Conditions says when a zone's server judges the conditions of a change.
type Conditions int

// When conditions are judged.
const (
	// WithChange: they are part of the change, so that nothing can happen in between.
	WithChange Conditions = iota
	// Before: they are read before the change is sent. The zone's strength must be weak. Of two writers at once both may believe
	// that they won; what the name holds is still the whole of what one of them wrote.
	Before
)

// A Target is a zone under test, and what its server can do. Its apex holds nothing but SOA and NS at first. Each rule uses names
// of its own, so that one target serves all rules. What a server cannot do is no reason to skip a rule: the rule then checks
// that it is refused with ErrInvalid, and that nothing is changed.
type Target struct {
	Zone zone.Zone
	// Put writes sets behind the driver's back, as another writer would.
	Put func(t *testing.T, sets ...zone.RRset)
	// Query asks as a client of the zone's DNS would: it follows wildcards and nothing else. What a Swap has changed must be there
	// when it returns. Nil where the zone has no servers that could be asked; then the driver's own Lookup is used, and a name
	// that only a wildcard answers for is taken to have that answer.
	Query func(ctx context.Context, name, typ string) (zone.RRset, error)
	// Conditions says when conditions and fences are judged.
	Conditions Conditions
	// OneType is set where one change cannot touch several types at a name: from a CNAME to addresses, or A and AAAA together.
	OneType bool
	// NoNewAlias is set where the server loses a name when a CNAME is to replace other records.
	NoNewAlias bool
	// NoWildcards is set where the zone holds no wildcards that could be changed.
	NoWildcards bool
}

// Run checks every rule, as subtests.
func Run(t *testing.T, target Target) {
	if target.Query == nil {
		target.Query = target.lookAsClient
	}
	for _, rule := range []struct {
		name  string
		check func(s *suite)
	}{
		{"StrengthFits", strengthFits},
		{"LookupAll", lookupAll},
		{"SwapCNAME", swapCNAME},
		{"ChangeTTL", changeTTL},
		{"TwiceIsOnce", twiceIsOnce},
		{"RefuseWhatMoved", refuseWhatMoved},
		{"RefuseMovedTTL", refuseMovedTTL},
		{"C14_NamesInAnyForm", namesInAnyForm},
		{"C05_ChangeOfType", changeOfType},
		{"SetsOfSeveral", setsOfSeveral},
		{"C15_ApexAddressesTogether", apexAddresses},
		{"C05_ConflictingTypes", conflictingTypes},
		{"C06_OthersStay", othersStay},
		{"CreateAndRemove", createAndRemove},
		{"C10_RefuseInvalid", refuseInvalid},
		{"CancelledBefore", cancelledBefore},
		{"OneOfTwoWins", oneOfTwoWins},
		{"C07_NoUpdateIsLost", noUpdateIsLost},
		{"C06_ForeignRecordsStay", foreignStay},
		{"C22_AlwaysAnAnswer", alwaysAnAnswer},
		{"FenceLife", fenceLife},
		{"C07_FenceKeepsStaleWriterOut", fenceStale},
		{"FenceOneOfTwoWins", fenceRace},
		{"C12_FenceSparesWildcard", fenceWildcard},
		{"C12_FenceUnderWildcardText", fenceUnderWildcardText},
		{"C12_SwapWildcardItself", swapWildcard},
		{"C12_CreateSparesWildcard", createUnderWildcard},
		{"C07_ProbeChangesNothing", probe},
		{"C25_CompanionsInOneMessage", companions},
		{"C25_MovedCompanionHoldsTheName", companionMoved},
		{"C25_CompanionsUnderTheFence", companionFenced},
		{"C25_CompanionAtTheNameItself", companionAtName},
		{"C25_RefuseInvalidCompanions", companionInvalid},
		{"C24_ListShowsWhatLeadsSomewhere", listShowsWhatLeads},
	} {
		t.Run(rule.name, func(t *testing.T) {
			// No underscore: servers refuse one in the name of a host.
			label := strings.ToLower(rule.name[strings.LastIndex(rule.name, "_")+1:])
			rule.check(&suite{T: t, Target: target, label: label})
		})
	}
}

// lookAsClient looks at a name, and at the wildcards above it.
func (t Target) lookAsClient(ctx context.Context, name, typ string) (zone.RRset, error) {
	for at := name; ; {
		set, err := t.Zone.Lookup(ctx, at, typ)
		if err == nil || !errors.Is(err, zone.ErrNotExist) || name == t.Zone.Apex() {
			return set, err
		}
		name = dnsx.Parent(name)
		at = "*." + name
	}
}

// suite is one rule at work.
type suite struct {
	*testing.T
	Target
	label string
}

// name returns a name of this rule's own.
func (s *suite) name(label string) string {
	return label + "-" + s.label + "." + s.Zone.Apex()
}

func (s *suite) cname(label, to string, ttl uint32) zone.RRset {
	return zone.RRset{Name: s.name(label), Type: "CNAME", TTL: ttl, Data: []string{to}}
}

func set(name, typ string, ttl uint32, data ...string) zone.RRset {
	return zone.RRset{Name: name, Type: typ, TTL: ttl, Data: data}
}

// change makes a change of the name of its sets.
func change(from, to []zone.RRset) zone.Change {
	c := zone.Change{Old: from, New: to}
	for _, set := range append(append([]zone.RRset{}, from...), to...) {
		c.Name = set.Name
	}
	return c
}

func one(sets ...zone.RRset) []zone.RRset { return sets }

// swap must succeed.
func (s *suite) swap(c zone.Change) zone.Result {
	s.Helper()
	result, err := s.Zone.Swap(s.Context(), c)
	if err != nil {
		s.Fatalf("Swap: %v", err)
	}
	if result.Strength != s.Zone.Strength() {
		s.Errorf("Swap says it is %s, the zone says %s", result.Strength, s.Zone.Strength())
	}
	return result
}

// refused must fail with a sentinel.
func (s *suite) refused(c zone.Change, want error) {
	s.Helper()
	if _, err := s.Zone.Swap(s.Context(), c); !errors.Is(err, want) {
		s.Fatalf("Swap returned %v, want %v", err, want)
	}
}

// holds checks what the name holds, by the driver and by a query.
func (s *suite) holds(want ...zone.RRset) {
	s.Helper()
	for _, w := range want {
		for how, look := range map[string]func(context.Context, string, string) (zone.RRset, error){"Lookup": s.Zone.Lookup, "a query": s.Query} {
			got, err := look(s.Context(), w.Name, w.Type)
			if err != nil {
				s.Fatalf("%s of %s %s: %v", how, w.Name, w.Type, err)
			}
			if text(got) != text(w) {
				s.Fatalf("%s of %s %s gives %s, want %s", how, w.Name, w.Type, text(got), text(w))
			}
		}
	}
}

// absent checks that there is no such set.
func (s *suite) absent(name, typ string) {
	s.Helper()
	if got, err := s.Zone.Lookup(s.Context(), name, typ); !errors.Is(err, zone.ErrNotExist) {
		s.Fatalf("Lookup of %s %s gives %s and %v, want ErrNotExist", name, typ, text(got), err)
	}
}

func text(set zone.RRset) string {
	return fmt.Sprintf("%s %d %s %s", set.Name, set.TTL, set.Type, strings.Join(set.Data, ","))
}
