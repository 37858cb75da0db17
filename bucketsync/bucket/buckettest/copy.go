package buckettest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// checkCopy copies within the server at sizes around the one from which on it is done in parts, from objects of one piece
// and of several.
func checkCopy(t *testing.T, d Driver) {
	from, to := fresh(t, d), fresh(t, d)
	copier, ok := to.(bucket.Copier)
	if !ok || !to.Describe().Copies {
		t.Fatal("the driver does not say that it copies within the server")
	}
	r, resumes := to.(bucket.Resumer)
	old := bucket.Properties{ContentType: "text/x-old", Metadata: map[string]string{"owner": "old", "only": "source"}}
	want := bucket.Properties{
		ContentType: "text/x-new", ContentEncoding: "br", ContentLanguage: "de", ContentDisposition: "inline", CacheControl: "no-store",
		Metadata: map[string]string{"owner": "new"},
	}
	if to.Describe().Tags {
		old.Tags, want.Tags = map[string]string{"team": "old"}, map[string]string{"team": "new", "tier": "1"}
	}
	for _, size := range []int64{1, d.CopySize - 1, d.CopySize, d.CopySize + 1, 2*d.PartSize + 1} {
		key := fmt.Sprintf("a key+%%25/of %d", size)
		content := data(uint64(size), size)
		put(t, from, key, content, bucket.PutOptions{Properties: old})
		src := head(t, from, key)
		copied, err := copier.CopyFrom(t.Context(), key, from, src, bucket.PutOptions{Properties: want, IfAbsent: true})
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		wantContent(t, to, key, content)
		stored := head(t, to, key)
		wantProperties(t, *stored.Properties, want)
		if copied.ETag != stored.ETag || copied.Size != size || copied.Key != key {
			t.Errorf("%d bytes: the copy is acknowledged as %+v and is %+v", size, copied, stored)
		}
		digests := append(stored.Digests, copied.Digests...)
		if rel := bucket.Compare(src.Digests, digests); rel == bucket.Different || rel == bucket.Unknown && !copied.Proven {
			t.Logf("%d bytes: nothing proves the copy: the source has %v, ETag %s, the copy %v, ETag %s", size, src.Digests, src.ETag, digests, stored.ETag)
			if rel == bucket.Different {
				t.Errorf("%d bytes: the digests of the copy differ", size)
			}
		}

		// Conditions hold on both sides, and what fails leaves nothing.
		wantPrecondition := func(what string, src bucket.Object, opts bucket.PutOptions) {
			t.Helper()
			opts.Properties = old
			if _, err := copier.CopyFrom(t.Context(), key, from, src, opts); !errors.Is(err, bucket.ErrPrecondition) {
				t.Errorf("%d bytes: %s: %v", size, what, err)
			}
			wantProperties(t, *head(t, to, key).Properties, want)
		}
		wantPrecondition("a copy over what was to be absent", src, bucket.PutOptions{IfAbsent: true})
		put(t, to, "other", []byte("x"), bucket.PutOptions{})
		wantPrecondition("a copy over another object than was seen", src, bucket.PutOptions{IfMatch: head(t, to, "other")})
		put(t, from, key, data(uint64(size)+7, size), bucket.PutOptions{Properties: old})
		wantPrecondition("a copy of a source that was overwritten", src, bucket.PutOptions{IfMatch: stored})
		wantContent(t, to, key, content)
		if resumes {
			if left, err := r.Unfinished(t.Context(), key); err != nil || len(left) > 0 {
				t.Errorf("%d bytes: %+v is left, %v", size, left, err)
			}
		}
		now := head(t, from, key)
		if _, err := copier.CopyFrom(t.Context(), key, from, now, bucket.PutOptions{Properties: old, IfMatch: stored}); err != nil {
			t.Errorf("%d bytes: a copy over what was seen: %v", size, err)
		}
		wantProperties(t, *head(t, to, key).Properties, old)
	}
	elsewhere := bucket.Sub(to, "prefix/")
	if _, err := elsewhere.(bucket.Copier).CopyFrom(t.Context(), "key", bucket.Sub(from, "a key+%25/"), bucket.Object{Key: "of 1", Size: 1, ETag: head(t, from, "a key+%25/of 1").ETag}, bucket.PutOptions{}); err != nil {
		t.Errorf("a copy between parts of buckets: %v", err)
	}
	head(t, to, "prefix/key")
	if _, err := copier.CopyFrom(t.Context(), "key", NewFaulty(from), bucket.Object{Key: "x", Size: 1, ETag: "y"}, bucket.PutOptions{}); !errors.Is(err, bucket.ErrUnsupported) {
		t.Errorf("a copy from a bucket of another driver: %v", err)
	}
}
