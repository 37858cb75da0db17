package azure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/e2e/rig/store"
)

// recorder takes requests and says that all is well.
type recorder struct {
	header http.Header
	uri    string
	body   string
	part   string // the request's range
	date   string // the request's, with which the SDK is to sign too
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	var sent []byte
	if request.Body != nil {
		var err error
		if sent, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
	}
	r.part = ""
	r.header, r.uri, r.body = http.Header{}, request.URL.RequestURI(), string(sent)
	for name, values := range request.Header {
		switch name = strings.ToLower(name); name {
		case "x-ms-date":
			r.date = values[0]
		case "x-ms-range":
			r.part = values[0]
		}
		r.header[name] = values
	}
	r.header["content-length"] = []string{fmt.Sprint(request.ContentLength)}
	if request.Method == http.MethodGet {
		return r.read(request)
	}
	return &http.Response{StatusCode: http.StatusCreated, Header: http.Header{"Etag": {`"0x1"`}}, Body: http.NoBody, Request: request}, nil
}

// read answers a read of a blob of ten bytes.
func (r *recorder) read(request *http.Request) (*http.Response, error) {
	content, header := "0123456789", http.Header{"Etag": {`"0x1"`}, "Last-Modified": {"Fri, 02 Jan 2026 03:04:05 GMT"}, "X-Ms-Version-Id": {"v1"}}
	status := http.StatusOK
	if r.part != "" {
		status = http.StatusPartialContent
		first, last := 0, len(content)-1
		_, _ = fmt.Sscanf(r.part, "bytes=%d-%d", &first, &last)
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(content)))
		content = content[first : last+1]
	}
	header.Set("Content-Length", fmt.Sprint(len(content)))
	return &http.Response{StatusCode: status, Header: header, ContentLength: int64(len(content)), Body: io.NopCloser(strings.NewReader(content)), Request: request}, nil
}

// Do implements policy.Transporter.
func (r *recorder) Do(request *http.Request) (*http.Response, error) { return r.RoundTrip(request) }

// dated has the SDK sign with the recorder's date.
type dated struct{ *recorder }

// Do implements policy.Policy.
func (d dated) Do(request *policy.Request) (*http.Response, error) {
	request.Raw().Header["x-ms-date"] = []string{d.date} // in this spelling the SDK finds it and sets none
	return request.Next()
}

// carrier is a transport that is a function.
type carrier func(*http.Request) (*http.Response, error)

func (c carrier) RoundTrip(request *http.Request) (*http.Response, error) { return c(request) }

var errCut = errors.New("cut")

func cut(*http.Request) (*http.Response, error) { return nil, errCut }

