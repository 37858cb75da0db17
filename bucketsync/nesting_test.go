package bucketsync

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// A store that holds nothing below an object is told so in the plan, also in one that is made from the listings alone.
func TestB12_WhatLiesBelowAnObjectIsRefusedWhereItCannotBe(t *testing.T) {
	r := newRig(t)
	r.opts.Brief = true
	r.to.caps = func(c *bucket.Capabilities) { c.NoneBelow = true }
	for _, key := range []string{"a", "a!", "a-b", "a/b", "a/b/c", "a0", "b/", "b/x", "c/x", "c/x/"} {
		r.from.write(t, key, "x")
	}
	r.to.write(t, "c", "foreign")
	r.to.write(t, "d", "foreign")
	r.to.write(t, "d/e", "foreign, and none of the sync's matter")
	p, err := Plan(t.Context(), r.opts)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`"a/b"`, `"a/b/c"`, `"c/x"`, `"c/x/"`}
	if len(p.Refusals) != 1 || !slices.Equal(strings.Split(strings.TrimPrefix(p.Refusals[0].What, "b: "), ", "), want) {
		t.Fatalf("refused is %+v, want %s", p.Refusals, want)
	}
	// What appears after the plan fails by itself, and the rest is copied.
	for _, key := range []string{"a/b", "a/b/c", "c/x", "c/x/"} {
		r.from.remove(t, key)
	}
	p = r.plan(t)
	r.from.write(t, "a/late", "x")
	result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
	if !errors.Is(err, bucket.ErrUnsupported) || !strings.Contains(err.Error(), `"a/late"`) || result.Copied != 6 {
		t.Fatalf("copied %d, %v", result.Copied, err)
	}
}
