package bucketsync_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/minio"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Objects go from store to store and back over every driver that has a real server here, with a change and a deletion on
// the way, and are the same at the end, byte for byte and property for property.
func TestSync_OverRealStores(t *testing.T) {
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	if testing.Short() {
		t.Skip("starts real servers")
	}
	versity, minioServer := start(t, store.VersityGW), start(t, store.MinIO)
	first, err := memory.Open(t.Context(), memory.Options{Name: "first"})
	must(t, err)
	last, err := memory.Open(t.Context(), memory.Options{Name: "last"})
	must(t, err)
	onS3, err := s3.Open(t.Context(), s3.Options{
		Bucket: "sync", Endpoint: versity.Endpoint, Region: versity.Region,
		Credentials: s3.Credentials{AccessKey: versity.AccessKey, SecretKey: versity.SecretKey},
	})
	must(t, err)
	onMinIO, err := minio.Open(t.Context(), minio.Options{
		Bucket: "sync", Endpoint: minioServer.Endpoint, Region: minioServer.Region,
		Credentials: minio.Credentials{AccessKey: minioServer.AccessKey, SecretKey: minioServer.SecretKey},
	})
	must(t, err)
	fakeGCS, azurite := start(t, store.FakeGCS), start(t, store.Azurite)
	onGCS, err := gcs.Open(t.Context(), gcs.Options{
		Bucket: "sync", Endpoint: fakeGCS.Endpoint, Project: "test", Credentials: gcs.Credentials{Anonymous: true},
	})
	must(t, err)
	onAzure, err := azure.Open(t.Context(), azure.Options{
		Container: "sync", Account: azurite.AccessKey, Endpoint: azurite.Endpoint, Credentials: azure.Credentials{AccountKey: azurite.SecretKey},
	})
	must(t, err)

	write := func(key, text string) {
		props := bucket.Properties{ContentType: "text/plain", CacheControl: "no-store", Metadata: map[string]string{"owner": "shop", "x-y": "1"}}
		_, err := first.Put(t.Context(), key, strings.NewReader(text), int64(len(text)), bucket.PutOptions{Properties: props})
		must(t, err)
	}
	for i := range 30 {
		write(fmt.Sprintf("dir/%02d", i), strings.Repeat("x", i*100))
	}
	write("large", strings.Repeat("0123456789abcdef", 9<<16))
	state := t.TempDir()
	chain := []bucket.Bucket{first, onS3, onMinIO, onAzure, onGCS, last}
	for round := range 2 {
		for i := range chain[1:] {
			result := syncFinally(t, chain[i], chain[i+1], filepath.Join(state, fmt.Sprint(i)))
			want := int64(31)
			if round == 1 {
				want = 1
			}
			if result.Copied != want || (result.Deleted == 1) != (round == 1) {
				t.Fatalf("round %d, %s to %s: %+v", round, chain[i].Describe().URL, chain[i+1].Describe().URL, result)
			}
			t.Logf("round %d, %s to %s: copied %d, evidence %v", round, chain[i].Describe().URL, chain[i+1].Describe().URL, result.Copied, result.Evidence)
		}
		write("dir/07", strings.Repeat("y", 700)) // of the same size
		must(t, first.Delete(t.Context(), bucket.Object{Key: "dir/08"}))
		if round == 1 {
			break
		}
	}
	for i := range chain[1:] {
		report, err := bucketsync.Verify(t.Context(), bucketsync.VerifyOptions{From: chain[i], To: chain[i+1], Mode: bucketsync.ModeFull})
		must(t, err)
		if !report.Equal || report.Objects != 30 {
			t.Fatalf("%s to %s: %+v", chain[i].Describe().URL, chain[i+1].Describe().URL, report)
		}
	}
}

func syncFinally(t *testing.T, from, to bucket.Bucket, manifest string) bucketsync.Result {
	t.Helper()
	opts := bucketsync.Options{
		Migration: "m", Stage: "sync", Name: "b", From: from, To: to, Manifest: manifest, Create: true, Delete: true, Final: true,
	}
	p, err := bucketsync.Plan(t.Context(), opts)
	must(t, err)
	result, err := bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
	must(t, err)
	return result
}

func start(t *testing.T, kind store.Kind, env ...string) *store.Server {
	t.Helper()
	server, err := store.Start(t.Context(), kind, store.Options{Dir: t.TempDir(), Env: env})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return server
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
