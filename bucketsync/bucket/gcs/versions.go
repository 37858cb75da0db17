package gcs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// KeepsVersions implements bucket.Versioned. A deletion makes the current generation noncurrent and leaves no trace of its own:
// https://cloud.google.com/storage/docs/object-versioning.
func (b *Bucket) KeepsVersions(ctx context.Context) (bucket.VersionKeeping, error) {
	attrs, err := b.bucket.Attrs(ctx)
	if err != nil {
		return bucket.VersionKeeping{}, b.fail("ask for versioning", "", err)
	}
	return bucket.VersionKeeping{Enabled: attrs.VersioningEnabled}, nil
}

// ListVersions implements bucket.Versioned. Generations are listed by name; their numbers grow. A name without a current one
// ends with a marker that has no id.
func (b *Bucket) ListVersions(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Version, error] {
	return func(yield func(bucket.Version, error) bool) {
		query := &storage.Query{Prefix: opts.Prefix, StartOffset: opts.After, EndOffset: opts.Before, Projection: storage.ProjectionNoACL, Versions: true}
		objects := b.bucket.Objects(ctx, query)
		objects.PageInfo().MaxSize = b.opts.PageSize
		var of []bucket.Version // of one name
		for {
			attrs, err := objects.Next()
			done := errors.Is(err, iterator.Done)
			if err == nil && len(of) > 0 && attrs.Name < of[0].Key {
				err = fmt.Errorf("the listing of generations is out of order: %q after %q", attrs.Name, of[0].Key)
			}
			if err != nil && !done {
				yield(bucket.Version{}, b.fail("list versions", "", err))
				return
			}
			if len(of) > 0 && (done || attrs.Name != of[0].Key) {
				for _, v := range inOrder(of) {
					if !yield(v, nil) {
						return
					}
				}
				of = of[:0]
			}
			if done {
				return
			}
			if opts.Holds(attrs.Name) {
				of = append(of, bucket.Version{Object: seen(attrs), Latest: attrs.Deleted.IsZero()})
			}
		}
	}
}

// inOrder puts the generations of one name in the order of their numbers, with a marker at the end where none is current.
func inOrder(of []bucket.Version) []bucket.Version {
	slices.SortFunc(of, func(x, y bucket.Version) int { return compareIDs(x.Version, y.Version) })
	if last := of[len(of)-1]; !last.Latest {
		of = append(of, bucket.Version{Object: bucket.Object{Key: last.Key}, Latest: true, Marker: true})
	}
	return of
}

// compareIDs compares two generations, which are numbers without leading zeros.
func compareIDs(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// generation is the handle of one version.
func (b *Bucket) generation(op, key, id string) (*storage.ObjectHandle, error) {
	if err := bucket.NeedVersion(op, b.url, key, id); err != nil {
		return nil, err
	}
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || number <= 0 {
		return nil, bucket.Wrap(op, b.url, key, bucket.ErrUnsupported, fmt.Errorf("%q is no generation", id))
	}
	return b.bucket.Object(key).Generation(number), nil
}

// HeadVersion implements bucket.Versioned.
func (b *Bucket) HeadVersion(ctx context.Context, key, id string) (bucket.Object, error) {
	handle, err := b.generation("head version", key, id)
	if err != nil {
		return bucket.Object{}, err
	}
	return b.look(ctx, handle, key)
}

// OpenVersion implements bucket.Versioned.
func (b *Bucket) OpenVersion(ctx context.Context, key, id string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	handle, err := b.generation("open version", key, id)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	return b.open(ctx, handle, key, opts)
}

// Mark implements bucket.Versioned.
func (b *Bucket) Mark(ctx context.Context, key string) (bucket.Version, error) {
	versioning, err := b.KeepsVersions(ctx)
	if err != nil {
		return bucket.Version{}, err
	}
	if !versioning.Enabled {
		return bucket.Version{}, b.fail("mark as deleted", key, errors.New("nothing would be kept: the bucket keeps no versions"))
	}
	if err := b.bucket.Object(key).Delete(ctx); err != nil && !errors.Is(kind(err), bucket.ErrNotExist) {
		return bucket.Version{}, b.fail("mark as deleted", key, err)
	}
	return bucket.Version{Object: bucket.Object{Key: key}, Latest: true, Marker: true}, nil
}

// DeleteVersion implements bucket.Versioned.
func (b *Bucket) DeleteVersion(ctx context.Context, key, id string) error {
	handle, err := b.generation("delete version", key, id)
	if err != nil {
		return err
	}
	if err := handle.Delete(ctx); err != nil && !errors.Is(kind(err), bucket.ErrNotExist) {
		return b.fail("delete version", key, err)
	}
	return nil
}
