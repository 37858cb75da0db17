package cutover

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const (
	portHTTP  = 80
	portHTTPS = 443
	// maxCheckedBody bounds how much of an answer a check reads.
	maxCheckedBody = 1 << 20
)

// answer is what a check keeps of an HTTP answer.
type answer struct {
	status int
	kind   string // media type without its parameters
	body   string
	whole  bool
}

// http asks for a path under the real hostname and judges the answer.
func (p probe) http(ctx context.Context) finding {
	got, err := p.get(ctx, netip.AddrPortFrom(p.addr, uint16(p.port)))
	if err != nil {
		return httpNoAnswer(err)
	}
	want := p.check.HTTP.Status
	if want == 0 {
		want = http.StatusOK
	}
	if got.status != want {
		return failed("status %d, not %d", got.status, want)
	}
	if text := p.check.HTTP.Contains; text != "" && !strings.Contains(got.body, text) {
		if !got.whole {
			return unknown("the first %d bytes of the answer do not hold %q", maxCheckedBody, text)
		}
		return failed("the answer does not hold %q", text)
	}
	if p.check.HTTP.SameAsBlue && p.side != sideBlue {
		return p.sameAsBlue(ctx, got)
	}
	return passed("status %d", got.status)
}

func (p probe) sameAsBlue(ctx context.Context, green answer) finding {
	if p.blue == nil || len(p.blue.Addresses) == 0 {
		return unknown("it is to answer as blue does, and no address of blue is known")
	}
	var last error
	for _, addr := range p.blue.Addresses {
		blue, err := p.get(ctx, netip.AddrPortFrom(addr, uint16(p.port)))
		if err != nil {
			last = err
			continue
		}
		if blue.status != green.status {
			return failed("status %d, and blue answers %d", green.status, blue.status)
		}
		if blue.kind != green.kind {
			return failed("content type %q, and blue answers with %q", green.kind, blue.kind)
		}
		return passed("status %d and content type %q, as blue", green.status, green.kind)
	}
	return unknown("it is to answer as blue does, and blue does not answer: %v", last)
}

// get sends the request to one address, whatever the DNS says. Redirects are answers and are not followed.
func (p probe) get(ctx context.Context, to netip.AddrPort) (answer, error) {
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, to.String())
			},
			TLSClientConfig:   &tls.Config{RootCAs: p.opts.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url(), nil)
	if err != nil {
		return answer{}, err
	}
	probeHeader(req.Header, p.opts.Migration)
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxCheckedBody+1))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	whole := len(raw) <= maxCheckedBody
	return answer{status: resp.StatusCode, kind: mediaType(resp.Header), body: string(raw[:min(len(raw), maxCheckedBody)]), whole: whole}, nil
}

func (p probe) url() string {
	scheme := p.check.HTTP.Scheme
	if scheme == "" {
		scheme = "https"
	}
	host := strings.TrimSuffix(p.entry.Hostname, ".")
	usual := map[string]int{"http": portHTTP, "https": portHTTPS}
	if p.port != usual[scheme] {
		host = net.JoinHostPort(host, strconv.Itoa(p.port))
	}
	path, query, _ := strings.Cut(p.check.HTTP.Path, "?")
	u := url.URL{Scheme: scheme, Host: host, Path: "/" + strings.TrimPrefix(path, "/"), RawQuery: query}
	return u.String()
}

func mediaType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return h.Get("Content-Type")
	}
	return kind
}

// httpNoAnswer adds to noAnswer what only a request can meet: a certificate that clients would refuse is an answer.
func httpNoAnswer(err error) finding {
	var bad *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	if errors.As(err, &bad) || errors.As(err, &record) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return failed("%v", err)
	}
	return noAnswer(err)
}
