package bucketsync

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

const (
	// smallObject is the size up to which an object is held whole: its digests are then known before it is written.
	smallObject = 4 << 20
	// streamBytes is how much of the memory there is to be for each larger object that passes through in parts: so many at most are
	// under way at once.
	streamBytes = 8 << 20
)

// copyObject copies the source's object over base, which is what the destination has under the key now, or nil. Listed is the
// source's as it was last seen. An overwritten source restarts it (B4), a failure of the moment repeats it.
func (e *engine) copyObject(ctx context.Context, listed bucket.Object, rec *Record, base *bucket.Object) error {
	return e.leave(ctx, listed.Key, e.copyTries(ctx, listed, rec, base))
}

func (e *engine) copyTries(ctx context.Context, listed bucket.Object, rec *Record, base *bucket.Object) error {
	for try := 1; ; try++ {
		if try > 1 && e.toCaps.WriteInterval > 0 {
			// The try before may have written.
			if err := e.opts.Clock.Sleep(ctx, e.toCaps.WriteInterval); err != nil {
				return err
			}
		}
		err := e.tryCopy(ctx, &listed, rec, base)
		if err == nil {
			return nil
		}
		if errors.Is(err, bucket.ErrUploadGone) && try < maxTries && ctx.Err() == nil {
			done, err := e.gone(ctx, listed.Key, rec)
			if done || err != nil {
				return err
			}
			continue
		}
		if errors.Is(err, errSourceMoved) && try < maxTries && ctx.Err() == nil {
			continue
		}
		if !e.patience.again(ctx, try, "copy", listed.Key, err) {
			return err
		}
	}
}

// transfer is one try at one object.
type transfer struct {
	key     string
	src     bucket.Object
	props   bucket.Properties // as the destination is to have them
	entries []Entry           // what they lose
	sums    *sums
	over    bool   // the destination had something under the key
	going   *going // the write that is gone on with, or nil

	// md5 is that of a small object, in hexadecimal: what its source tells, where that is held against what arrives at the
	// destination (told), and else computed.
	md5  string
	told bool
}

// digests are those of what was read.
func (t *transfer) digests() []bucket.Digest {
	out := t.sums.digests()
	if t.md5 != "" {
		out = append(out, bucket.Digest{Algorithm: bucket.MD5, Value: t.md5})
	}
	return out
}

// sum is the MD5 that goes with a small object: that which its source tells, where the destination checks it.
func (t *transfer) sum(raw []byte, checks bool) []byte {
	t.md5 = contentOf(t.src.Digests).md5
	sum, err := hex.DecodeString(t.md5)
	if t.told = checks && err == nil && len(sum) == md5.Size; t.told {
		return sum
	}
	return t.compute(raw)
}

// compute finds out the MD5 of a small object by itself.
func (t *transfer) compute(raw []byte) []byte {
	sum := md5.Sum(raw)
	t.md5, t.told = hex.EncodeToString(sum[:]), false
	return sum[:]
}

// content is what is known of an object's bytes: the hash that is its identity, with its algorithm (bucket.Digest.String), and the MD5 in
// hexadecimal.
type content struct{ hash, md5 string }

func (s *sums) content() content { return contentOf(s.digests()) }

// contentOf takes the first of several identities.
func contentOf(digests []bucket.Digest) (c content) {
	for _, d := range digests {
		switch {
		case isIdentity(d.Algorithm):
			c.hash = cmp.Or(c.hash, d.String())
		case d.Algorithm == bucket.MD5:
			c.md5 = d.Value
		}
	}
	return c
}

// digests are those that are known of a content, and that this program can compute.
func (c content) digests() []bucket.Digest {
	out := make([]bucket.Digest, 0, 2)
	if d := bucket.ParseDigest(c.hash); isIdentity(d.Algorithm) {
		out = append(out, d)
	}
	if c.md5 != "" {
		out = append(out, bucket.Digest{Algorithm: bucket.MD5, Value: c.md5})
	}
	return out
}

