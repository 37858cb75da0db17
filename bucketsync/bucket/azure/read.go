package azure

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

// Head implements bucket.Reader.
func (b *Bucket) Head(ctx context.Context, key string) (bucket.Object, error) {
	return b.look(ctx, b.client.NewBlobClient(b.name(key)), key)
}

// look is Head of what a client is about.
func (b *Bucket) look(ctx context.Context, client *blob.Client, key string) (bucket.Object, error) {
	var raw *http.Response
	if b.hierarchical() {
		ctx = policy.WithCaptureResponse(ctx, &raw)
	}
	head, err := client.GetProperties(ctx, nil)
	if err != nil {
		return bucket.Object{}, b.fail("head", key, err)
	}
	obj := bucket.Object{
		Key: key, Size: value(head.ContentLength), ETag: unquote(head.ETag), Modified: value(head.LastModified), Properties: properties(head),
		Archived: archived(value(head.AccessTier), value(head.ArchiveStatus)), Version: value(head.VersionID),
	}
	if raw != nil {
		return obj, b.fail("head", key, asFolder(&obj, raw.Header))
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
	if b.isFolderKey(key) {
		return b.openFolder(ctx, key, opts)
	}
	if answer := b.wire.get(ctx, key, opts); answer != nil { //nolint:bodyclose // whoever reads it closes it
		header := answer.Header
		obj := bucket.Object{Key: key, ETag: strings.Trim(header.Get("ETag"), `"`), Version: header.Get("X-Ms-Version-Id")}
		obj.Modified, _ = http.ParseTime(header.Get("Last-Modified")) // without one it is unknown
		return b.opened(obj, opts, answer.ContentLength, header.Get("Content-Range"), answer.Body)
	}
	return b.open(ctx, b.client.NewBlobClient(key), key, opts)
}

// open is Open of what a client is about.
func (b *Bucket) open(ctx context.Context, client *blob.Client, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	query := &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: opts.Offset, Count: opts.Length}}
	if opts.Pin.ETag != "" {
		query.AccessConditions = ifMatch(opts.Pin.ETag)
	}
	answer, err := client.DownloadStream(ctx, query)
	if err != nil {
		return nil, bucket.Object{}, b.fail("open", key, err)
	}
	obj := bucket.Object{Key: key, ETag: unquote(answer.ETag), Modified: value(answer.LastModified), Version: value(answer.VersionID)}
	return b.opened(obj, opts, value(answer.ContentLength), value(answer.ContentRange), answer.Body)
}

// opened holds an answer against what was asked for.
func (b *Bucket) opened(obj bucket.Object, opts bucket.ReadOptions, length int64, part string, content io.ReadCloser) (io.ReadCloser, bucket.Object, error) {
	want, err := body.Answered(opts, &obj, length, part)
	if err != nil {
		return nil, bucket.Object{}, b.fail("open", obj.Key, errors.Join(err, content.Close()))
	}
	return body.Answer(content, want), obj, nil
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
