package hot

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/body"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/internal/throttle"
)

// Wire carries the requests to one store.
type Wire struct {
	Throttle *throttle.Transport
	// By is what carries a request to the store; nil is what carries those of the SDK.
	By http.RoundTripper
	// Sign adds the credentials. False says that they are not to be had here; nil adds none.
	Sign func(request *http.Request) bool

	failed, left atomic.Int64 // requests without success in a row; requests since then that were left to the SDK
}

// doubt is how many requests in a row have to fail until most are left to the SDK: a store whose answers mean nothing here would
// otherwise get everything twice. One of as many is still tried.
const doubt = 16

// Body is what a write sends: a part, and what goes before and behind it.
type Body struct {
	Before, After []byte
	Part          body.Part
}

// Get asks for an object. Nil says to ask by the SDK.
func (w *Wire) Get(ctx context.Context, u *url.URL, header http.Header) *http.Response {
	return w.do(request(ctx, http.MethodGet, u, header))
}

// Write sends a body. It returns the answer's headers and what it has behind them; nil headers say to do it by the SDK.
func (w *Wire) Write(ctx context.Context, method string, u *url.URL, header http.Header, content Body) (http.Header, []byte) {
	r := request(ctx, method, u, header)
	r.Body = http.NoBody
	if r.ContentLength = content.length(); r.ContentLength > 0 {
		r.GetBody = func() (io.ReadCloser, error) { return content.open(), nil }
		r.Body = content.open()
	}
	answer := w.do(r)
	if answer == nil {
		return nil, nil
	}
	defer func() { _ = answer.Body.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	if err != nil {
		return nil, nil
	}
	return answer.Header, text
}

// mostAnswer is how much of an answer to a write is read. What is longer is no answer to one.
const mostAnswer = 64 << 10

func (b Body) length() int64 { return int64(len(b.Before) + len(b.Part.Data) + len(b.After)) }

// sending is a body on its way: to be read, or, by package direct, to be had as it is.
type sending struct {
	io.Reader
	pieces [][]byte
}

// Pieces implements direct.Pieces. The part's memory is the caller's until Write returns.
func (s *sending) Pieces() [][]byte { return s.pieces }

// Close implements io.Closer.
func (s *sending) Close() error { return nil }

func (b Body) open() *sending {
	readers := []io.Reader{bytes.NewReader(b.Before), nil, bytes.NewReader(b.After)}
	if readers[1] = bytes.NewReader(nil); len(b.Part.Data) > 0 {
		readers[1] = b.Part.Reader()
	}
	return &sending{Reader: io.MultiReader(readers...), pieces: [][]byte{b.Before, b.Part.Data, b.After}}
}

func request(ctx context.Context, method string, u *url.URL, header http.Header) *http.Request {
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	return r.WithContext(ctx)
}

func (w *Wire) do(r *http.Request) *http.Response {
	if w.failed.Load() >= doubt && w.left.Add(1)%doubt != 0 {
		return nil
	}
	answer := w.try(r)
	if answer == nil {
		w.failed.Add(1)
	} else if w.failed.Load() > 0 {
		w.failed.Store(0)
	}
	return answer
}

func (w *Wire) try(r *http.Request) *http.Response {
	if w.Sign != nil && !w.Sign(r) {
		return nil
	}
	by := w.By
	if by == nil {
		by = w.Throttle.Next
	}
	answer, err := w.Throttle.Through(by, r)
	if err != nil {
		return nil
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusPartialContent:
		return answer
	}
	// A small answer is read to its end, so that its connection can be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, mostAnswer))
	_ = answer.Body.Close() // only read
	return nil
}

// Escape writes every byte of a path but slashes and those that signatures leave as they are as %XX.
func Escape(path string) string {
	const digits = "0123456789ABCDEF"
	odd := 0
	for i := range len(path) {
		if !plain(path[i]) {
			odd++
		}
	}
	if odd == 0 {
		return path
	}
	var out strings.Builder
	out.Grow(len(path) + 2*odd)
	for i := range len(path) {
		if c := path[i]; plain(c) {
			out.WriteByte(c)
		} else {
			out.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return out.String()
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' || c == '/'
}
