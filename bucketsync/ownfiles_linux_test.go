package bucketsync

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Where the sync's own files cannot be written any more it ends at once with that one error, and goes on once they can.
func TestB20_AStateThatCannotBeWrittenIsOneErrorAndTheSameSyncGoesOn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a small file system of its own")
	}
	at := t.TempDir()
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, "size=32k"); err != nil {
		t.Skipf("this machine mounts no tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	const objects = 1000
	r := newRig(t)
	for i := range objects {
		r.from.write(t, fmt.Sprintf("key/%s/%04d", strings.Repeat("x", 50), i), "x", bucket.Properties{})
	}
	opts := r.opts
	opts.Manifest, opts.Alone = filepath.Join(at, "manifest"), true
	var failures atomic.Int64 // of objects: none of them is the reason
	opts.Progress = func(p Progress) { failures.Store(p.Failures) }
	sync := func() (Result, error) {
		p, err := Plan(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		return Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
	}
	ends := func(when string, cause error) Result {
		t.Helper()
		result, err := sync()
		var failed *FailedError
		if !errors.Is(err, cause) || errors.As(err, &failed) {
			t.Fatalf("%s: %+v, %v", when, result, err)
		}
		if n := failures.Load(); n != 0 {
			t.Errorf("%s: %d objects failed before the end", when, n)
		}
		if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, "remember what was copied: write manifest") || !strings.Contains(text, "another directory as --state") {
			t.Errorf("%s it says %s", when, text)
		}
		return result
	}
	mount := func(flags uintptr, data string) {
		t.Helper()
		if err := syscall.Mount("tmpfs", at, "tmpfs", syscall.MS_REMOUNT|flags, data); err != nil {
			t.Fatal(err)
		}
	}
	mount(syscall.MS_RDONLY, "")
	if result := ends("read-only", syscall.EROFS); result.Copied != 0 || len(r.to.keys(t)) != 0 {
		t.Errorf("with a state that is read-only %d objects were copied", result.Copied)
	}
	mount(0, "")
	if result := ends("full", syscall.ENOSPC); result.Copied == 0 || result.Copied >= objects {
		t.Errorf("with a full state %d objects were copied", result.Copied)
	}
	mount(0, "size=16m")
	result, err := sync()
	if err != nil || len(r.to.keys(t)) != objects {
		t.Fatalf("with room again: %+v, %v", result, err)
	}
}
