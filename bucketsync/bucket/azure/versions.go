package azure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Versions: https://learn.microsoft.com/azure/storage/blobs/versioning-overview. Every write makes one, whose id is its time. A deletion makes the
// current version a previous one and leaves no trace of its own, as at Cloud Storage.

// KeepsVersions implements bucket.Versioned. Whether an account keeps versions is told by its management interface, which this
// driver does not speak; the blobs' own tells it of blobs that have been written since.
func (b *Bucket) KeepsVersions(ctx context.Context) (bucket.VersionKeeping, error) {
	if err := b.Probe(ctx); err != nil {
		return bucket.VersionKeeping{}, b.fail("ask for versioning", "", err)
	}
	if b.hierarchical() { // https://learn.microsoft.com/azure/storage/blobs/storage-feature-support-in-storage-accounts
		return bucket.VersionKeeping{}, nil
	}
	some := int32(100)
	for items, err := range b.pages(ctx, &container.ListBlobsFlatOptions{Include: container.ListBlobsInclude{Versions: true}, MaxResults: &some}) {
		if err != nil {
			return bucket.VersionKeeping{}, b.fail("ask for versioning", "", err)
		}
		for _, item := range items {
			if value(item.VersionID) != "" {
				return bucket.VersionKeeping{Enabled: true}, nil
			}
		}
		break
	}
	return bucket.VersionKeeping{Unknown: true}, nil
}

// ListVersions implements bucket.Versioned. The service lists name by name, of each the oldest version first
// (https://learn.microsoft.com/rest/api/storageservices/list-blobs). A name without a current version ends with a marker that has no id.
func (b *Bucket) ListVersions(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Version, error] {
	query := b.query(opts.Prefix)
	query.Include.Versions = true
	return func(yield func(bucket.Version, error) bool) {
		if b.hierarchical() {
			for obj, err := range b.List(ctx, opts) {
				if !yield(bucket.Version{Object: obj, Latest: true}, err) {
					return
				}
			}
			return
		}
		var last bucket.Version
		ended := func() bool { // of a name
			return last.Key == "" || last.Latest || yield(bucket.Version{Object: bucket.Object{Key: last.Key}, Latest: true, Marker: true}, nil)
		}
		for items, err := range b.pages(ctx, query) {
			if err != nil {
				yield(bucket.Version{}, b.fail("list versions", "", err))
				return
			}
			for _, item := range items {
				v := listedVersion(item)
				switch {
				case !opts.Holds(v.Key):
					continue
				case v.Key != last.Key:
					if !ended() {
						return
					}
				case last.Latest || v.Version <= last.Version:
					yield(bucket.Version{}, b.fail("list versions", "", fmt.Errorf("the versions of %q are out of order: %q after %q", v.Key, v.Version, last.Version)))
					return
				}
				if last = v; !yield(v, nil) {
					return
				}
			}
		}
		ended()
	}
}

// listedVersion is an entry of a listing. A blob from before versioning began has no id, and no previous versions.
func listedVersion(item *container.BlobItem) bucket.Version {
	v := bucket.Version{Object: listed(item), Latest: value(item.IsCurrentVersion) || value(item.VersionID) == ""}
	v.Version = value(item.VersionID)
	return v
}

// version is the client of one version.
func (b *Bucket) version(op, key, id string) (*blob.Client, error) {
	if err := bucket.NeedVersion(op, b.url, key, id); err != nil {
		return nil, err
	}
	client, err := b.client.NewBlobClient(key).WithVersionID(id)
	if err != nil {
		return nil, b.fail(op, key, err)
	}
	return client, nil
}

// HeadVersion implements bucket.Versioned.
func (b *Bucket) HeadVersion(ctx context.Context, key, id string) (bucket.Object, error) {
	client, err := b.version("head version", key, id)
	if err != nil {
		return bucket.Object{}, err
	}
	obj, err := b.look(ctx, client, key)
	if err != nil {
		return bucket.Object{}, err
	}
	return obj, bucket.AnsweredVersion("head version", b.url, key, id, obj.Version)
}

// OpenVersion implements bucket.Versioned.
func (b *Bucket) OpenVersion(ctx context.Context, key, id string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	client, err := b.version("open version", key, id)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	body, obj, err := b.open(ctx, client, key, opts)
	if err != nil {
		return nil, obj, err
	}
	if err := bucket.AnsweredVersion("open version", b.url, key, id, obj.Version); err != nil {
		return nil, obj, errors.Join(err, body.Close())
	}
	return body, obj, nil
}

// Mark implements bucket.Versioned. It deletes only what is known to stay as a version: a blob from before versioning began has no id, and
// would be gone.
func (b *Bucket) Mark(ctx context.Context, key string) (bucket.Version, error) {
	marker := bucket.Version{Object: bucket.Object{Key: key}, Latest: true, Marker: true}
	client := b.client.NewBlobClient(key)
	head, err := client.GetProperties(ctx, nil)
	switch {
	case errors.Is(kind(err), bucket.ErrNotExist):
		return marker, nil
	case err != nil:
		return bucket.Version{}, b.fail("mark as deleted", key, err)
	case value(head.VersionID) == "":
		return bucket.Version{}, b.fail("mark as deleted", key, errors.New("nothing would be kept: the blob is no version"))
	}
	_, err = client.Delete(ctx, &blob.DeleteOptions{AccessConditions: ifMatch(unquote(head.ETag))})
	if err != nil && !errors.Is(kind(err), bucket.ErrNotExist) {
		return bucket.Version{}, b.fail("mark as deleted", key, err)
	}
	return marker, nil
}

// DeleteVersion implements bucket.Versioned. The service refuses it of the current version, which is ErrDenied.
func (b *Bucket) DeleteVersion(ctx context.Context, key, id string) error {
	client, err := b.version("delete version", key, id)
	if err != nil {
		return err
	}
	if _, err := client.Delete(ctx, nil); err != nil && !errors.Is(kind(err), bucket.ErrNotExist) {
		return b.fail("delete version", key, err)
	}
	return nil
}
