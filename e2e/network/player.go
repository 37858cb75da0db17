package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/e2e/trial"
)

const (
	// silence is how long a server may say nothing, instead of the product's own limit: a trial's time is short.
	silence = 5 * time.Second
	// lasts is how long a cut lasts: longer than silence, and than the way back is insisted upon in the trial's time.
	lasts = 9 * time.Second
	// runLimit is when a run that goes on counts as hanging.
	runLimit = 8 * time.Minute
	// settleLimit is how long controllers may take after the command has ended.
	settleLimit = 3 * time.Minute
	// maxCalls is how often the command is called after the cut until it ends well.
	maxCalls = 4
)

// Options say how cuts are played.
type Options struct {
	// Parallel trials.
	Parallel int
	// Keep is the folder for what is left of cuts that do not converge. Empty keeps nothing.
	Keep string
	// Say gets a line for people, from several goroutines.
	Say func(format string, args ...any)
}

// Outcome is what became of one cut.
type Outcome struct {
	Cut       Cut
	Converged bool
	Why       string
	// Code is the exit code of the run that met the cut, Calls how many further ones it took.
	Code  int
	Calls int
	// Met is how many connections felt the cut, without those that were dropped before they were any. None is no failure: not
	// every phase asks every server.
	Met  int
	Took time.Duration // of the run that met the cut
}

// Player plays cuts in one world.
type Player struct {
	world *trial.World
	opts  Options
	names string
	count atomic.Int64

	first, end trial.Fingerprint // blue at first, all at the end
}

// New returns a Player.
func New(world *trial.World, opts Options) *Player {
	return &Player{world: world, opts: opts, names: fmt.Sprintf("n%x", time.Now().Unix()%0xffffff)}
}

// line is a trial and the proxies that it is reached through.
type line struct {
	*trial.Trial
	proxies map[Server]*Proxy
}

func (p *Player) line(ctx context.Context) (_ *line, err error) {
	at := p.world.Places()
	l := &line{proxies: map[Server]*Proxy{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.hangUp())
		}
	}()
	for server, target := range map[Server]string{BlueAPI: at.Blue, GreenAPI: at.Green, BlueStore: at.Store, GreenStore: at.Store, NameServer: at.Primary} {
		if l.proxies[server], err = NewProxy(target); err != nil {
			return nil, err
		}
	}
	at.Blue, at.Green = l.proxies[BlueAPI].Addr(), l.proxies[GreenAPI].Addr()
	at.Store, at.Primary = l.proxies[BlueStore].Addr(), l.proxies[NameServer].Addr()
	if l.Trial, err = p.world.New(ctx, fmt.Sprintf("%s-%d", p.names, p.count.Add(1)), at); err != nil {
		return nil, err
	}
	return l, l.twoStores()
}

// twoStores gives green's buckets a store of their own in the file, which leads to the same server on another way.
func (l *line) twoStores() error {
	path := filepath.Join(l.Dir, "migration.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var out []string
	for _, text := range strings.Split(string(raw), "\n") {
		out = append(out, strings.Replace(text, "to: {store: s3,", "to: {store: s3-green,", 1))
		if strings.HasPrefix(text, "  s3: {") {
			out = append(out, strings.Replace(strings.Replace(text, "s3:", "s3-green:", 1), l.proxies[BlueStore].Addr(), l.proxies[GreenStore].Addr(), 1))
		}
	}
	return os.WriteFile(path, []byte(strings.Join(out, "\n")), 0o600)
}

func (l *line) hangUp() error {
	var errs []error
	for _, p := range l.proxies {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}

// close removes the trial and its proxies.
func (l *line) close(ctx context.Context) error {
	return errors.Join(l.Close(ctx), l.hangUp(), os.RemoveAll(l.Dir))
}

func (l *line) fault() trial.Fault { return trial.Fault{Silence: silence} }

// Reference runs a trial that nothing cuts off.
func (p *Player) Reference(ctx context.Context) error {
	l, err := p.line(ctx)
	if err != nil {
		return err
	}
	if p.first, err = l.Blue(ctx); err == nil {
		_, err = p.finish(ctx, l, "run")
	}
	if err == nil {
		p.end, err = trial.Settled(ctx, l.Fingerprint)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the unbroken run: %w", err), l.close(context.WithoutCancel(ctx)))
	}
	return l.close(ctx)
}

// Play plays cuts and tells of each. It goes on where one does not converge; an error means that it could not go on.
func (p *Player) Play(ctx context.Context, list []Cut, tell func(Outcome)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, p.opts.Parallel))
	var mu sync.Mutex
	for _, c := range list {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			out, err := p.one(ctx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", c, err)
			}
			mu.Lock()
			defer mu.Unlock()
			tell(out)
			return nil
		})
	}
	return group.Wait()
}

