package bucketsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/clock"
)

// ProvenOptions say which place is held against what was proven before. Bucket and Proven are required.
type ProvenOptions struct {
	Bucket bucket.Bucket
	// Proven begins to yield what was proven, in the order of the bytes of keys. It may be called more than once.
	Proven func() iter.Seq2[Proven, error]
	// Same says that this is the place that was proven: fingerprints of properties are in its form, and a version of another tag is another one.
	Same bool
	// The rest is as in VerifyOptions.
	Filter      Filter
	Mode        Mode
	SampleSize  int
	Seed        string
	AllowExtra  bool
	Concurrency int
	TempDir     string
	Log         *slog.Logger
	Clock       clock.Clock
	// Objects and Bytes are how many were proven, for Progress; 0 is not known.
	Objects, Bytes int64
	Progress       func(Progress)
}

// VerifyProven compares a place with what was proven of it, or of its origin, before. In the Report, the source is what was
// proven, and the destination the place.
func VerifyProven(ctx context.Context, opts ProvenOptions) (Report, error) {
	o := Options{
		From: opts.Bucket, To: opts.Bucket, Filter: opts.Filter, AllowExtra: opts.AllowExtra, Concurrency: opts.Concurrency,
		TempDir: opts.TempDir, Log: opts.Log, Clock: opts.Clock,
	}
	e, err := begin(ctx, o.withDefaults())
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	if e.comparison = e.newComparison(opts.Progress); e.comparison != nil && opts.Filter.Everything() {
		if e.comparison.objects = opts.Objects; opts.Mode == ModeFull {
			e.comparison.bytes = opts.Bytes
		}
	}
	a := &attested{engine: e, mode: cmp.Or(opts.Mode, ModeListing), proven: opts.Proven, same: opts.Same}
	report := Report{Mode: a.mode}
	a.reads = func(string) bool { return a.mode == ModeFull }
	if a.mode == ModeSample {
		drawn, untold := &lottery{size: cmp.Or(opts.SampleSize, defaultSampleSize), seed: opts.Seed}, int64(0)
		e.comparison.draw(0, opts.Objects)
		for p, err := range opts.Proven() {
			if err != nil {
				return report, fmt.Errorf("verify: %w", err)
			}
			if opts.Filter.takes(p.Key) {
				drawn.add(p.Key)
			}
			if untold++; untold == tellKeys {
				e.comparison.draw(untold, opts.Objects)
				untold = 0
			}
		}
		e.comparison.draw(untold, opts.Objects)
		chosen := drawn.keys()
		a.reads = func(key string) bool { return chosen[key] }
		report.Sampled, report.Seed = len(chosen), opts.Seed
	}
	for _, resort := range []bool{false, true} {
		report.Evidence = map[Evidence]int64{}
		s := &summary{report: report, allowExtra: opts.AllowExtra, most: e.opts.width(), heard: e.comparison}
		e.comparison.begin()
		if err = a.examineAll(ctx, resort, s); errors.Is(err, errUnsorted) {
			continue
		}
		if err != nil {
			err = fmt.Errorf("verify: %w", err)
		}
		return s.close(), err
	}
	return report, fmt.Errorf("verify: %w", err)
}

// attested compares one place with what was proven.
type attested struct {
	*engine
	mode   Mode
	reads  func(key string) bool
	proven func() iter.Seq2[Proven, error]
	same   bool
}

func (a *attested) examineAll(ctx context.Context, resort bool, s *summary) (err error) {
	workers := &errgroup.Group{}
	workers.SetLimit(a.opts.width())
	defer func() {
		if werr := workers.Wait(); err == nil && werr == nil {
			err = s.settle(0)
		}
		s.tell()
	}()
	was, stopWas := cursorOf("read what was proven", a.proven(), func(p Proven) string { return p.Key })
	defer stopWas()
	now, stopNow := cursorOf("list the place", bucket.Unpaged(listing(ctx, a.to, a.opts.listing(), resort, a.opts.TempDir)), func(o bucket.Object) string { return o.Key })
	defer stopNow()
	for {
		if err := errors.Join(was.err, now.err); err != nil {
			return err
		}
		key, ok := lesser(was, now)
		if !ok {
			return ctx.Err()
		}
		p, obj := was.last(key), now.last(key)
		if !a.opts.Filter.takes(key) || p == nil && obj.Folder.Bare() {
			continue
		}
		f, certain := a.atSight(key, p, obj)
		if certain {
			err = s.put(&f)
		} else {
			err = s.await(workers, func() finding { return a.lookAt(ctx, *p, f) })
		}
		if err != nil {
			return err
		}
	}
}

