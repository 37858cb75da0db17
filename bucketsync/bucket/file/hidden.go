package file

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"regexp"
	"slices"
)

// Hidden implements bucket.Hider: what lies below .crossfade and is neither this package's nor the directory of a sync, which is there
// where one was run in this directory.
func (b *Bucket) Hidden(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		root, err := b.open()
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err == nil {
			err = (&strangers{ctx: ctx.Err, root: root, own: owned(), yield: yield}).top()
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield("", b.fail("look into "+privateDir, "", err))
		}
	}
}

// owned are the paths of what this package makes, and of the directories of syncs. Nothing below them is looked at.
func owned() *regexp.Regexp {
	return regexp.MustCompile(`^\.crossfade/(lock|writing|(tmp|uploads)/[A-Z2-7]{26}(\.json)?|objects/[0-9a-f]{2}|aside/[0-9a-f]{40}\.json|sync-[0-9a-f]{12})$`)
}

// strangers is one look at what is not this package's.
type strangers struct {
	ctx   func() error
	root  *os.Root
	own   *regexp.Regexp
	yield func(string, error) bool
}

var errEnough = errors.New("no more is wanted")

// top looks at the reserved name, which need not be a directory.
func (s *strangers) top() error {
	info, err := s.root.Lstat(privateDir)
	switch {
	case absent(err):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return s.tell(privateDir)
	}
	return s.in(privateDir, privateDir+"/")
}

// in looks at what a directory holds, whose files have a key that begins so.
func (s *strangers) in(dir, key string) error {
	if err := s.ctx(); err != nil {
		return err
	}
	entries, err := readDir(s.root, dir)
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	for _, entry := range entries {
		rel, below := path.Join(dir, entry.Name()), key+extend(entry.Name(), entry.IsDir())
		switch {
		case s.own.MatchString(rel):
		case entry.IsDir():
			err = s.in(rel, below)
		default:
			err = s.tell(below)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *strangers) tell(key string) error {
	if !s.yield(key, nil) {
		return errEnough
	}
	return nil
}
