package crossfade

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/export"
	"github.com/crossfade-project/crossfade/internal/attest"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

const certified = head + `
# a comment
applications:
  - {name: shop, namespace: n, wave: 1, writes: none, checks: [{name: there, command: ["true"]}]}
retirement: {delete: {namespaces: [n]}, brownOut: {skip: a test}}
`

// stillCounter is evidence of a counter that stands still.
type stillCounter struct{ clock clock.Clock }

func (stillCounter) Name() string               { return "requests | that shop counts" }
func (stillCounter) Coverage() cutover.Coverage { return cutover.Whole }
func (s stillCounter) Collect(_ context.Context, last cutover.Observation) (cutover.Observation, error) {
	obs := cutover.Observation{Use: cutover.Quiet, Text: "0 requests", From: last.At, At: s.clock.Now()}
	if last.At.IsZero() {
		obs.From = obs.At
	}
	return obs, nil
}

// watched records a watch of blue that ends now.
func watched(t *testing.T, m *Migration) {
	t.Helper()
	c := clock.NewFake(time.Now().UTC().Add(-73 * time.Hour))
	idle, err := cutover.WatchIdle(t.Context(), cutover.IdleOptions{
		Options: cutover.Options{Clock: c}, Retirement: migration.Retirement{Interval: migration.Duration(time.Hour), Idle: migration.Duration(73 * time.Hour)},
		Evidence: []cutover.Evidence{stillCounter{c}}, Record: func(s cutover.Sample) error { return m.journal.Note(noteSample, s) },
	})
	must(t, err)
	plans(t, m, "idle")
	must(t, m.journal.Finish("idle", idle))
}

// certifies takes a migration to its certificate, without clusters.
func certifies(t *testing.T) *Migration {
	t.Helper()
	file := load(t, certified)
	for _, side := range []string{"blue", "green"} {
		const config = `{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`
		must(t, os.WriteFile(filepath.Join(file.Dir, side), []byte(config), 0o600)) // nobody is asked
	}
	m := opened(t, file)
	finishes(t, m, "ttl", "freeze/shop")
	plans(t, m, "preflight", "delta/shop")
	must(t, m.journal.Finish("preflight", preflightResult{Blue: kube.Identity{UID: "b"}, Green: kube.Identity{UID: "g"}}))
	must(t, m.journal.Finish("delta/shop", export.Result{Revision: 1, Index: "x"}))
	watched(t, m)
	must(t, m.take(t.Context(), m.certificateStage()))
	return m
}

func bad(checks []AuditCheck) (out []string) {
	for _, c := range checks {
		if c.Verdict != Holds {
			out = append(out, c.What+": "+c.Text)
		}
	}
	return out
}

