package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cloud.google.com/go/storage"

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
	case opts.IfMatch.ETag != "" && errors.Is(err, storage.ErrObjectNotExist):
		return bucket.Object{}, bucket.Wrap("put", b.url, key, bucket.ErrPrecondition, err)
	}
	return bucket.Object{}, b.fail("put", key, err)
}

func (b *Bucket) put(ctx context.Context, key string, r io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	p := opts.Properties
	if err := b.refuse(key, size, p); err != nil {
		return bucket.Object{}, err
	}
	handle, err := b.on(key, opts)
	if err != nil {
		return bucket.Object{}, err
	}
	// Ending the context is how an upload is given up; closing the writer would complete it.
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	w := handle.NewWriter(ctx)
	w.ObjectAttrs = storage.ObjectAttrs{
		Name: key, ContentType: p.ContentType, ContentEncoding: headertext.StripChunked(p.ContentEncoding), ContentLanguage: p.ContentLanguage,
		ContentDisposition: p.ContentDisposition, CacheControl: p.CacheControl, Metadata: p.Metadata, StorageClass: p.StorageClass, MD5: opts.MD5,
	}
	guard(&w.ObjectAttrs, p)
	w.ForceEmptyContentType = p.ContentType == ""
	sum, err := b.send(ctx, w, r, size, opts)
	if err != nil {
		giveUp()
		_ = w.Close() // which fails, since it was given up
		return bucket.Object{}, err
	}
	obj := seen(w.Attrs())
	return obj, b.confirm(ctx, obj, size, sum)
}

// refuse says what cannot be held.
func (b *Bucket) refuse(key string, size int64, p bucket.Properties) error {
	if problem := keyProblem(key); problem != "" {
		return fmt.Errorf("%w: %s", bucket.ErrUnsupported, problem)
	}
	if size < 0 || size > maxObject {
		return fmt.Errorf("%w: an object of %d bytes, Cloud Storage takes %d", bucket.ErrUnsupported, size, int64(maxObject))
	}
	return errors.Join(p.Fits(b.Describe()), check(p))
}

// send writes the body and returns its MD5. What fits into one chunk is in memory whole and needs no buffer of the SDK's; such a
// request is not tried again by the SDK but by the engine. A larger one takes a buffer of a chunk, which the SDK sends again.
func (b *Bucket) send(ctx context.Context, w *storage.Writer, r io.Reader, size int64, opts bucket.PutOptions) (sum []byte, err error) {
	if size <= b.opts.PartSize {
		part, err := body.Whole(ctx, r, size, opts.MD5, opts.Budget)
		if err != nil {
			return nil, err
		}
		defer part.Done()
		w.ChunkSize, w.MD5 = 0, part.MD5()
		if _, err = io.Copy(w, part.Reader()); err != nil {
			return nil, err
		}
		return w.MD5, w.Close()
	}
	w.ChunkSize = int(b.opts.PartSize)
	if opts.Budget != nil {
		release, err := opts.Budget.Reserve(ctx, b.opts.PartSize)
		if err != nil {
			return nil, fmt.Errorf("wait for memory: %w", err)
		}
		defer release()
	}
	hashed := body.NewHash(body.Exact(r, size), true)
	if _, err = io.Copy(w, hashed); err == nil {
		err = body.CheckMD5(hashed.Sum(), opts.MD5)
	}
	if err != nil {
		return nil, err // closing the writer would complete the upload
	}
	return hashed.Sum(), w.Close()
}

// check says why properties cannot be held.
func check(p bucket.Properties) error {
	return errors.Join(headertext.Check(p), checkMetadata(p.Metadata))
}

// confirm compares what was stored with what was sent. What differs is taken away again.
func (b *Bucket) confirm(ctx context.Context, obj bucket.Object, size int64, sum []byte) error {
	sent := []bucket.Digest{{Algorithm: bucket.MD5, Value: fmt.Sprintf("%x", sum)}}
	if obj.Size == size && bucket.Compare(obj.Digests, sent) != bucket.Different {
		return nil
	}
	err := fmt.Errorf("the service stored %d bytes with the digests %v, sent were %d with %v", obj.Size, obj.Digests, size, sent)
	return errors.Join(err, b.Delete(ctx, obj))
}

func (b *Bucket) on(key string, opts bucket.PutOptions) (*storage.ObjectHandle, error) {
	handle := b.bucket.Object(key)
	switch {
	case opts.IfAbsent:
		return handle.If(storage.Conditions{DoesNotExist: true}), nil
	case opts.IfMatch.ETag != "":
		match, err := generations(opts.IfMatch)
		return handle.If(match), err
	}
	return handle, nil
}

// checkMetadata refuses more than the service takes; keys and values it keeps as they are.
func checkMetadata(metadata map[string]string) error {
	total := 0
	for key, value := range metadata {
		if key == "" || !headertext.Holds(key) || !headertext.Holds(value) {
			return fmt.Errorf("%w: metadata of %q is empty or not UTF-8", bucket.ErrUnsupported, key)
		}
		total += len(key) + len(value)
	}
	if total > maxMetadata {
		return fmt.Errorf("%w: %d bytes of metadata, of which Cloud Storage takes %d", bucket.ErrUnsupported, total, maxMetadata)
	}
	return nil
}

// Delete implements bucket.Writer. In a versioned bucket it makes the object noncurrent and removes no generation.
func (b *Bucket) Delete(ctx context.Context, obj bucket.Object) error {
	handle := b.bucket.Object(obj.Key)
	if obj.ETag != "" {
		match, err := generations(obj)
		if err != nil {
			return b.fail("delete", obj.Key, err)
		}
		// Emulators delete on no condition, so the object is looked at first.
		attrs, err := handle.Attrs(ctx)
		if errors.Is(kind(err), bucket.ErrNotExist) {
			return nil
		}
		if err == nil && etag(attrs.Generation, attrs.Metageneration) != obj.ETag {
			err = bucket.ErrPrecondition
		}
		if err != nil {
			return b.fail("delete", obj.Key, err)
		}
		handle = handle.If(match)
	}
	err := handle.Delete(ctx)
	if errors.Is(kind(err), bucket.ErrNotExist) {
		return nil
	}
	return b.fail("delete", obj.Key, err)
}
