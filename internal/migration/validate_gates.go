package migration

import (
	"fmt"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

func (v *validator) check(f *File, a *Application, c Check, at string) {
	if n := c.Kinds(); n != 1 {
		v.problem(at, fmt.Sprintf("the check says %d things to try", n), "set exactly one of http, tcp, tls, grpc, probes, prometheus and command")
	}
	if len(a.Hostnames) == 0 {
		if len(c.Command) == 0 && c.Prometheus == nil && c.Kinds() == 1 {
			v.problem(at, "the application has no hostname that it could be sent to", "use command or prometheus, or give it hostnames")
		}
		if !c.Before() {
			v.problem(at, "nothing is asked after a swap where no name moves", "say when: before")
		}
	}
	for i, family := range c.Families {
		if family != "ipv4" && family != "ipv6" {
			v.problem(fmt.Sprintf("%s.families[%d]", at, i), fmt.Sprintf("%q is no family of addresses", family), "write ipv4 or ipv6")
		}
	}
	switch {
	case c.HTTP != nil:
		v.httpCheck(a, c.HTTP, at+".http")
	case c.TLS != nil:
		v.checkHostname(a, c.TLS.Hostname, at+".tls")
	case c.GRPC != nil:
		v.checkHostname(a, c.GRPC.Hostname, at+".grpc")
	case c.Probes != nil:
		v.probes(f, a, c.Probes, at+".probes")
	case c.Prometheus != nil:
		v.prometheus(c, at+".prometheus")
	}
}

func (v *validator) checkHostname(a *Application, name, at string) {
	same := func(h Hostname) bool {
		return bare(h.Name) == bare(name)
	}
	if name != "" && !slices.ContainsFunc(a.Hostnames, same) {
		v.problem(at+".hostname", fmt.Sprintf("%s is none of the application's hostnames", name), "name one of them, or leave it out for the first")
	}
}

func (v *validator) httpCheck(a *Application, h *HTTPCheck, at string) {
	v.checkHostname(a, h.Hostname, at)
	if _, err := regexp.Compile(h.Matches); err != nil {
		v.problem(at+".matches", err.Error(), "write a regular expression of Go (RE2)")
	}
	for name, pattern := range h.ResponseHeaders {
		if _, err := regexp.Compile(pattern); err != nil {
			v.problem(at+".responseHeaders."+name, err.Error(), "write a regular expression of Go (RE2)")
		}
		v.header(name, at+".responseHeaders."+name)
	}
	for name := range h.Headers {
		v.header(name, at+".headers."+name)
		if sensitive(name) {
			v.problem(at+".headers."+name, "it would hold a secret in clear", "put it under secretHeaders, as a reference")
		}
		if strings.EqualFold(name, "Host") {
			v.problem(at+".headers."+name, "a check is always sent under the real hostname", "say hostname:")
		}
	}
	for name, ref := range h.SecretHeaders {
		v.header(name, at+".secretHeaders."+name)
		v.secret(&ref, at+".secretHeaders."+name)
	}
	for i, name := range h.SameHeaders {
		v.header(name, fmt.Sprintf("%s.sameHeaders[%d]", at, i))
	}
}

// sensitive names the headers whose values are credentials (RFC 9110 section 11.6, RFC 6265).
func sensitive(name string) bool {
	return slices.Contains([]string{"Authorization", "Proxy-Authorization", "Cookie"}, textproto.CanonicalMIMEHeaderKey(name))
}

// header refuses what is no token of RFC 9110 section 5.6.2.
func (v *validator) header(name, at string) {
	if !regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$").MatchString(name) {
		v.problem(at, fmt.Sprintf("%q is not the name of a header", name), "")
	}
}

