package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

func newBucket(t *testing.T) *Bucket {
	t.Helper()
	b, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, b *Bucket, key, text string) bucket.Object {
	t.Helper()
	obj, err := b.Put(t.Context(), key, strings.NewReader(text), int64(len(text)), bucket.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

func listing(t *testing.T, b *Bucket) ([]string, error) {
	t.Helper()
	var keys []string
	for obj, err := range b.List(t.Context(), bucket.ListOptions{}) {
		if err != nil {
			return keys, err
		}
		keys = append(keys, obj.Key)
	}
	return keys, nil
}

func write(t *testing.T, b *Bucket, rel, text string) string {
	t.Helper()
	path := filepath.Join(b.dir, rel)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestB12_AnOrdinaryDirectoryIsABucket(t *testing.T) {
	b := newBucket(t)
	write(t, b, "100%.txt", "x")
	write(t, b, "dir/sub dir/ü.txt", "xyz")
	write(t, b, "dir-a", "")
	keys, err := listing(t, b)
	if want := []string{"100%.txt", "dir-a", "dir/sub dir/ü.txt"}; err != nil || !slices.Equal(keys, want) {
		t.Fatalf("got %q, %v, want %q", keys, err, want)
	}
	obj, err := b.Head(t.Context(), "dir/sub dir/ü.txt")
	if err != nil || obj.Size != 3 || obj.Properties == nil {
		t.Fatalf("got %+v, %v", obj, err)
	}
	if entries, err := os.ReadDir(b.dir); err != nil || len(entries) != 3 {
		t.Errorf("reading left something behind: %v, %v", entries, err)
	}
}

// A file of a name that no key has, and two files of one key, are shown to who asks, each key once and in its place; else they are an error.
func TestB12_WhatHasNoKeyOfItsOwnIsShownToWhomAsks(t *testing.T) {
	b := newBucket(t)
	for _, rel := range []string{"a%25", "b", "c", "c%=", "d/e f", "d/e%20f", "d/e%20f%=", "g%+/h", "gh", "i%+/%_", "j%=", "k"} {
		write(t, b, rel, "x")
	}
	var got []string
	for obj, err := range b.List(t.Context(), bucket.ListOptions{Irregular: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if obj.Irregular != "" && (obj.ETag == "" || obj.Size != 0 || obj.Modified.IsZero()) {
			t.Errorf("%+v", obj)
		}
		got = append(got, strings.TrimSpace(obj.Key+" "+string(obj.Irregular)))
	}
	want := []string{
		`a% a file of a name that no key has ("a%25", in whose stead the key has "a%")`, "b", `c two files of one key ("c" and "c%=")`,
		`d/e f two files of one key ("d/e f" and "d/e%20f")`, `gh two files of one key ("g%+/h" and "gh")`,
		`i a file of a name that no key has ("i%+/%_", in whose stead the key has "i")`, "j", "k",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for before, want := range map[string]bool{"a": true, "a0": false} {
		var last error
		for _, err := range b.List(t.Context(), bucket.ListOptions{Before: before}) {
			last = err
		}
		if (last == nil) != want || !want && !errors.Is(last, bucket.ErrIrregular) {
			t.Errorf("before %s: %v", before, last)
		}
	}
}

func TestB12_NoLinkLeadsOut(t *testing.T) {
	b := newBucket(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(b.dir, "out")); err != nil {
		t.Skipf("this file system has no links: %v", err)
	}
	if body, _, err := b.Open(t.Context(), "out/secret", bucket.ReadOptions{}); err == nil {
		t.Errorf("a link out of the directory is followed: %v", body.Close())
	}
	if _, err := b.Put(t.Context(), "out/new", strings.NewReader("x"), 1, bucket.PutOptions{}); err == nil {
		t.Error("a write follows a link out of the directory")
	}
}

func TestB12_AnObjectMovesAsideForADirectory(t *testing.T) {
	b := newBucket(t)
	before := put(t, b, "a", "one")
	put(t, b, "a/b/c", "two")
	after, err := b.Head(t.Context(), "a")
	if err != nil || after.ETag != before.ETag {
		t.Fatalf("the object is %+v, %v, was %+v", after, err, before)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "a%=")); err != nil {
		t.Error(err)
	}
	put(t, b, "a", "three")
	if keys, err := listing(t, b); err != nil || !slices.Equal(keys, []string{"a", "a/b/c"}) {
		t.Errorf("the listing shows %q, %v", keys, err)
	}
}

func TestB04_AWriteInPlaceIsNoticed(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"longer":  func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("b", 2000)), 0o644) },
		"shorter": func(path string) error { return os.Truncate(path, 10) },
		"same length": func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(strings.Repeat("b", 1000)), 0o644), os.Chtimes(path, time.Time{}, time.Now().Add(time.Second)))
		},
	} {
		b := newBucket(t)
		path := write(t, b, "key", strings.Repeat("a", 1000))
		body, _, err := b.Open(t.Context(), "key", bucket.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(body, make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
		if err := change(path); err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(body)
		if !errors.Is(err, bucket.ErrPrecondition) {
			t.Errorf("%s: the read ends with %v", name, err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestB04_ReadersSeeOneObjectWithItsProperties(t *testing.T) {
	b := newBucket(t)
	texts := []string{strings.Repeat("a", 5000), strings.Repeat("b", 5000)}
	var group sync.WaitGroup
	stop := make(chan struct{})
	group.Go(func() {
		defer close(stop)
		for i := range 200 {
			text := texts[i%2]
			props := bucket.Properties{ContentType: text[:1]}
			if i%10 == 0 { // other writers make it a directory's neighbour
				put(t, b, fmt.Sprintf("key/%d", i), "x")
			}
			if _, err := b.Put(t.Context(), "key", strings.NewReader(text), 5000, bucket.PutOptions{Properties: props}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 2 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				obj, err := b.Head(t.Context(), "key")
				if errors.Is(err, bucket.ErrNotExist) {
					continue // before the first write
				}
				if err != nil || obj.Properties.ContentType == "" {
					t.Errorf("head is %+v, %v", obj, err)
					continue
				}
				body, _, err := b.Open(t.Context(), "key", bucket.ReadOptions{Pin: obj})
				if errors.Is(err, bucket.ErrPrecondition) {
					continue
				}
				if err != nil {
					t.Error(err)
					continue
				}
				content, err := io.ReadAll(body)
				if err := errors.Join(err, body.Close()); err != nil || string(content) != strings.Repeat(obj.Properties.ContentType, 5000) {
					t.Errorf("%.5q of type %s, %v", content, obj.Properties.ContentType, err)
				}
			}
		})
	}
	group.Wait()
	sidecars, err := filepath.Glob(filepath.Join(b.dir, privateDir, "objects", "*", "*"))
	if err != nil || len(sidecars) != 1 {
		t.Errorf("%d sidecars are left of one object with properties: %v", len(sidecars), err)
	}
}

func TestB15_LeftoversOfKilledWritesGo(t *testing.T) {
	b := newBucket(t)
	killed := write(t, b, tempDir+"/killed", "x")
	old, young := write(t, b, uploadDir+"/old", "x"), write(t, b, uploadDir+"/young", "x")
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-8*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	put(t, b, "key", "x")
	for path, want := range map[string]bool{killed: false, old: false, young: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(b.dir, tempDir))
	if err != nil || len(entries) > 0 {
		t.Errorf("a finished write left something: %v, %v", entries, err)
	}
}

// While another writer lives, only what is a day old is taken for a leftover.
func TestB15_WritesOfOthersAreLeftAlone(t *testing.T) {
	b := newBucket(t)
	put(t, b, "key", "x")
	young, old := write(t, b, tempDir+"/young", "x"), write(t, b, tempDir+"/old", "x")
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	other, err := Open(t.Context(), Options{Dir: b.dir})
	if err != nil {
		t.Fatal(err)
	}
	put(t, other, "other", "x")
	if _, err := os.Stat(young); err != nil {
		t.Errorf("what may be another's write is gone: %v", err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("a day-old leftover is still there: %v", err)
	}
}

// On a file system that takes two names for one, a file counts only under the name that it shows.
func TestB12_NamesAreComparedAsTheyAreSpelled(t *testing.T) {
	b := newBucket(t)
	b.folding = true
	write(t, b, "Dir/Name", "x")
	root, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	for rel, want := range map[string]bool{"Dir/Name": true, "Dir/name": false} {
		if got, err := spelled(root, rel); got != want || err != nil {
			t.Errorf("%s: %v, %v", rel, got, err)
		}
	}
	put(t, b, "plain", "x")
	if beside, err := readSidecar(root, "plain", stampIn(put(t, b, "plain", "y").ETag)); err != nil || beside == nil || beside.Key != "plain" {
		t.Errorf("the sidecar is %+v, %v", beside, err)
	}
}

// stampIn is the part of an ETag that names a sidecar.
func stampIn(etag string) string {
	stamp, _, _ := strings.Cut(etag, bucket.ChangeMark)
	return stamp
}

func TestETagsDifferHoweverFastTheWrites(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("times are coarse here")
	}
	b := newBucket(t)
	seen := map[string]bool{}
	for i := range 200 {
		obj := put(t, b, "key", fmt.Sprintf("%03d", i))
		if seen[obj.ETag] {
			t.Fatalf("write %d has the ETag of an earlier one", i)
		}
		seen[obj.ETag] = true
	}
}
