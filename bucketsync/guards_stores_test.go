package bucketsync_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	miniosdk "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/minio"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// needServers skips where no real servers can be had.
func needServers(t *testing.T) {
	t.Helper()
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	if testing.Short() {
		t.Skip("starts real servers")
	}
}

func s3Server(t *testing.T, server *store.Server, name string) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(t.Context(), s3.Options{
		Bucket: name, Endpoint: server.Endpoint, Region: server.Region, PartSize: 5 << 20,
		Credentials: s3.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey},
	})
	must(t, err)
	return b
}

func minioOn(t *testing.T, server *store.Server, name string) *minio.Bucket {
	t.Helper()
	b, err := minio.Open(t.Context(), minio.Options{
		Bucket: name, Endpoint: server.Endpoint, Region: server.Region, PartSize: 5 << 20,
		Credentials: minio.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey},
	})
	must(t, err)
	return b
}

// onFake is a bucket of the project's own S3.
func onFake(t *testing.T, server *s3fake.Server, name string) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(t.Context(), s3.Options{
		Bucket: name, Endpoint: server.URL(), Complete: true, Region: "us-east-1", PartSize: 5 << 20,
		Credentials: s3.Credentials{AccessKey: "key", SecretKey: "secret"}, Attempts: 2,
	})
	must(t, err)
	return b
}

func fakeS3(t *testing.T) *s3fake.Server {
	t.Helper()
	server := s3fake.Start(s3fake.Options{})
	t.Cleanup(server.Close)
	return server
}

// client is another SDK than the one of the driver for S3, so that it looks at what is there with other eyes.
func client(t *testing.T, server *store.Server) *miniosdk.Client {
	t.Helper()
	c, err := miniosdk.New(strings.TrimPrefix(server.Endpoint, "http://"), &miniosdk.Options{
		Creds: credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""), Region: server.Region,
	})
	must(t, err)
	return c
}

func put(t *testing.T, b bucket.Bucket, key, text string, p bucket.Properties) bucket.Object {
	t.Helper()
	o, err := b.Put(t.Context(), key, strings.NewReader(text), int64(len(text)), bucket.PutOptions{Properties: p})
	must(t, err)
	return o
}

func headOf(t *testing.T, b bucket.Bucket, key string) bucket.Object {
	t.Helper()
	o, err := b.Head(t.Context(), key)
	must(t, err)
	return o
}

func optionsFor(t *testing.T, from, to bucket.Bucket) bucketsync.Options {
	t.Helper()
	return bucketsync.Options{
		Migration: "m", Stage: "sync", Name: "b", From: from, To: to, Manifest: filepath.Join(t.TempDir(), "manifest"), Create: true, Delete: true,
	}
}

func syncNow(t *testing.T, opts bucketsync.Options) bucketsync.Result {
	t.Helper()
	p, err := bucketsync.Plan(t.Context(), opts)
	must(t, err)
	result, err := bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, opts)
	must(t, err)
	return result
}

func refusals(t *testing.T, opts bucketsync.Options) string {
	t.Helper()
	p, err := bucketsync.Plan(t.Context(), opts)
	must(t, err)
	var texts []string
	for _, r := range p.Refusals {
		texts = append(texts, r.What+": "+r.Why+" ("+r.Mend+")")
	}
	return strings.Join(texts, "\n")
}

