package buckettest_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/azurefake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/gcsfake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/minio"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// servers are started when a test first asks for one, and stopped after all tests.
type servers struct {
	dir     string
	mu      sync.Mutex
	running map[store.Kind]*store.Server
	failed  map[store.Kind]error
}

//nolint:gochecknoglobals // tests share the servers, which take seconds to start
var shared = servers{running: map[store.Kind]*store.Server{}, failed: map[store.Kind]error{}}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "buckettest")
	if err != nil {
		slog.Error("make a directory for servers", "error", err)
		os.Exit(1)
	}
	shared.dir = dir
	code := m.Run()
	if err := shared.stop(); err != nil {
		slog.Error("stop servers", "error", err)
		code = 1
	}
	os.Exit(code)
}

func (s *servers) stop() error {
	var failed []error
	for _, server := range s.running {
		failed = append(failed, server.Stop(context.Background()))
	}
	return errors.Join(append(failed, os.RemoveAll(s.dir))...)
}

func (s *servers) get(t *testing.T, kind store.Kind) *store.Server {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[kind] == nil && s.failed[kind] == nil {
		server, err := store.Start(context.WithoutCancel(t.Context()), kind, store.Options{
			Dir: filepath.Join(s.dir, string(kind)), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		})
		if err != nil {
			s.failed[kind] = err
		} else {
			s.running[kind] = server
		}
	}
	if err := s.failed[kind]; err != nil {
		t.Fatal(err)
	}
	return s.running[kind]
}

// drivers are all drivers, each with a store of its own.
func drivers() map[string]func(t *testing.T) buckettest.Driver {
	return map[string]func(*testing.T) buckettest.Driver{
		"memory": memoryDriver, "file": fileDriver, "s3 fake": s3FakeDriver,
		"azure, hierarchical": hierarchicalDriver,
		"azure":               func(t *testing.T) buckettest.Driver { return azureDriver(shared.get(t, store.Azurite)) },
		"gcs":                 func(t *testing.T) buckettest.Driver { return gcsDriver(shared.get(t, store.FakeGCS)) },
		"gcs, sessions":       sessionsDriver,
		"minio":               func(t *testing.T) buckettest.Driver { return minioDriver(shared.get(t, store.MinIO)) },
		"minio, below":        func(t *testing.T) buckettest.Driver { return below(minioDriver(shared.get(t, store.MinIO))) },
		"s3 versitygw":        func(t *testing.T) buckettest.Driver { return s3Driver(shared.get(t, store.VersityGW)) },
		"s3 minio": func(t *testing.T) buckettest.Driver {
			d := s3Driver(shared.get(t, store.MinIO))
			d.HidesBelowObjects = true
			return d
		},
	}
}

func memoryDriver(*testing.T) buckettest.Driver {
	return buckettest.Driver{NoCredentials: true, Unlimited: true, Open: func(t *testing.T, at buckettest.At) (bucket.Bucket, error) {
		return memory.Open(t.Context(), memory.Options{Name: at.Bucket, Absent: true})
	}}
}

func fileDriver(t *testing.T) buckettest.Driver {
	dir := t.TempDir()
	return buckettest.Driver{NoCredentials: true, Unlimited: true, ResumeSize: 8 << 20, Open: func(t *testing.T, at buckettest.At) (bucket.Bucket, error) {
		return file.Open(t.Context(), file.Options{Dir: filepath.Join(dir, at.Bucket)})
	}}
}

// s3FakeDriver holds the driver against a server that keeps all that S3 promises. Signatures are not among that.
func s3FakeDriver(t *testing.T) buckettest.Driver {
	server := s3fake.Start(s3fake.Options{MaxCopy: 5 << 20})
	t.Cleanup(server.Close)
	const part = 5 << 20
	return buckettest.Driver{Endpoint: server.URL(), PartSize: part, NoCredentials: true, ResumeSize: part, CopySize: part, Open: func(t *testing.T, at buckettest.At) (bucket.Bucket, error) {
		return s3.Open(t.Context(), s3.Options{
			Bucket: at.Bucket, Endpoint: at.Endpoint, Complete: true, Region: "us-east-1", PartSize: part, PageSize: buckettest.PageSize, CopySize: part,
			Credentials: s3.Credentials{AccessKey: "key", SecretKey: "secret"}, Attempts: 2,
		})
	}}
}

func s3Driver(server *store.Server) buckettest.Driver {
	const part = 5 << 20
	return buckettest.Driver{Endpoint: server.Endpoint, PartSize: part, ResumeSize: part, CopySize: part, Open: func(t *testing.T, at buckettest.At) (bucket.Bucket, error) {
		opts := s3.Options{
			Bucket: at.Bucket, Endpoint: at.Endpoint, Region: server.Region, PartSize: part, PageSize: buckettest.PageSize, CopySize: part,
			Credentials: s3.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey}, Attempts: 2,
		}
		if at.WrongCredentials {
			opts.Credentials.SecretKey = "wrong-secret"
		}
		return s3.Open(t.Context(), opts)
	}}
}

