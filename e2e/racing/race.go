package racing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/rfc2136"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
)

// Apex is the zone of every race.
const Apex = "apps.test."

const (
	ttl = 2 // seconds
	// between two takings over of a fence.
	between = 10 * time.Millisecond
	// longer is how long a race that is over otherwise waits for the first writer whose fence was taken over.
	longer = 20 * time.Second
)

// Options say how much of a race it is.
type Options struct {
	Software nameserver.Software
	// Sign lets the server sign the zone; for those that can.
	Sign bool
	// Dir is the server's folder.
	Dir string
	// Writers race for Names; default 16 for 4.
	Writers, Names int
	// Swaps and Questions are how many there are at least. Both go on until each has its number.
	Swaps, Questions int64
	Seed             uint64
	// Say is told of progress every ten seconds.
	Say func(format string, args ...any)
}

// Report is what a race has shown.
type Report struct {
	Won    int64 // swaps that their writers were told of
	Moved  int64 // swaps that came too late, and were refused
	Taken  int64 // fences that were taken over meanwhile
	Fenced int64 // swaps of writers whose fence was taken over, refused
	Stale  int64 // such that were made after that
	// Uncertain are swaps after which the name had moved on already when it was read back: their writers were told that they
	// do not know. Made are those of them that the zone has seen.
	Uncertain, Made int64
	// Lost are updates that a writer was told of and that the zone has not, or another one in their place; Unknown such that
	// the zone has seen and no writer asked for.
	Lost, Unknown int64
	Foreign       int // records that are nobody's in the race
	Changed       []string
	Asked         int64
	// Answers counts them by kind: "answer" is the name's target, all others are a name that was without one.
	Answers map[string]int64
	Silent  int64 // questions that were asked again because no answer came by UDP
	Took    time.Duration
}

// Err says what went wrong; nil is a race in which nothing did.
func (r Report) Err() error {
	var errs []error
	if r.Lost+r.Unknown > 0 {
		errs = append(errs, fmt.Errorf("%d updates lost of %d, %d that nobody made", r.Lost, r.Won, r.Unknown))
	}
	if r.Stale != 0 {
		errs = append(errs, fmt.Errorf("%d swaps by writers whose fence had been taken over", r.Stale))
	}
	if len(r.Changed) > 0 {
		errs = append(errs, fmt.Errorf("records that are nobody's in the race have changed: %s", strings.Join(r.Changed, "; ")))
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Answers)) {
		if kind != answered {
			errs = append(errs, fmt.Errorf("%d questions got %s", r.Answers[kind], kind))
		}
	}
	if r.Moved == 0 || r.Fenced == 0 || r.Foreign == 0 {
		errs = append(errs, fmt.Errorf("it was no race: %d swaps too late, %d fenced, %d foreign records", r.Moved, r.Fenced, r.Foreign))
	}
	return errors.Join(errs...)
}

// String is the report in a line.
func (r Report) String() string {
	return fmt.Sprintf("%d swaps, %d lost, %d too late, %d uncertain of which %d made, %d fences taken over, %d fenced, %d by stale writers; %d foreign records, %d changed; %d questions, %d without the answer, %d asked again; %s",
		r.Won, r.Lost, r.Moved, r.Uncertain, r.Made, r.Taken, r.Fenced, r.Stale, r.Foreign, len(r.Changed), r.Asked, r.Asked-r.Answers[answered], r.Silent, r.Took.Round(time.Second))
}

// step is one number of one name: a swap by which it was reached.
type step struct {
	name string
	n    int64
}

// race is one at work.
type race struct {
	opts  Options
	addr  netip.AddrPort
	zone  *rfc2136.Driver
	names []string

	mu     sync.Mutex
	report Report
	told   map[step][]int64 // of the writers that were told of a step, how often the fence that they held had been taken over
	unsure map[step][]int64 // the same of those that were told that it is not known
	taken  map[string][]int64
	won    atomic.Int64
	asked  atomic.Int64
	fenced atomic.Bool
	began  time.Time
}

