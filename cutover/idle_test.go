package cutover_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/nodeflows"
)

// script is evidence that says what a test tells it for each look; after its end it is quiet.
type script struct {
	name  string
	clock clock.Clock
	looks []look
	n     int
	// reach makes each look reach back to the last one, as a counter does.
	reach bool
	// A look takes a while, and knows of nothing younger than late.
	takes, late time.Duration
}

type look struct {
	use  cutover.Use
	lost string
	err  error
}

func (s *script) Name() string { return s.name }

func (s *script) Coverage() cutover.Coverage {
	if s.reach {
		return cutover.Whole
	}
	return cutover.Sampled
}

func (s *script) Collect(ctx context.Context, last cutover.Observation) (cutover.Observation, error) {
	if err := s.clock.Sleep(ctx, s.takes); err != nil {
		return cutover.Observation{}, err
	}
	at := s.clock.Now().Add(-s.late)
	obs := cutover.Observation{Use: cutover.Quiet, At: at, From: at, Text: s.name}
	if s.reach && !last.At.IsZero() {
		obs.From = last.At
	}
	if s.n < len(s.looks) {
		l := s.looks[s.n]
		s.n++
		if l.err != nil {
			return cutover.Observation{}, l.err
		}
		obs.Use, obs.Lost = l.use, l.lost
	}
	return obs, nil
}

func idleOptions(c *clock.Fake, evidence ...cutover.Evidence) cutover.IdleOptions {
	return cutover.IdleOptions{
		Options:    cutover.Options{Migration: "move", Clock: c, Rehearsal: &migration.Rehearsal{Idle: migration.Duration(10 * time.Minute)}},
		Retirement: migration.Retirement{Interval: migration.Duration(time.Minute)},
		Evidence:   evidence,
	}
}

func repeat(n int, l look) []look {
	looks := make([]look, n)
	for i := range looks {
		looks[i] = l
	}
	return looks
}

func TestC24_IdleLastsTheFloor(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*cutover.IdleOptions)
		want   time.Duration
	}{
		"72 hours":      {func(o *cutover.IdleOptions) { o.Rehearsal = nil }, 72 * time.Hour},
		"twice the TTL": {func(o *cutover.IdleOptions) { o.Rehearsal = nil; o.OldTTL = 48 * time.Hour }, 96 * time.Hour},
		"declared": {func(o *cutover.IdleOptions) {
			o.Rehearsal = nil
			o.Retirement.Idle = migration.Duration(100 * time.Hour)
		}, 100 * time.Hour},
		"declared less":    {func(o *cutover.IdleOptions) { o.Rehearsal = nil; o.Retirement.Idle = migration.Duration(time.Hour) }, 72 * time.Hour},
		"rehearsal":        {func(*cutover.IdleOptions) {}, 10 * time.Minute},
		"rehearsal of all": {func(o *cutover.IdleOptions) { o.Rehearsal = &migration.Rehearsal{} }, 72 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			c := clock.NewFake(time.Unix(1e9, 0))
			opts := idleOptions(c, &script{name: "flows", clock: c})
			tt.change(&opts)
			idle, err := cutover.WatchIdle(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if idle.For != tt.want || idle.Floor > idle.Needed || c.Now().Sub(time.Unix(1e9, 0)) < tt.want {
				t.Errorf("idle for %s after %s, want %s (%s)", idle.For, c.Now().Sub(time.Unix(1e9, 0)), tt.want, idle.Text)
			}
		})
	}
}

func TestC24_UseStartsTheTimeAgain(t *testing.T) {
	c := clock.NewFake(time.Unix(1e9, 0))
	looks := append(repeat(9, look{use: cutover.Quiet}), look{use: cutover.Used})
	idle, err := cutover.WatchIdle(t.Context(), idleOptions(c, &script{name: "quiet", clock: c}, &script{name: "flows", clock: c, looks: looks}))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Now().Sub(time.Unix(1e9, 0)); got != 19*time.Minute || len(idle.Restarts) != 1 {
		t.Errorf("ended after %s with restarts %v, want 9m + 10m and one", got, idle.Restarts)
	}
}

