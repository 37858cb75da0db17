package kill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/e2e/trial"
	"github.com/crossfade-project/crossfade/internal/journal"
)

// settleLimit is how long controllers may take after the command has ended.
const settleLimit = 2 * time.Minute

// maxAgain is how often the command is called after the kill until it ends well.
const maxAgain = 3

// Options say how points are killed.
type Options struct {
	// Parallel trials; most of a trial is waiting.
	Parallel int
	// Keep is the folder for what is left of points that do not converge: the trial's folder and the difference.
	Keep string
	// Say gets a line for people. It is called from several goroutines.
	Say func(format string, args ...any)
}

// A Reference is what an unbroken trial left, and the points that follow from its journal.
type Reference struct {
	First, End trial.Fingerprint // blue at first; all at the end
	// Breached is all after the breach of a cutover.
	Breached trial.Fingerprint
	// Entries is what a cutover in one cluster left.
	Entries *Reference
	Points  []Point
}

// An Outcome is what became of one point.
type Outcome struct {
	Point     Point `json:"point"`
	Converged bool  `json:"converged"`
	// Calls is how often the command was called after the kill; 1 is as it should be.
	Calls int     `json:"calls"`
	Why   string  `json:"why,omitempty"`
	Took  float64 `json:"took"` // seconds
}

// A Killer kills trials of one world.
type Killer struct {
	world *trial.World
	opts  Options
	count atomic.Int64
	names string
}

// New returns a Killer.
func New(world *trial.World, opts Options) *Killer {
	return &Killer{world: world, opts: opts, names: fmt.Sprintf("k%x", time.Now().Unix()%0xffffff)}
}

func (k *Killer) trial(ctx context.Context) (*trial.Trial, error) {
	return k.world.NewWithOldHosts(ctx, k.name())
}

func (k *Killer) cutover(ctx context.Context) (*trial.Trial, error) {
	return k.world.NewCutover(ctx, k.name())
}

func (k *Killer) entries(ctx context.Context) (*trial.Trial, error) {
	return k.world.NewEntries(ctx, k.name())
}

func (k *Killer) name() string { return fmt.Sprintf("%s-%d", k.names, k.count.Add(1)) }

// ok calls the command and demands that it ends well.
func ok(ctx context.Context, t *trial.Trial, args ...string) error {
	r, err := t.Run(ctx, trial.Fault{}, args...)
	if err == nil && r.Code != 0 {
		err = failed(r, args)
	}
	return err
}

func failed(r trial.Result, args []string) error {
	return fmt.Errorf("crossfade %s: exit code %d: %s", strings.Join(args, " "), r.Code, lastLine(r.Stderr))
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// Reference runs a trial that nothing breaks, and rolls another back.
func (k *Killer) Reference(ctx context.Context, ways ...Way) (Reference, error) {
	var ref Reference
	t, err := k.trial(ctx)
	if err != nil {
		return ref, err
	}
	if ref.First, err = t.Blue(ctx); err != nil {
		return ref, err
	}
	if err := ok(ctx, t, "run", "--yes"); err != nil {
		return ref, fmt.Errorf("the unbroken run: %w", err)
	}
	if ref.End, err = trial.Settled(ctx, t.Fingerprint); err != nil {
		return ref, err
	}
	run, err := journal.Read(filepath.Dir(t.Journal()))
	if err != nil {
		return ref, err
	}
	for _, way := range ways {
		records := run.Records
		if way == BackAgain {
			if err := ok(ctx, t, rollback()...); err != nil {
				return ref, fmt.Errorf("the unbroken rollback: %w", err)
			}
			back, err := journal.Read(filepath.Dir(t.Journal()))
			if err != nil {
				return ref, err
			}
			records = back.Records[len(records):]
		}
		ref.Points = append(ref.Points, points(way, t.Name, records)...)
	}
	return ref, t.Close(ctx)
}

func rollback() []string { return []string{"rollback", "--yes"} }

// Kill kills at every point given and tells of each. It goes on where one does not converge; an error means that it could
// not go on.
func (k *Killer) Kill(ctx context.Context, ref Reference, list []Point, tell func(Outcome) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(k.opts.Parallel)
	var mu sync.Mutex
	for _, chain := range chains(list) {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			began := time.Now()
			outs, err := k.play(ctx, ref, chain)
			if err != nil {
				return fmt.Errorf("%s: %w", chain[0], err)
			}
			mu.Lock()
			defer mu.Unlock()
			var errs []error
			for _, out := range outs {
				out.Took = time.Since(began).Seconds() / float64(len(outs))
				errs = append(errs, tell(out))
			}
			return errors.Join(errs...)
		})
	}
	return group.Wait()
}

