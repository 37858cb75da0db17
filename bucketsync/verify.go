package bucketsync

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"iter"
	"log/slog"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/clock"
)

// Mode says what Verify reads.
type Mode string

// Modes of Verify. In each but ModeSize, an object whose content or properties are not proven equal is a difference (I8).
const (
	// ModeSize compares keys and sizes, and believes that equal sizes are equal objects. It asks nothing but the listings.
	ModeSize Mode = "size"
	// ModeListing accepts digests that both stores report, and what the manifest proves of versions that both sides still have.
	// It reads no content.
	ModeListing Mode = "listing"
	// ModeSample is ModeListing, and reads a sample of the objects on both sides, whatever is known of them.
	ModeSample Mode = "sample"
	// ModeProof is ModeListing, and reads on both sides what that leaves unproven.
	ModeProof Mode = "proof"
	// ModeFull reads every byte on both sides and believes nothing else.
	ModeFull Mode = "full"
)

// VerifyOptions say what is verified. From and To are required; the zero values of the rest work.
type VerifyOptions struct {
	From, To bucket.Bucket
	Prefix   string
	Range    Range
	Filter   Filter
	// Mode defaults to ModeProof.
	Mode Mode
	// SampleSize is how many objects ModeSample reads. Default 100.
	SampleSize int
	// Seed chooses the sample; the same seed and objects give the same sample.
	Seed string
	// Manifest is that of the sync, or empty.
	Manifest string
	// AllowExtra does not count objects that only the destination has as differences.
	AllowExtra  bool
	Concurrency int
	TempDir     string
	// Witness is told what is proven equal; see Options.
	Witness func() (func(Proven) error, error)
	Log     *slog.Logger
	Clock   clock.Clock
}

// Proven is an object that was proven equal on both sides.
type Proven struct {
	Key  string
	Size int64
	// SHA256 and MD5 of the content in hexadecimal, where known.
	SHA256, MD5 string
	// Properties is a fingerprint of them, as the destination keeps them.
	Properties string
	// Destination is the version there.
	Destination Seen
	Evidence    Evidence
}

// DifferenceKind is what is the matter with a key.
type DifferenceKind string

// Kinds of differences.
const (
	Missing  DifferenceKind = "missing"  // only the source has it
	Extra    DifferenceKind = "extra"    // only the destination has it
	Differ   DifferenceKind = "differ"   // both have it, and something differs
	Unproven DifferenceKind = "unproven" // nothing shows that both are equal
	// Kept: both have it, it differs, and it was to stay as it is at the destination.
	Kept DifferenceKind = "kept"
)

// Difference is one key that is not the same on both sides.
type Difference struct {
	Key  string         `json:"key"`
	Kind DifferenceKind `json:"kind"`
	What string         `json:"what"`
}

// Report is what Verify found.
type Report struct {
	Mode    Mode  `json:"mode"`
	Objects int64 `json:"objects"` // at the source
	Bytes   int64 `json:"bytes"`
	// Evidence counts, per kind, the objects that were proven equal by it.
	Evidence map[Evidence]int64 `json:"evidence"`
	Missing  int64              `json:"missing"`
	Extra    int64              `json:"extra"`
	Differ   int64              `json:"differ"`
	Unproven int64              `json:"unproven"`
	Kept     int64              `json:"kept,omitempty"`
	// Differences are the first ones in the order of keys; the counts are whole.
	Differences []Difference `json:"differences,omitempty"`
	// Sampled is how many objects a sample reads, and Seed chose them: with both, anyone can read the same ones again.
	Sampled int    `json:"sampled,omitempty"`
	Seed    string `json:"seed,omitempty"`
	// SourceRoot and DestinationRoot are SHA-256 over key, size, digest and properties of every object, in the order of keys, properties
	// as the destination keeps them. With AllowExtra, extra objects are in neither.
	SourceRoot      string `json:"sourceRoot"`
	DestinationRoot string `json:"destinationRoot"`
	Equal           bool   `json:"equal"`
}

const (
	maxDifferences    = 100
	defaultSampleSize = 100
)

