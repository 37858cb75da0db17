package azuredns

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// steps returns the sets to write, one request each, that lead from what a name holds to what it is to hold. A set
// without data is to be removed. Where a CNAME comes or goes, what is there must go first, since Azure refuses it beside
// other records; everything else is written before anything is removed, so that the name always has an answer.
func steps(from, to []zone.RRset) []zone.RRset {
	var write, remove []zone.RRset
	for _, set := range to {
		if !slices.ContainsFunc(from, func(s zone.RRset) bool { return dnsx.RRset(s).Equal(dnsx.RRset(set)) }) {
			write = append(write, set)
		}
	}
	for _, set := range from {
		if !holdsType(to, set.Type) {
			remove = append(remove, zone.RRset{Name: set.Name, Type: set.Type})
		}
	}
	// Those that are there already come before new ones.
	slices.SortStableFunc(write, func(a, b zone.RRset) int { return order(from, a) - order(from, b) })
	if holdsType(from, "CNAME") != holdsType(to, "CNAME") {
		return append(remove, write...)
	}
	return append(write, remove...)
}

func order(from []zone.RRset, set zone.RRset) int {
	if holdsType(from, set.Type) {
		return 0
	}
	return 1
}

func holdsType(sets []zone.RRset, typ string) bool {
	return slices.ContainsFunc(sets, func(s zone.RRset) bool { return s.Type == typ })
}

// onlyTTLs says whether a change leaves all data as they are: then it may take several requests, since every answer in
// between is right.
func onlyTTLs(change zone.Change) bool {
	return len(change.Old) == len(change.New) && !slices.ContainsFunc(change.Old, func(s zone.RRset) bool {
		return !slices.ContainsFunc(change.New, func(o zone.RRset) bool { return dnsx.RRset(s).SameData(dnsx.RRset(o)) })
	})
}

// between says whether every set that was found is one of the change's, old or new: a state that the change itself can
// have left.
func between(change zone.Change, sets []zone.RRset) bool {
	return !slices.ContainsFunc(sets, func(s zone.RRset) bool {
		return !slices.ContainsFunc(slices.Concat(change.Old, change.New), func(o zone.RRset) bool { return dnsx.RRset(s).Equal(dnsx.RRset(o)) })
	})
}

// markOf names a change in the metadata of its fence. A change and its reverse have the same name: whoever finds one
// half done may finish it or take it back.
func markOf(change zone.Change) string {
	sides := []string{sideOf(change.Old), sideOf(change.New)}
	slices.Sort(sides)
	sum := sha256.Sum256([]byte(change.Name + "\n" + strings.Join(sides, "\n")))
	return hex.EncodeToString(sum[:16])
}

func sideOf(sets []zone.RRset) string {
	sorted := slices.SortedFunc(slices.Values(sets), func(a, b zone.RRset) int { return strings.Compare(a.Type, b.Type) })
	text, err := json.Marshal(sorted)
	if err != nil {
		panic(err) // strings and numbers can always be written
	}
	return string(text)
}
