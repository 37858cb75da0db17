package bucketsync_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/azurefake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// lake is a container of a fake account with a hierarchical namespace.
func lake(t *testing.T) (*azurefake.Server, bucket.Bucket) {
	t.Helper()
	server := azurefake.Start(azurefake.Options{})
	t.Cleanup(server.Close)
	b, err := azure.Open(t.Context(), azure.Options{
		Account: azurefake.Account, Container: "lake", Endpoint: server.URL(), PartSize: 1 << 20, PageSize: 5,
		Credentials: azure.Credentials{AccountKey: azurefake.Key},
	})
	must(t, err)
	must(t, b.Make(t.Context()))
	must(t, b.Probe(t.Context()))
	return server, b
}

func flatBucket(t *testing.T) bucket.Bucket {
	t.Helper()
	b, err := memory.Open(t.Context(), memory.Options{Name: "flat"})
	must(t, err)
	return b
}

func writeAll(t *testing.T, b bucket.Bucket, keys ...string) {
	t.Helper()
	for _, key := range keys {
		text := "of " + key
		if strings.HasSuffix(key, "/") {
			text = ""
		}
		writeOne(t, b, key, text, bucket.Properties{})
	}
}

func writeOne(t *testing.T, b bucket.Bucket, key, text string, p bucket.Properties) {
	t.Helper()
	_, err := b.Put(t.Context(), key, strings.NewReader(text), int64(len(text)), bucket.PutOptions{Properties: p})
	must(t, err)
}

// shown are the keys of a bucket, directories as told.
func shown(t *testing.T, b bucket.Bucket, folders bool) (keys []string) {
	t.Helper()
	for obj, err := range b.List(t.Context(), bucket.ListOptions{Folders: folders}) {
		must(t, err)
		keys = append(keys, obj.Key)
	}
	return keys
}

func wantKeys(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("the keys are\n%q, want\n%q", got, want)
	}
}

func folderOptions(t *testing.T, from, to bucket.Bucket) bucketsync.Options {
	t.Helper()
	dir := t.TempDir()
	return bucketsync.Options{
		Migration: "m", Stage: "sync", Name: "b", From: from, To: to, Manifest: filepath.Join(dir, "manifest"), TempDir: dir, Delete: true, MaxDelete: new(1.0),
	}
}

func applied(t *testing.T, opts bucketsync.Options) bucketsync.Result {
	t.Helper()
	p, err := bucketsync.Plan(t.Context(), opts)
	must(t, err)
	must(t, p.Err())
	result, err := bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
	must(t, err)
	return result
}

// idle demands that the next run has nothing to do, and that a look at every byte finds both sides equal.
func idle(t *testing.T, opts bucketsync.Options) {
	t.Helper()
	p, err := bucketsync.Plan(t.Context(), opts)
	must(t, err)
	must(t, p.Err())
	if left, err := bucketsync.PlannedOf(p); err != nil || !left.Idle() || left.Extra != 0 {
		t.Fatalf("the next run would do something: %+v, %v", left, err)
	}
	for _, mode := range []bucketsync.Mode{bucketsync.ModeSize, bucketsync.ModeFull} {
		report, err := bucketsync.Verify(t.Context(), bucketsync.VerifyOptions{From: opts.From, To: opts.To, Mode: mode})
		must(t, err)
		if !report.Equal {
			t.Fatalf("%s: %+v", mode, report)
		}
	}
}

// A listing of a hierarchical namespace goes by the parts of paths. The paths are those of
// https://github.com/Azure/azure-sdk-for-go/issues/24210.
func TestB01_AListingByThePartsOfPathsIsSorted(t *testing.T) {
	paths := []string{"A/dat1", "A-B/dat2", "A-B-C", "A-C", "A.C/dat3", "AB/AB", "AB/dat4", "AB.txt", "ABC"}
	_, from := lake(t)
	_, to := lake(t)
	writeAll(t, from, paths...)
	if got := shown(t, from, false); !slices.Equal(got, paths) {
		t.Fatalf("the fake lists %q", got)
	}
	for _, ends := range [][2]bucket.Bucket{{from, flatBucket(t)}, {from, to}} {
		opts := folderOptions(t, ends[0], ends[1])
		if result := applied(t, opts); result.Copied != int64(len(paths)) {
			t.Fatalf("%+v", result)
		}
		if result := applied(t, opts); result.Copied != 0 || result.Deleted != 0 || result.Skipped != int64(len(paths)) {
			t.Fatalf("the second run: %+v", result)
		}
		idle(t, opts)
	}
	// And from a store that lists by bytes.
	_, last := lake(t)
	flat := flatBucket(t)
	writeAll(t, flat, paths...)
	opts := folderOptions(t, flat, last)
	applied(t, opts)
	must(t, flat.Delete(t.Context(), bucket.Object{Key: "A-B/dat2"}))
	if result := applied(t, opts); result.Copied != 0 || result.Deleted != 1 {
		t.Fatalf("after a deletion: %+v", result)
	}
	idle(t, opts)
}

