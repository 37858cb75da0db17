package bucketsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// A comparison walks a range of keys. Where both stores can begin a listing anywhere, the range is split while it is walked, and
// its spans are walked side by side:
//
//	worker 1   after ────────── here │ settled ┊            limit
//	                                 │         ┊   middle     │
//	worker 2 has nothing to do:      │         ┊     └─ does the source have a key between the middle and the limit?
//	                                 │         ┊        no: it is searched on this side of the middle
//	                                 │         ┊        yes: the span ends at the middle, and worker 2 walks the rest
//
// A span is only split after a few pages, so that a small bucket costs no request more. Where a span was cut short, it must be
// shown that nothing lies between it and the next one: each listing, which goes on over the limit, must meet there the key with
// which a listing that begins there begins. A store that lists in another order than it declares is found out by that,
// as by a key out of order within a span (B1).
const (
	// defaultListings is how many spans are walked at once.
	defaultListings = 8
	// splitPages is how many pages of a span are read before it is split, and again before it is split once more.
	splitPages = 4
	// maxProbes bounds the search for a middle.
	maxProbes = 40
)

// visitor gets the pairs of one span in their order. Several spans are visited at once.
type visitor func(pair) error

// span is a part of the range.
type span struct {
	after string // only keys behind it
	limit string // only keys before it; "" is no end
	// cut says that another span was split off, which begins behind border.
	cut    bool
	border string
	// bound: between it and the limit the source has no key.
	bound string

	first   string // the first settled key since the last split
	settled string // what is up to here is this span's
	open    bool   // there is more behind settled
	pages   int    // since the last split
	probed  bool   // somebody looks for a middle

	above nesting // what its first keys may lie below
	// turned is called where a stream comes to another page, by who walks the span.
	turned func(*merger)
}

// walkOptions choose how a range is walked.
type walkOptions struct {
	// resort sorts both listings, whatever order their stores declare.
	resort bool
	// single walks the range in one span: all pairs come in their order.
	single bool
	// done is left out.
	done []stretch
}

// walk is one walk of a range.
type walk struct {
	e    *engine
	opts bucket.ListOptions
	walkOptions
	records *recordFile
	begin   func(*span) visitor
	splitAt int // pages

	mu      sync.Mutex
	changed *sync.Cond
	queue   []*span
	walked  map[*span]bool // those under way
	letters alphabet
	ended   bool
}

// walk compares the whole range. begin is called for each span, with the span that it begins with; it may be called by
// several goroutines at once. An error of a listing, or of a visitor, ends it: without one, the whole range was visited (B13).
func (e *engine) walk(ctx context.Context, how walkOptions, begin func(*span) visitor) (err error) {
	records, err := e.manifest.view()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.close()) }()
	opts := e.opts.listing()
	w := &walk{e: e, opts: opts, walkOptions: how, records: records, begin: begin, walked: map[*span]bool{}, splitAt: max(splitPages, e.fromCaps.SplitPages, e.toCaps.SplitPages)}
	w.changed = sync.NewCond(&w.mu)
	w.queue = gaps(opts, how.done, behind(opts.Prefix))
	workers, wctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(wctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = true
		w.changed.Broadcast()
	})()
	for range w.listings() {
		workers.Go(func() error { return w.work(wctx) })
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// listings is how many spans may be walked at once.
func (w *walk) listings() int {
	if w.resort || w.single || !w.e.seeks() {
		return 1
	}
	return min(defaultListings, w.e.opts.width())
}

// seeks reports whether both stores list in order and from any key on.
func (e *engine) seeks() bool {
	can := func(b bucket.Bucket) bool {
		_, ok := b.(bucket.Pager)
		return ok && b.Describe().Order == bucket.ByBytes
	}
	return can(e.opts.From) && (e.destinationMissing || can(e.opts.To))
}

// resumes reports whether what an earlier run has finished may be left out.
func (e *engine) resumes() bool { return e.seeks() && len(e.opts.Recopy) == 0 }

// behind is the first text behind all that begin with a prefix, or "" where there is none.
func behind(prefix string) string {
	for n := len(prefix); n > 0; n-- {
		if prefix[n-1] < 0x7f { // what is made stays UTF-8
			return prefix[:n-1] + string(rune(prefix[n-1]+1))
		}
	}
	return ""
}

// work walks spans until there are none.
func (w *walk) work(ctx context.Context) error {
	for {
		s, victim := w.next()
		switch {
		case s != nil:
			if err := w.run(ctx, s); err != nil {
				return err
			}
			w.finish(s)
		case victim != nil:
			if err := w.split(ctx, victim); err != nil {
				return err
			}
		default:
			return ctx.Err()
		}
	}
}

// next waits for a span to walk, or one to split.
func (w *walk) next() (s, victim *span) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.ended {
		if len(w.queue) > 0 {
			s, w.queue = w.queue[0], w.queue[1:]
			w.walked[s] = true
			return s, nil
		}
		if len(w.walked) == 0 {
			break
		}
		if victim = w.largest(); victim != nil {
			victim.probed = true
			return nil, victim
		}
		w.changed.Wait()
	}
	return nil, nil
}

