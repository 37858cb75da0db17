package bucketsync

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/crossfade-project/crossfade/internal/cli"
)

// A Filter chooses keys by globs. A key is taken when one of Include matches it, or when there is none, and none of Exclude does.
//
// In a glob, * and ? match within one part of a key between slashes, ** matches across slashes, [a-z] is a class and {a,b} a choice. A
// glob without a slash is held against the last part of a key, any other against the whole key; one that begins with a
// slash, against the whole key as well. A backslash takes the special meaning from what follows.
type Filter struct {
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// Among are choices of which one must take a key as well. None is no condition.
	Among []Filter `json:"among,omitempty"`
}

// Within is the filter, for keys alone that one of some choices takes.
func (f Filter) Within(choices ...Filter) Filter {
	if !slices.ContainsFunc(choices, Filter.Everything) {
		f.Among = choices
	}
	return f
}

// Below is the filter with what lies below for each glob that ends with a slash, which by itself matches the marker of a folder alone: who
// writes `tmp/` means the folder. Filters that were stored say what they said.
func (f Filter) Below() Filter {
	below := func(globs []string) (out []string) {
		for _, glob := range globs {
			out = append(out, glob)
			if all := glob + "**"; strings.HasSuffix(glob, "/") && glob != "/" && !slices.Contains(globs, all) {
				out = append(out, all)
			}
		}
		return out
	}
	f.Include, f.Exclude = below(f.Include), below(f.Exclude)
	return f
}

// Equal reports whether two filters have the same globs.
func (f Filter) Equal(g Filter) bool {
	same := func(a, b []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}
	return same(f.Include, g.Include) && same(f.Exclude, g.Exclude) && slices.EqualFunc(f.Among, g.Among, Filter.Equal)
}

// Check refuses a glob that can match nothing.
func (f Filter) Check() error {
	for _, pattern := range slices.Concat(f.Include, f.Exclude) {
		if pattern == "" {
			return errors.New("a glob is empty: write ** for every key")
		}
		if !utf8.ValidString(pattern) {
			return fmt.Errorf("the glob %q is no UTF-8: write ? for each byte that is none", pattern)
		}
		if !doublestar.ValidatePattern(pattern) {
			return fmt.Errorf("the glob %q is broken off: a bracket, a brace or a backslash has no end", pattern)
		}
	}
	for _, choice := range f.Among {
		if err := choice.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Everything says that the filter leaves nothing out.
func (f Filter) Everything() bool { return len(f.Include)+len(f.Exclude)+len(f.Among) == 0 }

// takes reports whether the filter chooses a key.
func (f Filter) takes(key string) bool {
	matches := func(pattern string) bool { return globMatches(pattern, key) }
	return (len(f.Include) == 0 || slices.ContainsFunc(f.Include, matches)) && !slices.ContainsFunc(f.Exclude, matches) &&
		(len(f.Among) == 0 || slices.ContainsFunc(f.Among, func(choice Filter) bool { return choice.takes(key) }))
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
	if f.Everything() {
		return "every key"
	}
	var parts []string
	for _, p := range f.Include {
		parts = append(parts, "+"+cli.Quoted(p))
	}
	for _, p := range f.Exclude {
		parts = append(parts, "-"+cli.Quoted(p))
	}
	if len(f.Among) > 0 {
		var choices []string
		for _, choice := range f.Among {
			choices = append(choices, choice.String())
		}
		parts = append(parts, "of "+strings.Join(choices, " or of "))
	}
	return strings.Join(parts, " ")
}
