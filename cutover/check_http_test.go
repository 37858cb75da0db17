package cutover_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// gatesOf asks one check of green in a phase.
func (w *world) gatesOf(t *testing.T, check migration.Check, phase cutover.Phase, history *cutover.History) []cutover.Gate {
	t.Helper()
	w.opts.Applications[0].Checks = []migration.Check{check}
	entries, err := cutover.FindEntries(t.Context(), w.opts, "shop")
	if err != nil {
		t.Fatal(err)
	}
	gates, err := cutover.Check(t.Context(), cutover.CheckOptions{Options: w.opts, App: "shop", Side: "green", Entries: entries, Phase: phase, History: history})
	if err != nil {
		t.Fatal(err)
	}
	return gates
}

// answers lets both sides answer by one handler, which is told whose answer it is.
func (w *world) answers(h func(side *side, w http.ResponseWriter, r *http.Request)) {
	for _, s := range []*side{w.blue, w.green} {
		s.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			s.hits.Add(1)
			h(s, rw, r)
		})
	}
}

func TestC20_HTTPCheckJudgesHeadersAndBody(t *testing.T) {
	w := newWorld(t)
	w.opts.Secret = func(_ context.Context, ref *migration.SecretRef, _ string) (string, error) {
		return "value of " + ref.Env, nil
	}
	w.answers(func(s *side, rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("Cache-Control", "no-store, private")
		rw.Header().Set("X-Build", s.name)
		_, _ = fmt.Fprintf(rw, "version 17 for %q and %q", r.Header.Get("X-Tenant"), r.Header.Get("Authorization"))
	})
	for _, tt := range []struct {
		name  string
		check migration.HTTPCheck
		want  cutover.Outcome
	}{
		{"request headers arrive", migration.HTTPCheck{Headers: map[string]string{"X-Tenant": "a b"}, Contains: `"a b"`}, cutover.Passed},
		{"secret headers arrive", migration.HTTPCheck{SecretHeaders: map[string]migration.SecretRef{"Authorization": {Env: "TOKEN"}}, Contains: "value of TOKEN"}, cutover.Passed},
		{"the body matches", migration.HTTPCheck{Matches: `version \d+\b`}, cutover.Passed},
		{"the body does not match", migration.HTTPCheck{Matches: `version \d{3}`}, cutover.Failed},
		{"a header matches", migration.HTTPCheck{ResponseHeaders: map[string]string{"cache-control": "no-store"}}, cutover.Passed},
		{"a header does not match", migration.HTTPCheck{ResponseHeaders: map[string]string{"Cache-Control": "^no-store$"}}, cutover.Failed},
		{"a header is missing", migration.HTTPCheck{ResponseHeaders: map[string]string{"X-Missing": ""}}, cutover.Failed},
		{"the same header", migration.HTTPCheck{SameHeaders: []string{"Cache-Control"}}, cutover.Passed},
		{"another header", migration.HTTPCheck{SameHeaders: []string{"X-Build"}}, cutover.Failed},
		{"the same body", migration.HTTPCheck{SameBody: true}, cutover.Passed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.check.Scheme, tt.check.Path = "http", "/"
			if gate := w.check(t, migration.Check{HTTP: &tt.check}); gate.Outcome != tt.want {
				t.Errorf("outcome = %s, want %s: %s", gate.Outcome, tt.want, gate.Text)
			}
		})
	}
}

// Every other byte of an answer may be right: another body is told by its hash, and one that is too large to be read whole is not
// taken for the same.
func TestC20_SameBodyIsComparedWhole(t *testing.T) {
	w := newWorld(t)
	check := migration.Check{HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", SameBody: true}}
	if gate := w.check(t, check); gate.Outcome != cutover.Failed {
		t.Errorf("two bodies of different bytes: %+v", gate)
	}
	w.answers(func(_ *side, rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(make([]byte, 1<<20+1)) })
	if gate := w.check(t, check); gate.Outcome != cutover.Inconclusive {
		t.Errorf("bodies of which only a part was read: %+v", gate)
	}
}

func TestC20_AFamilyThatGreenLacksFails(t *testing.T) {
	w := newWorld(t)
	check := migration.Check{Families: []string{"ipv4", "ipv6"}, HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/"}}
	gates := w.gatesOf(t, check, cutover.BeforeSwap, nil)
	if len(gates) != 2 || gates[0].Outcome != cutover.Passed || gates[1].Outcome != cutover.Failed || !contains(gates[1].Text, "no ipv6 address") {
		t.Errorf("gates = %+v", gates)
	}
}
