package forwarder

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

const dialTimeout = 3 * time.Second

// targets are where a way passes connections on to.
type targets struct {
	list []string
	// good is the one that answered last: the others are tried only when it does not.
	good    atomic.Int32
	reached atomic.Bool
}

// dial connects to the first target that answers.
func (t *targets) dial(ctx context.Context) (*net.TCPConn, error) {
	var errs []error
	first := int(t.good.Load())
	for i := range t.list {
		at := (first + i) % len(t.list)
		conn, err := t.one(ctx, t.list[at])
		if err == nil {
			t.good.Store(int32(at))
			t.reached.Store(true)
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (t *targets) one(ctx context.Context, address string) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is not reached by TCP", address), conn.Close())
	}
	return tcp, nil
}

// reset ends a connection so that the other side learns that it did not end in good order.
func reset(conn *net.TCPConn) {
	// Nothing can be done about a socket that is closed already, which is the only error of both.
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// pipe passes bytes both ways until both sides have ended. A side that ends in good order is passed on as such, and the other may go
// on talking; a side that breaks off breaks the other off.
func pipe(a, b *net.TCPConn) {
	done := make(chan struct{}, 2)
	one := func(to, from *net.TCPConn) {
		defer func() { done <- struct{}{} }()
		_, err := io.Copy(to, from)
		if err == nil {
			err = to.CloseWrite()
		}
		if err != nil {
			reset(a)
			reset(b)
		}
	}
	go one(a, b)
	go one(b, a)
	<-done
	<-done
	// Both have ended: what is left are the sockets themselves.
	_ = a.Close()
	_ = b.Close()
}

// proxyHeader is the PROXY protocol's header, version 2 (haproxy's document "The PROXY protocol", section 2.2).
func proxyHeader(from, to netip.AddrPort) []byte {
	header := []byte("\r\n\r\n\x00\r\nQUIT\n\x21")
	src, dst := from.Addr().Unmap(), to.Addr().Unmap()
	family := byte(0x11)
	if src.Is6() || dst.Is6() {
		family = 0x21
		src, dst = netip.AddrFrom16(src.As16()), netip.AddrFrom16(dst.As16())
	}
	body := append(src.AsSlice(), dst.AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, from.Port())
	body = binary.BigEndian.AppendUint16(body, to.Port())
	header = append(header, family)
	header = binary.BigEndian.AppendUint16(header, uint16(len(body)))
	return append(header, body...)
}

// addrPort of a socket, IPv4 addresses as such.
func addrPort(a net.Addr) netip.AddrPort {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{} // sockets of TCP and UDP have addresses
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
