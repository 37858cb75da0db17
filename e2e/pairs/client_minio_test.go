//go:build unix

package pairs

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// viaMinIO is MinIO's SDK, for servers that the driver speaks to with Amazon's.
type viaMinIO struct{ core *minio.Core }

func newViaMinIO(endpoint, access, secret string) (client, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(access, secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath, Transport: newTransport(),
	})
	return viaMinIO{core}, err
}

// newTransport leaves what is encoded as it is stored.
func newTransport() *http.Transport {
	return &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 4 * atOnce}
}

func (c viaMinIO) makeBucket(ctx context.Context, bucket string) error {
	return c.core.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})
}

func (c viaMinIO) put(ctx context.Context, bucket string, o object) error {
	meta := map[string]string{}
	for key, value := range o.props.part(metaPrefix) {
		meta["x-amz-meta-"+key] = word(value)
	}
	if to := o.props[redirect]; to != "" {
		meta["x-amz-website-redirect-location"] = to
	}
	body := o.content()
	_, err := c.core.PutObject(ctx, bucket, o.key, bytes.NewReader(body), int64(len(body)), "", "", minio.PutObjectOptions{
		ContentType: o.props[contentType], ContentEncoding: o.props["Content-Encoding"], ContentLanguage: o.props["Content-Language"],
		ContentDisposition: o.props["Content-Disposition"], CacheControl: o.props["Cache-Control"], Expires: expiry(o.props[expires]),
		UserMetadata: meta, UserTags: o.props.part(tagPrefix), DisableContentSha256: true,
	})
	return err
}

func (c viaMinIO) keys(ctx context.Context, bucket string) ([]string, error) {
	var keys []string
	after := ""
	for {
		page, err := c.core.ListObjectsV2(bucket, "", "", after, "", 1000)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			keys = append(keys, o.Key)
		}
		if after = page.NextContinuationToken; !page.IsTruncated {
			return keys, ctx.Err()
		}
	}
}

func (c viaMinIO) get(ctx context.Context, bucket, key string) (found, error) {
	body, _, header, err := c.core.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return found{}, err
	}
	defer func() { _ = body.Close() }() // only read
	raw, err := io.ReadAll(body)
	if err != nil {
		return found{}, err
	}
	p := props{}
	for _, name := range append(contentHeaders(), expires) {
		p.set(name, header.Get(name))
	}
	p.set(redirect, header.Get("x-amz-website-redirect-location"))
	for name, values := range header {
		if key, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-"); ok {
			p.set(metaPrefix+key, values[0]) // which the SDK has decoded
		}
	}
	tags, err := c.core.GetObjectTagging(ctx, bucket, key, minio.GetObjectTaggingOptions{})
	if err != nil && minio.ToErrorResponse(err).Code != "NoSuchTagSet" {
		return found{}, err
	}
	if tags != nil {
		for key, value := range tags.ToMap() {
			p.set(tagPrefix+key, value)
		}
	}
	return see(raw, p), nil
}
