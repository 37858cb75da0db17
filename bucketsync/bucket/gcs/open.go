package gcs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/storage"
	"golang.org/x/oauth2"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	transport "google.golang.org/api/transport/http"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/direct"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/hot"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/throttle"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// Limits of Cloud Storage: https://cloud.google.com/storage/quotas#objects.
const (
	maxObject   = 5 << 40
	maxKey      = 1024
	maxMetadata = 8 << 10
	chunkUnit   = 256 << 10
)

// firstWrites is how many writes a second a bucket takes at first: https://cloud.google.com/storage/docs/request-rate#ramp-up.
const firstWrites = 1000

// Options choose a bucket. Only Bucket is needed.
type Options struct {
	Bucket string
	// Endpoint is the URL of a server other than Google's, without a path: http://127.0.0.1:4443.
	Endpoint string
	// Complete says that the server at Endpoint holds copies within it to their conditions, and tells what it has of an upload, as
	// Google's service does. Emulators were seen not to: where it is not set, nothing is copied within the server, and an upload that was
	// cut off begins again.
	Complete bool
	// Credentials are used as they are; empty ones leave it to Google's default chain.
	Credentials Credentials
	// Project is what a bucket is made in. Nothing else needs it.
	Project string
	// PartSize is the size in bytes of a chunk of an upload, and of its buffer; 0 is 8 MiB. It is rounded up to 256 KiB.
	PartSize int64
	// PageSize is how many keys a page of a listing has; 0 is what the server gives, at most 1,000.
	PageSize int
	// Attempts is how often a request is tried in all; 0 is 3. The engine tries again on top of it.
	Attempts int
	// Silence bounds how long the store may say nothing.
	Silence silence.Limit
}

// Credentials of Google, resolved. At most one is set.
type Credentials struct {
	// ServiceAccount is the content of a service account's key file.
	ServiceAccount []byte
	// Token is an OAuth 2 access token.
	Token string
	// Anonymous sends requests without credentials, as emulators and public buckets take them.
	Anonymous bool
}

// Bucket is a bucket of Cloud Storage. It may be used by several goroutines.
type Bucket struct {
	opts     Options
	url      string
	bucket   *storage.BucketHandle
	wire     *wire
	throttle *throttle.Transport
}

var _ interface {
	bucket.Bucket
	bucket.Maker
	bucket.Copier
	bucket.Guarded
	bucket.Keeper
	bucket.Pager
	bucket.Throttled
	bucket.Resumer
	bucket.Retried
	bucket.Versioned
} = (*Bucket)(nil)

// Open returns the bucket. It makes no request to the store.
func Open(ctx context.Context, opts Options) (*Bucket, error) {
	if opts.Bucket == "" {
		return nil, errors.New("open gcs: no bucket is named")
	}
	if opts.Endpoint != "" && !strings.HasPrefix(opts.Endpoint, "http://") && !strings.HasPrefix(opts.Endpoint, "https://") {
		return nil, fmt.Errorf("open gs://%s: the endpoint %s has no scheme (write https://%s)", opts.Bucket, opts.Endpoint, opts.Endpoint)
	}
	if opts.PartSize <= 0 {
		opts.PartSize = 8 << 20
	}
	opts.PartSize = (opts.PartSize + chunkUnit - 1) / chunkUnit * chunkUnit
	if opts.Attempts <= 0 {
		opts.Attempts = 3
	}
	slow := &throttle.Transport{}
	w := &wire{bucket: opts.Bucket, hot: hot.Wire{Throttle: slow}}
	client, err := newClient(ctx, opts, w)
	if err != nil {
		return nil, fmt.Errorf("open gs://%s: %w", opts.Bucket, err)
	}
	// A Put is tried again whatever its condition: its body is buffered chunk by chunk, and writing it twice writes the same.
	handle := client.Bucket(opts.Bucket).Retryer(storage.WithPolicy(storage.RetryAlways), storage.WithMaxAttempts(opts.Attempts))
	return &Bucket{opts: opts, url: "gs://" + opts.Bucket, bucket: handle, wire: w, throttle: slow}, nil
}

