package azure

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/headertext"
)

// Put implements bucket.Writer.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	obj, err := b.put(ctx, key, r, size, opts)
	switch {
	case err == nil:
		return obj, nil
	case opts.IfMatch.ETag != "" && errors.Is(kind(err), bucket.ErrNotExist):
		// What was to be written over is gone.
		return bucket.Object{}, bucket.Wrap("put", b.url, key, bucket.ErrPrecondition, nil)
	}
	return bucket.Object{}, b.fail("put", key, err)
}

func (b *Bucket) put(ctx context.Context, key string, r io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	if problem := b.Describe().KeyProblem(key); problem != "" {
		return bucket.Object{}, fmt.Errorf("%w: %s", bucket.ErrUnsupported, problem)
	}
	if b.isFolderKey(key) {
		return b.putFolder(ctx, key, r, size, opts)
	}
	if size < 0 || size > maxObject {
		return bucket.Object{}, fmt.Errorf("%w: an object of %d bytes, Azure takes %d", bucket.ErrUnsupported, size, int64(maxObject))
	}
	p := opts.Properties
	metadata, err := headers(p)
	if err := errors.Join(p.Fits(b.Describe()), err, b.fits(p)); err != nil {
		return bucket.Object{}, err
	}
	w := &write{b: b, key: key, opts: opts, metadata: metadata}
	var tag *azcore.ETag
	var sum []byte
	if size <= b.opts.PartSize {
		tag, sum, err = w.single(ctx, r, size)
	} else {
		tag, sum, err = w.inBlocks(ctx, r, size, b.opts)
	}
	if err != nil {
		return bucket.Object{}, err
	}
	obj := bucket.Object{Key: key, Size: size, ETag: unquote(tag), Version: w.version}
	// Every block's MD5 was checked by the service, and this one was computed over the same bytes.
	obj.Digests = []bucket.Digest{{Algorithm: bucket.MD5, Value: hex.EncodeToString(sum)}}
	return obj, nil
}

// headers are the metadata as it travels, or why the properties cannot be held.
func headers(p bucket.Properties) (map[string]*string, error) {
	if err := errors.Join(headertext.Check(p), checkTags(p.Tags)); err != nil {
		return nil, err
	}
	return encodeMetadata(p.Metadata)
}

// write is one Put.
type write struct {
	b        *Bucket
	key      string
	opts     bucket.PutOptions
	metadata map[string]*string
	version  string // that was made, where the account keeps versions
	// Of a write in blocks: the part of their names that is the upload's own, and their MD5s.
	upload string
	blocks []string
}

func (w *write) single(ctx context.Context, r io.Reader, size int64) (tag *azcore.ETag, sum []byte, err error) {
	part, err := body.Whole(ctx, r, size, w.opts.MD5, w.opts.Budget)
	if err != nil {
		return nil, nil, err
	}
	defer part.Done()
	sum = part.MD5()
	query := &blockblob.UploadOptions{
		Tags: w.opts.Properties.Tags, Metadata: w.metadata, Tier: w.tier(), HTTPHeaders: w.headers(sum), AccessConditions: w.conditions(),
		ImmutabilityPolicyMode: w.retention(), ImmutabilityPolicyExpiryTime: w.until(), LegalHold: w.hold(), CPKScopeInfo: w.scope(),
		TransactionalValidation: blob.TransferValidationTypeMD5(sum),
	}
	if answer := w.b.wire.put(ctx, w.key, part, query); answer != nil {
		etag := azcore.ETag(answer.Get("ETag"))
		w.version = answer.Get("x-ms-version-id")
		return &etag, sum, nil
	}
	answer, err := w.client().Upload(ctx, streaming.NopCloser(part.Reader()), query)
	w.version = value(answer.VersionID)
	return answer.ETag, sum, err
}

// client is the SDK's for this blob.
func (w *write) client() *blockblob.Client { return w.b.client.NewBlockBlobClient(w.key) }

func (w *write) headers(sum []byte) *blob.HTTPHeaders {
	p := w.opts.Properties
	encoding := headertext.StripChunked(p.ContentEncoding)
	return &blob.HTTPHeaders{
		BlobContentType: given(p.ContentType), BlobContentEncoding: given(encoding), BlobContentLanguage: given(p.ContentLanguage),
		BlobContentDisposition: given(p.ContentDisposition), BlobCacheControl: given(p.CacheControl), BlobContentMD5: sum,
	}
}

func (w *write) tier() *blob.AccessTier {
	if w.opts.Properties.StorageClass == "" {
		return nil
	}
	tier := blob.AccessTier(w.opts.Properties.StorageClass)
	return &tier
}

func (w *write) conditions() *blob.AccessConditions {
	switch {
	case w.opts.IfAbsent:
		anything := azcore.ETagAny
		return &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: &anything}}
	case w.opts.IfMatch.ETag != "":
		return ifMatch(w.opts.IfMatch.ETag)
	}
	return nil
}

func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Delete implements bucket.Writer. A blob with snapshots is not deleted: they would go with it.
func (b *Bucket) Delete(ctx context.Context, obj bucket.Object) error {
	query := &blob.DeleteOptions{}
	if obj.ETag != "" {
		query.AccessConditions = ifMatch(obj.ETag)
	}
	if b.hierarchical() && obj.ETag == "" { // a tag is of a blob or of a directory; a name may be of either
		if _, err := b.Head(ctx, obj.Key); err != nil {
			return notExistIsFine(err)
		}
	}
	client := b.client.NewBlobClient(b.name(obj.Key))
	_, err := client.Delete(ctx, query)
	if errors.Is(kind(err), bucket.ErrPrecondition) {
		// No condition holds of what is not there.
		if _, gone := client.GetProperties(ctx, nil); errors.Is(kind(gone), bucket.ErrNotExist) {
			return nil
		}
	}
	if errors.Is(kind(err), bucket.ErrNotExist) {
		return nil
	}
	return b.fail("delete", obj.Key, err)
}