// Locks go from one real server to another whose bucket is made for them, small objects and large ones, and another client
// finds that they hold: neither a version can be deleted nor its lock be shortened.
func TestB16_LocksHoldAtRealStores(t *testing.T) {
	needServers(t)
	versity, minioServer := start(t, store.VersityGW), start(t, store.MinIO)
	until := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	large := strings.Repeat("0123456789abcdef", 6<<16) // in parts
	pairs := map[string]struct {
		from, to bucket.Bucket
		at       *store.Server
		name     string
	}{
		"s3 to minio":    {s3Server(t, minioServer, "from-s3"), minioOn(t, minioServer, "to-minio"), minioServer, "to-minio"},
		"minio to s3":    {minioOn(t, minioServer, "from-minio"), s3Server(t, minioServer, "to-s3"), minioServer, "to-s3"},
		"minio to other": {minioOn(t, minioServer, "from-minio2"), s3Server(t, versity, "to-versity"), versity, "to-versity"},
	}
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			keeper, ok := pair.from.(bucket.Keeper)
			if !ok {
				t.Fatal("the driver makes no such buckets")
			}
			must(t, keeper.MakeKeeping(t.Context(), bucket.Keeping{Locks: true}))
			locks := map[string]bucket.Lock{
				"compliance": {Mode: bucket.Compliance, Until: until}, "governance": {Mode: bucket.Governance, Until: until},
				"hold": {Hold: true}, "large": {Mode: bucket.Governance, Until: until, Hold: true}, "free": {},
			}
			for key, lock := range locks {
				text := key
				if key == "large" {
					text = large
				}
				put(t, pair.from, key, text, bucket.Properties{Lock: lock})
			}
			opts := optionsFor(t, pair.from, pair.to)
			opts.Brief = true // the source's configuration is enough to look at every object
			if result := syncNow(t, opts); result.Copied != int64(len(locks)) || len(result.Losses) != 0 {
				t.Fatalf("%+v", result)
			}
			other := client(t, pair.at)
			for key, lock := range locks {
				if got := headOf(t, pair.to, key).Properties.Lock; got != lock {
					t.Errorf("%s: the lock is %s, want %s", key, got, lock)
				}
				info, err := other.StatObject(t.Context(), pair.name, key, miniosdk.StatObjectOptions{})
				must(t, err)
				err = other.RemoveObject(t.Context(), pair.name, key, miniosdk.RemoveObjectOptions{VersionID: info.VersionID})
				if (err != nil) != (lock != bucket.Lock{}) {
					t.Errorf("%s: another client deletes its version, locked by %s: %v", key, lock, err)
				}
			}
			// The source's object is written again, with a shorter lock: the copy is not replaced by it.
			put(t, pair.from, "compliance", "again", bucket.Properties{Lock: bucket.Lock{Mode: bucket.Compliance, Until: until.Add(-time.Hour)}})
			if text := refusals(t, opts); !strings.Contains(text, "locked (compliance until") {
				t.Errorf("refused is only: %s", text)
			}
		})
	}
}

// A bucket that was made without object lock holds none, and that is found out in the plan.
func TestB16_ABucketWithoutLocksIsRefused(t *testing.T) {
	needServers(t)
	server := start(t, store.MinIO)
	from, to := s3Server(t, server, "locking"), minioOn(t, server, "plain")
	must(t, from.MakeKeeping(t.Context(), bucket.Keeping{Locks: true}))
	must(t, to.Make(t.Context()))
	put(t, from, "k", "x", bucket.Properties{Lock: bucket.Lock{Hold: true}})
	opts := optionsFor(t, from, to)
	if text := refusals(t, opts); !strings.Contains(text, `"k": locked, which the destination cannot hold`) {
		t.Fatalf("refused is only: %s", text)
	}
	opts.AcceptLostLocks = true
	if result := syncNow(t, opts); result.Copied != 1 || len(result.Losses) != 1 || result.Losses[0].Property != "lock" {
		t.Errorf("%+v", result)
	}
}

// MinIO with a key of its own: both drivers write under the key that the map names, and nothing without a map.
func TestB16_KeysOfARealKeyService(t *testing.T) {
	needServers(t)
	server, err := store.Start(t.Context(), store.MinIO, store.Options{
		Dir: t.TempDir(), Env: []string{"MINIO_KMS_SECRET_KEY=shop-key:" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))},
	})
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop(t.Context())) })
	fake := fakeS3(t)
	from := onFake(t, fake, "from")
	must(t, from.Make(t.Context()))
	large := strings.Repeat("0123456789abcdef", 6<<16)
	put(t, from, "a", "small", bucket.Properties{Encryption: bucket.Encryption{Kind: bucket.ByService, Key: "blue"}})
	put(t, from, "b", large, bucket.Properties{Encryption: bucket.Encryption{Kind: bucket.ByService, Key: "blue"}})
	blue := headOf(t, from, "a").Properties.Encryption.Key
	if !strings.HasPrefix(blue, "arn:aws:kms:") {
		t.Fatalf("the fake calls the key %q", blue)
	}
	for name, to := range map[string]bucket.Bucket{"minio": minioOn(t, server, "by-minio"), "s3": s3Server(t, server, "by-s3")} {
		t.Run(name, func(t *testing.T) {
			opts := optionsFor(t, from, to)
			if text := refusals(t, opts); !strings.Contains(text, blue) || !strings.Contains(text, `"a", "b"`) {
				t.Fatalf("refused is only: %s", text)
			}
			opts.Keys = map[string]string{blue: "shop-key"}
			opts.Final = true
			if result := syncNow(t, opts); result.Copied != 2 || !result.Proof.Equal {
				t.Fatalf("%+v", result)
			}
			for _, key := range []string{"a", "b"} {
				info, err := client(t, server).StatObject(t.Context(), "by-"+name, key, miniosdk.StatObjectOptions{})
				must(t, err)
				if got := info.Metadata.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"); !strings.HasSuffix(got, "shop-key") {
					t.Errorf("%s is encrypted under %q: %v", key, got, info.Metadata)
				}
			}
		})
	}
}

