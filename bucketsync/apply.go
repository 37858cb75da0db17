package bucketsync

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Result is what a sync did and found.
type Result struct {
	Copied    int64 `json:"copied"`
	Replaced  int64 `json:"replaced,omitempty"` // of those, in the place of what the destination had
	Bytes     int64 `json:"bytes"`              // copied
	Skipped   int64 `json:"skipped"`            // known to be equal; of the last pass
	Found     int64 `json:"found"`              // equal, and not written by this migration
	Deleted   int64 `json:"deleted"`            // at the destination
	Vanished  int64 `json:"vanished"`           // gone from the source between listing and copying
	Conflicts int64 `json:"conflicts"`          // left as they are because the policy is to skip; of the last pass
	Extra     int64 `json:"extra"`              // only at the destination, and left there; of the last pass
	Passes    int   `json:"passes"`
	Retries   int64 `json:"retries,omitempty"`   // requests that failed for the moment and were made again, by the SDKs too
	Throttles int64 `json:"throttles,omitempty"` // answers that asked to slow down
	// Resumed counts keys in ranges that an earlier run, which was broken off, had finished: they were not listed again.
	Resumed int64 `json:"resumed,omitempty"`
	// ExtraKeys and ConflictKeys are the first ones that were found.
	ExtraKeys    []string `json:"extraKeys,omitempty"`
	ConflictKeys []string `json:"conflictKeys,omitempty"`
	// Losses is the ledger of the objects that were copied.
	Losses []Loss `json:"losses,omitempty"`
	// Configuration says what became of the source's configuration, where it was to be written.
	Configuration *Configured `json:"configuration,omitempty"`
	// Evidence counts how the copied and found objects were proven.
	Evidence map[Evidence]int64 `json:"evidence,omitempty"`
	// Proof is the proof of equality of a final sync.
	Proof *Report `json:"proof,omitempty"`
}

const (
	// maxPasses is how often a final sync lists both sides before it says that the source still changes.
	maxPasses = 6
	// maxFailures is how many objects may fail before a pass gives up on the rest.
	maxFailures = 100
	maxKeys     = 20
)

// Apply makes the changes of a plan. Killed anywhere and called again, it copies only what is missing.
// The Result is also the outcome that the recorder has of the copying change; with an error, it is what was done until then.
func Apply(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts Options) (Result, error) {
	opts = opts.withDefaults()
	var result Result
	err := plan.Run(ctx, p, rec, plan.RunOptions{Observer: opts.Observer}, func(ctx context.Context, c plan.Change) (any, error) {
		switch c.Action {
		case ActionCreate:
			return nil, makeDestination(ctx, opts)
		case ActionConfigure:
			return applyPart(ctx, c, opts)
		case ActionSync:
			var err error
			result, err = applySync(ctx, c, opts)
			return result, opts.mendOwnFile(err)
		}
		return nil, fmt.Errorf("unknown action %q: the plan was made by another version", c.Action)
	})
	if err != nil {
		return result, err
	}
	return recorded(p, rec, result)
}

// recorded is the outcome that the recorder has of a sync, also where an earlier call made it.
func recorded(p *plan.Plan, rec plan.Recorder, result Result) (Result, error) {
	for _, c := range p.Changes {
		raw, ok := rec.Done(c.ID)
		if c.Action != ActionSync || !ok {
			continue
		}
		result = Result{}
		if err := json.Unmarshal(raw, &result); err != nil {
			return result, fmt.Errorf("read the outcome of %s: %w", c.ID, err)
		}
	}
	var err error
	result.Configuration, err = configured(p, rec)
	return result, err
}

