package minio

import (
	"context"
	"fmt"
	"iter"

	"github.com/minio/minio-go/v7"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/s3page"
)

// List implements bucket.Lister.
func (b *Bucket) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return bucket.Unpaged(b.list(ctx, opts, false))
}

// Pages implements bucket.Pager.
func (b *Bucket) Pages(ctx context.Context, opts bucket.ListOptions) iter.Seq2[[]bucket.Object, error] {
	return b.list(ctx, opts, true)
}

// list lists page by page. Where strict is set, a key in front of the range is taken for a sign of another order.
func (b *Bucket) list(ctx context.Context, opts bucket.ListOptions, strict bool) iter.Seq2[[]bucket.Object, error] {
	return func(yield func([]bucket.Object, error) bool) {
		query := minio.ListObjectsOptions{Prefix: opts.Prefix, StartAfter: opts.After, Recursive: true, MaxKeys: b.opts.PageSize}
		if opts.Limit > 0 && (query.MaxKeys <= 0 || opts.Limit < query.MaxKeys) {
			query.MaxKeys = min(opts.Limit, 1000)
		}
		for page, err := range b.pages(ctx, query) {
			ended := false
			if err == nil {
				page, ended, err = s3page.Within(page, opts, strict)
			}
			if err != nil {
				yield(nil, b.fail("list", "", err))
				return
			}
			if len(page) > 0 && !yield(page, nil) || ended {
				return
			}
		}
	}
}

// pages gives the pages that the SDK asks for. The SDK itself sees them without their objects, and turns to the next; where its
// listing just ends, as when the context does, the last pair is an error (B13).
func (b *Bucket) pages(ctx context.Context, opts minio.ListObjectsOptions) iter.Seq2[[]bucket.Object, error] {
	return func(yield func([]bucket.Object, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		noOwner := false
		opts.FetchOwner = &noOwner
		var wrong error
		more, left := true, false
		taking := s3page.Into(ctx, func(p s3page.Page) bool {
			if p.Name != b.opts.Bucket {
				wrong = fmt.Errorf("the answer is no page of a listing of this bucket, but of %q", p.Name)
				return false
			}
			for i, class := range p.Classes {
				info := minio.ObjectInfo{StorageClass: class.Name}
				if class.Restoring || class.Restored {
					info.Restore = &minio.RestoreInfo{OngoingRestore: class.Restoring}
				}
				p.Objects[i].Archived = archived(info)
			}
			more, left = p.More, !yield(p.Objects, nil)
			return !left
		})
		for info := range b.client.ListObjectsIter(taking, b.opts.Bucket, opts) {
			if info.Err != nil {
				wrong = info.Err
				break
			}
		}
		switch {
		case left:
		case wrong != nil:
			yield(nil, wrong)
		case ctx.Err() != nil:
			yield(nil, ctx.Err())
		case more:
			yield(nil, fmt.Errorf("the listing ends where its last page says that there is more"))
		}
	}
}