func newClient(ctx context.Context, opts Options, w *wire) (*storage.Client, error) {
	auth := []option.ClientOption{option.WithScopes(storage.ScopeFullControl), option.WithTelemetryDisabled()}
	switch c := opts.Credentials; {
	case c.Anonymous:
		auth = []option.ClientOption{option.WithoutAuthentication(), option.WithTelemetryDisabled()}
	case c.Token != "":
		auth = append(auth, option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: c.Token})))
	case len(c.ServiceAccount) > 0:
		auth = append(auth, option.WithAuthCredentialsJSON(option.ServiceAccount, c.ServiceAccount))
	}
	plain, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the program has replaced the default HTTP transport")
	}
	base := plain.Clone()
	base.DialContext = opts.Silence.Dial()
	base.MaxIdleConns, base.MaxIdleConnsPerHost = 0, 256
	base.DisableCompression = true
	base.ReadBufferSize, base.WriteBufferSize = 64<<10, 64<<10
	short := &direct.Transport{Dial: opts.Silence.Dial(), TLS: base.TLSClientConfig, Otherwise: base}
	signed, err := transport.NewTransport(ctx, fork{lean: short, plain: base}, auth...)
	if err != nil {
		return nil, fmt.Errorf("find credentials: %w", err)
	}
	w.hot.Throttle.Next = signed
	client := []option.ClientOption{option.WithHTTPClient(&http.Client{Transport: media{next: w.hot.Throttle, wire: w}}), storage.WithJSONReads()}
	if opts.Endpoint != "" {
		client = append(client, option.WithEndpoint(strings.TrimSuffix(opts.Endpoint, "/")+"/storage/v1/"))
	}
	return storage.NewClient(ctx, client...)
}

// Throttles implements bucket.Throttled.
func (b *Bucket) Throttles() int64 { return b.throttle.Throttles() }

// Retries implements bucket.Retried.
func (b *Bucket) Retries() int64 { return b.throttle.Retries() }

// Describe implements bucket.Bucket. Names are listed in the order of their UTF-8 bytes:
// https://cloud.google.com/storage/docs/listing-objects.
func (b *Bucket) Describe() bucket.Capabilities {
	return bucket.Capabilities{
		Provider: "gcs", URL: b.url, Endpoint: b.opts.Endpoint, PartSize: b.opts.PartSize, ListPage: cmp.Or(b.opts.PageSize, 1000), Order: bucket.ByBytes,
		MaxObjectSize: maxObject, MaxKeyLength: maxKey, MaxMetadataSize: maxMetadata,
		MetadataKeys: bucket.MetadataAnyCase, Copies: b.complete(), Resumes: b.resumes(), ConditionalPut: true, ChecksMD5: true, ConditionalWrite: true, KeyProblem: keyProblem,
		FirstWrites: firstWrites, WriteInterval: time.Second,
		PropertyProblem: func(p bucket.Properties) string { return bucket.Problem(check(p)) },
		Locks:           true, Keys: true,
	}
}

// complete says that the server does all that the service promises.
func (b *Bucket) complete() bool { return b.opts.Endpoint == "" || b.opts.Complete }

// resumes says that an upload can be gone on with.
func (b *Bucket) resumes() bool { return b.complete() && b.opts.Credentials.sealKey() != nil }

// keyProblem follows https://cloud.google.com/storage/docs/objects#naming.
func keyProblem(key string) string {
	switch {
	case key == "":
		return "an object needs a key"
	case len(key) > maxKey:
		return fmt.Sprintf("the key has %d bytes, Cloud Storage takes %d", len(key), maxKey)
	case !utf8.ValidString(key):
		return "the key is not UTF-8"
	case strings.ContainsAny(key, "\r\n"):
		return "the key holds a line break"
	case key == "." || key == "..":
		return "Cloud Storage takes no object called " + key
	case strings.HasPrefix(key, ".well-known/acme-challenge/"):
		return "Cloud Storage keeps .well-known/acme-challenge/ for itself"
	}
	return ""
}

// Check implements bucket.Bucket.
func (b *Bucket) Check(ctx context.Context) error {
	page := b.bucket.Objects(ctx, &storage.Query{Projection: storage.ProjectionNoACL})
	page.PageInfo().MaxSize = 1
	_, err := page.Next()
	if errors.Is(err, iterator.Done) {
		return nil
	}
	return b.fail("check", "", err)
}

// Make implements bucket.Maker.
func (b *Bucket) Make(ctx context.Context) error {
	return b.create(ctx, b.bucket, nil)
}

// create makes the bucket. One that is there already is as it is.
func (b *Bucket) create(ctx context.Context, handle *storage.BucketHandle, attrs *storage.BucketAttrs) error {
	err := handle.Create(ctx, b.opts.Project, attrs)
	if status(err) == http.StatusConflict {
		// It is there, and ours if it can be listed.
		return b.Check(ctx)
	}
	return b.fail("make", "", err)
}
