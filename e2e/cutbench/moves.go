package cutbench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone/rfc2136"
	"github.com/crossfade-project/crossfade/e2e/score"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// moves are what one round, or all of them, took.
type moves struct {
	mu sync.Mutex
	// swaps are from before ApplySwap until every address shows green, known from when on the step itself said so.
	swaps, known times
	// peers are from the start of nsupdate until every address shows its name's new target.
	peers times
	// returns are from green's first bad answer until every address shows blue; noticed until the soak ends with a breach, and
	// primary until the primary shows blue.
	returns, noticed, primary times
}

func (m *moves) add(into *times, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*into = append(*into, d)
}

func (m *moves) join(o *moves) {
	m.swaps, m.known = append(m.swaps, o.swaps...), append(m.known, o.known...)
	m.peers, m.returns = append(m.peers, o.peers...), append(m.returns, o.returns...)
	m.noticed, m.primary = append(m.noticed, o.noticed...), append(m.primary, o.primary...)
}

// say prints what was measured.
func (m *moves) say(opts Options, what string) {
	for _, line := range []struct {
		name string
		all  times
	}{
		{"swap, visible everywhere", m.swaps},
		{"  the step knows it", m.known},
		{"nsupdate, visible everywhere", m.peers},
		{"return, visible everywhere", m.returns},
		{"  the breach is known", m.noticed},
		{"  the primary shows blue", m.primary},
	} {
		opts.Say("  %-8s %-30s %s", what, line.name, line.all)
	}
}

// measureMoves moves names, and lets some of them come back.
func measureMoves(ctx context.Context, opts Options, dns *names, web *sides, all []app) ([]score.Verdict, error) {
	opts.Say("swap and return: %d lanes, transfers to one secondary of three held back by %s", opts.Lanes, opts.Delay)
	peer, err := newPeer(opts, dns)
	if err != nil {
		return nil, err
	}
	total := &moves{}
	for round := range opts.Rounds {
		part := all[round*opts.Swaps : (round+1)*opts.Swaps]
		m, err := oneRound(ctx, opts, dns, web, peer, part, filepath.Join(opts.Dir, fmt.Sprintf("round-%d", round+1)))
		if err != nil {
			return nil, err
		}
		m.say(opts, fmt.Sprintf("round %d", round+1))
		total.join(m)
	}
	total.say(opts, "all")
	opts.Say("  swap beside nsupdate: ratio of the medians %.2f, of the p99 %.2f", ratio(total.swaps.at(50), total.peers.at(50)), ratio(total.swaps.at(99), total.peers.at(99)))
	return []score.Verdict{
		{
			Text: fmt.Sprintf("swap: visible on all %d addresses, p99 %s of %d, at most %s", len(dns.addrs), short(total.swaps.at(99)), len(total.swaps), short(visible)),
			Met:  len(total.swaps) > 0 && total.swaps.at(99) <= visible,
		},
		{
			Text: fmt.Sprintf("return: from green's first bad answer until all %d addresses show blue, p99 %s of %d, at most %s and the interval of %s",
				len(dns.addrs), short(total.returns.at(99)), len(total.returns), short(visible), interval),
			Met: len(total.returns) > 0 && total.returns.at(99) <= visible+interval,
		},
	}, nil
}

// oneRound deals the applications out to the lanes by their zones: no two lanes change one zone.
func oneRound(ctx context.Context, opts Options, dns *names, web *sides, peer *peer, part []app, dir string) (*moves, error) {
	dealt := make([][]app, opts.Lanes)
	back := map[string]bool{}
	for i, a := range part {
		lane := a.n % opts.Zones % opts.Lanes
		dealt[lane] = append(dealt[lane], a)
		back[a.name] = i < opts.Returns
	}
	m := &moves{}
	lanes := make([]*lane, 0, opts.Lanes)
	for i, mine := range dealt {
		if len(mine) > 0 {
			lanes = append(lanes, &lane{dns: dns, web: web, apps: mine, back: back, peer: peer, moves: m, dir: filepath.Join(dir, fmt.Sprintf("lane-%d", i))})
		}
	}
	// The fences change every zone at once. BIND tells its secondaries of 20 changes a second (notify-rate), and the way to the delayed
	// one takes two zones at a time: a swap comes long after that, when the old TTLs have been waited out.
	for _, step := range []func(*lane, context.Context) error{(*lane).prepare, (*lane).calm, (*lane).run} {
		group, under := errgroup.WithContext(ctx)
		for _, l := range lanes {
			group.Go(func() error { return step(l, under) })
		}
		if err := group.Wait(); err != nil {
			return m, errors.Join(err, closeAll(lanes))
		}
	}
	return m, closeAll(lanes)
}

func closeAll(lanes []*lane) error {
	var errs []error
	for _, l := range lanes {
		if l.journal != nil {
			errs = append(errs, l.journal.Close())
		}
	}
	return errors.Join(errs...)
}

// lane is one migration of its own, with a journal on disk.
type lane struct {
	dns   *names
	web   *sides
	apps  []app
	back  map[string]bool // the applications whose green fails
	peer  *peer
	moves *moves
	dir   string

	journal *journal.Journal
	opts    cutover.Options
	held    cutover.TTLResult
}

// prepare takes the fences, and lowers TTLs that are low already.
func (l *lane) prepare(ctx context.Context) (err error) {
	if l.journal, err = journal.Open(l.dir, journal.Options{Actor: "cutbench"}); err != nil {
		return err
	}
	if l.opts, err = l.options(); err != nil {
		return err
	}
	p, err := cutover.PlanTTL(ctx, l.opts)
	if err := l.save(p, err); err != nil {
		return err
	}
	l.held, err = cutover.ApplyTTL(ctx, p, l.journal, l.opts)
	return err
}

