package crossfade

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/export"
	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// exports writes a revision of the archive and records the stage that wrote it.
func exports(t *testing.T, m *Migration, stage, value string) archive.Index {
	t.Helper()
	store, err := m.archiveStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w, err := archive.OpenWriter(t.Context(), store, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"settings", "more"} {
		obj := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name, "namespace": "n"}, "data": map[string]any{"k": value + name},
		}}
		if _, err := w.Put(t.Context(), archive.Entry{}, obj); err != nil {
			t.Fatal(err)
		}
	}
	i, err := w.Commit(t.Context(), archive.Index{Migration: m.file.Name})
	if err != nil {
		t.Fatal(err)
	}
	plans(t, m, stage)
	if err := m.journal.Finish(stage, export.Result{Revision: i.Revision, Index: i.Hash}); err != nil {
		t.Fatal(err)
	}
	return i
}

// gated is a stage that only counts how often it is planned and applied.
func gated(m *Migration, name string) (stage, *int) {
	touched := 0
	return backedUp(stage{
		name:  name,
		plan:  func(context.Context) (*plan.Plan, error) { touched++; return plan.New(m.file.Name, name), nil },
		apply: func(context.Context, *plan.Plan) (any, error) { touched++; return struct{}{}, nil },
	}), &touched
}

// The stages that write to green first, and those that turn users to it, begin only with a backup.
func TestTheStagesThatNeedABackupSaySo(t *testing.T) {
	for _, file := range []string{shared, named} {
		for _, s := range Inspect(load(t, file), Options{}).pipeline() {
			kind, _, _ := strings.Cut(s.name, "/")
			want := map[string]bool{"sync": true, "warm": true, "provision": true, "ports": true, "restore": true, "freeze": true, "swap": true}[kind]
			if s.backup != want {
				t.Errorf("%s: needs a backup: %v, want %v", s.name, s.backup, want)
			}
		}
	}
}

func TestNothingIsWrittenToGreenWithoutAWholeArchive(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   string
	}{
		"whole":         {func(*testing.T, string) {}, ""},
		"removed":       {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, "not there any more"},
		"index removed": {func(t *testing.T, dir string) { must(t, os.Remove(first(t, dir, "index", "000002-"))) }, "what delta/one wrote"},
		"first removed": {func(t *testing.T, dir string) { must(t, os.Remove(first(t, dir, "index", "000001-"))) }, "revision 2 builds on it, and it is missing"},
		"blob removed":  {func(t *testing.T, dir string) { must(t, os.Remove(first(t, dir, "blobs", ""))) }, "does not exist in the archive"},
		"blob changed": {func(t *testing.T, dir string) {
			path := first(t, dir, "blobs", "")
			raw, err := os.ReadFile(path)
			must(t, err)
			raw[0] ^= 1
			must(t, os.WriteFile(path, raw, 0o600))
		}, "its content does not have its hash"},
		"replaced": {func(t *testing.T, dir string) {
			must(t, os.RemoveAll(dir))
			other := opened(t, load(t, named))
			exports(t, other, "export", "b")
			exports(t, other, "delta/one", "c")
			must(t, os.CopyFS(dir, os.DirFS(filepath.Join(other.file.Dir, "archive"))))
		}, "the archive was replaced"},
	} {
		t.Run(name, func(t *testing.T) {
			m := opened(t, load(t, named))
			exports(t, m, "export", "a")
			exports(t, m, "delta/one", "b")
			dir := filepath.Join(m.file.Dir, "archive")
			if name == "blob removed" || name == "blob changed" {
				keepOnlyLastRevision(t, m, dir)
			}
			c.damage(t, dir)
			s, touched := gated(m, "restore")
			err := m.take(t.Context(), s)
			if c.want == "" {
				if err != nil || *touched != 2 || len(notesOf(m)) != 1 {
					t.Fatalf("with a whole archive: %v, touched %d times, %d proofs", err, *touched, len(notesOf(m)))
				}
				return
			}
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "run --redo export") {
				t.Errorf("err = %v, want a refusal that says %q and names its mend", err, c.want)
			}
			if *touched > 0 || m.journal.Stage("restore").Plan != "" {
				t.Error("the stage went on")
			}
		})
	}
}

func TestAStageThatNeedsABackupNeedsTheExport(t *testing.T) {
	m := opened(t, load(t, named))
	s, touched := gated(m, "provision")
	err := m.take(t.Context(), s)
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Refusals[0].What != "export" || *touched > 0 {
		t.Errorf("err = %v, touched %d times", err, *touched)
	}
}

// After --redo export, what earlier deltas wrote may be gone: the new export has it.
func TestANewExportMendsALostArchive(t *testing.T) {
	fake := clock.NewFake(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC))
	m, err := Open(load(t, named), Options{Clock: fake})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	exports(t, m, "export", "a")
	must(t, fake.Sleep(t.Context(), time.Minute))
	exports(t, m, "delta/one", "b")
	must(t, os.RemoveAll(filepath.Join(m.file.Dir, "archive")))
	if _, refusal := m.lookAtBackup(t.Context()); refusal == nil {
		t.Fatal("a lost archive passes")
	}
	must(t, fake.Sleep(t.Context(), time.Minute))
	must(t, m.journal.Reset("export", "asked for by --redo"))
	exports(t, m, "export", "c")
	if _, refusal := m.lookAtBackup(t.Context()); refusal != nil {
		t.Errorf("after the new export: %+v", refusal)
	}
}

// A store that is silent says nothing of the archive: it is asked again for a while.
func TestASilentStoreIsAskedAgainBeforeTheStageIsRefused(t *testing.T) {
	file := load(t, named)
	fake := clock.NewFake(time.Now())
	m, err := Open(file, Options{Clock: fake})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	exports(t, m, "export", "a")
	// A store that no driver opens stands for one that does not answer.
	m.file.Archive.URL, m.file.Archive.Store = "s3://bucket/archive", "far"
	m.file.Stores = map[string]migration.Store{"far": {Provider: "s3"}}
	s, touched := gated(m, "restore")
	err = m.take(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "it could not be read") || *touched > 0 {
		t.Errorf("err = %v, touched %d times", err, *touched)
	}
	if n := len(fake.Slept()); n < 3 || n > 20 {
		t.Errorf("it was asked again %d times", n)
	}
}

func notesOf(m *Migration) (notes []string) {
	m.journal.View(func(l *journal.Log) {
		for _, raw := range l.Noted(noteBackup) {
			notes = append(notes, string(raw))
		}
	})
	return notes
}

// keepOnlyLastRevision removes the blobs that only the first revision names, so that whatever is damaged matters.
func keepOnlyLastRevision(t *testing.T, m *Migration, dir string) {
	t.Helper()
	r, err := m.openArchive(t.Context())
	must(t, err)
	named := map[string]bool{}
	for _, e := range r.Index().Entries {
		named[e.Blob] = true
	}
	must(t, filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		rel, rerr := filepath.Rel(dir, path)
		if err != nil || d.IsDir() || rerr != nil || named[filepath.ToSlash(rel)] {
			return errors.Join(err, rerr)
		}
		return os.Remove(path)
	}))
}

// first finds the first file below a folder of the archive whose name begins with a prefix.
func first(t *testing.T, dir, below, prefix string) string {
	t.Helper()
	found := ""
	must(t, filepath.WalkDir(filepath.Join(dir, below), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && found == "" && strings.HasPrefix(d.Name(), prefix) {
			found = path
		}
		return err
	}))
	if found == "" {
		t.Fatalf("nothing below %s begins with %q", below, prefix)
	}
	return found
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
