package s3

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/headertext"
)

// CopyFrom implements bucket.Copier. S3 holds a CopyObject to conditions on the destination
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html); other servers were seen not to, and hold
// the completion of an upload to them: there, every object is copied as the parts of one.
func (b *Bucket) CopyFrom(ctx context.Context, key string, from bucket.Bucket, src bucket.Object, opts bucket.PutOptions) (bucket.Copied, error) {
	copied, err := b.copyFrom(ctx, key, from, src, opts)
	if opts.IfMatch.ETag != "" && errors.Is(kind(err), bucket.ErrNotExist) {
		return bucket.Copied{}, bucket.Wrap("copy", b.url, key, bucket.ErrPrecondition, err) // either end is gone
	}
	return copied, b.fail("copy", key, err)
}

func (b *Bucket) copyFrom(ctx context.Context, key string, from bucket.Bucket, src bucket.Object, opts bucket.PutOptions) (bucket.Copied, error) {
	below, srcKey := bucket.Below(from, src.Key)
	source, ok := below.(*Bucket)
	if !ok || source.opts.Endpoint != b.opts.Endpoint || src.ETag == "" || src.Size == 0 {
		return bucket.Copied{}, fmt.Errorf("%w: a copy within the server from there", bucket.ErrUnsupported)
	}
	w, err := b.newWrite(key, src.Size, opts)
	if err != nil {
		return bucket.Copied{}, err
	}
	c := &within{write: w, bucket: source.opts.Bucket, key: srcKey, src: src}
	if b.complete() && src.Size <= b.opts.CopySize {
		return c.whole(ctx)
	}
	return c.inParts(ctx, source)
}

// within is a copy within the server.
type within struct {
	*write
	bucket, key string
	src         bucket.Object
}

// source is the object that is copied, as S3 wants it: every byte escaped but for slashes.
func (c *within) source() *string {
	escaped := strings.ReplaceAll(url.QueryEscape(c.bucket+"/"+c.key), "+", "%20")
	escaped = strings.ReplaceAll(escaped, "%2F", "/")
	if c.src.Version != "" {
		escaped += "?versionId=" + url.QueryEscape(c.src.Version)
	}
	return &escaped
}

// whole copies in one request. What the directives say is sent is what the object gets: else it had the source's.
func (c *within) whole(ctx context.Context) (bucket.Copied, error) {
	p := c.opts.Properties
	in := &s3.CopyObjectInput{
		Bucket: &c.b.opts.Bucket, Key: &c.write.key, CopySource: c.source(), CopySourceIfMatch: aws.String(quote(c.src.ETag)),
		MetadataDirective: types.MetadataDirectiveReplace, TaggingDirective: types.TaggingDirectiveReplace,
		ContentType: given(p.ContentType), ContentEncoding: given(headertext.StripChunked(p.ContentEncoding)),
		ContentLanguage: given(p.ContentLanguage), ContentDisposition: given(p.ContentDisposition), CacheControl: given(p.CacheControl),
		Expires: when(p.Expires), WebsiteRedirectLocation: given(p.WebsiteRedirect), Metadata: c.metadata,
		Tagging: tagging(p.Tags), StorageClass: types.StorageClass(p.StorageClass),
		IfNoneMatch: c.ifNoneMatch(), IfMatch: c.ifMatch(),
	}
	in.ObjectLockMode, in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus = lockHeaders(p.Lock)
	in.ServerSideEncryption, in.SSEKMSKeyId = keyHeaders(p.Encryption)
	out, err := c.b.client.CopyObject(ctx, in)
	if err != nil {
		return bucket.Copied{}, err
	}
	if out.CopyObjectResult == nil {
		return bucket.Copied{}, errors.New("the answer to a copy tells nothing of it")
	}
	return bucket.Copied{Object: c.object(out.CopyObjectResult.ETag, out.VersionId, nil)}, nil
}

// inParts copies as an upload whose parts are ranges of the source. Where the source was made of parts of one size, they are cut
// the same way: S3 makes the ETag of the parts' MD5s, so that equal ETags prove equal parts.
func (c *within) inParts(ctx context.Context, source *Bucket) (bucket.Copied, error) {
	size, alike := source.partsOf(ctx, c.key, c.src)
	if !alike {
		size = c.b.opts.CopySize
	}
	up := body.Upload{Log: c.opts.Upload}
	plan, err := c.begin(ctx, &up, size)
	if err != nil {
		return bucket.Copied{}, err
	}
	obj, err := c.parts(ctx, &up, plan)
	if err != nil {
		if up.Log == nil {
			err = errors.Join(err, c.b.abort(ctx, c.write.key, c.upload))
		}
		return bucket.Copied{}, err
	}
	return bucket.Copied{Object: obj, Proven: obj.ETag == c.src.ETag && body.MadeOfParts(obj.ETag) && body.Plain(c.src)}, nil
}

// parts copies those that the upload lacks, and completes it.
func (c *within) parts(ctx context.Context, up *body.Upload, plan body.Plan) (bucket.Object, error) {
	c.tags = make([]string, (c.size+plan.PartSize-1)/plan.PartSize)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(c.b.opts.Workers)
	for number := 1; number <= len(c.tags); number++ {
		if tag, ok := up.Have[number]; ok && up.Log.State.Tags[number] == tag {
			c.tags[number-1] = tag
			continue
		}
		group.Go(func() error { return c.part(gctx, up, plan, number) })
	}
	if err := group.Wait(); err != nil {
		return bucket.Object{}, err
	}
	out, err := c.complete(ctx)
	if err != nil {
		return bucket.Object{}, err
	}
	var digests []bucket.Digest
	if sse := out.ServerSideEncryption; len(c.tags) == 1 && body.MadeOfBytes(c.tags[0]) && (sse == "" || sse == types.ServerSideEncryptionAes256) {
		digests = append(digests, bucket.Digest{Algorithm: bucket.MD5, Value: c.tags[0]}) // of the one part, which is the whole
	}
	return c.object(out.ETag, out.VersionId, digests), nil
}

func (c *within) part(ctx context.Context, up *body.Upload, plan body.Plan, number int) error {
	first := int64(number-1) * plan.PartSize
	out, err := c.b.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
		Bucket: &c.b.opts.Bucket, Key: &c.write.key, UploadId: &c.upload, PartNumber: aws.Int32(int32(number)),
		CopySource: c.source(), CopySourceIfMatch: aws.String(quote(c.src.ETag)),
		CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", first, first+plan.Length(number)-1)),
	})
	if err == nil && out.CopyPartResult == nil {
		err = errors.New("the answer tells nothing of it")
	}
	if err != nil {
		return fmt.Errorf("copy part %d: %w", number, err)
	}
	c.tags[number-1] = unquote(aws.ToString(out.CopyPartResult.ETag))
	if up.Log == nil {
		return nil
	}
	return up.Log.Note(bucket.UploadNote{Part: number, Tag: c.tags[number-1]})
}

// partsOf finds out whether an object was made of parts of one size, as far as the first tells.
func (b *Bucket) partsOf(ctx context.Context, key string, src bucket.Object) (size int64, alike bool) {
	if !body.MadeOfParts(src.ETag) {
		return 0, false
	}
	head, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.opts.Bucket, Key: &key, PartNumber: aws.Int32(1), IfMatch: aws.String(quote(src.ETag))})
	if err != nil {
		return 0, false // not every server knows parts; the copy itself will say what else is wrong
	}
	size = aws.ToInt64(head.ContentLength)
	if size < minPart || size > maxCopy {
		return 0, false
	}
	return size, body.Alike(src, size)
}
