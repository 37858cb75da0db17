package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// List implements bucket.Lister.
func (b *Bucket) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &b.opts.Bucket, EncodingType: types.EncodingTypeUrl}
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
		if b.opts.PageSize > 0 {
			in.MaxKeys = aws.Int32(int32(min(b.opts.PageSize, 1000)))
		}
		for {
			page, err := b.client.ListObjectsV2(ctx, in)
			if err != nil {
				yield(bucket.Object{}, b.fail("list", "", err))
				return
			}
			// An answer without a listing in it would read as one that ends here (B13).
			if aws.ToString(page.Name) != b.opts.Bucket || page.IsTruncated == nil {
				yield(bucket.Object{}, b.fail("list", "", errors.New("the answer is no page of a listing of this bucket")))
				return
			}
			for _, item := range page.Contents {
				obj, err := listed(item, page.EncodingType)
				if err != nil {
					yield(bucket.Object{}, b.fail("list", "", err))
					return
				}
				if ordered && opts.Ends(obj.Key) {
					return
				}
				if opts.Holds(obj.Key) && !yield(obj, nil) {
					return
				}
			}
			if !aws.ToBool(page.IsTruncated) {
				return
			}
			if aws.ToString(page.NextContinuationToken) == "" || aws.ToString(page.NextContinuationToken) == aws.ToString(in.ContinuationToken) {
				yield(bucket.Object{}, b.fail("list", "", errors.New("a page of the listing says that there is more, and not where")))
				return
			}
			in.ContinuationToken = page.NextContinuationToken
		}
	}
}

func listed(item types.Object, encoding types.EncodingType) (bucket.Object, error) {
	key := aws.ToString(item.Key)
	if encoding == types.EncodingTypeUrl {
		plain, err := url.QueryUnescape(key)
		if err != nil {
			return bucket.Object{}, fmt.Errorf("decode key %q: %w", key, err)
		}
		key = plain
	}
	return bucket.Object{
		Key: key, Size: aws.ToInt64(item.Size), ETag: unquote(aws.ToString(item.ETag)), Modified: aws.ToTime(item.LastModified),
		Archived: archivedListed(item),
	}, nil
}