// largest is the span that probably has the most left, of those that may be split.
func (w *walk) largest() (victim *span) {
	most := -1.0
	for s := range w.walked {
		if s.pages < w.splitAt || !s.open || s.probed {
			continue
		}
		left := w.letters.share(s.first, s.settled, s.bound)
		if left = left / (1 - left + 1e-9) * float64(s.pages); left > most {
			most, victim = left, s
		}
	}
	return victim
}

func (w *walk) finish(s *span) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.walked, s)
	s.open = false
	w.changed.Broadcast()
}

// split looks for a place behind which a span's source goes on, and puts what lies behind it into the queue.
func (w *walk) split(ctx context.Context, s *span) error {
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		s.probed, s.pages = false, 0
		w.changed.Broadcast()
	}()
	for range maxProbes {
		w.mu.Lock()
		middle, ok := w.middle(s)
		ok = ok && s.open
		w.mu.Unlock()
		if !ok {
			return nil
		}
		key, found, err := first(ctx, w.e.from, bucket.ListOptions{Prefix: w.opts.Prefix, After: middle})
		if err != nil {
			return fmt.Errorf("list the source: %w", err)
		}
		if w.cut(s, middle, key, found) {
			return nil
		}
	}
	return nil
}

// middle is where to look next. What all keys of a span have begun with so far, those that are left probably begin with too: how
// much of it, is found by halving its length, in less questions than letter by letter.
func (w *walk) middle(s *span) (string, bool) {
	begin, known := common(s.first, s.settled), len(common(s.settled, s.bound))+1
	if len(begin) > known {
		if m := behind(begin[:(known+len(begin)+1)/2]); m > s.settled && (s.bound == "" || m < s.bound) {
			return m, true
		}
	}
	return w.letters.middle(s.settled, s.bound)
}

// cut ends a span at the middle, where key is the source's first behind it and lies in the span.
func (w *walk) cut(s *span, middle, key string, found bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if found {
		w.letters.learn(key)
	}
	switch {
	case !s.open:
		return true
	case middle <= s.settled:
		return false // it has come further in the meantime
	case !found || s.limit != "" && key >= s.limit:
		s.bound = middle
		return false
	}
	rest := &span{after: middle, limit: s.limit, cut: s.cut, border: s.border, bound: s.bound}
	s.cut, s.border = true, middle
	s.limit = middle + "\x00" // no key lies between the two
	s.bound = s.limit
	s.first = s.settled
	w.queue = append(w.queue, rest)
	return true
}

// turned notes what a span's pages have settled, and says where the span ends now.
func (w *walk) turned(s *span, m *merger) (limit string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.src.ok && m.src.at == 0 {
		w.letters.learn(m.src.key)
		w.letters.learn(m.src.last())
		s.pages++
	}
	s.settled, s.open = m.settled()
	s.open = s.open && (s.limit == "" || s.settled < s.limit)
	if s.first == "" {
		s.first = s.settled
	}
	if s.open && !s.probed && s.pages >= w.splitAt {
		w.changed.Broadcast()
	}
	return s.limit
}

// limit is where a span ends now.
func (w *walk) limit(s *span) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.limit
}

