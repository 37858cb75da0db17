package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/headertext"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/s3rights"
)

// Head implements bucket.Reader.
func (b *Bucket) Head(ctx context.Context, key string) (bucket.Object, error) {
	return b.look(ctx, key, nil)
}

// look is a head of one version, or without an id of what is current.
func (b *Bucket) look(ctx context.Context, key string, id *string) (bucket.Object, error) {
	head, err := b.head(ctx, key, id)
	if err != nil {
		return bucket.Object{}, b.fail("head", key, err)
	}
	obj, err := b.told(ctx, key, head)
	if err != nil {
		return bucket.Object{}, b.fail("head", key, err)
	}
	return obj, nil
}

// told is all that the answer to a head, or to a read of the whole, tells of an object, with its tags.
func (b *Bucket) told(ctx context.Context, key string, head *s3.HeadObjectOutput) (obj bucket.Object, err error) {
	obj = bucket.Object{
		Key: key, Size: aws.ToInt64(head.ContentLength), ETag: unquote(aws.ToString(head.ETag)), Version: version(head.VersionId),
		Modified: aws.ToTime(head.LastModified), Digests: b.digests(head), Properties: properties(head), Archived: archivedHead(head),
	}
	if b.express() {
		return obj, nil
	}
	if obj.Properties.Tags, err = b.tags(ctx, key, head); err != nil {
		return obj, b.fail(s3rights.OpTags, key, err)
	}
	return obj, nil
}

func (b *Bucket) head(ctx context.Context, key string, id *string) (*s3.HeadObjectOutput, error) {
	return b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.opts.Bucket, Key: &key, VersionId: id, ChecksumMode: types.ChecksumModeEnabled})
}

// tags asks for an object's tags, unless it is certain that there are none. The answer to a head leaves their number out
// where there are none, and also where the caller may not read them (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html,
// x-amz-tagging-count); tags that nobody sees would be lost in silence. Rights are given by prefix, so that no number means
// none where the tags of an object in the same folder could be read. Other servers than Amazon's may tell no number, and
// are always asked. A server that knows no tags has none.
func (b *Bucket) tags(ctx context.Context, key string, head *s3.HeadObjectOutput) (map[string]string, error) {
	folder, _, ok := strings.Cut(key, "/")
	if !ok {
		folder = "" // what lies in no folder
	}
	count := aws.ToInt32(head.TagCount)
	if _, readable := b.readable.Load(folder); readable && count == 0 && b.complete() {
		return nil, nil
	}
	out, err := b.client.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: &b.opts.Bucket, Key: &key, VersionId: head.VersionId})
	if errors.Is(kind(err), bucket.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if b.folders.Add(1) <= maxFolders {
		b.readable.Store(folder, true)
	}
	if len(out.TagSet) == 0 {
		return nil, nil
	}
	tags := make(map[string]string, len(out.TagSet))
	for _, tag := range out.TagSet {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags, nil
}

func properties(head *s3.HeadObjectOutput) *bucket.Properties {
	p := &bucket.Properties{
		ContentType:        aws.ToString(head.ContentType),
		ContentEncoding:    headertext.StripChunked(aws.ToString(head.ContentEncoding)),
		ContentLanguage:    aws.ToString(head.ContentLanguage),
		ContentDisposition: aws.ToString(head.ContentDisposition),
		CacheControl:       aws.ToString(head.CacheControl),
		WebsiteRedirect:    aws.ToString(head.WebsiteRedirectLocation),
		Metadata:           headertext.Unfold(head.Metadata),
		StorageClass:       string(head.StorageClass),
		Other:              map[string]string{},
	}
	other := func(name, value string) {
		if value != "" {
			p.Other[name] = value
		}
	}
	if text := aws.ToString(head.ExpiresString); text != "" {
		when, err := http.ParseTime(text)
		if err != nil {
			other("Expires", text)
		}
		p.Expires = when
	}
	p.Lock, p.Encryption = lockOf(head), encryptionOf(head)
	if head.ServerSideEncryption == types.ServerSideEncryptionAwsKmsDsse { // a second layer, which is not asked for at the destination
		other("x-amz-server-side-encryption", string(head.ServerSideEncryption))
	}
	if n := aws.ToInt32(head.MissingMeta); n > 0 {
		other("x-amz-missing-meta", fmt.Sprint(n))
	}
	if len(p.Other) == 0 {
		p.Other = nil
	}
	return p
}

// digests are those of the whole content. An ETag is an MD5 only of an object that was stored in one piece and is
// encrypted with S3's own keys or not at all (B2): https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html.
func (b *Bucket) digests(head *s3.HeadObjectOutput) []bucket.Digest {
	var digests []bucket.Digest
	etag := unquote(aws.ToString(head.ETag))
	plain := head.ServerSideEncryption == "" || head.ServerSideEncryption == types.ServerSideEncryptionAes256
	if sum, err := hex.DecodeString(etag); err == nil && len(sum) == 16 && plain && head.SSECustomerAlgorithm == nil && !b.express() {
		digests = append(digests, bucket.Digest{Algorithm: bucket.MD5, Value: strings.ToLower(etag)})
	}
	// A checksum of checksums of parts says so by its type, and ends with the number of parts.
	if head.ChecksumType == types.ChecksumTypeComposite || head.ChecksumType == "" && strings.Contains(etag, "-") {
		return digests
	}
	for _, sum := range []struct {
		algorithm bucket.Algorithm
		base64    *string
	}{{bucket.SHA256, head.ChecksumSHA256}, {bucket.CRC32C, head.ChecksumCRC32C}, {bucket.CRC64NVME, head.ChecksumCRC64NVME}} {
		raw, err := base64.StdEncoding.DecodeString(aws.ToString(sum.base64))
		if err == nil && len(raw) > 0 {
			digests = append(digests, bucket.Digest{Algorithm: sum.algorithm, Value: hex.EncodeToString(raw)})
		}
	}
	return digests
}

// Open implements bucket.Reader.
func (b *Bucket) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	return b.open(ctx, key, nil, opts)
}

