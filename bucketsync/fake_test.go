package bucketsync

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// fake is a bucket in memory whose requests a test can watch and disturb. A hook's error is the request's.
type fake struct {
	*memory.Bucket
	caps func(*bucket.Capabilities)
	// before is called before each request with its name and key, answered after a write.
	before   func(op, key string) error
	answered func(op string) error
	// listed is called for each object that a listing is about to yield.
	listed func(n int, o bucket.Object) error
	order  func([]bucket.Object)
	// live reads an object in pieces, each a request of its own, so that only the pin keeps them together.
	live       int64
	opened     func(key string, offset int64)
	noDigests  bool
	badDigests bool
	wrongMD5   bool              // in place of the right one
	other      map[string]string // shown as Properties.Other
	archived   *bucket.Archived  // of all objects
	guards     bucket.Guards     // asked by the engine
	stored     func(*bucket.PutOptions, *[]byte)

	mu    sync.Mutex
	calls map[string]int
}

func newFake(t testing.TB, name string) *fake {
	t.Helper()
	b, err := memory.Open(t.Context(), memory.Options{Name: name, Guards: bucket.Guards{Retention: true, Holds: true, EventHolds: true, KeepsLocked: true}})
	if err != nil {
		t.Fatal(err)
	}
	return &fake{Bucket: b, calls: map[string]int{}}
}

func (f *fake) request(op, key string) error {
	f.mu.Lock()
	f.calls[op]++
	f.calls[op+" "+key]++
	f.mu.Unlock()
	if f.before == nil {
		return nil
	}
	return f.before(op, key)
}

func (f *fake) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

func (f *fake) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = map[string]int{}
}

func (f *fake) Describe() bucket.Capabilities {
	caps := f.Bucket.Describe()
	if f.caps != nil {
		f.caps(&caps)
	}
	return caps
}

func (f *fake) Guards(context.Context) (bucket.Guards, error) {
	return f.guards, f.request("guards", "")
}

func (f *fake) seen(o bucket.Object) bucket.Object {
	o.Archived = f.archived
	if f.noDigests {
		o.Digests = nil
	}
	if f.wrongMD5 && o.Digests != nil {
		o.Digests = []bucket.Digest{{Algorithm: bucket.MD5, Value: strings.Repeat("0", 32)}}
	}
	if f.badDigests {
		o.Digests = []bucket.Digest{{Algorithm: bucket.SHA256, Value: strings.Repeat("0", 64)}}
	}
	return o
}

