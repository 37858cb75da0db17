package cutover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/internal/front"
	"github.com/crossfade-project/crossfade/internal/forwarder"
	"github.com/crossfade-project/crossfade/internal/migration"
)

const (
	// knockLimit is how long blue may take to refuse once its Services lead to our pods.
	knockLimit = time.Minute
	knockTime  = 5 * time.Second
	// unreadLimit is how often in a row our pods' counts may not be readable.
	unreadLimit = 3
)

// door is what our pods had counted before anybody was led to them, and our own knocks. Whatever they count beyond it is somebody.
type door struct {
	pods     []front.Pods
	switches []front.Switch
	base     map[string]forwarder.Counts
}

// open reads what pods count that nobody was led to yet.
func (o Options) open(ctx context.Context, at door, f front.Pods) error {
	counts, err := o.allCounts(ctx, []front.Pods{f})
	if err != nil {
		return &InconclusiveError{App: "blue", Why: err.Error()}
	}
	maps.Copy(at.base, counts)
	return nil
}

// knockedBy takes for our own what came while we knocked: one connection, or all of a proxy, which may have tried again. Whoever came
// beside it is somebody.
func (d door) knockedBy(c Caller, proxy bool) {
	n := int64(1)
	if proxy {
		n = c.Connections
	}
	for i, way := range d.base[c.pod].Ways {
		if way.Name != c.Way {
			continue
		}
		known := slices.IndexFunc(way.Clients, func(k forwarder.Client) bool { return k.Address.String() == c.Address })
		switch address, err := netip.ParseAddr(c.Address); {
		case known >= 0:
			way.Clients[known].Connections += n
		case err != nil: // one of those that are not remembered each
			d.base[c.pod].Ways[i].Others += n
		default:
			d.base[c.pod].Ways[i].Clients = append(way.Clients, forwarder.Client{Address: address, Connections: n})
		}
	}
}

// behindProxy reports whether clients of a hostname reach a Service by an Ingress or a Gateway.
func behindProxy(app migration.Application, e Entries) bool {
	return slices.ContainsFunc(app.Hostnames, func(h migration.Hostname) bool { return sameName(h.Name, e.Hostname) && h.Service == "" })
}

// watchBrownOut proves that blue refuses and that who comes is seen, and then watches for the whole time: who comes, the evidence of
// idleness, and the checks on green. The first thing that speaks against a retirement ends it.
func (o BrownOutOptions) watchBrownOut(ctx context.Context, d door, w *lookout, length time.Duration) (BrownOut, error) {
	result := BrownOut{Began: o.now(), For: length, Rounds: map[string]Rounds{}}
	for _, s := range d.switches {
		result.Services = append(result.Services, s.String())
	}
	ignore, err := o.ignored()
	if err != nil {
		return result, err
	}
	if err := w.quietBefore(); err != nil {
		return result, err
	}
	if err := o.front().WaitLed(ctx, d.switches); err != nil {
		return result, &InconclusiveError{App: "blue", Why: err.Error()}
	}
	if result.Knocked, err = o.knock(ctx, d, w, ignore); err != nil {
		return result, err
	}
	began := o.now()
	until := began.Add(length)
	var mu sync.Mutex
	group, under := errgroup.WithContext(ctx)
	group.Go(func() error { return o.watchDoor(under, d, until, ignore) })
	group.Go(func() error {
		var err error
		result.Evidence, err = w.watch(under, length)
		return err
	})
	for _, app := range leavingBlueAlone(o.Options).Applications {
		if len(app.Checks) == 0 {
			continue
		}
		group.Go(func() error {
			rounds, err := o.watchGreen(under, app, until, length)
			mu.Lock()
			defer mu.Unlock()
			result.Rounds[app.Name] = rounds
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return result, err
	}
	// Who came while the last looks were taken counts, too.
	if err := o.doorsQuiet(ctx, d, ignore); err != nil {
		return result, err
	}
	result.Ended = o.now()
	result.Text = fmt.Sprintf("%s refused from %s to %s, %s; nobody came", strings.Join(result.Services, ", "),
		began.Format(time.DateTime), result.Ended.Format(time.DateTime), result.Ended.Sub(began).Round(time.Second))
	return result, nil
}

// ignored says which clients do not count.
func (o BrownOutOptions) ignored() (func(forwarder.Client) bool, error) {
	prefixes, err := ignoredBy(o.Retirement)
	if err != nil {
		return nil, err
	}
	return func(c forwarder.Client) bool {
		return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(c.Address) })
	}, nil
}

