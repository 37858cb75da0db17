package minio

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/headertext"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/keys"
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
	if problem := keys.S3OverFiles(key); problem != "" {
		return bucket.Object{}, fmt.Errorf("%w: %s", bucket.ErrUnsupported, problem)
	}
	if size < 0 || size > maxObject {
		return bucket.Object{}, fmt.Errorf("%w: an object of %d bytes, MinIO takes %d", bucket.ErrUnsupported, size, int64(maxObject))
	}
	metadata, err := headers(opts.Properties)
	if err := errors.Join(opts.Properties.Fits(b.Describe()), err); err != nil {
		return bucket.Object{}, err
	}
	w := write{b: b, key: key, size: size, md5: opts.MD5, budget: opts.Budget, condition: condition(opts)}
	if size <= b.opts.PartSize {
		return w.single(ctx, r, describe(condition(opts), opts.Properties, metadata))
	}
	return w.multipart(ctx, r, describe(minio.PutObjectOptions{}, opts.Properties, metadata))
}

// headers are the user metadata as it travels, or why the properties cannot be held.
func headers(p bucket.Properties) (map[string]string, error) {
	if err := errors.Join(headertext.Check(p), headertext.CheckTags(p.Tags, false)); err != nil {
		return nil, err
	}
	return headertext.Fold(p.Metadata, maxMetadata)
}

// condition is the write's. In a multipart upload it goes with the last request only, which is the one that writes.
func condition(opts bucket.PutOptions) minio.PutObjectOptions {
	query := minio.PutObjectOptions{DisableContentSha256: true} // its MD5 is in the signature
	if opts.IfAbsent {
		query.SetMatchETagExcept("*")
	}
	if opts.IfMatch.ETag != "" {
		query.SetMatchETag(opts.IfMatch.ETag)
	}
	return query
}

func describe(query minio.PutObjectOptions, p bucket.Properties, metadata map[string]string) minio.PutObjectOptions {
	query.ContentType = p.ContentType
	query.ContentEncoding = headertext.StripChunked(p.ContentEncoding)
	query.ContentLanguage = p.ContentLanguage
	query.ContentDisposition = p.ContentDisposition
	query.CacheControl = p.CacheControl
	query.Expires = p.Expires
	query.StorageClass = p.StorageClass
	query.UserTags = p.Tags
	guard(&query, p)
	// With their prefix, so that the SDK takes no key for a header of the same name.
	query.UserMetadata = make(map[string]string, len(metadata))
	for name, value := range metadata {
		query.UserMetadata["x-amz-meta-"+name] = value
	}
	return query
}

// write is one Put.
type write struct {
	b         *Bucket
	key       string
	size      int64
	md5       []byte
	budget    bucket.Budget
	condition minio.PutObjectOptions
	summed    bool // the upload's parts are checked by their CRC
}

// Headers by which a checksum goes with an upload: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html.
const (
	checksumHeader = "X-Amz-Checksum-Crc64nvme"
	checksumType   = "X-Amz-Checksum-Type"
	wholeObject    = "FULL_OBJECT"
)

func (w *write) single(ctx context.Context, r io.Reader, query minio.PutObjectOptions) (bucket.Object, error) {
	part, err := body.Whole(ctx, r, w.size, w.md5, w.budget)
	if err != nil {
		return bucket.Object{}, err
	}
	defer part.Done()
	sum := part.MD5()
	info, err := w.b.client.PutObject(ctx, w.b.opts.Bucket, w.key, part.Reader(), w.size, base64.StdEncoding.EncodeToString(sum), "", query)
	if err != nil {
		return bucket.Object{}, err
	}
	return w.object(info, []bucket.Digest{{Algorithm: bucket.MD5, Value: hex.EncodeToString(sum)}}), nil
}

// multipart has the parts checked by their CRC, of which the server makes that of the whole. A server from before 2025 does not
// know it and refuses the beginning; its parts are checked by their MD5, which costs the client many times as much.
func (w *write) multipart(ctx context.Context, r io.Reader, query minio.PutObjectOptions) (bucket.Object, error) {
	summed := query
	summed.UserMetadata = maps.Clone(query.UserMetadata)
	summed.UserMetadata["X-Amz-Checksum-Algorithm"] = "CRC64NVME"
	summed.UserMetadata[checksumType] = wholeObject
	upload, err := w.b.client.NewMultipartUpload(ctx, w.b.opts.Bucket, w.key, summed)
	w.summed = err == nil
	if err != nil && minio.ToErrorResponse(err).StatusCode == http.StatusBadRequest {
		upload, err = w.b.client.NewMultipartUpload(ctx, w.b.opts.Bucket, w.key, query)
	}
	if err != nil {
		return bucket.Object{}, err
	}
	obj, err := w.complete(ctx, upload, r)
	if err != nil {
		return bucket.Object{}, errors.Join(err, w.abort(ctx, upload))
	}
	return obj, nil
}

