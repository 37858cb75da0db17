package load

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// handTicks are ticks that the test gives.
type handTicks struct {
	mu  sync.Mutex
	all []chan time.Time
}

func (h *handTicks) ticks(time.Duration) (<-chan time.Time, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := make(chan time.Time) // not buffered: a tick taken is a request begun
	h.all = append(h.all, c)
	return c, func() {}
}

// tick lets every stream make n requests.
func (h *handTicks) tick(n int) {
	h.mu.Lock()
	streams := append([]chan time.Time{}, h.all...)
	h.mu.Unlock()
	for range n {
		for _, c := range streams {
			c <- time.Time{}
		}
	}
}

// settle waits until all requests of ticks given so far are in the books.
func settle(t *testing.T, l *Load, requests int) {
	t.Helper()
	until(t, "all requests are in the books", func() bool { return l.Report().Totals.Requests >= requests })
}

func TestI01_AMoveAsItsUsersSeeIt(t *testing.T) {
	w, hand := newWorld(t), &handTicks{}
	l, err := New(Config{Targets: []Target{shopTarget()}, Resolver: w.resolver, Now: w.clock.now, Dial: w.dial, Ticks: hand.ticks, RunID: "run"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	until(t, "all streams run", func() bool { hand.mu.Lock(); defer hand.mu.Unlock(); return len(hand.all) == 4 })

	step := func(requests int) { // each of four streams makes two requests
		hand.tick(2)
		settle(t, l, requests)
		w.clock.move(2 * time.Second)
	}
	step(8)
	w.blue.change(func(s *fakeShop) { s.readOnly = true }) // freeze
	step(16)
	w.resolver.set(10*time.Second, greenAddress) // swap
	w.clock.move(10 * time.Second)               // old TTL
	step(24)                                     // ttl is on green, keep still on blue
	w.blue.change(func(s *fakeShop) { s.drain = true })
	step(32)
	step(40)
	stop()
	<-ended

	report := l.Report()
	target := report.Targets[0]
	if len(report.Failures) != 0 || report.Totals.Requests != 40 {
		t.Errorf("totals %+v, failures %+v; want 40 requests and none failed", report.Totals, report.Failures)
	}
	// Refused: four during the freeze, two of keep before the drain, and at most
	// one that carried the news of the drain.
	if n := report.Totals.Refused; n < 6 || n > 7 || report.Totals.Writes != 20-n {
		t.Errorf("%d refused, %d accepted of 20 writes", n, report.Totals.Writes)
	}
	if f := target.Freeze; f.Seconds == nil || *f.Seconds != 14 || len(f.Switches) != 1 {
		t.Errorf("freeze = %+v, want 14 s and one switch", f)
	}
	if blue := target.Sides["blue"]; !blue.Last.Equal(l.started.Add(16*time.Second)) || blue.Answers == 0 {
		t.Errorf("blue = %+v, want its last answer at the drain", blue)
	}
	v, err := Verify(t.Context(), report.Accepted("shop.apps.test"), func(_ context.Context, key string) ([]byte, error) {
		body, found := w.green.data.get(key)
		if !found {
			return nil, ErrNotFound
		}
		return body, nil
	})
	if err != nil || !v.OK() || v.Checked != report.Totals.Writes {
		t.Errorf("verification = %+v, %v; want all writes found", v, err)
	}
}

func TestASlowAnswerMakesFewerRequestsNotABurst(t *testing.T) {
	w := newWorld(t)
	hold, entered := make(chan struct{}), make(chan struct{}, 1)
	slow := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-hold
		_, _ = rw.Write([]byte("shop on blue"))
	})
	server := newServer(t, slow)
	w.servers["192.0.2.1:80"] = server
	ticks := make(chan time.Time)
	l, err := New(Config{
		Targets: []Target{{Host: "shop.apps.test", Reads: 1}}, Resolver: w.resolver, Now: w.clock.now, Dial: w.dial,
		Ticks: func(time.Duration) (<-chan time.Time, func()) { return ticks, func() {} },
	})
	if err != nil {
		t.Fatal(err)
	}
	l.users = l.users[:1]
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	ticks <- time.Time{}
	<-entered
	select {
	case ticks <- time.Time{}:
		t.Error("a second request began before the first had its answer")
	default:
	}
	stop()
	close(hold)
	<-ended
	if n := l.Report().Totals.Requests; n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestNewRefusesWhatItCannotPlay(t *testing.T) {
	good := func() Config { return Config{Targets: []Target{shopTarget()}, Resolver: &fakeResolver{}} }
	for _, tt := range []struct {
		want string
		edit func(*Config)
	}{
		{"no resolver", func(c *Config) { c.Resolver = nil }},
		{"no targets", func(c *Config) { c.Targets = nil }},
		{"no host", func(c *Config) { c.Targets[0].Host = "" }},
		{"there twice", func(c *Config) { c.Targets = append(c.Targets, c.Targets[0]) }},
		{"above 0", func(c *Config) { c.Targets[0].Reads, c.Targets[0].Writes = 0, 0 }},
		{"at most 1000", func(c *Config) { c.Targets[0].Reads = 600 }},
	} {
		c := good()
		tt.edit(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New = %v, want an error with %q", err, tt.want)
		}
	}
	if _, err := New(good()); err != nil {
		t.Errorf("New = %v", err)
	}
}