func (f *fake) List(ctx context.Context, opts bucket.ListOptions) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		if err := f.request("list", opts.Prefix); err != nil {
			yield(bucket.Object{}, err)
			return
		}
		var all []bucket.Object
		for o, err := range f.Bucket.List(ctx, opts) {
			if err != nil {
				yield(o, err)
				return
			}
			all = append(all, f.seen(o))
		}
		if f.order != nil {
			f.order(all)
		}
		for n, o := range all {
			if f.listed != nil {
				if err := f.listed(n, o); err != nil {
					yield(bucket.Object{}, err)
					return
				}
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (f *fake) Head(ctx context.Context, key string) (bucket.Object, error) {
	if err := f.request("head", key); err != nil {
		return bucket.Object{}, err
	}
	o, err := f.Bucket.Head(ctx, key)
	if o.Properties != nil {
		o.Properties.Other = f.other
	}
	return f.seen(o), err
}

func (f *fake) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	if err := f.request("open", key); err != nil {
		return nil, bucket.Object{}, err
	}
	body, o, err := f.Bucket.Open(ctx, key, opts)
	if err != nil || f.live == 0 {
		return body, f.seen(o), err
	}
	return &pieces{ctx: ctx, f: f, key: key, pin: opts.Pin, size: o.Size}, f.seen(o), body.Close()
}

// pieces reads an object as drivers do that ask for ranges.
type pieces struct {
	ctx          context.Context //nolint:containedctx // a body lives as long as its request
	f            *fake
	key          string
	pin          bucket.Object
	offset, size int64
}

func (p *pieces) Read(into []byte) (int, error) {
	if p.offset == p.size {
		return 0, io.EOF
	}
	if p.f.opened != nil {
		p.f.opened(p.key, p.offset)
	}
	length := min(p.f.live, p.size-p.offset, int64(len(into)))
	body, _, err := p.f.Bucket.Open(p.ctx, p.key, bucket.ReadOptions{Pin: p.pin, Offset: p.offset, Length: length})
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(body, into[:length])
	p.offset += int64(n)
	return n, err
}

func (p *pieces) Close() error { return nil }

func (f *fake) Put(ctx context.Context, key string, body io.Reader, size int64, opts bucket.PutOptions) (bucket.Object, error) {
	if err := f.request("put", key); err != nil {
		return bucket.Object{}, err
	}
	if f.stored != nil {
		raw, err := io.ReadAll(body)
		if err != nil {
			return bucket.Object{}, fmt.Errorf("put: %w", err)
		}
		f.stored(&opts, &raw)
		body, size = bytes.NewReader(raw), int64(len(raw))
	}
	o, err := f.Bucket.Put(ctx, key, body, size, opts)
	if err == nil && f.answered != nil {
		err = f.answered("put")
	}
	return f.seen(o), err
}

func (f *fake) Mark(ctx context.Context, key string) (bucket.Version, error) {
	if err := f.request("mark", key); err != nil {
		return bucket.Version{}, err
	}
	v, err := f.Bucket.Mark(ctx, key)
	if err == nil && f.answered != nil {
		err = f.answered("mark")
	}
	return v, err
}

func (f *fake) DeleteVersion(ctx context.Context, key, id string) error {
	if err := f.request("delete version", key); err != nil {
		return err
	}
	return f.Bucket.DeleteVersion(ctx, key, id)
}

func (f *fake) Delete(ctx context.Context, o bucket.Object) error {
	if err := f.request("delete", o.Key); err != nil {
		return err
	}
	return f.Bucket.Delete(ctx, o)
}

// write puts an object past all hooks.
func (f *fake) write(t testing.TB, key, text string, props ...bucket.Properties) {
	t.Helper()
	var opts bucket.PutOptions
	if len(props) > 0 {
		opts.Properties = props[0]
	}
	if _, err := f.Bucket.Put(context.Background(), key, strings.NewReader(text), int64(len(text)), opts); err != nil {
		t.Fatal(err)
	}
}

func (f *fake) remove(t testing.TB, key string) {
	t.Helper()
	if err := f.Bucket.Delete(context.Background(), bucket.Object{Key: key}); err != nil {
		t.Fatal(err)
	}
}

// text reads an object past all hooks; a missing one is "(none)".
func (f *fake) text(t testing.TB, key string) string {
	t.Helper()
	body, _, err := f.Bucket.Open(context.Background(), key, bucket.ReadOptions{})
	if err != nil {
		return "(none)"
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func (f *fake) keys(t testing.TB) []string {
	t.Helper()
	var out []string
	for o, err := range f.Bucket.List(context.Background(), bucket.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o.Key)
	}
	return out
}

func shuffled(objects []bucket.Object) {
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
}

// rig is a pair of buckets with options for them.
type rig struct {
	from, to *fake
	opts     Options
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{from: newFake(t, "blue"), to: newFake(t, "green")}
	r.opts = Options{
		Migration: "m", Stage: "sync/b", Name: "b", From: r.from, To: r.to,
		Manifest: filepath.Join(t.TempDir(), "manifest"), TempDir: t.TempDir(),
		Clock: clock.NewFake(time.Unix(1_700_000_000, 0)),
	}
	return r
}

// plan plans and demands that nothing is refused.
func (r *rig) plan(t testing.TB) *plan.Plan {
	t.Helper()
	p, err := Plan(t.Context(), r.opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

// sync plans and applies.
func (r *rig) sync(t testing.TB) (Result, error) {
	t.Helper()
	return Apply(t.Context(), r.plan(t), &plan.MemoryRecorder{}, r.opts)
}

func (r *rig) mustSync(t testing.TB) Result {
	t.Helper()
	result, err := r.sync(t)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func (r *rig) wantEqual(t testing.TB) {
	t.Helper()
	if from, to := r.from.keys(t), r.to.keys(t); !slices.Equal(from, to) {
		t.Fatalf("the source has %q, the destination %q", from, to)
	}
	for _, key := range r.from.keys(t) {
		if from, to := r.from.text(t, key), r.to.text(t, key); from != to {
			t.Fatalf("%q is %.40q at the source and %.40q at the destination", key, from, to)
		}
	}
}

// rot shows every object as it was stored and gives other bytes of one.
type rot struct {
	*fake
	key string
}

func (r *rot) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	body, o, err := r.fake.Open(ctx, key, opts)
	if err == nil && key == r.key {
		body = io.NopCloser(strings.NewReader(strings.Repeat("?", int(o.Size))))
	}
	return body, o, err
}