// A directory that holds something is nothing of itself; one that is empty, or has properties, is copied as a marker, and what no
// marker has of it is in the ledger.
func TestB15_DirectoriesThatSayMoreThanTheirKeysAreCopied(t *testing.T) {
	server, from := lake(t)
	writeAll(t, from, "plain/x", "plain/deep/y", "top")
	must(t, server.MakeDirectory("lake", "empty/inside", nil, azurefake.Rights{}))
	must(t, server.MakeDirectory("lake", "described", map[string]string{"owner": "shop"}, azurefake.Rights{}))
	must(t, server.MakeDirectory("lake", "guarded", nil, azurefake.Rights{ACL: "user::rwx,user:ab:r-x,group::r-x,mask::r-x,other::---"}))
	writeAll(t, from, "described/x", "guarded/x")
	must(t, server.MakeFile("lake", "owned", []byte("of owned"), azurefake.Rights{Owner: "somebody", Permissions: "rwxrwxrwx"}))
	to := flatBucket(t)
	opts := folderOptions(t, from, to)
	result := applied(t, opts)
	wantKeys(t, shown(t, to, true), "described/", "described/x", "empty/inside/", "guarded/", "guarded/x", "owned", "plain/deep/y", "plain/x", "top")
	marker, err := to.Head(t.Context(), "described/")
	must(t, err)
	if marker.Size != 0 || len(marker.Properties.Metadata) != 1 || marker.Properties.Metadata["owner"] != "shop" {
		t.Errorf("the marker is %+v", marker.Properties)
	}
	var lost []string
	for _, l := range result.Losses {
		for _, e := range l.Examples {
			lost = append(lost, e.Key+" "+l.Property)
		}
	}
	wantKeys(t, lost, "guarded/ x-ms-acl", "owned x-ms-owner", "owned x-ms-permissions")
	idle(t, opts)

	// What lies in an empty directory says what the marker said: nothing has to change.
	writeAll(t, from, "empty/inside/z")
	if result := applied(t, opts); result.Copied != 1 || result.Deleted != 0 {
		t.Fatalf("after a write into the directory: %+v", result)
	}
	// A directory that is gone takes its marker with it.
	for _, key := range []string{"empty/inside/z", "empty/inside/"} {
		must(t, from.Delete(t.Context(), bucket.Object{Key: key}))
	}
	if result := applied(t, opts); result.Copied != 1 || result.Deleted != 2 { // empty/ is empty now
		t.Fatalf("after a deletion: %+v", result)
	}
	wantKeys(t, shown(t, to, true), "described/", "described/x", "empty/", "guarded/", "guarded/x", "owned", "plain/deep/y", "plain/x", "top")
}

// The directory that a prefix names is the place itself, not an object in it. What it has of its own is told.
func TestB15_TheDirectoryOfAPrefixIsThePlaceItself(t *testing.T) {
	server, from := lake(t)
	must(t, server.MakeDirectory("lake", "raw", nil, azurefake.Rights{ACL: "user::rwx,user:ab:r-x"}))
	must(t, server.MakeDirectory("lake", "bare", nil, azurefake.Rights{}))
	writeAll(t, from, "raw/x", "rawer")
	_, to := lake(t)
	opts := folderOptions(t, bucket.Sub(from, "raw/"), to)
	result := applied(t, opts)
	wantKeys(t, shown(t, to, true), "x")
	if len(result.Losses) != 1 || result.Losses[0].Property != "directory" {
		t.Errorf("the ledger has %+v", result.Losses)
	}
	idle(t, opts)
	opts.Strict = true
	p, err := bucketsync.Plan(t.Context(), opts)
	must(t, err)
	if len(p.Refusals) != 1 {
		t.Errorf("with strict refused is %+v", p.Refusals)
	}
	opts = folderOptions(t, bucket.Sub(from, "bare/"), to)
	if result := applied(t, opts); result.Copied != 0 || len(result.Losses) != 0 || result.Extra != 1 {
		t.Errorf("of an empty directory: %+v", result)
	}
	// Below a prefix of the destination's there is room for it.
	_, below := lake(t)
	opts = folderOptions(t, bucket.Sub(from, "raw/"), bucket.Sub(below, "copy/"))
	applied(t, opts)
	wantKeys(t, shown(t, below, true), "copy/", "copy/x")
	idle(t, opts)
}

