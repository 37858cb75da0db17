package minio

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/headertext"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/s3rights"
)

// Head implements bucket.Reader.
func (b *Bucket) Head(ctx context.Context, key string) (bucket.Object, error) {
	return b.look(ctx, key, "")
}

// look is a head of one version, or without an id of what is current.
func (b *Bucket) look(ctx context.Context, key, id string) (bucket.Object, error) {
	info, err := b.client.StatObject(ctx, b.opts.Bucket, key, minio.StatObjectOptions{VersionID: id})
	if err != nil {
		return bucket.Object{}, b.fail("head", key, err)
	}
	obj, err := b.told(ctx, key, info)
	if err != nil {
		return bucket.Object{}, b.fail("head", key, err)
	}
	return obj, nil
}

// told is all that the answer to a head or to a read of the whole tells. The server says with both how many tags an object has,
// whoever asks (setObjectHeaders in its cmd/api-headers.go), so that only those of an object that has some are asked for.
func (b *Bucket) told(ctx context.Context, key string, info minio.ObjectInfo) (bucket.Object, error) {
	obj := seen(key, info)
	obj.Digests = digests(info)
	obj.Properties = properties(info)
	obj.Archived = archived(info)
	if info.UserTagCount == 0 {
		return obj, nil
	}
	tags, err := b.client.GetObjectTagging(ctx, b.opts.Bucket, key, minio.GetObjectTaggingOptions{VersionID: info.VersionID})
	if err != nil {
		return bucket.Object{}, b.fail(s3rights.OpTags, key, err)
	}
	if found := tags.ToMap(); len(found) > 0 {
		obj.Properties.Tags = found
	}
	return obj, nil
}

func seen(key string, info minio.ObjectInfo) bucket.Object {
	obj := bucket.Object{Key: key, Size: info.Size, ETag: info.ETag, Modified: info.LastModified}
	if info.VersionID != "null" {
		obj.Version = info.VersionID
	}
	return obj
}

// digests: an ETag is an MD5 where the object was stored in one piece, and not under a key of its user's or of a key
// service (B2). Without MD5 sums the server ends it with a hyphen and a number.
func digests(info minio.ObjectInfo) []bucket.Digest {
	sse := info.Headers.Get("X-Amz-Server-Side-Encryption")
	sum, err := hex.DecodeString(info.ETag)
	if err != nil || len(sum) != 16 || sse != "" && sse != "AES256" || info.Headers.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != "" {
		return nil
	}
	return []bucket.Digest{{Algorithm: bucket.MD5, Value: strings.ToLower(info.ETag)}}
}

func properties(info minio.ObjectInfo) *bucket.Properties {
	p := &bucket.Properties{
		ContentType:        info.ContentType,
		ContentEncoding:    headertext.StripChunked(info.Headers.Get("Content-Encoding")),
		ContentLanguage:    info.Headers.Get("Content-Language"),
		ContentDisposition: info.Headers.Get("Content-Disposition"),
		CacheControl:       info.Headers.Get("Cache-Control"),
		Expires:            info.Expires,
		StorageClass:       class(info),
	}
	for name, value := range info.UserMetadata { // whose values the SDK has decoded
		if p.Metadata == nil {
			p.Metadata = map[string]string{}
		}
		p.Metadata[strings.ToLower(name)] = value
	}
	p.Lock, p.Encryption = lockOf(info.Headers), encryptionOf(info.Headers)
	return p
}

// Open implements bucket.Reader.
func (b *Bucket) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	return b.open(ctx, key, "", opts)
}

// open reads one version, or without an id what is current.
func (b *Bucket) open(ctx context.Context, key, id string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	query := minio.GetObjectOptions{VersionID: id}
	if opts.Pin.ETag != "" {
		if err := query.SetMatchETag(opts.Pin.ETag); err != nil {
			return nil, bucket.Object{}, b.fail("open", key, err)
		}
	}
	switch {
	case opts.Length > 0:
		query.Set("Range", fmt.Sprintf("bytes=%d-%d", opts.Offset, opts.Offset+opts.Length-1))
	case opts.Offset > 0:
		query.Set("Range", fmt.Sprintf("bytes=%d-", opts.Offset))
	}
	answer, info, header, err := b.get(ctx, key, query)
	if err != nil {
		return nil, bucket.Object{}, b.fail("open", key, err)
	}
	obj := seen(key, info)
	if opts.Offset == 0 && opts.Length == 0 {
		obj, err = b.told(ctx, key, info)
	}
	var want int64
	if err == nil {
		want, err = body.Answered(opts, &obj, info.Size, header.Get("Content-Range"))
	}
	if err != nil {
		return nil, bucket.Object{}, b.fail("open", key, errors.Join(err, answer.Close()))
	}
	return body.Answer(answer, want), obj, nil
}

// get reads an object or a range of it.
func (b *Bucket) get(ctx context.Context, key string, query minio.GetObjectOptions) (io.ReadCloser, minio.ObjectInfo, http.Header, error) {
	if query.VersionID != "" {
		return b.client.GetObject(ctx, b.opts.Bucket, key, query) // the short way knows current objects only
	}
	if answer := b.wire.get(ctx, key, query.Header()); answer != nil {
		info, err := minio.ToObjectInfo(b.opts.Bucket, key, answer.Header)
		if err != nil {
			return nil, info, nil, errors.Join(err, answer.Body.Close())
		}
		return answer.Body, info, answer.Header, nil
	}
	return b.client.GetObject(ctx, b.opts.Bucket, key, query)
}
