package load

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func sides(l *Load) map[string]int {
	got := map[string]int{}
	for side, seen := range l.Report().Targets[0].Sides {
		got[side] = seen.Answers
	}
	return got
}

func clientReport(l *Load, kind string) ClientReport {
	for _, c := range l.Report().Targets[0].Clients {
		if c.Kind == kind {
			return c
		}
	}
	return ClientReport{}
}

func TestTTLUserMovesExactlyWhenTheAnswerEnds(t *testing.T) {
	w := newWorld(t)
	l, user, _ := w.load(t, shopTarget())
	user.read(t.Context())
	w.resolver.set(10*time.Second, greenAddress) // the swap
	w.clock.move(10*time.Second - time.Nanosecond)
	user.read(t.Context())
	if got := sides(l); got["blue"] != 2 || w.resolver.count() != 1 {
		t.Errorf("just before the TTL ended: answers %v, %d look-ups; want 2 of blue and 1", got, w.resolver.count())
	}
	w.clock.move(time.Nanosecond)
	user.read(t.Context())
	if got := sides(l); got["green"] != 1 || w.resolver.count() != 2 {
		t.Errorf("when the TTL ended: answers %v, %d look-ups; want 1 of green and 2", got, w.resolver.count())
	}
	until(t, "the connection to blue is closed", func() bool { return w.blue.connections() == 0 })
	if r := clientReport(l, KindTTL); r.Connects != 2 || r.Lookups != 2 || r.Totals.Failed() != 0 {
		t.Errorf("ttl user = %+v, want 2 connections, 2 look-ups, 0 failed", r)
	}
}

func TestTTLUserKeepsItsConnectionWhileTheAddressStays(t *testing.T) {
	w := newWorld(t)
	l, user, _ := w.load(t, shopTarget())
	for range 5 {
		user.read(t.Context())
		w.clock.move(11 * time.Second)
	}
	if r := clientReport(l, KindTTL); r.Connects != 1 || r.Lookups != 5 {
		t.Errorf("ttl user = %+v, want 1 connection and 5 look-ups", r)
	}
}

func TestTTLUserUsesEveryAddressOfTheAnswer(t *testing.T) {
	w := newWorld(t)
	w.resolver.set(time.Minute, blueAddress, greenAddress)
	l, user, _ := w.load(t, shopTarget())
	for range 4 {
		user.read(t.Context())
	}
	if got := sides(l); got["blue"] != 2 || got["green"] != 2 {
		t.Errorf("answers %v, want 2 of each", got)
	}
}

func TestADroppedPoolIsClosedWhenItsLastRequestEnds(t *testing.T) {
	w := newWorld(t)
	_, u, _ := w.load(t, shopTarget())
	u.read(t.Context())
	s, _ := u.sender.(*ttlSender)
	p := s.take([]netip.Addr{blueAddress}) // a request under way
	s.take([]netip.Addr{greenAddress})
	if w.blue.connections() != 1 {
		t.Fatal("the connection of a request under way was closed")
	}
	s.give(p)
	until(t, "the connection to blue is closed", func() bool { return w.blue.connections() == 0 })
}

func TestKeepUserStaysUntilTheServerClosesItsConnection(t *testing.T) {
	w := newWorld(t)
	l, _, user := w.load(t, shopTarget())
	user.read(t.Context())
	w.resolver.set(time.Second, greenAddress)
	w.clock.move(time.Hour)
	user.read(t.Context())
	user.write(t.Context())
	if got := sides(l); got["blue"] != 3 || w.resolver.count() != 1 {
		t.Fatalf("with its connection open: answers %v, %d look-ups; want 3 of blue and 1", got, w.resolver.count())
	}
	w.blue.change(func(s *fakeShop) { s.drain = true })
	user.read(t.Context()) // answered by blue, with Connection: close
	user.read(t.Context())
	if got := sides(l); got["blue"] != 4 || got["green"] != 1 || w.resolver.count() != 2 {
		t.Errorf("after the drain: answers %v, %d look-ups; want 4 of blue, 1 of green and 2", got, w.resolver.count())
	}
	if r := clientReport(l, KindKeep); r.Connects != 2 || r.Totals.Failed() != 0 || r.Totals.Repeats != 0 {
		t.Errorf("keep user = %+v, want 2 connections, nothing failed or repeated", r)
	}
}

func TestKeepUserHasOneConnectionForReadsAndWrites(t *testing.T) {
	w := newWorld(t)
	l, _, user := w.load(t, shopTarget())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { user.read(t.Context()) })
		all.Go(func() { user.write(t.Context()) })
	}
	all.Wait()
	if r := clientReport(l, KindKeep); r.Connects != 1 || r.Totals.Requests != 40 || r.Totals.Failed() != 0 {
		t.Errorf("keep user = %+v, want 40 requests on 1 connection", r)
	}
}

// scripted serves connections by hand: each gets as many answers as its script
// says, then its next request is read and the connection closed without an answer.
func scripted(t *testing.T, answers ...int) (address string, requests func() []string) {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 100)
	go func() {
		for _, n := range answers {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serveScript(conn, n, seen)
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String(), func() []string {
		var all []string
		for len(seen) > 0 {
			all = append(all, <-seen)
		}
		return all
	}
}

func serveScript(conn net.Conn, answers int, seen chan<- string) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for i := 0; ; i++ {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		seen <- request.Method + " " + request.URL.Path
		if i >= answers {
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 201 Created\r\nX-Side: blue\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

func TestAnIdempotentRequestIsRepeatedWhenItsReusedConnectionCloses(t *testing.T) {
	for _, kind := range []string{KindTTL, KindKeep} {
		w := newWorld(t)
		address, requests := scripted(t, 1, 1)
		w.servers["192.0.2.1:80"] = address
		l, ttl, keep := w.load(t, shopTarget())
		user := ttl
		if kind == KindKeep {
			user = keep
		}
		user.write(t.Context()) // opens the connection
		user.write(t.Context()) // meets its close, and is sent again on a new one
		got := requests()
		if len(got) != 3 || got[1] != got[2] {
			t.Errorf("%s: server saw %v, want the second write twice", kind, got)
		}
		if r := clientReport(l, kind); r.Totals.Writes != 2 || r.Totals.Failed() != 0 || r.Totals.Repeats != 1 || r.Totals.Requests != 2 {
			t.Errorf("%s: %+v, want 2 requests, 2 writes, 1 repeated, 0 failed", kind, r)
		}
	}
}

func TestARequestOnAFreshConnectionIsNotRepeated(t *testing.T) {
	for _, kind := range []string{KindTTL, KindKeep} {
		w := newWorld(t)
		address, requests := scripted(t, 0, 1)
		w.servers["192.0.2.1:80"] = address
		l, ttl, keep := w.load(t, shopTarget())
		user := ttl
		if kind == KindKeep {
			user = keep
		}
		user.write(t.Context())
		if got := requests(); len(got) != 1 {
			t.Errorf("%s: server saw %v, want one request", kind, got)
		}
		if r := clientReport(l, kind); r.Totals.FailedWrites != 1 || r.Totals.Repeats != 0 {
			t.Errorf("%s: %+v, want 1 failed write, 0 repeated", kind, r)
		}
	}
}

func TestARequestThatBeganIsAnsweredAfterTheRunEnds(t *testing.T) {
	w := newWorld(t)
	l, user, _ := w.load(t, shopTarget())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	user.read(ended)
	if totals := l.Report().Totals; totals.Failed() != 0 || totals.Reads != 1 {
		t.Errorf("totals = %+v, want one good read", totals)
	}
}
