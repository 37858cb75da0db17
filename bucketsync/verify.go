package bucketsync

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

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
	// ModeHash is ModeProof, and also reads on both sides what is proven equal by something else than a hash of its content: the MD5 that both
	// stores tell, or that one server copied it.
	ModeHash Mode = "hash"
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
	AllowExtra bool
	// Versions compares histories: every version of every key, in order.
	Versions bool
	// Hash is the identity by which content that is read is compared; see Options.
	Hash        bucket.Algorithm
	Concurrency int
	TempDir     string
	// Witness is told what is proven equal; see Options.
	Witness func() (func(Proven) error, error)
	Log     *slog.Logger
	Clock   clock.Clock
	// Progress is called as objects are compared, by one goroutine at a time: Objects are the keys of either side so far, and Bytes what
	// was read of both. The total of objects is known with ModeSample alone, and is else 0.
	Progress func(Progress)
}

// Proven is an object that was proven equal on both sides.
type Proven struct {
	Key  string
	Size int64
	// Hash of the content with its algorithm, as bucket.Digest.String writes it, and MD5 in hexadecimal, where known.
	Hash, MD5 string
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
	// Unreadable: both have it, and a side does not give it whole, or may not be asked for it.
	Unreadable DifferenceKind = "unreadable"
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
	// Unreadable objects are listed, and a store that answers otherwise does not give them.
	Unreadable int64 `json:"unreadable,omitempty"`
	Kept       int64 `json:"kept,omitempty"`
	// Differences are the first ones in the order of keys; the counts are whole.
	Differences []Difference `json:"differences,omitempty"`
	// Sampled is how many objects a sample reads, and Seed chose them: with both, anyone can read the same ones again.
	Sampled int    `json:"sampled,omitempty"`
	Seed    string `json:"seed,omitempty"`
	// SourceRoot and DestinationRoot are hashes over key, size, digest and properties of every object, in the order of keys, properties
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
		AllowExtra: opts.AllowExtra, Versions: opts.Versions, Hash: opts.Hash, Concurrency: opts.Concurrency, TempDir: opts.TempDir, Witness: opts.Witness, Log: opts.Log, Clock: opts.Clock,
	}
	e, err := begin(ctx, o.withDefaults())
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	e.comparison = e.newComparison(opts.Progress)
	return e.verify(ctx, cmp.Or(opts.Mode, ModeProof), cmp.Or(opts.SampleSize, defaultSampleSize), opts.Seed)
}

// finding is what was found out about one key.
type finding struct {
	key          string
	bytes        int64
	inSrc, inDst bool // whether that side has the key
	src, dst     leaf
	diff         *Difference
	evidence     Evidence
	err          error

	content    content
	properties string
	at         Seen // the destination's
	old        bool // an older version, or a marker: not what a reader finds under the key
}

// leaf is what the roots are computed from. Its content begins with the name of the algorithm; where none is known, with the side, so that it equals
// nothing.
type leaf struct {
	key        string
	size       int64
	content    string
	properties string
}

