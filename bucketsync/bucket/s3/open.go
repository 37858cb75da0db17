package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/keys"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/s3page"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/throttle"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// Limits of S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html and …/UsingMetadata.html.
const (
	maxObject   = 5 << 40
	maxMetadata = 2 << 10
	maxParts    = 10_000
	minPart     = 5 << 20
	maxCopy     = 5 << 30
)

// Options choose a bucket. Only Bucket is needed.
type Options struct {
	Bucket string
	// Endpoint is the URL of a server other than Amazon's (http://10.0.0.1:7070); it is addressed with the bucket in the path.
	Endpoint string
	// Complete says that the server at Endpoint keeps everything that Amazon's service does. Where it is not set, keys and
	// properties that such servers were seen to change or drop in silence are refused: see Describe.
	Complete bool
	// Region is the bucket's; empty is what the SDK's chain says, else us-east-1.
	Region string
	// Credentials are used as they are; empty ones leave it to the SDK's chain.
	Credentials Credentials
	// Profile of the SDK's shared configuration, for its chain.
	Profile string
	// PartSize is how many bytes a part of a multipart upload has at least, and what is sent in one request at most;
	// 0 is 8 MiB, and S3 takes no less than 5 MiB. Objects of over 10,000 parts get larger ones.
	PartSize int64
	// CopySize is how many bytes one request copies within the server at most; 0 is 512 MiB, S3 takes no more than 5 GiB.
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

// Credentials of S3, resolved.
type Credentials struct {
	AccessKey, SecretKey, SessionToken string
	// Anonymous sends requests without a signature.
	Anonymous bool
}

// Bucket is a bucket of S3. It may be used by several goroutines.
type Bucket struct {
	opts     Options
	url      string
	client   *s3.Client
	throttle *throttle.Transport
	// readable has the folders in which tags could be read, and folders counts what was put there.
	readable sync.Map
	folders  atomic.Int32
}

// maxFolders bounds what is remembered of folders.
const maxFolders = 10_000

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

// Open returns the bucket. It reads the SDK's configuration and makes no request to the store.
func Open(ctx context.Context, opts Options) (*Bucket, error) {
	if err := opts.normalize(); err != nil {
		return nil, err
	}
	load := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer { return newRetryer(opts.Attempts) }),
		config.WithHTTPClient(httpClient(opts.Silence)),
		config.WithLogger(logging.Nop{}), // what it would say is in the errors
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if opts.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(opts.Profile))
	}
	if opts.Region != "" {
		load = append(load, config.WithRegion(opts.Region))
	}
	switch c := opts.Credentials; {
	case c.Anonymous:
		load = append(load, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	case c.AccessKey != "":
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, c.SessionToken)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("open s3://%s: read the SDK's configuration: %w", opts.Bucket, err)
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	slow := &throttle.Transport{}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		slow.Next = asTransport(o.HTTPClient.Do)
		o.HTTPClient = asClient{slow}
		if opts.Endpoint != "" {
			o.BaseEndpoint = aws.String(opts.Endpoint)
			o.UsePathStyle = true
		}
		o.HTTPClient = &s3page.Doer{Below: o.HTTPClient}
	})
	return &Bucket{opts: opts, url: "s3://" + opts.Bucket, client: client, throttle: slow}, nil
}

func (o *Options) normalize() error {
	if o.Bucket == "" {
		return errors.New("open s3: no bucket is named")
	}
	if o.Endpoint != "" && !strings.HasPrefix(o.Endpoint, "http://") && !strings.HasPrefix(o.Endpoint, "https://") {
		return fmt.Errorf("open s3://%s: the endpoint %s has no scheme (write https://%s)", o.Bucket, o.Endpoint, o.Endpoint)
	}
	if c := o.Credentials; (c.AccessKey == "") != (c.SecretKey == "") {
		return fmt.Errorf("open s3://%s: the access key or its secret is missing", o.Bucket)
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
	return nil
}

// httpClient keeps many connections to one host, and passes bodies on as they are stored.
func httpClient(limit silence.Limit) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 256
		t.DisableCompression = true
		t.DialContext = limit.Dial()
		t.ReadBufferSize, t.WriteBufferSize = 64<<10, 64<<10
	})
}

// asTransport makes a transport of a client's method, and asClient a client of a transport.
type (
	asTransport func(*http.Request) (*http.Response, error)
	asClient    struct{ transport http.RoundTripper }
)

// RoundTrip implements http.RoundTripper.
func (t asTransport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// Do implements s3.HTTPClient.
func (c asClient) Do(r *http.Request) (*http.Response, error) { return c.transport.RoundTrip(r) }

// complete says that the store keeps all that S3 promises.
func (b *Bucket) complete() bool { return b.opts.Endpoint == "" || b.opts.Complete }

// express says that the bucket is a directory bucket of S3 Express, whose rules differ.
func (b *Bucket) express() bool { return strings.HasSuffix(b.opts.Bucket, "--x-s3") }

// Throttles implements bucket.Throttled.
func (b *Bucket) Throttles() int64 { return b.throttle.Throttles() }

// Retries implements bucket.Retried.
func (b *Bucket) Retries() int64 { return b.throttle.Retries() }

// Describe implements bucket.Bucket. Listings of general purpose buckets are in the order of UTF-8 bytes, those of
// directory buckets in none: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html.
func (b *Bucket) Describe() bucket.Capabilities {
	caps := bucket.Capabilities{
		Provider: "s3", URL: b.url, Endpoint: b.opts.Endpoint, PartSize: b.opts.PartSize, ListPage: cmp.Or(b.opts.PageSize, 1000), Order: bucket.ByBytes,
		MaxObjectSize: maxObject, MaxKeyLength: keys.S3Max, MaxMetadataSize: maxMetadata, MaxParts: maxParts, PutHashed: true, OpenTells: true, Resumes: true, Copies: true,
		MetadataKeys: bucket.MetadataLowerCase, ConditionalPut: true, ChecksMD5: true, ConditionalWrite: true,
		Tags: true, WebsiteRedirect: b.complete(), Expires: true, KeyProblem: b.keyProblem, NoneBelow: !b.complete(), FoldersEmpty: !b.complete(),
		PropertyProblem: func(p bucket.Properties) string {
			_, err := b.headers(p)
			return bucket.Problem(err)
		},
		Locks: true, Keys: true,
	}
	if b.express() {
		caps.Order, caps.Tags, caps.WebsiteRedirect, caps.Locks = bucket.Unordered, false, false, false
	}
	return caps
}

// keyProblem says why a key cannot be held, or may be changed.
func (b *Bucket) keyProblem(key string) string {
	if b.complete() {
		return keys.S3(key)
	}
	return keys.S3OverFiles(key)
}

// Check implements bucket.Bucket.
func (b *Bucket) Check(ctx context.Context) error {
	_, err := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.opts.Bucket, MaxKeys: aws.Int32(1)})
	return b.fail("check", "", err)
}

// Make implements bucket.Maker.
func (b *Bucket) Make(ctx context.Context) error {
	return b.fail("make", "", b.create(ctx, false))
}

// create makes the bucket. One that is there already is as it is.
func (b *Bucket) create(ctx context.Context, locks bool) error {
	in := &s3.CreateBucketInput{Bucket: &b.opts.Bucket}
	if locks {
		in.ObjectLockEnabledForBucket = &locks
	}
	if region := b.client.Options().Region; region != "us-east-1" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	_, err := b.client.CreateBucket(ctx, in)
	var owned *types.BucketAlreadyOwnedByYou
	if errors.As(err, &owned) {
		return nil
	}
	return err
}
