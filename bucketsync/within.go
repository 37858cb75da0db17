package bucketsync

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// copier is the destination's ability to copy within its server, where both sides are on one; else nil.
func (e *engine) copier() bucket.Copier {
	if e.version != "" { // it would copy what is current
		return nil
	}
	if e.opts.NoServerSideCopy || !e.toCaps.Copies || e.fromCaps.Provider != e.toCaps.Provider || e.fromCaps.Endpoint != e.toCaps.Endpoint {
		return nil
	}
	c, ok := e.opts.To.(bucket.Copier)
	if !ok || e.declined.Load() {
		return nil
	}
	return c
}

// within copies an object within the server of both sides. It says no where it has to be read and written instead: the first time
// with a line in the log, and from then on without asking.
func (e *engine) within(ctx context.Context, listed *bucket.Object, rec *Record, base *bucket.Object) (done bool, err error) {
	c := e.copier()
	if c == nil || listed.Size == 0 {
		return false, nil
	}
	t, copied, err := e.transferWithin(ctx, c, listed, rec, base)
	switch {
	case errors.Is(err, errDeclined):
		if !e.declined.Swap(true) {
			e.opts.Log.WarnContext(ctx, "the server does not copy from one side to the other by itself; objects are read and written", "name", e.opts.Name, "error", err)
		}
		return false, nil
	case errors.Is(err, errRefusedWrite):
		return true, e.settle(ctx, t, rec, base)
	case err != nil:
		return true, err
	case t == nil:
		e.tally(func(r *Result) { r.Vanished++ })
		return true, nil
	}
	stored, evidence, known, err := e.proveWithin(ctx, t, copied)
	if err != nil {
		mine := Record{Key: t.key, State: StateIntent, Source: seen(t.src), Destination: seen(copied.Object)}
		return true, errors.Join(err, e.manifest.add(mine))
	}
	return true, e.finish(t, stored, known, evidence)
}

// errDeclined says that a copy within the server is denied, or that the server knows none.
var errDeclined = errors.New("no copy within the server")

// transferWithin has the server copy. The transfer is nil where the source has no object any more.
func (e *engine) transferWithin(ctx context.Context, c bucket.Copier, listed *bucket.Object, rec *Record, base *bucket.Object) (*transfer, bucket.Copied, error) {
	var none bucket.Copied
	src, err := e.from.Head(ctx, listed.Key)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil, none, nil
	}
	if err != nil {
		return nil, none, fmt.Errorf("look at %q at the source: %w", listed.Key, err)
	}
	*listed = src
	t, err := e.prepare(ctx, src, rec, base)
	if err != nil {
		return nil, none, err
	}
	put := e.conditions(t, base)
	if put.Upload = e.upload(t, nil); put.Upload != nil {
		if g := e.uploads.of(t.key); g != nil && (!g.source.is(src) || g.properties != fingerprint(t.props, e.toCaps) || g.state.ID == "") {
			err = e.abandon(ctx, g)
		} else if g != nil {
			put.Upload.State = g.state
		}
	}
	if err == nil {
		err = e.stillAt(ctx, t.key, base, put)
	}
	if err == nil {
		err = e.manifest.add(e.intent(t, rec, base))
	}
	if err != nil {
		return t, none, err
	}
	copied, err := c.CopyFrom(bucket.OneCall(ctx), t.key, e.opts.From, src, put)
	switch {
	case errors.Is(err, bucket.ErrUnsupported), errors.Is(err, bucket.ErrDenied):
		return t, none, errors.Join(errDeclined, err)
	case errors.Is(err, bucket.ErrPrecondition), errors.Is(err, bucket.ErrNotExist):
		return t, none, e.whichMoved(ctx, t, err)
	case err != nil:
		return t, none, fmt.Errorf("copy %q within the server: %w", t.key, err)
	}
	return t, copied, e.uploads.add(uploadLine{Key: t.key, Over: true})
}

// whichMoved tells, when a condition of a copy did not hold, on which side.
func (e *engine) whichMoved(ctx context.Context, t *transfer, cause error) error {
	now, err := e.from.Head(ctx, t.key)
	switch {
	case errors.Is(err, bucket.ErrNotExist), err == nil && !seen(t.src).is(now):
		return fmt.Errorf("copy %q: %w", t.key, errSourceMoved)
	case err != nil:
		return fmt.Errorf("look at %q at the source: %w", t.key, err)
	case errors.Is(cause, bucket.ErrPrecondition):
		return errRefusedWrite
	}
	return fmt.Errorf("copy %q within the server: %w", t.key, cause)
}

// proveWithin compares what both sides' stores tell of an object that never was here: digests, or that both are made of the same parts;
// where they tell nothing that can be compared, the destination is read, and without a digest of the source that too.
func (e *engine) proveWithin(ctx context.Context, t *transfer, copied bucket.Copied) (bucket.Object, Evidence, content, error) {
	var none bucket.Object
	stored, err := e.to.Head(ctx, t.key)
	if err != nil {
		return none, "", content{}, fmt.Errorf("look at %q at the destination after copying it: %w", t.key, err)
	}
	if (copied.ETag != "" && stored.ETag != "" && copied.ETag != stored.ETag) || (copied.Version != "" && stored.Version != "" && copied.Version != stored.Version) {
		return none, "", content{}, e.conflictError(t.key, "it was overwritten there right after it was copied")
	}
	corrupt := func(want, got string) error {
		return &CorruptError{Key: t.key, Where: "destination", Want: want, Got: got}
	}
	if stored.Size != t.src.Size {
		return none, "", content{}, corrupt(fmt.Sprintf("size %d", t.src.Size), fmt.Sprintf("size %d", stored.Size))
	}
	evidence, known := Within, contentOf(t.src.Digests)
	rel, want, got := relate(t.src.Digests, append(stored.Digests, copied.Digests...), false)
	if rel == bucket.Unknown && copied.Proven {
		rel = bucket.Same
	}
	if rel == bucket.Unknown && len(t.src.Digests) > 0 {
		evidence = ReadBack
		back, err := hashOf(ctx, e.patience, e.to, stored, nil, append(algorithmsOf(t.src.Digests), e.opts.Hash)...)
		if err != nil {
			return none, "", content{}, fmt.Errorf("read %q back: %w", t.key, err)
		}
		known = back.content()
		rel, want, got = relate(t.src.Digests, back.digests(), false)
	}
	if rel == bucket.Unknown {
		what, how, read, err := e.contentDiffers(ctx, t.src, stored)
		if err != nil {
			return none, "", content{}, err
		}
		if what != "" {
			return none, "", content{}, corrupt("what the source has", "other bytes")
		}
		rel, evidence, known = bucket.Same, how, read
	}
	if rel == bucket.Different {
		return none, "", content{}, corrupt(typed(want), typed(got))
	}
	if stored.Properties == nil {
		return none, "", content{}, fmt.Errorf("the destination tells no properties of %q: %w", t.key, bucket.ErrUnsupported)
	}
	props, lost := asFolder(t.key, t.props, *stored.Properties, e.toCaps)
	t.entries = append(t.entries, lost...)
	if diffs := differences(props, *stored.Properties, e.toCaps); len(diffs) > 0 {
		return none, "", content{}, &PropertyError{Key: t.key, Property: diffs[0].property, Want: diffs[0].want, Got: diffs[0].got}
	}
	return stored, evidence, known, nil
}
