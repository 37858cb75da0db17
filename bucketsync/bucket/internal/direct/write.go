package direct

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Pieces is a body that is in memory. It is written as it is, without a copy, and not read after RoundTrip has returned.
type Pieces interface{ Pieces() [][]byte }

// How much is written at once: little, since a write that moves slowly has to show it, or it counts as one that hangs; and more where the last one
// took no time, since each costs the system a turn.
const (
	step, mostSteps = 64 << 10, 512 << 10
	quick, slow     = 20 * time.Millisecond, 500 * time.Millisecond
)

// next is how much to write at once after so much took so long.
func next(size int, took time.Duration) int {
	switch {
	case took <= quick:
		return min(2*size, mostSteps)
	case took >= slow:
		return step
	}
	return size
}

// write sends a request.
func (c *conn) write(request *http.Request) error {
	var pieces [][]byte
	switch whole, ok := request.Body.(Pieces); {
	case ok:
		pieces = whole.Pieces()
	case request.Body != nil && request.Body != http.NoBody:
		return request.Write(c.out)
	}
	length := int64(0)
	for _, piece := range pieces {
		length += int64(len(piece))
	}
	if length != request.ContentLength || !simple(request) {
		return request.Write(c.out)
	}
	if err := c.writeHead(request); err != nil {
		return err
	}
	size, began := step, time.Now()
	for _, piece := range pieces {
		for len(piece) > 0 {
			n, err := c.out.Write(piece[:min(size, len(piece))])
			if err != nil {
				return err
			}
			piece = piece[n:]
			now := time.Now()
			size, began = next(size, now.Sub(began)), now
		}
	}
	closeBody(request)
	return nil
}

// simple says that a request has nothing in its head that net/http would do something about: a name to translate, a zone to leave out.
func simple(request *http.Request) bool {
	for _, name := range []string{"Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer", "Expect"} {
		if _, ok := request.Header[name]; ok {
			return false
		}
	}
	host := host(request)
	return host != "" && !request.Close && len(request.TransferEncoding) == 0 && len(request.Trailer) == 0 && clean(host) && !strings.Contains(host, "%") && clean(request.URL.RequestURI())
}

// clean says that a text has nothing but visible ASCII.
func clean(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func host(request *http.Request) string {
	if request.Host != "" {
		return request.Host
	}
	return request.URL.Host
}

func (c *conn) writeHead(request *http.Request) error {
	head := make([]byte, 0, 512)
	head = append(head, request.Method+" "...)
	head = append(head, request.URL.RequestURI()...)
	head = append(head, " HTTP/1.1\r\nHost: "...)
	head = append(head, host(request)...)
	head = append(head, "\r\nUser-Agent: Go-http-client/1.1\r\n"...) // net/http's own
	if request.ContentLength > 0 || request.Method == http.MethodPut || request.Method == http.MethodPost {
		head = append(head, "Content-Length: "...)
		head = strconv.AppendInt(head, request.ContentLength, 10)
		head = append(head, "\r\n"...)
	}
	_, err := c.out.Write(head)
	if err == nil {
		err = request.Header.Write(c.out)
	}
	if err == nil {
		_, err = c.out.WriteString("\r\n")
	}
	return err
}
