package zone

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// SameSets compares what a name holds with what it should hold, TTLs included. Neither the order of sets nor that of their
// data means anything.
func SameSets(a, b []RRset) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(s RRset) bool {
		return !slices.ContainsFunc(b, func(o RRset) bool { return dnsx.RRset(s).Equal(dnsx.RRset(o)) })
	})
}

// Describe says in a line what a name holds, for errors.
func Describe(sets []RRset) string {
	if len(sets) == 0 {
		return "nothing"
	}
	var texts []string
	for _, set := range sets {
		texts = append(texts, fmt.Sprintf("%s %s (TTL %d)", set.Type, strings.Join(set.Data, ", "), set.TTL))
	}
	return strings.Join(texts, "; ")
}
