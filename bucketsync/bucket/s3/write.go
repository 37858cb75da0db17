package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/headertext"
)

// Put implements bucket.Writer.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	obj, err := b.put(ctx, key, r, size, opts)
	switch {
	case err == nil:
		return obj, nil
	case opts.IfMatch.ETag != "" && errors.Is(kind(err), bucket.ErrNotExist):
		// What was to be written over is gone.
		return bucket.Object{}, bucket.Wrap("put", b.url, key, bucket.ErrPrecondition, err)
	}
	return bucket.Object{}, b.fail("put", key, err)
}

func (b *Bucket) put(ctx context.Context, key string, r io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	w, err := b.newWrite(key, size, opts)
	if err != nil {
		return bucket.Object{}, err
	}
	if size <= b.opts.PartSize {
		return w.single(ctx, r)
	}
	return w.multipart(ctx, r)
}

// newWrite refuses what cannot be held.
func (b *Bucket) newWrite(key string, size int64, opts bucket.PutOptions) (*write, error) {
	if problem := b.keyProblem(key); problem != "" {
		return nil, fmt.Errorf("%w: %s", bucket.ErrUnsupported, problem)
	}
	if size < 0 || size > maxObject {
		return nil, fmt.Errorf("%w: an object of %d bytes, S3 takes %d", bucket.ErrUnsupported, size, int64(maxObject))
	}
	if err := opts.Properties.Fits(b.Describe()); err != nil {
		return nil, err
	}
	metadata, err := b.headers(opts.Properties)
	if err != nil {
		return nil, err
	}
	return &write{b: b, key: key, size: size, opts: opts, metadata: metadata}, nil
}

// headers are the user metadata as it travels, or why the properties cannot be held.
func (b *Bucket) headers(p bucket.Properties) (map[string]string, error) {
	if err := errors.Join(headertext.Check(p), headertext.CheckTags(p.Tags, b.complete())); err != nil {
		return nil, err
	}
	return headertext.Fold(p.Metadata, maxMetadata)
}

// write is one Put.
type write struct {
	b        *Bucket
	key      string
	size     int64
	opts     bucket.PutOptions
	metadata map[string]string
	// Of a write in parts: its upload, and the ETags of its parts.
	upload string
	tags   []string
}

func (w *write) single(ctx context.Context, r io.Reader) (bucket.Object, error) {
	part, err := body.Whole(ctx, r, w.size, w.opts.MD5, w.opts.Budget)
	if err != nil {
		return bucket.Object{}, err
	}
	defer part.Done()
	sum := part.MD5()
	p := w.opts.Properties
	in := &s3.PutObjectInput{
		Bucket: &w.b.opts.Bucket, Key: &w.key, Body: part.Reader(), ContentLength: &w.size, ContentMD5: aws.String(base64.StdEncoding.EncodeToString(sum)),
		ContentType: given(p.ContentType), ContentEncoding: given(headertext.StripChunked(p.ContentEncoding)),
		ContentLanguage: given(p.ContentLanguage), ContentDisposition: given(p.ContentDisposition), CacheControl: given(p.CacheControl),
		Expires: when(p.Expires), WebsiteRedirectLocation: given(p.WebsiteRedirect), Metadata: w.metadata,
		Tagging: tagging(p.Tags), StorageClass: types.StorageClass(p.StorageClass),
		IfNoneMatch: w.ifNoneMatch(), IfMatch: w.ifMatch(),
	}
	in.ObjectLockMode, in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus = lockHeaders(p.Lock)
	in.ServerSideEncryption, in.SSEKMSKeyId = keyHeaders(p.Encryption)
	out, err := w.b.client.PutObject(ctx, in, unsigned)
	if err != nil {
		return bucket.Object{}, err
	}
	acknowledged := []bucket.Digest{{Algorithm: bucket.MD5, Value: hex.EncodeToString(sum)}}
	if !w.b.complete() && unquote(aws.ToString(out.ETag)) != acknowledged[0].Value {
		acknowledged = nil // a server that does not know Content-MD5 leaves it aside
	}
	return w.object(out.ETag, out.VersionId, acknowledged), nil
}

func (w *write) object(etag, id *string, digests []bucket.Digest) bucket.Object {
	return bucket.Object{
		Key: w.key, Size: w.size, ETag: unquote(aws.ToString(etag)), Version: version(id),
		Digests: digests,
	}
}

func (w *write) ifNoneMatch() *string {
	if w.opts.IfAbsent {
		return aws.String("*")
	}
	return nil
}

func (w *write) ifMatch() *string {
	if w.opts.IfMatch.ETag != "" {
		return aws.String(quote(w.opts.IfMatch.ETag))
	}
	return nil
}

// Delete implements bucket.Writer. The object is looked at first, since not every server knows conditional deletes.
// In a versioned bucket it leaves a delete marker and removes no version.
func (b *Bucket) Delete(ctx context.Context, obj bucket.Object) error {
	in := &s3.DeleteObjectInput{Bucket: &b.opts.Bucket, Key: &obj.Key}
	if obj.ETag != "" {
		head, err := b.head(ctx, obj.Key, nil)
		if errors.Is(kind(err), bucket.ErrNotExist) {
			return nil
		}
		if err == nil && unquote(aws.ToString(head.ETag)) != obj.ETag {
			err = bucket.ErrPrecondition
		}
		if err != nil {
			return b.fail("delete", obj.Key, err)
		}
		in.IfMatch = aws.String(quote(obj.ETag))
	}
	_, err := b.client.DeleteObject(ctx, in)
	if errors.Is(kind(err), bucket.ErrNotExist) {
		return nil
	}
	return b.fail("delete", obj.Key, err)
}

// unsigned leaves the body out of the signature: its MD5 is in it.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func tagging(tags map[string]string) *string {
	if len(tags) == 0 {
		return nil
	}
	values := url.Values{}
	for key, value := range tags {
		values.Set(key, value)
	}
	return aws.String(values.Encode())
}
