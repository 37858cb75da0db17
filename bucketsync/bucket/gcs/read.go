package gcs

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

// List implements bucket.Lister.
func (b *Bucket) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return bucket.Unpaged(b.Pages(ctx, opts))
}

// Pages implements bucket.Pager. The service begins at After, and not behind it.
func (b *Bucket) Pages(ctx context.Context, opts bucket.ListOptions) iter.Seq2[[]bucket.Object, error] {
	return func(yield func([]bucket.Object, error) bool) {
		query := &storage.Query{Prefix: opts.Prefix, StartOffset: opts.After, EndOffset: opts.Before, Projection: storage.ProjectionNoACL}
		err := query.SetAttrSelection([]string{"Name", "Size", "Generation", "Metageneration", "Updated", "MD5", "CRC32C", "StorageClass"})
		if err != nil {
			yield(nil, b.fail("list", "", err))
			return
		}
		size := maxPage
		if b.opts.PageSize > 0 {
			size = min(b.opts.PageSize, maxPage)
		}
		if opts.Limit > 0 {
			size = min(size, opts.Limit+1) // After itself is among them
		}
		pages := iterator.NewPager(b.bucket.Objects(ctx, query), size, "")
		for {
			var all []*storage.ObjectAttrs
			token, err := pages.NextPage(&all)
			if err != nil {
				yield(nil, b.fail("list", "", err))
				return
			}
			page := make([]bucket.Object, 0, len(all))
			for _, attrs := range all {
				switch {
				case opts.Holds(attrs.Name):
					page = append(page, seen(attrs))
				case attrs.Name < opts.After:
					yield(nil, b.fail("list", "", fmt.Errorf("%q in a listing after %q: %w", attrs.Name, opts.After, bucket.ErrUnordered)))
					return
				}
			}
			if len(page) > 0 && !yield(page, nil) || token == "" {
				return
			}
		}
	}
}

// maxPage is how many objects the service gives at once.
const maxPage = 1000

// Head implements bucket.Reader.
func (b *Bucket) Head(ctx context.Context, key string) (bucket.Object, error) {
	return b.look(ctx, b.bucket.Object(key), key)
}

// look is a head of what a handle names.
func (b *Bucket) look(ctx context.Context, handle *storage.ObjectHandle, key string) (bucket.Object, error) {
	attrs, err := handle.Attrs(ctx)
	if err != nil {
		return bucket.Object{}, b.fail("head", key, err)
	}
	obj := seen(attrs)
	obj.Properties = properties(attrs)
	return obj, nil
}

func seen(attrs *storage.ObjectAttrs) bucket.Object {
	obj := bucket.Object{
		Key: attrs.Name, Size: attrs.Size, Modified: attrs.Updated,
		ETag: etag(attrs.Generation, attrs.Metageneration), Version: strconv.FormatInt(attrs.Generation, 10),
		Archived: archived(attrs.StorageClass),
	}
	// The service computes both over the whole content; a composite object has no MD5 (B2).
	if len(attrs.MD5) > 0 {
		obj.Digests = append(obj.Digests, bucket.Digest{Algorithm: bucket.MD5, Value: hex.EncodeToString(attrs.MD5)})
	}
	if attrs.CRC32C != 0 || attrs.Size == 0 {
		obj.Digests = append(obj.Digests, bucket.Digest{Algorithm: bucket.CRC32C, Value: hex.EncodeToString(binary.BigEndian.AppendUint32(nil, attrs.CRC32C))})
	}
	return obj
}

func properties(attrs *storage.ObjectAttrs) *bucket.Properties {
	p := &bucket.Properties{
		ContentType: attrs.ContentType, ContentEncoding: attrs.ContentEncoding, ContentLanguage: attrs.ContentLanguage,
		ContentDisposition: attrs.ContentDisposition, CacheControl: attrs.CacheControl,
		Metadata: attrs.Metadata, StorageClass: attrs.StorageClass, Other: map[string]string{},
		Lock: lockOf(attrs), Encryption: encryptionOf(attrs),
	}
	if !attrs.CustomTime.IsZero() {
		p.Other["customTime"] = attrs.CustomTime.UTC().Format(http.TimeFormat)
	}
	if attrs.Contexts != nil {
		for key := range attrs.Contexts.Custom {
			p.Other["context "+key] = "set"
		}
	}
	if len(p.Other) == 0 {
		p.Other = nil
	}
	return p
}

// etag is made of the two numbers that change with content and metadata, which, unlike the service's own ETag, every
// answer shows.
func etag(generation, metageneration int64) string {
	return strconv.FormatInt(generation, 10) + "/" + strconv.FormatInt(metageneration, 10)
}

// same compares two ETags. Emulators leave the metageneration out of the answer to a read, which makes it 0 and unknown;
// what was asked for on condition of one then has that one.
func same(a, b string) bool {
	generation, known := strings.CutSuffix(b, "/0")
	return a == b || known && strings.HasPrefix(a, generation+"/")
}

// generations reads an ETag back. One of another form matches no object.
func generations(obj bucket.Object) (storage.Conditions, error) {
	first, second, _ := strings.Cut(obj.ETag, "/")
	generation, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return storage.Conditions{}, fmt.Errorf("%w: %q is no ETag of this driver", bucket.ErrPrecondition, obj.ETag)
	}
	metageneration, err := strconv.ParseInt(second, 10, 64)
	if err != nil {
		return storage.Conditions{}, fmt.Errorf("%w: %q is no ETag of this driver", bucket.ErrPrecondition, obj.ETag)
	}
	return storage.Conditions{GenerationMatch: generation, MetagenerationMatch: metageneration}, nil
}

// Open implements bucket.Reader.
func (b *Bucket) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	return b.open(ctx, b.bucket.Object(key), key, opts)
}

// open reads what a handle names: the current object, or one of its versions.
func (b *Bucket) open(ctx context.Context, handle *storage.ObjectHandle, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	if opts.Pin.ETag != "" {
		pin, err := generations(opts.Pin)
		if err != nil {
			return nil, bucket.Object{}, b.fail("open", key, err)
		}
		handle = handle.If(pin)
	}
	length := opts.Length
	if length == 0 {
		length = -1
	}
	reader, err := handle.NewRangeReader(withTries(ctx, b.opts.Attempts), opts.Offset, length)
	if err != nil {
		return nil, bucket.Object{}, b.fail("open", key, err)
	}
	attrs := reader.Attrs
	obj := bucket.Object{
		Key: key, Size: attrs.Size, Modified: attrs.LastModified,
		ETag: etag(attrs.Generation, attrs.Metageneration), Version: strconv.FormatInt(attrs.Generation, 10),
	}
	if same(opts.Pin.ETag, obj.ETag) {
		obj.ETag = opts.Pin.ETag
	}
	_, want, err := opts.Range(obj.Size)
	switch {
	case opts.Pin.ETag != "" && opts.Pin.ETag != obj.ETag:
		err = bucket.ErrPrecondition
	case opts.Pin.Size > 0 && obj.Size != opts.Pin.Size:
		err = fmt.Errorf("%w: the answer is of an object of %d bytes, the pinned one has %d", body.ErrLength, obj.Size, opts.Pin.Size)
	case err == nil && (attrs.Decompressed || attrs.StartOffset != opts.Offset):
		err = fmt.Errorf("%w: asked from byte %d on, answered from %d on", body.ErrLength, opts.Offset, attrs.StartOffset)
	}
	if err != nil {
		return nil, bucket.Object{}, b.fail("open", key, errors.Join(err, reader.Close()))
	}
	return body.Answer(reader, want), obj, nil
}
