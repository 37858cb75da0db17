package azure

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

// List implements bucket.Lister. Nothing but the prefix narrows what the service lists, so a range is cut out of all.
func (b *Bucket) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		query := &container.ListBlobsFlatOptions{}
		if opts.Prefix != "" {
			query.Prefix = &opts.Prefix
		}
		if b.opts.PageSize > 0 {
			size := int32(min(b.opts.PageSize, 5000))
			query.MaxResults = &size
		}
		pages := b.client.NewListBlobsFlatPager(query)
		for pages.More() {
			page, err := pages.NextPage(ctx)
			if err == nil && (page.Segment == nil || value(page.ContainerName) != b.opts.Container) {
				// An answer without a listing in it would read as one that ends here (B13).
				err = errors.New("the answer is no page of a listing of this container")
			}
			if err != nil {
				yield(bucket.Object{}, b.fail("list", "", err))
				return
			}
			for _, item := range page.Segment.BlobItems {
				if item.Name == nil || item.Properties == nil {
					yield(bucket.Object{}, b.fail("list", "", errors.New("an object of the listing has no name or no properties")))
					return
				}
				obj := bucket.Object{
					Key: *item.Name, Size: value(item.Properties.ContentLength),
					ETag: unquote(item.Properties.ETag), Modified: value(item.Properties.LastModified),
					Archived: archived(string(value(item.Properties.AccessTier)), string(value(item.Properties.ArchiveStatus))),
				}
				if opts.Holds(obj.Key) && !yield(obj, nil) {
					return
				}
			}
		}
	}
}

// Head implements bucket.Reader.
func (b *Bucket) Head(ctx context.Context, key string) (bucket.Object, error) {
	client := b.client.NewBlobClient(key)
	head, err := client.GetProperties(ctx, nil)
	if err != nil {
		return bucket.Object{}, b.fail("head", key, err)
	}
	obj := bucket.Object{
		Key: key, Size: value(head.ContentLength), ETag: unquote(head.ETag), Modified: value(head.LastModified), Properties: properties(head),
		Archived: archived(value(head.AccessTier), value(head.ArchiveStatus)),
	}
	if value(head.TagCount) == 0 {
		return obj, nil
	}
	answer, err := client.GetTags(ctx, nil)
	if err != nil {
		return bucket.Object{}, b.fail(opTags, key, err)
	}
	obj.Properties.Tags = map[string]string{}
	for _, tag := range answer.BlobTagSet {
		obj.Properties.Tags[value(tag.Key)] = value(tag.Value)
	}
	return obj, nil
}

func properties(head blob.GetPropertiesResponse) *bucket.Properties {
	p := &bucket.Properties{
		ContentType: value(head.ContentType), ContentEncoding: value(head.ContentEncoding), ContentLanguage: value(head.ContentLanguage),
		ContentDisposition: value(head.ContentDisposition), CacheControl: value(head.CacheControl),
		Metadata: decodeMetadata(head.Metadata), Other: map[string]string{},
	}
	if !value(head.AccessTierInferred) {
		p.StorageClass = value(head.AccessTier)
	}
	other := func(name, text string) {
		if text != "" {
			p.Other[name] = text
		}
	}
	if kind := value(head.BlobType); kind != blob.BlobTypeBlockBlob {
		other("x-ms-blob-type", string(kind))
	}
	if head.ExpiresOn != nil {
		other("x-ms-expiry-time", head.ExpiresOn.UTC().Format(time.RFC1123))
	}
	p.Lock, p.Encryption = lockOf(head), encryptionOf(head)
	if len(p.Other) == 0 {
		p.Other = nil
	}
	return p
}

// Open implements bucket.Reader.
func (b *Bucket) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	query := &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: opts.Offset, Count: opts.Length}}
	if opts.Pin.ETag != "" {
		query.AccessConditions = ifMatch(opts.Pin.ETag)
	}
	answer, err := b.client.NewBlobClient(key).DownloadStream(ctx, query)
	if err != nil {
		return nil, bucket.Object{}, b.fail("open", key, err)
	}
	obj := bucket.Object{Key: key, ETag: unquote(answer.ETag), Modified: value(answer.LastModified)}
	want, err := body.Answered(opts, &obj, value(answer.ContentLength), value(answer.ContentRange))
	if err != nil {
		return nil, bucket.Object{}, b.fail("open", key, errors.Join(err, answer.Body.Close()))
	}
	return body.Answer(answer.Body, want), obj, nil
}

func ifMatch(etag string) *blob.AccessConditions {
	quoted := azcore.ETag(`"` + etag + `"`)
	return &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: &quoted}}
}

func unquote(etag *azcore.ETag) string { return strings.Trim(string(value(etag)), `"`) }

// value is what an SDK's pointer points at, or nothing.
func value[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}
