package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Mode is what a proxy does with what it is sent.
type Mode string

// The modes of a proxy.
const (
	Passing Mode = "passing"
	Dropped Mode = "dropped" // packets vanish: connections are neither accepted nor refused, and those there are fall silent
	Reset   Mode = "reset"   // every connection ends at once, those there are too
	Stalled Mode = "stalled" // connections are accepted, and then nothing is said
	Slow    Mode = "slow"    // a little at a time
)

// Modes lists those that cut.
func Modes() []Mode { return []Mode{Dropped, Reset, Stalled, Slow} }

const (
	slowChunk = 1 << 10
	slowPause = 100 * time.Millisecond
	tick      = 20 * time.Millisecond
)

// Proxy stands between the program and one server.
type Proxy struct {
	target   string
	listener *net.TCPListener
	group    sync.WaitGroup

	mu    sync.Mutex
	mode  Mode
	ended bool
	conns map[*net.TCPConn]bool
	// plugs are connections of the proxy to itself that fill its queue, so that the kernel drops whoever else knocks.
	plugs []net.Conn
	met   int // connections that were there or came while it cut
}

// NewProxy starts a proxy for a server, host:port, which passes everything.
func NewProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the proxy of %s: %w", target, err)
	}
	p := &Proxy{target: target, listener: l.(*net.TCPListener), mode: Passing, conns: map[*net.TCPConn]bool{}}
	p.group.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Met says how many connections felt the cut.
func (p *Proxy) Met() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.met
}

// Set changes the mode, for the connections there are too.
func (p *Proxy) Set(mode Mode) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.mode
	p.mode = mode
	if mode != Passing {
		p.met += len(p.conns)
	}
	var errs []error
	switch {
	case mode == Reset:
		for c := range p.conns {
			reset(c)
		}
	case mode == Dropped && before != Dropped:
		errs = append(errs, p.plug())
	}
	if before == Dropped && mode != Dropped {
		errs = append(errs, p.unplug())
	}
	return errors.Join(errs...)
}

// Close ends the proxy and all its connections.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.ended = true
	errs := []error{p.listener.Close()}
	for c := range p.conns {
		errs = append(errs, c.Close())
	}
	for _, c := range p.plugs {
		errs = append(errs, c.Close())
	}
	p.mu.Unlock()
	p.group.Wait()
	return errors.Join(errs...)
}

func (p *Proxy) now() (Mode, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode, p.ended
}

func (p *Proxy) accept() {
	for {
		mode, ended := p.now()
		if ended {
			return
		}
		if mode == Dropped {
			time.Sleep(tick)
			continue
		}
		_ = p.listener.SetDeadline(time.Now().Add(tick))
		c, err := p.listener.AcceptTCP()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return
		}
		p.group.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(c *net.TCPConn) {
	if !p.enter(c) {
		return
	}
	defer p.leave(c)
	if mode, _ := p.now(); mode == Reset {
		reset(c)
		return
	}
	up, err := net.Dial("tcp4", p.target)
	if err != nil {
		return
	}
	server := up.(*net.TCPConn)
	if !p.enter(server) {
		return
	}
	defer p.leave(server)
	var both sync.WaitGroup
	both.Go(func() { p.copy(server, c) })
	both.Go(func() { p.copy(c, server) })
	both.Wait()
}

func (p *Proxy) enter(c *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	if p.mode != Passing {
		p.met++
	}
	return true
}

func (p *Proxy) leave(c *net.TCPConn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	_ = c.Close()
}

// copy passes bytes on as the mode allows. The end of one direction ends it for the other side's writes only.
func (p *Proxy) copy(to, from *net.TCPConn) {
	defer func() { _ = to.CloseWrite() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.pass(to, buf[:n]) || err != nil {
			return
		}
	}
}

func (p *Proxy) pass(to io.Writer, data []byte) bool {
	for len(data) > 0 {
		mode, ended := p.now()
		switch {
		case ended:
			return false
		case mode == Dropped || mode == Stalled:
			time.Sleep(tick)
			continue
		}
		n := len(data)
		if mode == Slow {
			time.Sleep(slowPause)
			n = min(n, slowChunk)
		}
		if _, err := to.Write(data[:n]); err != nil {
			return false
		}
		data = data[n:]
	}
	return true
}

// reset ends a connection with a RST. One that has ended already is as it should be.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
