package bucketsync_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	miniosdk "github.com/minio/minio-go/v7"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/azurefake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// versioned is a bucket of a driver that keeps versions, and keeping one that is made so.
type versioned interface {
	bucket.Bucket
	bucket.Versioned
}

type keeping interface {
	versioned
	bucket.Keeper
}

// someHistory writes objects and deletions: one key with three versions, one that is gone, one that was gone in between and has
// equal neighbours, one in parts.
func someHistory(t *testing.T, b keeping) {
	t.Helper()
	mark := func(key string) {
		_, err := b.Mark(t.Context(), key)
		must(t, err)
	}
	for i, text := range []string{"one", "two", "three"} {
		put(t, b, "a/live", text, bucket.Properties{ContentType: fmt.Sprint("type/", i), Metadata: map[string]string{"n": fmt.Sprint(i)}})
	}
	put(t, b, "gone", "bytes", bucket.Properties{})
	mark("gone")
	put(t, b, "mixed", "same", bucket.Properties{})
	put(t, b, "mixed", "same", bucket.Properties{})
	mark("mixed")
	put(t, b, "mixed", "back", bucket.Properties{})
	put(t, b, "z", strings.Repeat("0123456789abcdef", 6<<16), bucket.Properties{})
	put(t, b, "z", "small now", bucket.Properties{})
}

// told is a history as another client sees it, the newest first of each key.
func told(t *testing.T, server *store.Server, name string) []string {
	t.Helper()
	c := client(t, server)
	type one struct {
		key, text string
		at        int64
		latest    bool
	}
	var all []one
	for info := range c.ListObjects(t.Context(), name, miniosdk.ListObjectsOptions{WithVersions: true, Recursive: true}) {
		must(t, info.Err)
		o := one{key: info.Key, text: "(marker)", at: info.LastModified.UnixNano(), latest: info.IsLatest}
		if !info.IsDeleteMarker {
			body, err := c.GetObject(t.Context(), name, info.Key, miniosdk.GetObjectOptions{VersionID: info.VersionID})
			must(t, err)
			raw, err := io.ReadAll(body)
			must(t, err)
			stat, err := body.Stat()
			must(t, err)
			o.text = fmt.Sprintf("%.20q %d %s %v", raw, len(raw), stat.ContentType, stat.UserMetadata)
		}
		all = append(all, o)
	}
	slices.SortStableFunc(all, func(x, y one) int {
		switch {
		case x.key != y.key:
			return strings.Compare(x.key, y.key)
		case x.latest != y.latest:
			return map[bool]int{true: -1, false: 1}[x.latest]
		}
		return int(y.at - x.at)
	})
	out := make([]string, 0, len(all))
	for _, o := range all {
		out = append(out, o.key+" "+o.text)
	}
	return out
}

// Histories go between the drivers and the servers that keep versions, and another client finds the same on both sides.
func TestB17_HistoriesBetweenRealStores(t *testing.T) {
	needServers(t)
	versity, err := store.Start(t.Context(), store.VersityGW, store.Options{Dir: t.TempDir(), Env: []string{"VGW_VERSIONING_DIR=" + t.TempDir()}})
	must(t, err)
	t.Cleanup(func() { must(t, versity.Stop(context.WithoutCancel(t.Context()))) })
	minioServer := start(t, store.MinIO)
	type end struct {
		open   func(name string) keeping
		server *store.Server
	}
	onMinIO := end{func(name string) keeping { return minioOn(t, minioServer, name) }, minioServer}
	s3OnMinIO := end{func(name string) keeping { return s3Server(t, minioServer, name) }, minioServer}
	onVersity := end{func(name string) keeping { return s3Server(t, versity, name) }, versity}
	for name, pair := range map[string][2]end{
		"minio-to-s3": {onMinIO, s3OnMinIO}, "s3-to-minio": {s3OnMinIO, onMinIO},
		"minio-to-versity": {onMinIO, onVersity}, "versity-to-minio": {onVersity, onMinIO},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := pair[0].open(name+"-from"), pair[1].open(name+"-to")
			must(t, from.MakeKeeping(t.Context(), bucket.Keeping{Versions: true}))
			someHistory(t, from)
			opts := optionsFor(t, from, to)
			opts.Versions, opts.Final = true, true
			result := syncNow(t, opts) // which makes the destination, with versions
			if result.Copied != 11 || !result.Proof.Equal {
				t.Fatalf("%+v", result)
			}
			want, got := told(t, pair[0].server, name+"-from"), told(t, pair[1].server, name+"-to")
			if !slices.Equal(want, got) || len(want) != 11 {
				t.Fatalf("the source has\n%s\nand the destination\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
			}
			put(t, from, "gone", "here again", bucket.Properties{})
			if result := syncNow(t, opts); result.Copied != 1 {
				t.Fatalf("a version more: %+v", result)
			}
			report, err := bucketsync.Verify(t.Context(), bucketsync.VerifyOptions{From: from, To: to, Versions: true, Mode: bucketsync.ModeFull})
			if err != nil || !report.Equal || report.Objects != 12 {
				t.Fatalf("%+v, %v", report, err)
			}
			deletesByID(t, to, "a/live")
		})
	}
}

