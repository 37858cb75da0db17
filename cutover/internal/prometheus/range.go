package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxPoints is how many points a series may have in one answer: the server refuses more than 11,000 ("HTTP API", range queries).
	maxPoints = 10_000
	// maxRangeBody bounds one answer, in bytes.
	maxRangeBody = 64 << 20
)

// Series are the points of one series, in the order of time, without those that are no numbers.
type Series struct {
	// Labels name the series as PromQL writes it.
	Labels string
	Points []Point
}

// Range is what is asked for: a query, from a time to another, a point at every step.
type Range struct {
	Query    string
	From, To time.Time
	Step     time.Duration
	// Raw is called with every answer as it came. It may be nil.
	Raw func(json.RawMessage)
}

// Range asks for all points of a query between two times, in as many answers as it takes. The step is sent as the lookback too, so
// that a point shows a sample that is at most one step old: a server that does not know lookback_delta takes its own, 5 minutes mostly.
func (s Server) Range(ctx context.Context, r Range) ([]Series, error) {
	all := map[string]*Series{}
	span := maxPoints * r.Step
	for from := r.From; !from.After(r.To); from = from.Add(span + r.Step) {
		to := from.Add(span)
		if to.After(r.To) {
			to = r.To
		}
		form := url.Values{
			"query": {r.Query}, "start": {unixSeconds(from)}, "end": {unixSeconds(to)},
			"step": {strconv.FormatFloat(r.Step.Seconds(), 'f', -1, 64)}, "lookback_delta": {r.Step.String()},
		}
		a, err := s.ask(ctx, "query_range", form, maxRangeBody)
		if err != nil {
			return nil, err
		}
		if r.Raw != nil {
			r.Raw(a.Data.Result)
		}
		if err := addMatrix(all, a); err != nil {
			return nil, err
		}
	}
	var out []Series
	for _, labels := range slices.Sorted(maps.Keys(all)) {
		out = append(out, *all[labels])
	}
	return out, nil
}

func unixSeconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

// addMatrix adds the points of an answer to those that are known.
func addMatrix(all map[string]*Series, a answer) error {
	if a.Data.ResultType != "matrix" {
		return &QueryError{fmt.Sprintf("a %s, and numbers over a time are needed", a.Data.ResultType)}
	}
	var series []struct {
		Metric     map[string]string `json:"metric"`
		Values     []json.RawMessage `json:"values"`
		Histograms []json.RawMessage `json:"histograms"`
	}
	if err := json.Unmarshal(a.Data.Result, &series); err != nil {
		return fmt.Errorf("%w: the matrix cannot be read: %w", ErrNoNumber, err)
	}
	for _, one := range series {
		labels := labelsOf(one.Metric)
		if len(one.Histograms) > 0 {
			return &QueryError{labels + " is a histogram, and numbers are needed: take its count, as with histogram_count(…)"}
		}
		if all[labels] == nil {
			all[labels] = &Series{Labels: labels}
		}
		for _, raw := range one.Values {
			p, err := parseRangePoint(raw)
			if err != nil {
				return fmt.Errorf("%w: a value of %s cannot be read: %w", ErrNoNumber, labels, err)
			}
			if !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
				all[labels].Points = append(all[labels].Points, p)
			}
		}
	}
	return nil
}

func parseRangePoint(raw json.RawMessage) (Point, error) {
	var at float64
	var text string
	if err := json.Unmarshal(raw, &[]any{&at, &text}); err != nil {
		return Point{}, err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return Point{}, err
	}
	return Point{At: seconds(at).UTC(), Value: v}, nil
}

// labelsOf writes the labels of a series as PromQL does: name{a="b"}.
func labelsOf(metric map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(metric)) {
		if name != "__name__" {
			parts = append(parts, fmt.Sprintf("%s=%q", name, metric[name]))
		}
	}
	return metric["__name__"] + "{" + strings.Join(parts, ",") + "}"
}
