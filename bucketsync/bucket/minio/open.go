package minio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/direct"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/hot"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/keys"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/s3page"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/throttle"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// Limits of MinIO: https://min.io/docs/minio/linux/operations/concepts/thresholds.html.
const (
	maxObject   = 5 << 40
	maxMetadata = 2 << 10
	maxParts    = 10_000
	minPart     = 5 << 20
	maxCopy     = 5 << 30
)

// splitPages: a server keeps what it goes through for a listing, and gives the pages that follow from there. A listing that begins in the middle
// makes it go through the rest once more: with 20,000 keys two listings in parts took 1.5 s, and whole ones 0.9 s.
const splitPages = 32

// Options choose a bucket. Bucket and Endpoint are needed.
type Options struct {
	Bucket string
	// Endpoint is the server's URL, without a path: https://store.example.org:9000.
	Endpoint string
	// Region is the server's; empty is us-east-1, which MinIO takes where none is set.
	Region string
	// Credentials are used as they are; empty ones leave it to the environment (MINIO_ROOT_USER, AWS_ACCESS_KEY_ID and
	// theirs) and to the files of mc and of the AWS tools.
	Credentials Credentials
	// PartSize is how many bytes a part of a multipart upload has at least, and what is sent in one request at most;
	// 0 is 8 MiB, and MinIO takes no less than 5 MiB. Objects of over 10,000 parts get larger ones.
	PartSize int64
	// CopySize is how many bytes one request copies within the server at most; 0 is 512 MiB, MinIO takes no more than 5 GiB.
	CopySize int64
	// Workers is how many parts of one object are sent at once; 0 is 4.
	Workers int
	// PageSize is how many keys a page of a listing has; 0 is what the server gives, at most 1,000.
	PageSize int
	// Attempts is how often a request is tried in all; 0 is 3. The engine tries again on top of it.
	Attempts int
	// Silence bounds how long the store may say nothing.
	Silence silence.Limit
}

// Credentials of MinIO, resolved.
type Credentials struct {
	AccessKey, SecretKey, SessionToken string
	// Anonymous sends requests without a signature.
	Anonymous bool
}

// Bucket is a bucket of a MinIO server. It may be used by several goroutines.
type Bucket struct {
	opts     Options
	url      string
	client   *minio.Core
	once     *minio.Core // the same, which tries a request once
	wire     *wire
	throttle *throttle.Transport
}

var _ interface {
	bucket.Bucket
	bucket.Maker
	bucket.Guarded
	bucket.Keeper
	bucket.Versioned
	bucket.Resumer
	bucket.Pager
	bucket.Throttled
	bucket.Retried
	bucket.Copier
} = (*Bucket)(nil)

// Open returns the bucket. It makes no request.
func Open(ctx context.Context, opts Options) (*Bucket, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open minio bucket %s: %w", opts.Bucket, err)
	}
	endpoint, err := opts.normalize()
	if err != nil {
		return nil, fmt.Errorf("open minio bucket %s: %w", opts.Bucket, err)
	}
	if err := s3utils.CheckValidBucketName(opts.Bucket); err != nil {
		return nil, fmt.Errorf("open minio bucket %q: no bucket can have that name: %w", opts.Bucket, err)
	}
	plain, err := newTransport(endpoint.Scheme == "https", opts.Silence)
	if err != nil {
		return nil, fmt.Errorf("open minio bucket %s: %w", opts.Bucket, err)
	}
	transport := &throttle.Transport{Next: plain}
	access := opts.Credentials.chain()
	with := minio.Options{
		Creds: access, Secure: endpoint.Scheme == "https", Transport: &s3page.RoundTripper{Below: transport},
		Region: opts.Region, BucketLookup: minio.BucketLookupPath, MaxRetries: opts.Attempts,
	}
	client, err := minio.NewCore(endpoint.Host, &with)
	with.MaxRetries = 1
	once, err2 := minio.NewCore(endpoint.Host, &with)
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("open minio bucket %s at %s: %w", opts.Bucket, opts.Endpoint, err)
	}
	u := bucket.URL{Scheme: bucket.SchemeMinIO, Host: endpoint.Host, Bucket: opts.Bucket, Plain: endpoint.Scheme == "http"}
	lean := &direct.Transport{Dial: opts.Silence.Dial(), TLS: plain.TLSClientConfig, Otherwise: plain}
	w := &wire{credentials: access, endpoint: endpoint, bucket: opts.Bucket, region: opts.Region}
	w.hot = hot.Wire{Throttle: transport, By: lean, Sign: w.sign}
	return &Bucket{opts: opts, url: u.String(), client: client, once: once, wire: w, throttle: transport}, nil
}

