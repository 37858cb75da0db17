package cutover_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/migration"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rangeFake plays the range queries of a Prometheus: a query's name says which function gives its series at a time. It keeps the
// server's rule of at most 11,000 points a series ("HTTP API", range queries), and insists on being told how old a sample may be.
type rangeFake struct {
	mu     sync.Mutex
	series map[string]func(at time.Time) map[string]float64
	answer string // instead of all else
	asked  int
}

func (f *rangeFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.answer != "" {
		_, _ = w.Write([]byte(f.answer))
		return
	}
	at := func(name string) time.Time {
		v, _ := strconv.ParseFloat(r.FormValue(name), 64)
		return time.UnixMilli(int64(math.Round(v * 1000))).UTC()
	}
	step, _ := strconv.ParseFloat(r.FormValue("step"), 64)
	d := time.Duration(step * float64(time.Second))
	if r.URL.Path != "/api/v1/query_range" || f.series[r.FormValue("query")] == nil || d <= 0 || r.FormValue("lookback_delta") != d.String() || at("end").Sub(at("start"))/d > 11_000 {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution, or no such query"}`)
		return
	}
	values := map[string][][]any{}
	for t := at("start"); !t.After(at("end")); t = t.Add(d) {
		for name, v := range f.series[r.FormValue("query")](t) {
			values[name] = append(values[name], []any{float64(t.UnixMilli()) / 1000, strconv.FormatFloat(v, 'f', -1, 64)})
		}
	}
	result := []any{}
	for name, points := range values {
		result = append(result, map[string]any{"metric": map[string]string{"__name__": "requests", "pod": name}, "values": points})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": result}})
}

func (f *rangeFake) set(query string, series func(time.Time) map[string]float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.series[query] = series
}

// promEvidence is a query of a fake, under a clock that begins at hour 0.
func promEvidence(t *testing.T, q migration.IdleQuery) (*rangeFake, cutover.PrometheusEvidence, *clock.Fake) {
	t.Helper()
	f := &rangeFake{series: map[string]func(time.Time) map[string]float64{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	q.Name, q.URL, q.Query = "edge", server.URL, "q"
	c := clock.NewFake(hour(0))
	return f, cutover.PrometheusEvidence{Options: cutover.Options{Clock: c}, Query: q}, c
}

func hour(h float64) time.Time {
	return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC).Add(time.Duration(h * float64(time.Hour)))
}

// noData is no number: at such times a series is not there.
const noData = -404

// steady is a number that changes at times.
func steady(name string, first float64, changes ...float64) func(time.Time) map[string]float64 {
	return func(at time.Time) map[string]float64 {
		v := first
		for i := 0; i+1 < len(changes); i += 2 {
			if !at.Before(hour(changes[i])) {
				v = changes[i+1]
			}
		}
		if v == noData {
			return nil
		}
		return map[string]float64{name: v}
	}
}

func both(list ...func(time.Time) map[string]float64) func(time.Time) map[string]float64 {
	return func(at time.Time) map[string]float64 {
		all := map[string]float64{}
		for _, one := range list {
			for k, v := range one(at) {
				all[k] = v
			}
		}
		return all
	}
}

// What a Prometheus has of the time between two looks, at hours 9 and 10, after a first look at hour 9.
func TestC24_WhatPrometheusSaysOfATime(t *testing.T) {
	const none = noData
	nan := math.NaN()
	for name, tt := range map[string]struct {
		counter bool
		alive   func(time.Time) map[string]float64
		series  func(time.Time) map[string]float64
		use     cutover.Use
		details string
		lost    string
	}{
		"a counter stands still":                  {true, nil, steady("a", 5), cutover.Quiet, "", ""},
		"a counter rises by one":                  {true, nil, steady("a", 5, 9.5, 6), cutover.Used, `requests{pod="a"} counted 1 more until 2026-11-22T09:30:00Z`, ""},
		"just after the last look":                {true, nil, steady("a", 5, 9.01, 6), cutover.Used, "counted 1 more", ""},
		"before the last look":                    {true, nil, steady("a", 5, 8.9, 6), cutover.Quiet, "", ""},
		"two that even out":                       {true, nil, both(steady("a", 5, 9.5, 4), steady("b", 5, 9.5, 6)), cutover.Used, `pod="b"} counted 1 more`, `pod="a"} began to count again`},
		"a new one that counted":                  {true, nil, both(steady("a", 5), steady("b", none, 9.5, 1)), cutover.Used, `pod="b"} counted 1 more until 2026-11-22T09:30:00Z (it is new)`, ""},
		"a new one at nothing":                    {true, nil, both(steady("a", 5), steady("b", none, 9.5, 0)), cutover.Quiet, "", ""},
		"a counter begins again":                  {true, nil, steady("a", 5, 9.5, 0), cutover.Quiet, "", "began to count again before 2026-11-22T09:30:00Z"},
		"less data than may be missing":           {true, nil, steady("a", 5, 8.96, none, 9.02, 6), cutover.Used, "counted 1 more until 2026-11-22T09:02:00Z (since 2026-11-22T08:57:00Z)", ""},
		"one of two ended, as the last look said": {true, nil, both(steady("a", 5), steady("b", 5, 8.92, none)), cutover.Quiet, "", ""},
		"one of two ended, as no look could know": {true, nil, both(steady("a", 5), steady("b", 5, 8.98, none)), cutover.Quiet, "", `pod="b"} has no data from 2026-11-22T08:58:00Z`},
		"a hole ends that the last look began":    {true, nil, both(steady("a", 5), steady("b", 5, 8.93, none, 9.16, 5)), cutover.Quiet, "", `pod="b"} has no data from 2026-11-22T08:55:00Z to 2026-11-22T09:10:00Z`},
		"infinite for long":                       {true, nil, steady("a", 5, 9.5, math.Inf(1), 9.7, 5), cutover.Quiet, "", "has no data"},
		"a rate before the last look":             {false, nil, steady("a", 1, 9, 0), cutover.Quiet, "", ""},
		"one of two ends":                         {true, nil, both(steady("a", 5), steady("b", 5, 9.5, none)), cutover.Quiet, "", `pod="b"} has no data from 2026-11-22T09:29:00Z`},
		"a short hole":                            {true, nil, steady("a", 5, 9.5, none, 9.55, 5), cutover.Quiet, "", ""},
		"a long hole":                             {true, nil, steady("a", 5, 9.5, none, 9.7, 5), cutover.Quiet, "", "has no data from 2026-11-22T09:29:00Z to 2026-11-22T09:42:00Z, and 5m0s may be missing"},
		"a rise in a hole":                        {true, nil, steady("a", 5, 9.5, none, 9.7, 6), cutover.Used, "counted 1 more", "has no data"},
		"NaN for long":                            {true, nil, steady("a", 5, 9.5, nan, 9.7, 5), cutover.Quiet, "", "has no data"},
		"a hole over the last look":               {true, nil, steady("a", 5, 8.5, none, 9.3, 5), cutover.Quiet, "", "there is no data from before"},
		"a rate of nothing":                       {false, nil, steady("a", 0), cutover.Quiet, "", ""},
		"a rate":                                  {false, nil, steady("a", 0, 9.5, 0.01, 9.6, 0), cutover.Used, `pod="a"} was 0.01 at 2026-11-22T09:30:00Z`, ""},
		"less than nothing":                       {false, nil, steady("a", 0, 9.5, -0.5, 9.6, 0), cutover.Used, "was -0.5 at", ""},
		"alive, and never asked":                  {true, steady("up", 1), steady("a", none), cutover.Quiet, "", ""},
		"alive, and asked once":                   {true, steady("up", 1), steady("a", none, 9.5, 1), cutover.Used, "it is new", ""},
		"alive, and counted before":               {true, steady("up", 1), steady("a", 5, 9.5, none), cutover.Quiet, "", `pod="a"} has no data`},
		"down for a while":                        {true, steady("up", 1, 9.5, 0, 9.7, 1), steady("a", 5), cutover.Quiet, "", `pod="up"} has no data`},
	} {
		t.Run(name, func(t *testing.T) {
			f, evidence, c := promEvidence(t, migration.IdleQuery{Counter: tt.counter})
			f.set("q", tt.series)
			if tt.alive != nil {
				evidence.Query.Alive = "alive"
				f.set("alive", tt.alive)
			}
			last := cutover.Observation{Use: cutover.Quiet, From: hour(8), At: hour(9)}
			must(t, c.Sleep(t.Context(), hour(10).Sub(hour(0))+time.Minute))
			obs, err := evidence.Collect(t.Context(), last)
			if err != nil {
				t.Fatal(err)
			}
			if obs.Use != tt.use || !strings.Contains(strings.Join(obs.Details, "\n"), tt.details) || !strings.Contains(obs.Lost, tt.lost) || (tt.lost == "") != (obs.Lost == "") {
				t.Errorf("%s %q, lost %q, want %s %q, lost %q (%s)", obs.Use, obs.Details, obs.Lost, tt.use, tt.details, tt.lost, obs.Text)
			}
			if !obs.At.Equal(hour(10)) || tt.lost == "" && !obs.From.Equal(hour(9)) {
				t.Errorf("it covers %s to %s", obs.From, obs.At)
			}
		})
	}
}

// Missing metrics are not idle.
func TestI08_APrometheusThatSaysNothingIsNoEvidence(t *testing.T) {
	for name, tt := range map[string]struct {
		setup func(*rangeFake, *cutover.PrometheusEvidence)
		want  string
	}{
		"no data":     {func(f *rangeFake, _ *cutover.PrometheusEvidence) { f.set("q", steady("a", noData)) }, "there is no data between"},
		"none lately": {func(f *rangeFake, _ *cutover.PrometheusEvidence) { f.set("q", steady("a", 0, 9.8, noData)) }, "there is no data since 2026-11-22T09:47:00Z, and 5m0s may be missing"},
		"NaN":         {func(f *rangeFake, _ *cutover.PrometheusEvidence) { f.set("q", steady("a", math.NaN())) }, "there is no data"},
		"NaN beside a number": {func(f *rangeFake, _ *cutover.PrometheusEvidence) {
			f.set("q", both(steady("a", 0), steady("b", math.NaN())))
		}, `there is no data of requests{pod="b"} between`},
		"one of two not alive": {func(f *rangeFake, e *cutover.PrometheusEvidence) {
			f.set("q", steady("a", 0))
			f.set("x", both(steady("up", 1), steady("other", 0)))
			e.Query.Alive = "x"
		}, `there is no data of requests{pod="other"} between`},
		"not alive": {func(f *rangeFake, e *cutover.PrometheusEvidence) {
			f.set("q", steady("a", 0))
			f.set("x", steady("up", 0))
			e.Query.Alive = "x"
		}, "there is no data"},
		"no server":      {func(_ *rangeFake, e *cutover.PrometheusEvidence) { e.Query.URL = "http://127.0.0.1:1" }, "refused"},
		"a typing error": {func(*rangeFake, *cutover.PrometheusEvidence) {}, "bad_data"},
		"a login page":   {func(f *rangeFake, _ *cutover.PrometheusEvidence) { f.answer = "<html>" }, "not as Prometheus does"},
		"a warning": {func(f *rangeFake, _ *cutover.PrometheusEvidence) {
			f.answer = `{"status":"success","warnings":["a store is down"]}`
		}, "may not be whole"},
		"a vector": {func(f *rangeFake, _ *cutover.PrometheusEvidence) {
			f.answer = `{"status":"success","data":{"resultType":"vector","result":[]}}`
		}, "a vector"},
		"a histogram": {func(f *rangeFake, _ *cutover.PrometheusEvidence) {
			f.answer = `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{}]]}]}}`
		}, "is a histogram"},
		"half a value": {func(f *rangeFake, _ *cutover.PrometheusEvidence) {
			f.answer = `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1]]}]}}`
		}, "cannot be read"},
		"no secret": {func(f *rangeFake, e *cutover.PrometheusEvidence) {
			f.set("q", steady("a", 0))
			e.Query.Token = &migration.SecretRef{Env: "NONE"}
		}, "read the secret"},
	} {
		t.Run(name, func(t *testing.T) {
			f, evidence, c := promEvidence(t, migration.IdleQuery{})
			tt.setup(f, &evidence)
			must(t, c.Sleep(t.Context(), hour(10).Sub(hour(0))))
			obs, err := evidence.Collect(t.Context(), cutover.Observation{Use: cutover.Quiet, At: hour(9)})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("it says %s (%s), %v, want %q", obs.Use, obs.Text, err, tt.want)
			}
			if obs, _, err = evidence.Confirm(t.Context(), hour(9), hour(10)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("for the whole time it says %s (%s), %v, want %q", obs.Use, obs.Text, err, tt.want)
			}
		})
	}
}

// The first look only says where the watch begins. It reaches back by a step, and so does the next.
func TestC24_TheFirstLookAtAPrometheusJudgesNothing(t *testing.T) {
	f, evidence, c := promEvidence(t, migration.IdleQuery{Counter: true})
	f.set("q", steady("a", 5, 10, 6))
	must(t, c.Sleep(t.Context(), hour(10).Sub(hour(0))+30*time.Second))
	first, err := evidence.Collect(t.Context(), cutover.Observation{})
	if err != nil || first.Use != cutover.Quiet || !first.At.Equal(hour(10).Add(-30*time.Second)) {
		t.Errorf("first: %+v, %v", first, err)
	}
	must(t, c.Sleep(t.Context(), time.Minute))
	if second, err := evidence.Collect(t.Context(), first); err != nil || second.Use != cutover.Used {
		t.Errorf("second: %+v, %v", second, err)
	}
}

// A watch of 72 hours by Prometheus, which no look covers alone: one request blocks it, also where Crossfade did not run, and the whole time
// is asked for once more when the certificate is made, in answers of as many points as the server gives.
func TestC24_PrometheusOverTheWholeTime(t *testing.T) {
	f, evidence, c := promEvidence(t, migration.IdleQuery{Counter: true, Step: migration.Duration(20 * time.Second)})
	f.set("q", steady("a", 5, 50, 6))
	opts := idleOptions(c, evidence)
	opts.Rehearsal, opts.Retirement.Interval = nil, migration.Duration(30*time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	var samples []cutover.Sample
	opts.Record = func(s cutover.Sample) error {
		if samples = append(samples, s); len(samples) == 90 {
			stop() // at hour 44.5
		}
		return nil
	}
	if _, err := cutover.WatchIdle(ctx, opts); err == nil {
		t.Fatal("it did not stop")
	}
	must(t, c.Sleep(t.Context(), 10*time.Hour)) // in which somebody comes
	opts.Previous, opts.Record = samples, nil
	idle, err := cutover.WatchIdle(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(idle.Restarts) != 1 || !strings.Contains(idle.Restarts[0].Why, `counted 1 more until 2026-11-24T02:00:`) || idle.Since.Before(hour(54)) || idle.For < 72*time.Hour {
		t.Errorf("%+v", idle)
	}
	f.asked = 0
	obs, raw, err := evidence.Confirm(t.Context(), idle.Since, idle.Until)
	points := (idle.Until.Sub(idle.Since)+migration.DefaultIdleGap)/(20*time.Second) + 1 // none is left out between two answers
	if err != nil || obs.Use != cutover.Quiet || obs.Lost != "" || f.asked < 2 || !strings.Contains(obs.Text, fmt.Sprintf(" %d points ", points)) || !json.Valid(raw) || len(raw) < 100_000 {
		t.Errorf("confirmed in %d answers of %d bytes: %+v, %v", f.asked, len(raw), obs, err)
	}
	f.set("q", steady("a", 5, 50, 6, 100, 7)) // it came late
	if obs, _, err = evidence.Confirm(t.Context(), idle.Since, idle.Until); err != nil || obs.Use != cutover.Used {
		t.Errorf("what came late is not seen: %+v, %v", obs, err)
	}
}

// Queries that can never show idleness are found before anything is changed.
func TestC24_QueriesOfTheRetirementAreExamined(t *testing.T) {
	f, evidence, c := promEvidence(t, migration.IdleQuery{})
	examine := func() (string, string) {
		refusals, notes := cutover.ExamineRetirement(t.Context(), cutover.Options{Clock: c}, &migration.Retirement{Prometheus: []migration.IdleQuery{evidence.Query}})
		text := ""
		for _, r := range refusals {
			text += r.What + ": " + r.Why + ": " + r.Mend
		}
		said := ""
		for _, n := range notes {
			said += n.Text
		}
		return text, said
	}
	if refused, _ := examine(); !strings.Contains(refused, `retirement.prometheus: "edge"`) || !strings.Contains(refused, "correct the query") {
		t.Errorf("a typing error: %q", refused)
	}
	f.set("q", steady("a", noData))
	if refused, said := examine(); refused != "" || !strings.Contains(said, "blue is not idle") {
		t.Errorf("no data: %q %q", refused, said)
	}
	f.set("q", steady("a", 3))
	if refused, said := examine(); refused+said != "" {
		t.Errorf("data: %q %q", refused, said)
	}
}
