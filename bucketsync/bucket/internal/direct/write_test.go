package direct

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// pieces is a body that tells whether it was read.
type pieces struct {
	in     [][]byte
	reader *bytes.Reader
	read   bool
}

func newPieces(in [][]byte) *pieces {
	return &pieces{in: in, reader: bytes.NewReader(bytes.Join(in, nil))}
}

func (p *pieces) Pieces() [][]byte { return p.in }
func (p *pieces) Close() error     { return nil }

func (p *pieces) Read(to []byte) (int, error) {
	p.read = true
	return p.reader.Read(to)
}

// sink is a connection that remembers what is written at once.
type sink struct {
	net.Conn
	sent  bytes.Buffer
	sizes []int
}

func (s *sink) Write(p []byte) (int, error) {
	s.sizes = append(s.sizes, len(p))
	return s.sent.Write(p)
}

func requestOf(method, address string, header http.Header, body io.ReadCloser, length int64) *http.Request {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return &http.Request{Method: method, URL: u, Header: header, Body: body, ContentLength: length, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
}

func TestRequestsAreWrittenAsNetHTTPWritesThem(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 300<<10)
	odd := http.Header{"x-ms-meta-b": {"2"}, "X-Ms-Meta-A": {" 1 "}, "X-Many": {"a", "b"}, "X-Line": {"a\r\nInjected: b"}, "Accept": nil}
	for name, c := range map[string]struct {
		method, url string
		header      http.Header
		body        [][]byte
		read        bool // net/http has to write it
	}{
		"read":             {method: http.MethodGet, url: "http://store.test:9000/a%2Fb%20c?x=y"},
		"headers":          {method: http.MethodGet, url: "http://store.test/", header: odd},
		"nothing to write": {method: http.MethodPut, url: "http://store.test/a"},
		"nothing to post":  {method: http.MethodPost, url: "http://store.test/a", body: [][]byte{nil, {}}},
		"small":            {method: http.MethodPut, url: "http://store.test/a", header: odd, body: [][]byte{[]byte("text")}},
		"pieces":           {method: http.MethodPost, url: "http://store.test/a", body: [][]byte{[]byte("<"), large, []byte(">")}},
		"foreign host":     {method: http.MethodPut, url: "http://bücher.test/a", body: [][]byte{[]byte("text")}, read: true},
		"zone":             {method: http.MethodPut, url: "http://[fe80::1%25eth0]:9000/a", body: [][]byte{[]byte("text")}, read: true},
		"own agent":        {method: http.MethodGet, url: "http://store.test/", header: http.Header{"User-Agent": {"mine"}}},
		"own length":       {method: http.MethodPut, url: "http://store.test/", header: http.Header{"Content-Length": {"7"}}, body: [][]byte{[]byte("text")}, read: true},
	} {
		whole := newPieces(c.body)
		length := int64(whole.reader.Len())
		var body, plain io.ReadCloser
		if c.body != nil {
			body, plain = whole, io.NopCloser(bytes.NewReader(bytes.Join(c.body, nil)))
		}
		if length == 0 && plain != nil {
			plain = http.NoBody
		}
		var want bytes.Buffer
		if err := requestOf(c.method, c.url, c.header, plain, length).Write(&want); err != nil {
			t.Fatal(err)
		}
		to := &sink{}
		sent := &conn{Conn: to, out: bufio.NewWriterSize(to, bufferSize)}
		if err := sent.write(requestOf(c.method, c.url, c.header, body, length)); err != nil {
			t.Fatal(err)
		}
		if whole.read != c.read {
			t.Errorf("%s: read %t", name, whole.read)
		}
		if err := sent.out.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := to.sent.String(); got != want.String() {
			t.Errorf("%s: written as\n%.300q, by net/http as\n%.300q", name, got, want.String())
		}
		for _, size := range to.sizes {
			if size > mostSteps {
				t.Errorf("%s: %d bytes are written at once", name, size)
			}
		}
	}
}

func TestWritesAreSmallWhereTheyAreSlow(t *testing.T) {
	size := step
	for _, c := range []struct {
		took time.Duration
		want int
	}{
		{quick, 2 * step}, {0, 4 * step}, {quick, mostSteps}, {0, mostSteps}, {quick + 1, mostSteps}, {slow, step}, {slow - 1, step}, {0, 2 * step}, {time.Minute, step},
	} {
		if size = next(size, c.took); size != c.want {
			t.Fatalf("after %s %d bytes are written at once, want %d", c.took, size, c.want)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	content := bytes.Repeat([]byte("x"), 64<<10)
	header := http.Header{"Authorization": {strings.Repeat("a", 60)}, "Content-Type": {"application/octet-stream"}, "x-ms-blob-type": {"BlockBlob"}, "x-ms-version": {"1"}, "x-ms-date": {"now"}}
	for name, body := range map[string]func() io.ReadCloser{
		"pieces":   func() io.ReadCloser { return newPieces([][]byte{content}) },
		"net-http": func() io.ReadCloser { return io.NopCloser(bytes.NewReader(content)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			to := struct{ net.Conn }{}
			c := &conn{Conn: to, out: bufio.NewWriterSize(io.Discard, bufferSize)}
			for b.Loop() {
				if err := c.write(requestOf(http.MethodPut, "http://store.test/a", header, body(), int64(len(content)))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
