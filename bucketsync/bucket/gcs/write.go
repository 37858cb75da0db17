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
	match, err := conditions(opts)
	if err != nil {
		return bucket.Object{}, err
	}
	w := &write{b: b, match: match, attrs: storage.ObjectAttrs{
		Name: key, ContentType: p.ContentType, ContentEncoding: headertext.StripChunked(p.ContentEncoding), ContentLanguage: p.ContentLanguage,
		ContentDisposition: p.ContentDisposition, CacheControl: p.CacheControl, Metadata: p.Metadata, StorageClass: p.StorageClass, MD5: opts.MD5,
	}}
	guard(&w.attrs, p)
	var stored *storage.ObjectAttrs
	var sum []byte
	switch {
	case size <= b.opts.PartSize:
		stored, sum, err = w.single(ctx, r, size, opts)
	case opts.Upload != nil && b.resumes():
		stored, sum, err = w.inSession(ctx, r, size, opts)
	default:
		stored, sum, err = w.inChunks(ctx, r, size, opts)
	}
	if err != nil {
		return bucket.Object{}, err
	}
	obj := seen(stored)
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

// write is one Put.
type write struct {
	b     *Bucket
	attrs storage.ObjectAttrs
	match *storage.Conditions
}

// single writes what fits into one chunk: it is in memory whole and needs no buffer of the SDK's. Such a request is not tried again by
// the SDK but by the engine.
func (w *write) single(ctx context.Context, r io.Reader, size int64, opts bucket.PutOptions) (stored *storage.ObjectAttrs, sum []byte, err error) {
	part, err := body.Whole(ctx, r, size, opts.MD5, opts.Budget)
	if err != nil {
		return nil, nil, err
	}
	defer part.Done()
	w.attrs.MD5 = part.MD5()
	if stored = w.b.wire.put(ctx, &w.attrs, w.match, part); stored != nil {
		return stored, w.attrs.MD5, nil
	}
	stored, err = w.send(ctx, 0, part.Reader(), func() error { return nil })
	return stored, w.attrs.MD5, err
}

// inChunks writes a larger object. It takes a buffer of a chunk, which the SDK sends again.
func (w *write) inChunks(ctx context.Context, r io.Reader, size int64, opts bucket.PutOptions) (stored *storage.ObjectAttrs, sum []byte, err error) {
	if opts.Budget != nil {
		release, err := opts.Budget.Reserve(ctx, w.b.opts.PartSize)
		if err != nil {
			return nil, nil, fmt.Errorf("wait for memory: %w", err)
		}
		defer release()
	}
	hashed := body.NewHash(body.Exact(r, size), true)
	stored, err = w.send(ctx, int(w.b.opts.PartSize), hashed, func() error { return body.CheckMD5(hashed.Sum(), opts.MD5) })
	return stored, hashed.Sum(), err
}

// send has the SDK write a body in chunks of so many bytes, or in one request where it is 0. What was read is checked before the
// object is there.
func (w *write) send(ctx context.Context, chunk int, r io.Reader, check func() error) (*storage.ObjectAttrs, error) {
	// Ending the context is how an upload is given up; closing the writer would complete it.
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	to := w.b.on(w.attrs.Name, w.match).NewWriter(ctx)
	to.ObjectAttrs, to.ForceEmptyContentType, to.ChunkSize = w.attrs, w.attrs.ContentType == "", chunk
	_, err := io.Copy(to, r)
	if err == nil {
		err = check()
	}
	if err == nil {
		err = to.Close()
	}
	if err != nil {
		giveUp()
		_ = to.Close() // which fails, since it was given up
		return nil, err
	}
	return to.Attrs(), nil
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
	err := fmt.Errorf("%w: the service stored %d bytes with the digests %v, sent were %d with %v", bucket.ErrDigest, obj.Size, obj.Digests, size, sent)
	return errors.Join(err, b.Delete(ctx, obj))
}

// conditions are the write's; nil is none.
func conditions(opts bucket.PutOptions) (*storage.Conditions, error) {
	switch {
	case opts.IfAbsent:
		return &storage.Conditions{DoesNotExist: true}, nil
	case opts.IfMatch.ETag != "":
		match, err := generations(opts.IfMatch)
		return &match, err
	}
	return nil, nil
}

// on is an object as it is written on a condition.
func (b *Bucket) on(key string, match *storage.Conditions) *storage.ObjectHandle {
	handle := b.bucket.Object(key)
	if match != nil {
		handle = handle.If(*match)
	}
	return handle
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