// Run starts a server and holds a race on it. An error means that there was none; what it has shown is in the report.
func Run(ctx context.Context, opts Options) (report Report, err error) {
	spec, err := specOf(ctx, opts)
	if err != nil {
		return Report{}, err
	}
	server, err := nameserver.Start(ctx, spec)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	key := server.Spec.Key
	driver, err := rfc2136.New(rfc2136.Options{
		Apex: Apex, Server: server.Addr().String(), Key: rfc2136.Key{Name: key.Name, Algorithm: key.Algorithm, Secret: key.Secret},
	})
	if err != nil {
		return Report{}, err
	}
	r := &race{opts: opts, addr: server.Addr(), zone: driver, report: Report{Answers: map[string]int64{}}, told: map[step][]int64{}, unsure: map[step][]int64{}, taken: map[string][]int64{}}
	for i := range opts.Names {
		r.names = append(r.names, nameOf(i))
	}
	if err := r.hold(ctx); err != nil {
		return Report{}, err
	}
	return r.report, nil
}

func (r *race) hold(ctx context.Context) error {
	for _, name := range r.names {
		fence, err := zone.FenceName(name, Apex)
		if err != nil {
			return err
		}
		if err := r.zone.Claim(ctx, name, zone.Fence{Name: fence, Token: token(0)}, ""); err != nil {
			return err
		}
	}
	before, err := r.others(ctx)
	if err != nil {
		return err
	}
	r.began = time.Now()
	if err := r.everybody(ctx); err != nil {
		return err
	}
	r.report.Took, r.report.Won, r.report.Asked = time.Since(r.began), r.won.Load(), r.asked.Load()
	after, err := r.others(ctx)
	if err != nil {
		return err
	}
	r.report.Foreign = len(before)
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if after[key] != before[key] {
			r.report.Changed = append(r.report.Changed, fmt.Sprintf("%s was %q, is %q", key, before[key], after[key]))
		}
		delete(after, key)
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		r.report.Changed = append(r.report.Changed, fmt.Sprintf("%s is new: %q", key, after[key]))
	}
	return r.count(ctx)
}

// everybody lets writers and clients go until each has done its number.
func (r *race) everybody(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	for i := range r.opts.Writers {
		rng := rand.New(rand.NewPCG(r.opts.Seed, uint64(i)))
		all.Go(func() error { return r.write(ctx, i, rng) })
	}
	for i := range askers {
		rng := rand.New(rand.NewPCG(r.opts.Seed, 1<<32|uint64(i)))
		all.Go(func() error { return r.ask(ctx, rng) })
	}
	takers := rand.New(rand.NewPCG(r.opts.Seed, 1<<33))
	all.Go(func() error { return r.takeOver(ctx, takers) })
	all.Go(func() error {
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for !r.done() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
				r.opts.Say("%s: %d swaps, %d questions", r.opts.Software, r.won.Load(), r.asked.Load())
			case <-time.After(100 * time.Millisecond):
			}
		}
		return nil
	})
	return all.Wait()
}

func (r *race) done() bool {
	return r.won.Load() >= r.opts.Swaps && r.asked.Load() >= r.opts.Questions && (r.fenced.Load() || time.Since(r.began) > longer)
}

func (r *race) tally(f func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.report)
}

// token is what a fence holds that was taken over so often.
func token(times int64) string { return fmt.Sprintf("holder-%d", times) }

// holder says how often the fence of a name was taken over.
func (r *race) holder(name string) (times int64) {
	r.tally(func(*Report) { times = int64(len(r.taken[name])) })
	return times
}

// takeOver takes fences over, now of one name, now of another, as long as there is a race. Whoever held one before must not
// change the name from then on: what it has reached just after is on record.
func (r *race) takeOver(ctx context.Context, rng *rand.Rand) error {
	for !r.done() {
		name := r.names[rng.IntN(len(r.names))]
		fence, err := zone.FenceName(name, Apex)
		if err != nil {
			return err
		}
		times := r.holder(name)
		if err := r.zone.Claim(ctx, name, zone.Fence{Name: fence, Token: token(times + 1)}, token(times)); err != nil {
			return fmt.Errorf("take a fence over: %w", err)
		}
		reached, err := r.reached(ctx, name)
		if err != nil {
			return err
		}
		r.tally(func(p *Report) {
			p.Taken++
			r.taken[name] = append(r.taken[name], reached)
		})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(between):
		}
	}
	return nil
}

// reached is the number that a name has come to.
func (r *race) reached(ctx context.Context, name string) (int64, error) {
	set, err := r.zone.Lookup(ctx, name, "CNAME")
	if err != nil {
		return 0, err
	}
	return number(set.Data[0])
}