// What is known to be lost begins the time again, however short it was, for all sources at once.
func TestC24_WhatIsLostStartsTheTimeAgain(t *testing.T) {
	c := clock.NewFake(time.Unix(1e9, 0))
	looks := append(repeat(5, look{use: cutover.Quiet}), look{use: cutover.Quiet, lost: "a pod is gone"})
	idle, err := cutover.WatchIdle(t.Context(), idleOptions(c, &script{name: "flows", clock: c}, &script{name: "log", clock: c, looks: looks, reach: true}))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Now().Sub(time.Unix(1e9, 0)); got != 15*time.Minute || len(idle.Restarts) != 1 || idle.Restarts[0].Why != "log: a pod is gone" {
		t.Errorf("ended after %s with restarts %v, want 5m + 10m and one", got, idle.Restarts)
	}
}

// Connection tracking remembers for two minutes: looks that far apart show nothing of the time between them.
func TestC24_LooksTwoMinutesApartLeaveAHole(t *testing.T) {
	for interval, idle := range map[time.Duration]bool{100 * time.Second: true, 2 * time.Minute: false} {
		c := clock.NewFake(time.Unix(1e9, 0))
		opts := idleOptions(c, &script{name: "flows", clock: c})
		opts.Retirement.Interval, opts.Limit = migration.Duration(interval), time.Hour
		if _, err := cutover.WatchIdle(t.Context(), opts); (err == nil) != idle {
			t.Errorf("every %s: %v", interval, err)
		}
	}
}

// What is quiet is quiet until the look that reaches least far; looks begin an interval apart, however long they take, and the last one
// is no later than it must be.
func TestC24_TheTimeEndsWithTheLookThatReachesLeast(t *testing.T) {
	for name, tt := range map[string]struct {
		evidence script
		interval time.Duration
		want     time.Duration
	}{
		"one that knows it later":   {script{late: 5 * time.Minute, reach: true}, time.Minute, 15 * time.Minute},
		"one that takes its time":   {script{takes: 30 * time.Second}, time.Minute, 10*time.Minute + 30*time.Second},
		"an interval that fits not": {script{reach: true}, 4 * time.Minute, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			c := clock.NewFake(time.Unix(1e9, 0))
			e := tt.evidence
			e.name, e.clock = "late", c
			opts := idleOptions(c, &e, &script{name: "flows", clock: c, reach: true})
			opts.Retirement.Interval = migration.Duration(tt.interval)
			idle, err := cutover.WatchIdle(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Now().Sub(time.Unix(1e9, 0)); got != tt.want || idle.For < 10*time.Minute {
				t.Errorf("ended after %s, idle for %s, want %s", got, idle.For, tt.want)
			}
		})
	}
}

// Of a blue that is used at every look, the certificate tells the first restarts and the last.
func TestC24_RestartsAreToldInMeasure(t *testing.T) {
	c := clock.NewFake(time.Unix(1e9, 0))
	idle, err := cutover.WatchIdle(t.Context(), idleOptions(c, &script{name: "flows", clock: c, looks: repeat(300, look{use: cutover.Used})}))
	if err != nil {
		t.Fatal(err)
	}
	n := len(idle.Restarts)
	if n != 100 || !idle.Restarts[0].At.Equal(time.Unix(1e9, 0)) || !idle.Restarts[n-1].At.Equal(time.Unix(1e9, 0).Add(299*time.Minute)) {
		t.Errorf("%d restarts, from %v", n, idle.Restarts[0])
	}
}

// A look that cannot be recorded is none: a later run could not go on from it.
func TestC24_ALookThatCannotBeRecordedEndsTheWatch(t *testing.T) {
	c := clock.NewFake(time.Unix(1e9, 0))
	opts := idleOptions(c, &script{name: "flows", clock: c})
	full := errors.New("the disk is full")
	opts.Record = func(cutover.Sample) error { return full }
	if _, err := cutover.WatchIdle(t.Context(), opts); !errors.Is(err, full) {
		t.Errorf("watch: %v", err)
	}
	if _, err := cutover.LookAgain(t.Context(), opts); !errors.Is(err, full) {
		t.Errorf("look again: %v", err)
	}
}

