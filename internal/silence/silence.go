// Package silence bounds how long a server may say nothing on a connection, so that a network that drops packets, or a program
// that hangs, ends in an error that says so and not in a wait for ever. It does not bound how long a transfer takes that goes
// on: bytes in either direction begin the time anew.
//
//	request ── written ──> nothing comes for a third of the limit: Notice ──> nothing comes for the limit: *Error
package silence

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"errors"
)

// Default is the limit where none is set.
const Default = 30 * time.Second

// smallest is how many bytes a request has at least; what is less, HTTP/2 says on its own account.
const smallest = 64

// Limit bounds the silence of connections. The zero value is Default, told to nobody.
type Limit struct {
	// For is how long a server may say nothing, and how long it may take to accept a connection.
	For time.Duration
	// Notice, where set, is told while an answer is being waited for, from several goroutines.
	Notice func(address string, silent, limit time.Duration)
}

// Error says that a server said nothing for too long. It counts as a timeout, and as something that passes.
type Error struct {
	Address string
	For     time.Duration
	// Dialling is set where the connection was not even accepted.
	Dialling bool
}

// Error says who was silent, and what that means most often.
func (e *Error) Error() string {
	if e.Dialling {
		return fmt.Sprintf("%s did not accept a connection within %s: is it up, and does a firewall drop what is sent to it?", e.Address, e.For)
	}
	return fmt.Sprintf("%s said nothing for %s: the connection to it hangs", e.Address, e.For)
}

// Timeout implements net.Error.
func (e *Error) Timeout() bool { return true }

// Temporary implements net.Error.
func (e *Error) Temporary() bool { return true }

// DialContext is what http.Transport and client-go dial by.
type DialContext func(ctx context.Context, network, address string) (net.Conn, error)

// Dial returns a dialler whose connections are bounded.
func (l Limit) Dial() DialContext {
	limit := l.For
	if limit <= 0 {
		limit = Default
	}
	dialer := &net.Dialer{KeepAlive: 30 * time.Second}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		within, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		c, err := dialer.DialContext(within, network, address)
		if err != nil {
			if within.Err() != nil && ctx.Err() == nil {
				return nil, &Error{Address: address, For: limit, Dialling: true}
			}
			return nil, err
		}
		return &conn{Conn: c, address: address, limit: limit, notice: l.Notice}, nil
	}
}

// conn is a connection whose reads and writes end when nothing moves.
type conn struct {
	net.Conn
	address string
	limit   time.Duration
	notice  func(string, time.Duration, time.Duration)

	last    atomic.Int64 // when bytes moved, in nanoseconds since 1970
	written atomic.Int64 // bytes since the last that came
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	began := time.Now()
	noticed := false
	for {
		since := began
		if moved := time.Unix(0, c.last.Load()); moved.After(since) {
			since = moved
		}
		until := since.Add(c.limit)
		if c.notice != nil && !noticed && c.limit > 0 {
			until = since.Add(c.limit / 3)
		}
		if err := c.SetReadDeadline(until); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(p)
		if n > 0 {
			c.last.Store(time.Now().UnixNano())
			c.written.Store(0)
		}
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		now := time.Now()
		if moved := time.Unix(0, c.last.Load()); moved.After(since) {
			continue // a long request is still being sent
		}
		if now.Sub(since) >= c.limit {
			return 0, &Error{Address: c.address, For: c.limit}
		}
		if c.notice != nil && !noticed {
			noticed = true
			if c.written.Load() >= smallest {
				c.notice(c.address, now.Sub(since).Round(time.Millisecond), c.limit)
			}
		}
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	c.written.Add(int64(len(p))) // before it is sent: the answer may come before Write returns, and ends the wait
	n, err := c.Conn.Write(p)
	if n > 0 {
		c.last.Store(time.Now().UnixNano())
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = &Error{Address: c.address, For: c.limit}
	}
	return n, err
}