func (e *engine) verify(ctx context.Context, mode Mode, sampleSize int, seed string) (Report, error) {
	switch mode {
	case ModeSize, ModeListing, ModeSample, ModeProof, ModeHash, ModeFull:
	default:
		return Report{}, fmt.Errorf("verify: unknown mode %q: use size, listing, sample, proof, hash or full", mode)
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
	e.comparison.begin()
	var report Report
	if report.Mode = mode; mode == ModeSample {
		report.Sampled, report.Seed = sampled, seed
	}
	var witness func(Proven) error
	if e.opts.Witness != nil {
		var err error
		if witness, err = e.opts.Witness(); err != nil {
			return report, err
		}
	}
	workers := &errgroup.Group{}
	workers.SetLimit(e.opts.width())
	var spans perSpan[summary]
	if e.opts.Versions {
		s := &summary{report: report, allowExtra: e.opts.AllowExtra, most: e.opts.width(), witness: witness, heard: e.comparison}
		err := e.verifyVersions(ctx, mode, reads, s, workers)
		werr := workers.Wait()
		if err == nil && werr == nil {
			werr = s.settle(0)
		}
		s.tell()
		return s.close(), cmp.Or(err, werr)
	}
	err := e.walk(ctx, walkOptions{resort: resort, single: witness != nil}, func(at *span) visitor {
		s := spans.of(at)
		s.allowExtra, s.most, s.witness = e.opts.AllowExtra, e.opts.width(), witness
		if s.heard = e.comparison; s.heard != nil {
			at.turned = func(*merger) { s.tell() }
		}
		return func(p pair) error { return e.examine(ctx, p, mode, reads(p.key), s, workers) }
	})
	werr := workers.Wait()
	all := &summary{report: report, allowExtra: e.opts.AllowExtra}
	for _, s := range spans.inOrder() {
		if err == nil && werr == nil {
			werr = s.settle(0)
		}
		s.tell()
		all.join(s)
	}
	return all.close(), cmp.Or(err, werr)
}

// examine finds out about one key.
func (e *engine) examine(ctx context.Context, p pair, mode Mode, read bool, s *summary, workers *errgroup.Group) error {
	if p = underFolders(p); e.isPlace(p) {
		p.src = nil
	}
	if mode == ModeSize && p.src != nil && p.dst != nil && p.src.Size == p.dst.Size && !p.irregular() && len(s.waiting) == 0 && s.witness == nil {
		s.addSize(p.key, p.src.Size)
		return nil
	}
	if v := compare(p); v == gone || v == left {
		return nil
	}
	f, certain := e.atSight(p, mode, read)
	if certain {
		return s.put(&f)
	}
	return s.await(workers, func() finding {
		if err := e.lookAt(ctx, p, &f, read || mode == ModeHash, mode == ModeProof); errors.Is(err, errSourceMoved) || errors.Is(err, bucket.ErrNotExist) {
			f = f.differs(Differ, "it changed while it was looked at")
		} else if what := e.unread(ctx, p.key, err); what != "" {
			f = f.differs(Unreadable, what)
		} else {
			f.err = err
		}
		return e.kept(p, f)
	})
}

// unread says what is the matter with an object that cannot be read, although its store answers when it is asked for it: bytes that were
// damaged, or a right that is missing for this one. It is empty where the store itself fails, which is an error of the run.
func (e *engine) unread(ctx context.Context, key string, err error) string {
	var failed *readFailure
	if !errors.As(err, &failed) || ctx.Err() != nil {
		return ""
	}
	if _, lives := failed.from.Head(ctx, key); lives != nil && !errors.Is(lives, bucket.ErrDenied) {
		return ""
	}
	return "it cannot be read at the " + failed.side + ": " + failed.err.Error()
}

// readFailure is that of reading or looking at one object.
type readFailure struct {
	side string
	from bucket.Bucket
	err  error
}

// Error tells it.
func (f *readFailure) Error() string { return "read at the " + f.side + ": " + f.err.Error() }

// Unwrap returns the failure.
func (f *readFailure) Unwrap() error { return f.err }

// unreadAt is a failure to read at one side; nil where there is none.
func unreadAt(side string, from bucket.Bucket, err error) error {
	if err == nil {
		return nil
	}
	return &readFailure{side, from, err}
}

// found is a finding, or where it will come from.
type found struct {
	finding finding
	later   chan finding
}

// kept marks what differs and was to stay as it is.
func (e *engine) kept(p pair, f finding) finding {
	if f.diff != nil && f.diff.Kind == Differ && e.opts.AllowConflicts && !p.rec.owns(*p.dst) {
		f.diff.Kind, f.inSrc, f.inDst = Kept, false, false // in neither root
	}
	return f
}

// atSight finds out about one key what the listings and the manifest tell, and whether that decides.
func (e *engine) atSight(p pair, mode Mode, read bool) (f finding, certain bool) {
	f.key = p.key
	if p.src != nil {
		f.bytes = p.src.Size
		f.inSrc, f.src = true, leaf{key: p.key, size: p.src.Size, content: "source"}
	}
	if p.dst != nil {
		f.inDst, f.dst = true, leaf{key: p.key, size: p.dst.Size, content: "destination"}
		f.at = seen(*p.dst)
	}
	if what := notObjects(p); what != "" {
		f.inSrc = f.inSrc && p.src.Irregular == ""
		f = f.differs(Differ, what)
		if p.src.Irregular == "" {
			f = e.kept(p, f)
		}
		return f, true
	}
	switch {
	case p.dst == nil:
		return f.differs(Missing, "the destination does not have it"), true
	case p.src == nil && p.dst.Irregular != "":
		return f.differs(Extra, "the source does not have it, and it is "+string(p.dst.Irregular)+", not an object"), true
	case p.src == nil:
		return f.differs(Extra, "the source does not have it"), true
	case p.src.Size != p.dst.Size:
		return e.kept(p, f.differs(Differ, fmt.Sprintf("%d bytes at the source and %d at the destination", p.src.Size, p.dst.Size))), true
	case mode == ModeSize:
		f.evidence, f.src.content, f.dst.content = SizeOnly, "", ""
		return f, true
	case !read && p.rec.proves(*p.src, *p.dst) && (mode != ModeHash || p.rec.Hash != ""):
		f.evidence = p.rec.Evidence
		f.agree(content{p.rec.Hash, p.rec.MD5}, p.rec.Properties)
		return f, true
	}
	return f, false
}

// lookAt asks both stores for an object, and reads it where read is set or, with digests that prove nothing, mayRead.
func (e *engine) lookAt(ctx context.Context, p pair, f *finding, read, mayRead bool) error {
	src, err := e.from.Head(ctx, p.key)
	if err != nil {
		return unreadAt("source", e.from, fmt.Errorf("look at %q at the source: %w", p.key, err))
	}
	dst, err := e.to.Head(ctx, p.key)
	if err != nil {
		return unreadAt("destination", e.to, fmt.Errorf("look at %q at the destination: %w", p.key, err))
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
	rel, a, _ := relate(told(src), told(dst), true)
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
	mine, theirs, err := e.readBoth(ctx, src, dst)
	if err != nil {
		return err
	}
	f.content, f.properties, f.at = theirs, properties, seen(dst)
	f.src.content, f.src.properties = mine.String(), properties
	f.dst.content, f.dst.properties = theirs.String(), properties
	if mine != theirs {
		*f = f.differs(Differ, "its bytes differ")
		return nil
	}
	f.evidence = Read
	return nil
}

// proves reports whether the record shows that these two versions are equal.
func (r *Record) proves(src, dst bucket.Object) bool {
	return r != nil && (r.State == StateCopied || r.State == StateFound) && r.Evidence != "" &&
		(r.Hash != "" || r.MD5 != "" || r.Evidence == Within) && r.Source.is(src) && r.Destination.is(dst)
}

func (f finding) differs(kind DifferenceKind, what string) finding {
	f.diff = &Difference{Key: f.key, Kind: kind, What: what}
	return f
}

func (f *finding) agree(c content, properties string) {
	f.content, f.properties = c, properties
	for _, l := range []*leaf{&f.src, &f.dst} {
		l.content, l.properties = c.String(), properties
	}
}

// String names the strongest digest that is known.
func (c content) String() string {
	if c.hash != "" {
		return c.hash
	}
	return "md5:" + c.md5
}

// summary adds the findings of a span up in the order of keys.
type summary struct {
	report     Report
	allowExtra bool
	src, dst   root
	apart      bool // until they differ, src is the root of both sides
	buffer     []byte
	waiting    []found // what is not known yet, and what comes behind it
	most       int     // of waiting
	bySize     int64   // objects that addSize added
	witness    func(Proven) error
	heard      *comparison
	untold     int64 // what was added since heard was told
}

// put adds a finding. Findings are made at once and summed in the order of keys, because the roots depend on it.
func (s *summary) put(f *finding) error {
	if len(s.waiting) == 0 {
		if s.untold >= tellKeys {
			s.tell()
		}
		return s.add(f)
	}
	s.waiting = append(s.waiting, found{finding: *f})
	return s.settle(s.most)
}

// await adds a finding that a worker makes.
func (s *summary) await(workers *errgroup.Group, find func() finding) error {
	later := make(chan finding, 1)
	workers.Go(func() error {
		later <- find()
		return nil
	})
	s.waiting = append(s.waiting, found{later: later})
	return s.settle(s.most)
}

// settle adds what is waiting, until no more than so many are left.
func (s *summary) settle(left int) error {
	for len(s.waiting) > left {
		f, later := s.waiting[0].finding, s.waiting[0].later
		if later != nil {
			f = <-later
		}
		s.waiting = s.waiting[1:]
		if f.err != nil {
			return f.err
		}
		if err := s.add(&f); err != nil {
			return err
		}
		if later != nil {
			s.tell()
		}
	}
	return nil
}

func (s *summary) add(f *finding) error {
	s.untold++
	r := &s.report
	extra := f.diff != nil && f.diff.Kind == Extra
	if f.inSrc {
		r.Objects++
		r.Bytes += f.bytes
	}
	counts := f.inDst && (!extra || !s.allowExtra)
	if f.inSrc && counts && f.src == f.dst {
		s.addBoth(s.hash(&f.src))
	} else if f.inSrc || counts {
		s.part()
		if f.inSrc {
			s.src.add(s.hash(&f.src))
		}
		if counts {
			s.dst.add(s.hash(&f.dst))
		}
	}
	if f.diff == nil {
		if r.Evidence == nil {
			r.Evidence = map[Evidence]int64{}
		}
		r.Evidence[f.evidence]++
		if s.witness == nil || f.old {
			return nil
		}
		return s.witness(Proven{
			Key: f.key, Size: f.bytes, Hash: f.content.hash, MD5: f.content.md5, Properties: f.properties, Destination: f.at, Evidence: f.evidence,
		})
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
	case Unreadable:
		r.Unreadable++
	case Kept:
		r.Kept++
	}
	if len(r.Differences) < maxDifferences && (!extra || !s.allowExtra) {
		r.Differences = append(r.Differences, *f.diff)
	}
	return nil
}

// addSize adds an object that has one size on both sides, where nothing else is asked.
func (s *summary) addSize(key string, size int64) {
	s.untold++
	s.report.Objects++
	s.report.Bytes += size
	s.bySize++
	s.addBoth(s.hash(&leaf{key: key, size: size}))
}

// addBoth adds the digest of an object that is the same on both sides.
func (s *summary) addBoth(d digest) {
	s.src.add(d)
	if s.apart {
		s.dst.add(d)
	}
}

// part gives each side a root of its own.
func (s *summary) part() {
	if !s.apart {
		s.dst, s.apart = s.src.clone(), true
	}
}

// hash is that of a leaf: its fields, each with its length before it.
func (s *summary) hash(l *leaf) digest {
	b := s.buffer[:0]
	for _, text := range []string{l.key, l.content, l.properties} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	b = binary.AppendVarint(b, l.size)
	s.buffer = b
	return sha256.Sum256(b)
}

// join adds the summary of the span that comes next.
func (s *summary) join(next *summary) {
	if s.apart || next.apart {
		s.part()
		next.part()
		s.dst.join(&next.dst)
	}
	s.src.join(&next.src)
	s.bySize += next.bySize
	r, n := &s.report, &next.report
	r.Objects, r.Bytes = r.Objects+n.Objects, r.Bytes+n.Bytes
	r.Missing, r.Extra, r.Differ = r.Missing+n.Missing, r.Extra+n.Extra, r.Differ+n.Differ
	r.Unproven, r.Unreadable, r.Kept = r.Unproven+n.Unproven, r.Unreadable+n.Unreadable, r.Kept+n.Kept
	if r.Evidence == nil {
		r.Evidence = map[Evidence]int64{}
	}
	for evidence, count := range n.Evidence {
		r.Evidence[evidence] += count
	}
	r.Differences = append(r.Differences, n.Differences[:min(len(n.Differences), maxDifferences-len(r.Differences))]...)
}

func (s *summary) close() Report {
	r := s.report
	if s.bySize > 0 {
		r.Evidence[SizeOnly] += s.bySize
	}
	s.part()
	r.SourceRoot, r.DestinationRoot = s.src.sum(), s.dst.sum()
	r.Equal = r.Missing+r.Differ+r.Unproven+r.Unreadable == 0 && (r.Extra == 0 || s.allowExtra) && r.SourceRoot == r.DestinationRoot
	return r
}

// sample chooses keys of the source: those whose hash with the seed is least, which is a fair draw from any listing.
func (e *engine) sample(ctx context.Context, size int, seed string) (map[string]bool, error) {
	drawn := &lottery{size: size, seed: seed}
	e.comparison.draw(0, 0)
	for page, err := range bucket.Pages(ctx, e.from, e.opts.listing()) {
		if err != nil {
			return nil, fmt.Errorf("list the source: %w", err)
		}
		for i := range page {
			if e.opts.Filter.takes(page[i].Key) && page[i].Folder != bucket.FolderHolding && page[i].Irregular == "" {
				drawn.add(page[i].Key)
			}
		}
		e.comparison.draw(int64(len(page)), 0)
	}
	if e.comparison != nil {
		e.comparison.objects = drawn.of
	}
	return drawn.keys(), nil
}

// lottery draws keys: those whose hash with the seed is least.
type lottery struct {
	size  int
	seed  string
	of    int64  // how many took part
	drawn []draw // a sorted handful
}

type draw struct{ hash, key string }

func (l *lottery) add(key string) {
	l.of++
	sum := sha256.Sum256([]byte(l.seed + "\x00" + key))
	l.drawn = insertLeast(l.drawn, draw{string(sum[:]), strings.Clone(key)}, l.size, func(a, b draw) int { return cmp.Compare(a.hash, b.hash) })
}

func (l *lottery) keys() map[string]bool {
	chosen := make(map[string]bool, len(l.drawn))
	for _, d := range l.drawn {
		chosen[d.key] = true
	}
	return chosen
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