// tryCopy is one try. It leaves in listed what it saw of the source.
func (e *engine) tryCopy(ctx context.Context, listed *bucket.Object, rec *Record, base *bucket.Object) error {
	if done, err := e.within(ctx, listed, rec, base); done {
		return err
	}
	t, acked, err := e.transfer(ctx, listed, rec, base)
	switch {
	case errors.Is(err, errRefusedWrite):
		return e.settle(ctx, t, rec, base)
	case err != nil:
		return err
	case t == nil:
		e.tally(func(r *Result) { r.Vanished++ })
		return nil
	}
	stored, evidence, err := e.prove(ctx, t, acked)
	if err != nil {
		// What is there is not what was intended, but it is this migration's, and the next try or run may replace it.
		mine := Record{Key: t.key, State: StateIntent, Source: seen(t.src), Destination: seen(acked)}
		return errors.Join(err, e.enter(mine))
	}
	return e.finish(t, stored, contentOf(t.digests()), evidence)
}

// memoryFor waits until there is memory for an object: a buffer for the whole of a small one, and for a large one a place among those whose
// parts the driver takes memory for as it sends them.
func (e *engine) memoryFor(ctx context.Context, size int64) (raw []byte, release func(), err error) {
	switch {
	case size == 0:
		return nil, func() {}, nil
	case size <= e.small():
		return e.memory.Buffer(ctx, size)
	}
	select {
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	case e.streams <- struct{}{}:
		return nil, func() { <-e.streams }, nil
	}
}

// small is the size up to which an object is held whole.
func (e *engine) small() int64 { return min(smallObject, e.memory.Total()) }

// transfer reads the source's object and writes it over base. The transfer is nil where the source has none any more.
func (e *engine) transfer(ctx context.Context, listed *bucket.Object, rec *Record, base *bucket.Object) (*transfer, bucket.Object, error) {
	none := bucket.Object{}
	raw, release, err := e.memoryFor(ctx, listed.Size)
	if err != nil {
		return nil, none, err
	}
	defer release()
	g, src, err := e.takeUp(ctx, listed.Key)
	if err != nil {
		return nil, none, err
	}
	var body io.ReadCloser
	if g != nil {
		body, err = e.openFrom(ctx, g, src)
	} else {
		body, src, err = e.open(ctx, listed.Key)
	}
	if errors.Is(err, bucket.ErrNotExist) {
		return nil, none, nil
	}
	if err != nil {
		return nil, none, err
	}
	defer func() { _ = body.Close() }() // only read; what it had to say came from Read
	if was := *listed; was.Size != src.Size {
		if was.ETag != "" && was.ETag == src.ETag && was.Version == src.Version {
			// One version has one size: what the store lists or what it sends is wrong (B8).
			return nil, none, &CorruptError{Key: src.Key, Where: "source", Want: fmt.Sprintf("a size of %d bytes in one answer", was.Size), Got: fmt.Sprintf("one of %d in another", src.Size)}
		}
		*listed = src
		return nil, none, fmt.Errorf("copy %q: it has another size than it was listed with: %w", src.Key, errSourceMoved)
	}
	*listed = src
	t, err := e.prepare(ctx, src, rec, base)
	if err != nil {
		return nil, none, err
	}
	t.going = g
	if g != nil {
		t.sums, _ = g.hashes(e.wanted(src), src.Size)
	}
	acked, err := e.write(ctx, t, body, raw, rec, base)
	return t, acked, err
}

// prepare finds what the destination is to have of an object, or why it may not have it.
func (e *engine) prepare(ctx context.Context, src bucket.Object, rec *Record, base *bucket.Object) (*transfer, error) {
	props, entries, err := e.fit(ctx, src)
	if err != nil {
		return nil, err
	}
	if base != nil {
		if err := e.mayReplace(ctx, props.Lock, base, rec.owns(*base)); err != nil {
			return nil, err
		}
	}
	if e.opts.Strict {
		for _, entry := range entries {
			if entry.Fate == Lost {
				return nil, fmt.Errorf("copy %q: %s would be lost (%s): %w", src.Key, entry.Property, entry.Detail, bucket.ErrUnsupported)
			}
		}
	}
	return &transfer{key: src.Key, src: src, props: props, entries: entries, sums: sumsFrom(e.hashes, e.wanted(src)), over: base != nil}, nil
}

