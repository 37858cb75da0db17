package minio

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

// CopyFrom implements bucket.Copier. MinIO's CopyObject knows no conditions on the destination, the completion of an upload does:
// so every object is copied as the parts of one.
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
	w, metadata, err := b.newWrite(key, src.Size, opts)
	if err != nil {
		return bucket.Copied{}, err
	}
	w.copies = true
	c := &within{write: w, bucket: source.opts.Bucket, key: srcKey, src: src}
	return c.inParts(ctx, source, describe(minio.PutObjectOptions{}, opts.Properties, metadata))
}

// within is a copy within the server.
type within struct {
	*write
	bucket, key string
	src         bucket.Object
}

// inParts copies as an upload whose parts are ranges of the source. Where the source was made of parts of one size, they are cut
// the same way: the ETag is made of the parts' MD5s, so that equal ETags prove equal parts.
func (c *within) inParts(ctx context.Context, source *Bucket, query minio.PutObjectOptions) (bucket.Copied, error) {
	size, alike := source.partsOf(ctx, c.key, c.src)
	if !alike {
		size = c.b.opts.CopySize
	}
	up := body.Upload{Log: c.log}
	plan, err := c.begin(ctx, &up, query, size)
	if err != nil {
		return bucket.Copied{}, err
	}
	obj, err := c.copyParts(ctx, &up, plan)
	if err != nil {
		if up.Log == nil {
			err = errors.Join(err, c.b.abort(ctx, c.write.key, c.upload))
		}
		return bucket.Copied{}, err
	}
	return bucket.Copied{Object: obj, Proven: obj.ETag == c.src.ETag && body.MadeOfParts(obj.ETag) && body.Plain(c.src)}, nil
}

// copyParts copies those that the upload lacks, and completes it.
func (c *within) copyParts(ctx context.Context, up *body.Upload, plan body.Plan) (bucket.Object, error) {
	c.parts = make([]minio.CompletePart, (c.size+plan.PartSize-1)/plan.PartSize)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(c.b.opts.Workers)
	for number := 1; number <= len(c.parts); number++ {
		if tag, ok := up.Have[number]; ok && up.Log.State.Tags[number] == tag {
			c.parts[number-1] = minio.CompletePart{PartNumber: number, ETag: tag}
			continue
		}
		group.Go(func() error {
			part, err := c.b.client.CopyObjectPart(gctx, c.bucket, c.key, c.b.opts.Bucket, c.write.key, c.upload, number,
				int64(number-1)*plan.PartSize, plan.Length(number), map[string]string{"x-amz-copy-source-if-match": c.src.ETag})
			if err != nil {
				return fmt.Errorf("copy part %d: %w", number, err)
			}
			part.ETag = strings.Trim(part.ETag, `"`)
			c.parts[number-1] = part
			if up.Log == nil {
				return nil
			}
			return up.Log.Note(bucket.UploadNote{Part: number, Tag: part.ETag})
		})
	}
	if err := group.Wait(); err != nil {
		return bucket.Object{}, err
	}
	info, err := c.complete(ctx)
	if err != nil {
		return bucket.Object{}, err
	}
	var digests []bucket.Digest
	if etag := c.parts[0].ETag; len(c.parts) == 1 && body.MadeOfBytes(etag) && body.Plain(c.src) {
		digests = append(digests, bucket.Digest{Algorithm: bucket.MD5, Value: etag}) // of the one part, which is the whole
	}
	return c.object(info, digests), nil
}

// partsOf finds out whether an object was made of parts of one size, as far as the first tells.
func (b *Bucket) partsOf(ctx context.Context, key string, src bucket.Object) (size int64, alike bool) {
	if !body.MadeOfParts(src.ETag) {
		return 0, false
	}
	opts := minio.StatObjectOptions{PartNumber: 1}
	if err := opts.SetMatchETag(src.ETag); err != nil {
		return 0, false
	}
	info, err := b.client.StatObject(ctx, b.opts.Bucket, key, opts)
	if err != nil || info.Size < minPart || info.Size > maxCopy {
		return 0, false // the copy itself will say what else is wrong
	}
	return info.Size, body.Alike(src, info.Size)
}
