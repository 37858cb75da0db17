package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func TestApply_CopiesOnceAndKnowsItTheNextTime(t *testing.T) {
	r := newRig(t)
	for i := range 30 {
		r.from.write(t, fmt.Sprintf("k%02d", i), strings.Repeat("x", i))
	}
	var last Progress
	r.opts.Progress = func(p Progress) { last = p }
	first := r.mustSync(t)
	if first.Copied != 30 || first.Bytes != 435 || first.Evidence[Acknowledged] != 30 {
		t.Fatalf("first run: %+v", first)
	}
	if want := (Progress{Objects: 30, Bytes: 435, TotalObjects: 30, TotalBytes: 435, UnderWay: 8}); last != want {
		t.Fatalf("progress %+v, want %+v", last, want)
	}
	r.wantEqual(t)

	r.from.forget()
	r.to.forget()
	second := r.mustSync(t)
	if second.Copied != 0 || second.Skipped != 30 {
		t.Fatalf("second run: %+v", second)
	}
	if n := r.from.count("head") + r.to.count("head") + r.from.count("open") + r.to.count("put"); n != 0 {
		t.Fatalf("a run with nothing to do made %d requests beside its listings", n)
	}
}

func TestApply_DoneInTheJournalIsNotDoneAgain(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "a", "1")
	p, rec := r.plan(t), &plan.MemoryRecorder{}
	first, err := Apply(t.Context(), p, rec, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	r.to.forget()
	second, err := Apply(t.Context(), p, rec, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	if second.Copied != first.Copied || r.to.count("list") != 0 {
		t.Fatalf("the second run gives %+v after %d listings", second, r.to.count("list"))
	}
}

func TestApply_WithoutManifestReadsWhatNothingElseTells(t *testing.T) {
	r := newRig(t)
	r.opts.Manifest = ""
	r.from.write(t, "a", "same")
	r.mustSync(t)
	r.from.noDigests, r.to.noDigests = true, true
	result := r.mustSync(t)
	if result.Found != 1 || result.Copied != 0 || result.Evidence[Read] != 1 {
		t.Fatalf("%+v", result)
	}
}

func TestApply_PlanMovedIsRefused(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "a", "1")
	p := r.plan(t)
	r.opts.Delete = true
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); !errors.Is(err, plan.ErrMoved) {
		t.Fatalf("a plan without deletions was applied with them: %v", err)
	}
}

// An unordered listing, and one that is not in the order that its store declares, give what an ordered one gives.
func TestB01_OrderThatIsNotProvenIsSorted(t *testing.T) {
	for _, declared := range []bucket.Order{bucket.Unordered, bucket.ByBytes} {
		r := newRig(t)
		r.opts.Delete = true
		for i := range 200 {
			r.from.write(t, fmt.Sprintf("k%03d", i), fmt.Sprint(i))
		}
		for _, side := range []*fake{r.from, r.to} {
			side.caps = func(c *bucket.Capabilities) { c.Order = declared }
			side.order = shuffled
		}
		r.mustSync(t)
		r.wantEqual(t)
		if n := r.from.count("list"); declared == bucket.Unordered && n != 3 {
			t.Fatalf("%d listings for the first keys, a plan and a run", n)
		}
		r.from.remove(t, "k007")
		r.from.write(t, "k100", "changed")
		result := r.mustSync(t)
		if result.Copied != 1 || result.Deleted != 1 {
			t.Fatalf("order %v: %+v", declared, result)
		}
		r.wantEqual(t)
	}
}

func TestB02_UnknownDigestsAreNeverEqual(t *testing.T) {
	r := newRig(t)
	r.from.noDigests, r.to.noDigests = true, true
	r.from.write(t, "a", "left!")
	r.to.write(t, "a", "right")
	_, err := r.sync(t)
	if !errors.Is(err, ErrConflict) {
		t.Fatalf("two objects of one size that differ gave %v", err)
	}
}