// What counts by itself is asked from the look before, however long ago that was.
func TestC24_TheLastLookReachesBackToTheOneBefore(t *testing.T) {
	c := clock.NewFake(time.Unix(1e9, 0))
	opts := idleOptions(c, &script{name: "requests", clock: c, reach: true})
	before := c.Now()
	opts.Previous = []cutover.Sample{{At: before, Observations: []cutover.Observation{{Evidence: "requests", Use: cutover.Quiet, At: before}}}}
	must(t, c.Sleep(t.Context(), time.Hour))
	sample, err := cutover.LookAgain(t.Context(), opts)
	if err != nil || len(sample.Observations) != 1 || !sample.Observations[0].From.Equal(before) {
		t.Errorf("%+v, %v", sample, err)
	}
}

// Evidence that fails for as long as the watch may last never makes blue idle; when it is there again, the hole counts.
func TestI08_MissingEvidenceIsNotIdle(t *testing.T) {
	gone := look{err: errors.New("no answer")}
	t.Run("for ever", func(t *testing.T) {
		c := clock.NewFake(time.Unix(1e9, 0))
		opts := idleOptions(c, &script{name: "flows", clock: c, looks: repeat(10000, gone)}, &script{name: "requests", clock: c})
		opts.Limit = time.Hour
		_, err := cutover.WatchIdle(t.Context(), opts)
		var not *cutover.NotIdleError
		if !errors.As(err, &not) || not.Quiet != 0 {
			t.Fatalf("err = %v, want one that it was never quiet", err)
		}
		if got := c.Now().Sub(time.Unix(1e9, 0)); got != time.Hour {
			t.Errorf("ended after %s, want the limit of 1h", got)
		}
		opts.Limit = 0
		if _, err := cutover.WatchIdle(t.Context(), opts); !errors.As(err, &not) || not.Limit != 24*time.Hour+20*time.Minute {
			t.Errorf("err = %v, want one after a day and twice the time", err)
		}
	})
	t.Run("at the end, after a stop", func(t *testing.T) {
		c := clock.NewFake(time.Unix(1e9, 0))
		opts := idleOptions(c, &script{name: "flows", clock: c, reach: true})
		opts.Record = func(s cutover.Sample) error {
			opts.Previous = append(opts.Previous, s)
			return nil
		}
		if _, err := cutover.WatchIdle(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		opts.Evidence = []cutover.Evidence{&script{name: "flows", clock: c, reach: true, looks: repeat(3, gone)}}
		resumed := c.Now()
		if _, err := cutover.WatchIdle(t.Context(), opts); err != nil || c.Now().Sub(resumed) < 2*time.Second {
			t.Errorf("it ended after %s, when the look had learned nothing: %v", c.Now().Sub(resumed), err)
		}
	})
	t.Run("at the end", func(t *testing.T) {
		c := clock.NewFake(time.Unix(1e9, 0))
		looks := append(repeat(10, look{use: cutover.Quiet}), gone)
		idle, err := cutover.WatchIdle(t.Context(), idleOptions(c, &script{name: "flows", clock: c, looks: looks, reach: true}))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Now().Sub(time.Unix(1e9, 0)); got != 11*time.Minute || len(idle.Restarts) != 0 {
			t.Errorf("ended after %s, restarts %v, want a minute late", got, idle.Restarts)
		}
	})
	t.Run("a hole", func(t *testing.T) {
		c := clock.NewFake(time.Unix(1e9, 0))
		looks := append(repeat(5, look{use: cutover.Quiet}), repeat(4, gone)...)
		idle, err := cutover.WatchIdle(t.Context(), idleOptions(c, &script{name: "flows", clock: c, looks: looks}))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Now().Sub(time.Unix(1e9, 0)); got != 19*time.Minute || len(idle.Restarts) != 1 {
			t.Errorf("ended after %s, restarts %v, want 9m + 10m", got, idle.Restarts)
		}
	})
	t.Run("none at all", func(t *testing.T) {
		c := clock.NewFake(time.Unix(1e9, 0))
		if _, err := cutover.WatchIdle(t.Context(), idleOptions(c)); !errors.Is(err, cutover.ErrInconclusive) {
			t.Errorf("err = %v, want ErrInconclusive", err)
		}
	})
}

func TestC24_WatchGoesOnFromRecordedSamples(t *testing.T) {
	for name, tt := range map[string]struct {
		reach bool
		want  time.Duration
	}{
		"a counter reaches over the break": {true, 0},
		"connections do not":               {false, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			c := clock.NewFake(time.Unix(1e9, 0))
			evidence := &script{name: "e", clock: c, reach: tt.reach}
			opts := idleOptions(c, evidence)
			ctx, cancel := context.WithCancel(t.Context())
			var recorded []cutover.Sample
			opts.Record = func(s cutover.Sample) error {
				raw, err := json.Marshal(s)
				if err != nil {
					return err
				}
				var back cutover.Sample
				if err := json.Unmarshal(raw, &back); err != nil {
					return err
				}
				if recorded = append(recorded, back); len(recorded) == 6 {
					cancel()
				}
				return nil
			}
			if _, err := cutover.WatchIdle(ctx, opts); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if err := c.Sleep(t.Context(), time.Hour); err != nil {
				t.Fatal(err)
			}
			opts.Previous, opts.Record = recorded, nil
			resumed := c.Now()
			idle, err := cutover.WatchIdle(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Now().Sub(resumed); got != tt.want {
				t.Errorf("watched %s more, want %s (%s)", got, tt.want, idle.Text)
			}
		})
	}
}

// table plays the connection tracking of one node.
type table struct {
	flows []nodeflows.Flow
	err   error
	clock clock.Clock
}

func (t *table) Flows(context.Context) ([]nodeflows.Report, error) {
	if t.err != nil {
		return nil, t.err
	}
	return []nodeflows.Report{{Node: "n1", From: t.clock.Now(), Until: t.clock.Now(), Flows: t.flows}}, nil
}

func TestC24_ConnectionsThatCount(t *testing.T) {
	c := clock.NewFake(time.Unix(1e9, 0))
	tab := &table{clock: c}
	evidence := cutover.FlowEvidence{
		Reader: tab, Clock: c, Ignore: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
		Entries: []cutover.Entry{{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Port: 80, NodePort: 30650, ClusterIPs: []netip.Addr{netip.MustParseAddr("10.0.0.9")}}},
	}
	flow := func(from, to, state string) nodeflows.Flow {
		f, d := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
		return nodeflows.Flow{Protocol: "tcp", Source: f.Addr(), SourcePort: f.Port(), Destination: d.Addr(), DestinationPort: d.Port(), State: state}
	}
	var last cutover.Observation
	for _, step := range []struct {
		name  string
		flows []nodeflows.Flow
		want  cutover.Use
	}{
		{"one that had ended before the watch", []nodeflows.Flow{flow("198.51.100.1:1000", "192.0.2.1:80", "TIME_WAIT")}, cutover.Quiet},
		{"the same", []nodeflows.Flow{flow("198.51.100.1:1000", "192.0.2.1:80", "TIME_WAIT")}, cutover.Quiet},
		{"one that came and went", []nodeflows.Flow{flow("198.51.100.1:1001", "192.0.2.1:80", "TIME_WAIT")}, cutover.Used},
		{"it fades", nil, cutover.Quiet},
		{"another port", []nodeflows.Flow{flow("198.51.100.1:1002", "192.0.2.1:22", "ESTABLISHED")}, cutover.Quiet},
		{"another address", []nodeflows.Flow{flow("198.51.100.1:1002", "192.0.2.7:80", "ESTABLISHED")}, cutover.Quiet},
		{"a scanner", []nodeflows.Flow{flow("203.0.113.5:1002", "192.0.2.1:80", "ESTABLISHED")}, cutover.Quiet},
		{"kept open", []nodeflows.Flow{flow("198.51.100.1:1003", "192.0.2.1:80", "ESTABLISHED")}, cutover.Used},
		{"still open", []nodeflows.Flow{flow("198.51.100.1:1003", "192.0.2.1:80", "ESTABLISHED")}, cutover.Used},
		{"closed since", []nodeflows.Flow{flow("198.51.100.1:1003", "192.0.2.1:80", "TIME_WAIT")}, cutover.Used},
		{"long closed", []nodeflows.Flow{flow("198.51.100.1:1003", "192.0.2.1:80", "TIME_WAIT")}, cutover.Quiet},
		{"by a node's port", []nodeflows.Flow{flow("198.51.100.1:1004", "172.16.0.4:30650", "SYN_SENT")}, cutover.Used},
		{"gone while it was open", nil, cutover.Used},
		{"quiet", nil, cutover.Quiet},
		{"inside the cluster", []nodeflows.Flow{flow("10.1.0.3:1004", "10.0.0.9:80", "ESTABLISHED")}, cutover.Used},
	} {
		tab.flows = step.flows
		obs, err := evidence.Collect(t.Context(), last)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if obs.Use != step.want {
			t.Errorf("%s: %s, want %s (%s %v)", step.name, obs.Use, step.want, obs.Text, obs.Details)
		}
		last = obs
	}
	tab.err = errors.New("a node is gone")
	if _, err := evidence.Collect(t.Context(), last); err == nil {
		t.Error("a node that could not be watched was no error")
	}
}

func TestC24_NamesThatLeadToBlue(t *testing.T) {
	w := newWorld(t)
	held := w.lowered(t)
	entries, err := cutover.FindEntries(t.Context(), w.opts, "shop")
	if err != nil {
		t.Fatal(err)
	}
	evidence := cutover.NameEvidence{Options: w.opts, Held: held.Names, Entries: []cutover.Entry{entries[0].Blue}}
	expect := func(what string, want cutover.Use) {
		t.Helper()
		obs, err := evidence.Collect(t.Context(), cutover.Observation{})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if obs.Use != want {
			t.Errorf("%s: %s, want %s: %s %v", what, obs.Use, want, obs.Text, obs.Details)
		}
	}
	put := func(sets ...zone.RRset) {
		t.Helper()
		if err := w.zone.Put(sets...); err != nil {
			t.Fatal(err)
		}
	}
	expect("before the swap", cutover.Used)
	put(cname(shopName, 10, "green.lb.test."))
	expect("after the swap", cutover.Quiet)
	put(cname("forgotten.apps.test.", 300, "blue.lb.test."))
	expect("a name that the file does not know", cutover.Used)
	put(cname("forgotten.apps.test.", 300, "green.lb.test."), zone.RRset{Name: "direct.apps.test.", Type: "A", TTL: 60, Data: []string{w.blue.addr.Addr().String()}})
	expect("an address record", cutover.Used)
	put(zone.RRset{Name: "direct.apps.test.", Type: "A", TTL: 60, Data: []string{"192.0.2.200"}})
	expect("none any more", cutover.Quiet)
	w.names.late[server(2)] = []dnsx.RRset{dnsx.RRset(cname(shopName, 10, "blue.lb.test."))}
	expect("a server that lags", cutover.Used)
	w.names.late[server(2)] = []dnsx.RRset{{Name: shopName, Type: "A", TTL: 10, Data: []string{w.blue.addr.Addr().String()}}}
	expect("a server that has an address of its own", cutover.Used)
	delete(w.names.late, server(2))
	expect("when it has followed", cutover.Quiet)
}

// halfSilent gives no answer for one type, and breaks off where it is told to.
type halfSilent struct {
	*fakeNames
	typ   string
	fails error
}

func (h halfSilent) Propagated(ctx context.Context, servers []dnsx.Server, wants ...dnsx.RRset) ([]dnsx.ServerAnswer, error) {
	answers, err := h.fakeNames.Propagated(ctx, servers, wants...)
	for i, a := range answers {
		if a.Type == h.typ && a.Addr == server(2) {
			answers[i] = dnsx.ServerAnswer{Server: a.Server, Addr: a.Addr, Name: a.Name, Type: a.Type, Unknown: true, Reason: "SERVFAIL"}
		}
	}
	if h.fails != nil {
		err = h.fails
	}
	return answers, err
}

// Of a name of which a server says nothing, or nobody is asked, it is not known where it leads.
func TestI08_ANameOfWhichNothingIsKnownIsNotIdle(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*world, *cutover.NameEvidence)
		want   string
	}{
		"a server is silent":      {func(w *world, _ *cutover.NameEvidence) { w.names.silent[server(3)] = true }, "192.0.2.3:53"},
		"a server is half silent": {func(w *world, e *cutover.NameEvidence) { e.Names = halfSilent{fakeNames: w.names, typ: "A"} }, "ask 192.0.2.2:53 for " + shopName + " A: SERVFAIL"},
		"it was broken off": {func(w *world, e *cutover.NameEvidence) {
			e.Names = halfSilent{fakeNames: w.names, fails: errors.New("broken off")}
		}, "broken off"},
		"a server has no record": {func(w *world, _ *cutover.NameEvidence) { w.names.late[server(3)] = []dnsx.RRset{{Name: shopName}} }, "192.0.2.3:53 has neither"},
		"a name has no server":   {func(_ *world, e *cutover.NameEvidence) { e.Held[0].Servers = nil }, "ask the servers of " + shopName},
		"no name":                {func(_ *world, e *cutover.NameEvidence) { e.Held = nil }, "no hostname is known"},
		"a zone gives no list":   {func(w *world, e *cutover.NameEvidence) { e.Zones[0].Driver = unlistable{w.zone} }, "transfer refused"},
		"only another is unlisted": {func(w *world, e *cutover.NameEvidence) {
			e.Zones[0].Driver, e.Unlisted = unlistable{w.zone}, []string{"other.test"}
		}, "transfer refused"},
		"nothing lists it": {func(w *world, e *cutover.NameEvidence) { e.Zones[0].Driver = struct{ zone.Zone }{w.zone} }, "nothing here can list it"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			held := w.lowered(t)
			must(t, w.zone.Put(cname(shopName, 10, "green.lb.test.")))
			evidence := cutover.NameEvidence{Options: w.opts, Held: held.Names, Entries: []cutover.Entry{{Target: "blue.lb.test."}}}
			if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err != nil || obs.Use != cutover.Quiet {
				t.Fatalf("before: %s, %v", obs.Use, err)
			}
			tt.change(w, &evidence)
			if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err == nil || !contains(err.Error(), tt.want) {
				t.Errorf("%s %s: %v, want %q", obs.Use, obs.Text, err, tt.want)
			}
		})
	}
}

