package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func open(t *testing.T, dir string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir, journal.Options{Actor: "ann@desk", Tool: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func file(dir string) string { return filepath.Join(dir, "journal.jsonl") }

func somePlan(stage string, n int) *plan.Plan {
	p := plan.New("m", stage)
	for i := range n {
		p.Add(plan.Change{ID: fmt.Sprintf("%s/%d", stage, i), Action: "create", Target: "thing", Why: "test", Data: plan.JSON(map[string]int{"n": i})})
	}
	return p
}

func TestWhatWasDoneIsKnownAfterReopening(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	p := somePlan("restore", 3)
	if err := j.SavePlan(p); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := plan.Run(context.Background(), p, j, plan.RunOptions{}, func(_ context.Context, c plan.Change) (any, error) {
		if c.ID == "restore/2" {
			return nil, boom
		}
		return map[string]string{"id": c.ID}, nil
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v, want boom", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}

	j = open(t, dir)
	again, err := j.LoadPlan("restore")
	if err != nil || again == nil || again.Hash() != p.Hash() {
		t.Fatalf("the plan came back as %v, %v", again, err)
	}
	var made []string
	err = plan.Run(context.Background(), again, j, plan.RunOptions{}, func(_ context.Context, c plan.Change) (any, error) {
		made = append(made, c.ID)
		return nil, nil
	})
	if err != nil || len(made) != 1 || made[0] != "restore/2" {
		t.Fatalf("made %v, %v; want only restore/2", made, err)
	}
	if raw, ok := j.Done("restore/0"); !ok || string(raw) != `{"id":"restore/0"}` {
		t.Errorf("outcome of restore/0: %s, %v", raw, ok)
	}
	if err := j.Finish("restore", map[string]int{"made": 3}); err != nil {
		t.Fatal(err)
	}
	if s := j.Stage("restore"); !s.Finished || s.Done != 3 || s.Failure != "" {
		t.Errorf("stage is %+v", s)
	}
	if err := j.Reset("restore", "asked for"); err != nil {
		t.Fatal(err)
	}
	if _, ok := j.Done("restore/0"); ok || j.Stage("restore").Finished {
		t.Error("a reset stage is still done")
	}
}

func TestSecondWriterIsToldWhoHoldsTheJournal(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Note("n", 1); err != nil {
		t.Fatal(err)
	}
	_, err := journal.Open(dir, journal.Options{Actor: "bob@lap"})
	var held *journal.HeldError
	if !errors.As(err, &held) || !strings.Contains(err.Error(), "ann@desk") {
		t.Fatalf("got %v, want a HeldError that names ann@desk", err)
	}
	if _, err := journal.Read(dir); err != nil {
		t.Errorf("a reader was kept out: %v", err)
	}
}

func TestTornLastRecordIsMended(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if err := j.Note("n", 1); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file(dir))
	if err != nil {
		t.Fatal(err)
	}
	lastLine := strings.LastIndex(strings.TrimSuffix(string(whole), "\n"), "\n") + 1
	for cut := lastLine + 1; cut < len(whole); cut += 7 {
		if err := os.WriteFile(file(dir), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := journal.Read(dir)
		if err != nil || l.Torn != cut-lastLine || len(l.Noted("n")) != 0 {
			t.Fatalf("cut at %d: read %+v, %v", cut, l, err)
		}
		j := open(t, dir)
		if err := j.Note("n", 2); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		l, err = journal.Read(dir)
		if err != nil || len(l.Noted("n")) != 1 || string(l.Noted("n")[0]) != "2" {
			t.Fatalf("cut at %d: after mending: %v, %v", cut, l, err)
		}
	}
}

func TestEditedJournalIsRefused(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	for i := range 5 {
		if err := j.Note("n", map[string]int{"value": i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file(dir))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(raw), "\n")
	for name, edited := range map[string]string{
		"changed": strings.Replace(string(raw), `"value":2`, `"value":7`, 1),
		"removed": strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), ""),
		"swapped": lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], ""),
	} {
		if err := os.WriteFile(file(dir), []byte(edited), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := journal.Read(dir); !errors.Is(err, journal.ErrBroken) {
			t.Errorf("%s: got %v, want ErrBroken", name, err)
		}
		if _, err := journal.Open(dir, journal.Options{}); !errors.Is(err, journal.ErrBroken) {
			t.Errorf("%s: opened for writing: %v", name, err)
		}
	}
}

func TestUnknownKindsAreKeptAndTwoFormatsOnAreRefused(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if err := j.Note("n", 1); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	journal.AppendForTest(t, dir, journal.Record{Format: journal.Format + 1, Kind: "telegram", Data: json.RawMessage(`{"x":1}`)})
	l, err := journal.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if last := l.Records[len(l.Records)-1]; last.Kind != "telegram" || string(last.Data) != `{"x":1}` {
		t.Errorf("the unknown record became %+v", last)
	}
	open(t, dir)
	journal.AppendForTest(t, dir, journal.Record{Format: journal.Format + 2, Kind: "telegram"})
	if _, err := journal.Read(dir); err == nil || !strings.Contains(err.Error(), "use the version of crossfade that wrote it") {
		t.Errorf("two formats on: got %v", err)
	}
}

func TestWritersShareFlushesAndLoseNothing(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if err := j.Note("n", i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l, err := journal.Read(dir)
	if err != nil || len(l.Noted("n")) != 200 {
		t.Fatalf("read %d notes, %v", len(l.Noted("n")), err)
	}
}

func TestEditedPlanIsRefused(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if err := j.SavePlan(somePlan("swap/shop", 1)); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "plans", "swap_shop-*.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("plans: %v, %v", found, err)
	}
	raw, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(found[0], []byte(strings.Replace(string(raw), "create", "delete", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := j.LoadPlan("swap/shop"); !errors.Is(err, journal.ErrBroken) {
		t.Errorf("got %v, want ErrBroken", err)
	}
}

// Whatever the bytes of a journal, reading returns a log whose records are numbered without a gap, or an error.
func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	j, err := journal.Open(dir, journal.Options{Actor: "a"})
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(j.SavePlan(somePlan("s", 1)), j.Note("n", 1), j.Close()); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(file(dir))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)-3])
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := journal.ParseForTest(raw)
		if err != nil {
			return
		}
		for i, r := range l.Records {
			if r.Seq != uint64(i+1) {
				t.Fatalf("record %d has number %d", i+1, r.Seq)
			}
		}
	})
}
