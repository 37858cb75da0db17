package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
)

// Times of a lease. Machines whose clocks differ by less than Skew cannot both think that they hold it.
const (
	// Lasts is how long a lease is good without being renewed.
	Lasts = 2 * time.Minute
	// Renew is the time between two renewals.
	Renew = 30 * time.Second
	// Skew is how long after its end a lease is left alone.
	Skew = 30 * time.Second
	// askTime bounds one request to the place.
	askTime = 20 * time.Second
	// firstPause and maxPause lie between two tries to renew a lease that has run out.
	firstPause = time.Second
	maxPause   = 15 * time.Second
	// races is how often somebody else may be quicker before Take gives up.
	races = 5
)

// Options say who takes a lease. Migration, State, Actor, Host and PID are required.
type Options struct {
	Migration string
	State     string
	Actor     string
	Host      string
	PID       int
	Tool      string
	Clock     clock.Clock
	Log       *slog.Logger
}

// Lease is a lease that this process holds, until it is lost or released.
type Lease struct {
	place Place
	opts  Options
	took  *Holder
	stop  context.CancelFunc
	ended chan struct{}
	// remove takes the lease away, also when what was done under it was called off.
	remove func(Holder, Version) error

	renewing sync.Mutex // one renewal at a time
	mu       sync.Mutex // guards what follows
	holder   Holder
	version  Version
	lost     error
}

// Take takes the lease and keeps it until Release. It fails with a *HeldError while another holds it, and with ErrNoPlace where
// nobody can.
func Take(ctx context.Context, place Place, opts Options) (*Lease, error) {
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	l := &Lease{place: place, opts: opts, ended: make(chan struct{})}
	var err error
	for try := 0; try < races; try++ {
		if err = l.take(ctx); !errors.Is(err, ErrConflict) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	kept, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	l.remove = func(h Holder, seen Version) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
		defer cancel()
		err := place.Remove(ctx, seen)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		// Perhaps the last renewal came through, and its answer did not.
		have, seen, rerr := place.Read(ctx)
		if rerr != nil || seen == "" || !have.same(h) {
			return errors.Join(err, rerr)
		}
		return place.Remove(ctx, seen)
	}
	go l.keep(kept)
	return l, nil
}

func (l *Lease) take(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	have, seen, err := l.place.Read(ctx)
	if err != nil {
		return fmt.Errorf("look at the lease at %s: %w", l.place, err)
	}
	now := l.opts.Clock.Now().UTC()
	if seen != "" && (have.State != l.opts.State || have.Host != l.opts.Host) {
		if free := have.Until.Add(Skew); now.Before(free) {
			return &HeldError{Place: l.place.String(), Holder: have, Free: free}
		}
		l.took = &have
	}
	l.holder = Holder{
		Migration: l.opts.Migration, State: l.opts.State, Actor: l.opts.Actor, Host: l.opts.Host, PID: l.opts.PID, Tool: l.opts.Tool,
		Since: now, Until: now.Add(Lasts),
	}
	if l.version, err = l.place.Write(ctx, l.holder, seen); err != nil {
		return fmt.Errorf("take the lease at %s: %w", l.place, err)
	}
	return nil
}

// Took returns whose lease was taken over because it had run out, or nil.
func (l *Lease) Took() *Holder { return l.took }

// keep renews until it is stopped.
func (l *Lease) keep(ctx context.Context) {
	defer close(l.ended)
	for l.opts.Clock.Sleep(ctx, Renew) == nil {
		if err := l.renew(ctx); err != nil && ctx.Err() == nil {
			var lost *LostError
			l.opts.Log.WarnContext(ctx, "the migration's lease was not renewed", "lease", l.place.String(), "because", err.Error())
			if errors.As(err, &lost) {
				return
			}
		}
	}
}

// renew asks for more time. A *LostError is final, any other error is of the moment.
func (l *Lease) renew(ctx context.Context) error {
	l.renewing.Lock()
	defer l.renewing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	l.mu.Lock()
	next, seen, lost := l.holder, l.version, l.lost
	l.mu.Unlock()
	if lost != nil {
		return lost
	}
	next.Until = l.opts.Clock.Now().UTC().Add(Lasts)
	version, err := l.place.Write(ctx, next, seen)
	if errors.Is(err, ErrConflict) {
		version, err = l.again(ctx, next)
	}
	if errors.Is(err, ErrNoPlace) {
		// Retiring blue deletes its namespace, and the lease with it. Nobody can make another there.
		version, err = seen, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.As(err, new(*LostError)) {
		l.lost = err
	}
	if err == nil {
		l.holder, l.version = next, version
	}
	return err
}

// again looks who was quicker: an earlier try of this process whose answer was lost, nobody, or another holder.
func (l *Lease) again(ctx context.Context, next Holder) (Version, error) {
	have, seen, err := l.place.Read(ctx)
	if err != nil {
		return "", err
	}
	if seen != "" && !have.same(next) {
		return "", &LostError{Place: l.place.String(), By: have, Err: ErrConflict}
	}
	return l.place.Write(ctx, next, seen)
}

// Check returns nil while the lease is held. One that has run out is renewed first, for at most as long as it lasts: it is
// still held if nobody has taken it. Its error is a *LostError.
func (l *Lease) Check(ctx context.Context) error {
	held, lost := l.state()
	if held || lost != nil {
		return lost
	}
	end, pause := l.opts.Clock.Now().Add(Lasts), firstPause
	for {
		err := l.renew(ctx)
		if err == nil || errors.As(err, new(*LostError)) {
			return err
		}
		l.opts.Log.WarnContext(ctx, "the migration's lease has run out; nothing is changed until it is renewed",
			"lease", l.place.String(), "pause", pause, "limit", Lasts, "because", err.Error())
		if !l.opts.Clock.Now().Add(pause).Before(end) || l.opts.Clock.Sleep(ctx, pause) != nil {
			return l.loses(err)
		}
		pause = min(2*pause, maxPause)
	}
}

// state reports whether the lease is good now, or lost for ever.
func (l *Lease) state() (held bool, lost error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost == nil && l.opts.Clock.Now().Before(l.holder.Until), l.lost
}

func (l *Lease) loses(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = &LostError{Place: l.place.String(), Err: err}
	}
	return l.lost
}

// Release ends the renewing and takes the lease away, if it is still this process's.
func (l *Lease) Release() error {
	l.stop()
	<-l.ended
	l.mu.Lock()
	holder, version, lost := l.holder, l.version, l.lost
	l.mu.Unlock()
	if lost != nil {
		return nil
	}
	err := l.remove(holder, version)
	if err == nil || errors.Is(err, ErrNoPlace) || errors.Is(err, ErrConflict) {
		return nil
	}
	return fmt.Errorf("give up the lease at %s: %w", l.place, err)
}