// The object is overwritten in the middle of the copy, with bytes of the same length. Small ones are held, large ones streamed.
func TestB04_OverwriteDuringCopyNeverMixes(t *testing.T) {
	for _, size := range []int{1000, smallObject + 1000} {
		r := newRig(t)
		before, after := strings.Repeat("a", size), strings.Repeat("b", size)
		r.from.write(t, "k", before)
		r.from.live = int64(size / 3)
		var once sync.Once
		r.from.opened = func(_ string, offset int64) {
			if offset > 0 {
				once.Do(func() { r.from.write(t, "k", after) })
			}
		}
		r.to.stored = func(*bucket.PutOptions, *[]byte) {} // read the body whole, hide its errors
		r.mustSync(t)
		if got := r.to.text(t, "k"); got != after {
			t.Fatalf("size %d: the destination has %d a and %d b, not the new version", size, strings.Count(got, "a"), strings.Count(got, "b"))
		}
	}
}

func TestB05_AWriteOfAnotherInTheMeantimeIsNotLost(t *testing.T) {
	for _, name := range []string{"new object", "changed object"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.to.noDigests = true // so that a record of the intent could take the other's object for its own
			if name == "changed object" {
				r.from.write(t, "k", "first")
				r.mustSync(t)
			}
			r.from.write(t, "k", "from blue")
			var once sync.Once
			r.to.before = func(op, _ string) error {
				if op == "put" {
					once.Do(func() { r.to.write(t, "k", "of others") })
				}
				return nil
			}
			if _, err := r.sync(t); !errors.Is(err, ErrConflict) {
				t.Fatalf("want a conflict, got %v", err)
			}
			if got := r.to.text(t, "k"); got != "of others" {
				t.Fatalf("the other writer's object is now %q", got)
			}
			// The next run does not take it for its own either.
			if _, err := r.sync(t); !errors.Is(err, ErrConflict) {
				t.Fatalf("the next run takes the other writer's object for its own: %v", err)
			}
		})
	}
}

// Where the store enforces no condition, the destination is looked at just before the write.
func TestB05_WithoutConditionsTheDestinationIsLookedAt(t *testing.T) {
	r := newRig(t)
	r.to.caps = func(c *bucket.Capabilities) { c.ConditionalPut, c.ConditionalWrite = false, false }
	r.from.write(t, "k", "from blue")
	r.to.before = func(op, key string) error {
		if op == "head" && r.to.count("head "+key) == 1 && r.to.count("put "+key) == 0 { // the look before the write
			r.to.write(t, "k", "of others")
		}
		return nil
	}
	if _, err := r.sync(t); !errors.Is(err, ErrConflict) {
		t.Fatalf("want a conflict, got %v", err)
	}
	if got := r.to.text(t, "k"); got != "of others" {
		t.Fatalf("the other writer's object is now %q", got)
	}
}

func TestB06_SameSizeOverwriteIsNoticedOnEitherSide(t *testing.T) {
	r := newRig(t)
	r.from.noDigests, r.to.noDigests = true, true // only the tags can tell
	for i := range 20 {
		r.from.write(t, fmt.Sprintf("k%02d", i), "aaaa")
	}
	r.mustSync(t)

	r.from.write(t, "k05", "bbbb")
	if result := r.mustSync(t); result.Copied != 1 || result.Skipped != 19 {
		t.Fatalf("after an overwrite at the source: %+v", result)
	}
	r.wantEqual(t)

	r.to.write(t, "k06", "cccc")
	if _, err := r.sync(t); !errors.Is(err, ErrConflict) {
		t.Fatalf("an overwrite at the destination gave %v", err)
	}
	r.opts.Conflict = ConflictOverwrite
	r.mustSync(t)
	r.wantEqual(t)
}

