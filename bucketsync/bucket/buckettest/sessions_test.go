package buckettest_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/gcsfake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

const sessionPart = 1 << 20

// remembered is an upload whose notes are kept, until one fails.
type remembered struct {
	content []byte
	state   bucket.UploadState
	fail    func(bucket.UploadNote) error
}

func (u *remembered) put(ctx context.Context, b bucket.Bucket, opts bucket.PutOptions) (bucket.Object, error) {
	opts.Upload = &bucket.Upload{
		State: u.state.Clone(),
		Note: func(n bucket.UploadNote) error {
			if u.fail != nil {
				if err := u.fail(n); err != nil {
					return err
				}
			}
			u.state.Add(n)
			return nil
		},
		Read: func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(u.content[offset : offset+length])), nil
		},
	}
	size := int64(len(u.content))
	return b.Put(ctx, "key", &known{Reader: bytes.NewReader(u.content[opts.Upload.State.Offset(size):]), of: u.content}, size, opts)
}

// known knows the MD5 of the whole, as the engine's bodies do.
type known struct {
	io.Reader
	of []byte
}

func (k *known) Digests() []bucket.Digest {
	sum := md5.Sum(k.of)
	return []bucket.Digest{{Algorithm: bucket.MD5, Value: hex.EncodeToString(sum[:])}}
}

func sessions(t *testing.T, set func(*gcsfake.Server)) (*gcsfake.Server, bucket.Bucket, *remembered) {
	t.Helper()
	server, err := gcsfake.Start(shared.get(t, store.FakeGCS).Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	if set != nil {
		set(server)
	}
	b, err := gcs.Open(t.Context(), gcs.Options{
		Bucket: "sessions-" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())), Endpoint: server.URL(), Complete: true, Project: "test", PartSize: sessionPart,
		Credentials: gcs.Credentials{Anonymous: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Make(t.Context()); err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 3*sessionPart+1000)
	for i := range content {
		content[i] = byte(i>>10) + byte(i)
	}
	return server, b, &remembered{content: content}
}

func wantBytes(t *testing.T, b bucket.Bucket, want []byte) {
	t.Helper()
	body, _, err := b.Open(t.Context(), "key", bucket.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes are there, or others, of %d: %v", len(got), len(want), err)
	}
}

// The service may keep less than it was sent, and an answer may be lost: https://cloud.google.com/storage/docs/performing-resumable-uploads.
func TestB20_ASessionSendsNoByteTwiceThatIsKept(t *testing.T) {
	for name, set := range map[string]func(*gcsfake.Server){
		"kept in part": func(s *gcsfake.Server) { s.Keeps = func(sent int64) int64 { return max(sent/2, 256<<10) } },
		"lost answers": func(s *gcsfake.Server) {
			lost := map[string]bool{}
			s.Lose = func(byteRange string) bool {
				first := !lost[byteRange] && !strings.HasPrefix(byteRange, "bytes *")
				lost[byteRange] = true
				return first
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, b, u := sessions(t, set)
			if _, err := u.put(t.Context(), b, bucket.PutOptions{IfAbsent: true}); err != nil {
				t.Fatal(err)
			}
			wantBytes(t, b, u.content)
			if taken := server.Taken(); taken != int64(len(u.content)) || server.Open() != 0 {
				t.Errorf("%d bytes were taken of %d, and %d sessions are open", taken, len(u.content), server.Open())
			}
		})
	}
}

var errStopped = errors.New("stopped on purpose")

// A session makes its object on the condition with which it began.
func TestB05_ASessionOfAnotherConditionIsBegunAgain(t *testing.T) {
	server, b, u := sessions(t, nil)
	u.fail = func(n bucket.UploadNote) error {
		if n.Part == 2 {
			return errStopped
		}
		return nil
	}
	if _, err := u.put(t.Context(), b, bucket.PutOptions{}); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	u.fail = nil
	if _, err := u.put(t.Context(), b, bucket.PutOptions{IfAbsent: true}); !errors.Is(err, bucket.ErrUploadGone) || server.Open() != 0 {
		t.Fatalf("%d sessions are open: %v", server.Open(), err)
	}
	u.state = bucket.UploadState{}
	if _, err := u.put(t.Context(), b, bucket.PutOptions{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	u.state = bucket.UploadState{}
	if _, err := u.put(t.Context(), b, bucket.PutOptions{IfAbsent: true}); !errors.Is(err, bucket.ErrPrecondition) {
		t.Errorf("an object is written over that was to be absent: %v", err)
	}
}

// The last bytes make the object, so that a body of another length, or of another MD5, must be found out before them.
func TestB08_ASessionOfAnotherBodyMakesNoObject(t *testing.T) {
	other := md5.Sum(nil)
	for name, c := range map[string]struct {
		more []byte
		opts bucket.PutOptions
	}{"longer": {more: []byte("x")}, "another MD5": {opts: bucket.PutOptions{MD5: other[:]}}} {
		t.Run(name, func(t *testing.T) {
			_, b, u := sessions(t, nil)
			c.opts.Upload = &bucket.Upload{Note: func(bucket.UploadNote) error { return nil }}
			body := io.MultiReader(bytes.NewReader(u.content), bytes.NewReader(c.more))
			if _, err := b.Put(t.Context(), "key", body, int64(len(u.content)), c.opts); err == nil {
				t.Error("it is taken")
			}
			if _, err := b.Head(t.Context(), "key"); !errors.Is(err, bucket.ErrNotExist) {
				t.Errorf("an object is there: %v", err)
			}
		})
	}
}

// What is on file of a session lets nobody write who could not write anyway, and is of no use to other credentials.
func TestI09_ASessionIsOnFileSealed(t *testing.T) {
	server, b, u := sessions(t, nil)
	u.fail = func(n bucket.UploadNote) error {
		if n.Part == 1 {
			return errStopped
		}
		return nil
	}
	if _, err := u.put(t.Context(), b, bucket.PutOptions{}); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	if id := u.state.ID; id == "" || strings.Contains(id, "upload_id") || strings.Contains(id, "://") {
		t.Errorf("on file is %q", id)
	}
	u.fail, u.state.ID = nil, u.state.ID[:len(u.state.ID)-4]+"AAAA"
	if _, err := u.put(t.Context(), b, bucket.PutOptions{}); !errors.Is(err, bucket.ErrUploadGone) || server.Open() != 1 {
		t.Errorf("it is gone on with: %v", err)
	}
}