func makeDestination(ctx context.Context, opts Options) error {
	e, err := begin(ctx, opts)
	if err != nil {
		return err
	}
	keeping, err := e.keeping(ctx)
	if err != nil {
		return err
	}
	if err := opts.To.Check(ctx); errors.Is(err, bucket.ErrNotExist) {
		if err := e.remember(ctx); err != nil {
			return err
		}
	}
	if keeper, ok := bucket.KeeperOf(opts.To); ok && keeping != (bucket.Keeping{}) {
		return keeper.MakeKeeping(ctx, keeping)
	}
	if maker, ok := opts.To.(bucket.LikeMaker); ok {
		return maker.MakeLike(ctx, e.fromCaps)
	}
	maker, ok := opts.To.(bucket.Maker)
	if !ok {
		return fmt.Errorf("make %s: %w", opts.To.Describe().URL, bucket.ErrUnsupported)
	}
	return maker.Make(ctx) // making one that exists is not an error
}

func applySync(ctx context.Context, c plan.Change, opts Options) (result Result, err error) {
	var planned Planned
	if err := json.Unmarshal(c.Data, &planned); err != nil {
		return Result{}, fmt.Errorf("read the plan's data: %w", err)
	}
	lasting := opts.Manifest != ""
	if !lasting {
		// One pass must know what the pass before it wrote.
		dir, err := os.MkdirTemp(opts.TempDir, "crossfade-manifest-*")
		if err != nil {
			return Result{}, fmt.Errorf("make a manifest for this run: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		opts.Manifest = filepath.Join(dir, "manifest")
	}
	e, err := begin(ctx, opts)
	if err != nil {
		return Result{}, err
	}
	if err := e.unmoved(ctx, c, planned); err != nil {
		return Result{}, err
	}
	e.expected = planned.Copy + planned.Markers + planned.Same + planned.ToRead + planned.Resumed
	if planned.Held == 0 {
		e.echo = &echo{}
	}
	e.ledger.path = opts.Losses
	e.progress.state = Progress{TotalObjects: planned.Copy, TotalBytes: planned.CopyBytes}
	e.uploads.lasting = e.uploads.lasting && lasting
	err = e.sync(ctx)
	err = errors.Join(err, e.settleUploads(ctx, err == nil))
	err = errors.Join(err, e.ledger.close())
	e.result.Losses = e.ledger.losses()
	e.result.Retries, e.result.Throttles = e.retries(), e.throttles()
	// What was written is remembered whatever happened.
	if cerr := e.manifest.compact(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	level, said := slog.LevelInfo, "bucket synced"
	if err != nil {
		level, said = slog.LevelWarn, "bucket not synced in whole"
	}
	e.opts.Log.Log(ctx, level, said, "name", opts.Name, "copied", e.result.Copied, "bytes", e.result.Bytes,
		"deleted", e.result.Deleted, "extra", e.result.Extra, "passes", e.result.Passes, "complete", err == nil)
	return e.result, err
}

// unmoved reads again what the plan relies on.
func (e *engine) unmoved(ctx context.Context, c plan.Change, planned Planned) error {
	for _, end := range []struct{ what, was, now string }{
		{"the source", planned.From, e.fromCaps.URL}, {"the destination", planned.To, e.toCaps.URL},
		{"the prefix", planned.Prefix, e.opts.Prefix},
		{"the range", fmt.Sprint(planned.Range), fmt.Sprint(e.opts.Range)},
		{"the choice of keys", planned.Filter.String(), e.opts.Filter.String()},
		{"what may be deleted", deletionWords(planned.Delete, planned.DeleteForeign), deletionWords(e.opts.Delete, e.opts.DeleteForeign)},
		{"whether versions are copied", fmt.Sprint(planned.Versions), fmt.Sprint(e.opts.Versions)},
		{"the policy for conflicts", string(planned.Conflict), string(e.opts.Conflict)},
	} {
		if end.was != end.now {
			return &plan.MovedError{Change: c.ID, What: end.what, Was: end.was, Now: end.now}
		}
	}
	if err := e.from.Check(ctx); err != nil {
		return fmt.Errorf("check the source: %w", err)
	}
	if err := e.to.Check(ctx); err != nil {
		return fmt.Errorf("check the destination: %w", err)
	}
	return nil
}

// sync makes one pass, or in a final sync as many as it takes until one finds nothing to do, and then the proof.
func (e *engine) sync(ctx context.Context) error {
	op := "sync " + e.opts.Name
	for e.result.Passes = 1; ; e.result.Passes++ {
		changed, err := e.sortedPass(ctx)
		if err != nil {
			return err
		}
		if !e.opts.Final {
			return nil
		}
		if changed == 0 {
			break
		}
		if e.result.Passes == maxPasses {
			return &UnsettledError{Op: op, Passes: maxPasses, Hint: "freeze whatever still writes to the source, then run again"}
		}
	}
	if e.comparison = e.newComparison(e.opts.Progress); e.comparison != nil { // not before: what a pass reads to compare is no part of it
		e.comparison.phase, e.comparison.objects = PhaseProof, e.expected
	}
	report, err := e.verify(ctx, e.opts.Proof, defaultSampleSize, e.opts.Migration)
	if err != nil {
		return fmt.Errorf("prove that both sides are equal: %w", err)
	}
	e.result.Proof = &report
	if !report.Equal {
		return &UnprovenError{Op: op, Report: report, Hint: "look at the differences; what only the destination has, copy to the source or remove by hand, or let it be with " + e.opts.said("allowExtra", "--allow-extra")}
	}
	return nil
}

// sortedPass makes a pass. A listing that turns out not to be in order is sorted, from the beginning (B1).
func (e *engine) sortedPass(ctx context.Context) (int64, error) {
	changed, err := e.pass(ctx, false)
	if errors.Is(err, errUnsorted) {
		e.opts.Log.WarnContext(ctx, "a listing is out of the order that its store declares; sorting it", "error", err)
		again, err := e.pass(ctx, true)
		return changed + again, err
	}
	return changed, err
}

// pass lists both sides once and mends what differs. Deletions come last, after both listings are complete and everything
// was copied (I4, B13). It returns how much it changed.
func (e *engine) pass(ctx context.Context, resort bool) (changed int64, err error) {
	if e.opts.Versions {
		return e.passVersions(ctx)
	}
	if err := e.manifest.compact(); err != nil {
		return 0, err
	}
	before := e.result
	e.result.Skipped, e.result.Conflicts, e.result.Extra = 0, 0, 0
	e.result.ConflictKeys, e.result.ExtraKeys = nil, nil
	doomed := &doomed{sorter: newSorter(e.opts.TempDir, func(o bucket.Object) string { return o.Key })}
	defer func() { err = errors.Join(err, doomed.sorter.close()) }()

	held, err := e.copyAll(ctx, resort, doomed)
	if e.result.Resumed > 0 && e.result.Passes == 1 {
		changed = 1 // what was left out was not looked at: a final sync makes another pass
	}
	if err == nil && e.result.Vanished > before.Vanished {
		// Objects that are gone may be all that one sees of a bucket that is.
		if cerr := e.from.Check(ctx); cerr != nil {
			err = fmt.Errorf("check the source, whose objects vanish: %w", cerr)
		}
	}
	if err == nil {
		err = e.deleteAll(ctx, doomed.sorter, held)
	}
	return changed + e.changedSince(before), err
}

func (e *engine) changedSince(before Result) int64 {
	return e.result.Copied - before.Copied + e.result.Deleted - before.Deleted + e.result.Found - before.Found + e.result.Vanished - before.Vanished
}

// copyAll walks both listings to their ends, but for what an earlier run has finished of the first pass. It returns how many objects
// the destination holds in the range.
func (e *engine) copyAll(ctx context.Context, resort bool, doomed *doomed) (held int64, err error) {
	keep := &finished{}
	var done []stretch
	if e.result.Passes == 1 && !resort && e.resumes() {
		keep = e.finishedOf()
		if done, err = e.resume(ctx, keep); err != nil {
			return 0, err
		}
		if len(done) == 0 { // what there may be says nothing
			if err := keep.close(true); err != nil {
				return 0, err
			}
		}
	}
	over := false
	defer func() { err = errors.Join(err, keep.close(over || errors.Is(err, errUnsorted))) }()
	if e.result.Passes == 1 {
		e.result.Resumed, held = keysOf(done)
	}
	var walked int64
	walked, over, err = e.copySpans(ctx, walkOptions{resort: resort, done: done}, doomed, keep)
	return held + walked, err
}

// copySpans walks what is not done. Over says that it came to the end of it, whether or not objects failed.
func (e *engine) copySpans(ctx context.Context, how walkOptions, doomed *doomed, keep *finished) (held int64, over bool, err error) {
	fails := e.newFailures()
	workers, wctx := newCrew(ctx, e.gate)
	run := func(key string, work func(ctx context.Context) error) {
		workers.do(func() error {
			if err := work(wctx); err != nil {
				return fails.add(wctx, key, err)
			}
			return nil
		})
	}
	var spans perSpan[tallied]
	werr := e.walk(wctx, how, func(at *span) visitor {
		own, above := spans.of(at), at.above
		own.tracker = newTracker(keep, at.after, e.opts.stretch)
		at.turned = own.tracker.turned
		return func(p pair) error {
			below := e.toCaps.NoneBelow && above.add(p)
			p, err := e.folders(p)
			if err != nil {
				return err
			}
			if p.held() {
				own.held++
			}
			if below && p.src != nil {
				own.tracker.visit(p, conflict)
				run(p.key, func(context.Context) error {
					return fmt.Errorf("copy %q: %s: %w", p.key, nestedWords, bucket.ErrUnsupported)
				})
				return nil
			}
			v := e.judge(p)
			ended := own.tracker.visit(p, v)
			if v == same {
				own.skipped++
				return nil
			}
			return e.dispatch(p, v, func(key string, work func(context.Context) error) {
				run(key, func(ctx context.Context) error {
					err := work(ctx)
					if ended != nil {
						ended(err)
					}
					return err
				})
			}, doomed)
		}
	})
	// The first worker that gives up ends the walk, so its error says more.
	err = workers.wait()
	for _, own := range spans.inOrder() {
		held += own.held
		e.tally(func(r *Result) { r.Skipped += own.skipped })
		werr = errors.Join(werr, own.tracker.err())
	}
	if err != nil || werr != nil {
		return held, false, cmp.Or(err, werr)
	}
	return held, true, fails.err()
}

// tallied is what is counted of a span without a lock.
type tallied struct {
	held, skipped int64
	tracker       *tracker
}

// doomed is what is to be deleted when the pass is complete. Several spans add to it.
type doomed struct {
	mu     sync.Mutex
	sorter *sorter[bucket.Object]
}

func (d *doomed) add(o bucket.Object) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sorter.add(o)
}

// dispatch does what one verdict asks for.
func (e *engine) dispatch(p pair, v verdict, run func(string, func(context.Context) error), doomed *doomed) error {
	switch v {
	case left:
	case gone:
		// The record stays: while the listing may yet turn out to be out of order, nothing is known to be gone.
	case same:
		// Most keys are the same: whoever calls has counted them.
	case copyNew, copyOver:
		run(p.key, func(ctx context.Context) error { return e.copyObject(ctx, *p.src, p.rec, p.dst) })
	case conflict:
		run(p.key, func(ctx context.Context) error {
			return e.conflicting(ctx, p, "its size or digest differs")
		})
	case unsure:
		run(p.key, func(ctx context.Context) error { return e.resolve(ctx, p) })
	case noObject:
		run(p.key, func(context.Context) error { return e.noObject(p) })
	case extraOwn, extraForeign:
		if e.orphaned(p, v) {
			run(p.key, func(ctx context.Context) error { return e.conflicting(ctx, p, orphanWords) })
			return nil
		}
		if e.dooms(p, v) {
			return doomed.add(*p.dst)
		}
		e.extra(p.key)
		return e.rememberForeign(p)
	}
	return nil
}

// rememberForeign notes what only the destination has when both sides are made equal: on the way back it is not taken for
// something that was written there since.
func (e *engine) rememberForeign(p pair) error {
	if !e.opts.Final || e.opts.back || p.rec != nil && p.rec.State == StateForeign && p.rec.Destination.is(*p.dst) {
		return nil
	}
	return e.manifest.add(Record{Key: p.key, State: StateForeign, Destination: seen(*p.dst)})
}

func (e *engine) extra(key string) {
	e.tally(func(r *Result) {
		r.Extra++
		if len(r.ExtraKeys) < maxKeys {
			r.ExtraKeys = append(r.ExtraKeys, strings.Clone(key)) // without the page that it is a part of
		}
	})
}

// conflicting does what the policy says about an object that somebody else wrote.
func (e *engine) conflicting(ctx context.Context, p pair, what string) error {
	switch e.opts.Conflict {
	case ConflictOverwrite:
		return e.copyObject(ctx, *p.src, p.rec, p.dst)
	case ConflictSkip:
		e.skip(p.key)
		return nil
	case ConflictFail:
	}
	return e.conflictError(p.key, what)
}

// skip counts what stays as it is.
func (e *engine) skip(key string) {
	e.tally(func(r *Result) {
		r.Conflicts++
		if len(r.ConflictKeys) < maxKeys {
			r.ConflictKeys = append(r.ConflictKeys, strings.Clone(key))
		}
	})
}

// resolve finds out whether two objects that nothing in the listings tells apart are equal. An equal one is remembered as found: it is not
// this migration's own.
func (e *engine) resolve(ctx context.Context, p pair) error {
	src, err := e.from.Head(ctx, p.key)
	if errors.Is(err, bucket.ErrNotExist) {
		e.tally(func(r *Result) { r.Vanished++ })
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %q at the source: %w", p.key, err)
	}
	dst, err := e.to.Head(ctx, p.key)
	if errors.Is(err, bucket.ErrNotExist) {
		return e.copyObject(ctx, src, p.rec, nil)
	}
	if err != nil {
		return fmt.Errorf("look at %q at the destination: %w", p.key, err)
	}
	want, entries, err := e.fit(ctx, src)
	if err != nil {
		return err
	}
	what := firstDifference(want, dst, e.toCaps)
	var evidence Evidence
	var known content
	if what == "" {
		what, evidence, known, err = e.contentDiffers(ctx, src, dst)
	}
	if errors.Is(err, errSourceMoved) {
		e.tally(func(r *Result) { r.Vanished++ }) // either side; the next pass sees what it is now
		return nil
	}
	if err != nil {
		return err
	}
	if what != "" && p.rec.owns(dst) {
		return e.copyObject(ctx, src, p.rec, &dst)
	}
	if what != "" {
		p.dst = &dst
		return e.conflicting(ctx, p, what)
	}
	// What a record says of this very source is in the ledger since: the destination was only touched.
	if p.rec == nil || p.rec.State != StateCopied && p.rec.State != StateFound || !p.rec.Source.is(src) {
		_, lost := asFolder(p.key, want, *dst.Properties, e.toCaps)
		if err := e.ledger.add(p.key, append(entries, lost...)); err != nil {
			return err
		}
	}
	e.tally(func(r *Result) {
		r.Found++
		r.Evidence[evidence]++
	})
	state := StateFound
	if p.rec != nil && p.rec.State == StateCopied && p.rec.Destination.written(dst) {
		state = StateCopied // it was touched, and is still this migration's own
	}
	return e.manifest.add(Record{
		Key: p.key, State: state, Source: seen(src), Destination: seen(dst), Hash: known.hash, MD5: known.md5,
		Properties: fingerprint(*dst.Properties, e.toCaps), Evidence: evidence,
	})
}

// deleteAll removes what a complete pass doomed, within the limit, and only what still is as it was listed and still has no source.
func (e *engine) deleteAll(ctx context.Context, doomed *sorter[bucket.Object], held int64) error {
	var count int64
	for _, err := range doomed.sorted() {
		if err != nil {
			return err
		}
		count++
	}
	if limit := e.opts.deleteLimit(held); count > limit {
		return &TooManyDeletesError{
			Op: "sync " + e.opts.Name, Deletes: count, Limit: limit, Total: held,
			Hint: e.opts.deleteHint(),
		}
	}
	remove := func(obj bucket.Object) error {
		if err := e.deleteOne(ctx, obj); err != nil {
			return fmt.Errorf("delete %q at the destination: %w", obj.Key, err)
		}
		return nil
	}
	for obj, err := range doomed.sorted() {
		if err != nil {
			return err
		}
		if obj.Folder != bucket.NotFolder {
			continue // once nothing lies in them
		}
		if err := remove(obj); err != nil {
			return err
		}
	}
	return e.deleteFolders(remove, doomed)
}

func (e *engine) deleteOne(ctx context.Context, obj bucket.Object) error {
	_, err := e.from.Head(ctx, obj.Key)
	if err == nil || errors.Is(err, bucket.ErrIrregular) {
		e.tally(func(r *Result) { r.Vanished++ }) // the source has it again: the next pass decides
		return nil
	}
	if !errors.Is(err, bucket.ErrNotExist) {
		return err
	}
	now, err := e.to.Head(ctx, obj.Key)
	if errors.Is(err, bucket.ErrNotExist) {
		return e.manifest.add(Record{Key: obj.Key, State: StateForgotten})
	}
	if errors.Is(err, bucket.ErrIrregular) {
		e.extra(obj.Key) // it stands there since, and is no object
		return nil
	}
	if err != nil {
		return err
	}
	if !seen(obj).is(now) {
		e.extra(obj.Key) // somebody wrote it since
		return nil
	}
	kept, err := e.keptByLock(ctx, now)
	if err != nil {
		return err
	}
	if kept {
		e.extra(obj.Key)
		return nil
	}
	err = e.to.Delete(ctx, obj)
	if errors.Is(err, bucket.ErrPrecondition) {
		e.extra(obj.Key)
		return nil
	}
	if errors.Is(err, bucket.ErrNotEmpty) {
		// Others' objects lie in the directory: it is theirs now.
		e.extra(obj.Key)
		return e.manifest.add(Record{Key: obj.Key, State: StateForgotten})
	}
	if err != nil {
		return err
	}
	e.tally(func(r *Result) { r.Deleted++ })
	return e.manifest.add(Record{Key: obj.Key, State: StateForgotten})
}

// failures lets the other objects of a pass go on when one fails, up to a number.
type failures struct {
	op   string
	tell func()
	left func() int64 // how many objects were neither copied nor have failed, as far as is known
	mu   sync.Mutex
	all  []Failure
	end  *FailedError // what the pass ended with, whoever of those under way comes to say so first
}

func (e *engine) newFailures() *failures {
	return &failures{op: "sync " + e.opts.Name, tell: e.failed, left: e.untried}
}

// untried is what the plan meant to copy, without what was copied or has failed.
func (e *engine) untried() (n int64) {
	e.progress.change(func(p *Progress) { n = max(0, p.TotalObjects-p.Objects-p.Failures) })
	return n
}

// add keeps a failure. It returns an error when the pass is to end.
func (f *failures) add(ctx context.Context, key string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // the failure is only an echo of the end
	}
	if errors.Is(err, errOverlap) || isOwnFile(err) {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.end != nil {
		return f.end
	}
	f.tell()                                                // under the lock, so that what is left agrees with the failures that are named
	f.all = append(f.all, Failure{strings.Clone(key), err}) // without the page that the key is a part of
	if len(f.all) < maxFailures {
		return nil
	}
	f.end = f.summary()
	f.end.Stopped, f.end.Untried = true, f.left()
	return f.end
}

func (f *failures) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.end != nil:
		return f.end
	case len(f.all) == 0:
		return nil
	}
	return f.summary()
}

func (f *failures) summary() *FailedError {
	return &FailedError{Op: f.op, Count: int64(len(f.all)), Failures: slices.Clone(f.all)}
}
