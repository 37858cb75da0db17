package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// pair is what both sides and the manifest have under one key.
type pair struct {
	key      string
	src, dst *bucket.Object
	rec      *Record
}

// prefetched is how many entries a listing may run ahead of the comparison: about a page.
const prefetched = 1024

// listing yields the objects of a range in the order of the bytes of their keys, each key once. Where the store does not
// prove that order, or resort is set, the listing is sorted first. An entry out of the declared order ends it with
// errUnsorted: everything that rests on the order is then in doubt (B1).
func listing(ctx context.Context, b bucket.Bucket, opts bucket.ListOptions, resort bool, dir string) iter.Seq2[bucket.Object, error] {
	if b.Describe().Order == bucket.ByBytes && !resort {
		return inRange(inOrder(b.List(ctx, opts)), opts)
	}
	return func(yield func(bucket.Object, error) bool) {
		s := newSorter(dir, func(o bucket.Object) string { return o.Key })
		fill := func() error {
			for obj, err := range b.List(ctx, opts) {
				if err != nil {
					return err
				}
				if err := s.add(obj); err != nil {
					return err
				}
			}
			return nil
		}
		if err := fill(); err != nil {
			yield(bucket.Object{}, errors.Join(err, s.close()))
			return
		}
		stopped := false
		for obj, err := range inRange(inOrder(s.sorted()), opts) {
			if !yield(obj, err) {
				stopped = true
				break
			}
		}
		if err := s.close(); err != nil && !stopped {
			yield(bucket.Object{}, err)
		}
	}
}

// inOrder passes an ordered listing on, without doubles: a page that is asked for again may bring them.
func inOrder(objects iter.Seq2[bucket.Object, error]) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		last, begun := "", false
		for obj, err := range objects {
			switch {
			case err != nil:
			case begun && obj.Key == last:
				continue
			case begun && obj.Key < last:
				err = fmt.Errorf("%q after %q: %w", obj.Key, last, errUnsorted)
			default:
				last, begun = obj.Key, true
			}
			if !yield(obj, err) || err != nil {
				return
			}
		}
	}
}

// inRange holds a listing to what was asked for: a key outside of it would be taken for one that the other side lacks.
func inRange(objects iter.Seq2[bucket.Object, error], opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		for obj, err := range objects {
			if err == nil && !opts.Holds(obj.Key) {
				err = fmt.Errorf("the listing of prefix %q after %q before %q holds %q, which is outside", opts.Prefix, opts.After, opts.Before, obj.Key)
			}
			if !yield(obj, err) || err != nil {
				return
			}
		}
	}
}

// ahead runs a sequence in a goroutine of its own, so that both stores are asked at once. The goroutine ends with the loop over it.
func ahead[T any](ctx context.Context, seq func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	type item struct {
		value T
		err   error
	}
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		items := make(chan item, prefetched)
		go func() {
			defer close(items)
			for v, err := range seq(ctx) {
				select {
				case items <- item{v, err}:
				case <-ctx.Done():
					return
				}
			}
		}()
		defer func() {
			cancel()
			for range items { // until the goroutine has ended
			}
		}()
		for it := range items {
			if !yield(it.value, it.err) || it.err != nil {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			// The goroutine may have left on the context, without an error of the listing: that is not a complete one (B13).
			var none T
			yield(none, err)
		}
	}
}

// merge walks three sequences, each in the order of its keys, and yields every key once with what each has under it.
// An error of any of them is its last pair.
func merge(src, dst iter.Seq2[bucket.Object, error], recs iter.Seq2[Record, error]) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		a, stopA := cursorOf("list the source", src, func(o bucket.Object) string { return o.Key })
		defer stopA()
		b, stopB := cursorOf("list the destination", dst, func(o bucket.Object) string { return o.Key })
		defer stopB()
		m, stopM := cursorOf("read the manifest", recs, func(r Record) string { return r.Key })
		defer stopM()
		for {
			if err := errors.Join(a.err, b.err, m.err); err != nil {
				yield(pair{}, err)
				return
			}
			key, ok := least(a.position, b.position, m.position)
			if !ok {
				return
			}
			if !yield(pair{key: key, src: a.take(key), dst: b.take(key), rec: m.take(key)}, nil) {
				return
			}
		}
	}
}

// position is where a cursor stands.
type position struct {
	key string
	ok  bool
}

func least(positions ...position) (string, bool) {
	key, ok := "", false
	for _, p := range positions {
		if p.ok && (!ok || p.key < key) {
			key, ok = p.key, true
		}
	}
	return key, ok
}

type cursor[T any] struct {
	position
	err   error
	value T
	op    string
	keyOf func(T) string
	next  func() (T, error, bool)
}

func cursorOf[T any](op string, seq iter.Seq2[T, error], keyOf func(T) string) (c *cursor[T], stop func()) {
	next, stop := iter.Pull2(seq)
	c = &cursor[T]{op: op, keyOf: keyOf, next: next}
	c.advance()
	return c, stop
}

func (c *cursor[T]) advance() {
	v, err, ok := c.next()
	if err != nil {
		c.err = fmt.Errorf("%s: %w", c.op, err)
		c.position = position{}
		return
	}
	c.value, c.position = v, position{ok: ok}
	if ok {
		c.key = c.keyOf(v)
	}
}

// take returns the entry under key, if the cursor stands at it, and moves on.
func (c *cursor[T]) take(key string) *T {
	if !c.ok || c.key != key {
		return nil
	}
	v := c.value
	c.advance()
	return &v
}

// last takes all entries under key and returns the last of them.
func (c *cursor[T]) last(key string) *T {
	var last *T
	for v := c.take(key); v != nil; v = c.take(key) {
		last = v
	}
	return last
}
