package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/mend"
)

// Limits of patience. One try ends early enough that a store that swallows requests is spoken of within 30 s.
const (
	// Patience is how long a store may be silent before the work stops.
	Patience   = 2 * time.Minute
	tryTime    = 20 * time.Second
	bytesASec  = 1 << 20 // a slower line than this is taken for a silent store
	firstPause = time.Second
	maxPause   = 15 * time.Second
)

// Options tune a Patient store.
type Options struct {
	// Where names the store for people.
	Where string
	Clock clock.Clock
	Log   *slog.Logger
}

// Patient asks a store again when it was silent or failed for the moment, and says why, until Patience has passed. What it
// then returns is a *mend.Error. Answers that would be the same again are returned at once.
func Patient(s Store, opts Options) Store {
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &patient{store: s, opts: opts}
}

type patient struct {
	store Store
	opts  Options
}

func (p *patient) Get(ctx context.Context, name string) (body io.ReadCloser, v Version, err error) {
	err = p.do(ctx, "read "+name, 0, func(ctx context.Context, end context.CancelFunc) error {
		body, v, err = p.store.Get(ctx, name)
		if err == nil {
			body = &ending{ReadCloser: body, end: end}
		}
		return err
	})
	return body, v, err
}

// ending keeps a read's time limit until the body is closed.
type ending struct {
	io.ReadCloser
	end context.CancelFunc
}

func (e *ending) Close() error {
	defer e.end()
	return e.ReadCloser.Close()
}

func (p *patient) List(ctx context.Context, prefix string) (names []string, err error) {
	err = p.do(ctx, "list "+prefix, 0, func(ctx context.Context, end context.CancelFunc) error {
		defer end()
		names, err = p.store.List(ctx, prefix)
		return err
	})
	return names, err
}

func (p *patient) Put(ctx context.Context, name string, body io.ReadSeeker, size int64, seen Version) (v Version, err error) {
	err = p.do(ctx, "write "+name, size, func(ctx context.Context, end context.CancelFunc) error {
		defer end()
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return err
		}
		v, err = p.store.Put(ctx, name, body, size, seen)
		return err
	})
	return v, err
}

func (p *patient) Delete(ctx context.Context, name string, seen Version) error {
	return p.do(ctx, "delete "+name, 0, func(ctx context.Context, end context.CancelFunc) error {
		defer end()
		return p.store.Delete(ctx, name, seen)
	})
}

// do tries until it works, the answer is final, or Patience has passed. A try that fails has ended its own context.
func (p *patient) do(ctx context.Context, op string, size int64, try func(context.Context, context.CancelFunc) error) error {
	until, pause := p.opts.Clock.Now().Add(Patience), firstPause
	for {
		once, end := context.WithTimeout(ctx, tryTime+time.Duration(size/bytesASec)*time.Second)
		err := try(once, end)
		if err == nil {
			return nil
		}
		end()
		if final(err) || ctx.Err() != nil {
			return fmt.Errorf("%s at %s: %w", op, p.opts.Where, err)
		}
		if !p.opts.Clock.Now().Add(pause).Before(until) {
			return &mend.Error{
				Op: op + " at " + p.opts.Where, Err: fmt.Errorf("the store has not worked for %s: %w", Patience, err),
				Hint: "nothing was changed since; check the store and what lies between here and there, then run the same command again",
			}
		}
		p.opts.Log.WarnContext(ctx, "the state store does not answer as it should; trying again before anything is changed",
			"op", op, "store", p.opts.Where, "pause", pause, "limit", Patience, "because", err.Error())
		if serr := p.opts.Clock.Sleep(ctx, pause); serr != nil {
			return errors.Join(err, serr)
		}
		pause = min(2*pause, maxPause)
	}
}

func final(err error) bool {
	return errors.Is(err, ErrNotExist) || errors.Is(err, ErrConflict) || errors.Is(err, ErrRefused)
}