// Verify compares both sides and reports what differs. The error is for what could not be looked at; differences are in the Report.
func Verify(ctx context.Context, opts VerifyOptions) (Report, error) {
	o := Options{
		From: opts.From, To: opts.To, Prefix: opts.Prefix, Range: opts.Range, Filter: opts.Filter, Manifest: opts.Manifest,
		AllowExtra: opts.AllowExtra, Concurrency: opts.Concurrency, TempDir: opts.TempDir, Witness: opts.Witness, Log: opts.Log, Clock: opts.Clock,
	}
	e, err := newEngine(o.withDefaults())
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	return e.verify(ctx, cmp.Or(opts.Mode, ModeProof), cmp.Or(opts.SampleSize, defaultSampleSize), opts.Seed)
}

// finding is what was found out about one key.
type finding struct {
	key      string
	bytes    int64
	src, dst *leaf // nil where that side does not have the key
	diff     *Difference
	evidence Evidence
	err      error

	content    content
	properties string
	at         Seen // the destination's
}

// leaf is what the roots are computed from. Its content begins with the name of the algorithm; where none is known, with the side, so that it equals
// nothing.
type leaf struct {
	Key        string `json:"key"`
	Size       int64  `json:"size"`
	Content    string `json:"content"`
	Properties string `json:"properties"`
}

func (e *engine) verify(ctx context.Context, mode Mode, sampleSize int, seed string) (Report, error) {
	switch mode {
	case ModeSize, ModeListing, ModeSample, ModeProof, ModeFull:
	default:
		return Report{}, fmt.Errorf("verify: unknown mode %q: use size, listing, sample, proof or full", mode)
	}
	resort := false
	for {
		report, err := e.verifyOnce(ctx, mode, sampleSize, seed, resort)
		if errors.Is(err, errUnsorted) && !resort {
			resort = true
			continue
		}
		if err != nil {
			return report, fmt.Errorf("verify: %w", err)
		}
		return report, nil
	}
}

func (e *engine) verifyOnce(ctx context.Context, mode Mode, sampleSize int, seed string, resort bool) (Report, error) {
	reads, sampled := func(string) bool { return mode == ModeFull }, 0
	if mode == ModeSample {
		chosen, err := e.sample(ctx, sampleSize, seed)
		if err != nil {
			return Report{}, err
		}
		reads = func(key string) bool { return chosen[key] }
		sampled = len(chosen)
	}
	s := &summary{
		report: Report{Mode: mode, Evidence: map[Evidence]int64{}}, allowExtra: e.opts.AllowExtra,
		src: sha256.New(), dst: sha256.New(),
	}
	if mode == ModeSample {
		s.report.Sampled, s.report.Seed = sampled, seed
	}
	examine := func(ctx context.Context, queue chan<- found, workers *errgroup.Group) error {
		return e.examineAll(ctx, mode, reads, resort, queue, workers)
	}
	return s.sumUp(ctx, e.opts.Concurrency, e.opts.Witness, examine)
}

