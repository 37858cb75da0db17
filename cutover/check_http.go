package cutover

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-project/crossfade/internal/migration"
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
	header http.Header
	body   string
	whole  bool
}

// sum is the SHA-256 of the body, as far as it was read.
func (a answer) sum() string {
	sum := sha256.Sum256([]byte(a.body))
	return hex.EncodeToString(sum[:])
}

// http asks for a path under the real hostname and judges the answer.
func (p probe) http(ctx context.Context) finding {
	got, err := p.get(ctx, p.check.HTTP, netip.AddrPortFrom(p.addr, uint16(p.port)), p.pod)
	if err != nil {
		return httpNoAnswer(err)
	}
	if f := p.judgeAnswer(got); f.outcome != Passed {
		return p.unlessBlues(ctx, f)
	}
	if p.check.HTTP.ComparesBlue() && p.alone {
		return passed("status %d; compared with blue's answer before the switch: now blue's entry leads to green", got.status)
	}
	if p.check.HTTP.ComparesBlue() && p.side != sideBlue {
		return p.sameAsBlue(ctx, got)
	}
	return passed("status %d", got.status)
}

func wantedStatus(c *migration.HTTPCheck) int {
	if c.Status == 0 {
		return http.StatusOK
	}
	return c.Status
}

// judgeAnswer judges an answer by itself.
func (p probe) judgeAnswer(got answer) finding {
	c := p.check.HTTP
	if want := wantedStatus(c); got.status != want {
		return failed("status %d, not %d", got.status, want)
	}
	for _, name := range slices.Sorted(maps.Keys(c.ResponseHeaders)) {
		if f := judgeHeader(got.header, name, c.ResponseHeaders[name]); f.outcome != Passed {
			return f
		}
	}
	cut := func(what string) finding {
		if !got.whole {
			return unknown("the first %d bytes of the answer do not %s", maxCheckedBody, what)
		}
		return failed("the answer does not %s", what)
	}
	if c.Contains != "" && !strings.Contains(got.body, c.Contains) {
		return cut(fmt.Sprintf("hold %q", c.Contains))
	}
	if c.Matches == "" {
		return passed("status %d", got.status)
	}
	wanted, err := regexp.Compile(c.Matches)
	if err != nil {
		return unknown("the regular expression cannot be read: %v", err)
	}
	if !wanted.MatchString(got.body) {
		return cut(fmt.Sprintf("match %q", c.Matches))
	}
	return passed("status %d", got.status)
}

// judgeHeader demands that one value of a header matches.
func judgeHeader(h http.Header, name, pattern string) finding {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return unknown("the regular expression cannot be read: %v", err)
	}
	values := h.Values(name)
	if len(values) == 0 {
		return failed("the answer has no header %s", name)
	}
	if !slices.ContainsFunc(values, wanted.MatchString) {
		return failed("the header %s is %q, which does not match %q", name, values, pattern)
	}
	return passed("the header %s matches", name)
}

func (p probe) sameAsBlue(ctx context.Context, green answer) finding {
	if p.blue == nil || len(p.blue.Addresses) == 0 {
		return unknown("it is to answer as blue does, and no address of blue is known")
	}
	var last error
	for _, addr := range p.blue.Addresses {
		blue, err := p.get(ctx, p.check.HTTP, netip.AddrPortFrom(addr, uint16(p.port)), nil)
		if err != nil {
			last = err
			continue
		}
		return p.compare(green, blue)
	}
	return unknown("it is to answer as blue does, and blue does not answer: %v", last)
}

func (p probe) compare(green, blue answer) finding {
	if blue.status != green.status {
		return failed("status %d, and blue answers %d", green.status, blue.status)
	}
	if blue.kind != green.kind {
		return failed("content type %q, and blue answers with %q", green.kind, blue.kind)
	}
	text := fmt.Sprintf("status %d and content type %q, as blue", green.status, green.kind)
	for _, name := range p.check.HTTP.SameHeaders {
		if g, b := green.header.Values(name), blue.header.Values(name); !slices.Equal(g, b) {
			return failed("the header %s is %q, and blue answers with %q", name, g, b)
		}
		text += ", the same " + name
	}
	if !p.check.HTTP.SameBody {
		return passed("%s", text)
	}
	if !green.whole || !blue.whole {
		return unknown("only the first %d bytes of an answer are read, so that the whole could not be compared with blue's", maxCheckedBody)
	}
	if green.sum() != blue.sum() {
		return failed("a body of %d bytes (SHA-256 %.12s…), and blue answers with %d (%.12s…)", len(green.body), green.sum(), len(blue.body), blue.sum())
	}
	return passed("%s, the same body (SHA-256 %.12s…)", text, green.sum())
}

// client speaks to one address, whatever the DNS says. Redirects are answers and are not followed.
func (p probe) client(to netip.AddrPort) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, to.String())
			},
			TLSClientConfig:   &tls.Config{RootCAs: p.opts.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// get sends a request to one address, or to a pod where one is given.
func (p probe) get(ctx context.Context, c *migration.HTTPCheck, to netip.AddrPort, pod *podAt) (answer, error) {
	client := p.client(to)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url(c), nil)
	if err != nil {
		return answer{}, err
	}
	for name, value := range c.Headers {
		req.Header.Set(name, value)
	}
	for name, ref := range c.SecretHeaders {
		value, err := p.opts.secret(ctx, &ref, fmt.Sprintf("header %s of check %q", name, p.check.Name))
		if err != nil {
			return answer{}, err
		}
		req.Header.Set(name, value)
	}
	probeHeader(req.Header, p.opts.Migration)
	if pod != nil {
		return pod.ask(ctx, req.URL.Host, req.URL.Scheme, req.URL.RequestURI(), req.Header)
	}
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
	return answer{
		status: resp.StatusCode, kind: mediaType(resp.Header), header: resp.Header,
		body: string(raw[:min(len(raw), maxCheckedBody)]), whole: len(raw) <= maxCheckedBody,
	}, nil
}

func (p probe) url(c *migration.HTTPCheck) string {
	scheme := c.Scheme
	if scheme == "" {
		scheme = "https"
	}
	host := strings.TrimSuffix(p.entry.Hostname, ".")
	usual := map[string]int{"http": portHTTP, "https": portHTTPS}
	if p.port != usual[scheme] {
		host = net.JoinHostPort(host, strconv.Itoa(p.port))
	}
	path, query, _ := strings.Cut(c.Path, "?")
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
