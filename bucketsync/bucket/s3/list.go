package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

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
		in := &s3.ListObjectsV2Input{Bucket: &b.opts.Bucket, EncodingType: types.EncodingTypeUrl, MaxKeys: b.pageSize(opts.Limit)}
		if opts.Prefix != "" {
			in.Prefix = &opts.Prefix
		}
		ordered := !b.express()
		if ordered { // directory buckets refuse it, and have no archive classes
			in.OptionalObjectAttributes = []types.OptionalObjectAttributes{types.OptionalObjectAttributesRestoreStatus}
		}
		if opts.After != "" && ordered {
			in.StartAfter = &opts.After
		}
		for {
			page, err := b.page(ctx, in)
			ended := false
			if err == nil && ordered {
				page.Objects, ended, err = s3page.Within(page.Objects, opts, strict)
			} else if err == nil {
				page.Objects = s3page.Chosen(page.Objects, opts)
			}
			if err != nil {
				yield(nil, b.fail("list", "", err))
				return
			}
			if len(page.Objects) > 0 && !yield(page.Objects, nil) || ended || !page.More {
				return
			}
			in.ContinuationToken = &page.Next
		}
	}
}

func (b *Bucket) pageSize(limit int) *int32 {
	size := b.opts.PageSize
	if limit > 0 && (size <= 0 || limit < size) {
		size = limit
	}
	if size <= 0 {
		return nil
	}
	return aws.Int32(int32(min(size, 1000)))
}

// page asks for one page. An answer without a listing in it would read as one that ends here (B13).
func (b *Bucket) page(ctx context.Context, in *s3.ListObjectsV2Input) (page s3page.Page, err error) {
	taken := false
	_, err = b.client.ListObjectsV2(s3page.Into(ctx, func(p s3page.Page) bool {
		page, taken = p, true
		return true
	}), in)
	switch {
	case err != nil:
	case !taken || page.Name != b.opts.Bucket:
		err = fmt.Errorf("the answer is no page of a listing of this bucket, but of %q", page.Name)
	case page.More && (page.Next == "" || page.Next == aws.ToString(in.ContinuationToken)):
		err = errors.New("a page of the listing says that there is more, and not where")
	}
	for i, class := range page.Classes {
		page.Objects[i].Archived = archivedListed(class)
	}
	return page, err
}
