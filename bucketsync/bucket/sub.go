package bucket

import (
	"context"
	"io"
	"iter"
	"strings"
)

// Sub returns the part of a bucket whose keys begin with prefix, as a bucket whose keys lack it. An empty prefix gives
// the bucket itself.
func Sub(b Bucket, prefix string) Bucket {
	if prefix == "" {
		return b
	}
	below := &sub{Bucket: b, prefix: prefix}
	if _, ok := b.(Pager); ok {
		return subPages{below}
	}
	return below
}

type sub struct {
	Bucket
	prefix string
}

// part is the same for every kind of part.
func (s *sub) part() *sub { return s }

// partOf is the part of a bucket that b is, if it is one: of one that lists page by page, too.
func partOf(b Bucket) (*sub, bool) {
	if p, ok := b.(interface{ part() *sub }); ok {
		return p.part(), true
	}
	return nil, false
}

// Make makes the bucket below, where its driver can.
func (s *sub) Make(ctx context.Context) error {
	if maker, ok := s.Bucket.(Maker); ok {
		return maker.Make(ctx)
	}
	return ErrUnsupported
}

// Guards implements Guarded, where the driver does.
func (s *sub) Guards(ctx context.Context) (Guards, error) { return GuardsOf(ctx, s.Bucket) }

// MakeKeeping implements Keeper, where the driver does.
func (s *sub) MakeKeeping(ctx context.Context, what Keeping) error {
	if keeper, ok := s.Bucket.(Keeper); ok {
		return keeper.MakeKeeping(ctx, what)
	}
	return ErrUnsupported
}

// CopyFrom implements Copier, where the bucket below does.
func (s *sub) CopyFrom(ctx context.Context, key string, from Bucket, src Object, opts PutOptions) (Copied, error) {
	below, ok := s.Bucket.(Copier)
	if !ok {
		return Copied{}, ErrUnsupported
	}
	copied, err := below.CopyFrom(ctx, s.prefix+key, from, src, opts)
	copied.Object = s.inside(copied.Object)
	return copied, err
}

// Abort implements Resumer, where the bucket below does.
func (s *sub) Abort(ctx context.Context, key, id string) error {
	if below, ok := s.Bucket.(Resumer); ok {
		return below.Abort(ctx, s.prefix+key, id)
	}
	return ErrUnsupported
}

// Unfinished implements Resumer, where the bucket below does.
func (s *sub) Unfinished(ctx context.Context, key string) ([]Unfinished, error) {
	if below, ok := s.Bucket.(Resumer); ok {
		return below.Unfinished(ctx, s.prefix+key)
	}
	return nil, ErrUnsupported
}

// Probe implements Prober, where the bucket below does.
func (s *sub) Probe(ctx context.Context) error { return Probe(ctx, s.Bucket) }

// Throttles is what the bucket below tells.
func (s *sub) Throttles() int64 {
	if t, ok := s.Bucket.(Throttled); ok {
		return t.Throttles()
	}
	return 0
}

// Retries is what the bucket below tells.
func (s *sub) Retries() int64 {
	if r, ok := s.Bucket.(Retried); ok {
		return r.Retries()
	}
	return 0
}

func (s *sub) List(ctx context.Context, opts ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for obj, err := range s.Bucket.List(ctx, s.below(opts)) {
			if !yield(s.inside(obj), err) {
				return
			}
		}
	}
}

// subPages is a sub of a bucket that lists page by page.
type subPages struct{ *sub }

// Pages implements Pager.
func (s subPages) Pages(ctx context.Context, opts ListOptions) iter.Seq2[[]Object, error] {
	return func(yield func([]Object, error) bool) {
		for page, err := range Pages(ctx, s.Bucket, s.below(opts)) {
			for i := range page {
				page[i].Key = strings.TrimPrefix(page[i].Key, s.prefix)
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

// below gives a range the keys of the whole bucket.
func (s *sub) below(opts ListOptions) ListOptions {
	opts.Prefix = s.prefix + opts.Prefix
	if opts.After != "" {
		opts.After = s.prefix + opts.After
	}
	if opts.Before != "" {
		opts.Before = s.prefix + opts.Before
	}
	return opts
}

func (s *sub) Head(ctx context.Context, key string) (Object, error) {
	obj, err := s.Bucket.Head(ctx, s.prefix+key)
	return s.inside(obj), err
}

func (s *sub) Open(ctx context.Context, key string, opts ReadOptions) (io.ReadCloser, Object, error) {
	body, obj, err := s.Bucket.Open(ctx, s.prefix+key, opts)
	return body, s.inside(obj), err
}

func (s *sub) Put(ctx context.Context, key string, body io.Reader, size int64, opts PutOptions) (Object, error) {
	obj, err := s.Bucket.Put(ctx, s.prefix+key, body, size, opts)
	return s.inside(obj), err
}

func (s *sub) Delete(ctx context.Context, obj Object) error {
	obj.Key = s.prefix + obj.Key
	return s.Bucket.Delete(ctx, obj)
}

func (s *sub) Describe() Capabilities {
	caps := s.Bucket.Describe()
	caps.URL = strings.TrimSuffix(caps.URL, "/") + "/" + s.prefix
	if caps.MaxKeyLength > 0 {
		caps.MaxKeyLength -= len(s.prefix)
	}
	if problem := caps.KeyProblem; problem != nil {
		caps.KeyProblem = func(key string) string { return problem(s.prefix + key) }
	}
	return caps
}

func (s *sub) inside(obj Object) Object {
	obj.Key = strings.TrimPrefix(obj.Key, s.prefix)
	return obj
}