// both opens a container twice: what is written to the first goes past the SDK, what is written to the second by it.
func both(t testing.TB, c Credentials) (lean, sdk *Bucket, asked, want *recorder) {
	t.Helper()
	open := func() *Bucket {
		b, err := Open(t.Context(), Options{Account: "account", Container: "box", Endpoint: "http://store.test:10000", Attempts: 1, Credentials: c})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	lean, sdk, asked, want = open(), open(), &recorder{}, &recorder{}
	lean.throttle.Next, lean.wire.hot.By = carrier(cut), asked
	sdk.throttle.Next, sdk.wire.hot.By = want, carrier(cut)
	if c.AccountKey == "" {
		return lean, sdk, asked, want
	}
	key, err := container.NewSharedKeyCredential("account", c.AccountKey)
	if err != nil {
		t.Fatal(err)
	}
	with := &container.ClientOptions{ClientOptions: policy.ClientOptions{
		Transport: want, PerCallPolicies: []policy.Policy{dated{want}}, Telemetry: policy.TelemetryOptions{Disabled: true},
	}}
	if sdk.client, err = container.NewClientWithSharedKeyCredential(sdk.client.URL(), key, with); err != nil {
		t.Fatal(err)
	}
	return lean, sdk, asked, want
}

// choices are what a write can carry.
func choices() []func(*bucket.PutOptions) {
	until := time.Date(2130, 1, 2, 3, 4, 5, 600, time.UTC)
	text := func(set func(*bucket.Properties)) func(*bucket.PutOptions) {
		return func(o *bucket.PutOptions) { set(&o.Properties) }
	}
	return []func(*bucket.PutOptions){
		text(func(p *bucket.Properties) { p.ContentType = "text/plain; charset=utf-8" }),
		text(func(p *bucket.Properties) { p.ContentEncoding = "gzip" }),
		text(func(p *bucket.Properties) { p.ContentLanguage = "de, en" }),
		text(func(p *bucket.Properties) { p.ContentDisposition = `attachment; filename="a  b"` }),
		text(func(p *bucket.Properties) { p.CacheControl = "max-age=60" }),
		text(func(p *bucket.Properties) { p.StorageClass = "Cool" }),
		text(func(p *bucket.Properties) { p.Tags = map[string]string{"a b": "c+d=e"} }), // of several the SDK's order is one of chance
		text(func(p *bucket.Properties) {
			p.Metadata = map[string]string{"a": "1", "a1": "2", "a_1": "3", "ab": "4", "a_b": "5", "a-b": "6", "A": "7", "1a": "8", "b": "ü ö", "_": "9", "__": ""}
		}),
		text(func(p *bucket.Properties) { p.Lock.Mode, p.Lock.Until = bucket.Compliance, until }),
		text(func(p *bucket.Properties) { p.Lock.Mode, p.Lock.Until = bucket.Governance, until }),
		text(func(p *bucket.Properties) { p.Lock.Hold = true }),
		text(func(p *bucket.Properties) { p.Encryption = bucket.Encryption{Kind: bucket.ByService, Key: "green"} }),
		func(o *bucket.PutOptions) { o.IfAbsent, o.IfMatch = true, bucket.Object{} },
		func(o *bucket.PutOptions) { o.IfAbsent, o.IfMatch = false, bucket.Object{ETag: "0x8D"} },
	}
}

// What goes past the SDK is what the SDK would have sent, with the signature that it makes.
func TestI05_BothWaysSendTheSame(t *testing.T) {
	pick := rand.New(rand.NewPCG(4, 2))
	all := choices()
	hostile := []string{"key", "a b", "a+b", "a%2Fb", "a//b", "/a", "a/", "ü/é/é", "a?b", "a#b", "a&b=c;d,e", "a:b@c$d", "'()*!", "~._-x", "\U0001f600"}
	for name, c := range map[string]Credentials{
		"key": {AccountKey: "c2VjcmV0"}, "SAS": {SAS: "?sv=2024-01-01&sig=a%2Bb%2F%3D&se=2030-01-01T00%3A00%3A00Z"}, "nobody": {Anonymous: true},
	} {
		lean, sdk, asked, want := both(t, c)
		for i := range 300 {
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
			key, content := hostile[i%len(hostile)], strings.Repeat("x", i%3*1000)
			put := func(b *Bucket) bucket.Object {
				obj, err := b.Put(t.Context(), key, strings.NewReader(content), int64(len(content)), opts)
				if err != nil {
					t.Fatalf("%s: put %q with %+v: %v", name, key, opts, err)
				}
				return obj
			}
			told := put(lean)
			want.date = asked.date
			if known := put(sdk); told.ETag != known.ETag || told.Size != known.Size || !slices.Equal(told.Digests, known.Digests) {
				t.Errorf("%s: %q is acknowledged as %+v, by the SDK as %+v", name, key, told, known)
			}
			if c.AccountKey == "" {
				delete(asked.header, "x-ms-date") // the SDK gives it with a signature only
			}
			if asked.uri != want.uri || asked.body != want.body || !maps.EqualFunc(asked.header, want.header, slices.Equal) {
				t.Fatalf("%s: with %+v\nsent    %s %v\nthe SDK %s %v", name, opts, asked.uri, asked.header, want.uri, want.header)
			}
		}
	}
}

func TestB04_BothWaysReadTheSame(t *testing.T) {
	for name, c := range map[string]Credentials{"key": {AccountKey: "c2VjcmV0"}, "SAS": {SAS: "sv=2024-01-01&sig=a%2Bb"}} {
		lean, sdk, asked, want := both(t, c)
		for i, opts := range []bucket.ReadOptions{
			{}, {Pin: bucket.Object{ETag: "0x1", Size: 10}}, {Offset: 3}, {Length: 4}, {Offset: 3, Length: 4, Pin: bucket.Object{ETag: "0x1"}}, {Pin: bucket.Object{ETag: "0x2"}},
		} {
			read := func(b *Bucket) (string, bucket.Object, error) {
				content, obj, err := b.Open(t.Context(), []string{"key", "a b//ü?#%"}[i%2], opts)
				if err != nil {
					return "", obj, err
				}
				all, err := io.ReadAll(content)
				return string(all), obj, errors.Join(err, content.Close())
			}
			got, told, err := read(lean)
			want.date = asked.date
			same, known, failed := read(sdk)
			if got != same || !told.Modified.Equal(known.Modified) || told.Size != known.Size || told.ETag != known.ETag || told.Version != known.Version || (err == nil) != (failed == nil) ||
				errors.Is(err, bucket.ErrPrecondition) != errors.Is(failed, bucket.ErrPrecondition) {
				t.Errorf("%s: with %+v %q of %+v: %v, by the SDK %q of %+v: %v", name, opts, got, told, err, same, known, failed)
			}
			if c.AccountKey == "" {
				delete(asked.header, "x-ms-date")
			}
			if asked.uri != want.uri || !maps.EqualFunc(asked.header, want.header, slices.Equal) {
				t.Fatalf("%s: with %+v\nsent    %s %v\nthe SDK %s %v", name, opts, asked.uri, asked.header, want.uri, want.header)
			}
		}
	}
}

// A real check of signatures takes what the SDK never sees.
func TestB12_AzuriteTakesWhatGoesPastTheSDK(t *testing.T) {
	server, err := store.Start(context.WithoutCancel(t.Context()), store.Azurite, store.Options{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	open := func() *Bucket {
		b, err := Open(t.Context(), Options{
			Account: server.AccessKey, Container: "wire", Endpoint: server.Endpoint, Attempts: 1, Credentials: Credentials{AccountKey: server.SecretKey},
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b, lean := open(), open()
	if err := b.Make(t.Context()); err != nil {
		t.Fatal(err)
	}
	lean.throttle.Next = carrier(cut)
	p := bucket.Properties{
		ContentType: "text/plain", CacheControl: "no-store", ContentLanguage: "de", Tags: map[string]string{"a b": "c+d=e", "f": "", "g": "h/i"},
		Metadata: map[string]string{"a1": "1", "a_1": "2", "ab": "3", "a_b": "4", "a-b": "5", "owner": "ü"},
	}
	for i, key := range []string{"plain", "a b", "a+b", "a%2Fb", "a%", "a//b", "/a", "a/", "ü/é/é", "a?b", "a#b", "a&b=c;d,e", "a:b@c$d", "'()*!", "\U0001f600"} {
		content := strings.Repeat("x", i*100)
		opts := bucket.PutOptions{IfAbsent: true, Properties: p}
		put, err := lean.Put(t.Context(), key, strings.NewReader(content), int64(len(content)), opts)
		if err != nil {
			t.Errorf("put %q: %v", key, err)
			continue
		}
		head, err := b.Head(t.Context(), key)
		if err != nil || head.ETag != put.ETag || head.Size != int64(len(content)) {
			t.Errorf("%q is there as %+v, put as %+v: %v", key, head, put, err)
			continue
		}
		if got := head.Properties; got.ContentType != p.ContentType || got.CacheControl != p.CacheControl || !maps.Equal(got.Metadata, p.Metadata) || !maps.Equal(got.Tags, p.Tags) {
			t.Errorf("%q has %+v", key, got)
		}
		if got, obj, err := lean.Open(t.Context(), key, bucket.ReadOptions{Pin: put}); err != nil || obj.ETag != put.ETag {
			t.Errorf("read %q as %+v: %v", key, obj, err)
		} else if all, err := io.ReadAll(got); err != nil || string(all) != content || got.Close() != nil {
			t.Errorf("read %d bytes of %q: %v", len(all), key, err)
		}
		opts = bucket.PutOptions{IfMatch: put}
		if _, err := lean.Put(t.Context(), key, strings.NewReader("new"), 3, opts); err != nil {
			t.Errorf("write over %q: %v", key, err)
		}
		if _, err := b.Put(t.Context(), key, strings.NewReader("late"), 4, opts); !errors.Is(err, bucket.ErrPrecondition) {
			t.Errorf("write over the %q that was: %v", key, err)
		}
	}
}

// Whatever comes but success, the SDK asks again and says what it is.
func TestB05_OnlySuccessIsBelieved(t *testing.T) {
	var asked atomic.Int32
	var written atomic.Bool
	var first func(w http.ResponseWriter)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		one := asked.Add(1) == 1
		if one && first != nil {
			first(w)
			return
		}
		if written.Swap(true) && r.Header.Get("If-None-Match") == "*" {
			w.Header().Set("X-Ms-Error-Code", "BlobAlreadyExists")
			w.WriteHeader(http.StatusConflict)
			return
		}
		w.Header().Set("ETag", `"0x1"`)
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)
	answer := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(status) }
	}
	lost := func(http.ResponseWriter) {
		written.Store(true)
		panic(http.ErrAbortHandler)
	}
	for name, c := range map[string]struct {
		first func(http.ResponseWriter)
		opts  bucket.PutOptions
		times int32
		err   error
	}{
		"success":                        {times: 1},
		"a failure that passes":          {first: answer(http.StatusInternalServerError), times: 2},
		"a refusal that does not last":   {first: answer(http.StatusForbidden), times: 2},
		"another success":                {first: answer(http.StatusAccepted), times: 2},
		"a lost answer":                  {first: lost, times: 2},
		"a lost answer to a condition":   {first: lost, opts: bucket.PutOptions{IfAbsent: true}, times: 2, err: bucket.ErrPrecondition},
		"a condition that does not hold": {first: answer(http.StatusPreconditionFailed), opts: bucket.PutOptions{IfAbsent: true}, times: 2},
	} {
		asked.Store(0)
		written.Store(false)
		first = c.first
		b, err := Open(t.Context(), Options{Account: "account", Container: "box", Endpoint: server.URL, Attempts: 1, Credentials: Credentials{AccountKey: "c2VjcmV0"}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Put(t.Context(), "key", strings.NewReader("text"), 4, c.opts)
		if !errors.Is(err, c.err) || asked.Load() != c.times {
			t.Errorf("%s: %d requests, and %v", name, asked.Load(), err)
		}
	}
}

// A store that asks to slow down is heard past the SDK as well.
func TestB14_TheWireIsThrottled(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if asked.Add(1) == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)
	b, err := Open(t.Context(), Options{Account: "account", Container: "box", Endpoint: server.URL, Attempts: 1, Credentials: Credentials{AccountKey: "c2VjcmV0"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "key", strings.NewReader("text"), 4, bucket.PutOptions{}); err != nil || b.Throttles() != 1 || asked.Load() != 2 {
		t.Errorf("%d throttles, %d requests: %v", b.Throttles(), asked.Load(), err)
	}
}

// chain gives tokens, each of another text.
type chain struct {
	given int
	err   error
	ends  time.Time
}

// GetToken implements azcore.TokenCredential.
func (c *chain) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if !slices.Equal(o.Scopes, []string{"https://storage.azure.com/.default"}) {
		return azcore.AccessToken{}, fmt.Errorf("asked for %v", o.Scopes)
	}
	c.given++
	return azcore.AccessToken{Token: fmt.Sprintf("token-%d", c.given), ExpiresOn: c.ends}, c.err
}

func TestTokensAreKeptWhileTheyLast(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	from := &chain{ends: now.Add(time.Hour)}
	kept := &tokens{from: from}
	for _, c := range []struct {
		after  time.Duration
		forget bool
		want   string
	}{{want: "token-1"}, {after: 54 * time.Minute, want: "token-1"}, {after: 56 * time.Minute, want: "token-2"}, {forget: true, want: "token-3"}} {
		if c.forget {
			kept.forget()
		}
		if got, ok := kept.get(t.Context(), now.Add(c.after)); !ok || got != c.want {
			t.Errorf("after %s: %q, want %q", c.after, got, c.want)
		}
	}
	from.err = errors.New("no")
	kept.forget()
	if _, ok := kept.get(t.Context(), now); ok {
		t.Error("a token that is not to be had is given")
	}
}

func TestI09_TokensGoOverTLSOnly(t *testing.T) {
	for scheme, want := range map[string]string{"https": "Bearer token-1", "http": ""} {
		w := &wire{account: "account", tokens: &tokens{from: &chain{ends: time.Now().Add(time.Hour)}}}
		request := &http.Request{Method: http.MethodPut, URL: &url.URL{Scheme: scheme, Host: "store.test", Path: "/box/key"}, Header: http.Header{}}
		if signed := w.sign(request); signed != (want != "") || request.Header.Get("Authorization") != want {
			t.Errorf("%s: signed %t with %q", scheme, signed, request.Header.Get("Authorization"))
		}
	}
}

// What a request costs before it is sent and after it was answered.
func BenchmarkRequests(b *testing.B) {
	lean, sdk, _, _ := both(b, Credentials{AccountKey: "c2VjcmV0"})
	sum := make([]byte, 16)
	opts := bucket.PutOptions{IfAbsent: true, MD5: sum, Properties: bucket.Properties{ContentType: "text/plain", Metadata: map[string]string{"owner": "me"}}}
	for name, to := range map[string]*Bucket{"past the SDK": lean, "by the SDK": sdk} {
		b.Run("put "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := to.Put(b.Context(), "folder/key", strings.NewReader("text"), 4, opts); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("get "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				content, _, err := to.Open(b.Context(), "folder/key", bucket.ReadOptions{Pin: bucket.Object{ETag: "0x1", Size: 10}})
				if err == nil {
					_, err = io.Copy(io.Discard, content)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
