package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/remote"
)

// attached opens a state directory whose copy is in a store.
func attached(t *testing.T, dir string, store remote.Store) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir, journal.Options{Actor: "ann@desk", Tool: "test", Replicated: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	if _, err := j.Attach(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	return j
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600))
}

func same(t *testing.T, dir string, store remote.Store, records int) {
	t.Helper()
	here, err := journal.Read(dir)
	must(t, err)
	there, err := journal.ReadStore(t.Context(), store)
	must(t, err)
	if len(here.Records) != records || len(there.Records) != records || here.Head != there.Head {
		t.Errorf("%d records here, %d in the store, want %d and one head", len(here.Records), len(there.Records), records)
	}
}

// A machine that is lost takes nothing along: an empty directory gets the journal, the plans, the manifests and the certificate.
func TestALostMachineLosesNothing(t *testing.T) {
	store, first, second := &remote.Memory{}, t.TempDir(), t.TempDir()
	j := attached(t, first, store)
	p := somePlan("swap/shop", 2)
	must(t, j.SavePlan(p), j.Note("n", 1))
	write(t, filepath.Join(first, "manifests", "data.jsonl"), "m1")
	write(t, filepath.Join(first, "manifests", "data.jsonl.log"), "log")
	write(t, filepath.Join(first, "certificate.json"), "{}")
	must(t, j.Mirror(t.Context()))
	// The manifest's log is folded in, and gone in the store too.
	must(t, os.Remove(filepath.Join(first, "manifests", "data.jsonl.log")))
	write(t, filepath.Join(first, "manifests", "data.jsonl"), "m22")
	write(t, filepath.Join(first, "certificate.md"), "taken back")
	must(t, j.Mirror(t.Context()), os.Remove(filepath.Join(first, "certificate.md")), j.Mirror(t.Context()))
	must(t, j.Finish("sync/data", 1), j.Close())

	j = attached(t, second, store)
	if again, err := j.LoadPlan("swap/shop"); err != nil || again == nil || again.Hash() != p.Hash() {
		t.Errorf("the plan came back as %v, %v", again, err)
	}
	if !j.Stage("sync/data").Finished {
		t.Error("what was finished is not known")
	}
	for name, want := range map[string]string{"manifests/data.jsonl": "m22", "certificate.json": "{}"} {
		if raw, err := os.ReadFile(filepath.Join(second, name)); err != nil || string(raw) != want {
			t.Errorf("%s is %q, %v", name, raw, err)
		}
	}
	for _, gone := range []string{"manifests/data.jsonl.log", "certificate.md"} {
		if _, err := os.Stat(filepath.Join(second, gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s, which was removed, came back: %v", gone, err)
		}
	}
	must(t, j.Note("n", 2))
	same(t, second, store, 6) // opened, planned, noted, finished; opened, noted
}

// Killed between the disk and the store, the disk is ahead by records that were never acknowledged: they are brought over.
// The other way round, they are fetched. Neither loses nor doubles any.
func TestWhoeverIsAheadGivesTheOtherTheRest(t *testing.T) {
	store, dir := &remote.Memory{}, t.TempDir()
	j := attached(t, dir, store)
	must(t, j.SavePlan(somePlan("restore", 1)))
	cut := errors.New("the machine is gone")
	store.Before = func(op, name string) error {
		if op == "put" && strings.HasPrefix(name, "journal/") {
			return cut
		}
		return nil
	}
	if err := j.Intend("restore", plan.Change{ID: "a"}, plan.Change{ID: "b"}); !errors.Is(err, cut) {
		t.Fatalf("an intent that the store has not is acknowledged: %v", err)
	}
	if err := j.Note("n", 1); !errors.Is(err, cut) {
		t.Errorf("the journal went on behind it: %v", err)
	}
	must(t, j.Close())
	store.Before = nil
	before, err := os.ReadFile(file(dir))
	must(t, err)

	j = attached(t, dir, store)
	must(t, j.Close())
	same(t, dir, store, 4)

	j = attached(t, dir, store)
	must(t, j.Note("n", 2), j.Close())
	same(t, dir, store, 6)
	must(t, os.WriteFile(file(dir), before, 0o600)) // as if the disk had never got the last two
	j = attached(t, dir, store)
	same(t, dir, store, 6)
	must(t, j.Note("n", 3))
	same(t, dir, store, 8)
}

// The answer to a write can be lost although the store has it: trying again is no conflict with oneself.
func TestAnAnswerThatWasLostIsNoConflict(t *testing.T) {
	store, dir := &remote.Memory{}, t.TempDir()
	lost := 0
	store.Before = func(op, _ string) error {
		if op == "acknowledge" && lost < 3 {
			lost++
			return errors.New("reset by peer")
		}
		return nil
	}
	fake := clock.NewFake(time.Now())
	j, err := journal.Open(dir, journal.Options{Actor: "a", Replicated: true, Clock: fake})
	must(t, err)
	defer func() { _ = j.Close() }()
	_, err = j.Attach(t.Context(), remote.Patient(store, remote.Options{Where: "memory", Clock: fake}))
	must(t, err, j.SavePlan(somePlan("s", 1)), j.Note("n", 1))
	same(t, dir, store, 3)
	if lost != 3 {
		t.Errorf("%d answers were lost", lost)
	}
}

// Two machines that go on from the same record: the store takes one of them, and the other's journal refuses everything
// from there on.
func TestOfTwoWritersOneWins(t *testing.T) {
	store := &remote.Memory{}
	base := attached(t, t.TempDir(), store)
	must(t, base.Note("n", 0))
	var journals []*journal.Journal
	for range 4 {
		journals = append(journals, attached(t, t.TempDir(), store))
	}
	var wg sync.WaitGroup
	results := make([]error, len(journals))
	for i, j := range journals {
		wg.Go(func() { results[i] = j.Intend("swap/shop", plan.Change{ID: fmt.Sprint(i)}) })
	}
	wg.Wait()
	winners := 0
	for i, err := range results {
		if err == nil {
			winners++
			continue
		}
		var told *journal.Error
		if !errors.Is(err, remote.ErrConflict) || !errors.As(err, &told) || told.Hint == "" {
			t.Errorf("a loser was told %v", err)
		}
		if err := journals[i].Note("n", 1); err == nil {
			t.Error("a loser goes on")
		}
	}
	if winners != 1 {
		t.Errorf("%d of the writers won, want 1", winners)
	}
}

func TestJournalsThatDivergedAreRefusedWithTheRecord(t *testing.T) {
	store, dir := &remote.Memory{}, t.TempDir()
	j := attached(t, dir, store)
	must(t, j.Note("n", 1), j.Close())
	here := t.TempDir()
	must(t, os.CopyFS(here, os.DirFS(dir)))
	j = attached(t, dir, store)
	must(t, j.Note("n", 2), j.Close())
	alone, err := journal.Open(here, journal.Options{Actor: "bob@lap"})
	must(t, err, alone.Note("n", 3), alone.Close())

	again, err := journal.Open(here, journal.Options{Replicated: true})
	must(t, err)
	defer func() { _ = again.Close() }()
	_, err = again.Attach(t.Context(), store)
	if !errors.Is(err, journal.ErrDiverged) || !strings.Contains(err.Error(), "from record 3 on (4 records here, 4 there)") || !strings.Contains(err.Error(), "move the state directory away") {
		t.Errorf("err = %v", err)
	}
	if err := again.Note("n", 4); err == nil {
		t.Error("it was written all the same")
	}
}

// A silent store is waited for, with the reason said, and not for ever; the journal then takes nothing more.
func TestASilentStoreEndsTheRunInTime(t *testing.T) {
	store, fake := &remote.Memory{}, clock.NewFake(time.Now())
	j, err := journal.Open(t.TempDir(), journal.Options{Actor: "a", Replicated: true, Clock: fake})
	must(t, err)
	defer func() { _ = j.Close() }()
	_, err = j.Attach(t.Context(), remote.Patient(store, remote.Options{Where: "s3://state", Clock: fake}))
	must(t, err, j.Note("n", 1))
	began := fake.Now()
	store.Before = func(string, string) error { return errors.New("connection refused") }
	err = j.Intend("swap/shop", plan.Change{ID: "a"})
	if err == nil || !strings.Contains(err.Error(), "s3://state") || !strings.Contains(err.Error(), "nothing was changed since") {
		t.Errorf("err = %v", err)
	}
	if took := fake.Now().Sub(began); took < time.Minute || took > remote.Patience {
		t.Errorf("it ended after %s", took)
	}
	for _, pause := range fake.Slept() {
		if pause > 15*time.Second {
			t.Errorf("nothing was said for %s", pause)
		}
	}
	store.Before = nil
	if err := j.Note("n", 2); err == nil {
		t.Error("it went on although a record is missing in the store")
	}
}

// A store's names are outside data: none makes a file outside the state directory, or one that is this machine's own.
func TestNamesInTheStoreCannotClimbOut(t *testing.T) {
	store, dir := &remote.Memory{}, filepath.Join(t.TempDir(), "state")
	for _, name := range []string{"../evil", "plans/../../evil", "plans/../lock", "manifests/a/b", "plans/.hidden", "lock", "id", `plans\evil`, "elsewhere/x"} {
		_, err := store.Put(t.Context(), name, bytes.NewReader([]byte("x")), 1, remote.Absent)
		must(t, err)
	}
	attached(t, dir, store)
	var found []string
	must(t, filepath.WalkDir(filepath.Dir(dir), func(path string, d os.DirEntry, err error) error {
		if raw, _ := os.ReadFile(path); string(raw) == "x" {
			found = append(found, path)
		}
		return err
	}))
	if len(found) > 0 {
		t.Errorf("written: %v", found)
	}
}

// A lease that is lost ends the writing before anything reaches the disk.
func TestWithoutItsLeaseTheJournalTakesNothing(t *testing.T) {
	store, dir := &remote.Memory{}, t.TempDir()
	j := attached(t, dir, store)
	must(t, j.Note("n", 1))
	lost := errors.New("the lease is lost")
	j.Guard(func() error { return lost })
	if err := j.Intend("swap/shop", plan.Change{ID: "a"}); !errors.Is(err, lost) {
		t.Errorf("err = %v", err)
	}
	j.Guard(func() error { return nil })
	if err := j.Note("n", 2); !errors.Is(err, lost) {
		t.Errorf("what was lost came back: %v", err)
	}
	same(t, dir, store, 2)
}

// Intents that are recorded in one call are one object of the store: they share a flush.
func TestABatchIsOneChunk(t *testing.T) {
	store := &remote.Memory{}
	j := attached(t, t.TempDir(), store)
	must(t, j.Note("n", 1))
	before, err := store.List(t.Context(), "journal/")
	must(t, err)
	var changes []plan.Change
	for i := range 50 {
		changes = append(changes, plan.Change{ID: fmt.Sprint(i)})
	}
	must(t, j.Intend("restore", changes...))
	after, err := store.List(context.Background(), "journal/")
	must(t, err)
	if len(after) != len(before)+1 {
		t.Errorf("50 intents took %d chunks", len(after)-len(before))
	}
}
