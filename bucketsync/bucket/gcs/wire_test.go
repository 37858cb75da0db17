package gcs

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// upload is a write as a server sees it.
type upload struct {
	path, authorization, mediaType, content string
	query                                   url.Values
	resource                                map[string]any
	bySDK                                   bool
}

// stored is the service's answer to a write.
func stored(content string) string {
	sum := md5.Sum([]byte(content))
	crc := binary.BigEndian.AppendUint32(nil, crc32.Checksum([]byte(content), crc32.MakeTable(crc32.Castagnoli)))
	return fmt.Sprintf(`{"name":"key","size":"%d","generation":"7","metageneration":"1","updated":"2026-01-02T03:04:05Z","storageClass":"NEARLINE","md5Hash":"%s","crc32c":"%s"}`,
		len(content), base64.StdEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(crc))
}

func readUpload(t *testing.T, r *http.Request) upload {
	t.Helper()
	u := upload{path: r.URL.EscapedPath(), query: r.URL.Query(), authorization: r.Header.Get("Authorization"), bySDK: r.Header.Get("X-Goog-Api-Client") != ""}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/related" {
		t.Errorf("the body is %q: %v", r.Header.Get("Content-Type"), err)
		return u
	}
	parts := multipart.NewReader(r.Body, params["boundary"])
	first, err := parts.NextRawPart()
	if err != nil || first.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the first part: %v", err)
		return u
	}
	if err := json.NewDecoder(first).Decode(&u.resource); err != nil {
		t.Error(err)
	}
	second, err := parts.NextRawPart()
	if err != nil {
		t.Error(err)
		return u
	}
	content, err := io.ReadAll(second)
	u.mediaType, u.content = second.Header.Get("Content-Type"), string(content)
	if _, end := parts.NextRawPart(); err != nil || !errors.Is(end, io.EOF) {
		t.Errorf("the body ends with %v, %v", err, end)
	}
	return u
}

// What goes past the SDK is what the SDK would have sent, but that less is asked for in the answer.
func TestI05_BothWaysSendTheSame(t *testing.T) {
	var last upload
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = readUpload(t, r)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, stored(last.content))
	}))
	t.Cleanup(server.Close)
	b, err := Open(t.Context(), Options{Bucket: "a bucket/x", Endpoint: server.URL, Attempts: 1, Credentials: Credentials{Token: "token"}})
	if err != nil {
		t.Fatal(err)
	}
	until := time.Date(2130, 1, 2, 3, 4, 5, 600, time.UTC)
	text := func(set func(*bucket.Properties)) func(*bucket.PutOptions) {
		return func(o *bucket.PutOptions) { set(&o.Properties) }
	}
	all := []func(*bucket.PutOptions){
		text(func(p *bucket.Properties) { p.ContentType = "text/plain; charset=utf-8" }),
		text(func(p *bucket.Properties) { p.ContentEncoding = "gzip" }),
		text(func(p *bucket.Properties) { p.ContentLanguage = "de, en" }),
		text(func(p *bucket.Properties) { p.ContentDisposition = `attachment; filename="<a&b>"` }),
		text(func(p *bucket.Properties) { p.CacheControl = "max-age=60" }),
		text(func(p *bucket.Properties) { p.StorageClass = "NEARLINE" }),
		text(func(p *bucket.Properties) {
			p.Metadata = map[string]string{"a": "1", "A b": "ü\n"}
			delete(p.Metadata, "")
		}),
		text(func(p *bucket.Properties) { p.Lock.Mode, p.Lock.Until = bucket.Compliance, until }),
		text(func(p *bucket.Properties) { p.Lock.Mode, p.Lock.Until = bucket.Governance, until }),
		text(func(p *bucket.Properties) { p.Lock.Hold = true }),
		text(func(p *bucket.Properties) { p.Lock.EventHold = true }),
		text(func(p *bucket.Properties) {
			p.Encryption = bucket.Encryption{Kind: bucket.ByService, Key: "projects/p/locations/l/key s"}
		}),
		func(o *bucket.PutOptions) { o.IfAbsent, o.IfMatch = true, bucket.Object{} },
		func(o *bucket.PutOptions) { o.IfAbsent, o.IfMatch = false, bucket.Object{ETag: "7/2"} },
	}
	pick := rand.New(rand.NewPCG(4, 2))
	hostile := []string{"key", "a b", "a+b", "a%2Fb", "a//b", "/a", "a/", "a/../b", "ü/é/é", "a?b", "a#b", "a&b=c;d,e", "'()*!", "\U0001f600"}
	for i := range 200 {
		var opts bucket.PutOptions
		switch {
		case i < len(all):
			all[i](&opts)
		case i > len(all):
			for _, choose := range all {
				if pick.IntN(2) == 0 {
					choose(&opts)
				}
			}
		}
		key := hostile[i%len(hostile)]
		put := func() (bucket.Object, upload) {
			obj, err := b.Put(t.Context(), key, strings.NewReader("\r\n--"), 4, opts)
			if err != nil {
				t.Fatalf("put %q with %+v: %v", key, opts, err)
			}
			return obj, last
		}
		b.wire.uploads.Store(nil) // so that the SDK writes, and tells where to
		known, want := put()
		told, asked := put()
		if !want.bySDK || asked.bySDK {
			t.Fatalf("the SDK wrote first %t, then %t", want.bySDK, asked.bySDK)
		}
		want.bySDK = false
		asked.query.Del("fields")
		want.query.Del("projection")
		if !reflect.DeepEqual(asked, want) {
			t.Fatalf("with %+v\nsent    %+v\nthe SDK %+v", opts, asked, want)
		}
		if !reflect.DeepEqual(told, known) {
			t.Errorf("told %+v, by the SDK %+v", told, known)
		}
	}
}

