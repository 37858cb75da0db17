// Package direct is a transport of HTTP/1.1 without the two goroutines and the channels that net/http has for each connection: for requests of
// which a copy makes thousands a second. Answers are read by net/http, and so are requests written but for the plain ones: those
// whose bodies are in memory (Pieces) or that have none.
//
//	RoundTrip ── a connection that is kept, else a new one ── request ── answer ── its body is read to the end ──> kept
//	                                                                            └─ closed before, or broken ────> closed
package direct

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-project/crossfade/internal/silence"
)

const (
	bufferSize = 32 << 10 // of each of two; what is larger goes past them when it is read
	// mostIdle is how many connections are kept, and keepIdle for how long: servers close those that they hear nothing on.
	mostIdle = 256
	keepIdle = 20 * time.Second
)

// Transport sends requests to one server. Dial and Otherwise are needed.
type Transport struct {
	Dial silence.DialContext
	// TLS is how https is spoken.
	TLS *tls.Config
	// Otherwise takes the requests that go through a proxy.
	Otherwise http.RoundTripper

	mu   sync.Mutex
	idle []*conn // the one that was used last is last
}

// conn is a connection, used for one request at a time.
type conn struct {
	net.Conn
	in    *bufio.Reader
	out   *bufio.Writer
	since time.Time // it is idle
}

// errStale says that a connection that was kept had been closed by the server before it took the request.
var errStale = errors.New("the server has closed the connection meanwhile")

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if proxy, err := http.ProxyFromEnvironment(request); proxy != nil || err != nil {
		return t.Otherwise.RoundTrip(request)
	}
	for {
		c := t.kept()
		reused := c != nil
		if !reused {
			var err error
			if c, err = t.connect(request); err != nil {
				closeBody(request)
				return nil, err
			}
		}
		answer, err := t.exchange(c, request, reused)
		if !errors.Is(err, errStale) {
			return answer, err
		}
		if request, err = again(request); err != nil {
			return nil, err
		}
	}
}

// again is the request once more.
func again(request *http.Request) (*http.Request, error) {
	if request.Body == nil || request.Body == http.NoBody {
		return request, nil
	}
	if request.GetBody == nil {
		return nil, errStale
	}
	body, err := request.GetBody()
	if err != nil {
		return nil, err
	}
	next := *request
	next.Body = body
	return &next, nil
}

func closeBody(request *http.Request) {
	if request.Body != nil {
		_ = request.Body.Close() // as the contract of a transport asks
	}
}

// kept takes the connection that was used last.
func (t *Transport) kept() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := len(t.idle) - 1
	if last < 0 {
		return nil
	}
	c := t.idle[last]
	if time.Since(c.since) > keepIdle {
		// So are all before it.
		for _, old := range t.idle {
			_ = old.Close() // nothing is under way on it
		}
		t.idle = nil
		return nil
	}
	t.idle[last] = nil
	t.idle = t.idle[:last]
	return c
}

func (t *Transport) keep(c *conn) {
	c.since = time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) >= mostIdle {
		_ = c.Close() // nothing is under way on it
		return
	}
	t.idle = append(t.idle, c)
}

func (t *Transport) connect(request *http.Request) (*conn, error) {
	u := request.URL
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	plain, err := t.Dial(request.Context(), "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, err
	}
	if u.Scheme == "https" {
		settings := &tls.Config{MinVersion: tls.VersionTLS12}
		if t.TLS != nil {
			settings = t.TLS.Clone()
		}
		if settings.ServerName == "" {
			settings.ServerName = u.Hostname()
		}
		settings.NextProtos = nil // net/http puts HTTP/2 among those of its own transports
		secure := tls.Client(plain, settings)
		if err := secure.HandshakeContext(request.Context()); err != nil {
			return nil, errors.Join(err, plain.Close())
		}
		plain = secure
	}
	return &conn{Conn: plain, in: bufio.NewReaderSize(plain, bufferSize), out: bufio.NewWriterSize(plain, bufferSize)}, nil
}

// exchange sends a request and reads the head of its answer. The connection is kept when the answer's body has been read.
func (t *Transport) exchange(c *conn, request *http.Request, reused bool) (*http.Response, error) {
	ctx := request.Context()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // which ends what waits for it
	fail := func(err error) (*http.Response, error) {
		stop()
		err = errors.Join(err, c.Close())
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	err := c.write(request)
	if err == nil {
		err = c.out.Flush()
	}
	if err == nil {
		_, err = c.in.Peek(1)
	}
	if err != nil {
		if reused && ctx.Err() == nil && !isSilence(err) {
			err = errStale
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fail(err)
	}
	answer, err := http.ReadResponse(c.in, request)
	for err == nil && answer.StatusCode < 200 {
		answer, err = http.ReadResponse(c.in, request) // those before the last have no body
	}
	if err != nil {
		return fail(err)
	}
	b := &body{from: answer.Body, conn: c, of: t, stop: stop, last: answer.Close, ctx: ctx}
	if answer.Body == http.NoBody {
		b.end(nil)
	}
	answer.Body = b
	return answer, nil
}

func isSilence(err error) bool {
	var s *silence.Error
	return errors.As(err, &s)
}

// body is an answer's. Its end gives the connection back.
type body struct {
	from io.Reader // never closed: that would read the rest
	conn *conn
	of   *Transport
	stop func() bool
	last bool            // the server takes no further request on the connection
	ctx  context.Context //nolint:containedctx // the request's
	over atomic.Bool
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.over.Load() {
		return 0, io.EOF
	}
	n, err := b.from.Read(p)
	if err == nil {
		return n, nil
	}
	b.end(err)
	if b.ctx.Err() != nil && !errors.Is(err, io.EOF) {
		err = context.Cause(b.ctx)
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.end(io.ErrClosedPipe)
	return nil
}

// end gives the connection back where the body ended as it should, and closes it otherwise.
func (b *body) end(err error) {
	if b.over.Swap(true) {
		return
	}
	canceled := !b.stop()
	if (err == nil || errors.Is(err, io.EOF)) && !errors.Is(err, io.ErrUnexpectedEOF) && !canceled && !b.last {
		b.of.keep(b.conn)
		return
	}
	_ = b.conn.Close() // what it had to say came from Read
}