// Markers become directories, whether or not those are there, and go without what others have in them.
func TestB15_MarkersBecomeDirectories(t *testing.T) {
	server, to := lake(t)
	from := flatBucket(t)
	described := bucket.Properties{ContentType: "text/plain", Metadata: map[string]string{"owner": "shop", "x-y": "1"}}
	writeAll(t, from, "folder/", "folder/inner/", "folder/inner/x", "nest/", "nest/egg/", "implied/x")
	writeOne(t, from, "described/", "", described)
	writeAll(t, from, "described/x")
	must(t, server.MakeDirectory("lake", "foreign/empty", nil, azurefake.Rights{}))
	opts := folderOptions(t, from, to)
	if result := applied(t, opts); result.Copied != 8 || result.Extra != 0 {
		t.Fatalf("%+v", result)
	}
	wantKeys(t, shown(t, to, true), "described/", "described/x", "folder/", "folder/inner/", "folder/inner/x", "foreign/", "foreign/empty/", "implied/", "implied/x", "nest/", "nest/egg/")
	got, err := to.Head(t.Context(), "described/")
	must(t, err)
	if got.Folder != bucket.FolderOwn || got.Properties.ContentType != "text/plain" || len(got.Properties.Metadata) != 2 || got.Properties.Metadata["x-y"] != "1" {
		t.Errorf("the directory has %+v", got.Properties)
	}
	idle(t, opts)

	// A marker for a directory that came with a blob, and one with other properties.
	writeOne(t, from, "implied/", "", described)
	described.Metadata = map[string]string{"owner": "bakery"}
	writeOne(t, from, "described/", "", described)
	if result := applied(t, opts); result.Copied != 2 || result.Conflicts != 0 {
		t.Fatalf("%+v", result)
	}
	idle(t, opts)

	// All goes but what is somebody else's, deepest first.
	writeAll(t, to, "folder/theirs")
	for _, key := range shown(t, from, false) {
		must(t, from.Delete(t.Context(), bucket.Object{Key: key}))
	}
	writeAll(t, from, "last")
	result := applied(t, opts) // the markers for implied/ and described/ were this sync's own too
	wantKeys(t, shown(t, to, true), "folder/", "folder/theirs", "foreign/", "foreign/empty/", "last")
	if result.Deleted != 8 || !slices.Equal(result.ExtraKeys, []string{"folder/theirs", "folder/"}) {
		t.Fatalf("%+v", result)
	}
	if result := applied(t, opts); result.Copied+result.Deleted != 0 || !slices.Equal(result.ExtraKeys, []string{"folder/theirs"}) {
		t.Fatalf("the run after that: %+v", result)
	}
}

// Nothing shows who made a directory that has nothing of its own, so that none is deleted that no marker stood for: neither what
// the last deleted blob leaves, nor another's where foreign objects are deleted.
func TestB15_DirectoriesOfOthersStay(t *testing.T) {
	server, to := lake(t)
	from := flatBucket(t)
	writeAll(t, from, "ours/deep/x", "keep")
	must(t, server.MakeDirectory("lake", "bare", nil, azurefake.Rights{}))
	must(t, server.MakeDirectory("lake", "theirs", map[string]string{"owner": "them"}, azurefake.Rights{}))
	must(t, server.MakeFile("lake", "theirs/blob", []byte("x"), azurefake.Rights{}))
	opts := folderOptions(t, from, to)
	opts.DeleteForeign, opts.Final, opts.AllowExtra = true, true, true
	applied(t, opts)
	must(t, from.Delete(t.Context(), bucket.Object{Key: "ours/deep/x"}))
	result := applied(t, opts)
	wantKeys(t, shown(t, to, true), "bare/", "keep", "ours/", "ours/deep/", "theirs/")
	if !result.Proof.Equal || result.Proof.Extra != 1 || result.Deleted != 1 {
		t.Fatalf("%+v, %+v", result, result.Proof)
	}
}