// atSight finds out about one key what the listing tells, and whether that decides.
func (a *attested) atSight(key string, p *Proven, obj *bucket.Object) (f finding, certain bool) {
	f.key = key
	if p != nil {
		f.bytes = p.Size
		f.inSrc, f.src = true, leaf{key: key, size: p.Size, content: "proven"}
	}
	if obj != nil {
		f.inDst, f.dst = true, leaf{key: key, size: obj.Size, content: "place"}
	}
	switch {
	case obj == nil:
		return f.differs(Missing, "the place does not have it any more"), true
	case obj.Irregular != "" && p != nil:
		return f.differs(Differ, "it is "+string(obj.Irregular)+" now, not an object"), true
	case obj.Irregular != "":
		return f.differs(Extra, "it was not there when the place was proven, and is "+string(obj.Irregular)+", not an object"), true
	case p == nil:
		return f.differs(Extra, "it was not there when the place was proven"), true
	case p.Size != obj.Size:
		return f.differs(Differ, fmt.Sprintf("it had %d bytes and has %d", p.Size, obj.Size)), true
	case a.mode == ModeSize:
		f.evidence, f.src.content, f.dst.content = SizeOnly, "", ""
		return f, true
	case !a.reads(key) && p.Destination.is(*obj) && (a.same || len(p.content().digests()) > 0):
		f.evidence = Recorded
		f.agree(p.content(), p.Properties)
		return f, true
	}
	return f, false
}

// lookAt asks the store for an object, and reads it where that is wanted or nothing else decides.
func (a *attested) lookAt(ctx context.Context, p Proven, f finding) finding {
	obj, err := a.to.Head(ctx, p.Key)
	if errors.Is(err, bucket.ErrNotExist) {
		return f.differs(Differ, "it changed while it was looked at")
	}
	if err != nil {
		return a.orUnreadable(ctx, f, fmt.Errorf("look at %q: %w", p.Key, err))
	}
	properties := p.Properties
	if a.same && obj.Properties != nil && p.Properties != "" && fingerprint(*obj.Properties, a.toCaps) != p.Properties {
		return f.differs(Differ, "its properties are not those that were proven")
	}
	was := p.content().digests()
	rel, of, _ := relate(was, obj.Digests, true)
	read := a.reads(p.Key)
	switch {
	case obj.Size != p.Size:
		return f.differs(Differ, fmt.Sprintf("it had %d bytes and has %d", p.Size, obj.Size))
	case rel == bucket.Different:
		return f.differs(Differ, "its "+string(of.Algorithm)+" differs")
	case rel == bucket.Same && !read:
		f.evidence = Digests
		f.agree(contentOf([]bucket.Digest{of}), properties)
		return f
	case len(was) == 0:
		if g := a.byVersion(&p, obj, f); g.diff != nil || !read {
			return g
		}
	case !read && a.mode != ModeProof && a.mode != ModeHash:
		return f.differs(Unproven, "it is another version, and the store reports no digest of the algorithm that was kept")
	}
	wanted := algorithmsOf(was)
	if len(was) == 0 {
		wanted = append(wanted, a.opts.Hash) // with nothing to compare it: its store may not give it whole any more
	}
	sums, err := hashOf(ctx, a.patience, a.to, obj, a.comparison.hear, wanted...)
	if errors.Is(err, errSourceMoved) {
		return f.differs(Differ, "it changed while it was looked at")
	}
	if err != nil {
		return a.orUnreadable(ctx, f, err)
	}
	if len(was) == 0 {
		return a.byVersion(&p, obj, f)
	}
	if rel, of, _ := relate(was, sums.digests(), true); rel != bucket.Same {
		return f.differs(Differ, "its bytes differ: its "+string(of.Algorithm)+" is another")
	}
	f.evidence = Read
	f.agree(p.content(), properties)
	return f
}

// orUnreadable is the finding about an object that cannot be read, or the end of the run.
func (a *attested) orUnreadable(ctx context.Context, f finding, err error) finding {
	err = unreadAt("place", a.to, err)
	if what := a.unread(ctx, f.key, err); what != "" {
		return f.differs(Unreadable, what)
	}
	f.err = err
	return f
}

// byVersion decides about an object of which no digest was kept: which version was proven is all that is known of it.
func (a *attested) byVersion(p *Proven, now bucket.Object, f finding) finding {
	was := p.Destination
	other := func(was, now string) bool { return was != "" && now != "" && was != now }
	switch {
	case a.same && was.written(now):
		f.evidence = Recorded
		f.agree(p.content(), p.Properties)
		return f
	case !a.same:
		return f.differs(Unproven, "no digest of it was kept, and which version it was tells nothing at another place")
	case other(was.ETag, now.ETag) || other(was.Version, now.Version):
		return f.differs(Differ, "it is another version than was proven, and no digest of that was kept")
	}
	return f.differs(Unproven, "it was written since, and no digest of it was kept")
}

func (p Proven) content() content { return content{p.Hash, p.MD5} }
