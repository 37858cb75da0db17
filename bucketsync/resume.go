package bucketsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// How an object that is written in parts survives a kill:
//
//	before the upload begins     which uploads are there under the key     -> what begins then and has no part is ours
//	when it has begun            its ID, the version read, the part size
//	when a part was read         the state of the hashes behind it         -> the rest is hashed on without reading again
//	when a part was acknowledged its tag                                   -> compared with what the store lists
//	before it is completed       the ETag that the object will have        -> known again if the answer is lost
//
// A run that finds such a write goes on with it if the source's version and the properties are the same, and aborts it otherwise.
// Only parts that were in flight are read again, and of these only what did not arrive is sent again (B20).

// skewed is by how much a store's clock and this one's may differ: S3 refuses requests that are signed with more.
const skewed = 15 * time.Minute

// resumer is the destination's ability to go on, or nil.
func (e *engine) resumer() bucket.Resumer {
	if !e.toCaps.Resumes {
		return nil
	}
	r, ok := e.opts.To.(bucket.Resumer)
	if !ok {
		return nil
	}
	return r
}

// upload is what the destination needs to let a write outlive this run; nil where it cannot, or the object is small.
func (e *engine) upload(t *transfer, in *source) *bucket.Upload {
	if e.resumer() == nil || t.src.Size <= e.small() {
		return nil
	}
	up := &bucket.Upload{
		Note: func(n bucket.UploadNote) error {
			line := uploadLine{Key: t.key, Note: n}
			if n.Opens || n.ID != "" {
				line.Source, line.Properties, line.Time = seen(t.src), fingerprint(t.props, e.toCaps), e.opts.Clock.Now()
			}
			if n.Read > 0 {
				var err error
				if line.Sums, err = in.state(); err != nil {
					return err
				}
			}
			return e.uploads.add(line)
		},
		Read: func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
			body, _, err := e.from.Open(ctx, t.key, bucket.ReadOptions{Pin: t.src, Offset: offset, Length: length})
			return body, readError(t.key, err)
		},
	}
	if t.going != nil {
		up.State = t.going.state
	}
	return up
}

// unsettled reports whether a run that was cut off has left notes beside the manifest.
func (e *engine) unsettled() bool {
	for _, name := range []string{e.manifest.logPath(), e.uploads.path, e.uploads.path + ".new"} {
		if _, err := os.Stat(name); e.opts.Manifest != "" && err == nil {
			return true
		}
	}
	return false
}

// takeUp looks whether a write that was cut off can be gone on with. What it returns is nil where not, and the write dropped.
func (e *engine) takeUp(ctx context.Context, key string) (*going, bucket.Object, error) {
	g := e.uploads.of(key)
	if g == nil {
		return nil, bucket.Object{}, nil
	}
	src, err := e.from.Head(ctx, key)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil, src, nil // found out again, and dropped at the end
	}
	if err != nil {
		return nil, src, fmt.Errorf("look at %q at the source: %w", key, err)
	}
	usable := g.state.ID != "" && g.source.is(src)
	if usable {
		props, _, err := e.fit(ctx, src)
		usable = err == nil && fingerprint(props, e.toCaps) == g.properties
	}
	if usable {
		_, usable = g.hashes(e.wanted(src), src.Size)
	}
	if !usable {
		return nil, src, e.abandon(ctx, g)
	}
	return g, src, nil
}

// hashes are those of the object up to where its write goes on.
func (g *going) hashes(wanted []bucket.Algorithm, size int64) (*sums, bool) {
	s := newSums(wanted...)
	offset := g.state.Offset(size)
	return s, offset == 0 || s.restore(g.sums) == nil && s.n == offset
}

// openFrom opens the source's object where a write goes on.
func (e *engine) openFrom(ctx context.Context, g *going, src bucket.Object) (io.ReadCloser, error) {
	offset := g.state.Offset(src.Size)
	if offset == src.Size {
		return http.NoBody, nil
	}
	body, _, err := e.from.Open(ctx, src.Key, bucket.ReadOptions{Pin: src, Offset: offset})
	return body, readError(src.Key, err)
}

