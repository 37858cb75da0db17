package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// versionRig is a rig whose buckets keep versions.
func versionRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	for _, f := range []*fake{r.from, r.to} {
		b, err := memory.Open(t.Context(), memory.Options{Name: f.Describe().URL[len("memory://"):], Versions: true})
		if err != nil {
			t.Fatal(err)
		}
		f.Bucket = b
	}
	r.opts.Versions = true
	return r
}

// past is a bucket's whole history, for comparing two: each version of each key with its bytes, or "(marker)".
func past(t *testing.T, f *fake) []string {
	t.Helper()
	var out []string
	for v, err := range f.ListVersions(context.Background(), bucket.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		text := "(marker)"
		if !v.Marker {
			body, o, err := f.OpenVersion(context.Background(), v.Key, v.Version, bucket.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			head, err := f.HeadVersion(context.Background(), v.Key, v.Version)
			if err != nil {
				t.Fatal(err)
			}
			text = string(raw) + " " + head.Properties.ContentType + fmt.Sprint(o.Size)
		}
		out = append(out, v.Key+": "+text)
	}
	return out
}

func (r *rig) samePast(t *testing.T) {
	t.Helper()
	if from, to := past(t, r.from), past(t, r.to); !slices.Equal(from, to) {
		t.Fatalf("the source's history is\n%s\nand the destination's\n%s", strings.Join(from, "\n"), strings.Join(to, "\n"))
	}
}

// write some versions and markers: the first key is live, the second ends with a marker, the third has one in between and equal neighbours.
func someVersions(t *testing.T, f *fake) {
	t.Helper()
	for i, text := range []string{"one", "two", "three"} {
		f.write(t, "live", text, bucket.Properties{ContentType: fmt.Sprint("type/", i)})
	}
	f.write(t, "gone", "a")
	f.remove(t, "gone")
	for _, text := range []string{"same", "same", "", "other"} {
		f.write(t, "mixed", text)
		if text == "" {
			f.remove(t, "mixed")
		}
	}
	f.remove(t, "never")
}

func TestB17_HistoriesAreClonedInOrder(t *testing.T) {
	r := versionRig(t)
	someVersions(t, r.from)
	r.opts.Final = true
	p := r.plan(t)
	planned, err := PlannedOf(p)
	if err != nil || planned.Copy != 8 || planned.Markers != 3 || planned.Idle() {
		t.Fatalf("%+v, %v", planned, err)
	}
	result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	r.samePast(t)
	if result.Copied != 11 || result.Proof == nil || !result.Proof.Equal || result.Proof.Objects != 11 || result.Evidence[MarkerEvidence] != 3 {
		t.Fatalf("%+v", result)
	}

	// Again, only what is new.
	r.from.write(t, "live", "four")
	r.from.remove(t, "mixed")
	r.from.forget()
	result = r.mustSync(t)
	r.samePast(t)
	if result.Copied != 2 {
		t.Fatalf("%+v", result)
	}
	if planned, err := PlannedOf(r.plan(t)); err != nil || planned.Copy+planned.Markers+planned.ToRead != 0 || planned.Same != 13 {
		t.Fatalf("%+v, %v", planned, err)
	}
}

// Without the manifest the histories are compared, version by version, and nothing is doubled.
func TestB17_ALostManifestDoublesNothing(t *testing.T) {
	r := versionRig(t)
	someVersions(t, r.from)
	r.opts.Manifest = ""
	r.mustSync(t)
	before := past(t, r.to)
	result := r.mustSync(t)
	if result.Copied != 0 || result.Found != 11 || !slices.Equal(past(t, r.to), before) {
		t.Fatalf("%+v", result)
	}
	r.from.write(t, "live", "four")
	if result := r.mustSync(t); result.Copied != 1 {
		t.Fatalf("%+v", result)
	}
	r.samePast(t)
}

// A sync that is broken off at any request at the destination goes on where it was, and the histories are the source's.
func TestB17_BrokenOffAnywhereItGoesOn(t *testing.T) {
	for after := range 24 {
		r := versionRig(t)
		someVersions(t, r.from)
		var n int
		broken := errors.New("broken off")
		r.opts.Concurrency = 1
		r.to.before = func(op, _ string) error {
			if op == "put" || op == "head" || op == "mark" {
				if n++; n > after {
					return broken
				}
			}
			return nil
		}
		lost := after%2 == 0 // the write was made, and nobody was told
		r.to.answered = func(op string) error {
			if lost && n == after && (op == "put" || op == "mark") {
				return broken
			}
			return nil
		}
		if _, err := r.sync(t); err == nil && after < 8 {
			t.Fatalf("after %d requests: it was not broken off", after)
		}
		r.to.before, r.to.answered = nil, nil
		r.opts.Final = true
		r.mustSync(t)
		r.samePast(t)
	}
}

// Versions that the source has dropped are dropped by their ids, and nothing else: the live object stays.
func TestB17_DeletingAnOldVersionLeavesTheLiveObject(t *testing.T) {
	r := versionRig(t)
	r.opts.Delete = true
	someVersions(t, r.from)
	r.mustSync(t)
	var old bucket.Version
	for v, err := range r.from.ListVersions(t.Context(), bucket.ListOptions{Prefix: "live"}) {
		if err != nil {
			t.Fatal(err)
		}
		if old.Version == "" {
			old = v
		}
	}
	if err := r.from.Bucket.DeleteVersion(t.Context(), "live", old.Version); err != nil {
		t.Fatal(err)
	}
	if text := r.from.text(t, "live"); text != "three" {
		t.Fatalf("deleting an old version leaves %q as the live object", text)
	}
	var deleted []string
	r.to.before = func(op, key string) error {
		if op == "delete" || op == "delete version" {
			deleted = append(deleted, op+" "+key)
		}
		return nil
	}
	result := r.mustSync(t)
	r.samePast(t)
	if result.Deleted != 1 || !slices.Equal(deleted, []string{"delete version live"}) || r.to.text(t, "live") != "three" {
		t.Fatalf("%+v after %q; the live object is %q", result, deleted, r.to.text(t, "live"))
	}
	for _, f := range []*fake{r.from, r.to} {
		if err := f.Bucket.DeleteVersion(t.Context(), "live", ""); !errors.Is(err, bucket.ErrNoVersion) || f.text(t, "live") != "three" {
			t.Fatalf("a deletion without an id ends with %v, and leaves %q", err, f.text(t, "live"))
		}
	}
}

// What cannot become the source's history by adding to it is a conflict, in the plan and in a copy, and stays as it is.
func TestB17_AnotherHistoryIsAConflict(t *testing.T) {
	for name, there := range map[string]func(t *testing.T, f *fake){
		"other bytes":         func(t *testing.T, f *fake) { f.write(t, "k", "xne") },
		"another size":        func(t *testing.T, f *fake) { f.write(t, "k", "longer") },
		"a marker":            func(t *testing.T, f *fake) { f.write(t, "k", "one"); f.remove(t, "k") },
		"one in the middle":   func(t *testing.T, f *fake) { f.write(t, "k", "one"); f.write(t, "k", "1.5") },
		"other content types": func(t *testing.T, f *fake) { f.write(t, "k", "one", bucket.Properties{ContentType: "text/plain"}) },
	} {
		t.Run(name, func(t *testing.T) {
			r := versionRig(t)
			r.from.write(t, "k", "one")
			r.from.write(t, "k", "two")
			there(t, r.to)
			before := past(t, r.to)
			p, err := Plan(t.Context(), r.opts)
			if err != nil {
				t.Fatal(err)
			}
			if p.Err() == nil {
				_, err = Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
				if !errors.Is(err, ErrConflict) {
					t.Fatalf("neither the plan nor the copy refuses: %v", err)
				}
			}
			if !slices.Equal(past(t, r.to), before) {
				t.Fatalf("it was changed: %q", past(t, r.to))
			}
			r.opts.Conflict = ConflictSkip
			if result := r.mustSync(t); result.Conflicts != 1 || !slices.Equal(past(t, r.to), before) {
				t.Fatalf("%+v", result)
			}
		})
	}
}

// A version that was deleted at the destination is missed, also where the current object is the same.
func TestB17_TheProofComparesHistories(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, r *rig, ids []string){
		"one is missing": func(t *testing.T, r *rig, ids []string) {
			must(t, r.to.Bucket.DeleteVersion(t.Context(), "live", ids[0]))
		},
		"one too many": func(t *testing.T, r *rig, _ []string) { r.to.write(t, "live", "three") },
		"a marker for an object": func(t *testing.T, r *rig, ids []string) {
			must(t, r.to.Bucket.DeleteVersion(t.Context(), "live", ids[2]))
			r.to.remove(t, "live")
		},
		"in another order": func(t *testing.T, r *rig, ids []string) {
			must(t, r.to.Bucket.DeleteVersion(t.Context(), "live", ids[1]))
			r.to.write(t, "live", "two")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := versionRig(t)
			for _, text := range []string{"one", "two", "three"} {
				r.from.write(t, "live", text)
			}
			r.mustSync(t)
			opts := VerifyOptions{From: r.from, To: r.to, Manifest: r.opts.Manifest, Versions: true, TempDir: t.TempDir()}
			if report, err := Verify(t.Context(), opts); err != nil || !report.Equal || report.Objects != 3 {
				t.Fatalf("%+v, %v", report, err)
			}
			var ids []string
			for v, err := range r.to.ListVersions(t.Context(), bucket.ListOptions{}) {
				must(t, err)
				ids = append(ids, v.Version)
			}
			spoil(t, r, ids)
			for _, opts.Mode = range []Mode{ModeProof, ModeFull, ModeListing} {
				if report, err := Verify(t.Context(), opts); err != nil || report.Equal || len(report.Differences) == 0 {
					t.Fatalf("%s: %+v, %v", opts.Mode, report, err)
				}
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestB17_EndsThatKeepNoVersionsAreRefused(t *testing.T) {
	r := versionRig(t)
	r.from.write(t, "k", "x")
	plain, err := memory.Open(t.Context(), memory.Options{Name: "plain"})
	must(t, err)
	to := r.opts
	to.To, to.Manifest = plain, ""
	refused(t, to, "keeps none")

	unversioned := struct{ bucket.Bucket }{plain}
	to.To = unversioned
	refused(t, to, "neither reads nor writes versions of memory://plain")
	if _, err := Verify(t.Context(), VerifyOptions{From: r.from, To: unversioned, Versions: true}); !errors.Is(err, bucket.ErrUnsupported) {
		t.Errorf("got %v", err)
	}

	overwrite := r.opts
	overwrite.Conflict = ConflictOverwrite
	refused(t, overwrite, "a version is never written over")
}

// The way back goes by the objects that both sides had when they were proven equal.
func TestB17_TheWayBackBringsCurrentObjects(t *testing.T) {
	r := versionRig(t)
	someVersions(t, r.from)
	r.opts.Final, r.opts.Delete = true, true
	r.mustSync(t)
	r.to.write(t, "live", "written on green")
	r.to.remove(t, "mixed")
	r.to.write(t, "new", "also on green")
	p, err := PlanBack(t.Context(), r.opts)
	must(t, err)
	must(t, p.Err())
	result, err := ApplyBack(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
	must(t, err)
	if result.Copied != 2 || result.Deleted != 1 || r.from.text(t, "live") != "written on green" || r.from.text(t, "mixed") != "(none)" {
		t.Fatalf("%+v", result)
	}
}

// Whatever was written, deleted and synced in turns, both histories are the same at the end.
func TestB17_AnyHistoryIsCloned(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 17))
	for range 20 {
		r := versionRig(t)
		r.opts.Delete, r.opts.MaxDelete = true, new(1.0)
		for range 5 {
			for range 12 {
				key := fmt.Sprint("k", random.IntN(4))
				switch random.IntN(6) {
				case 0:
					r.from.remove(t, key)
				default:
					r.from.write(t, key, strings.Repeat("x", random.IntN(3)))
				}
			}
			r.opts.Final = random.IntN(2) == 0
			r.mustSync(t)
			r.samePast(t)
		}
	}
}

// backwards lists keys in the opposite order, each key's versions the oldest first, and cannot tell beforehand that it keeps them.
type backwards struct {
	*fake
	keeps bool
}

func (b backwards) Describe() bucket.Capabilities {
	caps := b.fake.Describe()
	caps.Order = bucket.Unordered
	return caps
}

func (b backwards) KeepsVersions(context.Context) (bucket.VersionKeeping, error) {
	return bucket.VersionKeeping{Unknown: true, Markers: true}, nil
}

func (b backwards) ListVersions(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Version, error] {
	return func(yield func(bucket.Version, error) bool) {
		var all []bucket.Version
		for v, err := range b.fake.ListVersions(ctx, opts) {
			if err != nil {
				yield(v, err)
				return
			}
			all = append(all, v)
		}
		slices.SortStableFunc(all, func(x, y bucket.Version) int { return strings.Compare(y.Key, x.Key) })
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func (b backwards) Put(ctx context.Context, key string, body io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	o, err := b.fake.Put(ctx, key, body, size, opts)
	if !b.keeps {
		o.Version = ""
	}
	return o, err
}

func (b backwards) Head(ctx context.Context, key string) (bucket.Object, error) {
	o, err := b.fake.Head(ctx, key)
	if !b.keeps {
		o.Version = ""
	}
	return o, err
}

// Histories are put in order where a store lists in another one (B1). What a store keeps shows in its first answer, where nothing else tells.
func TestB17_HistoriesOfAStoreThatListsInAnotherOrder(t *testing.T) {
	for _, side := range []string{"source", "destination", "both"} {
		r := versionRig(t)
		r.opts.Final = true
		if side != "destination" {
			r.opts.From = backwards{r.from, true}
		}
		if side != "source" {
			r.opts.To = backwards{r.to, true}
		}
		someVersions(t, r.from)
		if result := r.mustSync(t); result.Copied != 11 || !result.Proof.Equal {
			t.Fatalf("%s: %+v", side, result)
		}
		r.samePast(t)
		if result := r.mustSync(t); result.Copied != 0 {
			t.Fatalf("%s, again: %+v", side, result)
		}
	}
}

func TestB17_AStoreThatTurnsOutToKeepNoneIsNotWrittenOver(t *testing.T) {
	r := versionRig(t)
	r.opts.To = backwards{r.to, false}
	someVersions(t, r.from)
	if _, err := r.sync(t); !errors.Is(err, bucket.ErrUnsupported) || !strings.Contains(err.Error(), "turn on its versioning") {
		t.Fatalf("got %v", err)
	}
	for v, err := range r.to.ListVersions(t.Context(), bucket.ListOptions{}) {
		if must(t, err); !v.Latest {
			t.Fatalf("%q was written over", v.Key)
		}
	}
}
