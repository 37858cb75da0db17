package bucketsync

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// From one store to a directory that is made, and from there back into another store, nothing is lost on the way.
func TestApply_ThroughADirectoryAndBack(t *testing.T) {
	r := newRig(t)
	props := bucket.Properties{
		ContentType: "text/html", CacheControl: "no-store", ContentEncoding: "gzip",
		Metadata: map[string]string{"Owner": "Ännchen", "x-y": "1"}, Tags: map[string]string{"team": "shop"},
	}
	for i, key := range []string{"a", "a/b", "a-b", "dir/", "sp ace", "%41", "Ü", "U\u0308", "x/y/z.html"} {
		r.from.write(t, key, strings.Repeat("x", i*1000), props)
	}
	dir, err := file.Open(t.Context(), file.Options{Dir: filepath.Join(t.TempDir(), "made")})
	if err != nil {
		t.Fatal(err)
	}
	for i, ends := range [][2]bucket.Bucket{{r.from, dir}, {dir, bucket.Sub(r.to, "below/")}} {
		opts := r.opts
		opts.From, opts.To = ends[0], ends[1]
		opts.Manifest += fmt.Sprint(i)
		opts.Create, opts.Final, opts.Strict = true, true, true
		p, err := Plan(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
		if err != nil {
			t.Fatal(err)
		}
		if result.Copied != 9 || len(result.Losses) != 0 {
			t.Fatalf("%+v", result)
		}
		again, err := Plan(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if again.Changes[0].Why != "copy 0 objects, 0 B; delete 0; again until nothing is left, then prove both sides equal" {
			t.Fatalf("the next plan is to %s", again.Changes[0].Why)
		}
	}
	report, err := Verify(t.Context(), VerifyOptions{From: r.from, To: bucket.Sub(r.to, "below/"), Mode: ModeFull})
	if err != nil || !report.Equal || report.Objects != 9 {
		t.Fatalf("%+v %v", report, err)
	}
}

// directories are two that are synced, and the options for it.
func directories(t *testing.T) (from, to string, opts Options) {
	t.Helper()
	r := newRig(t)
	opts = r.opts
	open := func(dir string) bucket.Bucket {
		b, err := file.Open(t.Context(), file.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	from, to = t.TempDir(), t.TempDir()
	opts.From, opts.To = open(from), open(to)
	return from, to, opts
}

func syncWith(t *testing.T, opts Options) (Result, error) {
	t.Helper()
	p, err := Plan(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
}

// rewrite changes a file in the same length and puts its time back.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err = errors.Join(err, os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
}

func TestB06_AChangeWhoseTimeWasPutBackIsNoticed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the system does not say when a file was changed")
	}
	from, to, opts := directories(t)
	if err := os.WriteFile(filepath.Join(from, "key"), []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := syncWith(t, opts); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(from, "key"), "two")
	opts.Final = true
	result, err := syncWith(t, opts)
	if err != nil || result.Copied != 1 || !result.Proof.Equal {
		t.Fatalf("%+v, %v", result, err)
	}
	if raw, err := os.ReadFile(filepath.Join(to, "key")); err != nil || string(raw) != "two" {
		t.Fatalf("%q, %v", raw, err)
	}
	rewrite(t, filepath.Join(to, "key"), "bad")
	if _, err := syncWith(t, opts); !errors.Is(err, ErrConflict) {
		t.Fatalf("a change at the destination: %v", err)
	}
}

// What was touched without another content is compared, not copied, and is still the sync's own. So is what moves aside.
func TestB06_WhatWasOnlyTouchedIsNotCopied(t *testing.T) {
	from, to, opts := directories(t)
	opts.Delete, opts.MaxDelete = true, new(1.0)
	for _, name := range []string{"key", "aside"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte("one"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := syncWith(t, opts); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{from, to} {
		if err := os.Chmod(filepath.Join(dir, "key"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := opts.From.Put(t.Context(), "aside/below", strings.NewReader("two"), 3, bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{1, 0} {
		result, err := syncWith(t, opts)
		if err != nil || result.Copied != want {
			t.Fatalf("sync %d: %+v, %v", i, result, err)
		}
	}
	if err := os.Remove(filepath.Join(from, "key")); err != nil {
		t.Fatal(err)
	}
	if result, err := syncWith(t, opts); err != nil || result.Deleted != 1 {
		t.Fatalf("what was touched is not the sync's own any more: %+v, %v", result, err)
	}
}

// Manifests of earlier versions know less of a file: what they say is compared once, and copied only where it differs.
func TestB06_TagsOfEarlierVersionsAreRead(t *testing.T) {
	from, _, opts := directories(t)
	for _, name := range []string{"same", "changed"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte("one"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := syncWith(t, opts); err != nil {
		t.Fatal(err)
	}
	m, err := openManifest(opts.Manifest, t.TempDir(), opts.From.Describe(), opts.To.Describe())
	if err != nil {
		t.Fatal(err)
	}
	records, err := recordsIn(m, bucket.ListOptions{})
	if err != nil || len(records) != 2 {
		t.Fatal(records, err)
	}
	for _, rec := range records {
		rec.Source.ETag, _, _ = strings.Cut(rec.Source.ETag, bucket.ChangeMark)
		rec.Destination.ETag, _, _ = strings.Cut(rec.Destination.ETag, bucket.ChangeMark)
		if err := m.add(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.compact(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, "changed"), []byte("longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if result, err := syncWith(t, opts); err != nil || result.Copied != 1 || result.Conflicts != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	if result, err := syncWith(t, opts); err != nil || result.Skipped != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
}