// sumUp adds up what examine finds. Findings are made at once and summed in the order of keys, because the roots depend on it.
func (s *summary) sumUp(ctx context.Context, concurrency int, begin func() (func(Proven) error, error),
	examine func(ctx context.Context, queue chan<- found, workers *errgroup.Group) error,
) (Report, error) {
	concurrency = max(concurrency, 1)
	witness := func(Proven) error { return nil }
	if begin != nil {
		var err error
		if witness, err = begin(); err != nil {
			return s.report, err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	queue := make(chan found, concurrency)
	group.Go(func() error {
		defer close(queue)
		workers := &errgroup.Group{}
		workers.SetLimit(concurrency)
		err := examine(ctx, queue, workers)
		return errors.Join(err, workers.Wait())
	})
	group.Go(func() error {
		for at := range queue {
			f := at.finding
			if at.later != nil {
				f = <-at.later
			}
			if f.err != nil {
				return f.err
			}
			s.add(f)
			if f.diff != nil {
				continue
			}
			if err := witness(Proven{
				Key: f.key, Size: f.bytes, SHA256: f.content.sha256, MD5: f.content.md5, Properties: f.properties, Destination: f.at, Evidence: f.evidence,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return s.report, err
	}
	return s.close(), nil
}

func (e *engine) examineAll(ctx context.Context, mode Mode, reads func(string) bool, resort bool, queue chan<- found, workers *errgroup.Group) error {
	for p, err := range e.pairs(ctx, resort) {
		if err != nil {
			return err
		}
		if v := compare(p); v == gone || v == left {
			continue
		}
		f, certain := e.atSight(p, mode, reads(p.key))
		at := found{finding: f}
		if !certain {
			at.later = make(chan finding, 1)
		}
		select {
		case queue <- at:
		case <-ctx.Done():
			return ctx.Err()
		}
		if certain {
			continue
		}
		workers.Go(func() error {
			if err := e.lookAt(ctx, p, &f, reads(p.key), mode == ModeProof); errors.Is(err, errSourceMoved) || errors.Is(err, bucket.ErrNotExist) {
				f = f.differs(Differ, "it changed while it was looked at")
			} else {
				f.err = err
			}
			at.later <- e.kept(p, f)
			return nil
		})
	}
	return nil
}

// found is a finding, or where it will come from.
type found struct {
	finding finding
	later   chan finding
}

// kept marks what differs and was to stay as it is.
func (e *engine) kept(p pair, f finding) finding {
	if f.diff != nil && f.diff.Kind == Differ && e.opts.AllowConflicts && !p.rec.owns(*p.dst) {
		f.diff.Kind, f.src, f.dst = Kept, nil, nil // in neither root
	}
	return f
}

// atSight finds out about one key what the listings and the manifest tell, and whether that decides.
func (e *engine) atSight(p pair, mode Mode, read bool) (f finding, certain bool) {
	f.key = p.key
	if p.src != nil {
		f.bytes = p.src.Size
		f.src = &leaf{Key: p.key, Size: p.src.Size, Content: "source"}
	}
	if p.dst != nil {
		f.dst = &leaf{Key: p.key, Size: p.dst.Size, Content: "destination"}
		f.at = seen(*p.dst)
	}
	switch {
	case p.dst == nil:
		return f.differs(Missing, "the destination does not have it"), true
	case p.src == nil:
		return f.differs(Extra, "the source does not have it"), true
	case p.src.Size != p.dst.Size:
		return e.kept(p, f.differs(Differ, fmt.Sprintf("%d bytes at the source and %d at the destination", p.src.Size, p.dst.Size))), true
	case mode == ModeSize:
		f.evidence, f.src.Content, f.dst.Content = SizeOnly, "", ""
		return f, true
	case !read && p.rec.proves(*p.src, *p.dst):
		f.evidence = p.rec.Evidence
		f.agree(content{p.rec.SHA256, p.rec.MD5}, p.rec.Properties)
		return f, true
	}
	return f, false
}

// lookAt asks both stores for an object, and reads it where read is set or, with digests that prove nothing, mayRead.
func (e *engine) lookAt(ctx context.Context, p pair, f *finding, read, mayRead bool) error {
	src, err := e.from.Head(ctx, p.key)
	if err != nil {
		return fmt.Errorf("look at %q at the source: %w", p.key, err)
	}
	dst, err := e.to.Head(ctx, p.key)
	if err != nil {
		return fmt.Errorf("look at %q at the destination: %w", p.key, err)
	}
	want, _, err := e.fit(ctx, src)
	if err != nil {
		*f = f.differs(Differ, err.Error())
		return nil
	}
	if what := firstDifference(want, dst, e.toCaps); what != "" {
		*f = f.differs(Differ, what)
		return nil
	}
	properties := fingerprint(*dst.Properties, e.toCaps)
	rel, a, _ := relate(src.Digests, dst.Digests, true)
	switch {
	case rel == bucket.Different:
		*f = f.differs(Differ, "its "+string(a.Algorithm)+" differs")
		return nil
	case rel == bucket.Same && !read:
		f.evidence = Digests
		f.agree(contentOf([]bucket.Digest{a}), properties)
		return nil
	case !read && !mayRead:
		*f = f.differs(Unproven, "the stores report no digest of the same algorithm")
		return nil
	}
	mine, err := hashOf(ctx, e.patience, e.from, src)
	if err != nil {
		return err
	}
	theirs, err := hashOf(ctx, e.patience, e.to, dst)
	if err != nil {
		return err
	}
	f.content, f.properties, f.at = theirs.content(), properties, seen(dst)
	f.src.Content, f.src.Properties = mine.content().String(), properties
	f.dst.Content, f.dst.Properties = theirs.content().String(), properties
	if mine.content() != theirs.content() {
		*f = f.differs(Differ, "its bytes differ")
		return nil
	}
	f.evidence = Read
	return nil
}

// proves reports whether the record shows that these two versions are equal.
func (r *Record) proves(src, dst bucket.Object) bool {
	return r != nil && (r.State == StateCopied || r.State == StateFound) && r.Evidence != "" &&
		(r.SHA256 != "" || r.MD5 != "") && r.Source.is(src) && r.Destination.is(dst)
}

func (f finding) differs(kind DifferenceKind, what string) finding {
	f.diff = &Difference{Key: f.key, Kind: kind, What: what}
	return f
}

func (f *finding) agree(c content, properties string) {
	f.content, f.properties = c, properties
	for _, l := range []*leaf{f.src, f.dst} {
		l.Content, l.Properties = c.String(), properties
	}
}

// String names the strongest digest that is known.
func (c content) String() string {
	if c.sha256 != "" {
		return "sha256:" + c.sha256
	}
	return "md5:" + c.md5
}

// summary adds findings up in the order of keys.
type summary struct {
	report     Report
	allowExtra bool
	src, dst   hash.Hash
}

func (s *summary) add(f finding) {
	r := &s.report
	extra := f.diff != nil && f.diff.Kind == Extra
	if f.src != nil {
		r.Objects++
		r.Bytes += f.bytes
		hashLeaf(s.src, f.src)
	}
	if f.dst != nil && (!extra || !s.allowExtra) {
		hashLeaf(s.dst, f.dst)
	}
	if f.diff == nil {
		r.Evidence[f.evidence]++
		return
	}
	switch f.diff.Kind {
	case Missing:
		r.Missing++
	case Extra:
		r.Extra++
	case Differ:
		r.Differ++
	case Unproven:
		r.Unproven++
	case Kept:
		r.Kept++
	}
	if len(r.Differences) < maxDifferences && (!extra || !s.allowExtra) {
		r.Differences = append(r.Differences, *f.diff)
	}
}

func hashLeaf(h hash.Hash, l *leaf) {
	if err := json.NewEncoder(h).Encode(l); err != nil {
		panic(fmt.Sprintf("leaf of %q cannot be marshalled: %v", l.Key, err)) // four plain fields, and a hash takes every write
	}
}

func (s *summary) close() Report {
	r := s.report
	r.SourceRoot, r.DestinationRoot = hex.EncodeToString(s.src.Sum(nil)), hex.EncodeToString(s.dst.Sum(nil))
	r.Equal = r.Missing+r.Differ+r.Unproven == 0 && (r.Extra == 0 || s.allowExtra) && r.SourceRoot == r.DestinationRoot
	return r
}

// sample chooses keys of the source: those whose hash with the seed is least, which is a fair draw from any listing.
func (e *engine) sample(ctx context.Context, size int, seed string) (map[string]bool, error) {
	drawn := &lottery{size: size, seed: seed}
	for obj, err := range e.from.List(ctx, e.opts.listing()) {
		if err != nil {
			return nil, fmt.Errorf("list the source: %w", err)
		}
		if e.opts.Filter.takes(obj.Key) {
			drawn.add(obj.Key)
		}
	}
	return drawn.keys(), nil
}

// lottery draws keys: those whose hash with the seed is least.
type lottery struct {
	size  int
	seed  string
	drawn []draw // a sorted handful
}

type draw struct{ hash, key string }

func (l *lottery) add(key string) {
	sum := sha256.Sum256([]byte(l.seed + "\x00" + key))
	l.drawn = insertLeast(l.drawn, draw{string(sum[:]), key}, l.size, func(a, b draw) int { return cmp.Compare(a.hash, b.hash) })
}

func (l *lottery) keys() map[string]bool {
	chosen := make(map[string]bool, len(l.drawn))
	for _, d := range l.drawn {
		chosen[d.key] = true
	}
	return chosen
}

// pairs merges both listings and the manifest.
func (e *engine) pairs(ctx context.Context, resort bool) iter.Seq2[pair, error] {
	opts := e.opts.listing()
	side := func(b bucket.Bucket) iter.Seq2[bucket.Object, error] {
		return ahead(ctx, func(ctx context.Context) iter.Seq2[bucket.Object, error] {
			return listing(ctx, b, opts, resort, e.opts.TempDir)
		})
	}
	dst := side(e.to)
	if e.destinationMissing {
		dst = func(func(bucket.Object, error) bool) {}
	}
	return e.opts.Filter.pairs(merge(side(e.from), dst, e.manifest.records(opts)))
}

// insertLeast keeps the size least values, sorted.
func insertLeast[T any](least []T, v T, size int, compare func(a, b T) int) []T {
	at, _ := slices.BinarySearchFunc(least, v, compare)
	if at >= size {
		return least
	}
	least = slices.Insert(least, at, v)
	return least[:min(len(least), size)]
}
