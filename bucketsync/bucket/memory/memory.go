// Package memory is a bucket in memory, for examples and tests. It keeps every property and enforces every pin and
// condition, so that it is the measure for the other drivers.
package memory

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
)

// Options choose a bucket. Zero values make an empty one that is ready for use.
type Options struct {
	Name string
	// Now is the store's clock; nil is the machine's.
	Now func() time.Time
	// Guards are the locks that the bucket takes, and what it does about them. Zero takes none.
	Guards bucket.Guards
	// Versions keeps what is written over or deleted.
	Versions bool
	// Absent opens a bucket that is not there until it is made.
	Absent bool
}

// Bucket is a bucket in memory. It may be used by several goroutines.
type Bucket struct {
	name   string
	now    func() time.Time
	guards bucket.Guards

	mu       sync.Mutex
	made     bool
	versions int64
	objects  map[string]stored
	past     map[string][]past // of each key the oldest first; nil where none are kept
}

type stored struct {
	object bucket.Object // without Properties
	data   []byte        // never changed once stored
	props  bucket.Properties
}

var _ interface {
	bucket.Bucket
	bucket.Maker
	bucket.Guarded
	bucket.Versioned
} = (*Bucket)(nil)

// Open returns a bucket of its own.
func Open(ctx context.Context, opts Options) (*Bucket, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open bucket %s in memory: %w", opts.Name, err)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	b := &Bucket{name: opts.Name, now: opts.Now, guards: opts.Guards, made: !opts.Absent, objects: map[string]stored{}}
	if opts.Versions {
		b.past = map[string][]past{}
	}
	return b, nil
}

// Describe implements bucket.Bucket.
func (b *Bucket) Describe() bucket.Capabilities {
	return bucket.Capabilities{
		Provider: "memory", URL: "memory://" + b.name, Order: bucket.ByBytes, MetadataKeys: bucket.MetadataAnyCase,
		ConditionalPut: true, ChecksMD5: true, ConditionalWrite: true, Tags: true, WebsiteRedirect: true, Expires: true,
		Locks: true, Keys: true,
	}
}

// Guards implements bucket.Guarded.
func (b *Bucket) Guards(context.Context) (bucket.Guards, error) { return b.guards, nil }

// locked says with bucket.ErrLocked that an object may not be changed, and with bucket.ErrUnsupported that a lock cannot be held.
func (b *Bucket) locked(old stored, want bucket.Lock, deletes bool) error {
	if old.props.Lock.At(b.now()) != (bucket.Lock{}) && (deletes || !b.guards.KeepsLocked) {
		return bucket.ErrLocked
	}
	if want.Retains() && !b.guards.Retention || want.Hold && !b.guards.Holds || want.EventHold && !b.guards.EventHolds {
		return fmt.Errorf("%w: a lock (%s)", bucket.ErrUnsupported, want)
	}
	return nil
}

// Check implements bucket.Bucket.
func (b *Bucket) Check(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.usable(ctx, "check bucket")
}

// Make implements bucket.Maker.
func (b *Bucket) Make(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made = true
	return nil
}

// usable is called with the lock held.
func (b *Bucket) usable(ctx context.Context, op string) error {
	err := ctx.Err()
	if err == nil && !b.made {
		err = bucket.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("%s in memory://%s: %w", op, b.name, err)
	}
	return nil
}

// List implements bucket.Lister: it shows the bucket as it is when the listing starts.
func (b *Bucket) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return shown(ctx, "list memory://"+b.name, func() ([]bucket.Object, error) { return b.snapshot(ctx, opts) })
}

// shown yields what look finds, until the context ends.
func shown[T any](ctx context.Context, op string, look func() ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		found, err := look()
		if err != nil {
			yield(none, err)
			return
		}
		for _, one := range found {
			if err := ctx.Err(); err != nil {
				yield(none, fmt.Errorf("%s: %w", op, err))
				return
			}
			if !yield(one, nil) {
				return
			}
		}
	}
}

func (b *Bucket) snapshot(ctx context.Context, opts bucket.ListOptions) ([]bucket.Object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx, "list"); err != nil {
		return nil, err
	}
	var found []bucket.Object
	for key, s := range b.objects {
		if opts.Holds(key) {
			found = append(found, s.seen(false))
		}
	}
	slices.SortFunc(found, func(x, y bucket.Object) int { return strings.Compare(x.Key, y.Key) })
	return found, nil
}