// longer is a zone with more records than it answers for.
type longer struct {
	*memory.Zone
	more []zone.RRset
}

func (l *longer) List(ctx context.Context) ([]zone.RRset, error) {
	sets, err := l.Zone.List(ctx)
	return append(sets, l.more...), err
}

// TestC24_ARecordInAnotherZone: whatever record of any zone of the file leads to blue keeps it in use, and the text says which.
func TestC24_ARecordInAnotherZone(t *testing.T) {
	w := newWorld(t)
	held := w.lowered(t)
	if err := w.zone.Put(cname(shopName, 10, "green.lb.test.")); err != nil {
		t.Fatal(err)
	}
	blue := w.blue.addr.Addr().String()
	memoryOfOther, err := memory.New("old.example.org.", cname("www.old.example.org.", 300, "elsewhere.test."))
	if err != nil {
		t.Fatal(err)
	}
	own, other := &longer{Zone: w.zone}, &longer{Zone: memoryOfOther}
	w.opts.Zones[0].Driver = own
	w.opts.Zones = append(w.opts.Zones, cutover.Zone{Zone: migration.Zone{Name: "old.example.org"}, Driver: other})
	entries, err := cutover.FindEntries(t.Context(), w.opts, "shop")
	if err != nil {
		t.Fatal(err)
	}
	// A second application at the same address: its name's own record is no use of the first.
	second := cutover.Entry{Target: "blue2.apps.test.", Addresses: entries[0].Blue.Addresses, Port: entries[0].Blue.Port}
	evidence := cutover.NameEvidence{Options: w.opts, Held: held.Names, Entries: []cutover.Entry{entries[0].Blue, second}}
	collect := func() cutover.Observation {
		t.Helper()
		obs, err := evidence.Collect(t.Context(), cutover.Observation{})
		if err != nil {
			t.Fatal(err)
		}
		return obs
	}
	for _, z := range []struct {
		name string
		zone *longer
	}{{"apps.test.", own}, {"old.example.org.", other}} {
		for _, set := range []zone.RRset{
			{Name: "a", Type: "CNAME", Data: []string{"blue.lb.test."}},
			{Name: "b", Type: "A", Data: []string{"192.0.2.200", blue}},
			{Name: "*.c", Type: "CNAME", Data: []string{"blue.lb.test."}},
			{Name: "*.d", Type: "A", Data: []string{blue}},
			{Name: "_https._tcp.e", Type: "SRV", Data: []string{"0 0 443 blue.lb.test."}},
			{Name: "f", Type: "HTTPS", Data: []string{"1 . ipv4hint=" + blue}},
			{Name: "g", Type: "HTTPS", Data: []string{"1 blue.lb.test. alpn=h2"}},
			{Name: "_s.h", Type: "SVCB", Data: []string{"1 blue.lb.test."}},
			{Name: "i", Type: "MX", Data: []string{"10 blue.lb.test."}},
			{Name: "j", Type: "DNAME", Data: []string{"lb.test."}},
			{Name: "k", Type: "NS", Data: []string{"blue.lb.test."}},
			{Name: "l", Type: "ALIAS", Data: []string{"blue.lb.test."}},
			// In a form that nobody knows.
			{Name: "m", Type: "SRV", Data: []string{"0 0 https Blue.lb.test"}},
			{Name: "n", Type: "HTTPS", Data: []string{"1 . ipv4hint=192.0.2.200," + blue + " later"}},
		} {
			before := collect()
			if before.Use != cutover.Quiet {
				t.Fatalf("before: %s %v", before.Text, before.Details)
			}
			set.Name, set.TTL = set.Name+"."+z.name, 60
			z.zone.more = []zone.RRset{set}
			obs := collect()
			if obs.Use != cutover.Used || len(obs.Details) != 1 || !contains(obs.Details[0], set.Name+" "+set.Type) {
				t.Errorf("%s %s %v: %s %v", set.Name, set.Type, set.Data, obs.Use, obs.Details)
			}
			z.zone.more = nil
		}
	}
	// What leads elsewhere does not count, nor what stands at the names of blue's entries.
	own.more = []zone.RRset{
		{Name: "blue2.apps.test.", Type: "A", TTL: 60, Data: []string{blue}},
		{Name: "above.apps.test.", Type: "CNAME", TTL: 60, Data: []string{"lb.test."}},
	}
	other.more = []zone.RRset{{Name: "z.old.example.org.", Type: "SRV", TTL: 60, Data: []string{"0 0 443 green.lb.test."}}}
	if obs := collect(); obs.Use != cutover.Quiet || !contains(obs.Text, "of old.example.org.") {
		t.Errorf("%s %v", obs.Text, obs.Details)
	}
}

