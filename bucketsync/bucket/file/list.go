package file

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// List implements bucket.Lister. Keys come in the order of their bytes, which is not the order of paths: the walk keeps
// everything that it has seen and not yet shown in a heap, directories by the key that all in them begin with.
func (b *Bucket) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		root, err := b.open()
		if err != nil {
			yield(bucket.Object{}, b.fail("list", "", err))
			return
		}
		w := walk{b: b, root: root, opts: opts, items: items{{rel: ".", dir: true}}}
		for len(w.items) > 0 {
			obj, ok, err := w.next(ctx)
			if err != nil {
				yield(bucket.Object{}, b.fail("list", "", err))
				return
			}
			if ok && !yield(obj, nil) {
				return
			}
		}
	}
}

type walk struct {
	b     *Bucket
	root  *os.Root
	opts  bucket.ListOptions
	items items
	last  string // the key that was shown last
}

// item is a file with its key, or a directory with what the keys in it begin with.
type item struct {
	key, rel string
	dir      bool
}

// next takes the first item: a directory is replaced by what is in it, a file is an object.
func (w *walk) next(ctx context.Context) (bucket.Object, bool, error) {
	if err := ctx.Err(); err != nil {
		return bucket.Object{}, false, err
	}
	first, ok := heap.Pop(&w.items).(item)
	if !ok || first.dir {
		return bucket.Object{}, false, w.expand(first)
	}
	if odd, err := w.misnamed(first, w.others(first)); err != nil || odd != nil {
		if err == nil && !w.opts.Irregular {
			err = fmt.Errorf("%w: %q is %s", bucket.ErrIrregular, odd.Key, odd.Irregular)
		}
		if err != nil {
			return bucket.Object{}, false, err
		}
		w.last = odd.Key
		return *odd, true, nil
	}
	at, err := w.b.look(w.root, first.key)
	var odd *irregularError
	if errors.As(err, &odd) && w.opts.Irregular {
		if first.key == w.last {
			return bucket.Object{}, false, nil // seen in both places that its key has
		}
		w.last = first.key
		return odd.shown(), true, nil
	}
	if errors.Is(err, bucket.ErrNotExist) {
		return bucket.Object{}, false, nil // deleted since its directory was read
	}
	if err != nil {
		return bucket.Object{}, false, err
	}
	if first.key == w.last {
		return bucket.Object{}, false, nil // moved aside while its directory was read, and seen in both places
	}
	w.last = first.key
	return describe(first.key, at), true, nil
}

// others are the paths, beside that of the item, of files with its key. All of them are known: directories come before.
func (w *walk) others(it item) (rels []string) {
	for len(w.items) > 0 && !w.items[0].dir && w.items[0].key == it.key {
		if same, ok := heap.Pop(&w.items).(item); ok {
			rels = append(rels, same.rel)
		}
	}
	return rels
}

// misnamed is what a listing has of a key where a file has a name that stands for it and is not the one that it has here, or where two files are this
// key's; nil where all is well.
func (w *walk) misnamed(it item, others []string) (*bucket.Object, error) {
	if len(others) == 0 && w.b.naming.holds(it.key, it.rel) {
		return nil, nil
	}
	var there []string
	var first fs.FileInfo
	wrong := false
	rels := append([]string{it.rel}, others...)
	slices.Sort(rels) // a file moves aside, to the longer name, and never back: it is not missed, but may be seen twice
	for _, rel := range slices.Backward(rels) {
		info, err := w.root.Lstat(rel)
		if absent(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		there, first = append(there, rel), info
		wrong = wrong || !w.b.naming.holds(it.key, rel)
	}
	var kind bucket.Irregular
	switch {
	case len(there) > 1:
		slices.Sort(there)
		kind = bucket.Irregular(fmt.Sprintf("two files of one key (%q and %q)", there[0], there[1]))
	case wrong:
		kind = bucket.Irregular(fmt.Sprintf("a file of a name that no key has (%q, in whose stead the key has %q)", there[0], w.b.naming.path(it.key)))
	default:
		return nil, nil
	}
	return &bucket.Object{Key: it.key, ETag: etag(first), Modified: first.ModTime(), Irregular: kind}, nil
}

func (w *walk) expand(dir item) error {
	entries, err := readDir(w.root, dir.rel)
	if errors.Is(err, fs.ErrNotExist) && dir.rel != "." {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		rel := path.Join(dir.rel, entry.Name())
		if isPrivate(rel) {
			continue
		}
		found := item{key: dir.key + extend(entry.Name(), entry.IsDir()), rel: rel, dir: entry.IsDir()}
		if kind := entry.Type(); !kind.IsDir() && !kind.IsRegular() && strings.HasPrefix(w.opts.Prefix, found.key+"/") {
			// What is asked for would lie in it, and an empty listing would be taken for the truth.
			return fmt.Errorf("%w: %s is %s, which is not followed", bucket.ErrIrregular, rel, irregular(kind))
		}
		if w.concerns(found) {
			heap.Push(&w.items, found)
		}
	}
	return nil
}

// readDir reads a directory. What took its place since it was seen, is not followed, and not waited for.
func readDir(root *os.Root, rel string) ([]fs.DirEntry, error) {
	seen, err := root.Lstat(rel)
	if err != nil {
		return nil, err
	}
	if !seen.IsDir() {
		return nil, &irregularError{rel: rel, info: seen}
	}
	dir, err := root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	var entries []fs.DirEntry
	now, err := dir.Stat()
	switch {
	case err != nil:
	case !os.SameFile(seen, now):
		err = fmt.Errorf("%s was replaced while it was read", rel)
	default:
		entries, err = dir.ReadDir(-1)
	}
	return entries, errors.Join(err, dir.Close())
}

// concerns says whether an item lies in the range, or may hold something that does.
func (w *walk) concerns(it item) bool {
	if !it.dir {
		return w.opts.Holds(it.key)
	}
	o := w.opts
	return (strings.HasPrefix(it.key, o.Prefix) || strings.HasPrefix(o.Prefix, it.key)) &&
		(o.Before == "" || it.key < o.Before) &&
		(o.After == "" || it.key >= o.After || strings.HasPrefix(o.After, it.key))
}

// items is a heap; a directory comes before an object of the same key, which may be in it.
type items []item

func (h items) Len() int { return len(h) }
func (h items) Less(i, j int) bool {
	if h[i].key != h[j].key {
		return h[i].key < h[j].key
	}
	return h[i].dir && !h[j].dir
}
func (h items) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *items) Push(x any) { *h = append(*h, x.(item)) }

// Pop implements heap.Interface.
func (h *items) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