// TestI10_AnAlteredCertificateIsFoundOutPieceByPiece: whatever is changed of it is named.
func TestI10_AnAlteredCertificateIsFoundOutPieceByPiece(t *testing.T) {
	dir := func(m *Migration, name string) string { return filepath.Join(m.file.StateDir(), name) }
	change := func(t *testing.T, path, from, to string) {
		t.Helper()
		raw, err := os.ReadFile(path)
		must(t, err)
		if !strings.Contains(string(raw), from) {
			t.Fatalf("%s has no %q", path, from)
		}
		must(t, os.WriteFile(path, []byte(strings.Replace(string(raw), from, to, 1)), 0o600))
	}
	const evidence = "evidence/01-requests-that-shop-counts.jsonl"
	for name, tt := range map[string]struct {
		alter func(t *testing.T, m *Migration)
		want  []string // the checks that do not hold
		text  string
	}{
		"as it is": {func(*testing.T, *Migration) {}, nil, ""},
		"a number": {func(t *testing.T, m *Migration) {
			change(t, dir(m, certificateJSON), `"samples": 74`, `"samples": 75`)
		}, []string{"certificate", "certificate signature", "certificate page"}, "not as the journal has it: idle"},
		"a space": {func(t *testing.T, m *Migration) { change(t, dir(m, certificateJSON), `"format": 2`, `"format":  2`) }, []string{"certificate signature"}, "one of the two was changed"},
		"its hash too": {func(t *testing.T, m *Migration) {
			raw, err := os.ReadFile(dir(m, certificateJSON))
			must(t, err)
			var c cutover.Certificate
			must(t, json.Unmarshal(raw, &c))
			before := c.Hash
			c.Migration = "other"
			change(t, dir(m, certificateJSON), `"migration": "move"`, `"migration": "other"`)
			change(t, dir(m, certificateJSON), before, strings.Repeat("0", 64))
		}, []string{"certificate", "certificate signature", "certificate page"}, `the certificate of migration "other"`},
		"no signature":   {func(t *testing.T, m *Migration) { must(t, os.Remove(dir(m, attest.SigPath(certificateJSON)))) }, []string{"certificate signature"}, "there is no certificate.json.sig"},
		"no certificate": {func(t *testing.T, m *Migration) { must(t, os.Remove(dir(m, certificateJSON))) }, []string{"certificate"}, "no such file"},
		"signed by another": {func(t *testing.T, m *Migration) {
			key, err := attest.ReadOrMakeKey(filepath.Join(t.TempDir(), "key"))
			must(t, err)
			raw, err := os.ReadFile(dir(m, certificateJSON))
			must(t, err)
			must(t, key.SignCertificate(dir(m, certificateJSON), raw))
		}, []string{"certificate signature"}, "and the journal tells of SHA256:"},
		"the page":     {func(t *testing.T, m *Migration) { change(t, dir(m, certificatePage), "quiet from", "busy from") }, []string{"certificate page"}, "line 12 is not what"},
		"no page":      {func(t *testing.T, m *Migration) { must(t, os.Remove(dir(m, certificatePage))) }, nil, ""},
		"the evidence": {func(t *testing.T, m *Migration) { change(t, dir(m, evidence), "0 requests", "1 requests") }, []string{"certificate evidence"}, evidence + " was changed"},
		"no evidence":  {func(t *testing.T, m *Migration) { must(t, os.Remove(dir(m, evidence))) }, []string{"certificate evidence"}, "no such file"},
		"a comment":    {func(_ *testing.T, m *Migration) { m.file.SHA256 = "x" }, nil, ""},
		"the file": {func(_ *testing.T, m *Migration) {
			m.file.SHA256, m.file.Retirement.Delete.Namespaces = "x", []string{"m"}
		}, []string{"certificate migration file"}, "something else"},
		"after it is gone": {func(t *testing.T, m *Migration) {
			finishes(t, m, "retire")
			m.file.SHA256, m.file.Reason = "x", "hosts"
		}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := certifies(t)
			tt.alter(t, m)
			var log *journal.Log
			m.journal.View(func(l *journal.Log) { log = l })
			made, err := m.certificate(log)
			must(t, err)
			checks := m.checkCertificate(log, made, nil)
			got := bad(checks)
			for i, what := range tt.want {
				if i >= len(got) || !strings.HasPrefix(got[i], what+": ") {
					t.Fatalf("what does not hold: %q, want %q", got, tt.want)
				}
			}
			if len(got) != len(tt.want) || !strings.Contains(strings.Join(got, "\n"), tt.text) {
				t.Errorf("what does not hold: %q, want %q with %q", got, tt.want, tt.text)
			}
			if err := m.refuseCertificate(log, made); (err == nil) != (len(tt.want) == 0) {
				t.Errorf("retire: %v", err)
			}
		})
	}
}

// A certificate that belongs to another journal is foreign, even where all its files belong together.
func TestI10_ACertificateOfAnotherJournalIsForeign(t *testing.T) {
	one, other := certifies(t), certifies(t)
	var log *journal.Log
	one.journal.View(func(l *journal.Log) { log = l })
	made, err := one.certificate(log)
	must(t, err)
	other.journal.View(func(l *journal.Log) { log = l })
	got := strings.Join(bad(one.checkCertificate(log, made, nil)), "\n")
	if !strings.Contains(got, "certificate journal: its record") {
		t.Errorf("what does not hold: %s", got)
	}
	if err := one.refuseCertificate(log, made); err == nil {
		t.Error("retire takes it")
	}
	public, err := attest.ReadPublic(filepath.Join(other.file.StateDir(), signingKey+".pub"))
	must(t, err)
	one.journal.View(func(l *journal.Log) { log = l })
	if got := strings.Join(bad(one.checkCertificate(log, made, public)), "\n"); !strings.Contains(got, "not by the key that was asked for") {
		t.Errorf("signed by another key: %s", got)
	}
}

// Without Crossfade, with what openssh-client has, as docs/retirement.md says.
func TestI10_SSHKeygenVerifiesTheCertificate(t *testing.T) {
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("there is no ssh-keygen here")
	}
	m := certifies(t)
	dir := m.file.StateDir()
	public, err := os.ReadFile(filepath.Join(dir, signingKey+".pub"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "allowed"), append([]byte("crossfade "), public...), 0o600))
	verify := func() (string, error) {
		in, err := os.Open(filepath.Join(dir, certificateJSON))
		must(t, err)
		defer func() { _ = in.Close() }()
		cmd := exec.CommandContext(t.Context(), program, "-Y", "verify", "-f", "allowed", "-I", "crossfade", "-n", "crossfade-certificate", "-s", "certificate.json.sig")
		cmd.Dir, cmd.Stdin = dir, in
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := verify(); err != nil || !strings.Contains(out, `Good "crossfade-certificate" signature for crossfade`) {
		t.Errorf("%v: %s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(dir, certificateJSON))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, certificateJSON), append(raw, '\n'), 0o600))
	if out, err := verify(); err == nil {
		t.Errorf("it takes an altered one: %s", out)
	}
}
