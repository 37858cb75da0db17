//go:build unix

package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// umask is the process's for the time of a test.
func umask(t *testing.T, mask int) {
	t.Helper()
	was := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(was) })
}

func modeAt(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// Whoever could not read a file, or see that it is there, cannot do so at its copy: while it is written, too, and of its properties.
func TestI05_NothingIsMoreOpenThanItsSource(t *testing.T) {
	umask(t, 0o022)
	from, to := newBucket(t), newBucket(t)
	for rel, mode := range map[string]fs.FileMode{
		"key": 0o600, "run": 0o755, "read-only": 0o444, "shared": 0o664, "group": 0o640, "closed/inner/open": 0o644, "half/open": 0o644,
	} {
		if err := os.Chmod(write(t, from, rel, "x"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for rel, mode := range map[string]fs.FileMode{"closed": 0o700, "half": 0o750} {
		if err := os.Chmod(filepath.Join(from.dir, rel), mode); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range map[string]fs.FileMode{
		"key": 0o600, "run": 0o755, "read-only": 0o444, "shared": 0o644, "group": 0o640, "closed/inner/open": 0o600, "half/open": 0o640,
	} {
		obj, err := from.Head(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		obj.Properties.ContentType = "text/plain"
		seen := fs.FileMode(0o777)
		text := strings.NewReader("x")
		body := readerFunc(func(p []byte) (int, error) {
			entries, err := os.ReadDir(filepath.Join(to.dir, tempDir))
			if err != nil || len(entries) != 1 {
				t.Errorf("%v, %v", entries, err)
			}
			seen = modeAt(t, filepath.Join(to.dir, tempDir, entries[0].Name()))
			return text.Read(p)
		})
		if _, err := to.Put(t.Context(), key, body, 1, bucket.PutOptions{Properties: *obj.Properties}); err != nil {
			t.Fatal(err)
		}
		if got := modeAt(t, filepath.Join(to.dir, key)); got != want || seen&^0o600 != want&^0o600 {
			t.Errorf("%s is %o, want %o, and was %o while it was written", key, got, want, seen)
		}
		sidecars, err := filepath.Glob(filepath.Join(to.dir, privateDir, "objects", "*", "*.json"))
		if err != nil || len(sidecars) != 1 || modeAt(t, sidecars[0])&^want&0o077 != 0 {
			t.Errorf("%s: %v, %v: more open than %o", key, sidecars, err, want)
		}
		if err := os.RemoveAll(filepath.Join(to.dir, privateDir, "objects")); err != nil {
			t.Fatal(err)
		}
	}
	for rel, want := range map[string]fs.FileMode{"closed": 0o700, "closed/inner": 0o755, "half": 0o750} {
		if got := modeAt(t, filepath.Join(to.dir, rel)); got != want {
			t.Errorf("%s is %o", rel, got)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Who has closed a file keeps it closed when an object of a store that knows no modes replaces it.
func TestI05_WhatReplacesAFileIsNoMoreOpen(t *testing.T) {
	umask(t, 0o022)
	b := newBucket(t)
	for was, want := range map[fs.FileMode]fs.FileMode{0o600: 0o600, 0o640: 0o640, 0o755: 0o644, 0o666: 0o644, 0o444: 0o444} {
		if err := os.Chmod(write(t, b, "k", "old"), was); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Put(t.Context(), "k", strings.NewReader("new"), 3, bucket.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := modeAt(t, filepath.Join(b.dir, "k")); got != want {
			t.Errorf("in the place of a file of %o there is one of %o, want %o", was, got, want)
		}
		if err := os.Remove(filepath.Join(b.dir, "k")); err != nil {
			t.Fatal(err)
		}
	}
}

// A file in parts is as closed from its first byte on.
func TestI05_AnUploadIsNoMoreOpenThanItsSource(t *testing.T) {
	umask(t, 0)
	b := newBucket(t)
	var began fs.FileMode
	opts := bucket.PutOptions{Properties: bucket.Properties{Modes: &bucket.Modes{File: 0o440}}, Upload: &bucket.Upload{Note: func(bucket.UploadNote) error {
		if names, err := filepath.Glob(filepath.Join(b.dir, uploadDir, "*")); err == nil && len(names) == 1 {
			began |= modeAt(t, names[0])
		}
		return nil
	}}}
	size := int64(partSize + 1)
	if _, err := b.Put(t.Context(), "k", strings.NewReader(strings.Repeat("x", int(size))), size, opts); err != nil {
		t.Fatal(err)
	}
	if got := modeAt(t, filepath.Join(b.dir, "k")); got != 0o440 || began&0o037 != 0 {
		t.Errorf("%o, and %o before", got, began)
	}
}

// A directory that is made for the copy of another one is no more open, and one that is there stays as it is.
func TestI05_ADirectoryIsMadeNoMoreOpenThanItsSource(t *testing.T) {
	umask(t, 0o022)
	from := newBucket(t)
	if err := os.Chmod(from.dir, 0o710); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new", "copy")
	to, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := to.MakeLike(t.Context(), from.Describe()); err != nil || modeAt(t, dir) != 0o710 {
			t.Errorf("%o, %v", modeAt(t, dir), err)
		}
		from.dir = t.TempDir()
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := to.MakeLike(t.Context(), bucket.Capabilities{URL: "s3://bucket"}); err != nil || modeAt(t, dir) != 0o755 {
		t.Errorf("%o, %v", modeAt(t, dir), err)
	}
	from.dir = filepath.Join(dir, "none")
	if err := to.MakeLike(t.Context(), from.Describe()); !errors.Is(err, bucket.ErrNotExist) {
		t.Error(err)
	}
}