func TestB13_FailedListingDeletesNothing(t *testing.T) {
	for _, side := range []string{"source", "destination"} {
		for _, at := range []int{0, 3, 9} {
			r := newRig(t)
			r.opts.Delete, r.opts.DeleteForeign = true, true
			for i := range 10 {
				r.from.write(t, fmt.Sprintf("k%d", i), "x")
			}
			r.mustSync(t)
			r.from.remove(t, "k1")
			p := r.plan(t)
			failing := r.from
			if side == "destination" {
				failing = r.to
			}
			failing.listed = func(n int, _ bucket.Object) error {
				if n >= at || n >= 8 {
					return errors.New("page lost")
				}
				return nil
			}
			if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); err == nil {
				t.Fatalf("a failed listing of the %s passed", side)
			}
			if got := len(r.to.keys(t)); got != 10 || r.to.count("delete") != 0 {
				t.Fatalf("listing of the %s failed at %d: %d objects of 10 are left", side, at, got)
			}
		}
	}
}

func TestB13_DeletesStopAboveTheShare(t *testing.T) {
	r := newRig(t)
	r.opts.Delete = true
	for i := range 100 {
		r.from.write(t, fmt.Sprintf("k%02d", i), "x")
	}
	r.mustSync(t)
	for i := range 30 {
		r.from.remove(t, fmt.Sprintf("k%02d", i))
	}
	p := r.plan(t) // 30 of 100 are allowed
	r.from.remove(t, "k30")
	_, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
	var tooMany *TooManyDeletesError
	if !errors.As(err, &tooMany) || tooMany.Deletes != 31 || tooMany.Limit != 30 || tooMany.Total != 100 {
		t.Fatalf("want 31 of 100 refused, got %v", err)
	}
	if got := len(r.to.keys(t)); got != 100 {
		t.Fatalf("%d of 100 objects are left", got)
	}
	if p, err := Plan(t.Context(), r.opts); err != nil || p.Err() == nil {
		t.Fatalf("the plan does not refuse it: %v", err)
	}
	r.opts.MaxDelete = new(0.5)
	if result := r.mustSync(t); result.Deleted != 31 {
		t.Fatalf("%+v", result)
	}
	r.wantEqual(t)
}

func TestB13_TenObjectsMayAlwaysBeDeleted(t *testing.T) {
	r := newRig(t)
	r.opts.Delete = true
	for i := range 10 {
		r.from.write(t, fmt.Sprintf("k%d", i), "x")
	}
	r.mustSync(t)
	for i := range 10 {
		r.from.remove(t, fmt.Sprintf("k%d", i))
	}
	if result := r.mustSync(t); result.Deleted != 10 {
		t.Fatalf("%+v", result)
	}
}

// A share of nothing is not the lack of a share: neither one object nor one version goes, in either direction.
func TestB13_AShareOfZeroDeletesNothing(t *testing.T) {
	r := newRig(t)
	r.opts.DeleteForeign = true
	for i := range 30 {
		r.from.write(t, fmt.Sprintf("k%02d", i), "x")
	}
	r.opts.Final = true
	r.mustSync(t)
	r.opts.Final = false
	r.opts.MaxDelete = new(0.0)
	p := r.plan(t)
	r.to.write(t, "theirs", "x")
	_, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
	var tooMany *TooManyDeletesError
	if !errors.As(err, &tooMany) || tooMany.Deletes != 1 || tooMany.Limit != 0 {
		t.Errorf("want one deletion refused, got %v", err)
	}
	p, err = Plan(t.Context(), r.opts)
	if err != nil || p.Err() == nil || !strings.Contains(p.Err().Error(), "1 of 31 objects") || !strings.Contains(p.Err().Error(), "and 0 are allowed") {
		t.Errorf("the plan says %v, %v", p.Err(), err)
	}
	if got := len(r.to.keys(t)); got != 31 {
		t.Errorf("%d of 31 objects are left", got)
	}

	r.to.remove(t, "k00")
	if p, err = PlanBack(t.Context(), r.opts); err != nil || p.Err() == nil || !strings.Contains(p.Err().Error(), "and 0 are allowed") {
		t.Errorf("the plan of the way back says %v, %v", p.Err(), err)
	}
	if got := len(r.from.keys(t)); got != 30 {
		t.Errorf("%d of 30 objects are left at the source", got)
	}
}

