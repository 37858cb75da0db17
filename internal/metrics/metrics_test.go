package metrics

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestWhatIsToldIsServed(t *testing.T) {
	m := New()
	at, stop, err := m.Serve(t.Context(), "0")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(at, "127.0.0.1:") {
		t.Errorf("it is served at %s", at)
	}
	m.Copied("sync", Copy{Objects: 1})
	m.Copied("sync", Copy{Objects: 3, Bytes: 4000, TotalObjects: 5, TotalBytes: 6000, Retries: 7, Throttles: 8, Failures: 9})
	m.Asked("put", 30*time.Millisecond, "ok")
	m.Asked("put", time.Minute, "throttled")
	answer, err := http.Get("http://" + at + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	for _, want := range []string{
		`crossfade_copy_objects_total{stage="sync"} 3`, `crossfade_copy_bytes_total{stage="sync"} 4000`,
		`crossfade_copy_planned_objects{stage="sync"} 5`, `crossfade_copy_planned_bytes{stage="sync"} 6000`,
		`crossfade_copy_retries_total{stage="sync"} 7`, `crossfade_copy_throttles_total{stage="sync"} 8`, `crossfade_copy_failures_total{stage="sync"} 9`,
		`crossfade_request_duration_seconds_count{operation="put",result="ok"} 1`,
		`crossfade_request_duration_seconds_bucket{operation="put",result="ok",le="0.039`,
		`crossfade_request_duration_seconds_bucket{operation="put",result="throttled",le="+Inf"} 1`,
		"# TYPE crossfade_copy_objects_total counter",
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in\n%s", want, raw)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + at + "/metrics"); err == nil {
		t.Error("it is served after the end")
	}
	var none *Metrics
	none.Copied("sync", Copy{})
	none.Asked("put", 0, "ok")
}

func TestATakenPortIsTold(t *testing.T) {
	at, stop, err := New().Serve(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stop() }()
	if _, _, err := New().Serve(t.Context(), at); err == nil || !strings.Contains(err.Error(), "serve metrics at "+at) {
		t.Errorf("got %v", err)
	}
}
