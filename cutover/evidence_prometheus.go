package cutover

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/cutover/internal/prometheus"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// PrometheusEvidence asks a Prometheus whether blue was used. Each look asks for everything since the one before, and for a while
// before that, so that a counter has a number from which it rises.
type PrometheusEvidence struct {
	Options
	Query migration.IdleQuery
}

// prometheusEvidence are those of the file.
func prometheusEvidence(opts Options, r migration.Retirement) []PrometheusEvidence {
	var list []PrometheusEvidence
	for _, q := range r.Prometheus {
		list = append(list, PrometheusEvidence{Options: opts, Query: q})
	}
	return list
}

// Name implements Evidence.
func (p PrometheusEvidence) Name() string { return "Prometheus: " + p.Query.Name }

// Coverage implements Evidence.
func (p PrometheusEvidence) Coverage() Coverage { return Whole }

// CountsKnock implements KnockCounter: what stands still may be what an ingress has counted, and shows when it is scraped.
func (p PrometheusEvidence) CountsKnock(Knock) (time.Duration, bool) {
	step, gap := p.Query.Steps()
	return step + gap, p.Query.Counter
}

// Collect implements Evidence. It covers the time until one step ago: what was not scraped yet shows at the next look.
func (p PrometheusEvidence) Collect(ctx context.Context, last Observation) (Observation, error) {
	step, gap := p.Query.Steps()
	now := p.now().Truncate(time.Millisecond)
	obs := Observation{Evidence: p.Name(), Use: Quiet, At: now.Add(-step), From: last.At}
	first := last.At.IsZero()
	if first {
		obs.From = obs.At
	}
	seen, err := p.read(ctx, obs.From, now, nil)
	if err != nil {
		return Observation{}, err
	}
	if err := seen.there(gap); err != nil {
		return Observation{}, err
	}
	if !first {
		seen.judge(&obs, p.Query, gap)
	}
	obs.Text = seen.text(p.Query)
	obs.Details = cut(obs.Details)
	return obs, nil
}

// Confirm asks once more for the whole of an idle time: what came late is seen too. It returns the answers as they came.
func (p PrometheusEvidence) Confirm(ctx context.Context, since, until time.Time) (Observation, []byte, error) {
	_, gap := p.Query.Steps()
	obs := Observation{Evidence: p.Name(), Coverage: p.Coverage(), Use: Quiet, From: since, At: until}
	var answers []json.RawMessage
	seen, err := p.read(ctx, since, until, func(raw json.RawMessage) { answers = append(answers, raw) })
	if err != nil {
		return Observation{}, nil, err
	}
	if err := seen.there(gap); err != nil {
		return Observation{}, nil, err
	}
	seen.judge(&obs, p.Query, gap)
	obs.Text = seen.text(p.Query)
	obs.Details = cut(obs.Details)
	raw, err := json.Marshal(answers)
	if err != nil {
		return Observation{}, nil, fmt.Errorf("keep the answers: %w", err)
	}
	return obs, append(raw, '\n'), nil
}

// idleSeen is what a Prometheus has of a time.
type idleSeen struct {
	from, end time.Time
	series    []prometheus.Series
	// alive is nil where the file names no such query.
	alive []prometheus.Series
}

// read asks for a time, and for as long before it as data may be missing.
func (p PrometheusEvidence) read(ctx context.Context, from, end time.Time, raw func(json.RawMessage)) (seen idleSeen, err error) {
	q := p.Query
	step, gap := q.Steps()
	// The last point is at the end of the time.
	before := (end.Sub(from) + gap).Truncate(step)
	ctx, cancel := context.WithTimeout(ctx, promRangeTimeout)
	defer cancel()
	seen = idleSeen{from: from, end: end}
	at := prometheus.Server{URL: q.URL, Username: q.Username, Headers: q.Headers}
	server, err := p.trusted(ctx, at, fmt.Sprintf("retirement.prometheus %q", q.Name), q.Password, q.Token)
	if err != nil {
		return seen, err
	}
	ask := func(query string) ([]prometheus.Series, error) {
		return server.Range(ctx, prometheus.Range{Query: query, From: end.Add(-before), To: end, Step: step, Raw: raw})
	}
	if seen.series, err = ask(q.Query); err != nil {
		return seen, err
	}
	if q.Alive == "" {
		return seen, nil
	}
	series, err := ask(q.Alive)
	if err != nil {
		return seen, fmt.Errorf("alive: %w", err)
	}
	seen.alive = []prometheus.Series{}
	for _, s := range series {
		up := prometheus.Series{Labels: s.Labels}
		for _, point := range s.Points {
			if point.Value > 0 {
				up.Points = append(up.Points, point)
			}
		}
		seen.alive = append(seen.alive, up)
	}
	return seen, nil
}