func minioDriver(server *store.Server) buckettest.Driver {
	const part = 5 << 20
	return buckettest.Driver{Endpoint: server.Endpoint, PartSize: part, ResumeSize: part, CopySize: part, HidesBelowObjects: true, Open: func(t *testing.T, at buckettest.At) (bucket.Bucket, error) {
		opts := minio.Options{
			Bucket: at.Bucket, Endpoint: at.Endpoint, Region: server.Region, PartSize: part, PageSize: buckettest.PageSize, CopySize: part,
			Credentials: minio.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey}, Attempts: 2,
		}
		if at.WrongCredentials {
			opts.Credentials.SecretKey = "wrong-secret"
		}
		return minio.Open(t.Context(), opts)
	}}
}

// below holds a part of a bucket against all that is asked of a whole one.
func below(d buckettest.Driver) buckettest.Driver {
	open := d.Open
	d.Open = func(t *testing.T, at buckettest.At) (bucket.Bucket, error) {
		b, err := open(t, at)
		if err != nil {
			return nil, err
		}
		return bucket.Sub(b, "a part/of it/"), nil
	}
	return d
}

func gcsDriver(server *store.Server) buckettest.Driver {
	const part = 1 << 20
	return buckettest.Driver{Endpoint: server.Endpoint, PartSize: part, NoCredentials: true, Open: func(t *testing.T, at buckettest.At) (bucket.Bucket, error) {
		return gcs.Open(t.Context(), gcs.Options{
			Bucket: at.Bucket, Endpoint: at.Endpoint, Project: "test", PartSize: part, PageSize: buckettest.PageSize,
			Credentials: gcs.Credentials{Anonymous: true}, Attempts: 2,
		})
	}}
}