// The documented rules of S3 for what cannot be had from a real server here: archived objects and customers' keys.
func TestB16_ArchivedAndSealedObjectsOfS3(t *testing.T) {
	server := fakeS3(t)
	from, to := onFake(t, server, "from"), onFake(t, server, "to")
	must(t, from.Make(t.Context()))
	for _, key := range []string{"cold", "frozen", "hot", "warm"} {
		put(t, from, key, key, bucket.Properties{})
	}
	must(t, server.Archive("from", "cold", "GLACIER"))
	must(t, server.Archive("from", "frozen", "DEEP_ARCHIVE"))
	must(t, server.Archive("from", "warm", "GLACIER_IR"))
	opts := optionsFor(t, from, to)
	for _, opts.Brief = range []bool{true, false} {
		text := refusals(t, opts)
		if !strings.Contains(text, `"cold": in class GLACIER`) || !strings.Contains(text, `"frozen": in class DEEP_ARCHIVE`) || strings.Contains(text, "warm") {
			t.Fatalf("brief %t, refused is: %s", opts.Brief, text)
		}
	}
	if server.Calls(s3fake.Get) != 0 {
		t.Error("a plan reads objects")
	}
	// The classes are known from the listing alone.
	listed := map[string]*bucket.Archived{}
	for o, err := range from.List(t.Context(), bucket.ListOptions{}) {
		must(t, err)
		listed[o.Key] = o.Archived
	}
	if a := listed["cold"]; a == nil || !a.Offline || listed["warm"] == nil || listed["warm"].Offline || listed["hot"] != nil {
		t.Errorf("%+v", listed)
	}
	if _, _, err := from.Open(t.Context(), "cold", bucket.ReadOptions{}); !errors.Is(err, bucket.ErrArchived) {
		t.Errorf("reading gives %v", err)
	}

	must(t, server.Restore("from", "cold", false))
	if text := refusals(t, opts); !strings.Contains(text, `"cold": in class GLACIER, and its restore is not done`) {
		t.Errorf("refused is: %s", text)
	}
	must(t, server.Restore("from", "cold", true))
	opts.Filter.Exclude = []string{"frozen"}
	for _, opts.Brief = range []bool{true, false} {
		if text := refusals(t, opts); text != "" {
			t.Fatalf("brief %t, refused is: %s", opts.Brief, text)
		}
	}
	if result := syncNow(t, opts); result.Copied != 3 {
		t.Errorf("%+v", result)
	}

	must(t, server.Seal("from", "hot"))
	put(t, from, "another", "x", bucket.Properties{})
	must(t, server.Seal("from", "another"))
	if text := refusals(t, opts); !strings.Contains(text, `"another": it is encrypted under a key that every request must carry`) {
		t.Errorf("refused is: %s", text)
	}
	if _, _, err := from.Open(t.Context(), "another", bucket.ReadOptions{}); !errors.Is(err, bucket.ErrKeyNeeded) {
		t.Errorf("reading gives %v", err)
	}
}

// A lock of the fake, which keeps all that S3 promises, comes and goes with all of its parts, also in parts and below a prefix.
func TestB16_LocksAndKeysOfS3(t *testing.T) {
	server := fakeS3(t)
	from, to := onFake(t, server, "from"), onFake(t, server, "to")
	must(t, from.MakeKeeping(t.Context(), bucket.Keeping{Locks: true}))
	until := time.Now().Add(72 * time.Hour).UTC()
	lock := bucket.Lock{Mode: bucket.Compliance, Until: until.Truncate(time.Second).Add(time.Second), Hold: true}
	for i, text := range []string{"small", strings.Repeat("0123456789abcdef", 6<<16)} {
		put(t, from, fmt.Sprint(i), text, bucket.Properties{Lock: bucket.Lock{Mode: bucket.Compliance, Until: until, Hold: true}, Encryption: bucket.Encryption{Kind: bucket.ByService, Key: "blue"}})
	}
	opts := optionsFor(t, from, bucket.Sub(to, "below/"))
	key := headOf(t, from, "0").Properties.Encryption.Key
	opts.Keys = map[string]string{key: "green"}
	if result := syncNow(t, opts); result.Copied != 2 {
		t.Fatalf("%+v", result)
	}
	for _, name := range []string{"below/0", "below/1"} {
		p := headOf(t, to, name).Properties
		if p.Lock != lock || !p.Encryption.Under("green") {
			t.Errorf("%s: %+v %+v", name, p.Lock, p.Encryption)
		}
	}
	guards, err := to.Guards(t.Context())
	if err != nil || !guards.Retention || !guards.KeepsLocked || guards.Key != "" {
		t.Errorf("%+v, %v", guards, err)
	}
	must(t, server.Configure("to", "encryption", `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>arn:x</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`))
	if guards, err := to.Guards(t.Context()); err != nil || guards.Key != "arn:x" {
		t.Errorf("%+v, %v", guards, err)
	}
}
