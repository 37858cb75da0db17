package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// switched makes both sides equal with proof, as within a freeze.
func (r *rig) switched(t testing.TB) {
	t.Helper()
	r.opts.Delete, r.opts.Final = true, true
	r.mustSync(t)
}

func (r *rig) planBack(t testing.TB) *plan.Plan {
	t.Helper()
	opts := r.opts
	opts.Stage = "back-sync/b"
	p, err := PlanBack(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (r *rig) back(t testing.TB) (Result, error) {
	t.Helper()
	opts := r.opts
	opts.Stage = "back-sync/b"
	return ApplyBack(t.Context(), r.planBack(t), &plan.MemoryRecorder{}, opts)
}

func (r *rig) mustBack(t testing.TB) Result {
	t.Helper()
	result, err := r.back(t)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// every object of a bucket with its content
func (f *fake) all(t testing.TB) string {
	t.Helper()
	var out []string
	for _, key := range f.keys(t) {
		out = append(out, key+"="+f.text(t, key))
	}
	return strings.Join(out, " ")
}

// What green accepted is at blue afterwards, and nothing else of blue's has moved.
func TestI07_TheWayBackBringsWhatTheOtherSideAccepted(t *testing.T) {
	for _, c := range []struct {
		name   string
		blue   string // before the switch
		green  string // before the first sync
		change func(t *testing.T, r *rig)
		want   string // blue after the way back
		result Result
	}{
		{name: "nothing happened", blue: "a=1 b=2", want: "a=1 b=2"},
		{name: "made", blue: "a=1", change: func(t *testing.T, r *rig) { r.to.write(t, "n", "new") }, want: "a=1 n=new", result: Result{Copied: 1}},
		{name: "changed", blue: "a=1", change: func(t *testing.T, r *rig) { r.to.write(t, "a", "2") }, want: "a=2", result: Result{Copied: 1, Replaced: 1}},
		{name: "deleted", blue: "a=1 b=2", change: func(t *testing.T, r *rig) { r.to.remove(t, "a") }, want: "b=2", result: Result{Deleted: 1}},
		{name: "found there before, changed since", blue: "a=1", green: "a=1", change: func(t *testing.T, r *rig) { r.to.write(t, "a", "2") }, want: "a=2", result: Result{Copied: 1, Replaced: 1}},
		{name: "found there before, deleted since", blue: "a=1 b=2", green: "a=1", change: func(t *testing.T, r *rig) { r.to.remove(t, "a") }, want: "b=2", result: Result{Deleted: 1}},
		{name: "somebody else's at green", blue: "a=1", green: "x=theirs", want: "a=1"},
		{name: "somebody else's at green, overwritten by the application", blue: "a=1", green: "x=theirs", change: func(t *testing.T, r *rig) { r.to.write(t, "x", "mine") }, want: "a=1 x=mine", result: Result{Copied: 1}},
		{name: "somebody else's at blue", blue: "a=1", change: func(t *testing.T, r *rig) { r.from.write(t, "x", "theirs") }, want: "a=1 x=theirs", result: Result{Extra: 1}},
		{name: "the same made on both sides", blue: "a=1", change: func(t *testing.T, r *rig) { r.from.write(t, "n", "x"); r.to.write(t, "n", "x") }, want: "a=1 n=x", result: Result{Found: 1}},
		{name: "deleted at blue alone", blue: "a=1 b=2", change: func(t *testing.T, r *rig) { r.from.remove(t, "a") }, want: "a=1 b=2", result: Result{Copied: 1}},
		{name: "deleted on both sides", blue: "a=1 b=2", change: func(t *testing.T, r *rig) { r.from.remove(t, "a"); r.to.remove(t, "a") }, want: "b=2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.opts.AllowExtra = true
			for _, side := range []struct {
				b    *fake
				text string
			}{{r.from, c.blue}, {r.to, c.green}} {
				for _, object := range strings.Fields(side.text) {
					key, text, _ := strings.Cut(object, "=")
					side.b.write(t, key, text)
				}
			}
			r.switched(t)
			green := r.to.all(t)
			if c.change != nil {
				c.change(t, r)
				green = r.to.all(t)
			}
			got := r.mustBack(t)
			if blue := r.from.all(t); blue != c.want {
				t.Errorf("blue has %s, want %s", blue, c.want)
			}
			if now := r.to.all(t); now != green {
				t.Errorf("green had %s and has %s: the way back changes nothing there", green, now)
			}
			if got.Copied != c.result.Copied || got.Replaced != c.result.Replaced || got.Deleted != c.result.Deleted || got.Found != c.result.Found || got.Extra != c.result.Extra {
				t.Errorf("it did %+v, want %+v", got, c.result)
			}
			if got.Proof == nil || !got.Proof.Equal {
				t.Errorf("no proof: %+v", got.Proof)
			}
			r.thereAgain(t)
		})
	}
}

// thereAgain holds the manifest to its promise: after a way back the next sync goes on as if there had been none.
func (r *rig) thereAgain(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(r.opts.backManifest()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the manifest of the way back is left: %v", err)
	}
	foreign := map[string]string{}
	for _, key := range r.to.keys(t) {
		if r.from.text(t, key) == "(none)" {
			foreign[key] = r.to.text(t, key)
		}
	}
	owned := ""
	for _, key := range r.from.keys(t) {
		if rec := r.recordOf(t, key); rec != nil && rec.State == StateCopied {
			owned = key
			r.from.write(t, key, "blue writes again")
		}
	}
	r.from.write(t, "later", "made on blue")
	p := r.plan(t)
	if len(p.Refusals) > 0 {
		t.Errorf("the next sync is refused: %v", p.Refusals)
	}
	r.mustSync(t)
	for _, key := range r.from.keys(t) {
		if from, to := r.from.text(t, key), r.to.text(t, key); from != to {
			t.Errorf("%q is %s on blue and %s on green", key, from, to)
		}
	}
	for key, text := range foreign {
		if r.to.text(t, key) != text {
			t.Errorf("%q of somebody else on green is now %s", key, r.to.text(t, key))
		}
	}
	if owned == "" {
		return
	}
	r.from.remove(t, owned)
	r.mustSync(t)
	if r.to.text(t, owned) != "(none)" {
		t.Errorf("%q was deleted on blue and is on green: it was not known as a copy", owned)
	}
}

func (r *rig) recordOf(t testing.TB, key string) *Record {
	t.Helper()
	m, err := openManifest(r.opts.Manifest, r.opts.TempDir, r.from.Describe(), r.to.Describe())
	if err != nil {
		t.Fatal(err)
	}
	all, err := recordsIn(m, bucket.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range all {
		if rec.Key == key {
			return &rec
		}
	}
	return nil
}

// An object that changed on both sides is named, and neither version is lost.
func TestBack_WhatChangedOnBothSidesIsListedAndNeverOverwritten(t *testing.T) {
	for name, change := range map[string]func(r *rig){
		"changed":                  func(r *rig) { r.from.write(t, "a", "blue's"); r.to.write(t, "a", "green's one") },
		"changed, of one size":     func(r *rig) { r.from.write(t, "a", "one"); r.to.write(t, "a", "two") },
		"deleted on green":         func(r *rig) { r.from.write(t, "a", "blue's"); r.to.remove(t, "a") },
		"made on both":             func(r *rig) { r.from.write(t, "n", "blue's"); r.to.write(t, "n", "green's one") },
		"made on both, one length": func(r *rig) { r.from.write(t, "n", "one"); r.to.write(t, "n", "two") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.from.write(t, "a", "1")
			r.from.write(t, "b", "2")
			r.switched(t)
			change(r)
			r.to.write(t, "c", "brought")
			blue := r.from.all(t)
			p := r.planBack(t)
			if err := p.Err(); err == nil || !strings.Contains(err.Error(), "changed on both sides") {
				t.Fatalf("the plan is refused with %v", err)
			}
			if r.from.all(t) != blue {
				t.Fatal("planning changed blue")
			}
			// Told to leave it, the rest is brought back and proven.
			r.opts.Conflict = ConflictSkip
			result := r.mustBack(t)
			if result.Conflicts != 1 || len(result.ConflictKeys) != 1 || result.Copied != 1 {
				t.Errorf("%+v", result)
			}
			for _, object := range strings.Fields(blue) {
				if !strings.Contains(r.from.all(t), object) {
					t.Errorf("blue lost %s: it has %s", object, r.from.all(t))
				}
			}
			if r.from.text(t, "c") != "brought" {
				t.Error("what was no conflict was left, too")
			}
		})
	}
}

// A conflict that comes up after the plan stops the way back, before anything is deleted.
func TestBack_AConflictSinceThePlanDeletesNothing(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		r.from.write(t, fmt.Sprint(i), "x")
	}
	r.switched(t)
	r.to.remove(t, "1")
	r.to.write(t, "2", "green")
	p := r.planBack(t)
	r.from.write(t, "2", "blue writes")
	_, err := ApplyBack(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
	if !errors.Is(err, ErrConflict) {
		t.Fatalf("err = %v", err)
	}
	if r.from.text(t, "1") != "x" || r.from.text(t, "2") != "blue writes" {
		t.Errorf("blue has %s", r.from.all(t))
	}
}

// Without a complete listing of green nothing is taken for deleted there.
func TestI04_AWayBackWithABrokenListingDeletesNothing(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		r.from.write(t, fmt.Sprintf("k%02d", i), "x")
	}
	r.switched(t)
	p := r.planBack(t)
	r.to.listed = func(n int, _ bucket.Object) error {
		if n == 10 {
			return errors.New("the listing broke off")
		}
		return nil
	}
	if _, err := ApplyBack(t.Context(), p, &plan.MemoryRecorder{}, r.opts); err == nil {
		t.Fatal("a broken listing passed")
	}
	if n := len(r.from.keys(t)); n != 20 {
		t.Errorf("blue has %d objects", n)
	}
	r.to.listed = nil
	r.mustBack(t)
}

// Stopped at any request, the way back arrives when it is taken again, and the next sync finds both sides as they are.
func TestBack_StoppedAnywhereItArrives(t *testing.T) {
	prepare := func(t *testing.T) *rig {
		r := newRig(t)
		for i := range 6 {
			r.from.write(t, fmt.Sprint(i), fmt.Sprint("v", i))
		}
		r.switched(t)
		r.to.write(t, "1", "green")
		r.to.write(t, "new", "green")
		r.to.remove(t, "2")
		return r
	}
	unbroken := prepare(t)
	unbroken.from.forget()
	unbroken.mustBack(t)
	want, requests := unbroken.from.all(t), 0
	for op, n := range unbroken.from.calls {
		if !strings.Contains(op, " ") {
			requests += n
		}
	}
	stopped := 0
	for at := 1; at <= requests; at++ {
		r := prepare(t)
		p := r.planBack(t)
		ctx, stop := context.WithCancel(t.Context())
		left := at
		r.from.forget()
		hook := func(string, string) error {
			if left--; left == 0 {
				stop()
				return context.Canceled
			}
			return nil
		}
		r.from.before = hook
		r.opts.Concurrency = 1
		_, err := ApplyBack(ctx, p, &plan.MemoryRecorder{}, r.opts)
		stop()
		if err != nil {
			stopped++
		}
		r.from.before = nil
		r.mustBack(t)
		if got := r.from.all(t); got != want {
			t.Fatalf("stopped at request %d, blue has %s, want %s", at, got, want)
		}
		r.thereAgain(t)
	}
	if stopped < 8 {
		t.Errorf("only %d of %d tries were stopped", stopped, requests)
	}
}

// Killed after the proof, between any two of the files' changes, the manifest is whole.
func TestBack_KilledBetweenTheManifestsItArrives(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "a", "1")
	r.from.write(t, "b", "1")
	r.switched(t)
	r.to.write(t, "a", "2")
	r.mustBack(t)
	// The forward manifest is new, and the reverse is still there, as derived.
	if err := r.opts.withDefaults().deriveBack(r.opts.backManifest()); err != nil {
		t.Fatal(err)
	}
	r.mustBack(t)
	r.thereAgain(t)
}

// Planning a way back writes nothing beside the manifest.
func TestBack_PlanningWritesNothing(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "a", "1")
	r.switched(t)
	r.to.write(t, "a", "2")
	look := func() []string {
		entries, err := os.ReadDir(filepath.Dir(r.opts.Manifest))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	before := look()
	r.planBack(t)
	if after := look(); !slices.Equal(before, after) {
		t.Errorf("%v before, %v after", before, after)
	}
	if temp, _ := os.ReadDir(r.opts.TempDir); len(temp) > 0 {
		t.Errorf("left behind: %v", temp)
	}
}

func TestBack_NeedsAManifestAndOverwritesNoConflict(t *testing.T) {
	r := newRig(t)
	r.opts.Conflict = ConflictOverwrite
	if _, err := PlanBack(t.Context(), r.opts); err == nil {
		t.Error("conflicts would be overwritten")
	}
	r.opts.Conflict, r.opts.Manifest = "", ""
	if _, err := PlanBack(t.Context(), r.opts); err == nil {
		t.Error("without a manifest nothing tells what may be replaced")
	}
}
