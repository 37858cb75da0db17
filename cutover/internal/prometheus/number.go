package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"time"
)

// maxNumberBody bounds the answer to an instant query, in bytes.
const maxNumberBody = 1 << 20

// Point is a value at a time: the server's own where one number was asked for.
type Point struct {
	At    time.Time
	Value float64
}

// Age is how long before the point its value was, taken as seconds since 1970.
func (p Point) Age() time.Duration { return p.At.Sub(seconds(p.Value)) }

func seconds(s float64) time.Time { return time.UnixMilli(int64(s * 1000)) }

// Number sends one instant query and returns its one number. NaN and infinities are values to Prometheus, and no number here.
func (s Server) Number(ctx context.Context, query string) (Point, error) {
	a, err := s.ask(ctx, "query", url.Values{"query": {query}}, maxNumberBody)
	if err != nil {
		return Point{}, err
	}
	return parseNumber(a)
}

func parseNumber(a answer) (Point, error) {
	switch a.Data.ResultType {
	case "scalar":
		return parsePoint(a.Data.Result)
	case "vector":
		var series []struct {
			Value     json.RawMessage `json:"value"`
			Histogram json.RawMessage `json:"histogram"`
		}
		if err := json.Unmarshal(a.Data.Result, &series); err != nil {
			return Point{}, fmt.Errorf("%w: the vector cannot be read: %w", ErrNoNumber, err)
		}
		switch {
		case len(series) == 0:
			return Point{}, fmt.Errorf("%w: no data", ErrNoNumber)
		case len(series) > 1:
			return Point{}, &QueryError{fmt.Sprintf("%d series, and one is needed: aggregate them, as with sum(…)", len(series))}
		case len(series[0].Histogram) > 0:
			return Point{}, &QueryError{"a histogram, and a number is needed: take one, as with histogram_quantile(0.95, …)"}
		}
		return parsePoint(series[0].Value)
	}
	return Point{}, &QueryError{fmt.Sprintf("a %s, and a number is needed: aggregate it, as with sum(rate(…[1m]))", a.Data.ResultType)}
}

// parsePoint reads [time, "value"]. NaN and infinities are values to Prometheus, and nothing to judge by.
func parsePoint(raw json.RawMessage) (Point, error) {
	var at float64
	var text string
	if err := json.Unmarshal(raw, &[]any{&at, &text}); err != nil {
		return Point{}, fmt.Errorf("%w: the value cannot be read: %w", ErrNoNumber, err)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return Point{}, fmt.Errorf("%w: the value is %s", ErrNoNumber, text)
	}
	return Point{Value: v, At: seconds(at)}, nil
}