// run walks one span.
func (w *walk) run(ctx context.Context, s *span) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opts := w.opts
	opts.After = s.after
	side := func(b bucket.Bucket) func(context.Context) iter.Seq2[[]bucket.Object, error] {
		return func(ctx context.Context) iter.Seq2[[]bucket.Object, error] {
			return listing(ctx, b, opts, w.resort, w.e.opts.TempDir)
		}
	}
	m := openMerger(ctx, sources{
		src: side(w.e.from), dst: w.destination(side), recs: func(context.Context) iter.Seq2[[]Record, error] { return w.records.pages(opts) },
		enough: func(key string) bool {
			limit := w.limit(s)
			return limit != "" && key >= limit
		},
	})
	defer m.close()
	if s.after != "" && w.e.toCaps.NoneBelow {
		if err := w.e.seekAbove(ctx, s); err != nil {
			return err
		}
	}
	visit := w.chosen(w.begin(s))
	turned := func(m *merger) string {
		if s.turned != nil && m.last != "" {
			s.turned(m)
		}
		return w.turned(s, m)
	}
	if err := m.merge(turned, visit); err != nil {
		return err
	}
	return w.proveBorder(ctx, s, m)
}

// chosen visits what the filter takes. What stands in the way at the destination does so whether or not it is taken.
func (w *walk) chosen(visit visitor) visitor {
	f, every := w.e.opts.Filter, w.e.opts.Filter.Everything()
	var ahead blocks
	return func(p pair) error {
		p.blocked = ahead.add(p)
		if !every && !f.takes(p.key) {
			if p.src != nil {
				w.e.leftOut.Add(1)
			}
			return nil
		}
		return visit(p)
	}
}

func (w *walk) destination(side func(bucket.Bucket) func(context.Context) iter.Seq2[[]bucket.Object, error]) func(context.Context) iter.Seq2[[]bucket.Object, error] {
	if w.e.destinationMissing {
		return nothing[bucket.Object]
	}
	return side(w.e.to)
}

// proveBorder shows of a span that was cut short that the next one goes on where it ended.
func (w *walk) proveBorder(ctx context.Context, s *span, m *merger) error {
	w.mu.Lock()
	cut, border := s.cut, s.border
	w.mu.Unlock()
	if !cut {
		return nil
	}
	if err := w.meets(ctx, w.e.from, s.after, border, m.src); err != nil {
		return fmt.Errorf("list the source: %w", err)
	}
	if w.e.destinationMissing {
		return nil
	}
	if err := w.meets(ctx, w.e.to, s.after, border, m.dst); err != nil {
		return fmt.Errorf("list the destination: %w", err)
	}
	return nil
}

// meets compares what a listing shows behind a border with what one shows that begins there. Where somebody writes there in the
// meantime, both are asked again.
func (w *walk) meets(ctx context.Context, b bucket.Bucket, after, border string, at *stream[bucket.Object]) error {
	over, ok := at.key, at.ok
	for range maxTries {
		key, found, err := first(ctx, b, bucket.ListOptions{Prefix: w.opts.Prefix, After: border, Before: w.opts.Before})
		if err != nil {
			return err
		}
		if found == ok && (!ok || key == over) {
			return nil
		}
		over, ok, err = firstBehind(ctx, b, bucket.ListOptions{Prefix: w.opts.Prefix, After: cmp.Or(at.prev, after), Before: w.opts.Before}, border)
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("behind %q a listing that begins there shows another key than one that comes there: %w", border, errUnsorted)
}

// first is the first key of a range.
func first(ctx context.Context, b bucket.Bucket, opts bucket.ListOptions) (key string, found bool, err error) {
	opts.Limit = 1
	return firstBehind(ctx, b, opts, "")
}

// firstBehind is the first key that a listing shows behind a border.
func firstBehind(ctx context.Context, b bucket.Bucket, opts bucket.ListOptions, border string) (key string, found bool, err error) {
	for page, err := range checked(bucket.Pages(ctx, b, opts), opts) {
		if err != nil {
			return "", false, err
		}
		for i := range page {
			if page[i].Key > border || border == "" {
				return page[i].Key, true, nil
			}
		}
	}
	return "", false, ctx.Err()
}

// perSpan keeps something for each span.
type perSpan[T any] struct {
	mu    sync.Mutex
	spans []*span
	kept  []*T
}

// of makes what is kept for a span.
func (k *perSpan[T]) of(s *span) *T {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.spans, k.kept = append(k.spans, s), append(k.kept, new(T))
	return k.kept[len(k.kept)-1]
}

// inOrder gives what is kept, in the order of the spans' keys. The walk must be over.
func (k *perSpan[T]) inOrder() []*T {
	at := make([]int, len(k.spans))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(a, b int) int { return cmp.Compare(k.spans[a].after, k.spans[b].after) })
	out := make([]*T, len(at))
	for i, from := range at {
		out[i] = k.kept[from]
	}
	return out
}
