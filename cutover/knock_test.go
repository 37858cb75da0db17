package cutover_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// ledger is evidence that counts all that comes, as an access log does.
type ledger struct {
	clock   clock.Clock
	counted atomic.Int64
}

func (l *ledger) Name() string { return "ledger" }

func (l *ledger) Coverage() cutover.Coverage { return cutover.Whole }

func (l *ledger) CountsKnock(cutover.Knock) (time.Duration, bool) { return 0, true }

func (l *ledger) Collect(_ context.Context, last cutover.Observation) (cutover.Observation, error) {
	obs := cutover.Observation{Use: cutover.Quiet, Text: "counted", At: l.clock.Now(), From: last.At}
	n := l.counted.Load()
	before := n
	if len(last.State) > 0 {
		if err := json.Unmarshal(last.State, &before); err != nil {
			return obs, err
		}
	}
	if obs.Uses = n - before; obs.Uses > 0 {
		obs.Use = cutover.Used
	}
	var err error
	obs.State, err = json.Marshal(n)
	return obs, err
}

// entry is blue's entry: it breaks off while the Service leads to our pods, which then count it, and else answers. The ledger counts both.
type entry struct {
	net.Listener
	refuses func() bool
	came    func(refused bool)
}

func (e entry) Accept() (net.Conn, error) {
	for {
		conn, err := e.Listener.Accept()
		if err != nil {
			return nil, err
		}
		refused := e.refuses()
		e.came(refused)
		if !refused {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// ourselves is the address that our own knocks come from.
const ourselves = "192.0.2.5"

// knocking is a brown-out of a hostname at whose entry on blue it can be knocked, with a ledger that has been quiet before.
func (w frontWorld) knocking(t *testing.T, came func(refused bool)) (opts cutover.BrownOutOptions, book *ledger, samples *[]cutover.Sample) {
	t.Helper()
	ns, opts := w.brownOut(t)
	book = &ledger{clock: opts.Clock}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Listener = entry{server.Listener, func() bool {
		svc, err := w.client.Typed.CoreV1().Services(ns).Get(context.Background(), "shop", metav1.GetOptions{})
		return err == nil && svc.Spec.Selector[kube.LabelFront] != ""
	}, func(refused bool) {
		book.counted.Add(1)
		if refused {
			w.pods.Stragglers.Come(ns, netip.MustParseAddr(ourselves), 0)
		}
		came(refused)
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	port := server.Listener.Addr().(*net.TCPAddr).Port
	opts.Applications[0].Hostnames = []migration.Hostname{{Name: "shop.apps.test", Service: "shop", Port: port, Blue: &migration.Entry{Address: "127.0.0.1"}, Green: &migration.Entry{Address: "192.0.2.9"}}}
	opts.Evidence = []cutover.Evidence{book}
	samples = &[]cutover.Sample{}
	opts.Record = func(s cutover.Sample) error { *samples = append(*samples, s); return nil }
	if _, err := cutover.LookAgain(t.Context(), cutover.IdleOptions{Options: opts.Options, Evidence: opts.Evidence, Record: opts.Record}); err != nil {
		t.Fatal(err)
	}
	opts.Previous = *samples
	opts.Idle.Until = opts.Clock.Now()
	return opts, book, samples
}

// C24: the brown-out's own requests are no use of blue: neither while it refuses, nor when it answers again, nor in the last look of retire.
// Whoever comes at the same time is.
func brownOutKnocks(t *testing.T, w frontWorld) {
	nobodyElse := func(bool) {}
	opts, book, samples := w.knocking(t, nobodyElse)
	result, err := cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts)
	if err != nil || len(result.Knocked) != 1 || book.counted.Load() < 2 {
		t.Fatalf("%d requests, knocked at %v: %v", book.counted.Load(), result.Knocked, err)
	}
	last := func() cutover.Observation {
		s, err := cutover.LookAgain(t.Context(), cutover.IdleOptions{Options: opts.Options, Evidence: opts.Evidence, Previous: *samples})
		if err != nil {
			t.Fatal(err)
		}
		return s.Observations[0]
	}
	if obs := last(); obs.Use != cutover.Quiet {
		t.Errorf("the last look: %+v", obs)
	}
	book.counted.Add(1)
	if obs := last(); obs.Use != cutover.Used || obs.Uses != 1 {
		t.Errorf("somebody came before the last look: %+v", obs)
	}

	// A client that comes before it is knocked at the door.
	var came *cutover.BrownOutError
	opts, _, _ = w.knocking(t, nobodyElse)
	w.pods.Stragglers.Come(opts.Applications[0].Namespace, netip.MustParseAddr("192.0.2.77"), 1)
	_, err = cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts)
	if !errors.As(err, &came) || len(came.Callers) != 1 || came.Callers[0].Address != "192.0.2.77" {
		t.Errorf("a client before the knock: %v", err)
	}
	// Our own address comes once more: that is somebody behind the same router.
	opts, _, _ = w.knocking(t, func(refused bool) {
		if refused {
			w.pods.Stragglers.Come(opts.Applications[0].Namespace, netip.MustParseAddr(ourselves), 0)
		}
	})
	_, err = cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts)
	if !errors.As(err, &came) || len(came.Callers) != 1 || came.Callers[0].Connections != 1 {
		t.Errorf("a client from our own address: %v", err)
	}
	for name, when := range map[string]bool{"while it refuses": true, "when it answers again": false} {
		opts, book, _ = w.knocking(t, func(refused bool) {
			if refused == when {
				book.counted.Add(1)
			}
		})
		_, err = cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts)
		if !errors.As(err, &came) || len(came.Seen) != 1 || !strings.Contains(came.Seen[0].Text, "1 of that were our own knocks") {
			t.Errorf("somebody comes to the application %s: %v", name, err)
		}
	}
}

// A knock bears the header that tells it from a user, and a name that a wildcard stands for.
func TestC24_AKnockSaysWhatItIs(t *testing.T) {
	var host, probe string
	status := http.StatusNotFound
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, probe = r.Host, r.Header.Get(cutover.HeaderProbe)
		w.WriteHeader(status)
	}))
	defer server.Close()
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	if got := cutover.AnswerAt(t.Context(), "*.apps.test.", at); got != "404 Not Found" || host != "crossfade-probe.apps.test" || probe != "move" {
		t.Errorf("%q, asked as %q with the header %q", got, host, probe)
	}
	status = http.StatusBadGateway
	if got := cutover.AnswerAt(t.Context(), "shop.apps.test.", at); got != "" || host != "shop.apps.test" {
		t.Errorf("a proxy with nobody behind it: %q, asked as %q", got, host)
	}
}

