package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Versions (B17). With Options.Versions each key is a history: its versions, delete markers among them, the oldest first. The
// destination gets the same in the same order. Beside the manifest, PATH.versions remembers for each of the source's versions which
// of the destination's is its copy.
//
//	source      v1 ── v2 ── marker ── v3
//	             |     |       |
//	destination w1 ── w2 ── marker'            the rest is copied, oldest first, each on the condition that nothing came between
//
// The histories are walked side by side. Where they part, and the destination's next version is not a copy of one that the source
// no longer has, that is a conflict: nothing can be put between two versions that are there.

// MarkerEvidence is that of a delete marker, which has no content.
const MarkerEvidence Evidence = "delete marker"

// versions are both sides of a sync with versions.
type versions struct {
	from, to bucket.Versioned
	// markers says that both stores keep deletions as versions of their own. Else only that a key has no object now is kept.
	markers  bool
	manifest *manifest
}

// history is what both sides and the manifest have under one key.
type history struct {
	key      string
	src, dst []bucket.Version
	recs     []Record // of the source's versions, under their key
}

// versionKey is the key of a version in the manifest. No id holds a NUL.
func versionKey(key, id string) string { return key + "\x00" + id }

func keyOfVersion(composed string) string {
	if at := strings.LastIndexByte(composed, 0); at >= 0 {
		return composed[:at]
	}
	return composed
}

// keyed is what a sorted sequence has under one key.
type keyed[T any] struct {
	key string
	of  []T
}

// grouped gathers a sequence key by key. One out of order ends it (B1).
func grouped[T any](seq iter.Seq2[T, error], keyOf func(T) string) iter.Seq2[keyed[T], error] {
	return func(yield func(keyed[T], error) bool) {
		var g keyed[T]
		for v, err := range seq {
			if err != nil {
				yield(keyed[T]{}, err)
				return
			}
			key := keyOf(v)
			if len(g.of) > 0 && key != g.key {
				if key < g.key {
					yield(keyed[T]{}, fmt.Errorf("%q after %q: %w", key, g.key, errUnsorted))
					return
				}
				if !yield(g, nil) {
					return
				}
				g = keyed[T]{}
			}
			g.key, g.of = key, append(g.of, v)
		}
		if len(g.of) > 0 {
			yield(g, nil)
		}
	}
}

// histories walks both listings of versions and what is remembered of them.
func (e *engine) histories(ctx context.Context) iter.Seq2[history, error] {
	opts := e.opts.listing()
	keyOf := func(v bucket.Version) string { return v.Key }
	side := func(b bucket.Versioned, order bucket.Order) iter.Seq2[keyed[bucket.Version], error] {
		all := b.ListVersions(ctx, opts)
		if order != bucket.ByBytes {
			all = inKeyOrder(all, keyOf, e.opts.TempDir)
		}
		return grouped(all, keyOf)
	}
	dst := side(e.versions.to, e.toCaps.Order)
	if e.destinationMissing {
		dst = func(func(keyed[bucket.Version], error) bool) {}
	}
	recs := grouped(e.versions.records(opts.Prefix), func(r Record) string { return keyOfVersion(r.Key) })
	return func(yield func(history, error) bool) {
		a := puller("list the source's versions", side(e.versions.from, e.fromCaps.Order))
		defer a.stop()
		b := puller("list the destination's versions", dst)
		defer b.stop()
		m := puller("read the manifest of versions", recs)
		defer m.stop()
		for {
			if err := errors.Join(a.err, b.err, m.err); err != nil {
				yield(history{}, err)
				return
			}
			key, ok := "", false
			for _, next := range []*string{a.key(), b.key(), m.key()} {
				if next != nil && (!ok || *next < key) {
					key, ok = *next, true
				}
			}
			if !ok {
				return
			}
			h := history{key: key, src: e.versions.kept(a.take(key)), dst: e.versions.kept(b.take(key)), recs: m.take(key)}
			if !e.opts.Filter.takes(key) {
				if len(h.src) > 0 {
					e.leftOut.Add(1)
				}
				continue
			}
			if len(h.src)+len(h.dst) == 0 {
				continue
			}
			if !yield(h, nil) {
				return
			}
		}
	}
}