// one plays one cut. What the world could not do is an error; what the command does is the outcome.
func (p *Player) one(ctx context.Context, c Cut) (Outcome, error) {
	out := Outcome{Cut: c}
	l, err := p.line(ctx)
	if err != nil {
		return out, err
	}
	diff, err := p.converge(ctx, l, &out)
	if ctx.Err() != nil {
		return out, errors.Join(ctx.Err(), l.close(context.WithoutCancel(ctx)))
	}
	switch {
	case err != nil:
		out.Why = err.Error()
	case diff != "":
		out.Why = "what it left differs:\n" + diff
	default:
		out.Converged = true
		p.clear(ctx, l)
		return out, nil
	}
	if p.opts.Keep != "" {
		dir := filepath.Join(p.opts.Keep, strings.ReplaceAll(c.String(), " ", "-"))
		err = errors.Join(os.RemoveAll(dir), os.MkdirAll(p.opts.Keep, 0o755), os.CopyFS(dir, os.DirFS(l.Dir)),
			os.WriteFile(filepath.Join(dir, "why.txt"), []byte(out.Why+"\n"), 0o600))
	} else {
		err = nil
	}
	p.clear(ctx, l)
	return out, err
}

// clear removes a trial. What it leaves on a busy machine is in nobody's way: each trial has names of its own.
func (p *Player) clear(ctx context.Context, l *line) {
	if err := l.close(ctx); err != nil {
		p.opts.Say("%v", err)
	}
}

func (p *Player) converge(ctx context.Context, l *line, out *Outcome) (diff string, err error) {
	verb, want, take := "run", p.end, l.Fingerprint
	if out.Cut.Phase.Back {
		if _, err := p.finish(ctx, l, verb); err != nil {
			return "", err
		}
		verb, want, take = "rollback", p.first, l.Blue
	}
	err = l.cut(ctx, verb, out)
	for tries := 1; errors.Is(err, errEarly) && tries < maxCalls; tries++ {
		p.opts.Say("%s: %v", out.Cut, err) // a busy machine is silent for a while too
		err = l.cut(ctx, verb, out)
	}
	if err != nil {
		return "", err
	}
	if out.Code != 0 {
		if out.Calls, err = p.finish(ctx, l, verb); err != nil {
			return "", err
		}
	}
	got, err := trial.Becomes(ctx, want, settleLimit, take)
	return trial.Diff(want, got), err
}

// errEarly says that a run ended before the record at which it was to be cut off.
var errEarly = errors.New("it ended before its phase")

// cut holds a run at the record of the phase, cuts it off from the server, lets it go on, and mends the network after a while.
func (l *line) cut(ctx context.Context, verb string, out *Outcome) error {
	within, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	hold := filepath.Join(l.Dir, "hold")
	fault := l.fault()
	fault.Spec, fault.Hold = "hold after "+out.Cut.Phase.At, hold
	type ended struct {
		r   trial.Result
		err error
	}
	done := make(chan ended, 1)
	go func() {
		r, err := l.Run(within, fault, verb, "--yes")
		done <- ended{r, err}
	}()
	proxy := l.proxies[out.Cut.Server]
	for {
		if _, err := os.Stat(hold); err == nil {
			break
		}
		select {
		case e := <-done:
			return errors.Join(fmt.Errorf("%w: %s, code %d\n%s", errEarly, out.Cut.Phase.At, e.r.Code, e.r.Stderr), e.err)
		case <-time.After(tick):
		}
	}
	if err := errors.Join(proxy.Set(out.Cut.Mode), os.Remove(hold)); err != nil {
		return err
	}
	var e ended
	over := false
	select {
	case e = <-done:
		over = true
	case <-time.After(lasts):
	}
	if err := proxy.Set(Passing); err != nil {
		return err
	}
	if !over {
		e = <-done
	}
	out.Met, out.Code, out.Took = proxy.Met(), e.r.Code, e.r.Took
	switch {
	case within.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("it hangs: it did not end within %s\n%s", runLimit, e.r.Stderr)
	case e.err != nil:
		return e.err
	case e.r.Killed, !slices.Contains([]int{0, 1, 3, 4}, e.r.Code):
		return fmt.Errorf("exit code %d is no word about a network\n%s", e.r.Code, e.r.Stderr)
	}
	return l.says(proxy, e.r, out)
}

// says demands that a run that was stopped by a silent server names it: its address, in the error or in what it said before.
func (l *line) says(proxy *Proxy, r trial.Result, out *Outcome) error {
	if r.Code == 0 || out.Met == 0 && out.Cut.Mode != Dropped || out.Cut.Mode == Slow || strings.Contains(r.Stderr+r.Stdout, proxy.Addr()) {
		return nil
	}
	return fmt.Errorf("it ended with code %d and never named %s (%s):\n%s", r.Code, proxy.Addr(), out.Cut.Server, r.Stderr)
}

// exitPaused is the exit code of a run that needs a word before it goes on.
const exitPaused = 11

// finish calls the command until it ends well, and says how often that was. What went back by itself gets the word that it needs.
func (p *Player) finish(ctx context.Context, l *line, verb string) (calls int, err error) {
	args := []string{verb, "--yes"}
	for calls = 1; ; calls++ {
		within, cancel := context.WithTimeout(ctx, runLimit)
		r, err := l.Run(within, l.fault(), args...)
		cancel()
		if err != nil {
			return calls, err
		}
		if r.Code == 0 {
			return calls, nil
		}
		if calls == maxCalls {
			return calls, fmt.Errorf("after %d calls it still ends with code %d:\n%s", calls, r.Code, r.Stderr)
		}
		if args = args[:2]; r.Code == exitPaused {
			args = append(args, "--approve", "1,2")
		}
	}
}