// unlistable is a zone whose server refuses to list it.
type unlistable struct{ *memory.Zone }

func (unlistable) List(context.Context) ([]zone.RRset, error) {
	return nil, errors.New("transfer refused")
}

// A zone that cannot be read as a whole may hold anything.
func TestI08_AZoneThatCannotBeListedIsNotIdle(t *testing.T) {
	w := newWorld(t)
	held := w.lowered(t)
	if err := w.zone.Put(cname(shopName, 10, "green.lb.test.")); err != nil {
		t.Fatal(err)
	}
	entries, err := cutover.FindEntries(t.Context(), w.opts, "shop")
	if err != nil {
		t.Fatal(err)
	}
	w.opts.Zones[0].Driver = unlistable{w.zone}
	evidence := cutover.NameEvidence{Options: w.opts, Held: held.Names, Entries: []cutover.Entry{entries[0].Blue}}
	if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err == nil || !contains(err.Error(), "retirement.unlisted") {
		t.Errorf("%s: %v", obs.Use, err)
	}
	evidence.Unlisted = []string{"Apps.test"}
	if obs, err := evidence.Collect(t.Context(), cutover.Observation{}); err != nil || obs.Use != cutover.Quiet || !contains(obs.Text, "apps.test. is declared as one that cannot be listed") {
		t.Errorf("%s %s: %v", obs.Use, obs.Text, err)
	}
}
