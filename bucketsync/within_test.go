package bucketsync_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/s3fake"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// oneServer is a source and a destination on one fake S3, with objects around the size above which a copy is made of parts.
type oneServer struct {
	server   *s3fake.Server
	from, to *s3.Bucket
	opts     bucketsync.Options
	log      bytes.Buffer
	want     map[string][]byte
}

func newOneServer(t *testing.T) *oneServer {
	t.Helper()
	o := &oneServer{server: s3fake.Start(s3fake.Options{MaxCopy: part}), want: map[string][]byte{}}
	t.Cleanup(o.server.Close)
	open := func(name string) *s3.Bucket {
		b, err := s3.Open(t.Context(), s3.Options{
			Bucket: name, Endpoint: o.server.URL(), Complete: true, Region: "us-east-1", PartSize: part, CopySize: part, Attempts: 1,
			Credentials: s3.Credentials{AccessKey: "key", SecretKey: "secret"},
		})
		must(t, err)
		must(t, b.Make(t.Context()))
		return b
	}
	o.from, o.to = open("from"), open("to")
	for _, size := range []int{0, 1, part - 1, part, part + 1, 3*part + 7} {
		key := fmt.Sprintf("of %d", size)
		content := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(content) // never fails
		o.want[key] = content
		_, err := o.from.Put(t.Context(), key, bytes.NewReader(content), int64(size), bucket.PutOptions{Properties: ofOneServer(key)})
		must(t, err)
	}
	o.opts = bucketsync.Options{
		Migration: "m", Stage: "sync", Name: "b", From: o.from, To: o.to, Manifest: filepath.Join(t.TempDir(), "manifest"),
		Log: slog.New(slog.NewTextHandler(&o.log, nil)),
	}
	return o
}

func ofOneServer(key string) bucket.Properties {
	return bucket.Properties{
		ContentType: "text/x-test", ContentLanguage: "de", CacheControl: "no-store", ContentDisposition: "inline",
		Metadata: map[string]string{"owner": key}, Tags: map[string]string{"team": "a"},
	}
}

func (o *oneServer) sync(t *testing.T) bucketsync.Result {
	t.Helper()
	p, err := bucketsync.Plan(t.Context(), o.opts)
	must(t, err)
	must(t, p.Err())
	gets := o.server.Calls(s3fake.Get)
	result, err := bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, o.opts)
	must(t, err)
	t.Logf("%d objects were read through here", o.server.Calls(s3fake.Get)-gets)
	return result
}

func (o *oneServer) wantEqual(t *testing.T) {
	t.Helper()
	for key, content := range o.want {
		head, err := o.to.Head(t.Context(), key)
		must(t, err)
		want := ofOneServer(key)
		if got := *head.Properties; got.ContentType != want.ContentType || got.ContentLanguage != "de" || got.CacheControl != "no-store" ||
			got.ContentDisposition != "inline" || got.Metadata["owner"] != key || got.Tags["team"] != "a" {
			t.Errorf("%q has the properties %+v", key, got)
		}
		body, _, err := o.to.Open(t.Context(), key, bucket.ReadOptions{})
		must(t, err)
		got, err := io.ReadAll(body)
		if must(t, errors.Join(err, body.Close())); !bytes.Equal(got, content) {
			t.Errorf("%q has other bytes", key)
		}
	}
	if n := o.server.Unfinished(); n > 0 {
		t.Errorf("%d uploads are left", n)
	}
}

func TestB10_WhatOneServerHoldsDoesNotPassThroughHere(t *testing.T) {
	o := newOneServer(t)
	gets, puts, uploads := o.server.Calls(s3fake.Get), o.server.Calls(s3fake.Put), o.server.Calls(s3fake.UploadPart)
	result := o.sync(t)
	if result.Copied != int64(len(o.want)) || result.Evidence[bucketsync.Within] != int64(len(o.want)-1) {
		t.Errorf("%+v", result)
	}
	// One of no bytes is not worth a copy within the server.
	if o.server.Calls(s3fake.Get)-gets != 1 || o.server.Calls(s3fake.Put)-puts != 1 || o.server.Calls(s3fake.UploadPart) != uploads {
		t.Error("bytes were read or sent")
	}
	if o.server.Calls(s3fake.Copy) != 3 || o.server.Calls(s3fake.CopyPart) != 2+4 {
		t.Errorf("%d objects and %d parts were copied within the server", o.server.Calls(s3fake.Copy), o.server.Calls(s3fake.CopyPart))
	}
	o.wantEqual(t)
	if again := o.sync(t); again.Copied != 0 {
		t.Errorf("again: %+v", again)
	}
	// What was proven as it was copied needs no reading for the proof.
	gets = o.server.Calls(s3fake.Get)
	report, err := bucketsync.Verify(t.Context(), bucketsync.VerifyOptions{From: o.from, To: o.to, Manifest: o.opts.Manifest, Mode: bucketsync.ModeProof})
	if must(t, err); !report.Equal || o.server.Calls(s3fake.Get) != gets {
		t.Errorf("the proof: %+v, and it read %d objects", report, o.server.Calls(s3fake.Get)-gets)
	}
}

func TestB10_WhatTheServerRefusesToCopyIsReadAndWritten(t *testing.T) {
	for name, fault := range map[string]s3fake.Fault{
		"denied":  {Op: s3fake.Copy, Status: http.StatusForbidden, Code: "AccessDenied"},
		"unknown": {Op: s3fake.Copy, Status: http.StatusNotImplemented, Code: "NotImplemented"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOneServer(t)
			o.opts.Concurrency = 1
			part := fault
			part.Op = s3fake.CopyPart
			o.server.Inject(fault, part)
			if result := o.sync(t); result.Copied != int64(len(o.want)) {
				t.Errorf("%+v", result)
			}
			if said := strings.Count(o.log.String(), "does not copy from one side"); said != 1 || o.server.Calls(s3fake.Copy)+o.server.Calls(s3fake.CopyPart) != 1 {
				t.Errorf("it was said %d times, asked for %d times", said, o.server.Calls(s3fake.Copy)+o.server.Calls(s3fake.CopyPart))
			}
			o.wantEqual(t)
		})
	}
}

func TestB10_CopiesWithinTheServerCanBeTurnedOff(t *testing.T) {
	o := newOneServer(t)
	o.opts.NoServerSideCopy = true
	if result := o.sync(t); result.Copied != int64(len(o.want)) || o.server.Calls(s3fake.Copy)+o.server.Calls(s3fake.CopyPart) > 0 {
		t.Errorf("%+v", result)
	}
	o.wantEqual(t)
}

// A copy that the server made of something else is found out.
func TestB10_ACopyWithinTheServerIsProven(t *testing.T) {
	for key, op := range map[string]s3fake.Op{fmt.Sprintf("of %d", part-1): s3fake.Copy, fmt.Sprintf("of %d", 3*part+7): s3fake.CopyPart} {
		o := newOneServer(t)
		o.server.Inject(s3fake.Fault{Op: op, Key: key, Times: 1, Flip: true})
		p, err := bucketsync.Plan(t.Context(), o.opts)
		must(t, err)
		_, err = bucketsync.Apply(t.Context(), p, &plan.MemoryRecorder{}, o.opts)
		var corrupt *bucketsync.CorruptError
		if !errors.As(err, &corrupt) || corrupt.Key != key {
			t.Errorf("%s: got %v", key, err)
		}
	}
}
