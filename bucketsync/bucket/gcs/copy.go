package gcs

import (
	"context"
	"errors"
	"fmt"

	"cloud.google.com/go/storage"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/headertext"
)

// CopyFrom implements bucket.Copier by objects.rewrite, which the SDK repeats until the whole is copied. The metadata that
// is sent replaces all of the source's.
func (b *Bucket) CopyFrom(ctx context.Context, key string, from bucket.Bucket, src bucket.Object, opts bucket.PutOptions) (bucket.Copied, error) {
	copied, err := b.copyFrom(ctx, key, from, src, opts)
	if opts.IfMatch.ETag != "" && errors.Is(err, storage.ErrObjectNotExist) {
		return bucket.Copied{}, bucket.Wrap("copy", b.url, key, bucket.ErrPrecondition, err) // either end is gone
	}
	return copied, b.fail("copy", key, err)
}

func (b *Bucket) copyFrom(ctx context.Context, key string, from bucket.Bucket, src bucket.Object, opts bucket.PutOptions) (bucket.Copied, error) {
	below, srcKey := bucket.Below(from, src.Key)
	source, ok := below.(*Bucket)
	if !ok || !b.complete() || source.opts.Endpoint != b.opts.Endpoint || src.ETag == "" {
		return bucket.Copied{}, fmt.Errorf("%w: a copy within the service from there", bucket.ErrUnsupported)
	}
	p := opts.Properties
	if err := b.refuse(key, src.Size, p); err != nil {
		return bucket.Copied{}, err
	}
	pin, err := generations(src)
	if err != nil {
		return bucket.Copied{}, err
	}
	match, err := conditions(opts)
	if err != nil {
		return bucket.Copied{}, err
	}
	c := b.on(key, match).CopierFrom(source.bucket.Object(srcKey).If(pin))
	c.ObjectAttrs = storage.ObjectAttrs{
		ContentType: p.ContentType, ContentEncoding: headertext.StripChunked(p.ContentEncoding), ContentLanguage: p.ContentLanguage,
		ContentDisposition: p.ContentDisposition, CacheControl: p.CacheControl, Metadata: p.Metadata, StorageClass: p.StorageClass,
	}
	guard(&c.ObjectAttrs, p)
	attrs, err := c.Run(ctx)
	if err != nil {
		return bucket.Copied{}, err
	}
	return bucket.Copied{Object: seen(attrs)}, nil
}
