package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	blueAddress  = netip.MustParseAddr("192.0.2.1")
	greenAddress = netip.MustParseAddr("192.0.2.2")
)

// fakeClock stands still until it is moved.
type fakeClock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *fakeClock {
	return &fakeClock{at: time.Date(2026, 11, 21, 13, 45, 0, 0, time.UTC)}
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *fakeClock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// fakeResolver gives the answer that it was last told, and counts.
type fakeResolver struct {
	mu     sync.Mutex
	answer Answer
	err    error
	calls  int
}

func (r *fakeResolver) set(ttl time.Duration, addresses ...netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer, r.err = Answer{Addresses: addresses, TTL: ttl}, nil
}

func (r *fakeResolver) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *fakeResolver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// Lookup implements Resolver.
func (r *fakeResolver) Lookup(context.Context, string) (Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	return r.answer, r.err
}

// fakeShop is one side: as much of the demo's shop as a user sees.
type fakeShop struct {
	side string
	data *data

	mu       sync.Mutex
	readOnly bool
	drain    bool
	status   int    // not 0: answer with it
	page     string // what GET / says
	open     map[net.Conn]bool
}

// data may be shared by two sides, as if every write were copied at once.
type data struct {
	mu    sync.Mutex
	items map[string][]byte
}

func (d *data) put(key string, body []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.items[key] = body
}

func (d *data) get(key string) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	body, found := d.items[key]
	return body, found
}

func (s *fakeShop) change(f func(*fakeShop)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// connections is how many are open at the server.
func (s *fakeShop) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

func (s *fakeShop) track(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.open[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(s.open, conn)
	}
}

func (s *fakeShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	readOnly, drain, status, page := s.readOnly, s.drain, s.status, s.page
	s.mu.Unlock()
	w.Header().Set(headerSide, s.side)
	if drain {
		w.Header().Set("Connection", "close")
	}
	key, item := strings.CutPrefix(r.URL.Path, "/items/")
	switch {
	case status != 0:
		w.WriteHeader(status)
	case r.Method == http.MethodPut && readOnly:
		w.Header().Set(headerReadOnly, "true")
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.Method == http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.data.put(key, body)
		w.WriteHeader(http.StatusCreated)
	case item:
		body, found := s.data.get(key)
		if !found {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(body)
	default:
		_, _ = io.WriteString(w, page)
	}
}

// world is blue and green behind addresses that exist only here.
type world struct {
	clock       *fakeClock
	resolver    *fakeResolver
	blue, green *fakeShop
	servers     map[string]string // address:port to where it really listens
}

func newWorld(t *testing.T) *world {
	t.Helper()
	shared := &data{items: map[string][]byte{}}
	w := &world{clock: newClock(), resolver: &fakeResolver{}, servers: map[string]string{}}
	w.resolver.set(10*time.Second, blueAddress)
	w.blue = w.serve(t, "blue", blueAddress, shared)
	w.green = w.serve(t, "green", greenAddress, shared)
	return w
}

func (w *world) serve(t *testing.T, side string, address netip.Addr, shared *data) *fakeShop {
	t.Helper()
	s := &fakeShop{side: side, data: shared, page: "shop on " + side, open: map[net.Conn]bool{}}
	server := httptest.NewUnstartedServer(s)
	server.Config.ConnState = s.track
	server.Start()
	t.Cleanup(server.Close)
	w.servers[netip.AddrPortFrom(address, 80).String()] = server.Listener.Addr().String()
	return s
}

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, known := w.servers[address]
	if !known {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.UnknownNetworkError("no route to " + address)}
	}
	return (&net.Dialer{}).DialContext(ctx, network, to)
}

// load makes a run of one target and returns its two users.
func (w *world) load(t *testing.T, target Target) (l *Load, ttl, keep *user) {
	t.Helper()
	l, err := New(Config{Targets: []Target{target}, Resolver: w.resolver, Now: w.clock.now, Dial: w.dial, RunID: "run"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, u := range l.users {
			u.sender.close()
		}
	})
	return l, l.users[0], l.users[1]
}

func shopTarget() Target {
	return Target{Host: "shop.apps.test", Expect: "shop on", Reads: 1, Writes: 1}
}

// until waits for what another goroutine does in its own time.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
		runtime.Gosched()
	}
}

// newServer serves handler and returns where it listens.
func newServer(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
