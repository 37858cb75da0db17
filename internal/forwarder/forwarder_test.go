package forwarder_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/forwarder"
)

// patience ends what hangs.
const patience = time.Minute

func start(t *testing.T, config forwarder.Config) *forwarder.Server {
	t.Helper()
	config.Status = "127.0.0.1:0"
	for i := range config.Ways {
		config.Ways[i].Listen = "127.0.0.1:0"
		if config.Ways[i].Protocol == "" {
			config.Ways[i].Protocol = "tcp"
		}
	}
	config.Linger = time.Nanosecond
	if config.Grace == 0 {
		config.Grace = time.Nanosecond
	}
	s, err := forwarder.Start(t.Context(), config, slog.New(slog.DiscardHandler), clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

// green is a server that is given each connection.
func green(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		group.Wait()
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(patience))
				serve(conn.(*net.TCPConn))
			})
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, at netip.AddrPort) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// isReset fails the test where a client of the first way is not reset. It may learn so before it knows that it is connected.
func isReset(t *testing.T, s *forwarder.Server) {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr(0).String())
	if err == nil {
		c.SetDeadline(time.Now().Add(patience))
		_, err = io.ReadAll(c)
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %v, want a reset", err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal(what)
		}
	}
}

func get(t *testing.T, s *forwarder.Server, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + s.StatusAddr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// A client that has said all it has to say still gets its whole answer, and one whose server has said all may still talk.
func TestHalfClosedConnectionsGoOnTheOtherWay(t *testing.T) {
	to := green(t, func(c *net.TCPConn) {
		question, _ := io.ReadAll(c) // until the client has closed its side
		fmt.Fprintf(c, "%d bytes", len(question))
	})
	s := start(t, forwarder.Config{Ways: []forwarder.Way{{Name: "a", To: []string{to}}}})
	c := dial(t, s.Addr(0))
	if _, err := c.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "1048576 bytes" {
		t.Errorf("the answer after the client closed its side: %q, %v", got, err)
	}

	heard := make(chan string, 1)
	to = green(t, func(c *net.TCPConn) {
		io.WriteString(c, "all I say")
		c.CloseWrite()
		rest, _ := io.ReadAll(c)
		heard <- string(rest)
	})
	s = start(t, forwarder.Config{Ways: []forwarder.Way{{Name: "a", To: []string{to}}}})
	c = dial(t, s.Addr(0))
	if got, err := io.ReadAll(c); err != nil || string(got) != "all I say" {
		t.Fatalf("got %q, %v", got, err)
	}
	io.WriteString(c, "still talking")
	c.CloseWrite()
	if got := <-heard; got != "still talking" {
		t.Errorf("the server heard %q after it had closed its side", got)
	}
}

// A side that breaks off breaks the other off: an answer that was cut short must not look whole.
func TestABrokenConnectionBreaksTheOtherSide(t *testing.T) {
	to := green(t, func(c *net.TCPConn) {
		io.WriteString(c, "half of")
		c.SetLinger(0)
	})
	s := start(t, forwarder.Config{Ways: []forwarder.Way{{Name: "a", To: []string{to}}}})
	isReset(t, s)
	eventually(t, "the connection stays open", func() bool { return s.Counts().Ways[0].Open == 0 })
}

func TestManyConnectionsAreAllCarriedAndCounted(t *testing.T) {
	to := green(t, func(c *net.TCPConn) { io.Copy(c, c) })
	s := start(t, forwarder.Config{Ways: []forwarder.Way{{Name: "a", To: []string{to}}}})
	const many = 400
	var group sync.WaitGroup
	for i := range many {
		c := dial(t, s.Addr(0)) // all are open at once
		group.Go(func() {
			said := strings.Repeat(fmt.Sprint(i, " "), 1000)
			io.WriteString(c, said)
			c.CloseWrite()
			if got, err := io.ReadAll(c); err != nil || string(got) != said {
				t.Errorf("connection %d got %d of %d bytes back: %v", i, len(got), len(said), err)
			}
		})
	}
	group.Wait()
	eventually(t, "connections stay open", func() bool { return s.Counts().Ways[0].Open == 0 })
	// All come from the machine itself, which is how a try of ours comes: none of them is a client.
	if w := s.Counts().Ways[0]; w.Failed != 0 || w.Turned != 0 || w.Connections != 0 {
		t.Errorf("counted %+v", w)
	}
}

// outside is an address of this machine that is not its loopback, where it has one.
func outside(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address beside its loopback")
	return ""
}

func TestWhoIsRefusedIsCountedByAddress(t *testing.T) {
	from := outside(t)
	s, err := forwarder.Start(t.Context(), forwarder.Config{
		Status: "127.0.0.1:0", Linger: 1, Grace: 1,
		Ways: []forwarder.Way{{Name: "shop:80", Protocol: "tcp", Listen: from + ":0"}, {Name: "dns:53", Protocol: "udp", Listen: from + ":0"}},
	}, slog.New(slog.DiscardHandler), clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop(context.Background())
	for range 3 {
		isReset(t, s)
	}
	eventually(t, "not all were counted", func() bool { return s.Counts().Ways[0].Connections == 3 })
	u, err := net.Dial("udp", s.Addr(1).String())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	fmt.Fprint(u, "question")
	eventually(t, "the datagram was not counted", func() bool { return s.Counts().Ways[1].Connections == 1 })
	_, body := get(t, s, "/counts")
	var counts forwarder.Counts
	if err := json.Unmarshal([]byte(body), &counts); err != nil {
		t.Fatal(err)
	}
	w := counts.Ways[0]
	if w.Name != "shop:80" || w.Connections != 3 || len(w.Clients) != 1 || w.Clients[0].Address.String() != from || w.Clients[0].Connections != 3 || w.Clients[0].Last.IsZero() {
		t.Errorf("counted %+v", w)
	}
	if counts.Instance == "" || counts.Started.IsZero() {
		t.Errorf("nothing tells this process from another: %+v", counts)
	}
	if _, text := get(t, s, "/metrics"); !strings.Contains(text, `crossfade_forwarder_connections_total{way="shop:80"} 3`) {
		t.Errorf("metrics: %s", text)
	}
}

// Where green is gone the client learns so at once, it is counted, and the next target is asked.
func TestGreenGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	l.Close()
	s := start(t, forwarder.Config{Ways: []forwarder.Way{{Name: "a", To: []string{gone}}}})
	if code, text := get(t, s, "/ready"); code != http.StatusServiceUnavailable {
		t.Errorf("ready says %d %s of a way whose target is gone", code, text)
	}
	isReset(t, s)
	eventually(t, "the failure is not counted", func() bool { return s.Counts().Ways[0].Failed == 1 })

	there := green(t, func(c *net.TCPConn) { io.WriteString(c, "green") })
	s = start(t, forwarder.Config{Ways: []forwarder.Way{{Name: "a", To: []string{gone, there}}}})
	if got, err := io.ReadAll(dial(t, s.Addr(0))); err != nil || string(got) != "green" {
		t.Errorf("with a second target: %q, %v", got, err)
	}
	if code, text := get(t, s, "/ready"); code != http.StatusOK {
		t.Errorf("ready says %d %s", code, text)
	}
}

func TestBeyondTheLimitIsTurnedAwayAndCounted(t *testing.T) {
	to := green(t, func(c *net.TCPConn) { io.Copy(c, c) })
	s := start(t, forwarder.Config{Limit: 2, Ways: []forwarder.Way{{Name: "a", To: []string{to}}}})
	var kept []*net.TCPConn
	for range 2 {
		c := dial(t, s.Addr(0))
		echo(t, c, "kept")
		kept = append(kept, c)
	}
	isReset(t, s)
	if w := s.Counts().Ways[0]; w.Turned != 1 || w.Open != 2 {
		t.Errorf("counted %+v", w)
	}
	kept[0].CloseWrite()
	io.ReadAll(kept[0])
	eventually(t, "the place is not given back", func() bool { return s.Counts().Ways[0].Open == 1 })
	echo(t, dial(t, s.Addr(0)), "again")
}

func echo(t *testing.T, c *net.TCPConn, text string) {
	t.Helper()
	io.WriteString(c, text)
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("echo of %q: %q, %v", text, got, err)
	}
}

