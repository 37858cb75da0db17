//go:build unix

package pairs

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/azurefake"
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
	// few says that of the plain objects only those go whose properties matter: a fake shows no more of the others.
	few bool
	// folders says that the store has directories of its own: a marker without properties, below which something lies, says nothing
	// there, and its client does not show it.
	folders bool
}

// holds reports whether the store can hold an object.
func (s *side) holds(o object) bool { return o.trap == "" || !slices.Contains(s.refuses, o.trap) }

// shows leaves of what a store was given what its client shows again.
func shows[T any](s *side, all map[string]T, bare func(T) bool) map[string]T {
	shown := maps.Clone(all)
	if s.folders {
		maps.DeleteFunc(shown, func(key string, o T) bool {
			return strings.HasSuffix(key, "/") && bare(o) && holdsAny(key, all)
		})
	}
	return shown
}

func holdsAny[T any](folder string, all map[string]T) bool {
	for key := range all {
		if key != folder && strings.HasPrefix(key, folder) {
			return true
		}
	}
	return false
}

// providers are those of which a server or an emulator runs here.
func providers() []string { return []string{"s3", "minio", "gcs", "azure", "file"} }

// The fakes of what does not: all that S3 holds, and Azure with a hierarchical namespace.
const (
	fakeS3   = "s3 itself"
	fakeLake = "azure hierarchical"
)

// everySide is in the order of the tables.
func everySide() []string { return append(providers(), fakeS3, fakeLake) }

// overFiles are the traps of S3 servers that keep objects as files.
func overFiles() []string {
	return []string{trapSlashes, trapLeading, trapBeside, trapDots, trapDotAlone, trapSegment, trapControl, trapBreak,
		trapCollide, trapSpace, trap2K, trap8K, trapManyTags, trapForeignTag, trapOddTag}
}

// servers are started when a test first asks for one, and stopped after all tests.
type servers struct {
	dir     string
	mu      sync.Mutex
	running map[store.Kind]*store.Server
}

var shared = servers{running: map[store.Kind]*store.Server{}}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pairs")
	if err != nil {
		slog.Error("make a directory for servers", "error", err)
		os.Exit(1)
	}
	shared.dir = dir
	code := m.Run()
	for _, server := range shared.running {
		err = errors.Join(err, server.Stop(context.Background()))
	}
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		slog.Error("stop servers", "error", err)
		code = 1
	}
	os.Exit(code)
}

func (s *servers) get(t *testing.T, kind store.Kind) *store.Server {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[kind] == nil {
		server, err := store.Start(context.WithoutCancel(t.Context()), kind, store.Options{Dir: filepath.Join(s.dir, string(kind))})
		if err != nil {
			t.Fatal(err)
		}
		s.running[kind] = server
	}
	return s.running[kind]
}

// start starts every server.
func start(t *testing.T) map[string]*side {
	t.Helper()
	versity, minioServer, fakeGCS, azurite := shared.get(t, store.VersityGW), shared.get(t, store.MinIO), shared.get(t, store.FakeGCS), shared.get(t, store.Azurite)
	fake, lake := s3fake.Start(s3fake.Options{}), azurefake.Start(azurefake.Options{})
	t.Cleanup(fake.Close)
	t.Cleanup(lake.Close)
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
			refuses: []string{trapCollide, trapSpace, trap2K, trap8K, trapManyTags, trapOddTag}, folds: true, few: true,
		},
		fakeLake: {
			client: must(newViaDirectories(lake.URL(), azurefake.Account, azurefake.Key)),
			open: func(ctx context.Context, name string) (bucket.Bucket, error) {
				return azure.Open(ctx, azure.Options{
					Account: azurefake.Account, Container: name, Endpoint: lake.URL(), PartSize: partAzure,
					Credentials: azure.Credentials{AccountKey: azurefake.Key},
				})
			},
			refuses: []string{
				trapSlashes, trapLeading, trapTrailing, trapBeside, trapHDI, trapDots, trapDotAlone, trapDotEnd, trapControl, trapBreak, trapBackslash, trap8K,
			},
			few: true, folders: true,
		},
	}
}
