package minio

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

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
	w, metadata, err := b.newWrite(key, size, opts)
	if err != nil {
		return bucket.Object{}, err
	}
	if size <= b.opts.PartSize {
		return w.single(ctx, r, describe(condition(opts), opts.Properties, metadata))
	}
	return w.multipart(ctx, r, describe(minio.PutObjectOptions{}, opts.Properties, metadata))
}

// newWrite refuses what cannot be held, and gives the user metadata as it travels.
func (b *Bucket) newWrite(key string, size int64, opts bucket.PutOptions) (*write, map[string]string, error) {
	if problem := keys.S3OverFiles(key); problem != "" {
		return nil, nil, fmt.Errorf("%w: %s", bucket.ErrUnsupported, problem)
	}
	if size < 0 || size > maxObject {
		return nil, nil, fmt.Errorf("%w: an object of %d bytes, MinIO takes %d", bucket.ErrUnsupported, size, int64(maxObject))
	}
	metadata, err := headers(opts.Properties)
	if err := errors.Join(opts.Properties.Fits(b.Describe()), err); err != nil {
		return nil, nil, err
	}
	return &write{b: b, key: key, size: size, md5: opts.MD5, budget: opts.Budget, condition: condition(opts), log: opts.Upload}, metadata, nil
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
	log       *bucket.Upload
	// Of a write in parts: its upload, whether its parts are checked by their CRC, and they themselves.
	upload string
	summed bool
	copies bool // its parts come from within the server
	parts  []minio.CompletePart
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
	encoded := base64.StdEncoding.EncodeToString(sum)
	header := query.Header()
	header["Content-Md5"] = []string{encoded}
	var info minio.UploadInfo
	if answer := w.b.wire.put(ctx, w.key, part, header); answer != nil {
		info.ETag, info.VersionID = strings.Trim(answer.Get("ETag"), `"`), answer.Get("X-Amz-Version-Id")
	} else if info, err = w.b.client.PutObject(ctx, w.b.opts.Bucket, w.key, part.Reader(), w.size, encoded, "", query); err != nil {
		return bucket.Object{}, err
	}
	return w.object(info, []bucket.Digest{{Algorithm: bucket.MD5, Value: hex.EncodeToString(sum)}}), nil
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
