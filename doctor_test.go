package crossfade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
)

// readOnly is a bucket whose credentials do not allow to write: a fake, since no store of the tests has such users.
type readOnly struct{ bucket.Bucket }

func (readOnly) Put(context.Context, string, io.Reader, int64, bucket.PutOptions) (bucket.Object, error) {
	return bucket.Object{}, fmt.Errorf("put: %w", bucket.ErrDenied)
}

// stopping is a bucket at which the doctor is stopped as soon as its probe is there.
type stopping struct {
	bucket.Bucket
	stop func()
}

func (s stopping) Put(ctx context.Context, key string, body io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	obj, err := s.Bucket.Put(ctx, key, body, size, opts)
	s.stop()
	return obj, err
}

func (s stopping) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	if ctx.Err() != nil {
		return nil, bucket.Object{}, ctx.Err()
	}
	return s.Bucket.Open(ctx, key, opts)
}

// lax is a store that takes every write, whatever its condition.
type lax struct{ bucket.Bucket }

func (l lax) Put(ctx context.Context, key string, body io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	opts.IfAbsent, opts.IfMatch = false, bucket.Object{}
	return l.Bucket.Put(ctx, key, body, size, opts)
}

func keys(t *testing.T, b bucket.Bucket) []string {
	t.Helper()
	var out []string
	for obj, err := range b.List(context.Background(), bucket.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, obj.Key)
	}
	return out
}

func TestDoctorsProbeLeavesNothing(t *testing.T) {
	b, err := memory.Open(t.Context(), memory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Make(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := probeBucket(t.Context(), b, true); err != nil {
		t.Errorf("a store that does all that is asked gives %v", err)
	}
	if err := probeBucket(t.Context(), readOnly{b}, false); !errors.Is(err, bucket.ErrDenied) || !strings.Contains(err.Error(), "write a probe") {
		t.Errorf("credentials that only read give %v", err)
	}
	if err := probeBucket(t.Context(), lax{b}, true); !errors.Is(err, errAccepted) {
		t.Errorf("a store that forgets conditions gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := probeBucket(ctx, stopping{b, cancel}, false); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped half way, it gives %v", err)
	}
	if left := keys(t, b); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDoctorsFolderProbeLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	f := Finding{Status: Passed}
	examineFolder(filepath.Join(dir, "not", "yet"), "the state directory", &f)
	if f.Status != Passed || !strings.Contains(f.Text, dir+" is writable") {
		t.Errorf("a folder that is still to be made: %+v", f)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f = Finding{Status: Passed}
	examineFolder(filepath.Join(file, "state"), "the state directory", &f)
	if f.Status != Failed || len(f.Problems) != 1 || f.Problems[0].Mend == "" {
		t.Errorf("a file in the way: %+v", f)
	}
}
