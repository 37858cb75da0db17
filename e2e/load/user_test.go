package load

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestWhatCountsAsAFailedRead(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		breakIt      func(*world)
	}{
		{"status of the server", "status 502", func(w *world) { w.blue.status = http.StatusBadGateway }},
		{"not found", "status 404", func(w *world) { w.blue.status = http.StatusNotFound }},
		{"read-only is no excuse for a read", "status 503", func(w *world) { w.blue.status = http.StatusServiceUnavailable }},
		{"wrong body", "wrong body", func(w *world) { w.blue.page = "welcome to nginx" }},
		{"no connection", "no route", func(w *world) { w.servers = nil }},
		{"NODATA", "NODATA", func(w *world) { w.resolver.fail(&LookupError{Host: "shop.apps.test", Reason: "NODATA"}) }},
		{"resolver down", "i/o timeout", func(w *world) {
			w.resolver.fail(&LookupError{Host: "shop.apps.test", Reason: "i/o timeout", Err: errors.New("i/o timeout")})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.breakIt(w)
			l, ttl, keep := w.load(t, shopTarget())
			ttl.read(t.Context())
			keep.read(t.Context())
			report := l.Report()
			if report.Totals.FailedReads != 2 || report.Totals.Reads != 2 || len(report.Failures) != 2 {
				t.Fatalf("totals = %+v, %d in the log; want 2 failed reads, both logged", report.Totals, len(report.Failures))
			}
			for _, f := range report.Failures {
				if !strings.Contains(f.Reason, tt.reason) || f.Host != "shop.apps.test" || f.At.IsZero() {
					t.Errorf("logged %+v, want a reason with %q", f, tt.reason)
				}
			}
		})
	}
}

func TestRefusedWritesAreCountedApart(t *testing.T) {
	w := newWorld(t)
	l, user, _ := w.load(t, shopTarget())
	user.write(t.Context())
	w.blue.change(func(s *fakeShop) { s.readOnly = true })
	user.write(t.Context())
	w.blue.change(func(s *fakeShop) { s.readOnly, s.status = false, http.StatusServiceUnavailable })
	user.write(t.Context()) // the same status without the header is a failure
	report := l.Report()
	if got := report.Totals; got.Writes != 1 || got.Refused != 1 || got.FailedWrites != 1 || got.Failed() != 1 {
		t.Errorf("totals = %+v, want 1 accepted, 1 refused, 1 failed", got)
	}
	if got := report.Accepted("shop.apps.test"); len(got) != 1 || got[0] != "load/run/ttl/000001" {
		t.Errorf("accepted = %v, want the first key alone", got)
	}
	if len(report.Failures) != 1 {
		t.Errorf("failures = %v, want the failed write alone", report.Failures)
	}
}

func TestAUserReadsItsOwnWritesBack(t *testing.T) {
	w := newWorld(t)
	l, user, other := w.load(t, shopTarget())
	other.write(t.Context())
	user.write(t.Context())
	for range 4 {
		user.read(t.Context())
	}
	if got := l.Report().Totals; got.Failed() != 0 || got.Reads != 4 {
		t.Fatalf("totals = %+v, want 4 good reads", got)
	}
	w.blue.data.put("load/run/ttl/000001", []byte("another body"))
	w.blue.data.put("load/run/keep/000001", nil)
	user.read(t.Context()) // the page
	user.read(t.Context()) // the key
	report := l.Report()
	if report.Totals.FailedReads != 1 || !strings.Contains(report.Failures[0].Op, "load/run/ttl/000001") {
		t.Errorf("totals = %+v, log %+v; want its own spoilt key found", report.Totals, report.Failures)
	}
}

func TestKeysAreUniqueAndTheirBodiesKnown(t *testing.T) {
	w := newWorld(t)
	l, ttl, keep := w.load(t, shopTarget())
	for range 3 {
		ttl.write(t.Context())
		keep.write(t.Context())
	}
	seen := map[string]bool{}
	for _, key := range l.Report().Accepted("shop.apps.test") {
		if seen[key] {
			t.Errorf("key %s was written twice", key)
		}
		seen[key] = true
		if body, _ := w.blue.data.get(key); !bytes.Equal(body, Body(key)) {
			t.Errorf("%s holds %q, want %q", key, body, Body(key))
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d keys, want 6", len(seen))
	}
}