// A blob written where only a directory is left is refused in the plan, as is everything else that cannot be there.
func TestB12_WhatAHierarchicalNamespaceCannotHoldIsRefused(t *testing.T) {
	server, to := lake(t)
	must(t, server.MakeDirectory("lake", "left", nil, azurefake.Rights{}))
	from := flatBucket(t)
	writeAll(t, from, "a", "a/b", "fine/x", "left", "two//slashes", "/front", "content", strings.Repeat("d/", 61)+"x", strings.Repeat("e/", 60)+"x")
	writeOne(t, from, "content/", "content", bucket.Properties{})
	writeOne(t, from, "stub", "", bucket.Properties{Metadata: map[string]string{"hdi_isfolder": "true"}})
	opts := folderOptions(t, from, to)
	p, err := bucketsync.Plan(t.Context(), opts)
	must(t, err)
	var text strings.Builder
	for _, r := range p.Refusals {
		fmt.Fprintln(&text, r.What)
	}
	for _, key := range []string{"a/b", "left/", "two//slashes", "/front", "content/", strings.Repeat("d/", 61) + "x", "stub"} {
		if !strings.Contains(text.String(), fmt.Sprintf("%q", key)) {
			t.Errorf("%q is not refused", key)
		}
	}
	for _, key := range []string{"a", "fine/x", strings.Repeat("e/", 60) + "x"} {
		if strings.Contains(text.String(), fmt.Sprintf("%q", key)) {
			t.Errorf("%q is refused", key)
		}
	}
	// And what nobody planned is an error of its own, and takes nothing away.
	for _, key := range []string{"left", "fine"} {
		writeAll(t, to, "fine/x")
		_, err := to.Put(t.Context(), key, strings.NewReader("x"), 1, bucket.PutOptions{IfAbsent: true})
		if !errors.Is(err, bucket.ErrUnsupported) && !errors.Is(err, bucket.ErrPrecondition) {
			t.Errorf("a blob where a directory is: %v", err)
		}
	}
	wantKeys(t, shown(t, to, true), "fine/", "fine/x", "left/")
}

// The tags of a source are lost there, and said to be.
func TestI05_TagsAreLostInAHierarchicalNamespace(t *testing.T) {
	_, to := lake(t)
	from := flatBucket(t)
	writeOne(t, from, "tagged", "x", bucket.Properties{Tags: map[string]string{"team": "shop"}})
	result := applied(t, folderOptions(t, from, to))
	if result.Copied != 1 || len(result.Losses) != 1 || result.Losses[0].Property != "tags" {
		t.Fatalf("%+v", result)
	}
}

// The way back takes what was made at the hierarchical side since, directories among it.
func TestB15_TheWayBackKnowsDirectories(t *testing.T) {
	_, to := lake(t)
	from := flatBucket(t)
	writeAll(t, from, "folder/", "folder/x", "implied/x")
	opts := folderOptions(t, from, to)
	opts.Final, opts.Delete = true, false
	applied(t, opts)
	writeAll(t, to, "implied/new", "folder/new")
	must(t, to.Delete(t.Context(), bucket.Object{Key: "folder/x"}))
	p, err := bucketsync.PlanBack(t.Context(), opts)
	must(t, err)
	must(t, p.Err())
	result, err := bucketsync.ApplyBack(t.Context(), p, &plan.MemoryRecorder{}, opts)
	must(t, err)
	wantKeys(t, shown(t, from, true), "folder/", "folder/new", "implied/new", "implied/x")
	if result.Copied != 2 || result.Deleted != 1 {
		t.Fatalf("%+v", result)
	}
}

// A large object goes in blocks, and a directory reads as the zero bytes that its marker has.
func TestB15_ADirectoryReadsAsItsMarker(t *testing.T) {
	_, b := lake(t)
	writeAll(t, b, "d/x")
	body, obj, err := b.Open(t.Context(), "d/", bucket.ReadOptions{})
	must(t, err)
	raw, err := io.ReadAll(body)
	must(t, errors.Join(err, body.Close()))
	if len(raw) != 0 || obj.Key != "d/" || obj.ETag == "" {
		t.Fatalf("%q, %+v", raw, obj)
	}
	if _, _, err := b.Open(t.Context(), "d/", bucket.ReadOptions{Pin: bucket.Object{ETag: "other"}}); !errors.Is(err, bucket.ErrPrecondition) {
		t.Errorf("a pin that does not hold: %v", err)
	}
	if _, err := b.Head(t.Context(), "d"); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("a directory is taken for a blob: %v", err)
	}
	if _, err := b.Head(t.Context(), "d/x/"); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("a blob is taken for a directory: %v", err)
	}
	for _, opts := range []bucket.ListOptions{{Folders: true, Prefix: "d/"}, {Folders: true, Prefix: "d", Before: "d/y"}} {
		var keys []string
		for obj, err := range b.List(t.Context(), opts) {
			must(t, err)
			keys = append(keys, fmt.Sprint(obj.Key, obj.Folder))
		}
		wantKeys(t, keys, fmt.Sprint("d/", bucket.FolderHolding), fmt.Sprint("d/x", bucket.NotFolder))
	}
	for _, obj := range []bucket.Object{{Key: "d"}, {Key: "d/x/"}} {
		must(t, b.Delete(t.Context(), obj)) // neither is there
	}
	if err := b.Delete(t.Context(), bucket.Object{Key: "d/"}); !errors.Is(err, bucket.ErrNotEmpty) {
		t.Errorf("a directory that holds something: %v", err)
	}
	wantKeys(t, shown(t, b, true), "d/", "d/x")
	if _, err := b.Put(t.Context(), "e/", bytes.NewReader([]byte("x")), 0, bucket.PutOptions{}); err == nil {
		t.Error("a marker with content is taken")
	}
}
