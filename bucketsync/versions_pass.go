package bucketsync

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// passVersions is pass for histories: it lists both sides once, adds to the destination's histories what they lack, and last
// deletes copies whose version the source has no more, each by its id.
func (e *engine) passVersions(ctx context.Context) (changed int64, err error) {
	if err := e.readyVersions(ctx); err != nil {
		return 0, err
	}
	if err := errors.Join(e.manifest.compact(), e.versions.manifest.compact()); err != nil {
		return 0, err
	}
	before := e.result
	e.result.Skipped, e.result.Conflicts, e.result.Extra = 0, 0, 0
	e.result.ConflictKeys, e.result.ExtraKeys = nil, nil
	doomed := newSorter(e.opts.TempDir, func(d doomedVersion) string { return d.Version.Key })
	defer func() { err = errors.Join(err, doomed.close()) }()
	held, err := e.copyHistories(ctx, doomed)
	if err == nil {
		err = e.deleteVersions(ctx, doomed, held)
	}
	if cerr := e.versions.manifest.compact(); err == nil {
		err = cerr
	}
	return e.changedSince(before), err
}

// readyVersions asks once more, before anything is written, whether the destination keeps what is written over: without that, a
// history would be reduced to its last version, and a marker would delete.
func (e *engine) readyVersions(ctx context.Context) error {
	to, err := e.askVersions(ctx)
	if err != nil {
		return err
	}
	if !to.Enabled && !to.Unknown {
		return e.keepsNone()
	}
	return nil
}

func (e *engine) keepsNone() error {
	return fmt.Errorf("the destination %s keeps no versions: turn on its versioning: %w", e.toCaps.URL, bucket.ErrUnsupported)
}

// askVersions asks both sides what they keep.
func (e *engine) askVersions(ctx context.Context) (to bucket.VersionKeeping, err error) {
	if e.versions == nil {
		return to, fmt.Errorf("versions of %s: one of its stores has none that Crossfade reads: %w", e.opts.Name, bucket.ErrUnsupported)
	}
	from, err := e.versions.from.KeepsVersions(ctx)
	if err != nil {
		return to, fmt.Errorf("ask the source for versions: %w", err)
	}
	if to = from; !e.destinationMissing {
		if to, err = e.versions.to.KeepsVersions(ctx); err != nil {
			return to, fmt.Errorf("ask the destination for versions: %w", err)
		}
	}
	e.versions.markers = from.Markers && to.Markers
	return to, nil
}

// doomedVersion is a version of the destination, and that of the source whose copy it is; empty is not known.
type doomedVersion struct {
	Version bucket.Version
	Source  string
}

func (e *engine) copyHistories(ctx context.Context, doomed *sorter[doomedVersion]) (held int64, err error) {
	fails := e.newFailures()
	workers, wctx := newCrew(ctx, e.gate)
	walk := func() error {
		for h, err := range e.histories(wctx) {
			if err != nil {
				return err
			}
			held += int64(len(h.dst))
			steps, problem := align(h, e.versions.markers)
			for _, s := range steps {
				if err := e.doomVersion(s, doomed); err != nil {
					return err
				}
			}
			workers.do(func() error {
				if err := e.copyHistory(wctx, h, steps, problem); err != nil {
					return fails.add(wctx, h.key, err)
				}
				return nil
			})
		}
		return wctx.Err()
	}
	werr := walk()
	if err := workers.wait(); err != nil {
		return held, err
	}
	if werr != nil {
		return held, werr
	}
	return held, fails.err()
}

// doomVersion puts aside what is to be deleted, or counts what stays although only the destination has it.
func (e *engine) doomVersion(s step, doomed *sorter[doomedVersion]) error {
	if s.kind != stepExtra && s.kind != stepExtraOwn {
		return nil
	}
	if !e.opts.deletes(s.kind == stepExtraOwn) || s.dst.Version == "" {
		e.extra(s.dst.Key)
		return nil
	}
	d := doomedVersion{Version: *s.dst}
	if s.rec != nil {
		d.Source = s.rec.Source.Version
	}
	return doomed.add(d)
}