func (o Options) allCounts(ctx context.Context, pods []front.Pods) (map[string]forwarder.Counts, error) {
	all := map[string]forwarder.Counts{}
	for _, f := range pods {
		counts, err := o.front().Counts(ctx, f)
		if err != nil {
			return nil, err
		}
		for pod, c := range counts {
			all[f.Namespace+"/"+pod] = c
		}
	}
	return all, nil
}

// watchDoor asks our pods again and again who came.
func (o BrownOutOptions) watchDoor(ctx context.Context, d door, until time.Time, ignore func(forwarder.Client) bool) error {
	unread := 0
	for {
		err := o.doorsQuiet(ctx, d, ignore)
		var unseen *InconclusiveError
		switch {
		case errors.As(err, &unseen) && unread < unreadLimit:
			unread++
			o.log().WarnContext(ctx, "it cannot be seen who comes to blue", "because", unseen.Why)
		case err != nil:
			return err
		default:
			unread = 0
		}
		now := o.now()
		if !now.Before(until) && unread == 0 {
			return nil
		}
		if err := o.clock().Sleep(ctx, max(min(o.interval(), until.Sub(now)), time.Second)); err != nil {
			return err
		}
	}
}

// doorsQuiet looks once whether our pods are still in front, and who came to them.
func (o BrownOutOptions) doorsQuiet(ctx context.Context, d door, ignore func(forwarder.Client) bool) error {
	for _, s := range d.switches {
		if err := o.front().InFront(ctx, s); err != nil {
			return &InconclusiveError{App: "blue", Why: err.Error()}
		}
	}
	now, err := o.allCounts(ctx, d.pods)
	if err != nil {
		return &InconclusiveError{App: "blue", Why: err.Error()}
	}
	callers, err := who(d.base, now, ignore)
	if err != nil {
		return &InconclusiveError{App: "blue", Why: err.Error()}
	}
	if len(callers) > 0 {
		return &BrownOutError{At: o.now(), Callers: callers}
	}
	return nil
}

// coveredSince is for how long all evidence has been quiet, not counting what was before a time.
func (t *tracker) coveredSince(from time.Time) time.Duration {
	since := t.since()
	if since.IsZero() {
		return 0
	}
	until := since.Add(t.quiet())
	if since.Before(from) {
		since = from
	}
	return max(0, until.Sub(since))
}

// watchGreen sends the checks of one application to green for the whole time: they fail where green still needs blue.
func (o BrownOutOptions) watchGreen(ctx context.Context, app migration.Application, until time.Time, length time.Duration) (Rounds, error) {
	opts := o.Options
	opts.Applications = []migration.Application{app}
	if len(app.Hostnames) == 0 {
		return opts.watchAt(ctx, vigil{app: app.Name, until: until, nameless: true}, length, o.Baselines[app.Name])
	}
	entries, err := FindEntries(ctx, opts, app.Name)
	if err != nil {
		return Rounds{}, err
	}
	for i := range entries {
		entries[i].Blue = Entry{Hostname: entries[i].Hostname, Missing: "it refuses"}
	}
	return opts.watchAt(ctx, vigil{app: app.Name, entries: entries, until: until}, length, o.Baselines[app.Name])
}

func (o Options) watchAt(ctx context.Context, v vigil, length time.Duration, baselines map[string]float64) (Rounds, error) {
	v.need = max(1, int(length/o.interval()/2))
	v.limit = v.until.Add(max(length, time.Duration(minRounds)*(o.interval()+defaultCheckTimeout)))
	v.what, v.baselines = "the brown-out of blue, under the checks of "+v.app, baselines
	v.text = fmt.Sprintf("blue refuses until %s", v.until.Format(time.TimeOnly))
	return o.watch(ctx, v)
}

