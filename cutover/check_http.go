package cutover

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/internal/protocol"
	"github.com/crossfade-project/crossfade/internal/migration"
)

const (
	portHTTP  = 80
	portHTTPS = 443
)

// http asks for a path under the real hostname and judges the answer.
func (p probe) http(ctx context.Context) finding {
	got, err := p.get(ctx, p.check.HTTP, p.at(p.addr), p.pod)
	if err != nil {
		return judged(err)
	}
	if f := p.judgeAnswer(got); f.outcome != Passed {
		return p.unlessBlues(ctx, f)
	}
	if p.check.HTTP.ComparesBlue() && p.alone {
		return passed("status %d; compared with blue's answer before the switch: now blue's entry leads to green", got.Status)
	}
	if p.check.HTTP.ComparesBlue() && p.side != sideBlue {
		return p.sameAsBlue(ctx, got)
	}
	return passed("status %d", got.Status)
}

func wantedStatus(c *migration.HTTPCheck) int {
	if c.Status == 0 {
		return http.StatusOK
	}
	return c.Status
}

// judgeAnswer judges an answer by itself.
func (p probe) judgeAnswer(got protocol.Answer) finding {
	c := p.check.HTTP
	if want := wantedStatus(c); got.Status != want {
		return failed("status %d, not %d", got.Status, want)
	}
	for _, name := range slices.Sorted(maps.Keys(c.ResponseHeaders)) {
		if f := judgeHeader(got.Header, name, c.ResponseHeaders[name]); f.outcome != Passed {
			return f
		}
	}
	cut := func(what string) finding {
		if !got.Whole {
			return unknown("the first %d bytes of the answer do not %s", protocol.MaxBody, what)
		}
		return failed("the answer does not %s", what)
	}
	if c.Contains != "" && !strings.Contains(got.Body, c.Contains) {
		return cut(fmt.Sprintf("hold %q", c.Contains))
	}
	if c.Matches == "" {
		return passed("status %d", got.Status)
	}
	wanted, err := regexp.Compile(c.Matches)
	if err != nil {
		return unknown("the regular expression cannot be read: %v", err)
	}
	if !wanted.MatchString(got.Body) {
		return cut(fmt.Sprintf("match %q", c.Matches))
	}
	return passed("status %d", got.Status)
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

func (p probe) sameAsBlue(ctx context.Context, green protocol.Answer) finding {
	if p.blue == nil || len(p.blue.Addresses) == 0 {
		return unknown("it is to answer as blue does, and no address of blue is known")
	}
	var last error
	for _, addr := range p.blue.Addresses {
		blue, err := p.get(ctx, p.check.HTTP, p.at(addr), nil)
		if err != nil {
			last = err
			continue
		}
		return p.compare(green, blue)
	}
	return unknown("it is to answer as blue does, and blue does not answer: %v", last)
}

func (p probe) compare(green, blue protocol.Answer) finding {
	if blue.Status != green.Status {
		return failed("status %d, and blue answers %d", green.Status, blue.Status)
	}
	if blue.Kind != green.Kind {
		return failed("content type %q, and blue answers with %q", green.Kind, blue.Kind)
	}
	text := fmt.Sprintf("status %d and content type %q, as blue", green.Status, green.Kind)
	for _, name := range p.check.HTTP.SameHeaders {
		if g, b := green.Header.Values(name), blue.Header.Values(name); !slices.Equal(g, b) {
			return failed("the header %s is %q, and blue answers with %q", name, g, b)
		}
		text += ", the same " + name
	}
	if !p.check.HTTP.SameBody {
		return passed("%s", text)
	}
	if !green.Whole || !blue.Whole {
		return unknown("only the first %d bytes of an answer are read, so that the whole could not be compared with blue's", protocol.MaxBody)
	}
	if green.Sum() != blue.Sum() {
		return failed("a body of %d bytes (SHA-256 %.12s…), and blue answers with %d (%.12s…)", len(green.Body), green.Sum(), len(blue.Body), blue.Sum())
	}
	return passed("%s, the same body (SHA-256 %.12s…)", text, green.Sum())
}

// get sends a request to one address, or to a pod where one is given.
func (p probe) get(ctx context.Context, c *migration.HTTPCheck, to netip.AddrPort, pod *podAt) (protocol.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url(c), nil)
	if err != nil {
		return protocol.Answer{}, err
	}
	for name, value := range c.Headers {
		req.Header.Set(name, value)
	}
	for name, ref := range c.SecretHeaders {
		value, err := p.opts.secret(ctx, &ref, fmt.Sprintf("header %s of check %q", name, p.check.Name))
		if err != nil {
			return protocol.Answer{}, err
		}
		req.Header.Set(name, value)
	}
	probeHeader(req.Header, p.opts.Migration)
	if pod != nil {
		return pod.ask(ctx, req.URL.Host, req.URL.Scheme, req.URL.RequestURI(), req.Header)
	}
	return p.target(to).Do(req)
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