// A process that dies with any record of its knocks, written or not, leaves nothing that the next brown-out, or the last look, takes for a
// client.
func brownOutThatDiedWhileItKnocked(t *testing.T, w frontWorld) {
	for die := 1; die <= 3; die++ { // the knock, what became of it, and the first look
		for _, written := range []bool{false, true} {
			brownOutThatDied(t, w, die, written)
		}
	}
}

func brownOutThatDied(t *testing.T, w frontWorld, die int, written bool) {
	died := errors.New("it died")
	opts, _, samples := w.knocking(t, func(bool) {})
	record, n := opts.Record, 0
	opts.Record = func(s cutover.Sample) error {
		if n++; n != die {
			return record(s)
		}
		if !written {
			return died
		}
		return errors.Join(died, record(s))
	}
	before := w.specs(t, opts.Applications[0].Namespace)
	p := w.planned(t, opts)
	if err := cutover.MakeBrownOut(t.Context(), p, &plan.MemoryRecorder{}, opts); !errors.Is(err, died) {
		t.Fatalf("record %d: err = %v", die, err)
	}
	if err := cutover.EndBrownOut(t.Context(), p, &plan.MemoryRecorder{}, opts.Options); err != nil {
		t.Fatal(err)
	}
	w.asBefore(t, opts.Applications[0].Namespace, before)
	opts.Record, opts.Previous = record, *samples
	if _, err := cutover.ApplyBrownOut(t.Context(), w.planned(t, opts), &plan.MemoryRecorder{}, opts); err != nil {
		t.Errorf("died at record %d (written: %t), and again: %v", die, written, err)
	}
	s, err := cutover.LookAgain(t.Context(), cutover.IdleOptions{Options: opts.Options, Evidence: opts.Evidence, Previous: *samples})
	if err != nil || s.Observations[0].Use != cutover.Quiet {
		t.Errorf("died at record %d (written: %t): the last look: %+v, %v", die, written, s.Observations, err)
	}
}

// A use that a brown-out saw which was killed before it could say so is not forgotten.
func TestC24_AUseThatAKilledBrownOutSaw(t *testing.T) {
	c := clock.NewFake(time.Unix(1e9, 0))
	opts := cutover.BrownOutOptions{
		Options: cutover.Options{Migration: "move", Clock: c}, Idle: cutover.Idle{Until: c.Now().Add(-time.Minute)},
		Previous: []cutover.Sample{{At: c.Now(), Observations: []cutover.Observation{{Evidence: "log", Use: cutover.Used, Text: "a client"}}}},
	}
	var came *cutover.BrownOutError
	if err := cutover.QuietBefore(opts); !errors.As(err, &came) || len(came.Seen) != 1 {
		t.Errorf("err = %v", err)
	}
	opts.Previous[0].At = opts.Idle.Until
	if err := cutover.QuietBefore(opts); err != nil {
		t.Errorf("what was seen before blue was idle: %v", err)
	}
}
