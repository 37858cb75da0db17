package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Apply writes the revision that was planned, and verifies it by reading all of it back: an export that returns without an
// error is a gate passed. Killed and called again, it writes the revision, or finds it written and verifies it.
func Apply(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts Options) (Result, error) {
	err := plan.Run(ctx, p, rec, plan.RunOptions{Observer: opts.Observer}, func(ctx context.Context, c plan.Change) (any, error) {
		return writeRevision(ctx, c, opts)
	})
	if err != nil {
		return Result{}, err
	}
	var result Result
	for _, c := range p.Changes {
		raw, ok := rec.Done(c.ID)
		if !ok {
			return Result{}, fmt.Errorf("export: the journal lost the outcome of %s", c.ID)
		}
		if err := json.Unmarshal(raw, &result); err != nil {
			return Result{}, fmt.Errorf("read the outcome of %s: %w", c.ID, err)
		}
	}
	return result, nil
}

func writeRevision(ctx context.Context, c plan.Change, opts Options) (Result, error) {
	var data revisionData
	if err := json.Unmarshal(c.Data, &data); err != nil {
		return Result{}, fmt.Errorf("read the plan: %w", err)
	}
	blue, err := opts.Blue.Identity(ctx)
	if err != nil {
		return Result{}, err
	}
	if blue.UID != data.BlueUID {
		return Result{}, &plan.MovedError{Change: c.ID, What: "blue's uid", Was: data.BlueUID, Now: blue.UID}
	}
	w, err := archive.OpenWriter(ctx, opts.Store, opts.Archive)
	if err != nil {
		return Result{}, err
	}
	base := archive.Index{}
	if w.Base() != nil {
		base = *w.Base()
	}
	switch {
	case base.Revision == data.Revision && base.Change == c.ID && base.Previous == data.Base:
		return verified(ctx, opts, Result{}) // an earlier try got as far as this
	case base.Hash != data.Base:
		return Result{}, &plan.MovedError{Change: c.ID, What: "the archive's last revision", Was: orNone(data.Base), Now: orNone(base.Hash)}
	}
	result, err := fill(ctx, w, opts)
	if err != nil {
		return Result{}, err
	}
	meta := archive.Index{
		Migration: opts.Migration, Change: c.ID, BlueUID: blue.UID, BlueVersion: blue.Version,
		Tool: opts.Tool, Made: opts.clock().Now().UTC(),
	}
	for _, d := range result.Unread {
		meta.Unread = append(meta.Unread, d.GroupVersion)
	}
	if _, err := w.Commit(ctx, meta); err != nil {
		return Result{}, err
	}
	result.Written = w.Written()
	return verified(ctx, opts, result)
}

// fill reads blue and puts what it finds, and carries over what belongs to applications that are not read.
func fill(ctx context.Context, w *archive.Writer, opts Options) (Result, error) {
	s, err := newSurvey(opts, func(ctx context.Context, it item) error {
		_, err := w.Put(ctx, archive.Entry{App: it.app, Role: it.role}, it.obj)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	if err := s.run(ctx); err != nil {
		return Result{}, err
	}
	if len(s.refusals) > 0 {
		// Rights were taken away, or a claim appeared, since the plan was made.
		return Result{}, &plan.RefusedError{Stage: opts.stage(), Refusals: s.refusals}
	}
	for _, app := range opts.Applications {
		if app.Payload != nil && opts.chosen(app.Name) {
			if err := putPayload(ctx, w, opts, app); err != nil {
				return Result{}, err
			}
		}
	}
	if len(opts.Only) > 0 {
		w.Keep(
			func(e archive.Entry) bool { return e.App == "" || !opts.chosen(e.App) },
			func(p archive.Payload) bool { return !opts.chosen(p.App) },
		)
	}
	opts.log().InfoContext(ctx, "read blue", "dropped", len(s.dropped), "unread", len(s.unread))
	return Result{Dropped: s.dropped, Unread: s.unread}, nil
}

// putPayload streams a payload from its hook into the archive, without holding more than a piece of it.
func putPayload(ctx context.Context, w *archive.Writer, opts Options, app migration.Application) error {
	r, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := opts.runner(app).Export(ctx, app.Payload.Export, out)
		ended <- errors.Join(err, out.CloseWithError(err))
	}()
	_, err := w.PutPayload(ctx, app.Name, r)
	cerr := r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	if herr := <-ended; herr != nil && err == nil {
		err = herr
	}
	if err = errors.Join(err, cerr); err != nil {
		return fmt.Errorf("export the payload of %s: %w", app.Name, err)
	}
	return nil
}

// verified reads the revision back and completes the result by it.
func verified(ctx context.Context, opts Options, result Result) (Result, error) {
	r, err := archive.Open(ctx, opts.Store, opts.Archive)
	if err != nil {
		return Result{}, fmt.Errorf("open the archive that was just written: %w", err)
	}
	if result.Verified, err = r.Verify(ctx); err != nil {
		return Result{}, err
	}
	index := r.Index()
	result.Revision, result.Index = index.Revision, index.Hash
	result.Objects, result.Counts, result.Bytes = len(index.Entries), index.Counts(), index.Bytes()
	for _, e := range index.Entries {
		if e.Encrypted {
			result.Encrypted++
		}
	}
	return result, nil
}