// wanted are the algorithms by which a copy of an object is hashed as it is read: its identity, those that its source tells, and what the
// destination acknowledges of a large one. A small one's MD5 is not among them: see transfer.
func (e *engine) wanted(src bucket.Object) []bucket.Algorithm {
	list := append(algorithmsOf(src.Digests), e.opts.Hash)
	switch {
	case src.Size <= e.small():
		list = slices.DeleteFunc(list, func(a bucket.Algorithm) bool { return a == bucket.MD5 })
	case !e.toCaps.PutHashed:
		list = append(list, cmp.Or(e.toCaps.PutDigest, bucket.MD5))
	}
	return list
}

// open begins to read the source's object: one version of it, and what the store tells of that version. Where a read
// tells all that a head does, it is one request. Else the read is pinned to what the head saw (B4).
func (e *engine) open(ctx context.Context, key string) (io.ReadCloser, bucket.Object, error) {
	if e.fromCaps.OpenTells {
		body, src, err := e.from.Open(ctx, key, bucket.ReadOptions{})
		if errors.Is(err, bucket.ErrPrecondition) {
			return nil, src, readError(key, err)
		}
		if err != nil {
			return nil, src, fmt.Errorf("read %q: %w", key, err)
		}
		return body, src, nil
	}
	src, err := e.from.Head(ctx, key)
	if err != nil {
		return nil, src, fmt.Errorf("look at %q at the source: %w", key, err)
	}
	body, opened, err := e.from.Open(ctx, key, bucket.ReadOptions{Pin: src})
	if err != nil {
		return nil, src, readError(key, err)
	}
	if src.ETag != "" && opened.ETag != "" && src.ETag != opened.ETag {
		return nil, src, errors.Join(fmt.Errorf("read %q: %w", key, errSourceMoved), body.Close())
	}
	return body, src, nil
}

// fit maps the properties, or says why the destination cannot hold the object.
func (e *engine) fit(ctx context.Context, src bucket.Object) (bucket.Properties, []Entry, error) {
	if src.Properties == nil {
		return bucket.Properties{}, nil, fmt.Errorf("the source tells no properties of %q: %w", src.Key, bucket.ErrUnsupported)
	}
	props, entries, bad, err := e.carry(ctx, *src.Properties)
	if err != nil {
		return props, nil, err
	}
	if bad == nil {
		if problem := unfit(src, e.toCaps); problem != "" {
			bad = &misfit{why: problem, mend: "rename, shorten or split it at the source, or choose another destination"}
		}
	}
	if bad != nil {
		return props, nil, fmt.Errorf("copy %q: %w", src.Key, bad)
	}
	return props, entries, nil
}

// errRefusedWrite says that the condition of a write did not hold.
var errRefusedWrite = errors.New("the destination changed since it was listed")

// write records the intent and writes what is read from body on the condition that the destination is still at base. Raw is
// the memory for the whole of a small object.
func (e *engine) write(ctx context.Context, t *transfer, body io.Reader, raw []byte, rec *Record, base *bucket.Object) (bucket.Object, error) {
	put, intent := e.conditions(t, base), e.intent(t, rec, base)
	in := &source{r: body, sums: t.sums, size: t.src.Size, moved: e.gate.Moved}
	var out io.Reader = in
	if t.src.Size <= e.small() {
		if err := in.fill(raw); err != nil {
			return bucket.Object{}, readError(t.key, err)
		}
		t.sums.seal(e.hashes)
		put.MD5, intent.MD5 = t.sum(raw, e.toCaps.ChecksMD5), t.md5
		if err := t.checkSource(); err != nil {
			return bucket.Object{}, err
		}
		out = &held{Reader: bytes.NewReader(raw), raw: raw}
	}
	put.Upload = e.upload(t, in)
	if err := e.stillAt(ctx, t.key, base, put); err != nil {
		return bucket.Object{}, err
	}
	if err := e.enter(intent); err != nil {
		return bucket.Object{}, err
	}
	if err := e.ramp.Wait(ctx); err != nil {
		return bucket.Object{}, err
	}
	echoed := e.listen(ctx, t.key)
	acked, err := e.to.Put(ctx, t.key, out, t.src.Size, put)
	if rerr := in.failure(); rerr != nil {
		// The destination's error is only the echo of the source's.
		return bucket.Object{}, readError(t.key, rerr)
	}
	if t.told && (errors.Is(err, bucket.ErrDigest) || err == nil && contentOf(acked.Digests).md5 != t.md5) {
		// What the source told was refused, or nobody says that it was compared: who is wrong is found out here.
		if t.compute(raw); err != nil {
			err = cmp.Or(t.checkSource(), err)
		}
	}
	if errors.Is(err, bucket.ErrPrecondition) {
		return bucket.Object{}, errRefusedWrite
	}
	if err != nil {
		return bucket.Object{}, fmt.Errorf("write %q: %w", t.key, err)
	}
	return acked, errors.Join(e.uploads.add(uploadLine{Key: t.key, Over: true}), echoed(ctx, t.src.Size))
}