// completed finds out whether the destination's object is what an earlier write made, whose answer was lost. It is then taken
// for what it is, and not written again.
func (e *engine) completed(ctx context.Context, key string, rec *Record, base *bucket.Object) (bool, error) {
	g := e.uploads.of(key)
	if g == nil || !g.state.Completes || base == nil || base.Size != g.source.Size {
		return false, nil
	}
	known := g.state.ETag != "" && g.state.ETag == base.ETag
	if !known && (g.state.ETag != "" || !rec.owns(*base)) {
		return false, nil
	}
	g, src, err := e.takeUp(ctx, key)
	if err != nil || g == nil {
		return false, err
	}
	props, entries, err := e.fit(ctx, src)
	if err != nil {
		return false, err
	}
	hashed, _ := g.hashes(e.wanted(src), src.Size)
	if hashed.n != src.Size {
		return false, nil
	}
	t := &transfer{key: key, src: src, props: props, entries: entries, sums: hashed, over: rec != nil && rec.Destination != Seen{}}
	acked := *base
	if acked.Digests = nil; known {
		acked.Digests = hashed.digests() // what the store checked part by part
	}
	stored, evidence, err := e.prove(ctx, t, acked)
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := e.finish(t, stored, contentOf(t.digests()), evidence); err != nil {
		return false, err
	}
	return true, e.uploads.add(uploadLine{Key: key, Over: true})
}

// gone decides about an upload that is not at the store any more: it may have made the object. Otherwise it is forgotten, and
// the copy begins anew.
func (e *engine) gone(ctx context.Context, key string, rec *Record) (bool, error) {
	dst, err := e.to.Head(ctx, key)
	if err != nil && !errors.Is(err, bucket.ErrNotExist) {
		return false, fmt.Errorf("look at %q at the destination: %w", key, err)
	}
	if err == nil {
		if done, err := e.completed(ctx, key, rec, &dst); done || err != nil {
			return done, err
		}
	}
	return false, e.uploads.add(uploadLine{Key: key, Over: true})
}

// leave decides, when the work at an object ends with err, about what is left of its write: kept for the next run where
// that may go on with it, else dropped.
func (e *engine) leave(ctx context.Context, key string, err error) error {
	g := e.uploads.of(key)
	if g == nil || err != nil && e.uploads.lasting && (ctx.Err() != nil || transient(err)) {
		return err
	}
	return errors.Join(err, e.abandon(ctx, g))
}

// abandon aborts a write and forgets it. One that may have begun without its ID being known is looked for: it has no part,
// it was not there before, and it began when this migration was about to.
func (e *engine) abandon(ctx context.Context, g *going) error {
	r := e.resumer()
	if r == nil {
		return fmt.Errorf("abort the unfinished upload of %q: %w", g.key, bucket.ErrUnsupported)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	ids := []string{g.state.ID}
	if g.state.ID == "" {
		ids = nil
		err := e.patience.do(ctx, "list uploads", g.key, func() error {
			found, err := r.Unfinished(ctx, g.key)
			for _, u := range found {
				if between := u.Begun.Sub(g.opened).Abs(); u.Parts == 0 && between <= skewed && !slices.Contains(g.state.Others, u.ID) && !slices.Contains(ids, u.ID) {
					ids = append(ids, u.ID)
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := e.patience.do(ctx, "abort", g.key, func() error { return r.Abort(ctx, g.key, id) }); err != nil {
			return err
		}
		e.opts.Log.InfoContext(ctx, "aborted an unfinished upload of an earlier try", "key", g.key, "upload", id)
	}
	return e.uploads.add(uploadLine{Key: g.key, Over: true})
}

// settleUploads ends a run. After a complete one nothing is to be left; after another, what can be gone on with is kept.
func (e *engine) settleUploads(ctx context.Context, complete bool) error {
	var failed []error
	left := e.uploads.all()
	if complete || !e.uploads.lasting {
		for _, g := range left {
			if err := e.abandon(ctx, g); err != nil {
				failed = append(failed, err)
			}
		}
	} else if len(left) > 0 {
		e.opts.Log.InfoContext(ctx, "unfinished uploads are kept: the next run goes on with them", "name", e.opts.Name, "uploads", len(left))
	}
	return errors.Join(append(failed, e.uploads.close())...)
}
