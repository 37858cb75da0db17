package cutover

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// errNoNumber says that a query was answered, and not with one number: nothing was learned.
var errNoNumber = errors.New("no number")

// queryError says that a query is wrong as it stands: asking again is of no use.
type queryError struct{ text string }

// Error implements error.
func (e *queryError) Error() string { return e.text }

// number is what a query gave, and the server's time.
type number struct {
	value float64
	at    time.Time
}

// prometheus judges one number. What is no number, too little or too old is inconclusive (C20).
func (p probe) prometheus(ctx context.Context) finding {
	c := p.check.Prometheus
	got, err := p.opts.ask(ctx, p.check, c.Query)
	if err != nil {
		return unknown("%v", err)
	}
	if f := p.enough(ctx); f.outcome != Passed {
		return f
	}
	texts := []string{format(got.value)}
	if c.Max != nil {
		if got.value > *c.Max {
			return failed("%s, more than %s", format(got.value), format(*c.Max))
		}
		texts = append(texts, "at most "+format(*c.Max))
	}
	if c.Min != nil {
		if got.value < *c.Min {
			return failed("%s, less than %s", format(got.value), format(*c.Min))
		}
		texts = append(texts, "at least "+format(*c.Min))
	}
	if c.Baseline != nil {
		f := p.compareBaseline(ctx, got.value)
		if f.outcome != Passed {
			return f
		}
		texts = append(texts, f.text)
	}
	return passed("%s", strings.Join(texts, ", "))
}

// enough judges whether enough was counted, and lately. Both are measured by the server's own clock.
func (p probe) enough(ctx context.Context) finding {
	if s := p.check.Prometheus.Samples; s != nil {
		n, err := p.opts.ask(ctx, p.check, s.Query)
		if err != nil {
			return unknown("whether enough was counted: %v", err)
		}
		if n.value < s.Min {
			return unknown("%s samples, and %s are needed", format(n.value), format(s.Min))
		}
	}
	if a := p.check.Prometheus.Age; a != nil {
		n, err := p.opts.ask(ctx, p.check, a.Query)
		if err != nil {
			return unknown("how old the newest sample is: %v", err)
		}
		age := n.at.Sub(seconds64(n.value))
		if age > a.Max.D() {
			return unknown("the newest sample is %s old, and %s is allowed", age.Round(time.Second), a.Max)
		}
		if age < -a.Max.D() {
			return unknown("the newest sample is %s in the future: the query must give a time in seconds since 1970", (-age).Round(time.Second))
		}
	}
	return passed("enough")
}

func seconds64(s float64) time.Time { return time.UnixMilli(int64(s * 1000)) }

func (p probe) compareBaseline(ctx context.Context, value float64) finding {
	b := p.check.Prometheus.Baseline
	base, from := 0.0, "blue's"
	if b.Query == "" {
		known, ok := p.opts.Baselines[p.check.Name]
		if !ok {
			return unknown("its number from before the swap is not known")
		}
		base, from = known, "before the swap"
	} else {
		n, err := p.opts.ask(ctx, p.check, b.Query)
		if err != nil {
			return unknown("blue's number: %v", err)
		}
		base = n.value
	}
	if base < 0 {
		return unknown("%s was %s: ratios to a number below zero mean nothing", from, format(base))
	}
	var texts []string
	if b.MaxRatio != nil {
		most := base * *b.MaxRatio
		if b.Floor != nil {
			most = max(most, *b.Floor)
		}
		text := fmt.Sprintf("%s (%s x %s %s)", format(most), format(*b.MaxRatio), from, format(base))
		if value > most {
			return failed("%s, more than %s", format(value), text)
		}
		texts = append(texts, "at most "+text)
	}
	if b.MinRatio != nil {
		least := base * *b.MinRatio
		text := fmt.Sprintf("%s (%s x %s %s)", format(least), format(*b.MinRatio), from, format(base))
		if value < least {
			return failed("%s, less than %s", format(value), text)
		}
		texts = append(texts, "at least "+text)
	}
	return passed("%s", strings.Join(texts, ", "))
}

