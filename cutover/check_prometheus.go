package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
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
	a, err := o.askPrometheus(ctx, serverOfCheck(check), "query", url.Values{"query": {query}}, maxCheckedBody)
	if err != nil {
		return number{}, err
	}
	return parseResult(a)
}

func serverOfCheck(check migration.Check) promServer {
	c := check.Prometheus
	return promServer{what: fmt.Sprintf("check %q", check.Name), url: c.URL, username: c.Username, password: c.Password, token: c.Token, headers: c.Headers}
}

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