// Head implements bucket.Reader.
func (b *Bucket) Head(ctx context.Context, key string) (bucket.Object, error) {
	s, err := b.find(ctx, "head "+key, key)
	if err != nil {
		return bucket.Object{}, err
	}
	return s.seen(true), nil
}

// Open implements bucket.Reader.
func (b *Bucket) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	s, err := b.find(ctx, "open "+key, key)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	if opts.Pin.ETag != "" && opts.Pin.ETag != s.object.ETag {
		return nil, bucket.Object{}, fmt.Errorf("open %s in memory://%s: %w", key, b.name, bucket.ErrPrecondition)
	}
	start, length, err := opts.Range(s.object.Size)
	if err != nil {
		return nil, bucket.Object{}, fmt.Errorf("open %s in memory://%s: %w", key, b.name, err)
	}
	return &reading{ctx.Err, bytes.NewReader(s.data[start : start+length])}, s.seen(false), nil
}

// reading is a body that ends with its request's context, as a real store's does.
type reading struct {
	ended func() error
	*bytes.Reader
}

func (r *reading) Read(p []byte) (int, error) {
	if err := r.ended(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// WriteTo is hidden, so that copying asks for the context too.
func (r *reading) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

func (r *reading) Close() error { return nil }

func (b *Bucket) find(ctx context.Context, op, key string) (stored, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx, op); err != nil {
		return stored{}, err
	}
	s, ok := b.objects[key]
	if !ok {
		return stored{}, fmt.Errorf("%s in memory://%s: %w", op, b.name, bucket.ErrNotExist)
	}
	return s, nil
}

// Put implements bucket.Writer.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	part, err := body.Whole(ctx, r, size, nil, nil)
	if err == nil {
		err = body.CheckMD5(part.MD5(), opts.MD5)
	}
	if err != nil {
		return bucket.Object{}, fmt.Errorf("put %s to memory://%s: %w", key, b.name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx, "put "+key); err != nil {
		return bucket.Object{}, err
	}
	old, exists := b.objects[key]
	if opts.IfAbsent && exists || opts.IfMatch.ETag != "" && opts.IfMatch.ETag != old.object.ETag {
		return bucket.Object{}, fmt.Errorf("put %s to memory://%s: %w", key, b.name, bucket.ErrPrecondition)
	}
	if err := errors.Join(b.locked(old, opts.Properties.Lock, false), opts.Properties.Fits(b.Describe())); err != nil {
		return bucket.Object{}, fmt.Errorf("put %s to memory://%s: %w", key, b.name, err)
	}
	b.versions++
	s := stored{data: slices.Clone(part.Data), props: clone(opts.Properties)}
	s.props.Other = nil
	s.object = bucket.Object{
		Key: key, Size: size, Modified: b.now(), Version: strconv.FormatInt(b.versions, 10),
		// Not a digest, so that nothing may lean on its being one.
		ETag:    "m-" + strconv.FormatInt(b.versions, 10),
		Digests: []bucket.Digest{{Algorithm: bucket.MD5, Value: hex.EncodeToString(part.MD5())}},
	}
	b.objects[key] = s
	b.remember(key, past{stored: s})
	return s.seen(false), nil
}

// Delete implements bucket.Writer.
func (b *Bucket) Delete(ctx context.Context, obj bucket.Object) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx, "delete "+obj.Key); err != nil {
		return err
	}
	old, exists := b.objects[obj.Key]
	if exists && obj.ETag != "" && obj.ETag != old.object.ETag {
		return fmt.Errorf("delete %s in memory://%s: %w", obj.Key, b.name, bucket.ErrPrecondition)
	}
	if err := b.locked(old, bucket.Lock{}, b.past == nil); err != nil {
		return fmt.Errorf("delete %s in memory://%s: %w", obj.Key, b.name, err)
	}
	delete(b.objects, obj.Key)
	b.remember(obj.Key, b.marker(obj.Key))
	return nil
}

// seen is the object as a listing shows it, or with its properties. Nothing of it is shared with the store.
func (s stored) seen(properties bool) bucket.Object {
	obj := s.object
	obj.Digests = slices.Clone(obj.Digests)
	if properties {
		props := clone(s.props)
		obj.Properties = &props
	}
	return obj
}

func clone(p bucket.Properties) bucket.Properties {
	p.Metadata, p.Tags, p.Other = maps.Clone(p.Metadata), maps.Clone(p.Tags), maps.Clone(p.Other)
	return p
}