// promRangeTimeout bounds the answers about a whole idle time.
const promRangeTimeout = 5 * time.Minute

// watchers are the series that show that somebody was counting.
func (s idleSeen) watchers() []prometheus.Series {
	if s.alive != nil {
		return s.alive
	}
	return s.series
}

// there is an error where nobody counts at the end of the time, or where a series that is there has no number in all of it: missing
// metrics are not idle (C24).
func (s idleSeen) there(gap time.Duration) error {
	for _, one := range slices.Concat(s.series, s.alive) {
		if len(one.Points) == 0 {
			return fmt.Errorf("%w: there is no data of %s between %s and %s", prometheus.ErrNoNumber, one.Labels, s.from.Format(time.RFC3339), s.end.Format(time.RFC3339))
		}
	}
	var newest time.Time
	for _, w := range s.watchers() {
		if last := w.Points[len(w.Points)-1].At; last.After(newest) {
			newest = last
		}
	}
	switch {
	case newest.IsZero():
		return fmt.Errorf("%w: there is no data between %s and %s", prometheus.ErrNoNumber, s.from.Format(time.RFC3339), s.end.Format(time.RFC3339))
	case s.end.Sub(newest) > gap:
		return fmt.Errorf("%w: there is no data since %s, and %s may be missing", prometheus.ErrNoNumber, newest.Format(time.RFC3339), gap)
	}
	return nil
}

// judge says what the points say of the time: uses first, then what is missing.
func (s idleSeen) judge(obs *Observation, q migration.IdleQuery, gap time.Duration) {
	before := false
	for _, w := range s.watchers() {
		before = before || !w.Points[0].At.After(s.from)
	}
	if !before {
		obs.lose("there is no data from before %s", s.from.Format(time.RFC3339))
	}
	for _, one := range s.series {
		if q.Counter {
			s.rises(obs, one, before)
			continue
		}
		for _, p := range one.Points {
			if p.At.After(s.from) && p.Value != 0 {
				obs.Use = Used
				obs.Details = append(obs.Details, fmt.Sprintf("%s was %s at %s", one.Labels, format(p.Value), p.At.Format(time.RFC3339)))
				break
			}
		}
	}
	for _, list := range [][]prometheus.Series{s.series, s.alive} {
		for _, one := range list {
			s.holes(obs, one, gap)
		}
	}
}

// rises looks at one counter. One that is new has counted from nothing, if somebody was counting before; what one had counted last
// that fell is lost.
func (s idleSeen) rises(obs *Observation, one prometheus.Series, before bool) {
	for i, p := range one.Points {
		if !p.At.After(s.from) || i == 0 && !before {
			continue
		}
		was := prometheus.Point{}
		since := "it is new"
		if i > 0 {
			was = one.Points[i-1]
			since = "since " + was.At.Format(time.RFC3339)
		}
		switch {
		case p.Value > was.Value:
			obs.Use, obs.Uses = Used, obs.Uses+int64(math.Ceil(p.Value-was.Value))
			obs.Details = append(obs.Details, fmt.Sprintf("%s counted %s more until %s (%s)", one.Labels, format(p.Value-was.Value), p.At.Format(time.RFC3339), since))
		case p.Value < was.Value:
			obs.lose("%s began to count again before %s: what it counted last is lost", one.Labels, p.At.Format(time.RFC3339))
		}
	}
}

// holes looks for times in which a series has no points. What is missing is known once it is missing for longer than it may; what
// was missing, once there is a point again.
func (s idleSeen) holes(obs *Observation, one prometheus.Series, gap time.Duration) {
	for i, p := range one.Points {
		next, known := s.end, p.At.Add(gap)
		if i+1 < len(one.Points) {
			next = one.Points[i+1].At
			known = next
		}
		if next.Sub(p.At) > gap && known.After(s.from) {
			obs.lose("%s has no data from %s to %s, and %s may be missing", one.Labels, p.At.Format(time.RFC3339), next.Format(time.RFC3339), gap)
		}
	}
}

// text sums up what was seen.
func (s idleSeen) text(q migration.IdleQuery) string {
	points := 0
	for _, one := range s.series {
		points += len(one.Points)
	}
	kind := "that must be 0"
	if q.Counter {
		kind = "that must not rise"
	}
	text := fmt.Sprintf("%d series %s, %d points until %s", len(s.series), kind, points, s.end.Format(time.RFC3339))
	if s.alive != nil {
		text += fmt.Sprintf("; %d series show that it was counted", len(s.alive))
	}
	return text
}
