//go:build unix

package file

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// oddities puts beside two files a link to a directory, a link to nothing, a pipe and a socket.
func oddities(t *testing.T) *Bucket {
	t.Helper()
	b := newBucket(t)
	write(t, b, "dir/file", "x")
	write(t, b, "dir-a", "x")
	at := func(name string) string { return filepath.Join(b.dir, name) }
	for _, err := range []error{
		os.Symlink("dir", at("dir.link")), os.Symlink("none", at("nothing")), os.Symlink("file", at("dir/same")), syscall.Mkfifo(at("dir/pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(b.dir) // a socket's path is short
	l, err := net.Listen("unix", "socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// What is no object is shown in its place among the keys, one key for each, and nothing below a link.
func TestB12_WhatIsNoObjectIsShownToWhomAsks(t *testing.T) {
	b := oddities(t)
	var got []string
	for obj, err := range b.List(t.Context(), bucket.ListOptions{Irregular: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if obj.Irregular != "" && (obj.ETag == "" || obj.Size != 0 || obj.Modified.IsZero()) {
			t.Errorf("%+v", obj)
		}
		got = append(got, obj.Key+" "+string(obj.Irregular))
	}
	want := []string{"dir-a ", "dir.link a symbolic link", "dir/file ", "dir/pipe a named pipe", "dir/same a symbolic link", "nothing a symbolic link", "socket a socket"}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
}

// Without being asked for, such a thing is an error where it lies in the range, and none elsewhere.
func TestB13_WhatIsNoObjectIsNeverLeftOutInSilence(t *testing.T) {
	b := oddities(t)
	for _, c := range []struct {
		opts bucket.ListOptions
		want string
	}{
		{bucket.ListOptions{}, "dir.link is a symbolic link"},
		{bucket.ListOptions{Prefix: "dir-"}, ""},
		{bucket.ListOptions{Prefix: "dir/", Before: "dir/g"}, ""},
		{bucket.ListOptions{Prefix: "dir/"}, "dir/pipe is a named pipe"},
		{bucket.ListOptions{Prefix: "dir.link/", Irregular: true}, "dir.link is a symbolic link, which is not followed"},
	} {
		var last error
		for _, err := range b.List(t.Context(), c.opts) {
			last = err
		}
		if c.want == "" && last != nil || c.want != "" && (!errors.Is(last, bucket.ErrIrregular) || !strings.Contains(last.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.opts, last, c.want)
		}
	}
}

// Nothing is read, written or deleted through a link, and a pipe is never waited for.
func TestB12_WhatIsNoObjectIsLeftAlone(t *testing.T) {
	b := oddities(t)
	for _, key := range []string{"dir.link", "dir.link/file", "dir/same", "dir/pipe", "nothing", "socket"} {
		if _, err := b.Head(t.Context(), key); !errors.Is(err, bucket.ErrIrregular) {
			t.Errorf("head %s: %v", key, err)
		}
		if body, _, err := b.Open(t.Context(), key, bucket.ReadOptions{}); !errors.Is(err, bucket.ErrIrregular) {
			t.Errorf("open %s: %v", key, err)
			if err == nil && body.Close() != nil {
				t.Error("close")
			}
		}
		if err := b.Delete(t.Context(), bucket.Object{Key: key}); !errors.Is(err, bucket.ErrIrregular) {
			t.Errorf("delete %s: %v", key, err)
		}
	}
	for _, key := range []string{"dir.link", "dir.link/file", "dir.link/new", "dir/same", "dir/pipe", "dir/pipe/below", "nothing", "nothing/below", "socket"} {
		for _, opts := range []bucket.PutOptions{{}, {IfAbsent: true}} {
			if _, err := b.Put(t.Context(), key, strings.NewReader("new"), 3, opts); !errors.Is(err, bucket.ErrIrregular) {
				t.Errorf("put %s: %v", key, err)
			}
		}
	}
	if raw, err := os.ReadFile(filepath.Join(b.dir, "dir/file")); err != nil || string(raw) != "x" {
		t.Errorf("%q, %v", raw, err)
	}
	if entries, err := os.ReadDir(filepath.Join(b.dir, "dir")); err != nil || len(entries) != 3 {
		t.Errorf("%v, %v", entries, err)
	}
}

// What takes the place of a file or a directory after it was looked at, is not opened instead of it.
func TestB12_WhatTookThePlaceSinceIsNotWaitedFor(t *testing.T) {
	b := oddities(t)
	root, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	for _, rel := range []string{"dir/pipe", "dir.link", "socket"} {
		if entries, err := readDir(root, rel); !errors.Is(err, bucket.ErrIrregular) {
			t.Errorf("%s as a directory: %v, %v", rel, entries, err)
		}
	}
	// A directory that became a link while the walk was on its way, is no empty one.
	w := walk{b: b, root: root}
	if err := w.expand(item{key: "dir.link/", rel: "dir.link", dir: true}); !errors.Is(err, bucket.ErrIrregular) {
		t.Errorf("%v, %v", w.items, err)
	}
}
