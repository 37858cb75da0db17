package bucketsync_test

import (
	"net/http"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
)

// What the SDK makes again by itself is in the result and in the progress, as is what the engine makes again.
func TestRetries_OfTheSDKAreCounted(t *testing.T) {
	to := fakeS3(t)
	source, dest := onFake(t, fakeS3(t), "data"), onFake(t, to, "copy")
	must(t, source.Make(t.Context()))
	must(t, dest.Make(t.Context()))
	put(t, source, "a", "text", bucket.Properties{})
	to.Inject(s3fake.Fault{Op: s3fake.Put, Times: 1, Status: http.StatusInternalServerError, Code: "InternalError"})
	opts := optionsFor(t, source, dest)
	var last bucketsync.Progress
	opts.Progress = func(p bucketsync.Progress) { last = p }
	result := syncNow(t, opts)
	if result.Copied != 1 || result.Retries != 1 || last.Retries != 1 || to.Calls(s3fake.Put) != 2 {
		t.Errorf("copied %d by %d requests, %d in the result and %d in the progress as made again", result.Copied, to.Calls(s3fake.Put), result.Retries, last.Retries)
	}
}
