package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// paged is a fake that lists in pages of so many objects, from any key on.
type paged struct {
	*fake
	size int
	// page is called before each page, with what is on it.
	page func(opts bucket.ListOptions, on []bucket.Object) error
	// gate holds the listing of the whole after some pages, until one has begun in its middle.
	gate *gate
}

type gate struct {
	once   sync.Once
	opened chan struct{}
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

func (g *gate) pass(t context.Context, opts bucket.ListOptions, page int) {
	switch {
	case g == nil || opts.Limit != 0:
	case opts.After != "":
		g.once.Do(func() { close(g.opened) })
	case page > splitPages+1:
		select {
		case <-g.opened:
		case <-t.Done():
		case <-time.After(5 * time.Second): // the test will say that nothing was split
			g.once.Do(func() { close(g.opened) })
		}
	}
}

func (p paged) Pages(ctx context.Context, opts bucket.ListOptions) iter.Seq2[[]bucket.Object, error] {
	return func(yield func([]bucket.Object, error) bool) {
		var all []bucket.Object
		for o, err := range p.List(ctx, opts) {
			if err != nil {
				yield(nil, err)
				return
			}
			all = append(all, o)
		}
		n := 0
		for page := range slices.Chunk(all, p.size) {
			n++
			p.gate.pass(ctx, opts, n)
			if p.page != nil {
				if err := p.page(opts, page); err != nil {
					yield(nil, err)
					return
				}
			}
			if !yield(slices.Clone(page), nil) {
				return
			}
		}
	}
}

// newPagedRig is a rig whose buckets list in small pages.
func newPagedRig(t testing.TB) (r *rig, from, to *paged) {
	t.Helper()
	r = newRig(t)
	from, to = &paged{fake: r.from, size: 7}, &paged{fake: r.to, size: 5}
	r.opts.From, r.opts.To = from, to
	return r, from, to
}

// keyspace draws keys of some form.
func keyspace(random *rand.Rand, form, n int) (keys []string) {
	for i := range n {
		switch form {
		case 0: // one long beginning, numbers at the end
			keys = append(keys, fmt.Sprintf("backup/of/host-0017/object-%06d", i))
		case 1: // nothing in common
			keys = append(keys, fmt.Sprintf("%016x", random.Uint64()))
		case 2: // nearly all in one place
			keys = append(keys, fmt.Sprintf("m/%c/%d", 'a'+rune(random.ExpFloat64()*0.3), i))
		case 3: // letters of several scripts, beside each other
			keys = append(keys, string([]rune{[]rune("aäж世😀~")[random.IntN(6)], rune(0x4e00 + random.IntN(3000)), '/', rune('0' + i%10)}))
		case 4: // bytes that are no text
			keys = append(keys, string([]byte{'a', byte(random.IntN(256)), byte(random.IntN(256))}))
		}
	}
	return keys
}

// Whatever the keys, every one is visited once, in the order of its span, and with what both sides have under it.
func TestWalk_SpansAreTheWholeAndNothingTwice(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	split := 0
	for round := range 40 {
		r, from, _ := newPagedRig(t)
		if round%5 < 2 && round%3 != 1 {
			from.gate = newGate()
		}
		for _, key := range keyspace(random, round%5, 400) {
			where := random.IntN(10)
			if where != 0 {
				r.from.write(t, key, "x")
			}
			if where != 1 {
				r.to.write(t, key, "x")
			}
		}
		all := append(r.from.keys(t), r.to.keys(t)...)
		slices.Sort(all)
		all = slices.Compact(all)
		if round%3 == 1 {
			r.opts.Range = Range{After: all[20], Before: all[len(all)-20]}
			all = all[21 : len(all)-20]
		}
		e, err := newEngine(r.opts.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		var spans perSpan[[]string]
		err = e.walk(t.Context(), walkOptions{}, func(s *span) visitor {
			own := spans.of(s)
			return func(p pair) error {
				*own = append(*own, p.key)
				if (p.src != nil) != (r.from.text(t, p.key) != "(none)") || (p.dst != nil) != (r.to.text(t, p.key) != "(none)") {
					t.Errorf("%q: source %v, destination %v", p.key, p.src != nil, p.dst != nil)
				}
				return nil
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, keys := range spans.inOrder() {
			got = append(got, *keys...)
		}
		if !slices.Equal(got, all) {
			t.Fatalf("form %d: %d keys were visited in %d spans, of %d", round%5, len(got), len(spans.spans), len(all))
		}
		if len(spans.spans) > 1 {
			split++
		}
	}
	if split < 10 {
		t.Errorf("the range was split in %d of 40 walks: the test tests little", split)
	}
}

// A small bucket costs two listings and no request more.
func TestWalk_SmallBucketsAreListedOnce(t *testing.T) {
	r, _, _ := newPagedRig(t)
	for i := range 5 * (splitPages - 1) {
		r.from.write(t, fmt.Sprintf("k%03d", i), "x")
		r.to.write(t, fmt.Sprintf("k%03d", i), "x")
	}
	if _, err := Verify(t.Context(), VerifyOptions{From: r.opts.From, To: r.opts.To, Mode: ModeSize}); err != nil {
		t.Fatal(err)
	}
	if from, to := r.from.count("list"), r.to.count("list"); from != 1 || to != 1 {
		t.Errorf("%d listings of the source and %d of the destination", from, to)
	}
}

// A server that goes through the rest for every listing is asked for few, until there is much.
func TestWalk_IsSplitWhereItIsWorthIt(t *testing.T) {
	for pages, whole := range map[int]bool{0: false, 1000: true} {
		r, _, _ := newPagedRig(t)
		r.to.caps = func(c *bucket.Capabilities) { c.SplitPages = pages }
		for i := range 400 {
			r.from.write(t, fmt.Sprintf("k%03d", i), "x")
			r.to.write(t, fmt.Sprintf("k%03d", i), "x")
		}
		if _, err := Verify(t.Context(), VerifyOptions{From: r.opts.From, To: r.opts.To, Mode: ModeSize}); err != nil {
			t.Fatal(err)
		}
		if from := r.from.count("list"); (from == 1) != whole {
			t.Errorf("%d listings, where it is worth it from %d pages on", from, pages)
		}
	}
}

// Stores that declare an order that they do not have are found out also where a listing begins in the middle: nothing is left out,
// and nothing deleted.
func TestB01_AnotherOrderIsFoundOutAcrossSpans(t *testing.T) {
	keys := make([]string, 0, 600)
	for i := range 150 {
		keys = append(keys, fmt.Sprintf("dir-%03d/x", i), fmt.Sprintf("dir-%03d-y", i), fmt.Sprintf("z%03d/\uffff", i), fmt.Sprintf("z%03d/😀", i))
	}
	for name, order := range map[string]s3fake.Order{"UTF-16": s3fake.UTF16, "folders last": s3fake.FoldersLast, "shuffled": s3fake.Shuffled} {
		for _, side := range []string{"source", "destination"} {
			t.Run(name+" at the "+side, func(t *testing.T) {
				server := s3fake.Start(s3fake.Options{})
				t.Cleanup(server.Close)
				b, err := s3.Open(t.Context(), s3.Options{Bucket: "test", Endpoint: server.URL(), Complete: true, PageSize: 9, Credentials: s3.Credentials{AccessKey: "k", SecretKey: "s"}})
				if err == nil {
					err = b.Make(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				r, from, to := newPagedRig(t)
				from.size, to.size = 9, 9
				for _, key := range keys {
					r.from.write(t, key, "x")
					if _, err := b.Put(t.Context(), key, strings.NewReader("x"), 1, bucket.PutOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				server.Inject(s3fake.Fault{Op: s3fake.List, Order: order})
				opts := VerifyOptions{From: b, To: from, Mode: ModeSize, TempDir: t.TempDir()}
				if side == "destination" {
					opts.From, opts.To = from, b
				}
				report, err := Verify(t.Context(), opts)
				if err != nil || !report.Equal || report.Objects != int64(len(keys)) {
					t.Errorf("%+v, %v", report, err)
				}
			})
		}
	}
}

// liar lists a range from a key on as if some keys were not there that a listing from further up shows: an order in which
// they come elsewhere, of which no page shows a trace.
type liar struct {
	paged
	hides func(after, key string) bool
}

func (l liar) Pages(ctx context.Context, opts bucket.ListOptions) iter.Seq2[[]bucket.Object, error] {
	return func(yield func([]bucket.Object, error) bool) {
		for page, err := range l.paged.Pages(ctx, opts) {
			page = slices.DeleteFunc(page, func(o bucket.Object) bool { return l.hides(opts.After, o.Key) })
			if len(page) == 0 && err == nil {
				continue
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

// Where two spans meet, both listings must show the same key: what the second one does not show would be taken for missing.
func TestB01_WhatIsHiddenBehindABorderIsFoundOut(t *testing.T) {
	r, from, _ := newPagedRig(t)
	for i := range 300 {
		key := fmt.Sprintf("k%04d", i)
		r.from.write(t, key, "x")
		r.to.write(t, key, "x")
	}
	from.gate = newGate()
	// Behind any key, the next ones are hidden.
	r.opts.From = liar{paged: *from, hides: func(after, key string) bool {
		var a, k int
		_, err := fmt.Sscanf(after+" "+key, "k%d k%d", &a, &k)
		return err == nil && len(after) < 5 && strings.HasPrefix(key, after)
	}}
	report, err := Verify(t.Context(), VerifyOptions{From: r.opts.From, To: r.opts.To, Mode: ModeSize, TempDir: t.TempDir()})
	if err != nil || !report.Equal {
		t.Errorf("%d extra, %v", report.Extra, err)
	}
}

// A listing that fails in any of its spans is not the end of that span: nothing is deleted.
func TestB13_AFailureInOneSpanDeletesNothing(t *testing.T) {
	broken := errors.New("the page was lost")
	for _, side := range []int{0, 1} {
		for _, lost := range []string{"k0399", "k0385", "k0350", "k0300", "k0250", "k0200"} {
			r, sides := newLossyRig(t)
			p := r.plan(t)
			sides[0].gate = newGate()
			var failed atomic.Int64
			// Whoever has to list this key meets the failure, in which span ever it lies by then: only the first one is spared.
			sides[side].page = func(opts bucket.ListOptions, on []bucket.Object) error {
				if opts.After == "" || opts.Limit != 0 || !slices.ContainsFunc(on, func(o bucket.Object) bool { return o.Key == lost }) {
					return nil
				}
				failed.Add(1)
				return broken
			}
			_, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
			if failed.Load() > 0 && (!errors.Is(err, broken) || r.to.count("delete") > 0) {
				t.Fatalf("side %d, %s: %d objects were deleted: %v", side, lost, r.to.count("delete"), err)
			}
			if failed.Load() == 0 && lost == "k0399" {
				t.Fatal("no span but the first was listed: the test tests nothing")
			}
		}
	}
}

// A page that is fetched ahead behind the end of a span that was cut short is nobody's: who walks there lists it again, and its failure ends
// nothing. Whichever page fails, once, the walk ends with that failure and nothing deleted, or it has seen all and deleted just what had to go.
func TestB13_APageThatFailsOnceIsToldOrListedAgain(t *testing.T) {
	broken := errors.New("the page was lost")
	for _, side := range []int{0, 1} {
		for nth := range 12 {
			r, sides := newLossyRig(t)
			p := r.plan(t)
			sides[0].gate = newGate()
			var calls atomic.Int64
			sides[side].page = func(opts bucket.ListOptions, _ []bucket.Object) error {
				if opts.After != "" && opts.Limit == 0 && calls.Add(1) == int64(1+nth*2) {
					return broken
				}
				return nil
			}
			_, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
			switch {
			case err == nil && (r.to.count("delete") != 50 || !slices.Equal(r.to.keys(t), r.from.keys(t))):
				t.Fatalf("side %d, page %d: %d objects were deleted", side, nth, r.to.count("delete"))
			case err != nil && (!errors.Is(err, broken) || r.to.count("delete") > 0):
				t.Fatalf("side %d, page %d: %d objects were deleted: %v", side, nth, r.to.count("delete"), err)
			}
		}
	}
}

// newLossyRig is a rig in which 50 of 400 objects are to be deleted, of whose sides the pages can get lost.
func newLossyRig(t *testing.T) (*rig, []*paged) {
	t.Helper()
	r, from, to := newPagedRig(t)
	for i := range 400 {
		key := fmt.Sprintf("k%04d", i)
		if i >= 50 {
			r.from.write(t, key, "x")
		}
		r.to.write(t, key, "x")
	}
	r.opts.DeleteForeign, r.opts.MaxDelete = true, new(1.0)
	return r, []*paged{from, to}
}

// endless is a bucket of n objects that take no memory.
type endless struct {
	*fake
	n, page int
}

func (b endless) key(i int) string { return fmt.Sprintf("dir-%05d/object-%09d", i/1000, i) }

func (b endless) Pages(ctx context.Context, opts bucket.ListOptions) iter.Seq2[[]bucket.Object, error] {
	return func(yield func([]bucket.Object, error) bool) {
		first := 0
		for low, high := 0, b.n; low < high; {
			if middle := (low + high) / 2; b.key(middle) > opts.After {
				high, first = middle, middle
			} else {
				low, first = middle+1, middle+1
			}
		}
		for ; first < b.n && ctx.Err() == nil; first += b.page {
			var page []bucket.Object
			for i := first; i < min(first+b.page, b.n); i++ {
				if key := b.key(i); opts.Holds(key) {
					page = append(page, bucket.Object{Key: key, Size: int64(i), ETag: "tag"})
				}
			}
			if len(page) == 0 || !yield(page, nil) {
				return
			}
		}
	}
}

// Memory does not grow with the number of keys, on however many spans they are compared.
func TestB19_MemoryOfACompareStaysFlat(t *testing.T) {
	most := func(n int) (peak uint64) {
		e, err := newEngine(Options{From: endless{newFake(t, "blue"), n, 1000}, To: endless{newFake(t, "green"), n, 1000}}.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var count int
		err = e.walk(t.Context(), walkOptions{}, func(*span) visitor {
			return func(pair) error {
				mu.Lock()
				defer mu.Unlock()
				if count++; count%20_000 == 0 {
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapAlloc)
				}
				return nil
			}
		})
		if err != nil || count != n {
			t.Fatalf("%d of %d keys, %v", count, n, err)
		}
		return peak
	}
	short, long := most(100_000), most(600_000)
	t.Logf("100,000 keys: %d KiB, 600,000 keys: %d KiB", short>>10, long>>10)
	if long > 2*short && long > 32<<20 {
		t.Errorf("100,000 keys take %d bytes and 600,000 take %d", short, long)
	}
}

func TestMiddleLiesBetween(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for form := range 4 {
		keys := keyspace(random, form, 200)
		slices.Sort(keys)
		var a alphabet
		for _, key := range keys[:20] {
			a.learn(key)
		}
		found := 0
		for range 500 {
			low, high := keys[random.IntN(len(keys))], keys[random.IntN(len(keys))]
			if random.IntN(4) == 0 {
				high = ""
			} else if low >= high {
				continue
			}
			mid, ok := a.middle(low, high)
			if !ok {
				continue
			}
			found++
			if mid <= low || high != "" && mid >= high {
				t.Fatalf("%q between %q and %q", mid, low, high)
			}
			if s := a.share(low, mid, high); s < 0 || s > 1 {
				t.Fatalf("a share of %f", s)
			}
		}
		if found < 100 {
			t.Errorf("form %d: a middle was found %d times", form, found)
		}
	}
}

// However a sequence is cut into pieces, its root is the same, and another sequence has another.
func TestRootDoesNotDependOnTheSpans(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	draw := func(n int) []digest {
		all := make([]digest, n)
		for i := range all {
			for k := range all[i] {
				all[i][k] = byte(random.UintN(256))
			}
			all[i][31] = byte(random.UintN(20)) // groups are short, so that there are many levels
		}
		return all
	}
	whole := func(all []digest) string {
		var r root
		for _, d := range all {
			r.add(d)
		}
		return r.sum()
	}
	for _, n := range []int{0, 1, 2, 19, 400, 20_000} {
		all := draw(n)
		want := whole(all)
		for range 30 {
			var r root
			for rest := all; ; {
				var piece root
				k := min(len(rest), 1+random.IntN(n/3+1))
				for _, d := range rest[:k] {
					piece.add(d)
				}
				r.join(&piece)
				if rest = rest[k:]; len(rest) == 0 {
					break
				}
			}
			if r.sum() != want {
				t.Fatalf("%d digests in pieces have another root", n)
			}
		}
		if n < 2 {
			continue
		}
		for range 20 {
			changed := slices.Clone(all)
			switch i := random.IntN(n - 1); random.IntN(3) {
			case 0:
				changed[i][random.IntN(31)] ^= 1
			case 1:
				changed[i], changed[i+1] = changed[i+1], changed[i]
			case 2:
				changed = slices.Delete(changed, i, i+1)
			}
			if whole(changed) == want && !slices.Equal(changed, all) {
				t.Fatalf("another sequence of %d has the same root", n)
			}
		}
	}
}