// play takes one trial through the kills of a chain, and all of them have the outcome of the whole. What the world could not do is an
// error; all that the command does is the outcome.
func (k *Killer) play(ctx context.Context, ref Reference, chain []Point) ([]Outcome, error) {
	out := Outcome{Point: chain[0]}
	begin, converge := k.trial, k.converge
	if out.Point.Way.ofCutover() {
		begin = k.cutover
		if out.Point.Way.ofEntries() {
			begin, ref = k.entries, *ref.Entries
		}
		converge = func(ctx context.Context, ref Reference, t *trial.Trial, out *Outcome) (string, error) {
			return k.convergeCutover(ctx, ref, t, chain, out)
		}
	}
	t, err := begin(ctx)
	if err != nil {
		return nil, err
	}
	diff, err := converge(ctx, ref, t, &out)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	switch {
	case err != nil:
		out.Why = err.Error()
	case diff != "":
		out.Why = "what it left differs: " + diff
	default:
		out.Converged = true
	}
	if out.Converged {
		err = errors.Join(t.Close(ctx), os.RemoveAll(t.Dir))
	} else {
		err = k.keep(t, out)
	}
	var outs []Outcome
	for i, p := range chain {
		one := out
		if one.Point = p; i > 0 {
			one.Calls = 1
		}
		outs = append(outs, one)
	}
	return outs, err
}

// converge kills, calls the command again until it ends well, and compares.
func (k *Killer) converge(ctx context.Context, ref Reference, t *trial.Trial, out *Outcome) (diff string, err error) {
	p := out.Point
	kill, again, want, take := []string{"run", "--yes"}, []string{"run", "--yes"}, ref.End, t.Fingerprint
	if p.Way != Resume {
		again, want, take = rollback(), ref.First, t.Blue
	}
	if p.Way == BackAgain {
		if err := ok(ctx, t, kill...); err != nil {
			return "", err
		}
		kill = again
	}
	r, err := t.Run(ctx, trial.Fault{Spec: p.Spec(t.Name)}, kill...)
	if err != nil {
		return "", err
	}
	if !r.Killed {
		return "", fmt.Errorf("it was not killed: the record never came; exit code %d: %s", r.Code, lastLine(r.Stderr))
	}
	for {
		out.Calls++
		r, err := t.Run(ctx, trial.Fault{}, again...)
		if err == nil && r.Code == 0 {
			break
		}
		if err == nil {
			err = failed(r, again)
		}
		if ctx.Err() != nil || out.Calls == maxAgain {
			return "", err
		}
		if r.Code == exitReturned && p.Way == Resume {
			again = append(kill, "--approve", "1,2") // what went back by itself needs a word
		}
		k.opts.Say("%s: call %d after the kill: %v", p, out.Calls, err)
	}
	return differs(ctx, want, take)
}

// keep moves what is left of a trial to where somebody can look at it.
func (k *Killer) keep(t *trial.Trial, out Outcome) error {
	if k.opts.Keep == "" {
		return nil
	}
	dir := filepath.Join(k.opts.Keep, fmt.Sprintf("%s-%s-%d", out.Point.Way, out.Point.Moment, out.Point.Seq))
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(k.opts.Keep, 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf("%s\nfault: %s\ntrial: %s\n\n%s\n", out.Point, out.Point.Spec(t.Name), t.Name, out.Why)
	return errors.Join(os.CopyFS(dir, os.DirFS(t.Dir)), os.WriteFile(filepath.Join(dir, "why.txt"), []byte(text), 0o600))
}