func TestI03_ForeignObjectsAreNeitherOverwrittenNorDeleted(t *testing.T) {
	r := newRig(t)
	r.opts.Delete = true
	r.from.write(t, "a", "ours")
	r.from.write(t, "gone", "ours")
	r.to.write(t, "foreign", "theirs")
	first := r.mustSync(t)
	if first.Extra != 1 || !slices.Equal(first.ExtraKeys, []string{"foreign"}) {
		t.Fatalf("the foreign object is not reported: %+v", first)
	}
	// Ours is deleted with its source; one that somebody rewrote is no longer ours.
	r.from.remove(t, "gone")
	r.from.remove(t, "a")
	r.to.write(t, "a", "rewritten")
	second := r.mustSync(t)
	if second.Deleted != 1 || second.Extra != 2 {
		t.Fatalf("%+v", second)
	}
	// A foreign object is not overwritten, in the plan or by Apply, unless that is asked for.
	p := r.plan(t)
	r.from.write(t, "foreign", "blue's")
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); !errors.Is(err, ErrConflict) {
		t.Fatalf("want a conflict, got %v", err)
	}
	if p, err := Plan(t.Context(), r.opts); err != nil || p.Err() == nil {
		t.Fatalf("the plan does not refuse the conflict: %v", err)
	}
	r.opts.Conflict = ConflictSkip
	if result := r.mustSync(t); result.Conflicts != 1 {
		t.Fatalf("%+v", result)
	}
	if got := r.to.text(t, "foreign") + " " + r.to.text(t, "a"); got != "theirs rewritten" {
		t.Fatalf("the foreign objects are now %q", got)
	}
	r.opts.Conflict, r.opts.DeleteForeign = ConflictOverwrite, true
	r.mustSync(t)
	r.wantEqual(t)
}

func TestI03_WithoutManifestNothingIsOurs(t *testing.T) {
	r := newRig(t)
	r.opts.Manifest, r.opts.Delete = "", true
	p, err := Plan(t.Context(), r.opts)
	if err != nil || p.Err() == nil {
		t.Fatalf("deleting without a manifest is not refused: %v", err)
	}
}

// A listing of the source that leaves a key out, and a key that comes back after the listing, delete nothing.
func TestI04_BeforeADeleteTheSourceIsAskedAgain(t *testing.T) {
	r := newRig(t)
	r.opts.Delete = true
	for _, key := range []string{"a", "b", "c"} {
		r.from.write(t, key, key)
	}
	r.mustSync(t)
	r.from.remove(t, "b")
	p := r.plan(t)
	var listed atomic.Bool
	r.to.before = func(op, _ string) error {
		if op == "list" {
			listed.Store(true)
		}
		return nil
	}
	r.from.before = func(op, key string) error {
		if op == "head" && key == "b" && listed.Load() {
			r.from.write(t, "b", "back")
		}
		return nil
	}
	result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	if r.to.count("delete") != 0 || result.Deleted != 0 {
		t.Fatalf("an object whose source is there was deleted: %+v", result)
	}
}

func TestI04_AFailedCopyDeletesNothing(t *testing.T) {
	r := newRig(t)
	r.opts.Delete = true
	r.from.write(t, "a", "1")
	r.from.write(t, "b", "1")
	r.mustSync(t)
	r.from.remove(t, "a")
	r.from.write(t, "b", "2")
	p := r.plan(t)
	r.to.before = func(op, _ string) error {
		if op == "put" {
			return errors.New("disk full")
		}
		return nil
	}
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); err == nil || r.to.count("delete") != 0 {
		t.Fatalf("deletions after a failed copy: %v", err)
	}
}

// Apply is killed before a random request, with the state on disk as it was at that moment and the last line of the log torn at times.
// Run again, it ends where an unbroken run ends, and what was recorded as copied is not written again.
func TestB20_KilledAnywhereItConverges(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("CROSSFADE_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed: CROSSFADE_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	for round := range 60 {
		killOnce(t, random, round)
	}
}

