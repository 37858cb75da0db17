package cutover

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

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

// watchBrownOut proves that blue refuses and that who comes is seen, and then watches for the whole time: who comes, the evidence of
// idleness, and the checks on green. The first thing that speaks against a retirement ends it.
func (o BrownOutOptions) watchBrownOut(ctx context.Context, d brownOutPlan, length time.Duration) (BrownOut, error) {
	result := BrownOut{Began: o.now(), For: length, Rounds: map[string]Rounds{}}
	for _, s := range d.switches {
		result.Services = append(result.Services, s.String())
	}
	ignore, err := o.ignored()
	if err != nil {
		return result, err
	}
	if result.Knocked, err = o.knock(ctx, d.pods); err != nil {
		return result, err
	}
	before, err := o.allCounts(ctx, d.pods)
	if err != nil {
		return result, &InconclusiveError{App: "blue", Why: err.Error()}
	}
	began := o.now()
	until := began.Add(length)
	var mu sync.Mutex
	group, under := errgroup.WithContext(ctx)
	group.Go(func() error { return o.watchDoor(under, d, before, until, ignore) })
	group.Go(func() error {
		var err error
		result.Evidence, err = o.watchEvidence(under, length)
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
	if err := o.doorsQuiet(ctx, d, before, ignore); err != nil {
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

func (o Options) allCounts(ctx context.Context, pods []frontPods) (map[string]forwarder.Counts, error) {
	all := map[string]forwarder.Counts{}
	for _, f := range pods {
		counts, err := o.countsOf(ctx, f)
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
func (o BrownOutOptions) watchDoor(ctx context.Context, d brownOutPlan, before map[string]forwarder.Counts, until time.Time, ignore func(forwarder.Client) bool) error {
	unread := 0
	for {
		err := o.doorsQuiet(ctx, d, before, ignore)
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
func (o BrownOutOptions) doorsQuiet(ctx context.Context, d brownOutPlan, before map[string]forwarder.Counts, ignore func(forwarder.Client) bool) error {
	for _, s := range d.switches {
		if err := o.inFront(ctx, s); err != nil {
			return &InconclusiveError{App: "blue", Why: err.Error()}
		}
	}
	now, err := o.allCounts(ctx, d.pods)
	if err != nil {
		return &InconclusiveError{App: "blue", Why: err.Error()}
	}
	callers, err := who(before, now, ignore)
	if err != nil {
		return &InconclusiveError{App: "blue", Why: err.Error()}
	}
	if len(callers) > 0 {
		return &BrownOutError{At: o.now(), Callers: callers}
	}
	return nil
}

// watchEvidence goes on with the watch over blue's idleness. It ends when all evidence covers the whole brown-out, and was quiet.
func (o BrownOutOptions) watchEvidence(ctx context.Context, length time.Duration) ([]Observation, error) {
	if len(o.Evidence) == 0 {
		return nil, nil
	}
	t := newTracker(namesOf(o.Evidence))
	t.take(Sample{At: o.Idle.Until, Observations: o.Idle.Evidence})
	look := IdleOptions{Options: o.Options, Evidence: o.Evidence, Retirement: o.Retirement}
	// The first look sees our own knocks, and only says where the watching begins. Our pods have counted meanwhile.
	first, err := look.look(ctx, t)
	if err != nil {
		return nil, err
	}
	for i, obs := range first.Observations {
		if obs.Use == Used {
			first.Observations[i].Use, first.Observations[i].Text = Quiet, "our own knocks: "+obs.Text
		}
	}
	if err := o.keep(first); err != nil {
		return nil, err
	}
	t.take(first)
	began := o.now()
	interval := o.Retirement.Interval.Or(defaultIdleInterval)
	limit := began.Add(2*length + 5*interval)
	said := began
	for {
		sample, err := look.look(ctx, t)
		if err != nil {
			return nil, err
		}
		if err := o.keep(sample); err != nil {
			return nil, err
		}
		t.take(sample)
		if used := slices.DeleteFunc(slices.Clone(sample.Observations), func(o Observation) bool { return o.Use != Used }); len(used) > 0 {
			return nil, &BrownOutError{At: o.now(), Seen: used}
		}
		covered := t.coveredSince(began)
		if t.conclusive(sample) && covered >= length {
			return t.evidence(), nil
		}
		now := o.now()
		if !now.Before(limit) {
			return nil, &InconclusiveError{App: "blue", Why: fmt.Sprintf("the evidence covers %s of %s, and the limit of %s is over: %s", covered.Round(time.Second), length, limit.Format(time.TimeOnly), t.why(sample))}
		}
		if now.Sub(said) >= sayEvery {
			o.log().InfoContext(ctx, "blue refuses everybody", "until", began.Add(length).Format(time.TimeOnly), "seen", covered.Round(time.Second).String(), "of", length.String(), "state", t.why(sample))
			said = now
		}
		if err := o.clock().Sleep(ctx, nextLook(now, sample.At, interval, length-covered)); err != nil {
			return nil, err
		}
	}
}

func (o BrownOutOptions) keep(s Sample) error {
	if o.Record == nil {
		return nil
	}
	if err := o.Record(s); err != nil {
		return fmt.Errorf("record what was seen of blue: %w", err)
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
func (o BrownOutOptions) knock(ctx context.Context, pods []frontPods) ([]string, error) {
	var knocked []string
	for _, app := range o.Applications {
		entries, err := FindEntries(ctx, o.Options, app.Name)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if o.atBackend(app.Name, e.Hostname) {
				continue // its entry leads to green, and goes on serving
			}
			for _, addr := range e.Blue.Addresses {
				at := netip.AddrPortFrom(addr, uint16(e.Blue.Port))
				if err := o.knockAt(ctx, pods, e, at, plainHTTP(app, e)); err != nil {
					return nil, err
				}
				knocked = append(knocked, fmt.Sprintf("%s at %s", strings.TrimSuffix(e.Hostname, "."), at))
			}
		}
	}
	return knocked, nil
}

// waitServes waits until blue's entries answer again: a Service that is put back is not one that every node has taken in. What follows may
// ask blue. An entry that gave no answer before either is told, and no failure.
func (o BrownOutOptions) waitServes(ctx context.Context) {
	until := o.now().Add(knockLimit)
	for _, app := range o.Applications {
		entries, err := FindEntries(ctx, o.Options, app.Name)
		if err != nil {
			o.log().WarnContext(ctx, "whether blue answers again is not known", "app", app.Name, "because", err.Error())
			continue
		}
		for _, e := range entries {
			for _, addr := range e.Blue.Addresses {
				at := netip.AddrPortFrom(addr, uint16(e.Blue.Port))
				for ask(ctx, e.Hostname, at, plainHTTP(app, e)) == "" {
					if !o.now().Before(until) || o.clock().Sleep(ctx, time.Second) != nil {
						o.log().WarnContext(ctx, "blue was put back, and does not answer", "hostname", e.Hostname, "at", at.String())
						break
					}
				}
			}
		}
	}
}

// plainHTTP reports whether clients of a hostname speak HTTP without TLS.
func plainHTTP(app migration.Application, e Entries) bool {
	return e.Blue.Port == portHTTP || slices.ContainsFunc(app.Checks, func(c migration.Check) bool {
		return c.HTTP != nil && c.HTTP.Scheme == "http" && (c.HTTP.Hostname == "" || sameName(c.HTTP.Hostname, e.Hostname))
	})
}

func (o BrownOutOptions) knockAt(ctx context.Context, pods []frontPods, e Entries, at netip.AddrPort, plain bool) error {
	until := o.now().Add(knockLimit)
	for {
		before, err := o.allCounts(ctx, pods)
		if err != nil {
			return &InconclusiveError{App: e.App, Why: err.Error()}
		}
		answer := ask(ctx, e.Hostname, at, plain)
		after, err := o.allCounts(ctx, pods)
		if err != nil {
			return &InconclusiveError{App: e.App, Why: err.Error()}
		}
		callers, err := who(before, after, func(forwarder.Client) bool { return false })
		if err != nil {
			return &InconclusiveError{App: e.App, Why: err.Error()}
		}
		if answer == "" && len(callers) > 0 {
			return nil
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

// ask sends one request under a hostname to an address, and returns what was answered, or "" where nothing was, or that there is
// nobody behind. Who answers does not matter here, so no certificate is judged.
func ask(ctx context.Context, hostname string, at netip.AddrPort, plain bool) string {
	ctx, cancel := context.WithTimeout(ctx, knockTime)
	defer cancel()
	host := strings.TrimSuffix(hostname, ".")
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at.String())
		},
		TLSClientConfig: &tls.Config{ServerName: host, InsecureSkipVerify: true},
	}
	defer transport.CloseIdleConnections()
	scheme := "https"
	if plain {
		scheme = "http"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+host+"/", nil)
	if err != nil {
		return ""
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return ""
	}
	_ = resp.Body.Close() // nothing of it is read
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "" // a proxy that has nobody behind it
	}
	return resp.Status
}