// open reads one version, or without an id what is current.
func (b *Bucket) open(ctx context.Context, key string, id *string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	in := &s3.GetObjectInput{Bucket: &b.opts.Bucket, Key: &key, VersionId: id, Range: byteRange(opts)}
	if in.Range == nil {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	if opts.Pin.ETag != "" {
		in.IfMatch = aws.String(quote(opts.Pin.ETag))
	}
	out, err := b.client.GetObject(ctx, in)
	if err != nil {
		return nil, bucket.Object{}, b.fail("open", key, err)
	}
	obj := bucket.Object{Key: key, ETag: unquote(aws.ToString(out.ETag)), Version: version(out.VersionId), Modified: aws.ToTime(out.LastModified)}
	if in.Range == nil {
		obj, err = b.told(ctx, key, headOf(out))
	}
	var want int64
	if err == nil {
		want, err = body.Answered(opts, &obj, aws.ToInt64(out.ContentLength), aws.ToString(out.ContentRange))
	}
	if err != nil {
		return nil, bucket.Object{}, b.fail("open", key, errors.Join(err, out.Body.Close()))
	}
	return body.Answer(out.Body, want), obj, nil
}

// headOf is the head of an object that is read.
func headOf(out *s3.GetObjectOutput) *s3.HeadObjectOutput {
	return &s3.HeadObjectOutput{
		ContentLength: out.ContentLength, ETag: out.ETag, VersionId: out.VersionId, LastModified: out.LastModified,
		ContentType: out.ContentType, ContentEncoding: out.ContentEncoding, ContentLanguage: out.ContentLanguage,
		ContentDisposition: out.ContentDisposition, CacheControl: out.CacheControl, ExpiresString: out.ExpiresString,
		WebsiteRedirectLocation: out.WebsiteRedirectLocation, Metadata: out.Metadata, MissingMeta: out.MissingMeta,
		StorageClass: out.StorageClass, TagCount: out.TagCount, Restore: out.Restore,
		ServerSideEncryption: out.ServerSideEncryption, SSEKMSKeyId: out.SSEKMSKeyId, SSECustomerAlgorithm: out.SSECustomerAlgorithm,
		ObjectLockMode: out.ObjectLockMode, ObjectLockLegalHoldStatus: out.ObjectLockLegalHoldStatus, ObjectLockRetainUntilDate: out.ObjectLockRetainUntilDate,
		ChecksumType: out.ChecksumType, ChecksumSHA256: out.ChecksumSHA256, ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
	}
}

func byteRange(opts bucket.ReadOptions) *string {
	switch {
	case opts.Length > 0:
		return aws.String(fmt.Sprintf("bytes=%d-%d", opts.Offset, opts.Offset+opts.Length-1))
	case opts.Offset > 0:
		return aws.String(fmt.Sprintf("bytes=%d-", opts.Offset))
	}
	return nil
}

// version is empty where the bucket keeps none, for which S3 says "null".
func version(id *string) string {
	if aws.ToString(id) == "null" {
		return ""
	}
	return aws.ToString(id)
}

func quote(etag string) string   { return `"` + etag + `"` }
func unquote(etag string) string { return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`) }