func (o *Options) normalize() (*url.URL, error) {
	if o.Bucket == "" {
		return nil, errors.New("no bucket is named")
	}
	endpoint, err := url.Parse(o.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, errors.New("the endpoint is no URL of a server (write https://host:port)")
	}
	if endpoint.User != nil || strings.Trim(endpoint.Path, "/") != "" {
		return nil, errors.New("the endpoint holds more than a server's address (write https://host:port, and credentials apart)")
	}
	if c := o.Credentials; (c.AccessKey == "") != (c.SecretKey == "") {
		return nil, errors.New("the access key or its secret is missing")
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.PartSize == 0 {
		o.PartSize = 8 << 20
	}
	o.PartSize = max(o.PartSize, minPart)
	if o.CopySize == 0 {
		o.CopySize = 512 << 20
	}
	o.CopySize = min(max(o.CopySize, minPart), maxCopy)
	if o.Workers <= 0 {
		o.Workers = 4
	}
	if o.Attempts <= 0 {
		o.Attempts = 3
	}
	return endpoint, nil
}

func (c Credentials) chain() *credentials.Credentials {
	switch {
	case c.Anonymous:
		return credentials.NewStatic("", "", "", credentials.SignatureAnonymous)
	case c.AccessKey != "":
		return credentials.NewStaticV4(c.AccessKey, c.SecretKey, c.SessionToken)
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvMinio{}, &credentials.EnvAWS{}, &credentials.FileMinioClient{}, &credentials.FileAWSCredentials{},
	})
}

// newTransport is the SDK's own, with more connections to one host. Neither decompresses what it transports.
func newTransport(secure bool, limit silence.Limit) (*http.Transport, error) {
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("set up TLS: %w", err)
	}
	transport.DialContext = limit.Dial()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 256
	transport.ReadBufferSize, transport.WriteBufferSize = 64<<10, 64<<10
	return transport, nil
}

// Throttles implements bucket.Throttled.
func (b *Bucket) Throttles() int64 { return b.throttle.Throttles() }

// Retries implements bucket.Retried.
func (b *Bucket) Retries() int64 { return b.throttle.Retries() }

// Describe implements bucket.Bucket.
func (b *Bucket) Describe() bucket.Capabilities {
	return bucket.Capabilities{
		Provider: "minio", URL: b.url, Endpoint: b.opts.Endpoint, PartSize: b.opts.PartSize, ListPage: cmp.Or(b.opts.PageSize, 1000), Order: bucket.ByBytes,
		MaxObjectSize: maxObject, MaxKeyLength: keys.S3Max, MaxMetadataSize: maxMetadata, MaxParts: maxParts,
		MetadataKeys: bucket.MetadataLowerCase, ConditionalPut: true, ChecksMD5: true, ConditionalWrite: true,
		Tags: true, Expires: true, KeyProblem: keys.S3OverFiles, OpenTells: true, SplitPages: splitPages, Resumes: true, Copies: true, PutDigest: bucket.CRC64NVME,
		NoneBelow: true, // a listing leaves them out
		PropertyProblem: func(p bucket.Properties) string {
			_, err := headers(p)
			return bucket.Problem(err)
		},
		Locks: true, Keys: true,
	}
}

// Check implements bucket.Bucket.
func (b *Bucket) Check(ctx context.Context) error {
	for _, err := range b.pages(ctx, minio.ListObjectsOptions{Recursive: true, MaxKeys: 1}) {
		return b.fail("check", "", err)
	}
	return nil
}

// Make implements bucket.Maker.
func (b *Bucket) Make(ctx context.Context) error {
	return b.fail("make", "", b.create(ctx, false))
}

// create makes the bucket. One that is there already is as it is.
func (b *Bucket) create(ctx context.Context, locks bool) error {
	err := b.client.MakeBucket(ctx, b.opts.Bucket, minio.MakeBucketOptions{Region: b.opts.Region, ObjectLocking: locks})
	if minio.ToErrorResponse(err).Code == "BucketAlreadyOwnedByYou" {
		return nil
	}
	return err
}
