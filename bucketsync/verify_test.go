package bucketsync

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

func (r *rig) verify(t testing.TB, mode Mode, change ...func(*VerifyOptions)) Report {
	t.Helper()
	opts := VerifyOptions{From: r.from, To: r.to, Mode: mode, Manifest: r.opts.Manifest, TempDir: r.opts.TempDir, Clock: r.opts.Clock}
	for _, c := range change {
		c(&opts)
	}
	report, err := Verify(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// Each kind of difference is found in every mode, alone and by its kind.
func TestVerify_FindsWhatDiffers(t *testing.T) {
	cases := map[string]struct {
		spoil func(r *rig)
		kind  DifferenceKind
		what  string
	}{
		"missing":  {func(r *rig) { r.to.remove(t, "k3") }, Missing, "does not have it"},
		"extra":    {func(r *rig) { r.to.write(t, "x", "1") }, Extra, "does not have it"},
		"size":     {func(r *rig) { r.to.write(t, "k3", "longer than it was") }, Differ, "bytes at the source"},
		"content":  {func(r *rig) { r.to.write(t, "k3", "Content 3") }, Differ, "differs"},
		"property": {func(r *rig) { r.to.write(t, "k3", "content 3", bucket.Properties{CacheControl: "x"}) }, Differ, "Cache-Control"},
	}
	for name, c := range cases {
		for _, mode := range []Mode{ModeListing, ModeSample, ModeProof, ModeFull} {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				r := newRig(t)
				for i := range 8 {
					r.from.write(t, fmt.Sprintf("k%d", i), fmt.Sprintf("content %d", i))
				}
				r.mustSync(t)
				if before := r.verify(t, mode); !before.Equal || before.Objects != 8 || before.Bytes != 72 {
					t.Fatalf("before: %+v", before)
				}
				c.spoil(r)
				report := r.verify(t, mode)
				if report.Equal || len(report.Differences) != 1 || report.Differences[0].Kind != c.kind || !strings.Contains(report.Differences[0].What, c.what) {
					t.Fatalf("%+v", report)
				}
				if report.SourceRoot == report.DestinationRoot && c.kind != Differ {
					t.Fatal("the roots do not tell")
				}
			})
		}
	}
}

func TestI08_WithoutEvidenceNothingIsEqual(t *testing.T) {
	r := newRig(t)
	r.from.noDigests, r.to.noDigests = true, true
	r.from.write(t, "k", "same")
	r.to.write(t, "k", "same")
	r.opts.Manifest = ""
	listing := r.verify(t, ModeListing)
	if listing.Equal || listing.Unproven != 1 || listing.SourceRoot == listing.DestinationRoot {
		t.Fatalf("%+v", listing)
	}
	if r.from.count("open") != 0 {
		t.Fatal("listing mode reads content")
	}
	if proof := r.verify(t, ModeProof); !proof.Equal || proof.Evidence[Read] != 1 {
		t.Fatalf("%+v", proof)
	}
}

// Bytes that rot at the destination behind an unchanged listing are found by reading only.
func TestVerify_FullBelievesNothing(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		r.from.write(t, fmt.Sprint(i), "good bytes")
	}
	r.mustSync(t)
	r.from.forget()
	if report := r.verify(t, ModeListing); !report.Equal || report.Evidence[Acknowledged] != 5 || r.from.count("head") != 0 {
		t.Fatalf("%+v after %d heads", report, r.from.count("head"))
	}
	rotten := &rot{fake: r.to, key: "3"}
	report := r.verify(t, ModeFull, func(o *VerifyOptions) { o.To = rotten })
	if report.Equal || report.Differ != 1 || report.Evidence[Read] != 4 || report.SourceRoot == report.DestinationRoot {
		t.Fatalf("%+v", report)
	}
	all := r.verify(t, ModeSample, func(o *VerifyOptions) { o.To, o.SampleSize = rotten, 5 })
	if all.Equal || all.Differ != 1 {
		t.Fatalf("%+v", all)
	}
	some := r.verify(t, ModeSample, func(o *VerifyOptions) { o.SampleSize = 2 })
	if !some.Equal || some.Evidence[Read] != 2 || some.Evidence[Acknowledged] != 3 {
		t.Fatalf("%+v", some)
	}
}