func (w *write) complete(ctx context.Context, upload string, r io.Reader) (bucket.Object, error) {
	plan := body.NewPlan(w.size, w.b.opts.PartSize, maxParts, w.b.opts.Workers)
	plan.Budget = w.budget
	parts := make([]minio.CompletePart, (w.size+plan.PartSize-1)/plan.PartSize)
	hashed := body.NewHash(r, w.md5 != nil)
	err := body.Parts(ctx, hashed, plan, func(ctx context.Context, part body.Part) error {
		opts, done := minio.PutObjectPartOptions{DisableContentSha256: true}, minio.CompletePart{PartNumber: part.Number}
		if w.summed {
			done.ChecksumCRC64NVME = base64.StdEncoding.EncodeToString(part.CRC64NVME())
			opts.CustomHeader = http.Header{checksumHeader: {done.ChecksumCRC64NVME}}
		} else {
			opts.Md5Base64 = base64.StdEncoding.EncodeToString(part.MD5())
		}
		sent, err := w.b.client.PutObjectPart(ctx, w.b.opts.Bucket, w.key, upload, part.Number, part.Reader(), int64(len(part.Data)), opts)
		if err != nil {
			return fmt.Errorf("send part %d: %w", part.Number, err)
		}
		done.ETag = sent.ETag
		parts[part.Number-1] = done
		return nil
	})
	if err == nil {
		err = body.CheckMD5(hashed.Sum(), w.md5)
	}
	if err != nil {
		return bucket.Object{}, err
	}
	query := w.condition
	if w.summed {
		query.UserMetadata = map[string]string{checksumType: wholeObject}
	}
	info, err := w.b.client.CompleteMultipartUpload(ctx, w.b.opts.Bucket, w.key, upload, parts, query)
	if err != nil {
		return bucket.Object{}, err
	}
	if !w.summed {
		// The server checked the MD5 of every part, and these were computed over the same bytes.
		return w.object(info, hashed.Digests()), nil
	}
	sum, err := base64.StdEncoding.DecodeString(info.ChecksumCRC64NVME)
	if err != nil || len(sum) == 0 {
		return w.object(info, nil), nil // nothing is acknowledged: the engine reads it back
	}
	return w.object(info, []bucket.Digest{{Algorithm: bucket.CRC64NVME, Value: hex.EncodeToString(sum)}}), nil
}

// abort drops the parts, also where the context is what ended the upload (B15). An upload that is gone needs none.
func (w *write) abort(ctx context.Context, upload string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err := w.b.client.AbortMultipartUpload(ctx, w.b.opts.Bucket, w.key, upload)
	if err != nil && minio.ToErrorResponse(err).Code != "NoSuchUpload" {
		return fmt.Errorf("abort the unfinished upload %s: %w", upload, err)
	}
	return nil
}

func (w *write) object(info minio.UploadInfo, digests []bucket.Digest) bucket.Object {
	obj := bucket.Object{Key: w.key, Size: w.size, ETag: info.ETag, Digests: digests}
	if info.VersionID != "null" {
		obj.Version = info.VersionID
	}
	return obj
}

// Delete implements bucket.Writer. In a versioned bucket it leaves a delete marker and removes no version.
func (b *Bucket) Delete(ctx context.Context, obj bucket.Object) error {
	if obj.ETag != "" {
		info, err := b.client.StatObject(ctx, b.opts.Bucket, obj.Key, minio.StatObjectOptions{})
		if minio.ToErrorResponse(err).Code == "NoSuchKey" {
			return nil
		}
		if err == nil && info.ETag != obj.ETag {
			err = bucket.ErrPrecondition
		}
		if err != nil {
			return b.fail("delete", obj.Key, err)
		}
	}
	err := b.client.RemoveObject(ctx, b.opts.Bucket, obj.Key, minio.RemoveObjectOptions{})
	return b.fail("delete", obj.Key, err)
}
