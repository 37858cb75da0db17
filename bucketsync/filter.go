package bucketsync

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// A Filter chooses keys by globs. A key is taken when one of Include matches it, or when there is none, and none of Exclude does.
//
// In a glob, * and ? match within one part of a key between slashes, ** matches across slashes, [a-z] is a class and {a,b} a choice. A
// glob without a slash is held against the last part of a key, any other against the whole key; one that begins with a
// slash, against the whole key as well. A backslash takes the special meaning from what follows.
type Filter struct {
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// Check refuses a glob that can match nothing.
func (f Filter) Check() error {
	for _, pattern := range slices.Concat(f.Include, f.Exclude) {
		if pattern == "" {
			return errors.New("a glob is empty: write ** for every key")
		}
		if !doublestar.ValidatePattern(pattern) {
			return fmt.Errorf("the glob %q is broken off: a bracket, a brace or a backslash has no end", pattern)
		}
	}
	return nil
}

// empty says that the filter leaves nothing out.
func (f Filter) empty() bool { return len(f.Include) == 0 && len(f.Exclude) == 0 }

// takes reports whether the filter chooses a key.
func (f Filter) takes(key string) bool {
	matches := func(pattern string) bool { return globMatches(pattern, key) }
	return (len(f.Include) == 0 || slices.ContainsFunc(f.Include, matches)) && !slices.ContainsFunc(f.Exclude, matches)
}

func globMatches(pattern, key string) bool {
	if !strings.Contains(pattern, "/") && pattern != "**" {
		key = key[strings.LastIndexByte(key, '/')+1:]
	}
	if below, ok := strings.CutSuffix(pattern, "/**"); ok {
		pattern = below + "/**/*" // what lies below, and not the key itself
	}
	return doublestar.MatchUnvalidated(strings.TrimPrefix(pattern, "/"), key)
}

// String is the filter for people, or "every key".
func (f Filter) String() string {
	if f.empty() {
		return "every key"
	}
	var parts []string
	for _, p := range f.Include {
		parts = append(parts, "+"+p)
	}
	for _, p := range f.Exclude {
		parts = append(parts, "-"+p)
	}
	return strings.Join(parts, " ")
}
