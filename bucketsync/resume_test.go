package bucketsync_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const (
	part  = 5 << 20
	parts = 5
)

// reads counts the bytes that are read from a bucket.
type reads struct {
	bucket.Bucket
	bytes atomic.Int64
}

func (r *reads) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	body, obj, err := r.Bucket.Open(ctx, key, opts)
	if err != nil {
		return nil, obj, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(body, counter{r}), body}, obj, nil
}

type counter struct{ *reads }

func (c counter) Write(p []byte) (int, error) {
	c.bytes.Add(int64(len(p)))
	return len(p), nil
}

// cutOff is a source with one large object and a fake S3 as destination.
type cutOff struct {
	server  *s3fake.Server
	from    *reads
	to      *s3.Bucket
	opts    bucketsync.Options
	content []byte
}

func newCutOff(t *testing.T) *cutOff {
	t.Helper()
	c := &cutOff{server: s3fake.Start(s3fake.Options{})}
	t.Cleanup(c.server.Close)
	source, err := memory.Open(t.Context(), memory.Options{Name: "source"})
	must(t, err)
	c.from = &reads{Bucket: source}
	c.to, err = s3.Open(t.Context(), s3.Options{
		Bucket: "to", Endpoint: c.server.URL(), Complete: true, Region: "us-east-1", PartSize: part, Workers: 1, Attempts: 1,
		Credentials: s3.Credentials{AccessKey: "key", SecretKey: "secret"},
	})
	must(t, err)
	must(t, c.to.Make(t.Context()))
	c.opts = bucketsync.Options{
		Migration: "m", Stage: "sync", Name: "b", From: c.from, To: c.to, Manifest: filepath.Join(t.TempDir(), "manifest"), Delete: true,
	}
	c.write(t, 1)
	return c
}

// write puts another content under the key.
func (c *cutOff) write(t *testing.T, seed byte) {
	t.Helper()
	c.content = make([]byte, (parts-1)*part+1000)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(c.content) // never fails
	_, err := c.from.Put(t.Context(), "large", bytes.NewReader(c.content), int64(len(c.content)), bucket.PutOptions{
		Properties: bucket.Properties{ContentType: "text/x-test", Metadata: map[string]string{"owner": "shop"}},
	})
	must(t, err)
}

func (c *cutOff) sync(ctx context.Context, t *testing.T) (bucketsync.Result, error) {
	t.Helper()
	p, err := bucketsync.Plan(t.Context(), c.opts)
	must(t, err)
	return bucketsync.Apply(ctx, p, &plan.MemoryRecorder{}, c.opts)
}

// interrupt runs a sync that ends at a part's upload, with so many sent.
func (c *cutOff) interrupt(t *testing.T, sent int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c.server.Inject(s3fake.Fault{Op: s3fake.UploadPart, Skip: sent, Times: 10, Wait: func(context.Context, string) error {
		cancel()
		return errors.New("interrupted")
	}})
	if _, err := c.sync(ctx, t); !errors.Is(err, context.Canceled) {
		t.Fatalf("an interrupted sync ends with %v", err)
	}
	c.server.Heal()
	if c.server.Unfinished() != 1 {
		t.Fatalf("%d uploads are kept", c.server.Unfinished())
	}
}

// wantDone demands that the destination has what the source has, and nothing is left over.
func (c *cutOff) wantDone(t *testing.T) {
	t.Helper()
	body, _, err := c.to.Open(t.Context(), "large", bucket.ReadOptions{})
	must(t, err)
	got, err := io.ReadAll(body)
	must(t, errors.Join(err, body.Close()))
	if !bytes.Equal(got, c.content) {
		t.Error("the destination has other bytes than the source")
	}
	head, err := c.to.Head(t.Context(), "large")
	must(t, err)
	if head.Properties.Metadata["owner"] != "shop" || head.Properties.ContentType != "text/x-test" {
		t.Errorf("the destination's properties are %+v", head.Properties)
	}
	c.wantNothingLeft(t, 0)
	if result, err := c.sync(t.Context(), t); err != nil || result.Copied != 0 {
		t.Errorf("after that a sync does %+v, %v", result, err)
	}
}

func (c *cutOff) wantNothingLeft(t *testing.T, foreign int) {
	t.Helper()
	if n := c.server.Unfinished(); n != foreign {
		t.Errorf("%d uploads are left", n)
	}
	if left, err := filepath.Glob(c.opts.Manifest + ".*"); err != nil || len(left) > 0 {
		t.Errorf("%q is left, %v", left, err)
	}
}

func TestB20_OnlyPartsInFlightAreCopiedAgain(t *testing.T) {
	for sent := range parts {
		c := newCutOff(t)
		c.interrupt(t, sent)
		if c.from.bytes.Load() > int64(len(c.content)) {
			t.Fatal("the first run read something twice")
		}
		before := c.server.Calls(s3fake.UploadPart)
		c.from.bytes.Store(0)
		result, err := c.sync(t.Context(), t)
		must(t, err)
		if result.Copied != 1 || result.Evidence[bucketsync.Acknowledged] != 1 {
			t.Errorf("after %d parts: %+v", sent, result)
		}
		if again := c.server.Calls(s3fake.UploadPart) - before; again != parts-sent {
			t.Errorf("%d parts had arrived, and %d of %d were sent after that", sent, again, parts)
		}
		if read := c.from.bytes.Load(); read > int64(parts-sent)*part {
			t.Errorf("%d parts had arrived, and %d bytes were read after that", sent, read)
		}
		if c.server.Calls(s3fake.CreateUpload) != 1 {
			t.Errorf("%d uploads were begun", c.server.Calls(s3fake.CreateUpload))
		}
		c.wantDone(t)
	}
}

