package gcs

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Requests to a session carry credentials, and its URL comes from an answer or from a file.
func TestASessionElsewhereIsNotAsked(t *testing.T) {
	var asked atomic.Int32
	b := open(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Location", "https://elsewhere.example.org/upload/storage/v1/b/x/o?upload_id=y")
	})
	b.opts.Complete = true
	body := strings.NewReader(strings.Repeat("x", int(b.opts.PartSize)+1))
	up := &bucket.Upload{Note: func(bucket.UploadNote) error { return nil }}
	if _, err := b.Put(t.Context(), "key", body, body.Size(), bucket.PutOptions{Upload: up}); !errors.Is(err, bucket.ErrUploadGone) || asked.Load() != 1 {
		t.Errorf("after %d requests %v", asked.Load(), err)
	}
}

func TestI09_WhatIsSealedNeedsTheSameCredentials(t *testing.T) {
	one, other := Credentials{ServiceAccount: []byte(`{"private_key":"one"}`)}, Credentials{ServiceAccount: []byte(`{"private_key":"two"}`)}
	sealed, err := one.seal("https://storage.googleapis.com/session")
	if err != nil || strings.Contains(sealed, "session") {
		t.Fatalf("%q, %v", sealed, err)
	}
	if text, err := one.unseal(sealed); err != nil || text != "https://storage.googleapis.com/session" {
		t.Errorf("%q, %v", text, err)
	}
	for name, c := range map[string]Credentials{"others": other, "a token": {Token: "t"}, "none": {}} {
		if text, err := c.unseal(sealed); err == nil {
			t.Errorf("%s open it: %q", name, text)
		}
	}
	if b := (&Bucket{opts: Options{Credentials: Credentials{Token: "t"}}}); b.resumes() {
		t.Error("an upload is to be gone on with that a later run cannot open")
	}
}