// write is one writer. It reads what a name holds and swaps it for what comes next, as long as there is a race.
func (r *race) write(ctx context.Context, id int, rng *rand.Rand) error {
	for !r.done() {
		name := r.names[rng.IntN(len(r.names))]
		fence, err := zone.FenceName(name, Apex)
		if err != nil {
			return err
		}
		holder := r.holder(name)
		old, err := r.zone.Lookup(ctx, name, "CNAME")
		if err != nil {
			return fmt.Errorf("writer %d: %w", id, err)
		}
		at, err := number(old.Data[0])
		if err != nil {
			return err
		}
		next, to := old, step{name, at + 1}
		next.Data = []string{target(to.n, id)}
		result, err := r.zone.Swap(ctx, zone.Change{
			Name: name, Old: []zone.RRset{old}, New: []zone.RRset{next}, Fence: zone.Fence{Name: fence, Token: token(holder)},
		})
		switch {
		case err == nil && !result.Applied:
			return fmt.Errorf("writer %d: %s held %s before it was written", id, name, next.Data[0])
		case err == nil:
			r.won.Add(1)
			r.tally(func(*Report) { r.told[to] = append(r.told[to], holder) })
		case errors.Is(err, zone.ErrUncertain) && (errors.Is(err, zone.ErrMoved) || errors.Is(err, zone.ErrFenced)):
			r.tally(func(p *Report) {
				p.Uncertain++
				r.unsure[to] = append(r.unsure[to], holder)
			})
		case errors.Is(err, zone.ErrMoved):
			r.tally(func(p *Report) { p.Moved++ })
		case errors.Is(err, zone.ErrFenced):
			r.fenced.Store(true)
			r.tally(func(p *Report) { p.Fenced++ })
		default:
			return fmt.Errorf("writer %d: %w", id, err)
		}
	}
	return nil
}

// count asks of every number that a name has reached whose swap it was. Exactly one writer was told of it, or none was and
// one did not know.
func (r *race) count(ctx context.Context) error {
	for _, name := range r.names {
		reached, err := r.reached(ctx, name)
		if err != nil {
			return err
		}
		for n := range reached {
			at := step{name, n + 1}
			told := len(r.told[at])
			switch {
			case told > 0:
				r.report.Lost += int64(told - 1)
				r.report.Stale += int64(r.stale(at, r.told[at]))
			case len(r.unsure[at]) > 0:
				r.report.Made++
				if r.stale(at, r.unsure[at]) == len(r.unsure[at]) { // whichever of them it was
					r.report.Stale++
				}
			default:
				r.report.Unknown++
			}
			delete(r.told, at)
		}
	}
	for _, told := range r.told { // beyond what was reached
		r.report.Lost += int64(len(told))
	}
	return nil
}

// stale counts those of a step's writers who no longer held the fence: it had been taken over when the name was not so far yet.
func (r *race) stale(at step, holders []int64) (n int) {
	for _, holder := range holders {
		if holder < int64(len(r.taken[at.name])) && at.n > r.taken[at.name][holder] {
			n++
		}
	}
	return n
}

// others returns the records of the zone that the race is not about, by name and type.
func (r *race) others(ctx context.Context) (map[string]string, error) {
	sets, err := r.zone.List(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, set := range sets {
		switch set.Type {
		case "SOA", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY", "TYPE65534":
			continue // they follow from every change, or are the signer's own
		}
		if set.Type == "CNAME" && slices.Contains(r.names, set.Name) || set.Type == "TXT" && strings.HasPrefix(set.Name, "_crossfade-") {
			continue
		}
		slices.Sort(set.Data)
		out[set.Name+" "+set.Type] = fmt.Sprint(set.TTL, " ", strings.Join(set.Data, " | "))
	}
	return out, nil
}

// target is what a name holds after so many swaps, the last one by a writer.
func target(n int64, writer int) string { return fmt.Sprintf("n%d-w%d.lb.test.", n, writer) }

func number(target string) (int64, error) {
	digits, _, _ := strings.Cut(strings.TrimPrefix(target, "n"), "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the target %s: %w", target, err)
	}
	return n, nil
}

// freePort finds a port of loopback on which nobody listens.
func freePort(ctx context.Context) (netip.AddrPort, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	addr, err := netip.ParseAddrPort(l.Addr().String())
	return addr, errors.Join(err, l.Close())
}