// A failure of the moment in the middle of an upload is no reason to send again what has arrived.
func TestB20_AFailureOfTheMomentKeepsThePartsThatArrived(t *testing.T) {
	c := newCutOff(t)
	c.server.Inject(s3fake.Fault{Op: s3fake.UploadPart, Skip: 2, Times: 1, Status: http.StatusServiceUnavailable, Code: "SlowDown"})
	_, err := c.sync(t.Context(), t)
	must(t, err)
	if n := c.server.Calls(s3fake.UploadPart); n > parts+2 {
		t.Errorf("%d parts were sent of %d", n, parts)
	}
	c.wantDone(t)
}

// The answer to the last request of an upload is lost: the object is there, and is known again.
func TestB20_ALostAnswerIsNotCopiedAgain(t *testing.T) {
	for name, cut := range map[string]bool{"in one run": false, "in two": true} {
		t.Run(name, func(t *testing.T) {
			c := newCutOff(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c.server.Inject(s3fake.Fault{Op: s3fake.CompleteUpload, Times: 1, Lost: true, Wait: func(context.Context, string) error {
				if cut {
					cancel()
				}
				return nil
			}})
			if _, err := c.sync(ctx, t); (err != nil) != cut {
				t.Fatal(err)
			}
			if cut {
				result, err := c.sync(t.Context(), t)
				must(t, err)
				if result.Copied != 1 || result.Evidence[bucketsync.Acknowledged] != 1 {
					t.Errorf("%+v", result)
				}
			}
			if n := c.server.Calls(s3fake.UploadPart); n != parts {
				t.Errorf("%d parts were sent of %d", n, parts)
			}
			c.wantDone(t)
		})
	}
}

func TestB15_AnUploadWhoseSourceHasMovedIsAborted(t *testing.T) {
	c := newCutOff(t)
	c.interrupt(t, 2)
	c.write(t, 2)
	before := c.server.Calls(s3fake.UploadPart)
	_, err := c.sync(t.Context(), t)
	must(t, err)
	if n := c.server.Calls(s3fake.UploadPart) - before; n != parts || c.server.Calls(s3fake.AbortUpload) != 1 {
		t.Errorf("of the new content %d parts were sent of %d, %d uploads aborted", n, parts, c.server.Calls(s3fake.AbortUpload))
	}
	c.wantDone(t)
}

func TestB15_AnUploadThatNobodyWantsIsAborted(t *testing.T) {
	c := newCutOff(t)
	c.interrupt(t, 2)
	must(t, c.from.Delete(t.Context(), bucket.Object{Key: "large"}))
	p, err := bucketsync.Plan(t.Context(), c.opts)
	must(t, err)
	if planned, err := bucketsync.PlannedOf(p); err != nil || !planned.Unsettled || planned.Idle() {
		t.Errorf("the plan has nothing to do: %+v, %v", planned, err)
	}
	_, err = c.sync(t.Context(), t)
	must(t, err)
	c.wantNothingLeft(t, 0)
}

// Uploads of others under the same key are theirs, also where an own one began whose ID nobody was told.
func TestI03_OthersUploadsAreLeftAlone(t *testing.T) {
	c := newCutOff(t)
	begin := func() {
		answer, err := http.Post(c.server.URL()+"/to/large?uploads", "", strings.NewReader(""))
		must(t, err)
		must(t, answer.Body.Close())
	}
	begin()
	c.server.Inject(s3fake.Fault{Op: s3fake.CreateUpload, Times: 1, Lost: true})
	_, err := c.sync(t.Context(), t)
	must(t, err)
	if n := c.server.Calls(s3fake.CreateUpload); n != 3 {
		t.Fatalf("%d uploads were begun", n)
	}
	c.wantNothingLeft(t, 1)
	if _, err := os.Stat(c.opts.Manifest); err != nil {
		t.Error(err)
	}
}

// A run that is interrupted and remembers nothing leaves nothing.
func TestB15_WithoutAManifestNothingIsLeft(t *testing.T) {
	c := newCutOff(t)
	c.opts.Manifest, c.opts.Delete = "", false
	ctx, cancel := context.WithCancel(t.Context())
	c.server.Inject(s3fake.Fault{Op: s3fake.UploadPart, Skip: 2, Times: 10, Wait: func(context.Context, string) error {
		cancel()
		return errors.New("interrupted")
	}})
	if _, err := c.sync(ctx, t); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n := c.server.Unfinished(); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// A run that was killed when all was copied, and only its notes were not in order, leaves that to the next.
func TestB20_NotesThatAKillLeftArePutInOrder(t *testing.T) {
	c := newCutOff(t)
	_, err := c.sync(t.Context(), t)
	must(t, err)
	manifest, err := os.ReadFile(c.opts.Manifest)
	must(t, err)
	must(t, os.Rename(c.opts.Manifest, c.opts.Manifest+".log"))
	p, err := bucketsync.Plan(t.Context(), c.opts)
	must(t, err)
	if planned, err := bucketsync.PlannedOf(p); err != nil || planned.Idle() {
		t.Errorf("the plan has nothing to do: %+v, %v", planned, err)
	}
	_, err = c.sync(t.Context(), t)
	must(t, err)
	c.wantNothingLeft(t, 0)
	if again, err := os.ReadFile(c.opts.Manifest); err != nil || !bytes.Equal(again, manifest) {
		t.Errorf("the manifest was %s and is %s, %v", manifest, again, err)
	}
}
