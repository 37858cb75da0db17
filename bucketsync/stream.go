package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// pagesAhead is how many pages a stream may run ahead of the comparison.
const pagesAhead = 1

// listing yields the objects of a range page by page, in the order of the bytes of their keys, each key once. Where the store does
// not prove that order, or resort is set, the listing is sorted first. An entry out of the declared order ends it with errUnsorted:
// everything that rests on the order is then in doubt (B1).
func listing(ctx context.Context, b bucket.Bucket, opts bucket.ListOptions, resort bool, dir string) iter.Seq2[[]bucket.Object, error] {
	if b.Describe().Order == bucket.ByBytes && !resort {
		return checked(bucket.Pages(ctx, b, opts), opts)
	}
	return checked(resorted(b.List(ctx, opts), dir), opts)
}

// resorted yields objects in order, from a sort on disk.
func resorted(objects iter.Seq2[bucket.Object, error], dir string) iter.Seq2[[]bucket.Object, error] {
	return bucket.Paged(inKeyOrder(objects, func(o bucket.Object) string { return o.Key }, dir))
}

// inKeyOrder yields entries in the order of the bytes of their keys, from a sort on disk. Those of one key stay in their order. An error of
// the entries is all that it yields.
func inKeyOrder[T any](entries iter.Seq2[T, error], key func(T) string, dir string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		s := newSorter(dir, key)
		fill := func() error {
			for entry, err := range entries {
				if err != nil {
					return err
				}
				if err := s.add(entry); err != nil {
					return err
				}
			}
			return nil
		}
		if err := fill(); err != nil {
			yield(*new(T), errors.Join(err, s.close()))
			return
		}
		stopped := false
		for entry, err := range s.sorted() {
			if !yield(entry, err) {
				stopped = true
				break
			}
		}
		if err := s.close(); err != nil && !stopped {
			yield(*new(T), err)
		}
	}
}

// checked passes an ordered listing on. Doubles are left out: a page that is asked for again may bring them. A key out of order is
// an error, and so is one outside of what was asked for: it would be taken for one that the other side lacks.
func checked(pages iter.Seq2[[]bucket.Object, error], opts bucket.ListOptions) iter.Seq2[[]bucket.Object, error] {
	return func(yield func([]bucket.Object, error) bool) {
		last, begun := "", false
		for page, err := range pages {
			if errors.Is(err, bucket.ErrUnordered) {
				err = errors.Join(errUnsorted, err)
			}
			if err == nil && len(page) > 0 {
				if page, err = inOrder(page, last, begun); err == nil && len(page) > 0 {
					last, begun = page[len(page)-1].Key, true
					err = inRange(page, opts)
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page) > 0 && !yield(page, nil) {
				return
			}
		}
	}
}

// inOrder takes doubles out of a page that comes after a key.
func inOrder(page []bucket.Object, last string, begun bool) ([]bucket.Object, error) {
	kept := 0
	for i := range page {
		key := page[i].Key
		switch {
		case begun && key == last:
			continue
		case begun && key < last:
			return nil, fmt.Errorf("%q after %q: %w", key, last, errUnsorted)
		}
		if kept != i {
			page[kept] = page[i]
		}
		kept++
		last, begun = key, true
	}
	return page[:kept], nil
}

// inRange needs a page in order: if its ends lie in the range, so does what is between them.
func inRange(page []bucket.Object, opts bucket.ListOptions) error {
	for _, i := range []int{0, len(page) - 1} {
		if key := page[i].Key; !opts.Holds(key) {
			return fmt.Errorf("the listing of prefix %q after %q before %q holds %q, which is outside", opts.Prefix, opts.After, opts.Before, key)
		}
	}
	return nil
}

// stream is one side of a comparison: entries in the order of their keys. Its pages are fetched in a goroutine of its own, so that
// both stores are asked at once.
type stream[T any] struct {
	op    string
	keyOf func(*T) string
	pages <-chan page[T]
	ctx   context.Context //nolint:containedctx // of the goroutine that fills pages
	stop  func()

	page []T
	at   int
	key  string // of the entry at which it stands
	prev string // the key before that
	ok   bool   // it stands at one
	err  error
}

type page[T any] struct {
	entries []T
	err     error
}

// open starts a stream, which stands at its first entry then. Pages are fetched until enough, told the last key of each, says so.
// Stop must be called.
func open[T any](ctx context.Context, op string, keyOf func(*T) string, seq func(context.Context) iter.Seq2[[]T, error], enough func(key string) bool) *stream[T] {
	ctx, cancel := context.WithCancel(ctx)
	pages := make(chan page[T], pagesAhead)
	go func() {
		defer close(pages)
		for entries, err := range seq(ctx) {
			if len(entries) == 0 && err == nil {
				continue
			}
			select {
			case pages <- page[T]{entries, err}:
			case <-ctx.Done():
				return
			}
			if err != nil || enough != nil && enough(keyOf(&entries[len(entries)-1])) {
				return
			}
		}
	}()
	s := &stream[T]{op: op, keyOf: keyOf, pages: pages, ctx: ctx}
	s.stop = func() {
		cancel()
		for range pages { // until the goroutine has ended
		}
	}
	return s
}

// advance moves on to the next entry, and reports whether that is on another page.
func (s *stream[T]) advance() (turned bool) {
	s.prev = s.key
	if s.at++; s.at < len(s.page) {
		s.key = s.keyOf(&s.page[s.at])
		return false
	}
	s.turn()
	return true
}

func (s *stream[T]) turn() {
	s.ok, s.page, s.at = false, nil, 0
	next, open := <-s.pages
	switch {
	case !open:
		// The goroutine may have left on the context, without an error of the listing: that is not a complete one (B13).
		if err := s.ctx.Err(); err != nil {
			s.err = fmt.Errorf("%s: %w", s.op, err)
		}
	case next.err != nil:
		s.err = fmt.Errorf("%s: %w", s.op, next.err)
	default:
		s.page, s.ok = next.entries, true
		s.key = s.keyOf(&s.page[0])
	}
}

// last is the last key of the page, or "" where the stream is at its end.
func (s *stream[T]) last() string {
	if !s.ok {
		return ""
	}
	return s.keyOf(&s.page[len(s.page)-1])
}

// nothing is a stream without entries.
func nothing[T any](context.Context) iter.Seq2[[]T, error] {
	return func(func([]T, error) bool) {}
}
