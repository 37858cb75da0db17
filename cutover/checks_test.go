package cutover_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/program/programtest"
)

func (w *world) check(t *testing.T, check migration.Check) cutover.Gate {
	t.Helper()
	w.opts.Applications[0].Checks = []migration.Check{check}
	entries, err := cutover.FindEntries(t.Context(), w.opts, "shop")
	if err != nil {
		t.Fatal(err)
	}
	gates, err := cutover.Check(t.Context(), cutover.CheckOptions{Options: w.opts, App: "shop", Side: "green", Entries: entries})
	if err != nil {
		t.Fatal(err)
	}
	if len(gates) != 1 {
		t.Fatalf("gates = %+v, want one", gates)
	}
	return gates[0]
}

func TestHTTPCheckAsksGreenUnderTheRealHostname(t *testing.T) {
	w := newWorld(t)
	gate := w.check(t, migration.Check{Name: "front", HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/a?b=c", Contains: "from green"}})
	if gate.Outcome != cutover.Passed || gate.Address != w.green.addr.String() {
		t.Errorf("gate = %+v", gate)
	}
	if got, want := w.green.header("Host"), fmt.Sprintf("shop.apps.test:%d", w.green.addr.Port()); got != want {
		t.Errorf("Host = %q, want %q", got, want)
	}
	if got := w.green.header("X-Crossfade-Probe"); got != "move" {
		t.Errorf("the request says %q of the migration, so it counts as a user's", got)
	}
	if w.blue.hits.Load() != 0 {
		t.Error("blue was asked")
	}
}

func TestC20_ChecksTellFailedFromUnknown(t *testing.T) {
	w := newWorld(t)
	timeout := migration.Duration(200 * time.Millisecond)
	front := migration.HTTPCheck{Scheme: "http", Path: "/"}
	for _, tt := range []struct {
		name  string
		setup func()
		check migration.Check
		want  cutover.Outcome
	}{
		{"200", nil, migration.Check{HTTP: &front}, cutover.Passed},
		{"another status", nil, migration.Check{HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", Status: 204}}, cutover.Failed},
		{"text is missing", nil, migration.Check{HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", Contains: "from blue"}}, cutover.Failed},
		{"as blue", nil, migration.Check{HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", SameAsBlue: true}}, cutover.Passed},
		{"not as blue", func() { w.blue.status.Store(404) }, migration.Check{HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", SameAsBlue: true}}, cutover.Failed},
		{"blue is gone", func() { w.blue.server.Close() }, migration.Check{HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", SameAsBlue: true}}, cutover.Inconclusive},
		{"tcp", nil, migration.Check{TCP: &migration.TCPCheck{Port: int(w.green.addr.Port())}}, cutover.Passed},
		{"command passes", nil, migration.Check{Command: []string{"true"}}, cutover.Passed},
		{"command fails", nil, migration.Check{Command: []string{"false"}}, cutover.Failed},
		{"command does not end", nil, migration.Check{Command: []string{"sleep", "5"}, Timeout: timeout}, cutover.Inconclusive},
		{"no such command", nil, migration.Check{Command: []string{"/nowhere/to/be/found"}}, cutover.Inconclusive},
		{"no TLS there", nil, migration.Check{TLS: &migration.TLSCheck{Port: int(w.green.addr.Port())}}, cutover.Failed},
		{"nothing to check", nil, migration.Check{}, cutover.Inconclusive},
		{"no address", func() { delete(w.names.addresses, "green.lb.test.") }, migration.Check{HTTP: &front}, cutover.Inconclusive},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.setup != nil {
				tt.setup()
			}
			if gate := w.check(t, tt.check); gate.Outcome != tt.want {
				t.Errorf("outcome = %s, want %s: %s", gate.Outcome, tt.want, gate.Text)
			}
		})
	}
}

func TestC20_VerdictNeedsEveryGate(t *testing.T) {
	p, f, i := cutover.Gate{Outcome: cutover.Passed}, cutover.Gate{Outcome: cutover.Failed}, cutover.Gate{Outcome: cutover.Inconclusive}
	for _, tt := range []struct {
		gates []cutover.Gate
		want  cutover.Outcome
	}{
		{nil, cutover.Inconclusive},
		{[]cutover.Gate{p, p}, cutover.Passed},
		{[]cutover.Gate{p, i}, cutover.Inconclusive},
		{[]cutover.Gate{i, f}, cutover.Failed},
		{[]cutover.Gate{{}}, cutover.Inconclusive},
	} {
		if got := cutover.Verdict(tt.gates); got != tt.want {
			t.Errorf("Verdict(%v) = %s, want %s", tt.gates, got, tt.want)
		}
	}
}

func TestC20_CommandLearnsWhomToJudge(t *testing.T) {
	w := newWorld(t)
	script := t.TempDir() + "/check"
	text := fmt.Sprintf("#!/bin/sh\n[ \"$CROSSFADE_SIDE $CROSSFADE_HOSTNAME $CROSSFADE_ADDRESS:$CROSSFADE_PORT\" = \"green shop.apps.test %s\" ] || { echo \"not $CROSSFADE_ADDRESS\"; exit 3; }\n", w.green.addr)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	if gate := w.check(t, migration.Check{Name: "script", Command: []string{script}}); gate.Outcome != cutover.Passed {
		t.Errorf("gate = %+v", gate)
	}
}

func TestC20_ACommandThatDoesNotEndLeavesNothingBehind(t *testing.T) {
	w := newWorld(t)
	family := programtest.New(t)
	gate := w.check(t, migration.Check{Name: "script", Command: family.Argv, Timeout: migration.Duration(300 * time.Millisecond)})
	if gate.Outcome != cutover.Inconclusive {
		t.Errorf("gate = %+v", gate)
	}
	family.Gone(t)
}

// A chain must be trusted for the real hostname, and last for 14 days.
func TestTLSCheckJudgesTheChainUnderTheRealHostname(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	addr := netip.MustParseAddrPort(server.Listener.Addr().String())
	leaf := server.Certificate()
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, tt := range []struct {
		name, hostname string
		now            time.Time
		roots          *x509.CertPool
		want           cutover.Outcome
	}{
		{"good", "example.com", leaf.NotAfter.Add(-15 * 24 * time.Hour), roots, cutover.Passed},
		{"13 days left", "example.com", leaf.NotAfter.Add(-13 * 24 * time.Hour), roots, cutover.Failed},
		{"another name", "shop.apps.test", leaf.NotAfter.Add(-15 * 24 * time.Hour), roots, cutover.Failed},
		{"not trusted", "example.com", leaf.NotAfter.Add(-15 * 24 * time.Hour), x509.NewCertPool(), cutover.Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := cutover.Options{Clock: clock.NewFake(tt.now), Roots: tt.roots, Applications: []migration.Application{{
				Name:      "shop",
				Hostnames: []migration.Hostname{{Name: tt.hostname, Port: int(addr.Port()), Green: &migration.Entry{Address: addr.Addr().String()}}},
				Checks:    []migration.Check{{Name: "chain", TLS: &migration.TLSCheck{Port: int(addr.Port())}}},
			}}}
			entries, err := cutover.FindEntries(t.Context(), opts, "shop")
			if err != nil {
				t.Fatal(err)
			}
			gates, err := cutover.Check(t.Context(), cutover.CheckOptions{Options: opts, App: "shop", Side: "green", Entries: entries})
			if err != nil {
				t.Fatal(err)
			}
			if gates[0].Outcome != tt.want {
				t.Errorf("gate = %+v, want %s", gates[0], tt.want)
			}
		})
	}
}
