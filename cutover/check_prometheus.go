package cutover

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover/internal/prometheus"
	"github.com/crossfade-project/crossfade/internal/migration"
)

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
	texts := []string{format(got.Value)}
	if c.Max != nil {
		if got.Value > *c.Max {
			return failed("%s, more than %s", format(got.Value), format(*c.Max))
		}
		texts = append(texts, "at most "+format(*c.Max))
	}
	if c.Min != nil {
		if got.Value < *c.Min {
			return failed("%s, less than %s", format(got.Value), format(*c.Min))
		}
		texts = append(texts, "at least "+format(*c.Min))
	}
	if c.Baseline != nil {
		f := p.compareBaseline(ctx, got.Value)
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
		if n.Value < s.Min {
			return unknown("%s samples, and %s are needed", format(n.Value), format(s.Min))
		}
	}
	if a := p.check.Prometheus.Age; a != nil {
		n, err := p.opts.ask(ctx, p.check, a.Query)
		if err != nil {
			return unknown("how old the newest sample is: %v", err)
		}
		age := n.Age()
		if age > a.Max.D() {
			return unknown("the newest sample is %s old, and %s is allowed", age.Round(time.Second), a.Max)
		}
		if age < -a.Max.D() {
			return unknown("the newest sample is %s in the future: the query must give a time in seconds since 1970", (-age).Round(time.Second))
		}
	}
	return passed("enough")
}

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
		base = n.Value
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

// ask sends one query of a check.
func (o Options) ask(ctx context.Context, check migration.Check, query string) (prometheus.Point, error) {
	c := check.Prometheus
	at := prometheus.Server{URL: c.URL, Username: c.Username, Headers: c.Headers}
	server, err := o.trusted(ctx, at, fmt.Sprintf("check %q", check.Name), c.Password, c.Token)
	if err != nil {
		return prometheus.Point{}, err
	}
	return server.Number(ctx, query)
}

// trusted gives a server that the file names its secrets, and the roots by which it is known. The messages of secrets call it what.
func (o Options) trusted(ctx context.Context, at prometheus.Server, what string, password, token *migration.SecretRef) (prometheus.Server, error) {
	var err error
	at.Roots = o.Roots
	if at.Password, err = o.secret(ctx, password, "password of "+what); err != nil {
		return at, err
	}
	at.Token, err = o.secret(ctx, token, "token of "+what)
	return at, err
}
