package protocol

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
)

// MaxBody bounds how much of an answer is kept, in bytes.
const MaxBody = 1 << 20

// Answer is what is kept of an HTTP answer.
type Answer struct {
	Status int
	Kind   string // media type without its parameters
	Header http.Header
	Body   string
	// Whole says that Body is all of it.
	Whole bool
}

// NewAnswer keeps what fits of an answer.
func NewAnswer(status int, header http.Header, body []byte) Answer {
	return Answer{Status: status, Kind: mediaType(header), Header: header, Body: string(body[:min(len(body), MaxBody)]), Whole: len(body) <= MaxBody}
}

// Sum is the SHA-256 of the body, as far as it was read.
func (a Answer) Sum() string {
	sum := sha256.Sum256([]byte(a.Body))
	return hex.EncodeToString(sum[:])
}

// Do sends a request. Redirects are answers and are not followed.
func (t Target) Do(req *http.Request) (Answer, error) {
	client := t.client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return Answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return NewAnswer(resp.StatusCode, resp.Header, raw), nil
}

func (t Target) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, t.Addr.String())
			},
			TLSClientConfig:   &tls.Config{RootCAs: t.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func mediaType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return h.Get("Content-Type")
	}
	return kind
}
