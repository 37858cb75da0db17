package s3fake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
)

const partSize = 5 << 20

func start(t *testing.T) (*s3fake.Server, *s3.Bucket) {
	t.Helper()
	server := s3fake.Start(s3fake.Options{})
	t.Cleanup(server.Close)
	b, err := s3.Open(t.Context(), s3.Options{
		Bucket: "test", Endpoint: server.URL(), Complete: true, Region: "us-east-1", PartSize: partSize, PageSize: 3, Attempts: 1,
		Credentials: s3.Credentials{AccessKey: "key", SecretKey: "secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Make(t.Context()); err != nil {
		t.Fatal(err)
	}
	return server, b
}

func put(t *testing.T, b bucket.Bucket, key, content string) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, strings.NewReader(content), int64(len(content)), bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, b bucket.Bucket, key string, opts bucket.ReadOptions) (string, error) {
	t.Helper()
	body, _, err := b.Open(t.Context(), key, opts)
	if err != nil {
		return "", err
	}
	raw, err := io.ReadAll(body)
	return string(raw), errors.Join(err, body.Close())
}

func list(t *testing.T, b bucket.Bucket, opts bucket.ListOptions) ([]string, error) {
	t.Helper()
	var keys []string
	for obj, err := range b.List(t.Context(), opts) {
		if err != nil {
			return keys, err
		}
		keys = append(keys, obj.Key)
	}
	return keys, nil
}

func TestFaultsAreShown(t *testing.T) {
	const content = "the content of an object"
	for name, c := range map[string]struct {
		fault s3fake.Fault
		try   func(t *testing.T, b *s3.Bucket) error
		want  error
	}{
		"slow down": {
			s3fake.Fault{Op: s3fake.Head, Status: http.StatusServiceUnavailable, Code: "SlowDown"},
			func(t *testing.T, b *s3.Bucket) error { _, err := b.Head(t.Context(), "key"); return err }, bucket.ErrSlowDown,
		},
		"precondition": {
			s3fake.Fault{Op: s3fake.Put, Status: http.StatusPreconditionFailed, Code: "PreconditionFailed"},
			func(t *testing.T, b *s3.Bucket) error {
				_, err := b.Put(t.Context(), "key", strings.NewReader("x"), 1, bucket.PutOptions{})
				return err
			}, bucket.ErrPrecondition,
		},
		"body cut": {
			s3fake.Fault{Op: s3fake.Get, Cut: 5},
			func(t *testing.T, b *s3.Bucket) error { _, err := read(t, b, "key", bucket.ReadOptions{}); return err }, io.ErrUnexpectedEOF,
		},
		"listing cut": {
			s3fake.Fault{Op: s3fake.List, Skip: 1, Cut: 200},
			func(t *testing.T, b *s3.Bucket) error { _, err := list(t, b, bucket.ListOptions{}); return err }, nil,
		},
		"reset": {
			s3fake.Fault{Op: s3fake.Get, Reset: true},
			func(t *testing.T, b *s3.Bucket) error { _, err := read(t, b, "key", bucket.ReadOptions{}); return err }, nil,
		},
		"slow, and then broken": {
			s3fake.Fault{Op: s3fake.Get, Wait: func(context.Context, string) error { return errors.New("broken") }},
			func(t *testing.T, b *s3.Bucket) error { _, err := read(t, b, "key", bucket.ReadOptions{}); return err }, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, b := start(t)
			for _, key := range []string{"key", "l1", "l2", "l3", "l4"} {
				put(t, b, key, content)
			}
			if err := c.try(t, b); err != nil && c.fault.Op != s3fake.Put {
				t.Fatalf("without the fault: %v", err)
			}
			server.Inject(c.fault)
			err := c.try(t, b)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestLiesAreTold(t *testing.T) {
	server, b := start(t)
	put(t, b, "key", "aaaabbbb")
	server.Inject(s3fake.Fault{Op: s3fake.Get, Times: 1, Torn: []byte("cccc")}, s3fake.Fault{Op: s3fake.Get, Times: 1, Short: 3})
	if got, err := read(t, b, "key", bucket.ReadOptions{}); err != nil || got != "aaaacccc" {
		t.Errorf("a torn read is %q, %v", got, err)
	}
	if got, err := read(t, b, "key", bucket.ReadOptions{}); err != nil || got != "aaaab" {
		t.Errorf("a short one is %q, %v", got, err)
	}
	if got, err := read(t, b, "key", bucket.ReadOptions{}); err != nil || got != "aaaabbbb" {
		t.Errorf("then it is %q, %v", got, err)
	}
}

func TestOrders(t *testing.T) {
	for order, want := range map[s3fake.Order]string{
		s3fake.InOrder: "A-B A/dat1 B \ufe00 \U0001F600", s3fake.UTF16: "A-B A/dat1 B \U0001F600 \ufe00", s3fake.FoldersLast: "A-B A/dat1 B \ufe00 \U0001F600",
	} {
		server, b := start(t)
		for _, key := range strings.Split(want, " ") {
			put(t, b, key, key)
		}
		server.Inject(s3fake.Fault{Op: s3fake.List, Order: order})
		if got, err := list(t, b, bucket.ListOptions{}); err != nil || strings.Join(got, " ") != want {
			t.Errorf("order %d is %q, %v, want %q", order, got, err, want)
		}
	}
	server, b := start(t)
	var sorted []string
	for i := range 20 {
		key := fmt.Sprintf("%02d", i)
		sorted = append(sorted, key)
		put(t, b, key, key)
	}
	server.Inject(s3fake.Fault{Op: s3fake.List, Order: s3fake.Shuffled})
	got, err := list(t, b, bucket.ListOptions{})
	if err != nil || len(got) != 20 || strings.Join(got, " ") == strings.Join(sorted, " ") {
		t.Errorf("shuffled it is %q, %v", got, err)
	}
}

func TestLostAnswerHappened(t *testing.T) {
	server, b := start(t)
	server.Inject(s3fake.Fault{Op: s3fake.Put, Times: 1, Lost: true})
	if _, err := b.Put(t.Context(), "key", strings.NewReader("x"), 1, bucket.PutOptions{}); err == nil {
		t.Error("the lost answer arrived")
	}
	if got, err := read(t, b, "key", bucket.ReadOptions{}); err != nil || got != "x" {
		t.Errorf("it reads %q, %v", got, err)
	}
}

func TestPartsFollowTheRules(t *testing.T) {
	server, b := start(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), partSize/16*2+7)
	if _, err := b.Put(t.Context(), "key", bytes.NewReader(content), int64(len(content)), bucket.PutOptions{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	obj, err := b.Head(t.Context(), "key")
	if err != nil || !strings.HasSuffix(obj.ETag, "-3") || obj.Size != int64(len(content)) {
		t.Errorf("got %+v, %v", obj, err)
	}
	if server.Unfinished() != 0 || server.Calls(s3fake.UploadPart) != 3 {
		t.Errorf("%d uploads are unfinished, %d parts were sent", server.Unfinished(), server.Calls(s3fake.UploadPart))
	}
	server.Inject(s3fake.Fault{Op: s3fake.AbortUpload, Reset: true})
	if _, err := b.Put(t.Context(), "key", bytes.NewReader(content), int64(len(content)), bucket.PutOptions{IfAbsent: true}); !errors.Is(err, bucket.ErrPrecondition) {
		t.Errorf("a second create: %v", err)
	}
	if server.Unfinished() != 1 {
		t.Errorf("%d uploads are unfinished, want the one that could not be aborted", server.Unfinished())
	}
	answer, err := http.Get(server.URL() + "/test?uploads")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil || strings.Count(string(raw), "<Upload>") != 1 {
		t.Errorf("the server lists %s, %v", raw, err)
	}
}

func TestCopyWithinTheServerDropsNothingUnlessTold(t *testing.T) {
	server, b := start(t)
	opts := bucket.PutOptions{Properties: bucket.Properties{ContentType: "text/plain", Tags: map[string]string{"k": "v"}}}
	if _, err := b.Put(t.Context(), "a", strings.NewReader("x"), 1, opts); err != nil {
		t.Fatal(err)
	}
	for key, directive := range map[string]string{"copied": "COPY", "replaced": "REPLACE"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL()+"/test/"+key, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("x-amz-copy-source", "/test/a")
		r.Header.Set("x-amz-metadata-directive", directive)
		r.Header.Set("x-amz-tagging-directive", directive)
		answer, err := http.DefaultClient.Do(r)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", answer, err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		obj, err := b.Head(t.Context(), key)
		if err != nil || (obj.Properties.ContentType == "text/plain") != (directive == "COPY") || (len(obj.Properties.Tags) == 1) != (directive == "COPY") {
			t.Errorf("%s: %+v, %v", directive, obj.Properties, err)
		}
	}
}

func TestSyntheticBucketsListAsRealOnes(t *testing.T) {
	server, b := start(t)
	server.Fill("test", s3fake.Synthetic{
		N: 1000, Key: func(i int) string { return fmt.Sprintf("k%03d/x", i) }, Size: func(i int) int64 { return int64(i) }, ETag: func(i int) string { return fmt.Sprintf("%032x", i) },
	})
	got, err := list(t, b, bucket.ListOptions{Prefix: "k1", After: "k150/x", Before: "k160"})
	if err != nil || len(got) != 9 || got[0] != "k151/x" || got[8] != "k159/x" {
		t.Errorf("listed %q, %v", got, err)
	}
	obj, err := b.Head(t.Context(), "k007/x")
	if err != nil || obj.Size != 7 || obj.ETag != fmt.Sprintf("%032x", 7) {
		t.Errorf("got %+v, %v", obj, err)
	}
	if all, err := list(t, b, bucket.ListOptions{}); err != nil || len(all) != 1000 {
		t.Errorf("listed %d, %v", len(all), err)
	}
}
