package minio

import (
	"context"
	"iter"

	"github.com/minio/minio-go/v7"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// List implements bucket.Lister.
func (b *Bucket) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		query := minio.ListObjectsOptions{Prefix: opts.Prefix, StartAfter: opts.After, Recursive: true, MaxKeys: b.opts.PageSize}
		for info, err := range b.list(ctx, query) {
			if err != nil {
				yield(bucket.Object{}, b.fail("list", "", err))
				return
			}
			if opts.Ends(info.Key) {
				return
			}
			obj := bucket.Object{Key: info.Key, Size: info.Size, ETag: info.ETag, Modified: info.LastModified, Archived: archived(info)}
			if opts.Holds(obj.Key) && !yield(obj, nil) {
				return
			}
		}
	}
}

// list ends with an error where the SDK's listing just ends: when the context does (B13).
func (b *Bucket) list(ctx context.Context, opts minio.ListObjectsOptions) iter.Seq2[minio.ObjectInfo, error] {
	return func(yield func(minio.ObjectInfo, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		noOwner := false
		opts.FetchOwner = &noOwner
		for info := range b.client.ListObjectsIter(ctx, b.opts.Bucket, opts) {
			if info.Err != nil {
				yield(minio.ObjectInfo{}, info.Err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(minio.ObjectInfo{}, err)
		}
	}
}
