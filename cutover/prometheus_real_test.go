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
