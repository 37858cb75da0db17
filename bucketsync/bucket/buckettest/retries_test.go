package buckettest_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// What an SDK makes again by itself is counted, for every driver that has one, and once; what is asked anew by whoever calls is not.
func TestRetriesOfSDKsAreCounted(t *testing.T) {
	for name, open := range map[string]func(*store.Server) buckettest.Driver{"s3": s3Driver, "minio": minioDriver, "gcs": gcsDriver, "azure": azureDriver} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1) == 1 {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				w.WriteHeader(http.StatusNotFound)
			}))
			defer server.Close()
			at := &store.Server{Endpoint: server.URL, Region: "us-east-1", AccessKey: "account", SecretKey: "c2VjcmV0"}
			b, err := open(at).Open(t, buckettest.At{Bucket: "bucket", Endpoint: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			retried, ok := b.(bucket.Retried)
			if !ok {
				t.Fatal("it does not tell")
			}
			for range 2 {
				if _, err := b.Head(bucket.OneCall(t.Context()), "key"); !errors.Is(err, bucket.ErrNotExist) {
					t.Fatal(err)
				}
			}
			if asked.Load() != 3 || retried.Retries() != 1 {
				t.Errorf("%d requests, of which %d are counted as made again, want 3 and 1", asked.Load(), retried.Retries())
			}
		})
	}
}
