package azure_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/azurefake"
)

func openLake(t *testing.T, server *azurefake.Server) *azure.Bucket {
	t.Helper()
	b, err := azure.Open(t.Context(), azure.Options{
		Account: azurefake.Account, Container: "lake", Endpoint: server.URL(), PageSize: 2, Attempts: 1, Credentials: azure.Credentials{AccountKey: azurefake.Key},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func listed(t *testing.T, b bucket.Bucket) string {
	t.Helper()
	var keys []string
	for obj, err := range b.List(t.Context(), bucket.ListOptions{Folders: true}) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, obj.Key)
	}
	return strings.Join(keys, " ")
}

// The account tells its namespace, and where it does not, its listings do.
func TestB01_TheNamespaceIsFoundOut(t *testing.T) {
	for name, opts := range map[string]azurefake.Options{"told": {}, "not told": {Secretive: true}} {
		t.Run(name, func(t *testing.T) {
			server := azurefake.Start(opts)
			t.Cleanup(server.Close)
			b := openLake(t, server)
			if err := b.Probe(t.Context()); err != nil { // there is no container yet
				t.Fatal(err)
			}
			if err := b.Make(t.Context()); err != nil {
				t.Fatal(err)
			}
			nested := func() bool { c := b.Describe(); return c.NoneBelow && c.FoldersEmpty && !c.Tags }
			if err := b.Probe(t.Context()); err != nil || nested() == opts.Secretive {
				t.Fatalf("of an empty container: %v, %v", nested(), err)
			}
			if err := server.MakeFile("lake", "d/x", []byte("x"), azurefake.Rights{}); err != nil {
				t.Fatal(err)
			}
			if opts.Secretive {
				// A listing finds it out before it gives anything away.
				if got := listed(t, openLake(t, server)); got != "d/ d/x" {
					t.Errorf("the listing shows %s", got)
				}
			}
			if err := b.Probe(t.Context()); err != nil || !nested() {
				t.Fatalf("%v, %v", nested(), err)
			}
			if b.Describe().Order != bucket.Unordered {
				t.Error("an order is claimed")
			}
			c, err := b.Configuration(t.Context())
			if err != nil || c.Other["hierarchical namespace"] == "" {
				t.Errorf("the configuration says %v, %v", c.Other, err)
			}
		})
	}
}

// A directory whose properties cannot be seen is never given away as an object, nor taken for one.
func TestB15_ADirectoryIsNoBlob(t *testing.T) {
	server := azurefake.Start(azurefake.Options{})
	t.Cleanup(server.Close)
	b := openLake(t, server)
	for _, err := range []error{b.Probe(t.Context()), b.Make(t.Context()), server.MakeDirectory("lake", "d/e", nil, azurefake.Rights{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for obj, err := range b.List(t.Context(), bucket.ListOptions{}) {
		t.Errorf("without being asked for, the listing shows %q, %v", obj.Key, err)
	}
	if _, err := b.Put(t.Context(), "d", strings.NewReader("x"), 1, bucket.PutOptions{}); !errors.Is(err, bucket.ErrUnsupported) {
		t.Errorf("a blob in place of a directory: %v", err)
	}
	if err := server.MakeFile("lake", "blob", []byte("x"), azurefake.Rights{}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"blob/", "blob/below"} {
		if _, err := b.Put(t.Context(), key, strings.NewReader(""), 0, bucket.PutOptions{}); !errors.Is(err, bucket.ErrUnsupported) {
			t.Errorf("%q in place of a blob, or below it: %v", key, err)
		}
	}
	if got := listed(t, b); got != "blob d/ d/e/" {
		t.Errorf("the listing shows %s", got)
	}
}

// IfAbsent and IfMatch hold of directories that are somebody's.
func TestB05_DirectoriesAreWrittenOnCondition(t *testing.T) {
	server := azurefake.Start(azurefake.Options{})
	t.Cleanup(server.Close)
	b := openLake(t, server)
	for _, err := range []error{b.Probe(t.Context()), b.Make(t.Context()), server.MakeDirectory("lake", "theirs", map[string]string{"owner": "them"}, azurefake.Rights{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ours := bucket.Properties{Metadata: map[string]string{"owner": "us"}}
	put := func(key string, opts bucket.PutOptions) (bucket.Object, error) {
		return b.Put(t.Context(), key, strings.NewReader(""), 0, opts)
	}
	if _, err := put("theirs/", bucket.PutOptions{Properties: ours, IfAbsent: true}); !errors.Is(err, bucket.ErrPrecondition) {
		t.Errorf("another's directory is written over: %v", err)
	}
	if _, err := put("gone/", bucket.PutOptions{Properties: ours, IfMatch: bucket.Object{ETag: "0x1"}}); !errors.Is(err, bucket.ErrPrecondition) {
		t.Errorf("a directory that is gone is made: %v", err)
	}
	first, err := put("ours/", bucket.PutOptions{IfAbsent: true})
	if err != nil {
		t.Fatal(err)
	}
	second, err := put("ours/", bucket.PutOptions{Properties: ours, IfMatch: first})
	if err != nil || second.ETag == first.ETag {
		t.Fatalf("%+v, %v", second, err)
	}
	if _, err := put("ours/", bucket.PutOptions{IfMatch: first}); !errors.Is(err, bucket.ErrPrecondition) {
		t.Errorf("a condition that does not hold: %v", err)
	}
	// A marker without properties takes those of the one before away.
	third, err := put("ours/", bucket.PutOptions{IfMatch: second})
	if err != nil {
		t.Fatal(err)
	}
	head, err := b.Head(t.Context(), "ours/")
	if err != nil || head.ETag != third.ETag || len(head.Properties.Metadata) != 0 || head.Folder != bucket.FolderEmpty {
		t.Errorf("%+v, %v", head, err)
	}
	// Where nothing would change, nothing is written.
	if same, err := put("ours/", bucket.PutOptions{IfAbsent: true}); err != nil || same.ETag != third.ETag {
		t.Errorf("a marker for a directory that is there: %+v, %v", same, err)
	}
	if err := b.Delete(t.Context(), bucket.Object{Key: "ours/", ETag: first.ETag}); !errors.Is(err, bucket.ErrPrecondition) {
		t.Errorf("a directory is deleted that is another by now: %v", err)
	}
}

// A blob of the other API is not written over in blocks: what was to be written is an error, and the blob stays.
func TestB03_BlobsOfTheOtherAPIAreNotWrittenOverInBlocks(t *testing.T) {
	server := azurefake.Start(azurefake.Options{})
	t.Cleanup(server.Close)
	b, err := azure.Open(t.Context(), azure.Options{
		Account: azurefake.Account, Container: "lake", Endpoint: server.URL(), PartSize: 10, Attempts: 1, Credentials: azure.Credentials{AccountKey: azurefake.Key},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{b.Probe(t.Context()), b.Make(t.Context()), server.MakeFile("lake", "file", []byte("theirs"), azurefake.Rights{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int{25, 10} {
		refused := size > 10
		before, err := b.Head(t.Context(), "file")
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Put(t.Context(), "file", strings.NewReader(strings.Repeat("x", size)), int64(size), bucket.PutOptions{IfMatch: before})
		after, herr := b.Head(t.Context(), "file")
		if herr != nil || (err != nil) != refused || (after.ETag == before.ETag) != refused {
			t.Errorf("%d bytes: %v, %v; from %s to %s", size, err, herr, before.ETag, after.ETag)
		}
	}
}
