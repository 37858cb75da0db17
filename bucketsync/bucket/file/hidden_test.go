package file

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

func hidden(t *testing.T, b bucket.Bucket) (keys []string) {
	t.Helper()
	for key, err := range bucket.Hidden(t.Context(), b) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

// Whatever this package makes below the reserved name is its own, and whatever else is there is told.
func TestB13_WhatTheReservedNameHidesIsTold(t *testing.T) {
	b := newBucket(t)
	if keys := hidden(t, b); keys != nil {
		t.Fatalf("an empty directory hides %q", keys)
	}
	put(t, b, "a", "one")
	if _, err := b.Head(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	put(t, b, "a/b", "two") // a moves aside
	body := make([]byte, 2*partSize)
	for _, opts := range []bucket.PutOptions{{Properties: bucket.Properties{ContentType: "text/html"}}, {Upload: &bucket.Upload{Note: func(note bucket.UploadNote) error {
		if note.Completes { // when the file in parts, and all else, is there
			return os.Link(filepath.Join(b.dir, uploadDir, id(t, b)), filepath.Join(b.dir, uploadDir, id(t, b)+".json"))
		}
		return nil
	}}}} {
		if _, err := b.Put(t.Context(), "large", bytes.NewReader(body), int64(len(body)), opts); err != nil {
			t.Fatal(err)
		}
	}
	write(t, b, tempDir+"/ABCDEFGHIJKLMNOPQRSTUVWXYZ", "x")
	write(t, b, ".crossfade/sync-0123456789ab/manifest", "x")
	for _, name := range []string{"lock", "writing", "objects", "uploads", "aside", "tmp"} {
		if _, err := os.Stat(filepath.Join(b.dir, privateDir, name)); err != nil {
			t.Errorf("the test shows nothing of it: %v", err)
		}
	}
	if keys := hidden(t, b); keys != nil {
		t.Fatalf("what is the package's own is told: %q", keys)
	}
	for _, rel := range []string{"notes.txt", "objects/mine", "sync-mine/x", "dir/a%=", "dir/a/b", "%2E/x", "uploads/mine"} {
		write(t, b, ".crossfade/"+rel, "x")
	}
	want := []string{".crossfade/./x", ".crossfade/dir/a/b", ".crossfade/dir/a", ".crossfade/notes.txt", ".crossfade/objects/mine", ".crossfade/sync-mine/x", ".crossfade/uploads/mine"}
	if keys := hidden(t, b); !slices.Equal(keys, want) {
		t.Errorf("told: %q", keys)
	}
	if keys := hidden(t, bucket.Sub(bucket.Sub(b, ".cross"), "fade/d")); !slices.Equal(keys, []string{"ir/a/b", "ir/a"}) {
		t.Errorf("of a part of it: %q", keys)
	}
	for range b.Hidden(t.Context()) {
		break // whoever wants no more, gets no more
	}
	other := newBucket(t)
	write(t, other, ".crossfade", "x")
	if keys := hidden(t, other); !slices.Equal(keys, []string{".crossfade"}) {
		t.Errorf("a file of the reserved name: %q", keys)
	}
}

// id is the name of the only file that is being written in parts.
func id(t *testing.T, b *Bucket) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.dir, uploadDir))
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	return entries[0].Name()
}
