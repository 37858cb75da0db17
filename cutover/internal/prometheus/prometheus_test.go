package prometheus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover/internal/prometheus"
)

// serve answers every question with a text, and with a status.
func serve(t *testing.T, status int, body string) prometheus.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status == http.StatusFound {
			w.Header().Set("Location", "/login")
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return prometheus.Server{URL: server.URL}
}

func data(kind, result string) string {
	return `{"status":"success","data":{"resultType":"` + kind + `","result":` + result + `}}`
}

// kind names the branch of the doc comment to which an error belongs.
func kind(err error) string {
	var query *prometheus.QueryError
	var server *prometheus.ServerError
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &query):
		return "query"
	case errors.As(err, &server):
		return "server"
	case errors.Is(err, prometheus.ErrNoNumber):
		return "no number"
	}
	return "other"
}

func TestErrorsSayWhoCanMendThem(t *testing.T) {
	instant := func(ctx context.Context, s prometheus.Server) error {
		_, err := s.Number(ctx, "q")
		return err
	}
	over := func(ctx context.Context, s prometheus.Server) error {
		_, err := s.Range(ctx, prometheus.Range{Query: "q", From: time.Unix(0, 0), To: time.Unix(60, 0), Step: time.Minute})
		return err
	}
	type question func(context.Context, prometheus.Server) error
	for _, tt := range []struct {
		name   string
		ask    question
		status int
		body   string
		want   string
		text   string
	}{
		{"a number", instant, 200, data("scalar", `[1,"0.5"]`), "none", ""},
		{"no data", instant, 200, data("vector", `[]`), "no number", "no data"},
		{"NaN", instant, 200, data("scalar", `[1,"NaN"]`), "no number", "NaN"},
		{"several series", instant, 200, data("vector", `[{"value":[1,"1"]},{"value":[1,"2"]}]`), "query", "2 series"},
		{"a histogram", instant, 200, data("vector", `[{"histogram":[1,{}]}]`), "query", "histogram_quantile"},
		{"a matrix for one number", instant, 200, data("matrix", `[]`), "query", "a matrix"},
		{"too long", instant, 200, strings.Repeat(" ", 1<<20+1), "query", "more than 1048576 bytes"},
		{"a typing error", instant, 400, `{"status":"error","errorType":"bad_data","error":"parse error\nat 5"}`, "query", "bad_data: parse error"},
		{"a time-out", instant, 503, `{"status":"error","errorType":"timeout","error":"timed out"}`, "server", "503"},
		{"a login", instant, 302, "", "server", "perhaps to a login"},
		{"a page", over, 200, "<html>", "server", "not as Prometheus does"},
		{"a part", over, 200, `{"status":"success","warnings":["a store is down"]}`, "no number", "may not be whole"},
		{"points", over, 200, data("matrix", `[{"metric":{},"values":[[1,"1"]]}]`), "none", ""},
		{"half a point", over, 200, data("matrix", `[{"metric":{"__name__":"up"},"values":[[1]]}]`), "no number", "a value of up{}"},
		{"histograms", over, 200, data("matrix", `[{"metric":{},"histograms":[[1,{}]]}]`), "query", "histogram_count"},
		{"a vector for points", over, 200, data("vector", `[]`), "query", "a vector"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.ask(t.Context(), serve(t, tt.status, tt.body))
			if got := kind(err); got != tt.want || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%s error, want %s with %q: %v", got, tt.want, tt.text, err)
			}
		})
	}
	if err := instant(t.Context(), prometheus.Server{URL: "http://127.0.0.1:1"}); kind(err) != "other" {
		t.Errorf("nobody answers: %v", err)
	}
}

func TestAgeIsMeasuredByTheServersClock(t *testing.T) {
	n, err := serve(t, 200, data("scalar", `[1795269600.5,"1795269590"]`)).Number(t.Context(), "max(timestamp(x))")
	if err != nil || n.Age() != 10500*time.Millisecond {
		t.Errorf("%+v is %s old, %v", n, n.Age(), err)
	}
}

func TestAQuestionGoesWithItsCredentials(t *testing.T) {
	for name, tt := range map[string]struct {
		server prometheus.Server
		want   string
	}{
		"nobody":    {prometheus.Server{Password: "lost"}, ""},
		"a user":    {prometheus.Server{Username: "ann", Password: "secret", Token: "not sent"}, "Basic YW5uOnNlY3JldA=="},
		"a token":   {prometheus.Server{Token: "abc"}, "Bearer abc"},
		"a header":  {prometheus.Server{Headers: map[string]string{"Authorization": "Own"}}, "Own"},
		"a tenancy": {prometheus.Server{Token: "abc", Headers: map[string]string{"X-Scope-OrgID": "shop"}}, "Bearer abc"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); got != tt.want || r.Method != http.MethodPost || r.URL.Path != "/below/api/v1/query" || r.PostFormValue("query") != "a+b" {
					t.Errorf("%s %s with %q, want %q", r.Method, r.URL, got, tt.want)
				}
				for name, value := range tt.server.Headers {
					if r.Header.Get(name) != value {
						t.Errorf("%s is %q", name, r.Header.Get(name))
					}
				}
				_, _ = w.Write([]byte(data("scalar", `[1,"1"]`)))
			}))
			t.Cleanup(server.Close)
			tt.server.URL = server.URL + "/below/"
			if _, err := tt.server.Number(t.Context(), "a+b"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A long time takes several answers; together they have every point once, and what is no number is left out.
func TestRangeIsOneSeriesOverSeveralAnswers(t *testing.T) {
	const step = time.Second
	from := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	to := from.Add(15_000 * step)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var first, last float64
		if _, err := fmt.Sscan(r.FormValue("start")+" "+r.FormValue("end"), &first, &last); err != nil {
			t.Error(err)
		}
		var points []any
		for at := first; at <= last; at++ {
			text := "7"
			if at == first {
				text = "NaN"
			}
			points = append(points, []any{at, text})
		}
		if r.FormValue("lookback_delta") != "1s" || r.FormValue("step") != "1" || len(points) > 11_000 {
			t.Errorf("asked with %v for %d points", r.Form, len(points))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": []any{
			map[string]any{"metric": map[string]string{"__name__": "hits", "pod": "a"}, "values": points},
		}}})
	}))
	t.Cleanup(server.Close)
	raw := 0
	series, err := prometheus.Server{URL: server.URL}.Range(t.Context(), prometheus.Range{Query: "hits", From: from, To: to, Step: step, Raw: func(json.RawMessage) { raw++ }})
	if err != nil || len(series) != 1 || series[0].Labels != `hits{pod="a"}` || raw != 2 {
		t.Fatalf("%d answers, %d series, %v", raw, len(series), err)
	}
	points := series[0].Points
	if len(points) != 15_001-raw {
		t.Errorf("%d points", len(points))
	}
	for i := 1; i < len(points); i++ {
		if gap := points[i].At.Sub(points[i-1].At); gap < step || gap > 2*step || gap == 2*step && i != 10_000 {
			t.Fatalf("point %d is %s after the one before", i, gap)
		}
	}
	if last := points[len(points)-1]; !last.At.Equal(to) || last.Value != 7 {
		t.Errorf("the last point is %+v", last)
	}
}
