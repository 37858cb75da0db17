package buckettest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/minio/crc64nvme"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// errCut stands for a kill of the process.
var errCut = errors.New("cut off on purpose")

// uploading is one object that is put in parts, again and again until it is there.
type uploading struct {
	key     string
	content []byte
	props   bucket.Properties

	mu    sync.Mutex
	state bucket.UploadState
	notes int
	cut   int // the note that is not answered any more; 0 is none
	kept  bool
	again []int64 // offsets of what was read again
}

// note takes a note, or ends the process in it: before it is on file, or after.
func (u *uploading) note(n bucket.UploadNote) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.notes++
	switch {
	case u.cut == 0 || u.notes < u.cut:
		u.state.Add(n)
		return nil
	case u.notes == u.cut && u.kept:
		u.state.Add(n)
	}
	return errCut
}

// put is one process.
func (u *uploading) put(ctx context.Context, b bucket.Bucket, opts bucket.PutOptions) (bucket.Object, error) {
	u.mu.Lock()
	state := u.state.Clone()
	u.again = nil
	u.mu.Unlock()
	opts.Properties = u.props
	opts.Upload = &bucket.Upload{State: state, Note: u.note, Read: func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.again = append(u.again, offset)
		return io.NopCloser(bytes.NewReader(u.content[offset : offset+length])), nil
	}}
	size := int64(len(u.content))
	body := &hashedBody{Reader: bytes.NewReader(u.content[state.Offset(size):]), content: u.content}
	return b.Put(ctx, u.key, body, size, opts)
}

// hashedBody knows the digests of the whole content, wherever it begins.
type hashedBody struct {
	io.Reader
	content []byte
}

func (h *hashedBody) Digests() []bucket.Digest {
	md5Sum, sha := md5.Sum(h.content), sha256.Sum256(h.content)
	crc := crc64nvme.New()
	_, _ = crc.Write(h.content) // a hash takes every write
	return []bucket.Digest{
		{Algorithm: bucket.MD5, Value: hex.EncodeToString(md5Sum[:])}, {Algorithm: bucket.SHA256, Value: hex.EncodeToString(sha[:])},
		{Algorithm: bucket.CRC64NVME, Value: hex.EncodeToString(crc.Sum(nil))},
	}
}

// unknown aborts what was begun without anybody knowing its ID, as the contract of the notes lets one tell it.
func (u *uploading) unknown(t *testing.T, r bucket.Resumer) {
	t.Helper()
	if !u.state.Opening {
		return
	}
	found, err := r.Unfinished(t.Context(), u.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range found {
		if one.Parts == 0 && !slices.Contains(u.state.Others, one.ID) {
			if err := r.Abort(t.Context(), u.key, one.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	u.state = bucket.UploadState{}
}

func resumer(t *testing.T, b bucket.Bucket) bucket.Resumer {
	t.Helper()
	r, ok := b.(bucket.Resumer)
	if !ok || !b.Describe().Resumes {
		t.Fatal("the driver does not say that it goes on with writes in parts")
	}
	return r
}

// checkResume cuts a write off at each of its notes, before and after it is on file, and goes on.
func checkResume(t *testing.T, d Driver) {
	b := fresh(t, d)
	r := resumer(t, b)
	const parts = 3
	content := data(7, (parts-1)*d.ResumeSize+1000)
	props := bucket.Properties{ContentType: "text/x-test", Metadata: map[string]string{"owner": "shop"}}
	whole := &uploading{key: "whole", content: content, props: props}
	if _, err := whole.put(t.Context(), b, bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if whole.state.ID == "" || whole.state.Read != parts || len(whole.state.Tags) != parts || !whole.state.Completes {
		t.Fatalf("the notes of a write in %d parts come to %+v", parts, whole.state)
	}
	if obj := head(t, b, "whole"); whole.state.ETag != "" && whole.state.ETag != obj.ETag {
		t.Errorf("the ETag was to be %s and is %s", whole.state.ETag, obj.ETag)
	}
	for cut := 1; cut <= whole.notes; cut++ {
		for _, kept := range []bool{false, true} {
			u := &uploading{key: fmt.Sprintf("cut%02d-%v", cut, kept), content: content, props: props, cut: cut, kept: kept}
			if _, err := u.put(t.Context(), b, bucket.PutOptions{IfAbsent: true}); !errors.Is(err, errCut) {
				t.Fatalf("cut at note %d: %v", cut, err)
			}
			if _, err := b.Head(t.Context(), u.key); !errors.Is(err, bucket.ErrNotExist) && (!d.LastPartMakes || !u.state.Completes) {
				t.Fatalf("cut at note %d: an object is there: %v", cut, err)
			}
			u.unknown(t, r)
			u.cut = 0
			noted := u.state.Clone()
			obj, err := u.put(t.Context(), b, bucket.PutOptions{IfAbsent: true})
			if err != nil {
				t.Fatalf("cut at note %d of %d, kept %v, going on from %+v: %v", cut, whole.notes, kept, noted, err)
			}
			if u.state.ID != noted.ID && noted.ID != "" {
				t.Errorf("cut at note %d: another upload was begun", cut)
			}
			for part := range noted.Tags {
				if slices.Contains(u.again, int64(part-1)*d.ResumeSize) {
					t.Errorf("cut at note %d: part %d had been acknowledged and was read again", cut, part)
				}
			}
			if bucket.Compare(obj.Digests, (&hashedBody{content: content}).Digests()) != bucket.Same {
				t.Errorf("cut at note %d: what was gone on with is acknowledged with %v", cut, obj.Digests)
			}
			wantContent(t, b, u.key, content)
			wantProperties(t, *head(t, b, u.key).Properties, props)
			if left, err := r.Unfinished(t.Context(), u.key); err != nil || len(left) > 0 {
				t.Errorf("cut at note %d: %+v is left, %v", cut, left, err)
			}
			if err := b.Delete(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkUnfinished leaves uploads under way, one of them somebody else's, and drops the own one.
func checkUnfinished(t *testing.T, d Driver) {
	b := fresh(t, d)
	r := resumer(t, b)
	content := data(8, 2*d.ResumeSize+1)
	begin := func(key string) *uploading {
		u := &uploading{key: key, content: content, cut: 4, kept: true}
		if _, err := u.put(t.Context(), b, bucket.PutOptions{}); !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		return u
	}
	foreign, own, beside := begin("key"), begin("key"), begin("key2")
	if foreign.state.ID == own.state.ID {
		t.Fatal("two uploads have one ID")
	}
	told, err := r.Unfinished(t.Context(), "key")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // aborting what is gone is no error
		if err := r.Abort(t.Context(), "key", own.state.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := own.put(t.Context(), b, bucket.PutOptions{}); len(told) > 0 && !errors.Is(err, bucket.ErrUploadGone) {
		t.Errorf("an aborted upload is gone on with: %v", err)
	}
	if len(told) > 0 {
		if len(told) != 2 {
			t.Errorf("the unfinished uploads are %+v", told)
		}
		left, err := r.Unfinished(t.Context(), "key")
		if err != nil || len(left) != 1 || left[0].ID != foreign.state.ID || left[0].Begun.IsZero() {
			t.Errorf("after the own upload was aborted, %+v is under way, %v", left, err)
		}
	}
	for _, u := range []*uploading{foreign, beside} {
		u.cut = 0
		if _, err := u.put(t.Context(), b, bucket.PutOptions{}); err != nil {
			t.Errorf("what was begun under %q beside an upload that was aborted cannot be gone on with: %v", u.key, err)
		}
		wantContent(t, b, u.key, content)
	}
}
