package gcs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

func open(t *testing.T, answer http.HandlerFunc) *Bucket {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	b, err := Open(t.Context(), Options{Bucket: "test", Endpoint: server.URL, Attempts: 3, Credentials: Credentials{Anonymous: true}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A server that breaks every answer off is asked a few times, not for ever.
func TestB08_ABrokenReadEnds(t *testing.T) {
	var asked atomic.Int32
	b := open(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Error("media is not asked for as it is stored")
		}
		w.Header().Set("X-Goog-Generation", "1")
		w.Header().Set("X-Goog-Metageneration", "1")
		var from int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-99/100", from))
		}
		w.Header().Set("Content-Length", strconv.Itoa(100-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = w.Write(make([]byte, 10)) // and then the connection ends: the SDK would go on for ever so
	})
	body, _, err := b.Open(t.Context(), "key", bucket.ReadOptions{})
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		err = errors.Join(err, body.Close())
	}
	if err == nil || asked.Load() > 3 {
		t.Errorf("the read ends after %d tries with %v", asked.Load(), err)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v does not say that it may pass: nobody would ask again", err)
	}
}

func TestB05_WritesAskForAGeneration(t *testing.T) {
	var query atomic.Value
	b := open(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		query.Store(r.URL.RawQuery)
		http.Error(w, "{}", http.StatusPreconditionFailed)
	})
	for _, c := range []struct {
		opts bucket.PutOptions
		want string
	}{
		{bucket.PutOptions{IfAbsent: true}, "ifGenerationMatch=0"},
		{bucket.PutOptions{IfMatch: bucket.Object{ETag: "7/2"}}, "ifGenerationMatch=7&ifMetagenerationMatch=2"},
	} {
		_, err := b.Put(t.Context(), "key", bytes.NewReader(nil), 0, c.opts)
		if !errors.Is(err, bucket.ErrPrecondition) {
			t.Errorf("got %v", err)
		}
		if got, ok := query.Load().(string); !ok || !strings.Contains(got, c.want) {
			t.Errorf("the request's query is %s, want %s in it", got, c.want)
		}
	}
}

// A copy within the service is pinned to what was seen on both sides, and all properties go with it. The emulator holds no such
// condition, so this is what is asked for.
func TestB10_ACopyWithinTheServiceIsPinnedOnBothSides(t *testing.T) {
	var asked []*http.Request
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked, sent = append(asked, r), append(sent, string(raw))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"done":true,"objectSize":"5","totalBytesRewritten":"5","resource":{"name":"key","size":"5","generation":"7","metageneration":"1","md5Hash":"XUFAKrxLKna5cZ2REBfFkg=="}}`)
	}))
	t.Cleanup(server.Close)
	at := func(name string, complete bool) *Bucket {
		b, err := Open(t.Context(), Options{Bucket: name, Endpoint: server.URL, Complete: complete, Credentials: Credentials{Anonymous: true}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	to, src := at("to", true), bucket.Object{Key: "a/b", Size: 5, ETag: "3/2"}
	props := bucket.Properties{ContentType: "text/x-new", CacheControl: "no-store", Metadata: map[string]string{"owner": "new"}}
	copied, err := to.CopyFrom(t.Context(), "key", bucket.Sub(at("from", true), "pre/"), src, bucket.PutOptions{Properties: props, IfAbsent: true})
	if err != nil {
		t.Fatal(err)
	}
	if copied.ETag != "7/1" || len(copied.Digests) == 0 || copied.Digests[0].Value != "5d41402abc4b2a76b9719d911017c592" {
		t.Errorf("the copy is told as %+v", copied)
	}
	if len(asked) != 1 {
		t.Fatalf("%d requests", len(asked))
	}
	query := asked[0].URL.Query()
	for name, want := range map[string]string{"ifGenerationMatch": "0", "ifSourceGenerationMatch": "3", "ifSourceMetagenerationMatch": "2"} {
		if query.Get(name) != want {
			t.Errorf("%s is %q, want %s", name, query.Get(name), want)
		}
	}
	if path := asked[0].URL.EscapedPath(); !strings.Contains(path, "/b/from/o/pre%2Fa%2Fb/rewriteTo/b/to/o/key") {
		t.Errorf("asked for %s", path)
	}
	for _, want := range []string{"text/x-new", "no-store", `"owner":"new"`} {
		if !strings.Contains(sent[0], want) {
			t.Errorf("%s is not in %s", want, sent[0])
		}
	}
	if _, err := at("to", false).CopyFrom(t.Context(), "key", at("from", false), src, bucket.PutOptions{}); !errors.Is(err, bucket.ErrUnsupported) {
		t.Errorf("a server that may hold no condition is asked to copy: %v", err)
	}
}