func killOnce(t *testing.T, random *rand.Rand, round int) {
	t.Helper()
	r := newRig(t)
	r.opts.Delete = true
	for i := range 25 {
		r.from.write(t, fmt.Sprintf("k%02d", i), strings.Repeat("x", random.IntN(50)))
	}
	requests := 130
	if random.IntN(2) == 0 { // a change on top of a finished run
		r.mustSync(t)
		for i := range 5 {
			r.from.write(t, fmt.Sprintf("k1%d", i), "changed")
		}
		r.from.remove(t, "k04")
		r.from.write(t, "new", "new")
		requests = 40
	}
	p := r.plan(t)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	left, saved := random.IntN(requests), map[string][]byte(nil)
	kill := func(string, string) error {
		mu.Lock()
		defer mu.Unlock()
		if left--; left >= 0 {
			return nil
		}
		if saved == nil {
			saved = r.saveState(t)
			cancel()
		}
		return context.Canceled
	}
	r.from.before, r.to.before = kill, kill
	_, err := Apply(ctx, p, &plan.MemoryRecorder{}, r.opts)
	r.from.before, r.to.before = nil, nil
	if saved != nil {
		if err == nil {
			t.Fatalf("round %d: a killed run reports success", round)
		}
		r.loadState(t, saved, random)
	}
	if random.IntN(2) == 0 { // blue goes on writing
		for i := range 10 {
			r.from.write(t, fmt.Sprintf("k%02d", 2*i), "what was written later")
		}
	}
	done := r.recorded(t)
	r.to.forget()
	r.opts.Final = true
	result := r.mustSync(t)
	r.wantEqual(t)
	if !result.Proof.Equal {
		t.Fatalf("round %d: %+v", round, result.Proof)
	}
	for key, rec := range done {
		now, err := r.from.Head(t.Context(), key)
		if err == nil && rec.Source.is(now) && r.to.count("put "+key) > 0 {
			t.Fatalf("round %d: %q was finished and is copied again", round, key)
		}
	}
}

func (r *rig) stateFiles() []string {
	return []string{r.opts.Manifest, r.opts.Manifest + ".log"}
}

func (r *rig) saveState(t testing.TB) map[string][]byte {
	saved := map[string][]byte{}
	for _, name := range r.stateFiles() {
		raw, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		saved[name] = raw
	}
	return saved
}

