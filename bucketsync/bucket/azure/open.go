package azure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/direct"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/hot"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/throttle"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// Limits of Azure: https://learn.microsoft.com/azure/storage/blobs/scalability-targets.
const (
	maxBlocks   = 50_000
	maxBlock    = 4000 << 20
	maxObject   = maxBlocks * maxBlock
	maxKey      = 1024
	maxNames    = 254
	maxMetadata = 8 << 10
)

// Options choose a container. Account and Container are needed.
type Options struct {
	Account   string
	Container string
	// Endpoint is the URL of the service where it is not https://ACCOUNT.blob.core.windows.net. The account is added as
	// the first element of its path, unless it has a path or the account is the first part of the host's name.
	Endpoint string
	// Credentials are used as they are; empty ones leave it to Azure's default chain, which needs HTTPS.
	Credentials Credentials
	// PartSize is the size in bytes of a block, and what is sent in one request at most; 0 is 8 MiB. Objects of over
	// 50,000 blocks get larger ones.
	PartSize int64
	// Workers is how many blocks of one object are sent at once; 0 is 4.
	Workers int
	// PageSize is how many keys a page of a listing has; 0 is what the service gives, at most 5,000.
	PageSize int
	// Attempts is how often a request is tried in all; 0 is 3. The engine tries again on top of it.
	Attempts int
	// Silence bounds how long the store may say nothing.
	Silence silence.Limit
}

// Credentials of Azure, resolved. At most one is set.
type Credentials struct {
	// AccountKey is one of the account's two keys, in base64.
	AccountKey string
	// SAS is a shared access signature: the query of its URL.
	SAS string
	// Anonymous sends requests without credentials.
	Anonymous bool
}

// Bucket is a container of an account. It may be used by several goroutines.
type Bucket struct {
	opts     Options
	url      string
	client   *container.Client
	account  *service.Client
	wire     *wire
	throttle *throttle.Transport
	space    atomic.Uint32 // a namespace
}

var _ interface {
	bucket.Bucket
	bucket.Maker
	bucket.Guarded
	bucket.Prober
	bucket.Resumer
	bucket.Throttled
	bucket.Versioned
	bucket.Retried
} = (*Bucket)(nil)

// Open returns the container. It makes no request to the store.
func Open(ctx context.Context, opts Options) (*Bucket, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open azure container %s: %w", opts.Container, err)
	}
	if opts.Account == "" || opts.Container == "" {
		return nil, errors.New("open azure container: its name or its account's is missing")
	}
	if opts.PartSize <= 0 {
		opts.PartSize = 8 << 20
	}
	if opts.Workers <= 0 {
		opts.Workers = 4
	}
	if opts.Attempts <= 0 {
		opts.Attempts = 3
	}
	b := &Bucket{opts: opts, url: "az://" + opts.Account + "/" + opts.Container}
	address, err := opts.address()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", b.url, err)
	}
	if b.account, err = opts.connect(address, b); err != nil {
		return nil, fmt.Errorf("open %s: %w", b.url, err)
	}
	b.client = b.account.NewContainerClient(opts.Container)
	if err := b.wire.aim(b.client.URL(), opts.Credentials); err != nil {
		return nil, fmt.Errorf("open %s: %w", b.url, err)
	}
	return b, nil
}

// address is the account's URL.
func (o Options) address() (string, error) {
	if o.Endpoint == "" {
		return "https://" + o.Account + ".blob.core.windows.net/", nil
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("the endpoint is no URL of a server (write https://host:port)")
	}
	if u.User != nil || u.RawQuery != "" {
		return "", errors.New("the endpoint carries credentials (give them apart)")
	}
	if strings.Trim(u.Path, "/") == "" && !strings.HasPrefix(u.Host, o.Account+".") {
		u = u.JoinPath(o.Account)
	}
	return u.String(), nil
}

func (o Options) connect(address string, b *Bucket) (*service.Client, error) {
	plain, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the program has replaced the default HTTP transport")
	}
	transport := plain.Clone()
	transport.DialContext = o.Silence.Dial()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 256
	transport.DisableCompression = true
	transport.ReadBufferSize, transport.WriteBufferSize = 64<<10, 64<<10
	retries := int32(o.Attempts - 1)
	if retries == 0 {
		retries = -1 // 0 is the SDK's own number
	}
	b.throttle = &throttle.Transport{Next: transport}
	lean := &direct.Transport{Dial: o.Silence.Dial(), TLS: transport.TLSClientConfig, Otherwise: transport}
	b.wire = &wire{hot: hot.Wire{Throttle: b.throttle, By: lean}, account: o.Account}
	options := &service.ClientOptions{ClientOptions: policy.ClientOptions{
		Transport: &http.Client{Transport: b.throttle},
		Retry:     policy.RetryOptions{MaxRetries: retries, RetryDelay: 500 * time.Millisecond, MaxRetryDelay: 20 * time.Second},
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}}
	switch c := o.Credentials; {
	case c.AccountKey != "":
		key, err := service.NewSharedKeyCredential(o.Account, c.AccountKey)
		if err != nil {
			return nil, errKey
		}
		return service.NewClientWithSharedKeyCredential(address, key, options)
	case c.SAS != "":
		return service.NewClientWithNoCredential(address+"?"+strings.TrimPrefix(c.SAS, "?"), options)
	case c.Anonymous:
		return service.NewClientWithNoCredential(address, options)
	}
	chain, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, fmt.Errorf("find credentials: %w", err)
	}
	b.wire.tokens = &tokens{from: chain}
	return service.NewClient(address, chain, options)
}

var errKey = errors.New("the account's key is no base64")

// Throttles implements bucket.Throttled.
func (b *Bucket) Throttles() int64 { return b.throttle.Throttles() }

// Retries implements bucket.Retried.
func (b *Bucket) Retries() int64 { return b.throttle.Retries() }

// Describe implements bucket.Bucket.
func (b *Bucket) Describe() bucket.Capabilities {
	caps := bucket.Capabilities{
		Provider: "azure", URL: b.url, Endpoint: b.opts.Endpoint, PartSize: b.opts.PartSize, ListPage: cmp.Or(b.opts.PageSize, 5000), Order: bucket.Unordered,
		MaxObjectSize: maxObject, MaxKeyLength: maxKey, MaxMetadataSize: maxMetadata, MaxParts: maxBlocks,
		MetadataKeys: bucket.MetadataAnyCase, MetadataName: metadataName,
		ConditionalPut: true, ChecksMD5: true, ConditionalWrite: true, Tags: true, Resumes: true, KeyProblem: keyProblem,
		PropertyProblem: func(p bucket.Properties) string {
			_, err := headers(p)
			return bucket.Problem(err)
		},
		Locks: true, Keys: true,
	}
	if b.hierarchical() {
		limit(&caps)
	}
	return caps
}

// Check implements bucket.Bucket.
func (b *Bucket) Check(ctx context.Context) error {
	one := int32(1)
	_, err := b.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{MaxResults: &one}).NextPage(ctx)
	return b.fail("check", "", err)
}

// Make implements bucket.Maker.
func (b *Bucket) Make(ctx context.Context) error {
	_, err := b.client.Create(ctx, nil)
	if bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return nil
	}
	return b.fail("make", "", err)
}
