package zone

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// CheckLevel refuses a change that would put a new level into the tree below a wildcard, which would no longer answer
// there (RFC 4592 section 2.2.2, C12). names are all names of the zone that hold a record; the change is normal.
//
// It is for drivers that can see the zone itself. Only a change of a name that holds nothing yet can make a level, and
// only where the name stands more than one label below the apex: NeedsLevel tells, so that nobody lists a zone in vain.
func CheckLevel(change Change, apex string, names []string) error {
	if !NeedsLevel(change, apex) {
		return nil
	}
	inTree := func(name string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return n == name || strings.HasSuffix(n, "."+name) })
	}
	parent := dnsx.Parent(change.Name)
	if inTree(parent) {
		return nil
	}
	for wildcard := range WildcardsAbove(parent, apex) {
		if slices.Contains(names, wildcard) {
			return LevelError(change, wildcard)
		}
	}
	return nil
}

// LevelError refuses a change that may put a new level into the tree below a wildcard.
func LevelError(change Change, wildcard string) error {
	return &Error{
		Op: "create " + change.Name, Hint: "choose a name directly beside the wildcard, or make the level yourself",
		Err: fmt.Errorf("%w: %s may no longer answer for %s", ErrInvalid, wildcard, dnsx.Parent(change.Name)),
	}
}

// WildcardsAbove are the wildcards that could answer for a name where nothing stands at it, up to that of the apex, nearest first.
// An apex has none.
//
//	a.b.apps.test. in apps.test.    *.b.apps.test., *.apps.test.
func WildcardsAbove(name, apex string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for above := name; above != apex; {
			above = dnsx.Parent(above)
			if !yield("*." + strings.TrimPrefix(above, ".")) {
				return
			}
		}
	}
}

// NeedsLevel says whether a change could put a new level into the zone's tree.
func NeedsLevel(change Change, apex string) bool {
	return len(change.Old) == 0 && change.Name != apex && dnsx.Parent(change.Name) != apex
}