func (r *rig) loadState(t testing.TB, saved map[string][]byte, random *rand.Rand) {
	t.Helper()
	for name, raw := range saved {
		if raw == nil {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			continue
		}
		if strings.HasSuffix(name, ".log") && random.IntN(3) == 0 {
			raw = append(slices.Clone(raw), `{"key":"torn","sta`...)
		}
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// recorded returns what the manifest on disk has as copied.
func (r *rig) recorded(t testing.TB) map[string]Record {
	t.Helper()
	m, err := openManifest(r.opts.Manifest, t.TempDir(), r.from.Describe(), r.to.Describe())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Record{}
	all, err := recordsIn(m, bucket.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range all {
		if rec.State == StateCopied {
			out[rec.Key] = rec
		}
	}
	return out
}

// A write whose answer was lost, and whose source was overwritten before the next run, is still this migration's own.
func TestB20_AWriteWithoutItsAnswerIsOurs(t *testing.T) {
	r := newRig(t)
	r.from.write(t, "k", "first")
	p := r.plan(t)
	ctx, cancel := context.WithCancel(t.Context())
	var saved map[string][]byte
	r.to.before = func(op, _ string) error {
		if op == "head" { // the look after the write
			saved = r.saveState(t)
			cancel()
			return context.Canceled
		}
		return nil
	}
	if _, err := Apply(ctx, p, &plan.MemoryRecorder{}, r.opts); err == nil {
		t.Fatal("a killed run reports success")
	}
	r.to.before = nil
	r.loadState(t, saved, rand.New(rand.NewPCG(0, 0)))
	r.from.write(t, "k", "the second")
	r.mustSync(t)
	r.wantEqual(t)
}

func TestApply_FinalGoesOnUntilNothingIsLeft(t *testing.T) {
	r := newRig(t)
	r.opts.Final = true
	r.from.write(t, "a", "1")
	var once sync.Once
	r.to.before = func(op, _ string) error {
		if op == "put" {
			once.Do(func() { r.from.write(t, "0", "a write that was still under way") })
		}
		return nil
	}
	result := r.mustSync(t)
	if result.Passes != 3 || result.Copied != 2 || !result.Proof.Equal || result.Proof.SourceRoot != result.Proof.DestinationRoot {
		t.Fatalf("%+v %+v", result, result.Proof)
	}
	r.wantEqual(t)
}

func TestApply_FinalRefusesASourceThatIsNotFrozen(t *testing.T) {
	r := newRig(t)
	r.opts.Final = true
	r.from.write(t, "a", "1")
	p := r.plan(t)
	n := 0
	r.to.before = func(op, _ string) error {
		if op == "put" {
			n++
			r.from.write(t, "a", fmt.Sprint("again ", n))
		}
		return nil
	}
	var unsettled *UnsettledError
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); !errors.As(err, &unsettled) {
		t.Fatalf("got %v", err)
	}
}

func TestApply_FinalFailsOnExtraObjects(t *testing.T) {
	r := newRig(t)
	r.opts.Final = true
	r.from.write(t, "a", "1")
	r.to.write(t, "extra", "1")
	var unproven *UnprovenError
	if _, err := r.sync(t); !errors.As(err, &unproven) || unproven.Report.Extra != 1 {
		t.Fatalf("got %v", err)
	}
	r.opts.AllowExtra = true
	r.mustSync(t)
}

func TestApply_RangesOfOneBucketMeet(t *testing.T) {
	r := newRig(t)
	for i := range 50 {
		r.from.write(t, fmt.Sprintf("p/%02d", i), fmt.Sprint(i))
	}
	r.from.write(t, "q", "outside")
	r.opts.Prefix = "p/"
	path := r.opts.Manifest
	for i, split := range []Range{{Before: "p/20"}, {After: "p/19", Before: "p/40"}, {After: "p/39"}} {
		r.opts.Range, r.opts.Manifest = split, fmt.Sprint(path, i)
		r.mustSync(t)
	}
	r.from.remove(t, "q")
	r.wantEqual(t)
	if r.to.count("put") != 50 {
		t.Fatalf("%d writes for 50 objects", r.to.count("put"))
	}
}

func TestRetry_OnlyWhatMayPass(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		r.from.write(t, fmt.Sprint(i), "x")
	}
	p := r.plan(t)
	failures := map[string]int{}
	var mu sync.Mutex
	flaky := func(op, key string) error {
		mu.Lock()
		defer mu.Unlock()
		failures[op+key]++
		switch failures[op+key] {
		case 1:
			return fmt.Errorf("%s: %w", op, syscall.ECONNRESET)
		case 2:
			return fmt.Errorf("%s: %w", op, net.ErrClosed)
		}
		return nil
	}
	r.from.before, r.to.before = flaky, flaky
	if result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); err != nil || result.Copied != 5 {
		t.Fatalf("%+v %v", result, err)
	}
	r.wantEqual(t)
	fake := r.opts.Clock.(*clock.Fake)
	if len(fake.Slept()) == 0 {
		t.Fatal("nothing was waited for between the tries")
	}

	r.from.write(t, "denied", "x")
	p = r.plan(t)
	r.from.before = nil
	r.to.before = func(op, _ string) error {
		if op == "put" {
			return bucket.ErrDenied
		}
		return nil
	}
	r.to.forget()
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); !errors.Is(err, bucket.ErrDenied) || r.to.count("put") != 1 {
		t.Fatalf("%d tries of what is denied: %v", r.to.count("put"), err)
	}
}

// A listing that breaks off for a moment goes on behind the last key, and nothing is listed twice or left out.
func TestRetry_ListingGoesOn(t *testing.T) {
	r := newRig(t)
	for i := range 10 {
		r.from.write(t, fmt.Sprint(i), "x")
	}
	broken := 0
	r.from.listed = func(n int, _ bucket.Object) error {
		if n == 4 && broken < 2 {
			broken++
			return syscall.ECONNRESET
		}
		return nil
	}
	if result := r.mustSync(t); result.Copied != 10 {
		t.Fatalf("%+v", result)
	}
	r.wantEqual(t)
}

