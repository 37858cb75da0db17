package nameserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A Delayer stands between one secondary and its primary. It passes questions by UDP on at once, and holds every connection
// back before the first byte, once it is told to: transfers begin later by that much.
type Delayer struct {
	target netip.AddrPort
	delay  atomic.Int64 // nanoseconds
	held   atomic.Int64
	udp    *net.UDPConn
	tcp    net.Listener
	group  sync.WaitGroup
	end    context.CancelFunc
}

// StartDelayer starts one on the way to a primary. It holds nothing back until Set.
func StartDelayer(target netip.AddrPort) (*Delayer, error) {
	for range 20 {
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("start the delayed way to %s: %w", target, err)
		}
		at, err := netip.ParseAddrPort(tcp.Addr().String())
		if err != nil {
			return nil, errors.Join(err, tcp.Close())
		}
		udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
		if err != nil {
			_ = tcp.Close() // the port is somebody's by UDP: another one
			continue
		}
		d := &Delayer{target: target, udp: udp, tcp: tcp}
		ctx, end := context.WithCancel(context.Background())
		d.end = end
		d.group.Go(func() { d.questions(ctx) })
		d.group.Go(func() { d.transfers(ctx) })
		return d, nil
	}
	return nil, fmt.Errorf("start the delayed way to %s: no port is free by both protocols", target)
}

// Set says for how long connections are held back, those that wait already among them.
func (d *Delayer) Set(delay time.Duration) { d.delay.Store(int64(delay)) }

// Held is how many connections are being held back.
func (d *Delayer) Held() int { return int(d.held.Load()) }

// Addr is where a secondary asks instead of its primary.
func (d *Delayer) Addr() netip.AddrPort { return netip.MustParseAddrPort(d.tcp.Addr().String()) }

// Stop ends it, with every connection.
func (d *Delayer) Stop() {
	d.end()
	// Nothing that is read or written here matters any more.
	_, _ = d.udp.Close(), d.tcp.Close()
	d.group.Wait()
}

func (d *Delayer) questions(ctx context.Context) {
	packet := make([]byte, 64<<10)
	for {
		n, from, err := d.udp.ReadFromUDPAddrPort(packet)
		if err != nil {
			return
		}
		question := append([]byte(nil), packet[:n]...)
		d.group.Go(func() {
			// A question that is lost is asked again, as by any network.
			if reply, err := d.ask(ctx, question); err == nil {
				_, _ = d.udp.WriteToUDPAddrPort(reply, from)
			}
		})
	}
}

func (d *Delayer) ask(ctx context.Context, question []byte) ([]byte, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp4", d.target.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // it was only asked
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(question); err != nil {
		return nil, err
	}
	reply := make([]byte, 64<<10)
	n, err := conn.Read(reply)
	return reply[:n], err
}

func (d *Delayer) transfers(ctx context.Context) {
	for {
		conn, err := d.tcp.Accept()
		if err != nil {
			return
		}
		d.group.Go(func() { d.hold(ctx, conn) })
	}
}

// hold keeps one connection waiting, and passes it on then.
func (d *Delayer) hold(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }() // the other end has what it will get
	d.held.Add(1)
	for began := time.Now(); time.Since(began) < time.Duration(d.delay.Load()); {
		select {
		case <-ctx.Done():
			d.held.Add(-1)
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	d.held.Add(-1)
	on, err := new(net.Dialer).DialContext(ctx, "tcp4", d.target.String())
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _, _ = on.Close(), conn.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pass(on, conn) })
	both.Go(func() { pass(conn, on) })
	both.Wait()
	_ = on.Close() // as above
}

// pass copies one way to its end, and says so to the other side.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from) // a broken transfer is the servers' to mend
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite() // as above
	}
}
