package cutover_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// startPrometheus starts Debian's prometheus, which scrapes a target, and returns its URL.
func startPrometheus(t *testing.T, target string) string {
	t.Helper()
	installer, err := install.New(slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	err = installer.Debian(t.Context(), "prometheus")
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("there is no Prometheus: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n  - {job_name: shop, static_configs: [{targets: [%q]}]}\n", target)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+at, "--log.level=error")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it ends by the signal
	})
	return "http://" + at
}

// A real Prometheus is asked, with data that it has scraped.
func TestC20_ARealPrometheus(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "errors{side=\"green\"} 3\nerrors{side=\"blue\"} 2\nidle 0\n")
	}))
	t.Cleanup(target.Close)
	url := startPrometheus(t, strings.TrimPrefix(target.URL, "http://"))
	sum := func(side string) string { return fmt.Sprintf("sum(errors{side=%q})", side) }
	deadline := time.Now().Add(2 * time.Minute)
	for {
		gate := promGate(t, migration.PrometheusCheck{URL: url, Query: sum("blue"), Max: share(2)}, nil)
		if gate.Outcome == cutover.Passed {
			break
		}
		if gate.Outcome == cutover.Failed || time.Now().After(deadline) {
			t.Fatalf("gate = %+v", gate)
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, tt := range []struct {
		name  string
		check migration.PrometheusCheck
		want  cutover.Outcome
		text  string
	}{
		{"at most", migration.PrometheusCheck{Query: sum("green"), Max: share(3)}, cutover.Passed, "3"},
		{"more", migration.PrometheusCheck{Query: sum("green"), Max: share(2.5)}, cutover.Failed, "more than 2.5"},
		{"as blue", migration.PrometheusCheck{Query: sum("green"), Baseline: &migration.Baseline{Query: sum("blue"), MaxRatio: share(1.5)}}, cutover.Passed, "blue's 2"},
		{"worse than blue", migration.PrometheusCheck{Query: sum("green"), Baseline: &migration.Baseline{Query: sum("blue"), MaxRatio: share(1.4)}}, cutover.Failed, ""},
		{"a scalar", migration.PrometheusCheck{Query: "scalar(" + sum("green") + ")", Max: share(3)}, cutover.Passed, ""},
		{"no data", migration.PrometheusCheck{Query: sum("nobody"), Max: share(3)}, cutover.Inconclusive, "no data"},
		{"NaN", migration.PrometheusCheck{Query: "sum(idle) / sum(idle)", Max: share(3)}, cutover.Inconclusive, "NaN"},
		{"Inf", migration.PrometheusCheck{Query: "1 / sum(idle)", Min: share(3)}, cutover.Inconclusive, "Inf"},
		{"several series", migration.PrometheusCheck{Query: "errors", Max: share(30)}, cutover.Inconclusive, "2 series"},
		{"a range", migration.PrometheusCheck{Query: "errors[1m]", Max: share(30)}, cutover.Inconclusive, "matrix"},
		{"a typing error", migration.PrometheusCheck{Query: "sum(errors", Max: share(30)}, cutover.Inconclusive, "bad_data"},
		{"an execution error", migration.PrometheusCheck{Query: "errors + on() errors", Max: share(30)}, cutover.Inconclusive, "execution"},
		{"enough and new", migration.PrometheusCheck{Query: sum("green"), Max: share(3),
			Samples: &migration.EnoughSamples{Query: "sum(count_over_time(errors[1m]))", Min: 2},
			Age:     &migration.SampleAge{Query: "max(timestamp(errors))", Max: migration.Duration(time.Minute)}}, cutover.Passed, ""},
		{"not enough", migration.PrometheusCheck{Query: sum("green"), Max: share(3),
			Samples: &migration.EnoughSamples{Query: "sum(count_over_time(errors[1m]))", Min: 1e6}}, cutover.Inconclusive, "are needed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.check.URL = url
			gate := promGate(t, tt.check, nil)
			if gate.Outcome != tt.want || !contains(gate.Text, tt.text) {
				t.Errorf("outcome = %s, want %s with %q: %s", gate.Outcome, tt.want, tt.text, gate.Text)
			}
		})
	}
	refusals, notes := cutover.ExamineGates(t.Context(), cutover.Options{Applications: []migration.Application{{Name: "shop", Checks: []migration.Check{
		{Name: "typo", Prometheus: &migration.PrometheusCheck{URL: url, Query: "sum(errors", Max: share(1)}},
		{Name: "none", Prometheus: &migration.PrometheusCheck{URL: url, Query: "sum(missing)", Max: share(1)}},
	}}}})
	if len(refusals) != 1 || !contains(refusals[0].Why, "bad_data") || len(notes) != 1 || !contains(notes[0].Text, "no data") {
		t.Errorf("refusals = %+v, notes = %+v", refusals, notes)
	}
}