// records are those of versions whose keys begin with a prefix.
func (v *versions) records(prefix string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for r, err := range v.manifest.all() {
			if err == nil && (r.State == StateForgotten || !strings.HasPrefix(r.Key, prefix)) {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// pulled is a sequence of groups that is read one at a time.
type pulled[T any] struct {
	op   string
	next func() (keyed[T], error, bool)
	stop func()
	now  *keyed[T] // nil at the end
	err  error
}

func puller[T any](op string, seq iter.Seq2[keyed[T], error]) *pulled[T] {
	p := &pulled[T]{op: op}
	p.next, p.stop = iter.Pull2(seq)
	p.advance()
	return p
}

func (p *pulled[T]) advance() {
	g, err, ok := p.next()
	p.now = nil
	switch {
	case err != nil:
		p.err = fmt.Errorf("%s: %w", p.op, err)
	case ok:
		p.now = &g
	}
}

// key is where the sequence stands, or nil at its end.
func (p *pulled[T]) key() *string {
	if p.now == nil {
		return nil
	}
	return &p.now.key
}

// take gives what there is under a key, and moves on.
func (p *pulled[T]) take(key string) []T {
	if p.now == nil || p.now.key != key {
		return nil
	}
	of := p.now.of
	p.advance()
	return of
}

// kept are the versions that both stores can hold. Without markers of their own, that is the objects, and at the end whether
// there is one now.
func (v *versions) kept(all []bucket.Version) []bucket.Version {
	if v.markers {
		return all
	}
	isMarker := func(x bucket.Version) bool { return x.Marker }
	if !slices.ContainsFunc(all, func(x bucket.Version) bool { return !x.Marker }) {
		return nil // no object was ever there
	}
	last := all[len(all)-1]
	objects := slices.DeleteFunc(slices.Clone(all), isMarker)
	if last.Marker {
		objects = append(objects, last)
	}
	return objects
}

// stepKind is what is to be done about one version.
type stepKind int

const (
	stepSame     stepKind = iota // the copy is there, as recorded
	stepCheck                    // one of the destination's stands where its copy would: it may be that
	stepCopy                     // the destination's history ends before it
	stepExtraOwn                 // a copy whose version the source has no more
	stepExtra                    // the destination's, and nothing is known of it
)

type step struct {
	kind     stepKind
	src, dst *bucket.Version
	rec      *Record
}

// align walks two histories side by side. A problem says why the destination's cannot become the source's by adding to it.
// Without markers of their own, one at the end is no version but a state, which goes when another version comes.
func align(h history, markers bool) (steps []step, problem string) {
	bySource, byCopy := map[string]*Record{}, map[string]*Record{}
	for i := range h.recs {
		r := &h.recs[i]
		if r.State == StateCopied || r.State == StateFound {
			bySource[r.Source.Version], byCopy[r.Destination.Version] = r, r
		}
	}
	there := map[string]bool{} // versions of the source that have a record of just them
	recordOf := func(v bucket.Version) *Record {
		if r := bySource[v.Version]; r != nil && v.Version != "" && r.Source.is(v.Object) {
			return r
		}
		return nil
	}
	for _, v := range h.src {
		if recordOf(v) != nil {
			there[v.Version] = true
		}
	}
	extra := func(v *bucket.Version) step {
		if r := byCopy[v.Version]; r != nil && r.State == StateCopied && !there[r.Source.Version] {
			return step{kind: stepExtraOwn, dst: v, rec: r}
		}
		return step{kind: stepExtra, dst: v}
	}
	i, j := 0, 0
	for i < len(h.src) && j < len(h.dst) {
		src, dst := &h.src[i], &h.dst[j]
		rec := recordOf(*src)
		owner := byCopy[dst.Version]
		switch {
		case !markers && dst.Marker && !src.Marker:
			j++
		case !markers && dst.Marker:
			steps = append(steps, step{kind: stepSame, src: src, dst: dst, rec: rec})
			i, j = i+1, j+1
		case rec != nil && dst.Version != "" && rec.Destination.is(dst.Object):
			steps = append(steps, step{kind: stepSame, src: src, dst: dst, rec: rec})
			i, j = i+1, j+1
		case owner != nil && dst.Version != "" && !there[owner.Source.Version]:
			steps = append(steps, extra(dst))
			j++
		case rec != nil || owner != nil && dst.Version != "":
			return steps, fmt.Sprintf("its version %s is not where the copy of the source's %s was: one of them was deleted there", dst.Version, src.Version)
		case src.Marker != dst.Marker || src.Size != dst.Size:
			return steps, fmt.Sprintf("its version %s is not a copy of the source's %s, and nothing can be put before it", name(*dst), name(*src))
		default:
			steps = append(steps, step{kind: stepCheck, src: src, dst: dst})
			i, j = i+1, j+1
		}
	}
	for ; i < len(h.src); i++ {
		steps = append(steps, step{kind: stepCopy, src: &h.src[i]})
	}
	for ; j < len(h.dst); j++ {
		steps = append(steps, extra(&h.dst[j]))
	}
	return steps, ""
}

// name is a version for people.
func name(v bucket.Version) string {
	if v.Marker {
		return "(a delete marker) " + v.Version
	}
	return v.Version
}

// oneVersion shows a bucket as if one version were the only one of its key.
type oneVersion struct {
	bucket.Bucket
	of bucket.Versioned
	id string
}

func (o oneVersion) Head(ctx context.Context, key string) (bucket.Object, error) {
	return o.of.HeadVersion(ctx, key, o.id)
}

func (o oneVersion) Open(ctx context.Context, key string, opts bucket.ReadOptions) (io.ReadCloser, bucket.Object, error) {
	return o.of.OpenVersion(ctx, key, o.id, opts)
}

// at is an engine that sees one version of each side: of the source src, and of the destination dst, or what is current where that is
// nil. What it remembers is of src. Its result and its memory of uploads are its own.
func (e *engine) at(src, dst *bucket.Version) *engine {
	one := &engine{
		opts: e.opts, to: e.to, fromCaps: e.fromCaps, toCaps: e.toCaps, patience: e.patience, manifest: e.versions.manifest,
		uploads: &uploads{header: e.uploads.header, going: map[string]*going{}}, ledger: e.ledger, shapes: e.shapes, memory: e.memory, streams: e.streams,
		gate: e.gate, ramp: e.ramp, strain: e.strain, limiter: e.limiter,
		progress: e.progress, comparison: e.comparison, versions: e.versions, version: src.Version, guards: e.guards, hashes: e.hashes,
		result: Result{Evidence: map[Evidence]int64{}},
	}
	one.opts.From = oneVersion{e.opts.From, e.versions.from, src.Version}
	patience := e.patience
	patience.of = &e.strain.source
	one.from = retrying{through(one.opts.From, e.limiter, e.opts.Clock), patience}
	if dst != nil {
		one.opts.To = oneVersion{e.opts.To, e.versions.to, dst.Version}
		patience.of = &e.strain.destination
		one.to = retrying{through(one.opts.To, e.limiter, e.opts.Clock), patience}
	}
	return one
}

// enter puts a record into the manifest, under its version where there is one.
func (e *engine) enter(r Record) error {
	if e.versions != nil && e.version != "" {
		e.entered = r
		r.Key = versionKey(r.Key, e.version)
		r.Source.Modified, r.Destination.Modified = 0, 0 // a version is known by its id and its tag, and some servers move its time
	}
	return e.manifest.add(r)
}

// openVersions finds what a sync with versions needs of both sides. It is nil where one of them has none, which the plan refuses.
func (e *engine) openVersions() (*versions, error) {
	from, ok := bucket.VersionedOf(e.opts.From)
	to, also := bucket.VersionedOf(e.opts.To)
	if !ok || !also {
		return nil, nil
	}
	path := e.opts.Manifest
	if path != "" {
		path += ".versions"
	}
	m, err := openManifest(path, e.opts.TempDir, e.fromCaps, e.toCaps)
	return &versions{from: from, to: to, manifest: m}, err
}
