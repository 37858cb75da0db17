package crossfade

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/minio"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
	"github.com/crossfade-project/crossfade/internal/remote"
)

// stateBuckets opens a bucket at a real server of each provider.
func stateBuckets(t *testing.T) map[string]bucket.Bucket {
	t.Helper()
	start := func(kind store.Kind) *store.Server {
		server, err := store.Start(t.Context(), kind, store.Options{Dir: filepath.Join(t.TempDir(), string(kind))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		return server
	}
	versity, minioServer, azurite, fakeGCS := start(store.VersityGW), start(store.MinIO), start(store.Azurite), start(store.FakeGCS)
	opens := map[string]func() (bucket.Bucket, error){
		"file": func() (bucket.Bucket, error) {
			return file.Open(t.Context(), file.Options{Dir: filepath.Join(t.TempDir(), "state")})
		},
		"s3, versitygw": func() (bucket.Bucket, error) {
			return s3.Open(t.Context(), s3.Options{
				Bucket: "state", Endpoint: versity.Endpoint, Region: versity.Region,
				Credentials: s3.Credentials{AccessKey: versity.AccessKey, SecretKey: versity.SecretKey},
			})
		},
		"minio": func() (bucket.Bucket, error) {
			return minio.Open(t.Context(), minio.Options{
				Bucket: "state", Endpoint: minioServer.Endpoint, Region: minioServer.Region,
				Credentials: minio.Credentials{AccessKey: minioServer.AccessKey, SecretKey: minioServer.SecretKey},
			})
		},
		"azure, Azurite": func() (bucket.Bucket, error) {
			return azure.Open(t.Context(), azure.Options{
				Container: "state", Account: azurite.AccessKey, Endpoint: azurite.Endpoint,
				Credentials: azure.Credentials{AccountKey: azurite.SecretKey},
			})
		},
		"gcs, fake-gcs-server": func() (bucket.Bucket, error) {
			return gcs.Open(t.Context(), gcs.Options{
				Bucket: "state", Endpoint: fakeGCS.Endpoint, Project: "test", Credentials: gcs.Credentials{Anonymous: true},
			})
		},
	}
	buckets := map[string]bucket.Bucket{}
	for name, open := range opens {
		b, err := open()
		if err != nil {
			t.Fatalf("open %s: %v", name, err)
		}
		if maker, ok := b.(bucket.Maker); ok {
			err = maker.Make(t.Context())
		}
		if err != nil {
			t.Fatalf("make %s: %v", name, err)
		}
		buckets[name] = b
	}
	return buckets
}

// Two machines that have seen the same state never both write the next one: whatever provider holds the state, one of them
// is told that the other was first.
func TestI07_OneWriterWinsAtEveryProvidersStateStore(t *testing.T) {
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	if testing.Short() {
		t.Skip("starts real servers")
	}
	for name, b := range stateBuckets(t) {
		t.Run(name, func(t *testing.T) {
			s := &stateBucket{b: b}
			put := func(name, text string, seen remote.Version) (remote.Version, error) {
				return s.Put(t.Context(), name, strings.NewReader(text), int64(len(text)), seen)
			}
			first, err := put("move/journal/1.jsonl", "one", remote.Absent)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := put("move/journal/1.jsonl", "else", remote.Absent); !errors.Is(err, remote.ErrConflict) {
				t.Errorf("what is there was made again: %v", err)
			}
			second, err := put("move/journal/1.jsonl", "two", first)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := put("move/journal/1.jsonl", "three", first); !errors.Is(err, remote.ErrConflict) {
				t.Errorf("an older state was built on: %v", err)
			}
			if err := s.Delete(t.Context(), "move/journal/1.jsonl", first); !errors.Is(err, remote.ErrConflict) {
				t.Errorf("what had changed was deleted: %v", err)
			}
			raw, seen, err := remote.Read(t.Context(), s, "move/journal/1.jsonl")
			if err != nil || string(raw) != "two" {
				t.Fatalf("it holds %q: %v", raw, err)
			}
			race(t, s, "move/lease.json", remote.Absent)
			race(t, s, "move/journal/1.jsonl", seen)
			names, err := s.List(t.Context(), "move/journal/")
			if err != nil || len(names) != 1 {
				t.Errorf("below it lie %v: %v", names, err)
			}
			if _, _, err := remote.Read(t.Context(), s, "move/none"); !errors.Is(err, remote.ErrNotExist) {
				t.Errorf("read what is not there: %v", err)
			}
			if second == first {
				t.Error("two states have one version")
			}
		})
	}
}

// race lets many write at once what they have all seen the same of.
func race(t *testing.T, s *stateBucket, name string, seen remote.Version) {
	t.Helper()
	const writers = 8
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			text := fmt.Sprint("writer ", i)
			_, err := s.Put(t.Context(), name, strings.NewReader(text), int64(len(text)), seen)
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, remote.ErrConflict):
				t.Errorf("writer %d of %s: %v", i, name, err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of %d writers of %s were told that they were first", won.Load(), writers, name)
	}
}