// The roots are of content: two pairs of buckets with the same objects have the same, whatever was proven how.
func TestVerify_RootsAreOfContent(t *testing.T) {
	roots := map[string]bool{}
	for _, mode := range []Mode{ModeListing, ModeFull} {
		r := newRig(t)
		for i := range 50 {
			r.from.write(t, fmt.Sprint(i), strings.Repeat("x", i))
		}
		r.mustSync(t)
		report := r.verify(t, mode)
		roots[report.SourceRoot], roots[report.DestinationRoot] = true, true
	}
	if len(roots) != 1 {
		t.Fatalf("%d roots of the same content", len(roots))
	}
}

func TestVerify_AllowExtra(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "k", "1")
	r.mustSync(t)
	r.to.write(t, "x", "1")
	report := r.verify(t, ModeProof, func(o *VerifyOptions) { o.AllowExtra = true })
	if !report.Equal || report.Extra != 1 {
		t.Fatalf("%+v", report)
	}
}

func TestVerify_AFailedListingIsAnError(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "k", "1")
	r.mustSync(t)
	r.to.listed = func(int, bucket.Object) error { return bucket.ErrDenied }
	if _, err := Verify(t.Context(), VerifyOptions{From: r.from, To: r.to}); err == nil {
		t.Fatal("no error")
	}
}

// A comparison tells how far it has come, in every mode: keys of either side, and what was read of both. What is known by size alone
// is told too, and a large object while it is read.
func TestVerify_TellsHowFarItHasCome(t *testing.T) {
	const large = 3 * tellBytes
	for mode, read := range map[Mode]int64{ModeSize: 0, ModeListing: 0, ModeSample: 2*large + 4*9, ModeFull: 2*large + 4*9} {
		t.Run(string(mode), func(t *testing.T) {
			r := newRig(t)
			r.from.write(t, "a", strings.Repeat("x", large))
			r.from.write(t, "b", "content 1")
			r.from.write(t, "c", "content 2")
			r.mustSync(t)
			r.to.write(t, "d", "extra")
			var last, drawn Progress
			partly := false
			report := r.verify(t, mode, func(o *VerifyOptions) {
				o.Progress = func(p Progress) {
					if p.Phase != last.Phase {
						drawn, last = last, Progress{}
					}
					if p.Objects < last.Objects || p.Bytes < last.Bytes {
						t.Errorf("it goes back from %+v to %+v", last, p)
					}
					partly = partly || p.Bytes > 0 && p.Bytes < large
					last = p
				}
			})
			if last.Objects != 4 || last.Bytes != read || last.UnderWay != defaultWidth || report.Extra != 1 {
				t.Errorf("at the end %+v is told, and found %+v", last, report)
			}
			if mode == ModeSample && last.TotalObjects != 3 || mode != ModeSample && last.TotalObjects != 0 {
				t.Errorf("the total is told as %d", last.TotalObjects)
			}
			if want := (Progress{Phase: PhaseSample, Objects: 3}); mode == ModeSample && drawn != want {
				t.Errorf("the drawing of the sample ends with %+v", drawn)
			}
			if partly != (read > 0) {
				t.Error("a large object is not told while it is read")
			}
		})
	}
}

// The proof at the end of a final sync, which may read both sides, tells how far it has come, as a phase of its own.
func TestApply_TheProofTellsHowFarItHasCome(t *testing.T) {
	r := newRig(t)
	for i := range 30 {
		r.from.write(t, fmt.Sprintf("k%02d", i), "content")
	}
	r.mustSync(t)
	r.from.write(t, "k31", "more")
	r.opts.Final, r.opts.Proof = true, ModeFull
	last := map[Phase]Progress{}
	var now Phase
	r.opts.Progress = func(p Progress) {
		if before, ok := last[p.Phase]; ok && (p.Phase != now || p.Objects < before.Objects || p.Bytes < before.Bytes) {
			t.Errorf("it goes back from %+v to %+v", before, p)
		}
		now, last[p.Phase] = p.Phase, p
	}
	r.mustSync(t)
	if p := last[""]; p.Objects != 1 || p.TotalObjects != 1 {
		t.Errorf("the copy ends with %+v", p)
	}
	if p := last[PhaseProof]; p.Objects != 31 || p.TotalObjects != 31 || p.Bytes != 2*(30*7+4) {
		t.Errorf("the proof ends with %+v", p)
	}
}

