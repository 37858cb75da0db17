package minio

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"

	"github.com/minio/minio-go/v7"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// KeepsVersions implements bucket.Versioned.
func (b *Bucket) KeepsVersions(ctx context.Context) (bucket.VersionKeeping, error) {
	out, err := b.client.GetBucketVersioning(ctx, b.opts.Bucket)
	if hasNone(err, "VersioningNotConfigured") {
		return bucket.VersionKeeping{}, nil
	}
	if err != nil {
		return bucket.VersionKeeping{}, b.fail("ask for versioning", "", err)
	}
	return bucket.VersionKeeping{Enabled: out.Enabled(), Markers: true}, nil
}

// ListVersions implements bucket.Versioned. The SDK keeps versions and markers in the order in which the server lists them.
func (b *Bucket) ListVersions(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Version, error] {
	return bucket.OldestFirst(func(yield func(bucket.Version, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		noOwner := false
		query := minio.ListObjectsOptions{Prefix: opts.Prefix, Recursive: true, WithVersions: true, MaxKeys: b.opts.PageSize, FetchOwner: &noOwner}
		for info := range b.client.ListObjectsIter(ctx, b.opts.Bucket, query) {
			if info.Err != nil {
				yield(bucket.Version{}, b.fail("list versions", "", info.Err))
				return
			}
			if opts.Ends(info.Key) {
				return
			}
			v := bucket.Version{Latest: info.IsLatest, Marker: info.IsDeleteMarker}
			v.Object = bucket.Object{
				Key: info.Key, Version: cmp.Or(info.VersionID, "null"), Size: info.Size, ETag: info.ETag, Modified: info.LastModified, Archived: archived(info),
			}
			if opts.Holds(v.Key) && !yield(v, nil) {
				return
			}
		}
		// Where the context ends, the SDK's listing just ends (B13).
		if err := ctx.Err(); err != nil {
			yield(bucket.Version{}, b.fail("list versions", "", err))
		}
	}, nil)
}

// HeadVersion implements bucket.Versioned.
func (b *Bucket) HeadVersion(ctx context.Context, key, id string) (bucket.Object, error) {
	if err := bucket.NeedVersion("head version", b.url, key, id); err != nil {
		return bucket.Object{}, err
	}
	obj, err := b.look(ctx, key, id)
	obj.Version = id
	return obj, err
}

// OpenVersion implements bucket.Versioned.
func (b *Bucket) OpenVersion(ctx context.Context, key, id string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	if err := bucket.NeedVersion("open version", b.url, key, id); err != nil {
		return nil, bucket.Object{}, err
	}
	body, obj, err := b.open(ctx, key, id, opts)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	if err := bucket.AnsweredVersion("open version", b.url, key, id, obj.Version); err != nil {
		return nil, bucket.Object{}, errors.Join(err, body.Close())
	}
	obj.Version = id
	return body, obj, nil
}

// Mark implements bucket.Versioned. Of the SDK's deletions only that of several objects tells the marker.
func (b *Bucket) Mark(ctx context.Context, key string) (bucket.Version, error) {
	one := make(chan minio.ObjectInfo, 1)
	one <- minio.ObjectInfo{Key: key}
	close(one)
	err := errors.New("the server did not answer")
	var marker string
	for result := range b.client.RemoveObjectsWithResult(ctx, b.opts.Bucket, one, minio.RemoveObjectsOptions{}) {
		err, marker = result.Err, result.DeleteMarkerVersionID
	}
	if err == nil && marker == "" {
		err = errors.New("no delete marker was made: the bucket keeps no versions")
	}
	if err != nil {
		return bucket.Version{}, b.fail("mark as deleted", key, err)
	}
	return bucket.Version{Object: bucket.Object{Key: key, Version: marker}, Latest: true, Marker: true}, nil
}

// DeleteVersion implements bucket.Versioned. The SDK leaves out an id that is empty, and the request would be another one.
func (b *Bucket) DeleteVersion(ctx context.Context, key, id string) error {
	if err := bucket.NeedVersion("delete version", b.url, key, id); err != nil {
		return err
	}
	err := b.client.RemoveObject(ctx, b.opts.Bucket, key, minio.RemoveObjectOptions{VersionID: id})
	if code := minio.ToErrorResponse(err).Code; code == "NoSuchKey" || code == "NoSuchVersion" {
		return nil
	}
	return b.fail("delete version", key, err)
}
