package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// world is what the contenders work on: servers, and buckets filled before the clock runs.
type world struct {
	dir     string
	log     *slog.Logger
	servers map[string]*store.Server
	fakes   []*s3fake.Server
	made    int
}

// server starts a store once. Source and destination are two processes, as they would be two clouds.
func (w *world) server(ctx context.Context, name string, kind store.Kind) (*store.Server, error) {
	if s := w.servers[name]; s != nil {
		return s, nil
	}
	s, err := store.Start(ctx, kind, store.Options{Dir: filepath.Join(w.dir, name), Log: w.log})
	if err == nil {
		w.servers[name] = s
	}
	return s, err
}

func (w *world) stop(ctx context.Context) error {
	var failed []error
	for _, s := range w.servers {
		failed = append(failed, s.Stop(ctx))
	}
	for _, f := range w.fakes {
		f.Close()
	}
	return errors.Join(append(failed, os.RemoveAll(w.dir))...)
}

// makeBucket makes an empty bucket under a name of its own.
func (w *world) makeBucket(ctx context.Context, s *store.Server) (place, error) {
	w.made++
	p := place{server: s, bucket: fmt.Sprintf("bench-%d", w.made)}
	var maker bucket.Maker
	var err error
	switch s.Kind {
	case store.Azurite:
		maker, err = azure.Open(ctx, azure.Options{Container: p.bucket, Account: s.AccessKey, Endpoint: s.Endpoint, Credentials: azure.Credentials{AccountKey: s.SecretKey}})
	case store.FakeGCS:
		maker, err = gcs.Open(ctx, gcs.Options{Bucket: p.bucket, Endpoint: s.Endpoint, Project: "bench", Credentials: gcs.Credentials{Anonymous: true}})
	case store.MinIO, store.VersityGW:
		client, err := w.client(s)
		if err != nil {
			return p, err
		}
		return p, client.MakeBucket(ctx, p.bucket, minio.MakeBucketOptions{Region: s.Region})
	}
	if err != nil {
		return p, err
	}
	return p, maker.Make(ctx)
}

func (w *world) client(s *store.Server) (*minio.Client, error) {
	return minio.New(s.Endpoint[len("http://"):], &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region})
}

// drop removes a bucket of MinIO with its objects, since large ones fill the disk. What another server holds goes with its folder.
func (w *world) drop(ctx context.Context, p place) error {
	if p.server.Kind != store.MinIO {
		return nil
	}
	client, err := w.client(p.server)
	if err != nil {
		return err
	}
	return client.RemoveBucketWithOptions(ctx, p.bucket, minio.RemoveBucketOptions{ForceDelete: true})
}

// fill puts n objects of a size into a bucket of MinIO. Their content does not compress and differs from object to object.
func (w *world) fill(ctx context.Context, p place, n int, size int64) error {
	client, err := w.client(p.server)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range n {
		group.Go(func() error {
			key := fmt.Sprintf("dir-%02d/object-%06d", i%64, i)
			body := io.LimitReader(rand.NewChaCha8(sha256.Sum256([]byte(key))), size)
			if size <= 1<<20 {
				raw, err := io.ReadAll(body)
				if err != nil {
					return err
				}
				body = bytes.NewReader(raw)
			}
			_, err := client.PutObject(ctx, p.bucket, key, body, size, minio.PutObjectOptions{ContentType: "application/octet-stream", PartSize: 64 << 20, DisableMultipart: size <= 1<<20})
			return err
		})
	}
	return group.Wait()
}