// knock asks at blue's entry of every hostname until it is refused, and then sees that our pods have counted it. What is not seen
// to be counted would not be seen when a client does it (I8).
func (o BrownOutOptions) knock(ctx context.Context, d door, w *lookout, ignore func(forwarder.Client) bool) ([]string, error) {
	var knocked []string
	err := o.eachEntry(ctx, func(app migration.Application, e Entries, at netip.AddrPort) error {
		knocked = append(knocked, fmt.Sprintf("%s at %s", strings.TrimSuffix(e.Hostname, "."), at))
		return o.knockAt(ctx, d, w, app, e, at, ignore)
	})
	return knocked, err
}

// eachEntry goes through blue's entries at which clients of a hostname came.
func (o BrownOutOptions) eachEntry(ctx context.Context, do func(migration.Application, Entries, netip.AddrPort) error) error {
	for _, app := range o.Applications {
		entries, err := FindEntries(ctx, o.Options, app.Name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if o.atBackend(app.Name, e.Hostname) {
				continue // its entry leads to green, and goes on serving
			}
			for _, addr := range e.Blue.Addresses {
				if err := do(app, e, netip.AddrPortFrom(addr, uint16(e.Blue.Port))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// answers waits until blue's entries answer again: a Service that is put back is not one that every node has taken in. An entry that gave
// no answer before either is told, and no failure. These requests are our own: it looks on until all evidence has taken them in.
func (o BrownOutOptions) answers(ctx context.Context, w *lookout) error {
	until := o.now().Add(knockLimit)
	err := o.eachEntry(ctx, func(app migration.Application, e Entries, at netip.AddrPort) error {
		for {
			if _, answer, err := w.knock(ctx, app, e, at); err != nil || answer != "" {
				return err
			}
			if !o.now().Before(until) {
				o.log().WarnContext(ctx, "blue was put back, and does not answer", "hostname", e.Hostname, "at", at.String())
				return nil
			}
			if err := o.clock().Sleep(ctx, time.Second); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	return w.takeIn(ctx)
}

// plainHTTP reports whether clients of a hostname speak HTTP without TLS.
func plainHTTP(app migration.Application, e Entries) bool {
	return e.Blue.Port == portHTTP || slices.ContainsFunc(app.Checks, func(c migration.Check) bool {
		return c.HTTP != nil && c.HTTP.Scheme == "http" && (c.HTTP.Hostname == "" || sameName(c.HTTP.Hostname, e.Hostname))
	})
}

// knockAt knocks at one entry until it is refused and counted.
func (o BrownOutOptions) knockAt(ctx context.Context, d door, w *lookout, app migration.Application, e Entries, at netip.AddrPort, ignore func(forwarder.Client) bool) error {
	until := o.now().Add(knockLimit)
	for {
		before, err := o.allCounts(ctx, d.pods)
		if err != nil {
			return &InconclusiveError{App: e.App, Why: err.Error()}
		}
		k, answer, err := w.knock(ctx, app, e, at)
		if err != nil {
			return err
		}
		after, err := o.allCounts(ctx, d.pods)
		if err != nil {
			return &InconclusiveError{App: e.App, Why: err.Error()}
		}
		callers, err := who(before, after, func(forwarder.Client) bool { return false })
		if err != nil {
			return &InconclusiveError{App: e.App, Why: err.Error()}
		}
		if answer == "" && len(callers) > 0 {
			// Clients that do not count anyway are rather not taken for us.
			if some, err := who(before, after, ignore); err == nil && len(some) > 0 {
				callers = some
			}
			d.knockedBy(callers[0], behindProxy(app, e))
			k.Refused = true
			return w.note(k)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !o.now().Before(until) {
			why := fmt.Sprintf("blue's entry of %s at %s still answers %s after %s: it is not the Services of the file by which clients reach it", e.Hostname, at, answer, knockLimit)
			if answer == "" {
				why = fmt.Sprintf("our own knock at blue's entry of %s at %s was not counted: nobody would see who comes there", e.Hostname, at)
			}
			return &InconclusiveError{App: e.App, Why: why}
		}
		if err := o.clock().Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}
