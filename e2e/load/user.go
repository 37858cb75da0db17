package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Headers of the demo's applications.
const (
	headerSide     = "X-Side"
	headerReadOnly = "X-Read-Only"
	headerProbe    = "X-Crossfade-Probe"
)

// maxBody bounds what is read of an answer.
const maxBody = 1 << 20

// user plays one of the two users of a target.
type user struct {
	target  Target
	kind    string
	run     string
	sender  sender
	record  *recorder
	timeout time.Duration
	now     func() time.Time
	logger  *slog.Logger

	reads, writes atomic.Int64

	mu   sync.Mutex
	keys []string // accepted writes of this user alone
}

// Body is what is written as key: a reader can tell it from any other.
func Body(key string) []byte {
	return fmt.Appendf(nil, "%s %x\n", key, sha256.Sum256([]byte(key)))
}

// read makes one read. Where there are writes, every second read asks for a key
// that this same user wrote: the other user may speak to the other side.
func (u *user) read(ctx context.Context) {
	n := u.reads.Add(1)
	key, found := "", false
	if n%2 == 0 {
		key, found = u.pick(n / 2)
	}
	path, right := u.target.Path, func(body []byte) bool { return bytes.Contains(body, []byte(u.target.Expect)) }
	if found {
		path, right = itemPath(key), func(body []byte) bool { return bytes.Equal(body, Body(key)) }
	}
	e := event{kind: u.kind, op: "GET " + path}
	u.do(ctx, &e, http.MethodGet, path, nil, func(status int, _ http.Header, body []byte) error {
		switch {
		case status != http.StatusOK:
			return fmt.Errorf("status %d: %.100s", status, body)
		case !right(body):
			return fmt.Errorf("wrong body: %.100q", body)
		}
		return nil
	})
	e.outcome = readOK
	if e.err != nil {
		e.outcome = readFailed
	}
	u.done(e)
}

// pick chooses the newest key and older ones in turn.
func (u *user) pick(n int64) (string, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.keys) == 0 {
		return "", false
	}
	if n%2 == 0 {
		return u.keys[len(u.keys)-1], true
	}
	// A prime far above the step of n visits keys of all ages.
	return u.keys[n*7919%int64(len(u.keys))], true
}

// errRefused marks a write that a read-only application turned away.
var errRefused = errors.New("refused: read-only")

// write makes one write, of a key that nobody has written before.
func (u *user) write(ctx context.Context) {
	key := fmt.Sprintf("load/%s/%s/%06d", u.run, u.kind, u.writes.Add(1))
	e := event{kind: u.kind, op: "PUT " + itemPath(key), key: key}
	u.do(ctx, &e, http.MethodPut, itemPath(key), Body(key), func(status int, header http.Header, body []byte) error {
		switch {
		case status == http.StatusCreated, status == http.StatusOK, status == http.StatusNoContent:
			return nil
		case status == http.StatusServiceUnavailable && header.Get(headerReadOnly) == "true":
			return errRefused
		}
		return fmt.Errorf("status %d: %.100s", status, body)
	})
	switch {
	case e.err == nil:
		e.outcome = writeAccepted
		u.mu.Lock()
		u.keys = append(u.keys, key)
		u.mu.Unlock()
	case errors.Is(e.err, errRefused):
		e.outcome, e.err = writeRefused, nil
	default:
		e.outcome = writeFailed
	}
	u.done(e)
}

func itemPath(key string) string { return "/items/" + (&url.URL{Path: key}).EscapedPath() }

// do makes one request and notes in e how it went: side, address, repetitions,
// length, and what check says about the answer.
func (u *user) do(ctx context.Context, e *event, method, path string, body []byte, check func(status int, header http.Header, body []byte) error) {
	begun := u.now()
	ctx, cancel := detached(ctx, u.timeout)
	defer cancel()
	var mu sync.Mutex // the transport's goroutines may call a trace
	sent, fresh, address := 0, 0, ""
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		mu.Lock()
		defer mu.Unlock()
		sent++
		if !info.Reused {
			fresh++
		}
		address = info.Conn.RemoteAddr().String()
	}})
	request, err := http.NewRequestWithContext(ctx, method, "http://"+u.target.Host+path, bytes.NewReader(body))
	if err != nil {
		e.at, e.err = begun, fmt.Errorf("make request: %w", err)
		return
	}
	request.Header.Set("User-Agent", "crossfade-load/"+u.kind)
	// A PUT is idempotent (RFC 9110, section 9.2.2); the transport believes it when
	// this key is there. An empty list is not sent.
	request.Header["Idempotency-Key"] = []string{}
	e.err = u.sender.send(request, func(response *http.Response) error {
		e.side = response.Header.Get(headerSide)
		content, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
		if err != nil {
			return fmt.Errorf("read body: %w", err)
		}
		return check(response.StatusCode, response.Header, content)
	})
	e.at = u.now()
	e.took = e.at.Sub(begun)
	mu.Lock()
	defer mu.Unlock()
	e.repeats, e.connects, e.address = max(0, sent-1), fresh, address
}

func (u *user) done(e event) {
	u.record.add(e)
	if e.err != nil {
		u.logger.Warn("request failed", "host", u.target.Host, "client", e.kind, "op", e.op,
			"address", e.address, "side", e.side, "error", e.err)
	}
}

// ErrNotFound is what a ReadFunc returns where there is no such key.
var ErrNotFound = errors.New("no such key")

// HTTPRead reads keys from the application itself, at base (http://host:port) and
// under the name host. It says that it is a check, so that it is counted as none.
func HTTPRead(client *http.Client, base, host string) ReadFunc {
	base = strings.TrimRight(base, "/")
	return func(ctx context.Context, key string) (body []byte, err error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+itemPath(key), nil)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		request.Host = host
		request.Header.Set(headerProbe, "verify")
		response, err := client.Do(request)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		defer func() { err = errors.Join(err, response.Body.Close()) }()
		body, err = io.ReadAll(io.LimitReader(response.Body, maxBody))
		switch {
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", key, err)
		case response.StatusCode == http.StatusNotFound:
			return nil, fmt.Errorf("read %s: %w", key, ErrNotFound)
		case response.StatusCode != http.StatusOK:
			return nil, fmt.Errorf("read %s: status %d: %.100s", key, response.StatusCode, body)
		}
		return body, nil
	}
}