// conditions are those of a write: that the destination is still at base.
func (e *engine) conditions(t *transfer, base *bucket.Object) bucket.PutOptions {
	put := bucket.PutOptions{Properties: t.props, Budget: e.memory}
	if base == nil {
		put.IfAbsent = e.toCaps.ConditionalPut && !e.afterMarker
	} else if e.toCaps.ConditionalWrite {
		put.IfMatch = *base
	}
	return put
}

// intent is what is on record before a write.
func (e *engine) intent(t *transfer, rec *Record, base *bucket.Object) Record {
	intent := Record{Key: t.key, State: StateIntent, Source: seen(t.src)}
	if base != nil && rec.owns(*base) {
		intent.Destination = seen(*base)
	}
	return intent
}

// checkSource compares what was read with what the source's store says of it.
func (t *transfer) checkSource() error {
	if rel, want, got := relate(t.digests(), t.src.Digests, false); rel == bucket.Different {
		return &CorruptError{Key: t.key, Where: "source", Want: typed(want), Got: typed(got)}
	}
	return nil
}

// stillAt stands in for the condition of a write where the store enforces none: it leaves a moment in which a write of somebody else
// could be lost, which the plan says.
func (e *engine) stillAt(ctx context.Context, key string, base *bucket.Object, put bucket.PutOptions) error {
	if put.IfAbsent || put.IfMatch.Key != "" {
		return nil
	}
	now, err := e.to.Head(ctx, key)
	switch {
	case errors.Is(err, bucket.ErrNotExist) && base == nil:
		return nil
	case errors.Is(err, bucket.ErrNotExist):
		return errRefusedWrite
	case err != nil:
		return fmt.Errorf("look at %q at the destination: %w", key, err)
	case base != nil && seen(*base).is(now):
		return nil
	}
	return errRefusedWrite
}

// settle decides about a destination that is not as it was listed. What equals the source is as good as written: it may
// well be from an earlier try whose answer was lost. What is this migration's own is replaced. Anything else is a conflict.
func (e *engine) settle(ctx context.Context, t *transfer, rec *Record, base *bucket.Object) error {
	dst, err := e.to.Head(ctx, t.key)
	if err != nil {
		return fmt.Errorf("look at %q at the destination: %w", t.key, err)
	}
	if rec.proves(t.src, dst) {
		return e.enter(*rec) // a listing out of order hid it; the intent is withdrawn
	}
	if rec.owns(dst) && (base == nil || !seen(*base).is(dst)) {
		return e.tryCopy(ctx, &t.src, rec, &dst)
	}
	what, evidence, content, err := e.contentDiffers(ctx, t.src, dst)
	if err != nil {
		return err
	}
	if what == "" {
		what = firstDifference(t.props, dst, e.toCaps)
	}
	if what == "" {
		return e.finish(t, dst, content, evidence)
	}
	// The intent would otherwise claim the other writer's object in the next run.
	withdrawn := Record{Key: t.key, State: StateForgotten}
	if rec != nil && rec.State != StateIntent {
		withdrawn = *rec
	}
	if err := e.enter(withdrawn); err != nil {
		return err
	}
	return e.conflictError(t.key, "it was written there while the sync ran; "+what)
}