func (v *validator) probes(f *File, a *Application, p *ProbesCheck, at string) {
	v.httpCheck(a, &p.HTTP, at+".http")
	if p.HTTP.Matches != "" || p.HTTP.Contains != "" || p.HTTP.SameAsBlue || p.HTTP.SameBody || len(p.HTTP.SameHeaders) > 0 || len(p.HTTP.ResponseHeaders) > 0 {
		v.problem(at+".http", "probes judge the status, the time and nothing else of an answer", "put what the answer must hold into an http check")
	}
	limits := p.Percentiles()
	if p.Errors == nil && len(limits) == 0 {
		v.problem(at, "it limits nothing", "set errors, p50, p95 or p99")
	}
	for _, l := range limits {
		if l.Max == 0 && l.Ratio == nil {
			v.problem(at+"."+l.Name, "it limits nothing", "set max, ratio or both")
		}
		if p.Needed() < l.Needs {
			v.problem(at+".samples", fmt.Sprintf("the %s of %d requests is the longest of them", l.Name, p.Needed()), fmt.Sprintf("at least %d", l.Needs))
		}
	}
	if p.AsksBlue() && a.Writes == WritesQuiesce {
		v.problem(at, "it compares with blue, which does not answer while it is quiesced", "use max: instead of ratio:")
	}
	rounds, fit := (p.Needed()+p.Round()-1)/p.Round(), f.soakRounds()
	// A soak passes with half of the rounds that fit; those before the first verdict pass nothing.
	if rounds+fit/4 > fit {
		v.problem(at, fmt.Sprintf("%d requests, %d a round, take %d rounds, and a soak has at most %d", p.Needed(), p.Round(), rounds, fit), "raise perRound or cutover.soak, or lower samples")
	}
}

func (v *validator) prometheus(c Check, at string) {
	p := c.Prometheus
	v.promServer(promAccess{p.URL, p.Username, p.Password, p.Token, p.Headers}, at)
	if p.Max == nil && p.Min == nil && p.Baseline == nil {
		v.problem(at, "nothing bounds the number", "set max, min or baseline")
	}
	if b := p.Baseline; b != nil {
		if b.MaxRatio == nil && b.MinRatio == nil {
			v.problem(at+".baseline", "it compares nothing", "set maxRatio, minRatio or both")
		}
		if b.Query == "" && c.When == WhenBefore {
			v.problem(at+".baseline", "a number from before the swap is compared after it", "say when: after, or give baseline a query of its own")
		}
	}
	v.promQuery(p.Query, at+".query")
}

// promAccess is how a Prometheus is reached.
type promAccess struct {
	url, username   string
	password, token *SecretRef
	headers         map[string]string
}

func (v *validator) promServer(p promAccess, at string) {
	u, err := url.Parse(p.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		v.problem(at+".url", "it is no http or https URL", "write it as https://prometheus.example.com")
	} else if u.User != nil {
		v.problem(at+".url", "it would hold a secret in clear", "use username: and password:, or token:")
	} else if u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/api/v1") {
		v.problem(at+".url", "it is more than the server's address", "write it without /api/v1 and without a question mark; what is asked stands under query")
	}
	v.secret(p.password, at+".password")
	v.secret(p.token, at+".token")
	if p.token != nil && (p.username != "" || p.password != nil) {
		v.problem(at, "it has a token and a username or password", "keep one of the two")
	}
	if (p.username == "") != (p.password == nil) {
		v.problem(at, "a username and a password go together", "")
	}
	for name := range p.headers {
		v.header(name, at+".headers."+name)
		if sensitive(name) {
			v.problem(at+".headers."+name, "it would hold a secret in clear", "use token:, or username: and password:")
		}
	}
}

func (v *validator) promQuery(query, at string) {
	if strings.TrimSpace(query) == "" {
		v.problem(at, "it is empty", "write one in PromQL")
	}
}

// gatesOf demands a check before the swap and one after it: without them nothing would show that green answers, or that it fails.
func (v *validator) gatesOf(a *Application, at string) {
	if len(a.Hostnames) == 0 || len(a.Checks) == 0 {
		return
	}
	if !slices.ContainsFunc(a.Checks, Check.Before) {
		v.problem(at+".checks", "none is asked before the swap: nothing would show that green answers", "add an http check without when:")
	}
	if !slices.ContainsFunc(a.Checks, Check.After) {
		v.problem(at+".checks", "none is asked after the swap: nothing would show that green fails", "add an http check without when:")
	}
}
