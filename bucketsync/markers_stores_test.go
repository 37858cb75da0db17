package bucketsync_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// keepsMarkers is a store, and whether it holds content under a key that ends with a slash.
type keepsMarkers struct {
	open    func(t *testing.T, name string) bucket.Bucket
	content bool
}

func markerStores(t *testing.T) map[string]keepsMarkers {
	t.Helper()
	fake := s3fake.Start(s3fake.Options{})
	t.Cleanup(fake.Close)
	dir := t.TempDir()
	versity, minioServer, azurite, fakeGCS := start(t, store.VersityGW), start(t, store.MinIO), start(t, store.Azurite), start(t, store.FakeGCS)
	return map[string]keepsMarkers{
		"memory": {content: true, open: func(t *testing.T, name string) bucket.Bucket {
			t.Helper()
			b, err := memory.Open(t.Context(), memory.Options{Name: name, Absent: true})
			must(t, err)
			return b
		}},
		"file": {content: true, open: func(t *testing.T, name string) bucket.Bucket {
			t.Helper()
			b, err := file.Open(t.Context(), file.Options{Dir: filepath.Join(dir, name)})
			must(t, err)
			return b
		}},
		"s3 fake":   {content: true, open: func(t *testing.T, name string) bucket.Bucket { return onFake(t, fake, name) }},
		"versitygw": {open: func(t *testing.T, name string) bucket.Bucket { return s3Server(t, versity, name) }},
		"minio":     {content: true, open: func(t *testing.T, name string) bucket.Bucket { return minioOn(t, minioServer, name) }},
		"gcs": {content: true, open: func(t *testing.T, name string) bucket.Bucket {
			t.Helper()
			b, err := gcs.Open(t.Context(), gcs.Options{Bucket: name, Endpoint: fakeGCS.Endpoint, Project: "test", Credentials: gcs.Credentials{Anonymous: true}})
			must(t, err)
			return b
		}},
		"azure": {content: true, open: func(t *testing.T, name string) bucket.Bucket {
			t.Helper()
			b, err := azure.Open(t.Context(), azure.Options{
				Container: name, Account: azurite.AccessKey, Endpoint: azurite.Endpoint, Credentials: azure.Credentials{AccountKey: azurite.SecretKey},
			})
			must(t, err)
			return b
		}},
	}
}

// What stands for a folder is an object as any other: it goes from every store to every other with its bytes and properties, beside what
// lies in the folder, and where a store takes it for a folder of its own, which has no content, that is refused in the plan.
func TestB15_FoldersMarkersArriveAsTheyAre(t *testing.T) {
	needServers(t)
	stores := markerStores(t)
	names := slices.Sorted(maps.Keys(stores))
	for i, from := range names {
		for k, to := range names {
			t.Run(from+" to "+to, func(t *testing.T) {
				source, dest := stores[from], stores[to]
				carryMarkers(t, source.open(t, fmt.Sprintf("from-%d-%d", i, k)), dest.open(t, fmt.Sprintf("to-%d-%d", i, k)), source.content, !dest.content)
			})
		}
	}
}

// marker is an object that stands for a folder, or lies beside one.
type marker struct{ text, hdi string }

func carryMarkers(t *testing.T, from, to bucket.Bucket, content, refused bool) {
	t.Helper()
	markers := map[string]marker{"empty/": {}, "full/": {}, "full/x": {text: "x"}, "hadoop": {hdi: "true"}, "deep/er/": {}, "old_$folder$": {}}
	if content {
		markers["content/"] = marker{text: "has content"}
	}
	must(t, from.(bucket.Maker).Make(t.Context()))
	for key, m := range markers {
		p := bucket.Properties{ContentType: "text/plain"}
		if m.hdi != "" {
			p.Metadata = map[string]string{"hdi_isfolder": m.hdi}
		}
		_, err := from.Put(t.Context(), key, strings.NewReader(m.text), int64(len(m.text)), bucket.PutOptions{Properties: p})
		must(t, err)
	}
	opts := bucketsync.Options{
		Migration: "m", Stage: "sync", Name: "b", From: from, To: to, Create: true, Final: true, Manifest: filepath.Join(t.TempDir(), "manifest"), Configuration: bucketsync.ConfigureIgnore,
	}
	p, err := bucketsync.Plan(t.Context(), opts)
	must(t, err)
	if content && refused {
		if len(p.Refusals) != 1 || !strings.Contains(p.Refusals[0].What, `"content/"`) || !strings.Contains(p.Refusals[0].Why, "folder") || p.Refusals[0].Mend == "" {
			t.Fatalf("refusals %+v, want one about content/", p.Refusals)
		}
		delete(markers, "content/")
		opts.Filter.Exclude = []string{"content/"}
		p, err = bucketsync.Plan(t.Context(), opts)
		must(t, err)
	}
	if len(p.Refusals) > 0 {
		t.Fatalf("refusals %+v", p.Refusals)
	}
	result, err := bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
	must(t, err)
	if result.Copied != int64(len(markers)) {
		t.Errorf("copied %d, want %d", result.Copied, len(markers))
	}
	// Of a marker that becomes a folder the type is lost, and said; a source of folders tells none.
	var lost int64
	for _, l := range result.Losses {
		if l.Property == "Content-Type" && l.Fate == bucketsync.Lost {
			lost += l.Objects
		}
	}
	if folders := refused && content; folders != (lost == 3) || !folders && lost > 0 {
		t.Errorf("losses %+v, want those of three types: %t", result.Losses, folders)
	}
	want := map[string]string{}
	for key, m := range markers {
		want[key] = m.text
		got, err := to.Head(t.Context(), key)
		must(t, err)
		if got.Size != int64(len(m.text)) || got.Properties.Metadata["hdi_isfolder"] != m.hdi {
			t.Errorf("%q has %d bytes and hdi_isfolder %q, want %d and %q", key, got.Size, got.Properties.Metadata["hdi_isfolder"], len(m.text), m.hdi)
		}
	}
	shows(t, to, want)
	report, err := bucketsync.Verify(t.Context(), bucketsync.VerifyOptions{From: from, To: to, Mode: bucketsync.ModeFull, Filter: opts.Filter})
	must(t, err)
	if !report.Equal {
		t.Errorf("verified in full: %+v", report)
	}
	p, err = bucketsync.Plan(t.Context(), opts)
	must(t, err)
	again, err := bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
	must(t, err)
	if again.Copied+again.Deleted+again.Found != 0 || again.Skipped != int64(len(markers)) {
		t.Errorf("a second sync: %+v", again)
	}
}
