package bucketsync_test

import (
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// A storage class that MinIO tells goes to another bucket of MinIO, also within the server, and is in the ledger where it cannot go.
func TestI05_StorageClassesOfMinIO(t *testing.T) {
	needServers(t)
	server := start(t, store.MinIO)
	from, to := minioOn(t, server, "blue"), minioOn(t, server, "green")
	must(t, from.Make(t.Context()))
	const class = "REDUCED_REDUNDANCY"
	big := strings.Repeat("x", 20<<20)
	put(t, from, "small", "one", bucket.Properties{StorageClass: class})
	put(t, from, "big", big, bucket.Properties{StorageClass: class})
	put(t, from, "usual", "two", bucket.Properties{})
	syncNow(t, optionsFor(t, from, to))
	for key, want := range map[string]string{"small": class, "big": class, "usual": ""} {
		if got := headOf(t, to, key).Properties.StorageClass; got != want {
			t.Errorf("%s arrived with the class %q, want %q", key, got, want)
		}
	}
	dir, err := file.Open(t.Context(), file.Options{Dir: t.TempDir()})
	must(t, err)
	opts := optionsFor(t, from, dir)
	if result := syncNow(t, opts); len(result.Losses) != 1 || result.Losses[0].Property != "storage class" || result.Losses[0].Fate != bucketsync.Lost || result.Losses[0].Objects != 2 {
		t.Errorf("the ledger of a directory is %+v", result.Losses)
	}
	opts = optionsFor(t, from, minioOn(t, server, "other"))
	opts.Conflict, opts.Strict = bucketsync.ConflictFail, true
	if result := syncNow(t, opts); len(result.Losses) != 0 {
		t.Errorf("the ledger between two buckets is %+v", result.Losses)
	}
}
