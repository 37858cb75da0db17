//go:build unix

package pairs

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// viaAWS is Amazon's SDK, for servers that the driver speaks to with MinIO's.
type viaAWS struct{ client *s3.Client }

func newViaAWS(endpoint, access, secret string) client {
	return viaAWS{s3.New(s3.Options{
		BaseEndpoint: &endpoint, UsePathStyle: true, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
		HTTPClient:                 &http.Client{Transport: newTransport()},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})}
}

func (c viaAWS) makeBucket(ctx context.Context, bucket string) error {
	_, err := c.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket})
	return err
}

func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (c viaAWS) put(ctx context.Context, bucket string, o object) error {
	in := &s3.PutObjectInput{
		Bucket: &bucket, Key: &o.key, Body: bytes.NewReader(o.content()), Metadata: map[string]string{},
		ContentType: given(o.props[contentType]), ContentEncoding: given(o.props["Content-Encoding"]), ContentLanguage: given(o.props["Content-Language"]),
		ContentDisposition: given(o.props["Content-Disposition"]), CacheControl: given(o.props["Cache-Control"]),
		WebsiteRedirectLocation: given(o.props[redirect]),
	}
	for key, value := range o.props.part(metaPrefix) {
		in.Metadata[key] = word(value)
	}
	if when := expiry(o.props[expires]); !when.IsZero() {
		in.Expires = &when
	}
	tags := url.Values{}
	for key, value := range o.props.part(tagPrefix) {
		tags.Set(key, value)
	}
	in.Tagging = given(tags.Encode())
	_, err := c.client.PutObject(ctx, in)
	return err
}

func (c viaAWS) keys(ctx context.Context, bucket string) ([]string, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(c.client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	return keys, nil
}

func (c viaAWS) get(ctx context.Context, bucket, key string) (found, error) {
	out, err := c.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return found{}, err
	}
	defer func() { _ = out.Body.Close() }() // only read
	raw, err := io.ReadAll(out.Body)
	if err != nil {
		return found{}, err
	}
	p := props{}
	for name, value := range map[string]*string{
		contentType: out.ContentType, "Content-Encoding": out.ContentEncoding, "Content-Language": out.ContentLanguage,
		"Content-Disposition": out.ContentDisposition, "Cache-Control": out.CacheControl, expires: out.ExpiresString, redirect: out.WebsiteRedirectLocation,
	} {
		p.set(name, aws.ToString(value))
	}
	for key, value := range out.Metadata {
		p.set(metaPrefix+strings.ToLower(key), unword(value))
	}
	if aws.ToInt32(out.TagCount) > 0 {
		tags, err := c.client.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return found{}, err
		}
		for _, tag := range tags.TagSet {
			p.set(tagPrefix+aws.ToString(tag.Key), aws.ToString(tag.Value))
		}
	}
	return see(raw, p), nil
}
