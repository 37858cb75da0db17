package bucketsync

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// A file system that is full ends the sync with an error that says so, shows no object in part, and once there is room the same
// sync brings what is missing.
func TestB20_AFullDiskEndsInAnErrorAndTheSameSyncGoesOn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a small file system of its own")
	}
	at := t.TempDir()
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("this machine mounts no tmpfs: %v", err)
	}
	t.Cleanup(func() {
		// The driver holds its lock file as long as the process lives.
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	r := newRig(t)
	for _, key := range []string{"a", "b/c", "d", "e", "f"} {
		r.from.write(t, key, strings.Repeat(key, 1<<20/len(key)), bucket.Properties{ContentType: "text/plain"})
	}
	dir, err := file.Open(t.Context(), file.Options{Dir: at})
	if err != nil {
		t.Fatal(err)
	}
	opts := r.opts
	opts.To, opts.Final = dir, true
	sync := func() (Result, error) {
		p, err := Plan(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		return Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
	}
	result, err := sync()
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left on device") {
		t.Fatalf("on a full disk: %+v, %v", result, err)
	}
	held := 0
	for obj, err := range dir.List(t.Context(), bucket.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		held++
		if obj.Size != 1<<20/int64(len(obj.Key))*int64(len(obj.Key)) {
			t.Errorf("%q is there in part: %d bytes", obj.Key, obj.Size)
		}
	}
	if held == 0 || held == 5 || int64(held) != result.Copied {
		t.Fatalf("%d of 5 objects are there, and %d are said to be", held, result.Copied)
	}
	if err := syscall.Mount("tmpfs", at, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	result, err = sync()
	if err != nil || result.Proof == nil || !result.Proof.Equal || int(result.Copied) != 5-held {
		t.Fatalf("with room again: %+v, %v", result, err)
	}
	if raw, err := os.ReadFile(at + "/d"); err != nil || !bytes.Equal(raw, bytes.Repeat([]byte("d"), 1<<20)) {
		t.Errorf("d: %d bytes, %v", len(raw), err)
	}
}
