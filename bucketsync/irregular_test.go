//go:build unix

package bucketsync

import (
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// arrange makes files of a directory: NAME: TEXT, NAME -> TARGET for a link, NAME | for a pipe.
func arrange(t *testing.T, dir string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		name, target, link := strings.Cut(line, " -> ")
		name, text, plain := strings.Cut(name, ": ")
		path := filepath.Join(dir, strings.TrimSuffix(name, " |"))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case link:
			err = errors.Join(err, os.Symlink(target, path))
		case plain:
			err = errors.Join(err, os.WriteFile(path, []byte(text), 0o644))
		default:
			err = errors.Join(err, syscall.Mkfifo(path, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// tree shows what a directory holds, but for the driver's own, in the form of arrange.
func tree(t *testing.T, dir string) (lines []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Name() == ".crossfade" {
			return filepath.SkipDir
		}
		name := strings.TrimPrefix(path, dir+"/")
		switch entry.Type() {
		case os.ModeSymlink:
			target, err := os.Readlink(path)
			lines = append(lines, name+" -> "+target)
			return err
		case os.ModeNamedPipe:
			lines = append(lines, name+" |")
		case 0:
			text, err := os.ReadFile(path)
			lines = append(lines, name+": "+string(text))
			return err
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return lines
}

func planOf(t *testing.T, opts Options) *plan.Plan {
	t.Helper()
	p, err := Plan(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// refusalsOf are their texts, in order.
func refusalsOf(p *plan.Plan) (all []string) {
	for _, r := range p.Refusals {
		all = append(all, r.What+": "+r.Why)
	}
	slices.Sort(all)
	return all
}

func wants(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestB12_ThePlanRefusesAllThatIsNoObjectAtOnce(t *testing.T) {
	from, to, opts := directories(t)
	opts.Alone = true
	arrange(t, from, "a: 1", "d/b: 2", "d/link -> b", "dir -> d", "none -> nowhere", "pipe |", "d/pipe |")
	p := planOf(t, opts)
	wants(t, "refused", refusalsOf(p), []string{
		`b: "d/link", "dir", "none": it is a symbolic link at the source, not an object`,
		`b: "d/pipe", "pipe": it is a named pipe at the source, not an object`,
	})
	if mend := p.Refusals[0].Mend; mend != "leave it out with --exclude, or put in its place what it stands for" {
		t.Error(mend)
	}
	opts.Filter = Filter{Exclude: []string{"link", "/dir", "pipe"}}
	wants(t, "refused of a choice", refusalsOf(planOf(t, opts)), []string{`b: "none": it is a symbolic link at the source, not an object`})
	opts.Filter.Exclude = append(opts.Filter.Exclude, "none")
	opts.Final = true
	result, err := syncWith(t, opts)
	if err != nil || !result.Proof.Equal || result.Copied != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	wants(t, "copied", tree(t, to), []string{"a: 1", "d/b: 2"})
	opts.Filter, opts.Prefix = Filter{}, "d/b"
	wants(t, "refused below a prefix", refusalsOf(planOf(t, opts)), nil)
}

// What came after the plan fails for itself: the others are copied, and nothing is deleted.
func TestB12_WhatIsNoObjectAfterThePlanFailsAlone(t *testing.T) {
	from, to, opts := directories(t)
	opts.Delete, opts.DeleteForeign = true, true
	arrange(t, from, "a: 1", "b: 2", "e/f: 3")
	arrange(t, to, "foreign: 1", "outside: 1")
	p := planOf(t, opts)
	if err := os.Remove(filepath.Join(from, "a")); err != nil {
		t.Fatal(err)
	}
	arrange(t, from, "a |", "c -> b")
	arrange(t, to, "e -> .")
	result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
	var failed *FailedError
	if !errors.As(err, &failed) || result.Copied != 1 || result.Deleted != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	var got []string
	for _, f := range failed.Failures {
		got = append(got, f.Error())
	}
	slices.Sort(got)
	mend := " (move it elsewhere, or put in its place what it stands for)"
	wants(t, "failures", got, []string{
		`"a": copy "a": not an object: it is a named pipe at the source, not an object` + mend,
		`"c": copy "c": not an object: it is a symbolic link at the source, not an object` + mend,
		`"e/f": copy "e/f": not an object: a symbolic link stands at the destination where it needs a directory (take that away there, or move it elsewhere)`,
	})
	wants(t, "there", tree(t, to), []string{"b: 2", "e -> .", "foreign: 1", "outside: 1"})
}

// Whatever is to be done to what stands at the destination and is no object, it stays, and so does what it leads to.
func TestI03_WhatIsNoObjectAtTheDestinationStays(t *testing.T) {
	want := []string{
		`b: "d/new", "d/x": a symbolic link stands at the destination where it needs a directory`,
		`b: "key": it is a symbolic link at the destination, not an object`,
	}
	for _, c := range []struct {
		conflict Conflict
		want     []string
	}{{ConflictFail, want}, {ConflictOverwrite, want}, {ConflictSkip, want[:1]}} {
		from, to, opts := directories(t)
		opts.Delete, opts.DeleteForeign, opts.MaxDelete, opts.Conflict = true, true, new(1.0), c.conflict
		arrange(t, from, "d/new: 1", "d/x: 1", "d-: 1", "key: 1")
		there := []string{"d -> really", "key -> really/x", "pipe |", "really/x: mine", "zero -> d"}
		arrange(t, to, there...)
		p := planOf(t, opts)
		wants(t, "refused with "+string(c.conflict), refusalsOf(p), c.want)
		planned, err := PlannedOf(p)
		if err != nil || planned.Deletions != 1 || planned.Extra != 3 || planned.Irregular != 3 || planned.Held != 1 || planned.Conflicts != 1 {
			t.Fatalf("%+v, %v", planned, err)
		}
		said := false
		for _, n := range p.Notes {
			said = said || n.Text == `what is no object stays at the destination, whatever else is deleted there: "d" (a symbolic link), "pipe" (a named pipe), "zero" (a symbolic link)`
		}
		if !said {
			t.Errorf("the plan does not name what stays: %+v", p.Notes)
		}
		p.Refusals = nil // as if it had come since
		if result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, opts); err == nil || result.Copied != 1 || result.Deleted != 0 {
			t.Fatalf("%+v, %v", result, err)
		}
		wants(t, "there", tree(t, to), append([]string{"d -> really", "d-: 1"}, there[1:]...))

		opts.Filter = Filter{Exclude: []string{"/d/**"}}
		if opts.Conflict == ConflictSkip {
			opts.Final, opts.AllowConflicts, opts.AllowExtra = true, true, true
		} else {
			opts.Filter.Exclude = append(opts.Filter.Exclude, "key")
		}
		result, err := syncWith(t, opts)
		if err != nil || result.Deleted != 1 || result.Extra != 3 {
			t.Fatalf("%+v, %v", result, err)
		}
		if c.conflict == ConflictSkip && (!result.Proof.Equal || result.Proof.Kept != 1 || result.Conflicts != 1) {
			t.Errorf("%+v", result)
		}
		wants(t, "there in the end", tree(t, to), []string{"d -> really", "d-: 1", "key -> really/x", "pipe |", "zero -> d"})
	}
}

// What a link leads to has no key of its own below the link's, also where a filter leaves the link out.
func TestB12_ALinkIsInTheWayAlsoWhereItIsLeftOut(t *testing.T) {
	from, to, opts := directories(t)
	arrange(t, from, "d/x: 1")
	arrange(t, to, "d -> e", "e/f: 1")
	opts.Filter = Filter{Include: []string{"d/**"}}
	wants(t, "refused", refusalsOf(planOf(t, opts)), []string{`b: "d/x": a symbolic link stands at the destination where it needs a directory`})
}

func TestVerify_FindsWhatIsNoObject(t *testing.T) {
	from, to, opts := directories(t)
	arrange(t, from, "same: 1", "a: ", "b -> same", "both -> same", "only -> same")
	arrange(t, to, "same: 1", "a -> same", "b: ", "both -> same", "extra |")
	want := []string{
		"a differ it is a symbolic link at the destination, not an object", "b differ it is a symbolic link at the source, not an object",
		"both differ it is a symbolic link at the source, not an object", "extra extra the source does not have it, and it is a named pipe, not an object",
		"only differ it is a symbolic link at the source, not an object",
	}
	shown := func(r Report, err error) (all []string) {
		if err != nil || r.Equal {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, d := range r.Differences {
			all = append(all, d.Key+" "+string(d.Kind)+" "+d.What)
		}
		return all
	}
	for _, mode := range []Mode{ModeSize, ModeListing, ModeSample, ModeProof, ModeFull} {
		v := VerifyOptions{From: opts.From, To: opts.To, Mode: mode, TempDir: t.TempDir()}
		report, err := Verify(t.Context(), v)
		if got := shown(report, err); mode != ModeListing { // which also has what it cannot prove
			wants(t, string(mode), got, want)
		}
		if report.Objects != 2 || mode == ModeSample && report.Sampled != 2 {
			t.Errorf("%s: %+v", mode, report)
		}
		v.Filter, v.AllowExtra = Filter{Include: []string{"same", "extra"}}, true
		if report, err := Verify(t.Context(), v); err != nil || report.Equal != (mode != ModeListing) || report.Extra != 1 {
			t.Errorf("%s: %+v, %v", mode, report, err)
		}
		p := ProvenOptions{Bucket: opts.To, Mode: mode, TempDir: t.TempDir(), Proven: func() iter.Seq2[Proven, error] {
			return func(yield func(Proven, error) bool) { yield(Proven{Key: "a"}, nil) }
		}, Filter: Filter{Include: []string{"a", "extra"}}}
		wants(t, string(mode)+" of what was proven", shown(VerifyProven(t.Context(), p)), []string{
			"a differ it is a symbolic link now, not an object", "extra extra it was not there when the place was proven, and is a named pipe, not an object",
		})
	}
}

// A link that the destination had when both sides were proven equal is nothing that it has taken since.
func TestBack_WhatIsNoObjectAndWasThereIsNotBroughtBack(t *testing.T) {
	from, to, opts := directories(t)
	opts.Final, opts.AllowExtra = true, true
	arrange(t, from, "a: 1", "b: 1")
	arrange(t, to, "link -> a", "there |")
	if _, err := syncWith(t, opts); err != nil {
		t.Fatal(err)
	}
	opts.Final = false
	arrange(t, to, "made: 2")
	back := func() *plan.Plan {
		p, err := PlanBack(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := back()
	wants(t, "refused on the way back", refusalsOf(p), nil)
	if planned, err := PlannedOf(p); err != nil || planned.Copy != 1 || planned.Deletions != 0 {
		t.Fatalf("%+v, %v", planned, err)
	}
	arrange(t, to, "since -> a")
	if err := errors.Join(os.Remove(filepath.Join(from, "b")), os.Symlink("a", filepath.Join(from, "b"))); err != nil {
		t.Fatal(err)
	}
	wants(t, "refused on the way back, then", refusalsOf(back()), []string{
		`b: "b": it is a symbolic link at the destination, not an object`, `b: "since": it is a symbolic link at the source, not an object`,
	})
}

// An object that came into a mirror's place as a link, after it was listed, is not deleted, and one whose source became a link neither.
func TestI04_WhatBecameALinkIsNotDeleted(t *testing.T) {
	from, to, opts := directories(t)
	arrange(t, to, "a: 1", "b: 1", "keep: 1")
	e, err := begin(t.Context(), opts.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	var all []bucket.Object
	for obj, err := range opts.To.List(t.Context(), bucket.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, obj)
	}
	if err := os.Remove(filepath.Join(to, "a")); err != nil {
		t.Fatal(err)
	}
	arrange(t, to, "a -> keep")
	arrange(t, from, "b |")
	for _, obj := range all[:2] {
		if err := e.deleteOne(t.Context(), obj); err != nil {
			t.Errorf("%s: %v", obj.Key, err)
		}
	}
	wants(t, "there", tree(t, to), []string{"a -> keep", "b: 1", "keep: 1"})
}
