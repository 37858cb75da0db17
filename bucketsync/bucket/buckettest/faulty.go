package buckettest

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Op is a request that a Fault is of.
type Op string

// The requests of a bucket.
const (
	List   Op = "list"
	Head   Op = "head"
	Open   Op = "open"
	Put    Op = "put"
	Delete Op = "delete"
)

// Fault is something that goes wrong. Zero values of all but Op leave the request alone.
type Fault struct {
	Op  Op
	Key string // only requests of this key; empty is any
	// Skip and Times say which requests: so many pass first, then so many are hit; Times 0 is all after those.
	Skip, Times int
	// Err is what the request fails with: bucket.ErrPrecondition for a 412, bucket.ErrSlowDown, an error of the test's own.
	Err error
	// After lets a listing yield so many objects, or a body so many bytes, before Err ends it. Of other requests it says
	// nothing.
	After int64
	// Lost lets Put and Delete happen, and fails only their answer with Err.
	Lost bool
	// Flip changes one bit of a body, at the byte After.
	Flip bool
	// Wait is called before the request: a slow store, or something that happens meanwhile.
	Wait func(ctx context.Context, key string) error
	// Reverse lists backwards and goes on saying that the order is by bytes (B1).
	Reverse bool
}

// Faulty is a bucket that fails on purpose. It is a fake, and says so: its provider is "faulty" with that of the bucket
// below. It may be used by several goroutines.
type Faulty struct {
	below  bucket.Bucket
	faults []Fault

	mu    sync.Mutex
	seen  []int // requests that matched each fault
	calls map[Op]int
}

var _ bucket.Bucket = (*Faulty)(nil)

// NewFaulty injects faults into a bucket. The first that hits a request is taken.
func NewFaulty(below bucket.Bucket, faults ...Fault) *Faulty {
	return &Faulty{below: below, faults: slices.Clone(faults), seen: make([]int, len(faults)), calls: map[Op]int{}}
}

// Calls returns how many requests of a kind there were, those that failed included.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Describe implements bucket.Bucket.
func (f *Faulty) Describe() bucket.Capabilities {
	caps := f.below.Describe()
	caps.Provider = "faulty " + caps.Provider
	return caps
}

// Check implements bucket.Bucket.
func (f *Faulty) Check(ctx context.Context) error { return f.below.Check(ctx) }

// hit finds the fault of a request and waits what it says.
func (f *Faulty) hit(ctx context.Context, op Op, key string) (Fault, error) {
	fault := f.take(op, key)
	if fault.Wait != nil {
		if err := fault.Wait(ctx, key); err != nil {
			return fault, fmt.Errorf("%s %q, slow on purpose: %w", op, key, err)
		}
	}
	return fault, nil
}

func (f *Faulty) take(op Op, key string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	for i, fault := range f.faults {
		if fault.Op != op || fault.Key != "" && fault.Key != key {
			continue
		}
		f.seen[i]++
		if n := f.seen[i] - fault.Skip; n > 0 && (fault.Times == 0 || n <= fault.Times) {
			return fault
		}
	}
	return Fault{}
}

func (f Fault) fail(key string) error {
	return fmt.Errorf("%s %q, broken on purpose: %w", f.Op, key, f.Err)
}

// List implements bucket.Lister.
func (f *Faulty) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		fault, err := f.hit(ctx, List, opts.Prefix)
		if err != nil {
			yield(bucket.Object{}, err)
			return
		}
		listed := f.below.List(ctx, opts)
		if fault.Reverse {
			listed = reversed(listed)
		}
		count := int64(0)
		for obj, err := range listed {
			if err == nil && fault.Err != nil && count == fault.After {
				break
			}
			if !yield(obj, err) || err != nil {
				return
			}
			count++
		}
		if fault.Err != nil {
			yield(bucket.Object{}, fault.fail(opts.Prefix))
		}
	}
}

func reversed(listed iter.Seq2[bucket.Object, error]) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		var all []bucket.Object
		for obj, err := range listed {
			if err != nil {
				yield(bucket.Object{}, err)
				return
			}
			all = append(all, obj)
		}
		for _, obj := range slices.Backward(all) {
			if !yield(obj, nil) {
				return
			}
		}
	}
}

// Head implements bucket.Reader.
func (f *Faulty) Head(ctx context.Context, key string) (bucket.Object, error) {
	fault, err := f.hit(ctx, Head, key)
	if err == nil && fault.Err != nil {
		err = fault.fail(key)
	}
	if err != nil {
		return bucket.Object{}, err
	}
	return f.below.Head(ctx, key)
}

// Open implements bucket.Reader.
func (f *Faulty) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	fault, err := f.hit(ctx, Open, key)
	if err == nil && fault.Err != nil && fault.After == 0 {
		err = fault.fail(key)
	}
	if err != nil {
		return nil, bucket.Object{}, err
	}
	body, obj, err := f.below.Open(ctx, key, opts)
	if err != nil || fault.Err == nil && !fault.Flip {
		return body, obj, err
	}
	return &faultyBody{ReadCloser: body, fault: fault, key: key}, obj, nil
}

type faultyBody struct {
	io.ReadCloser
	fault Fault
	key   string
	at    int64
}

func (b *faultyBody) Read(p []byte) (int, error) {
	left := b.fault.After - b.at
	if b.fault.Err != nil {
		if left <= 0 {
			return 0, b.fault.fail(b.key)
		}
		p = p[:min(int64(len(p)), left)]
	}
	n, err := b.ReadCloser.Read(p)
	if b.fault.Flip && left >= 0 && left < int64(n) {
		p[left] ^= 1
	}
	b.at += int64(n)
	return n, err
}

// Put implements bucket.Writer.
func (f *Faulty) Put(ctx context.Context, key string, body io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	fault, err := f.hit(ctx, Put, key)
	if err != nil {
		return bucket.Object{}, err
	}
	if fault.Err != nil && !fault.Lost {
		return bucket.Object{}, fault.fail(key)
	}
	obj, err := f.below.Put(ctx, key, body, size, opts)
	if err == nil && fault.Err != nil {
		return bucket.Object{}, fault.fail(key)
	}
	return obj, err
}

// Delete implements bucket.Writer.
func (f *Faulty) Delete(ctx context.Context, obj bucket.Object) error {
	fault, err := f.hit(ctx, Delete, obj.Key)
	if err != nil {
		return err
	}
	if fault.Err != nil && !fault.Lost {
		return fault.fail(obj.Key)
	}
	err = f.below.Delete(ctx, obj)
	if err == nil && fault.Err != nil {
		return fault.fail(obj.Key)
	}
	return err
}