func TestCopy_WhatArrivesIsCompared(t *testing.T) {
	flip := func(_ *bucket.PutOptions, raw *[]byte) { (*raw)[0] ^= 1 }
	cases := map[string]struct {
		spoil func(r *rig)
		want  any
	}{
		"bytes changed, store reports digests": {func(r *rig) {
			r.to.stored = func(o *bucket.PutOptions, raw *[]byte) { flip(o, raw); o.MD5 = nil }
		}, new(*CorruptError)},
		"bytes changed, store reports none": {func(r *rig) {
			r.to.noDigests = true
			r.to.stored = func(o *bucket.PutOptions, raw *[]byte) { flip(o, raw); o.MD5 = nil }
		}, new(*CorruptError)},
		"bytes cut": {func(r *rig) {
			r.to.noDigests = true
			r.to.stored = func(o *bucket.PutOptions, raw *[]byte) { *raw = (*raw)[1:]; o.MD5 = nil }
		}, new(*CorruptError)},
		"digest of the source is not that of its bytes": {func(r *rig) { r.from.badDigests = true }, new(*CorruptError)},
		"property dropped": {func(r *rig) {
			r.to.stored = func(o *bucket.PutOptions, _ *[]byte) { o.Properties.CacheControl = "" }
		}, new(*PropertyError)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.from.write(t, "k", "some bytes", bucket.Properties{CacheControl: "no-store"})
			c.spoil(r)
			_, err := r.sync(t)
			if err == nil || !errors.As(err, c.want) {
				t.Fatalf("want %T, got %v", c.want, err)
			}
			// It is known as this migration's own, so that a later run mends it.
			r.from.badDigests, r.to.stored = false, nil
			r.mustSync(t)
			r.wantEqual(t)
		})
	}
}

// What is lost is refused although it came after the plan.
func TestI05_StrictHoldsAfterThePlanToo(t *testing.T) {
	r := newRig(t)
	r.opts.Strict = true
	r.to.caps = func(c *bucket.Capabilities) { c.Tags = false }
	p := r.plan(t)
	r.from.write(t, "k", "x", bucket.Properties{Tags: map[string]string{"a": "1"}})
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); !errors.Is(err, bucket.ErrUnsupported) || r.to.count("put") != 0 {
		t.Fatalf("got %v", err)
	}
}

func TestCopy_WithoutDigestsItIsReadBack(t *testing.T) {
	r := newRig(t)
	r.to.noDigests = true
	r.from.write(t, "small", "x")
	r.from.write(t, "large", strings.Repeat("x", smallObject+1))
	if result := r.mustSync(t); result.Evidence[ReadBack] != 2 || r.to.count("open") != 2 {
		t.Fatalf("%+v", result)
	}
}

// After a hundred failures a sync stops, says so and how many it has not tried, and knows the name of each that failed.
func TestApply_StopsAtAHundredFailuresAndSaysSo(t *testing.T) {
	for _, objects := range []int{99, 400} {
		r := newRig(t)
		for i := range objects {
			r.from.write(t, fmt.Sprintf("%03d", i), "x")
		}
		r.to.before = func(op, _ string) error {
			if op == "put" {
				return bucket.ErrDenied
			}
			return nil
		}
		_, err := r.sync(t)
		var failed *FailedError
		if !errors.As(err, &failed) {
			t.Fatal(err)
		}
		want := FailedError{Count: 99}
		if objects == 400 {
			want = FailedError{Count: 100, Stopped: true, Untried: 300}
		}
		if failed.Count != want.Count || failed.Stopped != want.Stopped || failed.Untried != want.Untried || int64(len(failed.Failures)) != want.Count {
			t.Errorf("of %d: %d failed, stopped %v, %d not tried, %d named", objects, failed.Count, failed.Stopped, failed.Untried, len(failed.Failures))
		}
		if says := strings.Contains(err.Error(), "the sync stopped there: at least 300 more were not tried"); says != want.Stopped {
			t.Errorf("of %d: %v", objects, err)
		}
	}
}
