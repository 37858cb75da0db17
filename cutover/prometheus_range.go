package cutover

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

// promPoint is a value at a time.
type promPoint struct {
	at    time.Time
	value float64
}

// promSeries are the points of one series, in the order of time, without those that are no numbers.
type promSeries struct {
	// labels name the series as PromQL writes it.
	labels string
	points []promPoint
}

// promRange is what is asked for.
type promRange struct {
	query    string
	from, to time.Time
	step     time.Duration
	// raw is called with every answer as it came. It may be nil.
	raw func(json.RawMessage)
}

// askRange asks for all points of a query between two times, in as many answers as it takes. The step is sent as the lookback too, so
// that a point shows a sample that is at most one step old: a server that does not know lookback_delta takes its own, 5 minutes mostly.
func (o Options) askRange(ctx context.Context, s promServer, r promRange) ([]promSeries, error) {
	all := map[string]*promSeries{}
	span := maxPoints * r.step
	for from := r.from; !from.After(r.to); from = from.Add(span + r.step) {
		to := from.Add(span)
		if to.After(r.to) {
			to = r.to
		}
		form := url.Values{
			"query": {r.query}, "start": {unixSeconds(from)}, "end": {unixSeconds(to)},
			"step": {strconv.FormatFloat(r.step.Seconds(), 'f', -1, 64)}, "lookback_delta": {r.step.String()},
		}
		a, err := o.askPrometheus(ctx, s, "query_range", form, maxRangeBody)
		if err != nil {
			return nil, err
		}
		if r.raw != nil {
			r.raw(a.Data.Result)
		}
		if err := addMatrix(all, a); err != nil {
			return nil, err
		}
	}
	var out []promSeries
	for _, labels := range slices.Sorted(maps.Keys(all)) {
		out = append(out, *all[labels])
	}
	return out, nil
}

func unixSeconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

// addMatrix adds the points of an answer to those that are known.
func addMatrix(all map[string]*promSeries, a promAnswer) error {
	if a.Data.ResultType != "matrix" {
		return &queryError{fmt.Sprintf("a %s, and numbers over a time are needed", a.Data.ResultType)}
	}
	var series []struct {
		Metric     map[string]string `json:"metric"`
		Values     []json.RawMessage `json:"values"`
		Histograms []json.RawMessage `json:"histograms"`
	}
	if err := json.Unmarshal(a.Data.Result, &series); err != nil {
		return fmt.Errorf("%w: the matrix cannot be read: %w", errNoNumber, err)
	}
	for _, one := range series {
		labels := labelsOf(one.Metric)
		if len(one.Histograms) > 0 {
			return &queryError{labels + " is a histogram, and numbers are needed: take its count, as with histogram_count(…)"}
		}
		if all[labels] == nil {
			all[labels] = &promSeries{labels: labels}
		}
		for _, raw := range one.Values {
			p, err := parseRangePoint(raw)
			if err != nil {
				return fmt.Errorf("%w: a value of %s cannot be read: %w", errNoNumber, labels, err)
			}
			if !math.IsNaN(p.value) && !math.IsInf(p.value, 0) {
				all[labels].points = append(all[labels].points, p)
			}
		}
	}
	return nil
}

func parseRangePoint(raw json.RawMessage) (promPoint, error) {
	var at float64
	var text string
	if err := json.Unmarshal(raw, &[]any{&at, &text}); err != nil {
		return promPoint{}, err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return promPoint{}, err
	}
	return promPoint{at: seconds64(at).UTC(), value: v}, nil
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