// prove compares what the destination has with what was read: by a digest that it acknowledges or reports, else by reading it
// back. The properties are compared too, of every object whose content was not acknowledged, and else of a sample (see shapes).
func (e *engine) prove(ctx context.Context, t *transfer, acked bucket.Object) (bucket.Object, Evidence, error) {
	none := bucket.Object{}
	if err := t.checkSource(); err != nil {
		return none, "", err
	}
	mine := t.digests()
	rel, want, got := relate(mine, acked.Digests, false)
	if rel == bucket.Different {
		return none, "", &CorruptError{Key: t.key, Where: "destination", Want: typed(want), Got: typed(got)}
	}
	if rel == bucket.Same && !takesForFolder(t.key, e.toCaps) && !e.shapes.due(t.props) {
		acked.Properties = &t.props
		return acked, Acknowledged, nil
	}
	stored, err := e.to.Head(ctx, t.key)
	if err != nil {
		return none, "", fmt.Errorf("look at %q at the destination after writing it: %w", t.key, err)
	}
	if (acked.ETag != "" && stored.ETag != "" && acked.ETag != stored.ETag) || (acked.Version != "" && stored.Version != "" && acked.Version != stored.Version) {
		return none, "", e.conflictError(t.key, "it was overwritten there right after it was copied")
	}
	if stored.Size != t.sums.n {
		return none, "", &CorruptError{Key: t.key, Where: "destination", Want: fmt.Sprintf("size %d", t.sums.n), Got: fmt.Sprintf("size %d", stored.Size)}
	}
	evidence := Acknowledged
	if rel == bucket.Unknown {
		rel, want, got = relate(mine, stored.Digests, false)
	}
	if rel == bucket.Unknown {
		evidence = ReadBack
		back, err := hashOf(ctx, e.patience, e.to, stored, nil, e.opts.Hash)
		if err != nil {
			return none, "", fmt.Errorf("read %q back: %w", t.key, err)
		}
		rel, want, got = relate(mine, back.digests(), true)
	}
	if rel == bucket.Different {
		return none, "", &CorruptError{Key: t.key, Where: "destination", Want: typed(want), Got: typed(got)}
	}
	if stored.Properties == nil {
		return none, "", fmt.Errorf("the destination tells no properties of %q: %w", t.key, bucket.ErrUnsupported)
	}
	props, lost := asFolder(t.key, t.props, *stored.Properties, e.toCaps)
	t.entries = append(t.entries, lost...)
	if diffs := differences(props, *stored.Properties, e.toCaps); len(diffs) > 0 {
		return none, "", &PropertyError{Key: t.key, Property: diffs[0].property, Want: diffs[0].want, Got: diffs[0].got}
	}
	return stored, evidence, nil
}

// finish remembers a copied object.
func (e *engine) finish(t *transfer, stored bucket.Object, c content, evidence Evidence) error {
	// The ledger comes first: what is remembered as copied is not looked at again.
	if err := e.ledger.add(t.key, t.entries); err != nil {
		return err
	}
	err := e.enter(Record{
		Key: t.key, State: StateCopied, Source: seen(t.src), Destination: seen(stored),
		Hash: c.hash, MD5: c.md5,
		Properties: fingerprint(*stored.Properties, e.toCaps), Evidence: evidence,
	})
	if err != nil {
		return err
	}
	e.tally(func(r *Result) {
		r.Copied++
		if t.over {
			r.Replaced++
		}
		r.Bytes += t.src.Size
		r.Evidence[evidence]++
	})
	e.moved(t.src.Size)
	return nil
}

// contentDiffers compares two objects by a digest that both stores report, else by reading both. It returns what
// differs, or "" and the evidence that nothing does.
func (e *engine) contentDiffers(ctx context.Context, src, dst bucket.Object) (string, Evidence, content, error) {
	if src.Size != dst.Size {
		return fmt.Sprintf("it has %d bytes there and %d at the source", dst.Size, src.Size), "", content{}, nil
	}
	switch rel, a, _ := relate(told(src), told(dst), true); rel {
	case bucket.Different:
		return "its " + string(a.Algorithm) + " differs", "", content{}, nil
	case bucket.Same:
		return "", Digests, contentOf([]bucket.Digest{a}), nil
	case bucket.Unknown:
	}
	mine, theirs, err := e.readBoth(ctx, src, dst)
	switch {
	case err != nil:
		return "", "", content{}, err
	case mine != theirs:
		return "its bytes differ", "", content{}, nil
	}
	return "", Read, mine, nil
}