// A real Prometheus shows a request, a counter that began again, and that nobody counts any more; with a query for whether it is scraped,
// a counter that nobody has made yet is no missing evidence.
func TestC24_ARealPrometheusShowsAUse(t *testing.T) {
	var page atomic.Pointer[string]
	serve := func(text string) { page.Store(&text) }
	serve(`requests{host="shop"} 3` + "\n")
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, *page.Load()) }))
	t.Cleanup(target.Close)
	query := migration.IdleQuery{
		Name: "edge", URL: startPrometheus(t, strings.TrimPrefix(target.URL, "http://")), Query: `requests{host="shop"}`, Counter: true,
		Step: migration.Duration(time.Second), Gap: migration.Duration(4 * time.Second),
	}
	evidence := cutover.PrometheusEvidence{Query: query}
	var last cutover.Observation
	// until looks until a look says what is wanted; every look before may be quiet, or learn nothing.
	until := func(what string, wanted func(cutover.Observation, error) bool) cutover.Observation {
		t.Helper()
		deadline := time.Now().Add(2 * time.Minute)
		for {
			obs, err := evidence.Collect(t.Context(), last)
			if err == nil {
				last = obs
			}
			if wanted(obs, err) {
				return obs
			}
			if time.Now().After(deadline) || err == nil && obs.Use == cutover.Used {
				t.Fatalf("%s: %+v, %v", what, obs, err)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
	quiet := func(obs cutover.Observation, err error) bool {
		return err == nil && obs.Use == cutover.Quiet && obs.Lost == ""
	}
	until("the first look", quiet)
	began := last.At
	until("nobody comes", func(obs cutover.Observation, err error) bool {
		return quiet(obs, err) && obs.At.Sub(began) > 3*time.Second
	})
	serve(`requests{host="shop"} 4` + "\n")
	obs := until("somebody comes", func(obs cutover.Observation, err error) bool { return err == nil && obs.Use == cutover.Used })
	if !contains(strings.Join(obs.Details, " "), `host="shop"`) || !contains(obs.Details[0], "counted 1 more") {
		t.Errorf("who it was: %q", obs.Details)
	}
	// The request is seen again until the looks are past it.
	for obs.Use == cutover.Used {
		if obs, _ = evidence.Collect(t.Context(), last); !obs.At.IsZero() {
			last = obs
		}
		time.Sleep(200 * time.Millisecond)
	}
	serve(`requests{host="shop"} 0` + "\n")
	until("it began again", func(obs cutover.Observation, err error) bool {
		return err == nil && contains(obs.Lost, "began to count again")
	})
	serve("other 1\n")
	until("nobody counts", func(_ cutover.Observation, err error) bool {
		return err != nil && contains(err.Error(), "there is no data")
	})
	evidence.Query.Alive, last = `up{job="shop"}`, cutover.Observation{}
	until("it is scraped, and nobody has come yet", quiet)
	until("still nobody", quiet)
	target.Close()
	until("it is not scraped any more", func(_ cutover.Observation, err error) bool {
		return err != nil && contains(err.Error(), "there is no data")
	})
}
