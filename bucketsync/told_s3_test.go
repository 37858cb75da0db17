package bucketsync_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// torn gives other bytes than it has, while it tells the MD5 of those that it has.
type torn struct{ bucket.Bucket }

func (b torn) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	body, obj, err := b.Bucket.Open(ctx, key, opts)
	if err != nil {
		return nil, obj, err
	}
	raw, err := io.ReadAll(body)
	return io.NopCloser(bytes.NewReader(bytes.ToUpper(raw))), obj, errors.Join(err, body.Close())
}

// A server of S3's protocol that does not know Content-MD5 stores whatever comes: what it says that it has decides, and not what it was told.
func TestB08_AServerThatDoesNotKnowContentMD5IsNotBelieved(t *testing.T) {
	for _, ignores := range []bool{true, false} {
		server := s3fake.Start(s3fake.Options{IgnoresMD5: ignores})
		t.Cleanup(server.Close)
		from, err := memory.Open(t.Context(), memory.Options{Name: "source"})
		must(t, err)
		to, err := s3.Open(t.Context(), s3.Options{
			Bucket: "to", Endpoint: server.URL(), Region: "us-east-1", Attempts: 1, Credentials: s3.Credentials{AccessKey: "key", SecretKey: "secret"},
		})
		must(t, err)
		must(t, to.Make(t.Context()))
		write(t, from, "k", "content")
		opts := bucketsync.Options{Migration: "m", Stage: "sync", Name: "b", From: torn{from}, To: to, Manifest: filepath.Join(t.TempDir(), "manifest")}
		sync := func() error {
			p, err := bucketsync.Plan(t.Context(), opts)
			must(t, err)
			_, err = bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
			return err
		}
		var corrupt *bucketsync.CorruptError
		if err := sync(); !errors.As(err, &corrupt) || corrupt.Where != "source" || !strings.HasPrefix(corrupt.Want, "md5 ") {
			t.Fatalf("ignored %v: %v", ignores, err)
		}
		opts.From = from
		must(t, sync())
		if got := has(t, to); got["k"] != "content" {
			t.Fatalf("ignored %v: %v", ignores, got)
		}
	}
}
