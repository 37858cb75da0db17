//go:build unix

package pairs

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/minio"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// side is a provider: its server by the project's driver, and by a client that shares no code with that.
type side struct {
	name   string
	client client
	open   func(ctx context.Context, name string) (bucket.Bucket, error)
	// refuses are the traps that the store cannot hold, by its documents or by what its server was seen to do. The plan must know them.
	refuses []string
	// folds says that the store's metadata has no case.
	folds bool
}

// holds reports whether the store can hold an object.
func (s *side) holds(o object) bool { return o.trap == "" || !slices.Contains(s.refuses, o.trap) }

// providers are the names of all sides in the order of the tables; the last is the fake that holds all that S3 does.
func providers() []string { return []string{"s3", "minio", "gcs", "azure", "file"} }

const fakeS3 = "s3 itself"

// overFiles are the traps of S3 servers that keep objects as files.
func overFiles() []string {
	return []string{trapSlashes, trapLeading, trapBeside, trapDots, trapDotAlone, trapSegment, trapControl, trapBreak,
		trapCollide, trapSpace, trap2K, trap8K, trapManyTags, trapForeignTag, trapOddTag}
}

// start starts every server once.
func start(t *testing.T) map[string]*side {
	t.Helper()
	run := func(kind store.Kind) *store.Server {
		s, err := store.Start(t.Context(), kind, store.Options{Dir: filepath.Join(t.TempDir(), string(kind))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	versity, minioServer, fakeGCS, azurite := run(store.VersityGW), run(store.MinIO), run(store.FakeGCS), run(store.Azurite)
	fake := s3fake.Start(s3fake.Options{})
	t.Cleanup(fake.Close)
	dir := t.TempDir()
	must := func(c client, err error) client {
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	onS3 := func(endpoint, access, secret string, complete bool) func(context.Context, string) (bucket.Bucket, error) {
		return func(ctx context.Context, name string) (bucket.Bucket, error) {
			return s3.Open(ctx, s3.Options{
				Bucket: name, Endpoint: endpoint, Complete: complete, Region: "us-east-1", PartSize: partS3,
				Credentials: s3.Credentials{AccessKey: access, SecretKey: secret},
			})
		}
	}
	return map[string]*side{
		"s3": {
			client: must(newViaMinIO(versity.Endpoint, versity.AccessKey, versity.SecretKey)),
			open:   onS3(versity.Endpoint, versity.AccessKey, versity.SecretKey, false), refuses: append(overFiles(), trapTrailing), folds: true,
		},
		"minio": {
			client: newViaAWS(minioServer.Endpoint, minioServer.AccessKey, minioServer.SecretKey),
			open: func(ctx context.Context, name string) (bucket.Bucket, error) {
				return minio.Open(ctx, minio.Options{
					Bucket: name, Endpoint: minioServer.Endpoint, Region: minioServer.Region, PartSize: partS3,
					Credentials: minio.Credentials{AccessKey: minioServer.AccessKey, SecretKey: minioServer.SecretKey},
				})
			},
			refuses: overFiles(), folds: true,
		},
		"gcs": {
			client: newViaJSON(fakeGCS.Endpoint),
			open: func(ctx context.Context, name string) (bucket.Bucket, error) {
				return gcs.Open(ctx, gcs.Options{
					Bucket: name, Endpoint: fakeGCS.Endpoint, Project: "test", PartSize: partGCS, Credentials: gcs.Credentials{Anonymous: true},
				})
			},
			refuses: []string{trapDotAlone, trapBreak, trapACME, trap8K},
		},
		"azure": {
			client: must(newViaREST(azurite.Endpoint, azurite.AccessKey, azurite.SecretKey)),
			open: func(ctx context.Context, name string) (bucket.Bucket, error) {
				return azure.Open(ctx, azure.Options{
					Account: azurite.AccessKey, Container: name, Endpoint: azurite.Endpoint, PartSize: partAzure,
					Credentials: azure.Credentials{AccountKey: azurite.SecretKey},
				})
			},
			refuses: []string{trapDots, trapDotAlone, trapDotEnd, trapControl, trapBreak, trapBackslash, trap8K, trapManyTags, trapForeignTag, trapOddTag},
		},
		"file": {
			client: viaOS{dir},
			open: func(ctx context.Context, name string) (bucket.Bucket, error) {
				return file.Open(ctx, file.Options{Dir: filepath.Join(dir, name)})
			},
		},
		fakeS3: {
			client:  viaXML{fake.URL(), &http.Client{Transport: newTransport()}},
			open:    onS3(fake.URL(), "key", "secret", true),
			refuses: []string{trapCollide, trapSpace, trap2K, trap8K, trapManyTags, trapOddTag}, folds: true,
		},
	}
}
