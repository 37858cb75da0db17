package forwarder

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
)

// logEvery is how often it says who came, beside each address's first time.
const logEvery = time.Minute

// Server passes connections on, or refuses them, and counts.
type Server struct {
	config   Config
	instance string
	started  time.Time
	clock    clock.Clock
	log      *slog.Logger
	ways     []*way
	status   *http.Server
	listener net.Listener

	draining atomic.Bool
	// accepting are the goroutines of the ways, busy those of their connections, telling is that of the status server.
	accepting, busy, telling sync.WaitGroup
	mu                       sync.Mutex
	open                     map[*net.TCPConn]bool
}

// way is a Way at work. One of its sockets is set.
type way struct {
	Way
	tally   *tally
	targets targets
	tcp     *net.TCPListener
	udp     net.PacketConn
}

// Start listens at all ways. Stop ends it, the end of the context does not.
func Start(ctx context.Context, config Config, log *slog.Logger, at clock.Clock) (*Server, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	s := &Server{config: config.withDefaults(), instance: rand.Text(), clock: at, log: log, open: map[*net.TCPConn]bool{}}
	s.started = at.Now().UTC()
	for _, w := range s.config.Ways {
		if err := s.listen(w); err != nil {
			return nil, errors.Join(fmt.Errorf("listen at %s: %w", w.Name, err), s.close())
		}
	}
	var err error
	if s.listener, err = net.Listen("tcp", s.config.Status); err != nil {
		return nil, errors.Join(fmt.Errorf("listen at %s: %w", s.config.Status, err), s.close())
	}
	s.status = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	for _, w := range s.ways {
		s.accepting.Go(func() {
			if w.udp != nil {
				s.hear(w)
				return
			}
			s.accept(ctx, w)
		})
	}
	s.telling.Go(func() { _ = s.status.Serve(s.listener) }) // it ends when it is closed
	return s, nil
}

func (s *Server) listen(w Way) error {
	one := &way{Way: w, tally: newTally(w.Name), targets: targets{list: w.To}}
	if w.Protocol == "udp" {
		var err error
		if one.udp, err = net.ListenPacket("udp", w.Listen); err != nil {
			return err
		}
		s.ways = append(s.ways, one)
		return nil
	}
	l, err := net.Listen("tcp", w.Listen)
	if err != nil {
		return err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return errors.Join(fmt.Errorf("%s is no address of TCP", w.Listen), l.Close())
	}
	one.tcp = tcp
	s.ways = append(s.ways, one)
	return nil
}

// Run serves until the context ends, and then until the connections have ended, or their time is over.
func Run(ctx context.Context, config Config, out io.Writer) error {
	log := slog.New(slog.NewJSONHandler(out, nil))
	s, err := Start(ctx, config, log, clock.System{})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if s.clock.Sleep(ctx, logEvery) == nil {
			s.say()
		}
	}
	return s.Stop(context.WithoutCancel(ctx))
}

func (s *Server) say() {
	for _, w := range s.Counts().Ways {
		s.log.Info("so far", "way", w.Name, "connections", w.Connections, "open", w.Open, "failed", w.Failed, "turned", w.Turned, "clients", len(w.Clients))
	}
}

// Counts tells what was counted so far.
func (s *Server) Counts() Counts {
	c := Counts{Format: Format, Instance: s.instance, Started: s.started}
	for _, w := range s.ways {
		c.Ways = append(c.Ways, w.tally.read())
	}
	return c
}

// StatusAddr is where the server tells what it counts.
func (s *Server) StatusAddr() netip.AddrPort { return addrPort(s.listener.Addr()) }

// Addr is where a way listens, by its place in the Config.
func (s *Server) Addr(i int) netip.AddrPort {
	if w := s.ways[i]; w.udp != nil {
		return addrPort(w.udp.LocalAddr())
	}
	return addrPort(s.ways[i].tcp.Addr())
}

// acceptPause is how long a way waits when its socket gives no connection, as where there are no more files.
const acceptPause = 100 * time.Millisecond

func (s *Server) accept(ctx context.Context, w *way) {
	for {
		conn, err := w.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Warn("no connection was accepted", "way", w.Name, "error", err.Error())
			if s.clock.Sleep(ctx, acceptPause) != nil {
				return
			}
			continue
		}
		s.count(w, addrPort(conn.RemoteAddr()).Addr())
		if len(w.To) == 0 {
			reset(conn)
			continue
		}
		if !w.tally.enter(s.config.Limit) {
			reset(conn)
			continue
		}
		s.busy.Go(func() { w.tally.leave(s.serve(ctx, w, conn)) })
	}
}

func (s *Server) count(w *way, from netip.Addr) {
	if w.tally.came(from, s.clock.Now().UTC()) {
		s.log.Info("a client comes for the first time", "way", w.Name, "client", from.String())
	}
}

// hear counts datagrams, and answers none.
func (s *Server) hear(w *way) {
	buffer := make([]byte, 1)
	for {
		_, from, err := w.udp.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if from != nil {
			s.count(w, addrPort(from).Addr())
		}
	}
}

// serve passes one connection on, and says whether no target took it.
func (s *Server) serve(ctx context.Context, w *way, client *net.TCPConn) (failed bool) {
	s.hold(client, true)
	defer s.hold(client, false)
	target, err := w.targets.dial(ctx)
	if err != nil {
		s.log.Warn("no target answers", "way", w.Name, "client", client.RemoteAddr().String(), "error", err.Error())
		reset(client)
		return true
	}
	s.hold(target, true)
	defer s.hold(target, false)
	if s.config.ProxyProtocol {
		if _, err := target.Write(proxyHeader(addrPort(client.RemoteAddr()), addrPort(client.LocalAddr()))); err != nil {
			reset(client)
			reset(target)
			return true
		}
	}
	pipe(client, target)
	return false
}

func (s *Server) hold(conn *net.TCPConn, held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held {
		s.open[conn] = true
		return
	}
	delete(s.open, conn)
}

// Stop says that it is not ready any more, goes on accepting for a while, then lets the connections that are open end, for a while.
func (s *Server) Stop(ctx context.Context) error {
	s.draining.Store(true)
	_ = s.clock.Sleep(ctx, s.config.Linger) // whoever ends it early wants it to end
	for _, w := range s.ways {
		w.shut()
	}
	s.accepting.Wait()
	ended := make(chan struct{})
	go func() {
		s.busy.Wait()
		close(ended)
	}()
	patience, cancel := context.WithCancel(ctx)
	go func() {
		<-ended
		cancel()
	}()
	_ = s.clock.Sleep(patience, s.config.Grace)
	cancel()
	s.mu.Lock()
	for conn := range s.open {
		reset(conn)
	}
	s.mu.Unlock()
	<-ended
	s.say()
	return s.close()
}

func (w *way) shut() {
	// A socket that is closed already is what is wanted.
	if w.udp != nil {
		_ = w.udp.Close()
		return
	}
	_ = w.tcp.Close()
}

func (s *Server) close() error {
	for _, w := range s.ways {
		w.shut()
	}
	var err error
	if s.status != nil {
		err = s.status.Close()
	} else if s.listener != nil {
		err = s.listener.Close()
	}
	s.accepting.Wait()
	s.telling.Wait()
	return err
}
