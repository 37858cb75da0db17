package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// hasModes reports whether permission bits mean something on this system.
func hasModes() bool { return runtime.GOOS != "windows" }

// modesOf reads who may reach a file. The directory of the bucket itself is not among the folders: see MakeLike.
func modesOf(root *os.Root, at place) (*bucket.Modes, error) {
	if !hasModes() {
		return nil, nil
	}
	m := &bucket.Modes{File: at.info.Mode().Perm()}
	for dir := path.Dir(at.rel); dir != "."; dir = path.Dir(dir) {
		info, err := root.Lstat(dir)
		if err != nil {
			return nil, err
		}
		perm := info.Mode().Perm()
		m.Folders = append(m.Folders, perm)
		for _, class := range []fs.FileMode{0o070, 0o007} {
			if perm&class&0o111 == 0 { // nobody of it comes through
				m.File &^= class
			}
		}
	}
	return m, nil
}

// keptClosed is how a file is made that nobody gives modes for: no more open than the one that it replaces, which somebody
// may have closed by hand. Nil where there is none.
func (b *Bucket) keptClosed(root *os.Root, key string) (*bucket.Modes, error) {
	if !hasModes() {
		return nil, nil
	}
	old, err := b.find(root, key)
	if errors.Is(err, bucket.ErrNotExist) || errors.Is(err, bucket.ErrIrregular) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var usual *bucket.Modes
	return &bucket.Modes{File: old.info.Mode().Perm() & usual.FileMode()}, nil
}

// while is how a file is made that is still written: its owner must be able to.
func while(m *bucket.Modes) fs.FileMode { return m.FileMode() | 0o600 }

// settle takes from a written file what its owner needed to write it, and what an earlier call gave that began it.
func settle(root *os.Root, temp string, m *bucket.Modes) error {
	info, err := root.Lstat(temp)
	if err != nil || m == nil || !hasModes() {
		return err
	}
	if is := info.Mode().Perm(); is&m.FileMode() != is {
		return root.Chmod(temp, is&m.FileMode())
	}
	return nil
}

// MakeLike implements bucket.LikeMaker: a directory that only its owner may enter is not copied into one that is open to all.
func (b *Bucket) MakeLike(ctx context.Context, like bucket.Capabilities) error {
	perm := fs.FileMode(0o755)
	if url, err := bucket.ParseURL(like.URL); err == nil && url.Scheme == bucket.SchemeFile && hasModes() {
		info, err := os.Stat(url.Path)
		if err != nil {
			return b.fail("make", "", err)
		}
		perm = info.Mode().Perm() | 0o700
	}
	err := os.MkdirAll(filepath.Dir(b.dir), 0o755)
	if err == nil {
		err = os.Mkdir(b.dir, perm)
	}
	if errors.Is(err, fs.ErrExist) {
		return b.Make(ctx)
	}
	return b.fail("make", "", err)
}