// readBoth hashes what both sides have: with the identity, and with the MD5 where a side tells one, for later comparisons without reading.
func (e *engine) readBoth(ctx context.Context, src, dst bucket.Object) (mine, theirs content, err error) {
	wanted := []bucket.Algorithm{e.opts.Hash}
	if contentOf(src.Digests).md5 != "" || contentOf(dst.Digests).md5 != "" {
		wanted = append(wanted, bucket.MD5)
	}
	a, err := hashOf(ctx, e.patience, e.from, src, e.comparison.hear, wanted...)
	if err != nil {
		return mine, theirs, unreadAt("source", e.from, fmt.Errorf("read %q at the source: %w", src.Key, err))
	}
	b, err := hashOf(ctx, e.patience, e.to, dst, e.comparison.hear, wanted...)
	if err != nil {
		return mine, theirs, unreadAt("destination", e.to, fmt.Errorf("read %q at the destination: %w", dst.Key, err))
	}
	return a.content(), b.content(), nil
}

func firstDifference(want bucket.Properties, dst bucket.Object, to bucket.Capabilities) string {
	if dst.Properties == nil {
		return "the store tells no properties of it"
	}
	want, _ = asFolder(dst.Key, want, *dst.Properties, to)
	diffs := differences(want, *dst.Properties, to)
	if len(diffs) == 0 {
		return ""
	}
	return fmt.Sprintf("its %s is %q there and %q at the source", diffs[0].property, diffs[0].got, diffs[0].want)
}

// hashOf reads the version of an object that was seen, and no other, and hashes it with the algorithms that are wanted. hear, where not nil,
// is told of the bytes as they are read, again where they are read again.
func hashOf(ctx context.Context, patience patience, b bucket.Bucket, obj bucket.Object, hear func(n int), wanted ...bucket.Algorithm) (*sums, error) {
	var out *sums
	err := patience.do(ctx, "read", obj.Key, func() error {
		body, _, err := b.Open(ctx, obj.Key, bucket.ReadOptions{Pin: obj})
		if err != nil {
			return readError(obj.Key, err)
		}
		defer func() { _ = body.Close() }() // only read
		out = newSums(wanted...)
		_, err = io.Copy(io.Discard, &source{r: body, sums: out, size: obj.Size, moved: hear})
		return readError(obj.Key, err)
	})
	return out, err
}

// readError tells a version that is gone from a failure.
func readError(key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bucket.ErrPrecondition), errors.Is(err, bucket.ErrNotExist):
		return fmt.Errorf("read %q: %w", key, errSourceMoved)
	}
	return fmt.Errorf("read %q: %w", key, err)
}

func typed(d bucket.Digest) string { return string(d.Algorithm) + " " + d.Value }

// source hashes what is read through it and remembers why reading failed: a driver may hide that behind its own error,
// or still be reading in another goroutine when it returns.
type source struct {
	mu   sync.Mutex
	r    io.Reader
	sums *sums
	size int64
	// moved, where not nil, hears of what was read.
	moved func(n int)
	err   error
}

// Read implements io.Reader. It holds the body to its size: one that ends early or goes on is a failure.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if s.moved != nil {
		s.moved(n)
	}
	if _, werr := s.sums.Write(p[:n]); werr != nil {
		s.err = werr
	}
	switch {
	case s.sums.n > s.size:
		s.err = fmt.Errorf("more than the %d bytes that it has: %w", s.size, io.ErrUnexpectedEOF)
	case errors.Is(err, io.EOF) && s.sums.n < s.size:
		s.err = fmt.Errorf("%d of %d bytes: %w", s.sums.n, s.size, io.ErrUnexpectedEOF)
	case err != nil && !errors.Is(err, io.EOF):
		s.err = err
	}
	if s.err != nil {
		return n, s.err
	}
	return n, err
}

// fill reads the whole body into p, which has its size, and sees that nothing follows.
func (s *source) fill(p []byte) error {
	if _, err := io.ReadFull(s, p); err != nil {
		return err
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Digests implements bucket.Hashed.
func (s *source) Digests() []bucket.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sums.digests()
}

// state is where the hashes stand, for a later process.
func (s *source) state() (*sumsState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sums.state()
}

// held is a small object, whole in memory.
type held struct {
	*bytes.Reader
	raw []byte
}

// Held implements bucket.Held.
func (h *held) Held() []byte { return h.raw }

func (s *source) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
