package bucketsync

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
)

const (
	// sortMemory is how many entries a sorter holds before it writes them out: a few MiB.
	sortMemory = 1 << 14
	// sortRuns is how many files it keeps open before it merges them into one.
	sortRuns = 32
)

// sorter puts any number of entries in the order of the bytes of their keys, in bounded memory. Entries of one key keep
// the order in which they were added.
type sorter[T any] struct {
	dir  string
	key  func(T) string
	hold int
	buf  []T
	runs []*os.File
}

func newSorter[T any](dir string, key func(T) string) *sorter[T] {
	return &sorter[T]{dir: dir, key: key, hold: sortMemory}
}

func (s *sorter[T]) add(v T) error {
	s.buf = append(s.buf, v)
	if len(s.buf) < s.hold {
		return nil
	}
	return s.spill()
}

// spill writes what is held as one sorted file.
func (s *sorter[T]) spill() error {
	s.sortBuffer()
	if err := s.write(func(yield func(T, error) bool) {
		for _, v := range s.buf {
			if !yield(v, nil) {
				return
			}
		}
	}); err != nil {
		return err
	}
	clear(s.buf)
	s.buf = s.buf[:0]
	if len(s.runs) < sortRuns {
		return nil
	}
	old := s.runs
	s.runs = nil
	merged, err := mergeRuns(old, nil, s.key)
	if err == nil {
		err = s.write(merged)
	}
	return errors.Join(err, removeAll(old))
}

func (s *sorter[T]) sortBuffer() {
	slices.SortStableFunc(s.buf, func(a, b T) int { return cmp.Compare(s.key(a), s.key(b)) })
}

func (s *sorter[T]) write(entries iter.Seq2[T, error]) error {
	f, err := os.CreateTemp(s.dir, "crossfade-sort-*")
	if err != nil {
		return fmt.Errorf("sort in %s: %w", s.dir, err)
	}
	s.runs = append(s.runs, f)
	w := bufio.NewWriterSize(f, 1<<16)
	enc := gob.NewEncoder(w)
	for v, err := range entries {
		if err != nil {
			return err
		}
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("sort in %s: %w", f.Name(), err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sort in %s: %w", f.Name(), err)
	}
	return nil
}

// sorted yields the entries in order. It may be called again after it ended; nothing may be added after it.
func (s *sorter[T]) sorted() iter.Seq2[T, error] {
	s.sortBuffer()
	return func(yield func(T, error) bool) {
		merged, err := mergeRuns(s.runs, s.buf, s.key)
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		merged(yield)
	}
}

// close removes the files.
func (s *sorter[T]) close() error {
	err := removeAll(s.runs)
	s.runs, s.buf = nil, nil
	return err
}

func removeAll(files []*os.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close(), os.Remove(f.Name()))
	}
	return errors.Join(errs...)
}

// head is the next entry of one run.
type head[T any] struct {
	value T
	key   string
	run   int
	next  func() (T, error) // io.EOF at the end
}

type heads[T any] []*head[T]

func (h heads[T]) Len() int { return len(h) }
func (h heads[T]) Less(i, j int) bool {
	if h[i].key != h[j].key {
		return h[i].key < h[j].key
	}
	return h[i].run < h[j].run
}
func (h heads[T]) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heads[T]) Push(x any)   { *h = append(*h, x.(*head[T])) }
func (h *heads[T]) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func mergeRuns[T any](files []*os.File, held []T, key func(T) string) (iter.Seq2[T, error], error) {
	sources := make([]func() (T, error), 0, len(files)+1)
	for _, f := range files {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("read sorted entries in %s: %w", f.Name(), err)
		}
		dec := gob.NewDecoder(bufio.NewReaderSize(f, 1<<16))
		sources = append(sources, func() (v T, err error) {
			err = dec.Decode(&v)
			return v, err
		})
	}
	i := 0
	sources = append(sources, func() (v T, err error) {
		if i == len(held) {
			return v, io.EOF
		}
		v = held[i]
		i++
		return v, nil
	})
	return func(yield func(T, error) bool) {
		var none T
		queue := make(heads[T], 0, len(sources))
		for run, next := range sources {
			v, err := next()
			if errors.Is(err, io.EOF) {
				continue
			}
			if err != nil {
				yield(none, fmt.Errorf("read sorted entries: %w", err))
				return
			}
			queue = append(queue, &head[T]{value: v, key: key(v), run: run, next: next})
		}
		heap.Init(&queue)
		for len(queue) > 0 {
			h := queue[0]
			if !yield(h.value, nil) {
				return
			}
			v, err := h.next()
			switch {
			case errors.Is(err, io.EOF):
				heap.Pop(&queue)
			case err != nil:
				yield(none, fmt.Errorf("read sorted entries: %w", err))
				return
			default:
				h.value, h.key = v, key(v)
				heap.Fix(&queue, 0)
			}
		}
	}, nil
}