// A sample of what was proven is drawn from all of it, which is told.
func TestVerifyProven_TellsOfTheDrawing(t *testing.T) {
	r := newRig(t)
	var proven []Proven
	r.opts.Final = true
	r.opts.Witness = func() (func(Proven) error, error) {
		proven = nil
		return func(p Proven) error {
			proven = append(proven, p)
			return nil
		}, nil
	}
	for i := range 2*tellKeys + 1 {
		r.from.write(t, fmt.Sprint(i), "x")
	}
	r.mustSync(t)
	var told []int64
	_, err := VerifyProven(t.Context(), ProvenOptions{
		Bucket: r.to, Mode: ModeSample, SampleSize: 1, Objects: int64(len(proven)), TempDir: t.TempDir(), Clock: r.opts.Clock,
		Proven: func() iter.Seq2[Proven, error] {
			return func(yield func(Proven, error) bool) {
				for _, p := range proven {
					if !yield(p, nil) {
						return
					}
				}
			}
		},
		Progress: func(p Progress) {
			if p.Phase == PhaseSample && p.TotalObjects == int64(len(proven)) {
				told = append(told, p.Objects)
			}
		},
	})
	if want := []int64{0, tellKeys, 2 * tellKeys, 2*tellKeys + 1}; err != nil || !slices.Equal(told, want) {
		t.Errorf("told are %v, want %v; %v", told, want, err)
	}
}

// Damage that a store finds is told of each object, beside all others; a store that does not answer at all is an error.
func TestB03_AnObjectThatCannotBeReadIsAFinding(t *testing.T) {
	r := newRig(t)
	for _, key := range []string{"a", "b", "c", "d"} {
		r.from.write(t, key, "text of "+key)
	}
	r.mustSync(t)
	damaged := errors.New("the checksum did not match")
	r.to.before = func(op, key string) error {
		if op == "open" && (key == "b" || key == "d") {
			return damaged
		}
		return nil
	}
	report := r.verify(t, ModeFull)
	if report.Equal || report.Unreadable != 2 || report.Objects != 4 || report.Evidence[Read] != 2 {
		t.Errorf("%+v", report)
	}
	for i, key := range []string{"b", "d"} {
		if i >= len(report.Differences) || report.Differences[i].Key != key || report.Differences[i].Kind != Unreadable || !strings.Contains(report.Differences[i].What, damaged.Error()) {
			t.Errorf("differences are %+v", report.Differences)
		}
	}
	asked := false
	r.to.before = func(op, key string) error {
		if asked = asked || op == "open" && key == "b"; asked && key == "b" {
			return damaged
		}
		return nil
	}
	if _, err := Verify(t.Context(), VerifyOptions{From: r.from, To: r.to, Manifest: r.opts.Manifest, Mode: ModeFull, Concurrency: 1, Clock: r.opts.Clock}); !errors.Is(err, damaged) {
		t.Errorf("a store that does not answer is %v", err)
	}
}

func TestRecopy(t *testing.T) {
	r := newRig(t)
	for _, key := range []string{"a1", "a2", "b1", "theirs"} {
		r.from.write(t, key, "text of "+key)
	}
	r.to.write(t, "theirs", "text of theirs")
	r.mustSync(t)
	r.opts.Recopy, r.opts.Final = []string{"a*", "theirs"}, true
	if planned, err := PlannedOf(r.plan(t)); err != nil || planned.Copy != 2 || planned.Replace != 2 || planned.Same != 2 {
		t.Errorf("%+v, %v", planned, err)
	}
	r.to.forget()
	if result := r.mustSync(t); result.Copied != 2 || r.to.count("put a1") != 1 || r.to.count("put a2") != 1 || r.to.count("put b1")+r.to.count("put theirs") != 0 {
		t.Errorf("%+v", result)
	}
	r.wantEqual(t)
	r.opts.Recopy = []string{"[a"}
	refused(t, r.opts, "broken off")
}
