package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// promFake is a fake of Prometheus's query API for what a real one cannot be brought to say at will: it holds the documented
// method, path, parameter, envelope and status codes (Prometheus, HTTP API). TestC20_ARealPrometheus asks a real one.
type promFake struct {
	t *testing.T
	// status and body by query.
	answers map[string]promSaid
	asked   []string
	user    string
}

type promSaid struct {
	status int
	body   string
}

func vector(values ...string) promSaid {
	var series []string
	for i, v := range values {
		series = append(series, fmt.Sprintf(`{"metric":{"n":"%d"},"value":[1795269600.123,%q]}`, i, v))
	}
	return promSaid{200, `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(series, ",") + `]}}`}
}

func (f *promFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/prefix/api/v1/query" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		f.t.Errorf("asked by %s %s", r.Method, r.URL)
	}
	if user, password, _ := r.BasicAuth(); f.user != "" && user+":"+password != f.user {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	query := r.PostFormValue("query")
	f.asked = append(f.asked, query)
	said, ok := f.answers[query]
	if !ok {
		said = promSaid{400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error"}`}
	}
	if said.status == http.StatusFound {
		w.Header().Set("Location", "/login")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(said.status)
	_, _ = w.Write([]byte(said.body))
}

func startPromFake(t *testing.T) (*promFake, string) {
	t.Helper()
	f := &promFake{t: t, answers: map[string]promSaid{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, server.URL + "/prefix/"
}

func promGate(t *testing.T, check migration.PrometheusCheck, baselines map[string]float64) cutover.Gate {
	t.Helper()
	opts := cutover.Options{
		Secret: func(_ context.Context, ref *migration.SecretRef, _ string) (string, error) { return ref.Env, nil },
		Applications: []migration.Application{{
			Name: "shop", Checks: []migration.Check{{Name: "errors", Prometheus: &check, Timeout: migration.Duration(10 * time.Second)}},
		}},
	}
	gates, err := cutover.Check(t.Context(), cutover.CheckOptions{Options: opts, App: "shop", Side: "green", Phase: cutover.AfterSwap, Baselines: baselines})
	if err != nil {
		t.Fatal(err)
	}
	return gates[0]
}

func TestC20_PrometheusAnswersThatAreNoEvidence(t *testing.T) {
	f, url := startPromFake(t)
	for _, tt := range []struct {
		name string
		said promSaid
		want cutover.Outcome
	}{
		{"a number", vector("0.5"), cutover.Passed},
		{"a number too large", vector("1.5"), cutover.Failed},
		{"a scalar", promSaid{200, `{"status":"success","data":{"resultType":"scalar","result":[1795269600,"0.5"]}}`}, cutover.Passed},
		{"no data", vector(), cutover.Inconclusive},
		{"NaN", vector("NaN"), cutover.Inconclusive},
		{"+Inf", vector("+Inf"), cutover.Inconclusive},
		{"-Inf", vector("-Inf"), cutover.Inconclusive},
		{"several series", vector("0.1", "0.2"), cutover.Inconclusive},
		{"a matrix", promSaid{200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`}, cutover.Inconclusive},
		{"a string", promSaid{200, `{"status":"success","data":{"resultType":"string","result":[1795269600,"0.5"]}}`}, cutover.Inconclusive},
		{"a histogram", promSaid{200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1795269600,{"count":"1"}]}]}}`}, cutover.Inconclusive},
		{"a warning", promSaid{200, strings.Replace(vector("0.5").body, `"data"`, `"warnings":["remote read failed"],"data"`, 1)}, cutover.Inconclusive},
		{"a typing error", promSaid{400, `{"status":"error","errorType":"bad_data","error":"parse error"}`}, cutover.Inconclusive},
		{"a query that cannot be executed", promSaid{422, `{"status":"error","errorType":"execution","error":"found duplicate series"}`}, cutover.Inconclusive},
		{"a time-out", promSaid{503, `{"status":"error","errorType":"timeout","error":"query timed out"}`}, cutover.Inconclusive},
		{"a login page", promSaid{302, `<a href="/login">`}, cutover.Inconclusive},
		{"a page", promSaid{200, `<html>0.5</html>`}, cutover.Inconclusive},
		{"an empty object", promSaid{200, `{}`}, cutover.Inconclusive},
		{"no value", promSaid{200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}`}, cutover.Inconclusive},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.answers["q"] = tt.said
			gate := promGate(t, migration.PrometheusCheck{URL: url, Query: "q", Max: share(1)}, nil)
			if gate.Outcome != tt.want || gate.Silent {
				t.Errorf("outcome = %s (silent %t), want %s: %s", gate.Outcome, gate.Silent, tt.want, gate.Text)
			}
		})
	}
}

func TestC20_PrometheusBoundsBaselineSamplesAndAge(t *testing.T) {
	f, url := startPromFake(t)
	f.user = "ann:PASS"
	f.answers["zero"], f.answers["one"], f.answers["two"], f.answers["below"], f.answers["none"] = vector("0"), vector("1"), vector("2"), vector("-1"), vector()
	f.answers["hundred"], f.answers["new"], f.answers["old"], f.answers["later"] = vector("100"), vector("1795269590"), vector("1795269000"), vector("1795279600")
	as := func(change func(*migration.PrometheusCheck)) migration.PrometheusCheck {
		c := migration.PrometheusCheck{URL: url, Username: "ann", Password: &migration.SecretRef{Env: "PASS"}, Query: "two"}
		change(&c)
		return c
	}
	base := func(query string, b migration.Baseline) func(*migration.PrometheusCheck) {
		b.Query = query
		return func(c *migration.PrometheusCheck) { c.Baseline = &b }
	}
	for _, tt := range []struct {
		name   string
		change func(*migration.PrometheusCheck)
		before map[string]float64
		want   cutover.Outcome
	}{
		{"max", func(c *migration.PrometheusCheck) { c.Max = share(2) }, nil, cutover.Passed},
		{"min", func(c *migration.PrometheusCheck) { c.Min = share(2.5) }, nil, cutover.Failed},
		{"as blue", base("one", migration.Baseline{MaxRatio: share(2)}), nil, cutover.Passed},
		{"worse than blue", base("one", migration.Baseline{MaxRatio: share(1.9)}), nil, cutover.Failed},
		{"less than blue", base("two", migration.Baseline{MinRatio: share(1.1)}), nil, cutover.Failed},
		{"blue has none, and nothing is allowed", base("zero", migration.Baseline{MaxRatio: share(3)}), nil, cutover.Failed},
		{"blue has none, and the floor allows it", base("zero", migration.Baseline{MaxRatio: share(3), Floor: share(2)}), nil, cutover.Passed},
		{"blue has no data", base("none", migration.Baseline{MaxRatio: share(3)}), nil, cutover.Inconclusive},
		{"blue is below zero", base("below", migration.Baseline{MaxRatio: share(3)}), nil, cutover.Inconclusive},
		{"as before the swap", base("", migration.Baseline{MaxRatio: share(1)}), map[string]float64{"errors": 2}, cutover.Passed},
		{"worse than before the swap", base("", migration.Baseline{MaxRatio: share(1)}), map[string]float64{"errors": 1}, cutover.Failed},
		{"nothing is known from before the swap", base("", migration.Baseline{MaxRatio: share(1)}), nil, cutover.Inconclusive},
		{"enough samples", func(c *migration.PrometheusCheck) {
			c.Max, c.Samples = share(2), &migration.EnoughSamples{Query: "hundred", Min: 100}
		}, nil, cutover.Passed},
		{"too few samples", func(c *migration.PrometheusCheck) {
			c.Max, c.Samples = share(2), &migration.EnoughSamples{Query: "hundred", Min: 101}
		}, nil, cutover.Inconclusive},
		{"too few samples, of a number that is too large", func(c *migration.PrometheusCheck) {
			c.Max, c.Samples = share(1), &migration.EnoughSamples{Query: "none", Min: 1}
		}, nil, cutover.Inconclusive},
		{"new samples", func(c *migration.PrometheusCheck) {
			c.Max, c.Age = share(2), &migration.SampleAge{Query: "new", Max: migration.Duration(time.Minute)}
		}, nil, cutover.Passed},
		{"old samples", func(c *migration.PrometheusCheck) {
			c.Max, c.Age = share(2), &migration.SampleAge{Query: "old", Max: migration.Duration(time.Minute)}
		}, nil, cutover.Inconclusive},
		{"an age that is none", func(c *migration.PrometheusCheck) {
			c.Max, c.Age = share(2), &migration.SampleAge{Query: "later", Max: migration.Duration(time.Minute)}
		}, nil, cutover.Inconclusive},
		{"the wrong password", func(c *migration.PrometheusCheck) { c.Max, c.Password = share(2), &migration.SecretRef{Env: "WRONG"} }, nil, cutover.Inconclusive},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gate := promGate(t, as(tt.change), tt.before)
			if gate.Outcome != tt.want {
				t.Errorf("outcome = %s, want %s: %s", gate.Outcome, tt.want, gate.Text)
			}
		})
	}
}

// What can be known by asking once is refused before anything is changed; no data yet is only said.
func TestC20_AQueryWithATypingErrorIsRefusedBeforehand(t *testing.T) {
	f, url := startPromFake(t)
	f.answers["good"], f.answers["none"], f.answers["many"] = vector("1"), vector(), vector("1", "2")
	f.answers["page"] = promSaid{200, "<html>"}
	for _, tt := range []struct {
		name, url, query string
		refused, noted   string
		mend             string
	}{
		{"a good query", url, "good", "", "", ""},
		{"a typing error", url, "goood(", "bad_data", "", "correct the query"},
		{"several series", url, "many", "2 series", "", "correct the query"},
		{"no data yet", url, "none", "", "no data", ""},
		{"another server", url, "page", "not as Prometheus does", "", "check url"},
		{"nobody there", "http://" + startGRPCAndStop(t).String(), "good", "refused", "", "can be reached"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := cutover.Options{Applications: []migration.Application{{Name: "shop", Checks: []migration.Check{
				{Name: "errors", Prometheus: &migration.PrometheusCheck{URL: tt.url, Query: tt.query, Max: share(1)}},
			}}}}
			refusals, notes := cutover.ExamineGates(t.Context(), opts)
			if len(refusals) > 0 != (tt.refused != "") || len(notes) > 0 != (tt.noted != "") {
				t.Fatalf("refusals = %+v, notes = %+v", refusals, notes)
			}
			if tt.refused != "" && (!contains(refusals[0].Why, tt.refused) || !contains(refusals[0].Mend, tt.mend)) {
				t.Errorf("refusal = %+v, want %q", refusals[0], tt.refused)
			}
			if tt.noted != "" && !contains(notes[0].Text, tt.noted) {
				t.Errorf("note = %+v, want %q", notes[0], tt.noted)
			}
		})
	}
}

// The number from before the swap is taken with its plan, compared after it, and its absence refuses the plan.
func TestC20_TheBaselineIsTakenBeforeTheSwap(t *testing.T) {
	w := newWorld(t)
	f, url := startPromFake(t)
	f.answers["rate"] = vector("2")
	w.opts.Applications[0].Checks = append(w.opts.Applications[0].Checks, migration.Check{Name: "errors", Prometheus: &migration.PrometheusCheck{
		URL: url, Query: "rate", Baseline: &migration.Baseline{MaxRatio: share(1.5)},
	}})
	_, swapped := w.swapped(t)
	if got := cutover.Baselines(swapped.Names)["errors"]; got != 2 {
		t.Fatalf("the baseline is %g, want 2", got)
	}
	f.answers["rate"] = vector("3.1")
	opts := cutover.SoakOptions{Options: w.opts, App: "shop", Moved: swapped.Names}
	p, err := cutover.PlanSoak(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cutover.ApplySoak(t.Context(), p, w.rec, opts); !errors.Is(err, cutover.ErrBreach) || !contains(err.Error(), "3.1, more than 3 (1.5 x before the swap 2)") {
		t.Errorf("err = %v, want a breach", err)
	}

	f.answers["rate"] = vector()
	w = newWorld(t)
	w.opts.Applications[0].Checks = append(w.opts.Applications[0].Checks, migration.Check{Name: "errors", Prometheus: &migration.PrometheusCheck{
		URL: url, Query: "rate", Baseline: &migration.Baseline{MaxRatio: share(1.5)},
	}})
	p, err = cutover.PlanSwap(t.Context(), w.swapOptions(w.lowered(t)))
	if err != nil {
		t.Fatal(err)
	}
	if !refusedFor(p, "no data") {
		t.Errorf("refusals = %+v", p.Refusals)
	}
}