// copyHistory adds to one key of the destination, in order. A version that fails ends it: none may come before it.
func (e *engine) copyHistory(ctx context.Context, h history, steps []step, problem string) error {
	if problem != "" {
		return e.conflictingHistory(h.key, problem)
	}
	var current *Record // of the last version that both have
	last := lastOf(h.dst)
	changed := false
	for _, s := range steps {
		var rec *Record
		var err error
		switch s.kind {
		case stepSame:
			e.tally(func(r *Result) { r.Skipped++ })
			rec = s.rec
		case stepCheck:
			rec, err = e.checkVersion(ctx, *s.src, *s.dst)
		case stepCopy:
			if rec, err = e.copyVersion(ctx, *s.src, last); rec != nil {
				last = &bucket.Version{Marker: s.src.Marker, Object: bucket.Object{Key: h.key, ETag: rec.Destination.ETag, Version: rec.Destination.Version, Size: rec.Destination.Size}}
			}
		case stepExtra, stepExtraOwn:
			continue
		}
		var differs *ConflictError
		if errors.As(err, &differs) && e.opts.Conflict == ConflictSkip {
			return e.conflictingHistory(h.key, differs.What)
		}
		if err != nil {
			return err
		}
		current, changed = rec, changed || s.kind != stepSame
	}
	if !changed && !e.opts.Final {
		return nil
	}
	return e.rememberCurrent(h, current)
}

func lastOf(of []bucket.Version) *bucket.Version {
	if len(of) == 0 {
		return nil
	}
	return &of[len(of)-1]
}

// rememberCurrent keeps the manifest of objects beside that of versions: the way back goes by it.
func (e *engine) rememberCurrent(h history, rec *Record) error {
	src, dst := lastOf(h.src), lastOf(h.dst)
	switch {
	case src == nil && dst != nil && !dst.Marker:
		return e.manifest.add(Record{Key: h.key, State: StateForeign, Destination: seen(dst.Object)})
	case src == nil || src.Marker || rec == nil:
		return e.manifest.add(Record{Key: h.key, State: StateForgotten})
	}
	r := *rec
	r.Key = h.key
	return e.manifest.add(r)
}

// conflictingHistory does what the policy says about a history that cannot become the source's. None is written over.
func (e *engine) conflictingHistory(key, what string) error {
	if e.opts.Conflict != ConflictSkip {
		return &ConflictError{Op: "copy the versions of", Key: key, What: what, Writer: e.opts.writer(), Hint: versionsMend}
	}
	e.tally(func(r *Result) {
		r.Conflicts++
		if len(r.ConflictKeys) < maxKeys {
			r.ConflictKeys = append(r.ConflictKeys, key)
		}
	})
	return nil
}

const versionsMend = "take that key's versions away at the destination, choose another destination, or leave the key out"

// copyVersion writes one version over what is current at the destination. The record is nil where the source has it no more.
func (e *engine) copyVersion(ctx context.Context, src bucket.Version, last *bucket.Version) (*Record, error) {
	if src.Marker {
		return e.copyMarker(ctx, src)
	}
	var base *bucket.Object
	if last != nil && !last.Marker {
		base = &last.Object
	}
	one := e.at(&src, nil)
	one.afterMarker = last != nil && last.Marker
	err := one.copyObject(ctx, src.Object, nil, base)
	e.tally(func(r *Result) { r.add(one.result) })
	if err != nil || one.result.Vanished > 0 {
		return nil, err
	}
	if one.entered.Destination.Version == "" {
		// The next one would replace it.
		return nil, e.keepsNone()
	}
	return &one.entered, nil
}

// add sums what was done about one version.
func (r *Result) add(one Result) {
	r.Copied += one.Copied
	r.Bytes += one.Bytes
	r.Vanished += one.Vanished
	for evidence, n := range one.Evidence {
		r.Evidence[evidence] += n
	}
}