// sessionsDriver holds the driver against a fake of what the service promises of uploads that can be gone on with.
func sessionsDriver(t *testing.T) buckettest.Driver {
	server, err := gcsfake.Start(shared.get(t, store.FakeGCS).Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	const part = 1 << 20
	return buckettest.Driver{Endpoint: server.URL(), PartSize: part, ResumeSize: part, LastPartMakes: true, NoCredentials: true, Open: func(t *testing.T, at buckettest.At) (bucket.Bucket, error) {
		return gcs.Open(t.Context(), gcs.Options{
			Bucket: at.Bucket, Endpoint: at.Endpoint, Complete: true, Project: "test", PartSize: part, PageSize: buckettest.PageSize,
			Credentials: gcs.Credentials{Anonymous: true}, Attempts: 2,
		})
	}}
}

func azureDriver(server *store.Server) buckettest.Driver {
	const part = 1 << 20
	return buckettest.Driver{Endpoint: server.Endpoint, PartSize: part, ResumeSize: part, Open: func(t *testing.T, at buckettest.At) (bucket.Bucket, error) {
		opts := azure.Options{
			Account: server.AccessKey, Container: at.Bucket, Endpoint: at.Endpoint, PartSize: part, PageSize: buckettest.PageSize,
			Credentials: azure.Credentials{AccountKey: server.SecretKey}, Attempts: 2,
		}
		if at.WrongCredentials {
			opts.Credentials.AccountKey = "d3Jvbmc="
		}
		return azure.Open(t.Context(), opts)
	}}
}

// hierarchicalDriver holds the driver against a fake of an account with directories of its own.
func hierarchicalDriver(t *testing.T) buckettest.Driver {
	server := azurefake.Start(azurefake.Options{})
	t.Cleanup(server.Close)
	const part = 1 << 20
	return buckettest.Driver{Endpoint: server.URL(), PartSize: part, ResumeSize: part, NoCredentials: true, Open: func(t *testing.T, at buckettest.At) (bucket.Bucket, error) {
		b, err := azure.Open(t.Context(), azure.Options{
			Account: azurefake.Account, Container: at.Bucket, Endpoint: at.Endpoint, PartSize: part, PageSize: buckettest.PageSize,
			Credentials: azure.Credentials{AccountKey: azurefake.Key}, Attempts: 2,
		})
		if err != nil {
			return nil, err
		}
		return b, b.Probe(t.Context())
	}}
}

// onEveryStore runs one check against all drivers.
func onEveryStore(t *testing.T, name string) {
	t.Helper()
	checks := buckettest.Checks()
	at := slices.IndexFunc(checks, func(c buckettest.Check) bool { return c.Name == name })
	if at < 0 {
		t.Fatal("there is no check " + name)
	}
	all := drivers()
	for _, store := range slices.Sorted(maps.Keys(all)) {
		if reason := cannotStart(store); reason != "" {
			t.Run(store, func(t *testing.T) { t.Skip(reason) })
			continue
		}
		if d := all[store](t); checks[at].Applies(d) {
			t.Run(store, func(t *testing.T) { checks[at].Run(t, d) })
		}
	}
}

// cannotStart says why a store's server is not started here.
func cannotStart(store string) string {
	if store == "memory" || store == "file" || store == "s3 fake" || store == "azure, hierarchical" {
		return ""
	}
	if testing.Short() {
		return "starts a real server"
	}
	if ok, reason := install.CanBuild(); !ok {
		return reason
	}
	return ""
}

func TestI05_EveryPropertyComesBack(t *testing.T)  { onEveryStore(t, "I05_EveryPropertyComesBack") }
func TestB02_MultipartETagIsNoDigest(t *testing.T) { onEveryStore(t, "B02_MultipartETagIsNoDigest") }
func TestB04_OverwriteDuringCopyNeverMixes(t *testing.T) {
	onEveryStore(t, "B04_OverwriteDuringCopyNeverMixes")
}
func TestB05_WritesAreConditional(t *testing.T) { onEveryStore(t, "B05_WritesAreConditional") }
func TestB05_OneOfManyCreates(t *testing.T)     { onEveryStore(t, "B05_OneOfManyCreates") }
func TestB08_EncodedBytesArriveAsStored(t *testing.T) {
	onEveryStore(t, "B08_EncodedBytesArriveAsStored")
}
func TestB08_BodyOfAnotherLengthLeavesTheKeyAsItWas(t *testing.T) {
	onEveryStore(t, "B08_BodyOfAnotherLengthLeavesTheKeyAsItWas")
}
func TestB08_AnswerOfAnotherLengthIsAnError(t *testing.T) {
	onEveryStore(t, "B08_AnswerOfAnotherLengthIsAnError")
}
func TestB09_MetadataComesBackOrIsRefused(t *testing.T) {
	onEveryStore(t, "B09_MetadataComesBackOrIsRefused")
}
func TestB10_ACopyWithinTheServerHasWhatIsSent(t *testing.T) {
	onEveryStore(t, "B10_ACopyWithinTheServerHasWhatIsSent")
}
func TestB11_OversizeIsRefused(t *testing.T) { onEveryStore(t, "B11_OversizeIsRefused") }
func TestB12_HostileKeysComeBackOrAreRefused(t *testing.T) {
	onEveryStore(t, "B12_HostileKeysComeBackOrAreRefused")
}
func TestB13_FailedListingIsNotAnEmptyOne(t *testing.T) {
	onEveryStore(t, "B13_FailedListingIsNotAnEmptyOne")
}
func TestB13_MissingBucketIsNotAnEmptyOne(t *testing.T) {
	onEveryStore(t, "B13_MissingBucketIsNotAnEmptyOne")
}
func TestB13_WrongCredentialsAreNotAnEmptyListing(t *testing.T) {
	onEveryStore(t, "B13_WrongCredentialsAreNotAnEmptyListing")
}
func TestB19_BuffersComeFromTheBudget(t *testing.T) {
	onEveryStore(t, "B19_BuffersComeFromTheBudget")
}
func TestB15_UnfinishedUploadsAreFoundAndAborted(t *testing.T) {
	onEveryStore(t, "B15_UnfinishedUploadsAreFoundAndAborted")
}
func TestB20_AWriteInPartsGoesOnWhereItWasCutOff(t *testing.T) {
	onEveryStore(t, "B20_AWriteInPartsGoesOnWhereItWasCutOff")
}
func TestListingRanges(t *testing.T)       { onEveryStore(t, "ListingRanges") }
func TestSizesAndRanges(t *testing.T)      { onEveryStore(t, "SizesAndRanges") }
func TestDelete(t *testing.T)              { onEveryStore(t, "Delete") }
func TestContextEndsRequests(t *testing.T) { onEveryStore(t, "ContextEndsRequests") }

// Every check of the suite has a test above.
func TestAllChecksAreRun(t *testing.T) {
	source, err := os.ReadFile("stores_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range buckettest.Checks() {
		if !strings.Contains(string(source), "func Test"+check.Name+"(") {
			t.Errorf("no test runs %s", check.Name)
		}
	}
}

func TestB18_APartOfABucketCanDoWhatTheWholeCan(t *testing.T) {
	abilities := map[string]func(bucket.Bucket) bool{
		"keep versions":          func(b bucket.Bucket) bool { _, ok := bucket.VersionedOf(b); return ok },
		"be made to keep":        func(b bucket.Bucket) bool { _, ok := bucket.KeeperOf(b); return ok },
		"tell its configuration": func(b bucket.Bucket) bool { _, ok := bucket.ConfiguredOf(b); return ok },
		"take a configuration":   func(b bucket.Bucket) bool { _, ok := bucket.ConfigurerOf(b); return ok },
		"list page by page":      func(b bucket.Bucket) bool { _, ok := b.(bucket.Pager); return ok },
	}
	for name, driver := range drivers() {
		t.Run(name, func(t *testing.T) {
			d := driver(t)
			whole, err := d.Open(t, buckettest.At{Bucket: "whole", Endpoint: d.Endpoint})
			if err != nil {
				t.Fatal(err)
			}
			part := bucket.Sub(bucket.Sub(whole, "a/"), "b/")
			for what, can := range abilities {
				if can(part) != can(whole) {
					t.Errorf("the whole can %s: %t, a part of it: %t", what, can(whole), can(part))
				}
			}
		})
	}
}
