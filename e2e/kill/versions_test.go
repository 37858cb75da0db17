package kill

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/e2e/trial"
	"github.com/crossfade-project/crossfade/internal/journal"
)

// buildNext builds the command as its next version might be: of the next format, with one more kind of record and one more
// field, both of which it writes whenever it opens a journal.
func buildNext(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, err := filepath.Abs("../../internal/journal")
	if err != nil {
		t.Fatal(err)
	}
	replaced := map[string]string{}
	change := func(file, old, now string) {
		path := filepath.Join(source, file)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pattern := regexp.MustCompile(old)
		if n := len(pattern.FindAll(raw, -1)); n != 1 {
			t.Fatalf("%s: %s is found %d times, want once", path, old, n)
		}
		to := filepath.Join(dir, file)
		if have, err := os.ReadFile(to); err == nil {
			raw = have
		}
		if err := os.WriteFile(to, pattern.ReplaceAll(raw, []byte(now)), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[path] = to
	}
	change("record.go", `const Format = \d+`, fmt.Sprintf("const Format = %d", journal.Format+1))
	change("record.go", "(?m)^(\tKind +Kind +`json:\"kind\"`)$", "$1\n\tWind string `json:\"wind,omitempty\"`")
	change("journal.go", `return append\(records, Record\{Kind: KindOpened`,
		`records = append(records, Record{Kind: "weather", Wind: "north"})
	return append(records, Record{Kind: KindOpened`)
	raw, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	overlay, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "crossfade")
	if err := os.WriteFile(overlay, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := trial.Build(t.Context(), program, "-overlay", overlay); err != nil {
		t.Fatal(err)
	}
	return program
}

// Two versions of the command, each a format apart from the other, go on in turns with one migration, killed in between; its
// end is that of one that nothing broke.
func TestTwoVersionsContinueEachOthersJournals(t *testing.T) {
	s := theWorld(t)
	next := buildNext(t)
	x, err := s.killer.trial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close(context.WithoutCancel(t.Context()))
	own := x.Program
	for _, turn := range []struct {
		program, kill string
		weather       int
	}{
		{own, `kill after "kind":"intent","stage":"restore"`, 0},
		{next, `kill before "kind":"done","stage":"swap/web"`, 1},
		{own, `kill after "kind":"intent","stage":"freeze/shop"`, 1},
		{next, `kill before "kind":"finished","stage":"soak/shop"`, 2},
		{own, ``, 2},
	} {
		x.Program = turn.program
		r, err := x.Run(t.Context(), trial.Fault{Spec: turn.kill}, "run", "--yes")
		if err != nil {
			t.Fatal(err)
		}
		if killed := turn.kill != ""; r.Killed != killed || !killed && r.Code != 0 {
			t.Fatalf("%s: exit code %d, killed: %v\n%s", turn.kill, r.Code, r.Killed, r.Stderr)
		}
		raw, err := os.ReadFile(x.Journal())
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(raw, []byte(`"kind":"weather","wind":"north"`)); n != turn.weather {
			t.Fatalf("%d records of the new kind are in the journal, want %d", n, turn.weather)
		}
		for version, program := range map[string]string{"this": own, "the next": next} {
			x.Program = program
			if r, err := x.Run(t.Context(), trial.Fault{}, "status"); err != nil || r.Code != 0 {
				t.Errorf("status of %s version: %v, %d\n%s", version, err, r.Code, r.Stderr)
			}
		}
	}
	got, err := trial.Becomes(t.Context(), s.ref.End, settleLimit, x.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	if diff := trial.Diff(s.ref.End, got); diff != "" {
		t.Errorf("the two versions together left something else than one alone:\n%s", diff)
	}

	// A journal of two formats on is refused, whatever its last record says, and stays as it is.
	later := laterFormat(t, x.Journal(), journal.Format+2)
	x.Program = own
	for _, verb := range [][]string{{"run", "--yes"}, {"rollback", "--yes"}, {"status"}} {
		r, err := x.Run(t.Context(), trial.Fault{}, verb...)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("format %d", journal.Format+2); r.Code == 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("crossfade %v of a journal of two formats on: exit code %d\n%s", verb, r.Code, r.Stderr)
		}
	}
	if raw, err := os.ReadFile(x.Journal()); err != nil || !bytes.Equal(raw, later) {
		t.Errorf("the journal was changed: %v", err)
	}
}

// laterFormat gives the last record of a journal another format, in a chain that holds.
func laterFormat(t *testing.T, path string, format int) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	type line struct {
		Hash   string          `json:"hash"`
		Record json.RawMessage `json:"record"`
	}
	var before, last line
	for i, into := range []*line{&before, &last} {
		if err := json.Unmarshal(lines[len(lines)-2+i], into); err != nil {
			t.Fatal(err)
		}
	}
	now := fmt.Sprintf(`"format":%d`, format)
	last.Record = regexp.MustCompile(`"format":\d+`).ReplaceAll(last.Record, []byte(now))
	sum := sha256.Sum256(append([]byte(before.Hash), last.Record...))
	last.Hash = hex.EncodeToString(sum[:])
	if lines[len(lines)-1], err = json.Marshal(last); err != nil {
		t.Fatal(err)
	}
	raw = append(bytes.Join(lines, []byte("\n")), '\n')
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return raw
}
