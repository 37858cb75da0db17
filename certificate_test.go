package crossfade

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
  - {name: shop, namespace: n, wave: 1, writes: none, checks: [{name: there, command: ["true"]}], requests: {pods: {port: 8080, path: /requests}, field: requests}}
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
	var before []cutover.Sample
	m.journal.View(func(log *journal.Log) { before = samplesSinceReturn(log) })
	idle, err := cutover.WatchIdle(t.Context(), cutover.IdleOptions{
		Options: cutover.Options{Clock: c}, Retirement: migration.Retirement{Interval: migration.Duration(time.Hour), Idle: migration.Duration(73 * time.Hour)},
		Evidence: []cutover.Evidence{stillCounter{c}}, Previous: before, Record: func(s cutover.Sample) error { return m.journal.Note(noteSample, s) },
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
		"made anew": {func(t *testing.T, m *Migration) {
			raw, err := os.ReadFile(dir(m, certificateJSON))
			must(t, err)
			var c cutover.Certificate
			must(t, json.Unmarshal(raw, &c))
			before := c.Hash
			c.Who, c.Hash = "eve@desk", ""
			raw, err = json.Marshal(c)
			must(t, err)
			sum := sha256.Sum256(raw)
			change(t, dir(m, certificateJSON), `"who": "ann@desk"`, `"who": "eve@desk"`)
			change(t, dir(m, certificateJSON), before, hex.EncodeToString(sum[:]))
		}, []string{"certificate", "certificate signature", "certificate page"}, "is another certificate"},
		"the page, by another version": {func(t *testing.T, m *Migration) {
			change(t, dir(m, certificatePage), "quiet from", "busy from")
			m.opts.Tool = "later"
		}, []string{"certificate page"}, "is not what this version makes of"},
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

// What the journal tells of the certificate is held against what else it has, and what was asked for the certificate alone is evidence too.
func TestI10_ACertificateThatTheJournalDoesNotBearOutDoesNotHold(t *testing.T) {
	const answers = "evidence/01-answers.json"
	confirmed := func(c *cutover.Certificate) {
		c.Sources[0].Confirmed = &cutover.Confirmed{File: answers, SHA256: "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"} // of "[]"
	}
	for name, tt := range map[string]struct {
		change  func(*cutover.Certificate)
		answers string
		want    string
	}{
		"as it is":             {func(*cutover.Certificate) {}, "", ""},
		"another form":         {func(c *cutover.Certificate) { c.Format = 1 }, "", "certificate: it has format 1, and this version reads 2"},
		"another head":         {func(c *cutover.Certificate) { c.Journal.Head = "x" }, "", "certificate journal: its record"},
		"a plan more":          {func(c *cutover.Certificate) { c.Journal.Plans++ }, "", "certificate journal: its plans until record"},
		"other looks":          {func(c *cutover.Certificate) { c.Idle.Hash = "x" }, "", "certificate journal: the 74 recorded looks have the hash"},
		"another sum of them":  {func(c *cutover.Certificate) { c.Sources[0].Looks++ }, "", "certificate journal: what its looks at blue add up to"},
		"asked once more":      {confirmed, "[]", ""},
		"an altered answer":    {confirmed, "[1]", "certificate evidence: of requests | that shop counts: " + answers + " was changed"},
		"an answer is missing": {confirmed, "", "certificate evidence: of requests | that shop counts: open"},
	} {
		t.Run(name, func(t *testing.T) {
			m := certifies(t)
			var log *journal.Log
			m.journal.View(func(l *journal.Log) { log = l })
			made, err := m.certificate(log)
			must(t, err)
			tt.change(&made)
			if tt.answers != "" {
				must(t, os.WriteFile(filepath.Join(m.file.StateDir(), filepath.FromSlash(answers)), []byte(tt.answers), 0o600))
			}
			// certificate.json is as it was made: what is looked at here is all but that.
			got := strings.Join(slices.DeleteFunc(bad(m.checkCertificate(log, made, nil)), func(s string) bool { return strings.Contains(s, certificateJSON) }), "\n")
			if !strings.HasPrefix(got, tt.want) || (tt.want == "") != (got == "") {
				t.Errorf("what does not hold: %s, want %q", got, tt.want)
			}
		})
	}
}

// The looks of a watch are those until it ended; a brown-out and retire look on. What a certificate needs of data is asked of the
// stages that proved it.
func TestI10_ACertificateIsOfTheWatchAndTheProofsThatTheJournalHas(t *testing.T) {
	m := opened(t, load(t, certified))
	look := cutover.Sample{At: time.Now()}
	note(t, m, noteSample, look)
	finishes(t, m, "idle")
	note(t, m, noteSample, look)
	m.journal.View(func(log *journal.Log) {
		if n := len(samplesOfIdle(log, len(log.Records))); n != 1 {
			t.Errorf("%d looks, want the one until the end of the watch", n)
		}
	})
	finishes(t, m, "final-sync/media")
	if _, _, err := m.dataProof(migration.Bucket{Name: "media"}); err == nil || !strings.Contains(err.Error(), "left no proof") {
		t.Errorf("a sync without a proof: %v", err)
	}
	app := m.file.Applications[0]
	frozen := time.Now().UTC().Truncate(time.Second)
	plans(t, m, "freeze/shop", "delta/shop")
	must(t, m.journal.Finish("freeze/shop", export.FreezeResult{Confirmed: frozen}))
	must(t, m.journal.Finish("delta/shop", export.Result{Revision: 1, Index: "x"}))
	for writes, want := range map[migration.Writes]time.Time{migration.WritesNone: {}, "": frozen} {
		app.Writes = writes
		var out cutover.CertifyOptions
		if err := m.provenOf(app, &out); err != nil || !out.Frozen.Equal(want) || out.Archive.Revision != 1 {
			t.Errorf("writes %q: frozen at %s, archive %+v, %v", writes, out.Frozen, out.Archive, err)
		}
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
