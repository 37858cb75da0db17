package cutbench

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// The sides' addresses. Both answer at one port, as two load balancers do.
const (
	blueAddr  = "127.0.0.2"
	greenAddr = "127.0.0.3"
)

// sides are web servers that play blue and green. Green can be made to fail under one hostname.
type sides struct {
	port    int
	servers []*http.Server

	mu     sync.Mutex
	broken map[string]*time.Time // when the first bad answer was given; zero until then
}

func startSides() (*sides, error) {
	for range 20 {
		blue, err := net.Listen("tcp4", blueAddr+":0")
		if err != nil {
			return nil, fmt.Errorf("start blue: %w", err)
		}
		at, err := netip.ParseAddrPort(blue.Addr().String())
		if err != nil {
			return nil, errors.Join(err, blue.Close())
		}
		green, err := net.Listen("tcp4", netip.AddrPortFrom(netip.MustParseAddr(greenAddr), at.Port()).String())
		if err != nil {
			_ = blue.Close() // another port, then
			continue
		}
		s := &sides{port: int(at.Port()), broken: map[string]*time.Time{}}
		s.serve(blue, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "hello from blue") }) // who asked is gone, then
		s.serve(green, s.green)
		return s, nil
	}
	return nil, errors.New("start blue and green: no port is free at both addresses")
}

func (s *sides) serve(l net.Listener, answer http.HandlerFunc) {
	server := &http.Server{Handler: answer, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(l) }() // it ends with stop
}

func (s *sides) stop() {
	for _, server := range s.servers {
		_ = server.Close() // nobody waits for an answer any more
	}
}

// green answers, or fails, and remembers when it failed first.
func (s *sides) green(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	s.mu.Lock()
	first, broken := s.broken[host]
	if broken && first.IsZero() {
		*first = time.Now()
	}
	s.mu.Unlock()
	if broken {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprint(w, "hello from green") // who asked is gone, then
}

// fail makes green answer badly under a name from now on.
func (s *sides) fail(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken[strings.TrimSuffix(name, ".")] = new(time.Time)
}

// failed is when green gave its first bad answer under a name.
func (s *sides) failed(name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first := s.broken[strings.TrimSuffix(name, ".")]; first != nil {
		return *first
	}
	return time.Time{}
}
