//go:build unix

package bucketsync

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// What a directory has below the reserved name, and is not the program's own, is no object: the plan says that it is not copied.
func TestB13_ThePlanNamesWhatTheReservedNameHides(t *testing.T) {
	from, to, opts := directories(t)
	opts.Final = true
	arrange(t, from, "a: 1", ".crossfade/b: 1", ".crossfade/c -> b", ".crossfade/lock: ", "sub/.crossfade/d: 1")
	warned := func() string {
		for _, n := range planOf(t, opts).Notes {
			if before, named, ok := strings.Cut(n.Text, "what is wanted has to be moved elsewhere: "); ok && strings.HasPrefix(before, "not copied is what lies where") && n.Level == plan.Warning {
				return named
			}
		}
		return "nothing"
	}
	for _, c := range []struct {
		filter Filter
		prefix string
		want   string
	}{
		{Filter{}, "", `".crossfade/b", ".crossfade/c"`},
		{Filter{Exclude: []string{"b"}}, "", `".crossfade/c"`},
		{Filter{Exclude: []string{".crossfade/**"}}, "", "nothing"},
		{Filter{}, "a", "nothing"},
	} {
		opts.Filter, opts.Prefix = c.filter, c.prefix
		if got := warned(); got != c.want {
			t.Errorf("%+v: warned of %s", c, got)
		}
	}
	opts.Filter, opts.Prefix = Filter{}, ""
	if _, err := syncWith(t, opts); err != nil {
		t.Fatal(err)
	}
	wants(t, "copied", tree(t, to), []string{"a: 1"}) // without what tree leaves out
	if raw, err := os.ReadFile(filepath.Join(to, "sub/.crossfade/d")); err != nil || string(raw) != "1" {
		t.Errorf("the name is reserved at the root alone: %q, %v", raw, err)
	}
	for i := range maxKeys {
		arrange(t, from, fmt.Sprintf(".crossfade/many/%02d: 1", i))
	}
	if got := warned(); !strings.HasSuffix(got, `".crossfade/many/17" and 2 more`) {
		t.Errorf("warned of %s", got)
	}
}

// hider is a source that cannot be looked into where it hides something.
type hider struct{ *fake }

func (hider) Hidden(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { _ = yield("hidden", nil) && yield("", bucket.ErrDenied) }
}

func TestPlan_WhatCannotBeLookedIntoIsInNobodysWay(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "a", "1")
	r.opts.From = hider{r.from}
	p := r.plan(t)
	for _, n := range p.Notes {
		if n.Level == plan.Warning && strings.Contains(n.Text, "could not be found out: access denied") {
			return
		}
	}
	t.Errorf("%+v", p.Notes)
}