// What is open when it is told to end may end in its own time; what takes longer is broken off, and nobody new is taken.
func TestDrain(t *testing.T) {
	to := green(t, func(c *net.TCPConn) { io.Copy(c, c) })
	s := start(t, forwarder.Config{Grace: patience, Ways: []forwarder.Way{{Name: "a", To: []string{to}}}})
	c := dial(t, s.Addr(0))
	echo(t, c, "before")
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	eventually(t, "it still accepts", func() bool {
		conn, err := net.Dial("tcp", s.Addr(0).String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	echo(t, c, "while it drains")
	if code, _ := get(t, s, "/ready"); code != http.StatusServiceUnavailable {
		t.Errorf("ready says %d while it drains", code)
	}
	select {
	case err := <-stopped:
		t.Fatalf("it ended with a connection open: %v", err)
	default:
	}
	c.CloseWrite()
	if err := <-stopped; err != nil {
		t.Error(err)
	}

	s = start(t, forwarder.Config{Grace: time.Nanosecond, Ways: []forwarder.Way{{Name: "a", To: []string{to}}}})
	c = dial(t, s.Addr(0))
	echo(t, c, "before")
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(c); err == nil {
		t.Error("a connection that outlasts its time looks as if it had ended in good order")
	}
}

func TestProxyProtocol(t *testing.T) {
	got := make(chan []byte, 1)
	to := green(t, func(c *net.TCPConn) {
		header := make([]byte, 28+5)
		io.ReadFull(c, header)
		got <- header
	})
	s := start(t, forwarder.Config{ProxyProtocol: true, Ways: []forwarder.Way{{Name: "a", To: []string{to}}}})
	c := dial(t, s.Addr(0))
	io.WriteString(c, "hello")
	header := <-got
	port := c.LocalAddr().(*net.TCPAddr).Port
	want := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01"), byte(port>>8), byte(port), byte(s.Addr(0).Port()>>8), byte(s.Addr(0).Port()))
	if want = append(want, "hello"...); !bytes.Equal(header, want) {
		t.Errorf("got  %q\nwant %q", header, want)
	}
}

// A try goes the whole way under the real hostname, by TLS too, and nobody is counted for it.
func TestTry(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "example.com" || r.URL.Path != "/health" {
			http.Error(w, r.Host+r.URL.Path, http.StatusNotFound)
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	s := start(t, forwarder.Config{Ways: []forwarder.Way{
		{Name: "plain", To: []string{plain.Listener.Addr().String()}}, {Name: "secure", To: []string{secure.Listener.Addr().String()}},
	}})
	for query, want := range map[string]string{
		"way=plain&scheme=http&host=example.com&path=/health":    `{"status":200}`,
		"way=secure&scheme=https&host=example.com&path=/health":  `{"status":200}`,
		"way=plain&scheme=http&host=other.test&path=/health":     `{"status":404}`,
		"way=secure&scheme=https&host=other.test&path=/health":   "other.test",
		"way=nowhere&scheme=https&host=example.com&path=/health": "there is no way",
	} {
		if _, body := get(t, s, "/try?"+query); !strings.Contains(body, want) {
			t.Errorf("%s: %s, want %s", query, body, want)
		}
	}
	if w := s.Counts().Ways[0]; w.Connections != 0 {
		t.Errorf("a try was counted: %+v", w)
	}
}

func TestAConfigurationThatCannotBeDone(t *testing.T) {
	for text, want := range map[string]string{
		`{`:               "unexpected end",
		`{"status":":1"}`: "no way",
		`{"status":":1","ways":[{"name":"a","protocol":"sctp","listen":":2"}]}`:                                            "only tcp and udp",
		`{"status":":1","ways":[{"name":"a","protocol":"udp","listen":":2","to":["x:1"]}]}`:                                "udp is not passed on",
		`{"status":":1","ways":[{"name":"a","protocol":"tcp","listen":":2"},{"name":"a","protocol":"tcp","listen":":3"}]}`: "a name of its own",
	} {
		if _, err := forwarder.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