func format(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// ask sends one query (Prometheus, HTTP API, instant queries) and returns its one number. Its error is a *queryError where the
// query is wrong, and wraps errNoNumber where the answer has not exactly one number.
func (o Options) ask(ctx context.Context, check migration.Check, query string) (number, error) {
	req, err := o.promRequest(ctx, check, query)
	if err != nil {
		return number{}, err
	}
	client := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return number{}, fmt.Errorf("ask Prometheus: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxCheckedBody+1))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return number{}, fmt.Errorf("read Prometheus's answer: %w", err)
	}
	if len(raw) > maxCheckedBody {
		return number{}, &queryError{fmt.Sprintf("the answer has more than %d bytes: aggregate the query to one series, as with sum(…)", maxCheckedBody)}
	}
	return parseAnswer(resp, raw)
}

func (o Options) promRequest(ctx context.Context, check migration.Check, query string) (*http.Request, error) {
	c := check.Prometheus
	form := url.Values{"query": {query}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.URL, "/")+"/api/v1/query", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range c.Headers {
		req.Header.Set(name, value)
	}
	password, err := o.secret(ctx, c.Password, fmt.Sprintf("password of check %q", check.Name))
	if err != nil {
		return nil, err
	}
	token, err := o.secret(ctx, c.Token, fmt.Sprintf("token of check %q", check.Name))
	if err != nil {
		return nil, err
	}
	switch {
	case c.Username != "":
		req.SetBasicAuth(c.Username, password)
	case token != "":
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// promAnswer is the envelope of every answer.
type promAnswer struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

func parseAnswer(resp *http.Response, raw []byte) (number, error) {
	var a promAnswer
	if err := json.Unmarshal(raw, &a); err != nil || a.Status != "success" && a.Status != "error" {
		text := fmt.Sprintf("it answers %s, and not as Prometheus does", resp.Status)
		if to := resp.Header.Get("Location"); to != "" {
			text += ": it leads elsewhere, perhaps to a login"
		}
		return number{}, &serverError{status: resp.StatusCode, text: text}
	}
	if a.Status == "error" {
		text := fmt.Sprintf("Prometheus answers %s: %s: %s", resp.Status, a.ErrorType, firstLine(a.Error))
		if a.ErrorType == "bad_data" || a.ErrorType == "execution" {
			return number{}, &queryError{text}
		}
		return number{}, &serverError{status: resp.StatusCode, text: text}
	}
	if len(a.Warnings) > 0 {
		return number{}, fmt.Errorf("%w: Prometheus warns that the answer may not be whole: %s", errNoNumber, firstLine(strings.Join(a.Warnings, "; ")))
	}
	return parseResult(a)
}

// serverError says that the server did not take the question, whatever it is.
type serverError struct {
	status int
	text   string
}

// Error implements error.
func (e *serverError) Error() string { return e.text }

func parseResult(a promAnswer) (number, error) {
	switch a.Data.ResultType {
	case "scalar":
		return parsePoint(a.Data.Result)
	case "vector":
		var series []struct {
			Value     json.RawMessage `json:"value"`
			Histogram json.RawMessage `json:"histogram"`
		}
		if err := json.Unmarshal(a.Data.Result, &series); err != nil {
			return number{}, fmt.Errorf("%w: the vector cannot be read: %w", errNoNumber, err)
		}
		switch {
		case len(series) == 0:
			return number{}, fmt.Errorf("%w: no data", errNoNumber)
		case len(series) > 1:
			return number{}, &queryError{fmt.Sprintf("%d series, and one is needed: aggregate them, as with sum(…)", len(series))}
		case len(series[0].Histogram) > 0:
			return number{}, &queryError{"a histogram, and a number is needed: take one, as with histogram_quantile(0.95, …)"}
		}
		return parsePoint(series[0].Value)
	}
	return number{}, &queryError{fmt.Sprintf("a %s, and a number is needed: aggregate it, as with sum(rate(…[1m]))", a.Data.ResultType)}
}

// parsePoint reads [time, "value"]. NaN and infinities are values to Prometheus, and nothing to judge by.
func parsePoint(raw json.RawMessage) (number, error) {
	var at float64
	var text string
	if err := json.Unmarshal(raw, &[]any{&at, &text}); err != nil {
		return number{}, fmt.Errorf("%w: the value cannot be read: %w", errNoNumber, err)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return number{}, fmt.Errorf("%w: the value is %s", errNoNumber, text)
	}
	return number{value: v, at: seconds64(at)}, nil
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	const limit = 300
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}