// Whatever comes but success, the SDK asks again and says what it is.
func TestB05_OnlySuccessIsBelieved(t *testing.T) {
	var asked atomic.Int32
	var there bool
	var first func(w http.ResponseWriter)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if asked.Add(1) == 1 && first != nil {
			first(w)
			return
		}
		if there && r.URL.Query().Get("ifGenerationMatch") == "0" {
			http.Error(w, "{}", http.StatusPreconditionFailed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, stored("text"))
	}))
	t.Cleanup(server.Close)
	b, err := Open(t.Context(), Options{Bucket: "box", Endpoint: server.URL, Attempts: 1, Credentials: Credentials{Anonymous: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "key", strings.NewReader("text"), 4, bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	answer := func(status int, text string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
	}
	lost := func(http.ResponseWriter) {
		there = true
		panic(http.ErrAbortHandler)
	}
	slow := func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	for name, c := range map[string]struct {
		first     func(http.ResponseWriter)
		opts      bucket.PutOptions
		times     int32
		throttles int64
		err       error
	}{
		"success":                      {times: 1},
		"a failure that passes":        {first: answer(http.StatusInternalServerError, ""), times: 2},
		"a request to slow down":       {first: slow, times: 2, throttles: 1},
		"another success":              {first: answer(http.StatusAccepted, stored("text")), times: 2},
		"an answer that tells nothing": {first: answer(http.StatusOK, "{}"), times: 2},
		"an answer of something else":  {first: answer(http.StatusOK, "<html>"), times: 2},
		"a lost answer":                {first: lost, times: 2},
		// A connection that was kept may have been closed before it took the request: so that is sent again on another, and then by the SDK.
		"a lost answer to a condition":   {first: lost, opts: bucket.PutOptions{IfAbsent: true}, times: 3, err: bucket.ErrPrecondition},
		"a condition that does not hold": {first: answer(http.StatusPreconditionFailed, "{}"), opts: bucket.PutOptions{IfAbsent: true}, times: 2},
		"a condition that is none":       {opts: bucket.PutOptions{IfMatch: bucket.Object{ETag: "0/0"}}, err: errAny},
	} {
		first, there = nil, false
		if _, err := b.Put(t.Context(), "key", strings.NewReader("text"), 4, bucket.PutOptions{}); err != nil { // which leaves a connection to be kept
			t.Fatal(err)
		}
		asked.Store(0)
		first = c.first
		throttled := b.Throttles()
		obj, err := b.Put(t.Context(), "key", strings.NewReader("text"), 4, c.opts)
		if !errors.Is(err, c.err) && (err == nil || !errors.Is(c.err, errAny)) || asked.Load() != c.times || b.Throttles()-throttled != c.throttles {
			t.Errorf("%s: %d requests, %d throttles, and %v", name, asked.Load(), b.Throttles()-throttled, err)
		}
		if err == nil && (obj.ETag != "7/1" || obj.Version != "7" || len(obj.Digests) != 2) {
			t.Errorf("%s: told as %+v", name, obj)
		}
	}
}

var errAny = errors.New("any error")