// copyMarker deletes the destination's current object, as the source's was, and leaves its versions.
func (e *engine) copyMarker(ctx context.Context, src bucket.Version) (*Record, error) {
	var made bucket.Version
	err := e.patience.do(ctx, "mark as deleted", src.Key, func() (err error) {
		made, err = e.versions.to.Mark(ctx, src.Key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("copy a delete marker of %q: %w", src.Key, err)
	}
	rec := Record{Key: src.Key, State: StateCopied, Source: seen(src.Object), Destination: seen(made.Object), Evidence: MarkerEvidence}
	e.tally(func(r *Result) {
		r.Copied++
		r.Evidence[MarkerEvidence]++
	})
	return &rec, e.at(&src, nil).enter(rec)
}

// checkVersion finds out whether a version that nothing is remembered of is a copy: what a kill left, or somebody else's.
func (e *engine) checkVersion(ctx context.Context, src, dst bucket.Version) (*Record, error) {
	rec := Record{Key: src.Key, State: StateFound, Source: seen(src.Object), Destination: seen(dst.Object), Evidence: MarkerEvidence}
	one := e.at(&src, &dst)
	if !src.Marker {
		a, err := one.from.Head(ctx, src.Key)
		if err != nil {
			return nil, fmt.Errorf("look at version %s of %q at the source: %w", src.Version, src.Key, err)
		}
		b, err := one.to.Head(ctx, src.Key)
		if err != nil {
			return nil, fmt.Errorf("look at version %s of %q at the destination: %w", dst.Version, src.Key, err)
		}
		want, entries, err := one.fit(ctx, a)
		if err != nil {
			return nil, err
		}
		what := firstDifference(want, b, e.toCaps)
		var known content
		if what == "" {
			what, rec.Evidence, known, err = one.contentDiffers(ctx, a, b)
		}
		if err != nil {
			return nil, err
		}
		if what != "" {
			return nil, &ConflictError{Op: "copy the versions of", Key: src.Key, What: "of its version " + dst.Version + " " + what, Writer: e.opts.writer(), Hint: versionsMend}
		}
		if err := e.ledger.add(src.Key, entries); err != nil {
			return nil, err
		}
		rec.Hash, rec.MD5, rec.Properties = known.hash, known.md5, fingerprint(*b.Properties, e.toCaps)
	}
	if dst.Version == "" {
		return &rec, nil // a marker without an id is the same each time
	}
	e.tally(func(r *Result) {
		r.Found++
		r.Evidence[rec.Evidence]++
	})
	return &rec, one.enter(rec)
}

// deleteVersions removes what a complete pass doomed, each by its id, within the limit.
func (e *engine) deleteVersions(ctx context.Context, doomed *sorter[doomedVersion], held int64) error {
	var count int64
	for _, err := range doomed.sorted() {
		if err != nil {
			return err
		}
		count++
	}
	if limit := e.opts.deleteLimit(held); count > limit {
		return &TooManyDeletesError{Op: "sync " + e.opts.Name, Deletes: count, Limit: limit, Total: held, Hint: e.opts.deleteHint()}
	}
	for d, err := range doomed.sorted() {
		if err != nil {
			return err
		}
		if err := e.deleteVersion(ctx, d); err != nil {
			return fmt.Errorf("delete version %s of %q at the destination: %w", d.Version.Version, d.Version.Key, err)
		}
	}
	return nil
}

func (e *engine) deleteVersion(ctx context.Context, d doomedVersion) error {
	key := d.Version.Key
	if d.Source != "" {
		_, err := e.versions.from.HeadVersion(ctx, key, d.Source)
		if err == nil || errors.Is(err, bucket.ErrUnsupported) { // a marker is there and cannot be looked at
			e.extra(key)
			return nil
		}
		if !errors.Is(err, bucket.ErrNotExist) {
			return err
		}
	}
	err := e.patience.do(ctx, "delete version", key, func() error {
		return e.versions.to.DeleteVersion(ctx, key, d.Version.Version)
	})
	if errors.Is(err, bucket.ErrLocked) || errors.Is(err, bucket.ErrDenied) {
		e.opts.Log.WarnContext(ctx, "a version stays at the destination", "name", e.opts.Name, "key", key, "version", d.Version.Version, "because", err)
		e.extra(key)
		return nil
	}
	if err != nil {
		return err
	}
	e.tally(func(r *Result) { r.Deleted++ })
	if d.Source == "" {
		return nil
	}
	return e.versions.manifest.add(Record{Key: versionKey(key, d.Source), State: StateForgotten})
}