// deletesByID deletes the oldest version of a key and expects the live object to stay; and nothing to happen where no id is given.
func deletesByID(t *testing.T, b versioned, key string) {
	t.Helper()
	versions := func() (ids []string) {
		for v, err := range b.ListVersions(t.Context(), bucket.ListOptions{Prefix: key}) {
			must(t, err)
			ids = append(ids, v.Version)
		}
		return ids
	}
	before, live := versions(), headOf(t, b, key)
	if err := b.DeleteVersion(t.Context(), key, ""); !errors.Is(err, bucket.ErrNoVersion) {
		t.Errorf("a deletion without an id gives %v", err)
	}
	must(t, b.DeleteVersion(t.Context(), key, before[0]))
	must(t, b.DeleteVersion(t.Context(), key, before[0])) // again is no error
	if got := headOf(t, b, key); got.ETag != live.ETag || got.Version != live.Version {
		t.Errorf("the live object was %+v and is %+v", live, got)
	}
	if got := versions(); !slices.Equal(got, before[1:]) {
		t.Errorf("of the versions %q there are %q", before, got)
	}
}

// fake-gcs-server keeps generations, and Azure versions. A deletion between two of them is not kept; whether there is an object now is.
func TestB17_GenerationsOfCloudStorage(t *testing.T) {
	needServers(t)
	server := start(t, store.FakeGCS)
	via, err := gcs.Open(t.Context(), gcs.Options{Bucket: "via", Endpoint: server.Endpoint, Project: "test", Credentials: gcs.Credentials{Anonymous: true}})
	must(t, err)
	historiesThereAndBack(t, via)
}

// Azurite keeps no versions: the account is a fake.
func TestB17_VersionsOfAzure(t *testing.T) {
	needServers(t)
	via := versionedAzure(t, "via")
	must(t, via.Make(t.Context()))
	if keeps, err := via.KeepsVersions(t.Context()); err != nil || !keeps.Unknown || keeps.Enabled {
		t.Errorf("of an empty container: %+v, %v", keeps, err)
	}
	historiesThereAndBack(t, via)
	if keeps, err := via.KeepsVersions(t.Context()); err != nil || !keeps.Enabled {
		t.Errorf("of one with versions: %+v, %v", keeps, err)
	}
	live := headOf(t, via, "a/live")
	if err := via.DeleteVersion(t.Context(), "a/live", live.Version); !errors.Is(err, bucket.ErrDenied) {
		t.Errorf("the current version is deleted by its id: %v", err)
	}
	if _, err := via.HeadVersion(t.Context(), "a/live", "2020-01-01T00:00:00.0000000Z"); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("a version that never was: %v", err)
	}
	if headOf(t, via, "a/live").Version != live.Version {
		t.Error("the live object is another one")
	}
}

func versionedAzure(t *testing.T, name string) *azure.Bucket {
	t.Helper()
	server := azurefake.Start(azurefake.Options{Versions: true})
	t.Cleanup(server.Close)
	b, err := azure.Open(t.Context(), azure.Options{
		Account: azurefake.Account, Container: name, Endpoint: server.URL(), PartSize: 1 << 18, PageSize: 3,
		Credentials: azure.Credentials{AccountKey: azurefake.Key},
	})
	must(t, err)
	return b
}

// historiesThereAndBack takes a history to a store that keeps no markers, and from there to where it came from.
func historiesThereAndBack(t *testing.T, via versioned) {
	t.Helper()
	minioServer := start(t, store.MinIO)
	from, back := minioOn(t, minioServer, "from"), s3Server(t, minioServer, "back")
	must(t, from.MakeKeeping(t.Context(), bucket.Keeping{Versions: true}))
	someHistory(t, from)
	for _, key := range []string{"u/\uff61", "u/\U00010000"} { // in UTF-16 the other way round
		put(t, from, key, "text", bucket.Properties{})
	}
	for i, pair := range [][2]versioned{{from, via}, {via, back}} {
		opts := optionsFor(t, pair[0], pair[1])
		opts.Versions, opts.Final = true, true
		if result := syncNow(t, opts); result.Copied != 12 || !result.Proof.Equal {
			t.Fatalf("leg %d: %+v", i, result)
		}
		if result := syncNow(t, opts); result.Copied != 0 {
			t.Fatalf("leg %d, again: %+v", i, result)
		}
	}
	deletesByID(t, via, "a/live")
	var got []string
	for _, line := range told(t, minioServer, "from") {
		if line != "mixed (marker)" {
			got = append(got, line)
		}
	}
	if want := told(t, minioServer, "back"); !slices.Equal(got, want) {
		t.Errorf("there and back again\n%s\nis\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Stores of which Crossfade reads no versions are refused, with their names.
func TestB17_DirectoriesAreRefused(t *testing.T) {
	server := fakeS3(t)
	from := onFake(t, server, "from")
	must(t, from.Make(t.Context()))
	dir, err := file.Open(t.Context(), file.Options{Dir: t.TempDir()})
	must(t, err)
	opts := optionsFor(t, from, dir)
	opts.Versions = true
	if text := refusals(t, opts); !strings.Contains(text, "neither reads nor writes versions of file://") {
		t.Errorf("refused is only: %s", text)
	}
}
