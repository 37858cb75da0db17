package gcs

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
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
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write(make([]byte, 10)) // and then the connection ends
	})
	body, _, err := b.Open(t.Context(), "key", bucket.ReadOptions{})
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		err = errors.Join(err, body.Close())
	}
	if err == nil || asked.Load() > 3 {
		t.Errorf("the read ends after %d tries with %v", asked.Load(), err)
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