// calm waits until every server has heard of all that was changed: the primary tells of changes in their order, so that one more,
// which nobody needs, comes last.
func (l *lane) calm(ctx context.Context) error {
	zones := l.opts.Zones
	if err := l.peer.mark(ctx, zones[len(zones)-1].Name); err != nil {
		return err
	}
	for _, z := range zones {
		if err := settled(ctx, l.dns.addrs, z.Name); err != nil {
			return err
		}
	}
	return nil
}

// run moves the names, one after the other.
func (l *lane) run(ctx context.Context) error {
	for _, a := range l.apps {
		swap, err := l.swap(ctx, a, l.held.Of(a.name))
		if err != nil {
			return fmt.Errorf("swap %s: %w", a.host, err)
		}
		if err := l.peer.move(ctx, l.dns, a, l.moves); err != nil {
			return err
		}
		if l.back[a.name] {
			if err := l.breach(ctx, a, swap); err != nil {
				return fmt.Errorf("return of %s: %w", a.host, err)
			}
		}
	}
	return nil
}

// save keeps a plan as a run does before it applies it.
func (l *lane) save(p *plan.Plan, err error) error {
	if err != nil {
		return err
	}
	if err := p.Err(); err != nil {
		return err
	}
	return l.journal.SavePlan(p)
}

func (l *lane) options() (cutover.Options, error) {
	opts := cutover.Options{
		Migration: "bench",
		Times: migration.Cutover{
			TTL: migration.Duration(nameTTL * time.Second), Margin: migration.Duration(time.Second), Interval: migration.Duration(interval),
			Propagation: migration.Duration(visibleLimit),
		},
		Rehearsal: &migration.Rehearsal{Soak: migration.Duration(time.Hour)}, // every soak ends by a breach
	}
	var servers []string
	for _, addr := range l.dns.addrs {
		servers = append(servers, addr.String())
	}
	opened := map[string]bool{}
	for _, a := range l.apps {
		opts.Applications = append(opts.Applications, migration.Application{
			Name: a.name, Namespace: namespaceOf(a),
			Hostnames: []migration.Hostname{{
				Name: a.host, Port: l.web.port,
				Blue: &migration.Entry{Target: blueTarget, Address: blueAddr}, Green: &migration.Entry{Target: greenTarget, Address: greenAddr},
			}},
			Checks: []migration.Check{{Name: "page", HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", Contains: "from green"}}},
		})
		if opened[a.zone] {
			continue
		}
		opened[a.zone] = true
		driver, err := rfc2136.New(rfc2136.Options{
			Apex: a.zone, Server: l.dns.addrs[0].String(), Key: rfc2136.Key{Name: benchKey.Name, Algorithm: benchKey.Algorithm, Secret: benchKey.Secret},
		})
		if err != nil {
			return opts, err
		}
		opts.Zones = append(opts.Zones, cutover.Zone{Zone: migration.Zone{Name: a.zone, Servers: servers, Resolvers: []string{l.dns.resolver.String()}}, Driver: driver})
	}
	return opts, nil
}

// swap moves one name to green, under the eyes of the client that asks every address.
func (l *lane) swap(ctx context.Context, a app, held []cutover.Held) (*plan.Plan, error) {
	opts := cutover.SwapOptions{Options: l.opts, App: a.name, Held: held}
	p, err := cutover.PlanSwap(ctx, opts)
	if err := l.save(p, err); err != nil {
		return nil, err
	}
	seen := watch(ctx, l.dns.addrs, a.host, greenTarget)
	began := time.Now()
	if _, err := cutover.ApplySwap(ctx, p, l.journal, opts); err != nil {
		return nil, err
	}
	known := time.Since(began)
	last, err := seen.last()
	if err != nil {
		return nil, err
	}
	l.moves.add(&l.moves.swaps, last.Sub(began))
	l.moves.add(&l.moves.known, known)
	return p, nil
}

// breach lets green fail at some moment of the soak, and goes back as a run does.
func (l *lane) breach(ctx context.Context, a app, swap *plan.Plan) error {
	soak := cutover.SoakOptions{Options: l.opts, App: a.name}
	p, err := cutover.PlanSoak(ctx, soak)
	if err := l.save(p, err); err != nil {
		return err
	}
	fails := time.AfterFunc(time.Duration(rand.Int64N(int64(2*interval))), func() { l.web.fail(a.host) })
	defer fails.Stop()
	if _, err := cutover.ApplySoak(ctx, p, l.journal, soak); !errors.Is(err, cutover.ErrBreach) {
		return fmt.Errorf("the soak ended without a breach: %w", err)
	}
	noticed := time.Now()
	seen := watch(ctx, l.dns.addrs, a.host, blueTarget)
	back := cutover.ReturnOptions{Options: l.opts, App: a.name, Swap: swap}
	p, err = cutover.PlanReturn(ctx, back)
	if err := l.save(p, err); err != nil {
		return err
	}
	if _, err := cutover.ApplyReturn(ctx, p, l.journal, back); err != nil {
		return err
	}
	last, err := seen.last()
	if err != nil {
		return err
	}
	began := l.web.failed(a.host)
	l.moves.add(&l.moves.returns, last.Sub(began))
	l.moves.add(&l.moves.noticed, noticed.Sub(began))
	l.moves.add(&l.moves.primary, seen.times[0].Sub(began))
	return nil
}
