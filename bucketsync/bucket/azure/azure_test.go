package azure

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// fake is a fake of the service: it checks each body's MD5 and remembers what was committed.
type fake struct {
	t      *testing.T
	mu     sync.Mutex
	blocks int
	commit http.Header // of the last request that wrote the blob
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch comp := r.URL.Query().Get("comp"); {
	case comp == "block", comp == "" && r.Header.Get("X-Ms-Blob-Type") != "":
		sum := md5.Sum(content)
		if got := r.Header.Get("Content-Md5"); got != base64.StdEncoding.EncodeToString(sum[:]) {
			f.t.Errorf("a body of %d bytes is sent with the MD5 %q", len(content), got)
		}
		f.blocks++
		if comp == "" {
			f.commit = r.Header
		}
	case comp == "blocklist":
		f.commit = r.Header
	}
	w.Header().Set("ETag", `"0x1"`)
	w.WriteHeader(http.StatusCreated)
}

func (f *fake) open(t *testing.T) *Bucket {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	b, err := Open(t.Context(), Options{
		Account: "account", Container: "box", Endpoint: server.URL, PartSize: 1000, Attempts: 1, Credentials: Credentials{AccountKey: "c2VjcmV0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestB03_EveryBlockIsCheckedAndTheWholeIsNamed(t *testing.T) {
	for _, size := range []int{10, 1000, 1001, 2500} {
		f := &fake{t: t}
		content := bytes.Repeat([]byte("x"), size)
		sum := md5.Sum(content)
		obj, err := f.open(t).Put(t.Context(), "key", bytes.NewReader(content), int64(size), bucket.PutOptions{IfAbsent: true})
		if err != nil {
			t.Fatal(err)
		}
		if want := (size + 999) / 1000; f.blocks != want {
			t.Errorf("%d bytes were sent in %d bodies, want %d", size, f.blocks, want)
		}
		if got := f.commit.Get("X-Ms-Blob-Content-Md5"); got != base64.StdEncoding.EncodeToString(sum[:]) {
			t.Errorf("%d bytes are written as of the MD5 %q", size, got)
		}
		if f.commit.Get("If-None-Match") != "*" {
			t.Errorf("%d bytes are written on no condition", size)
		}
		if len(obj.Digests) != 1 || obj.ETag != "0x1" {
			t.Errorf("acknowledged as %+v", obj)
		}
	}
}

func TestB03_NothingIsWrittenOfABodyThatBreaks(t *testing.T) {
	f := &fake{t: t}
	b := f.open(t)
	if _, err := b.Put(t.Context(), "key", strings.NewReader(strings.Repeat("x", 2000)), 2500, bucket.PutOptions{}); err == nil {
		t.Error("a short body is stored")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Put(ctx, "key", strings.NewReader(strings.Repeat("x", 2500)), 2500, bucket.PutOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a put whose context ended gives %v", err)
	}
	if f.commit != nil {
		t.Error("the blob was written")
	}
}

func TestAddressOfTheContainer(t *testing.T) {
	for endpoint, want := range map[string]string{
		"":                               "https://account.blob.core.windows.net/box",
		"http://10.0.0.1:10000":          "http://10.0.0.1:10000/account/box",
		"http://10.0.0.1:10000/":         "http://10.0.0.1:10000/account/box",
		"http://10.0.0.1:10000/account":  "http://10.0.0.1:10000/account/box",
		"https://account.blob.test":      "https://account.blob.test/box",
		"http://azurite.test:10000":      "http://azurite.test:10000/account/box",
		"https://store.test/path/prefix": "https://store.test/path/prefix/box",
	} {
		b, err := Open(t.Context(), Options{Account: "account", Container: "box", Endpoint: endpoint, Credentials: Credentials{Anonymous: true}})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.client.URL(); got != want {
			t.Errorf("%q becomes %q, want %q", endpoint, got, want)
		}
	}
	for _, endpoint := range []string{"10.0.0.1:10000", "ftp://store", "https://user:secret@store", "https://store?sig=secret"} {
		_, err := Options{Account: "account", Container: "box", Endpoint: endpoint}.address()
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

func TestI09_ErrorsHoldNoSignature(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Ms-Error-Code", "AuthenticationFailed")
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	b, err := Open(t.Context(), Options{Account: "a", Container: "b", Endpoint: server.URL, Attempts: 1, Credentials: Credentials{SAS: "sig=hunter2"}})
	if err != nil {
		t.Fatal(err)
	}
	err = b.Check(t.Context())
	if !errors.Is(err, bucket.ErrDenied) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	server.Close()
	if err := b.Check(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an error of the connection says %v", err)
	}
}
