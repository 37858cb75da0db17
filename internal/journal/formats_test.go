package journal_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/crossfade-project/crossfade/internal/journal"
)

// testdata/format-1.jsonl is what the version before format 2 wrote. It is read, and gone on with.
func TestTheFormatBeforeIsReadAndGoneOnWith(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "format-1.jsonl"))
	must(t, err)
	dir := t.TempDir()
	must(t, os.WriteFile(file(dir), raw, 0o600))
	l, err := journal.Read(dir)
	must(t, err)
	if n := len(l.Records); n < 5 || l.Records[n-1].Format != 1 || !l.Stage("export").Finished {
		t.Errorf("read %d records: %+v", n, l.Stage("export"))
	}
	must(t, open(t, dir).Note("n", 1))
	l, err = journal.Read(dir)
	must(t, err)
	if last := l.Records[len(l.Records)-1]; last.Format != journal.Format || !l.Stage("export").Finished {
		t.Errorf("gone on with as %+v", last)
	}
}

// A newer version's record that must be acted on may be read by everybody, and nobody who does not know it goes on behind it.
func TestACriticalRecordOfAnotherVersionStopsTheResumeAlone(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	must(t, j.Note("n", 1), j.Close())
	journal.AppendForTest(t, dir, journal.Record{Format: journal.Format + 1, Kind: "telegram"})
	must(t, open(t, dir).Close())
	journal.AppendForTest(t, dir, journal.Record{Format: journal.Format + 1, Kind: "sealed", Critical: true, Data: json.RawMessage(`{}`)})
	if _, err := journal.Read(dir); err != nil {
		t.Errorf("reading: %v", err)
	}
	_, err := journal.Open(dir, journal.Options{})
	if !errors.Is(err, journal.ErrUnknown) || !strings.Contains(err.Error(), `record 4 is of kind "sealed"`) || !strings.Contains(err.Error(), "use the version of crossfade that wrote it") {
		t.Errorf("going on: %v", err)
	}
}

// A full disk ends the run before the change, says so, and leaves a journal that the next run mends.
func TestAFullDiskLeavesAJournalThatIsMended(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	must(t, j.Note("n", 1))
	journal.FullAfterForTest(j, 10)
	err := j.Note("n", 2)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "room on that disk") {
		t.Errorf("err = %v", err)
	}
	if err := j.Note("n", 3); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("it went on: %v", err)
	}
	must(t, j.Close())
	l, err := journal.Read(dir)
	if err != nil || l.Torn != 10 || len(l.Noted("n")) != 1 {
		t.Fatalf("left behind: %+v, %v", l, err)
	}
	must(t, open(t, dir).Note("n", 4))
	l, err = journal.Read(dir)
	if err != nil || l.Torn != 0 || len(l.Noted("n")) != 2 || l.Records[2].Kind != journal.KindMended {
		t.Errorf("mended: %+v, %v", l, err)
	}
}

func TestHolderIsKnownWithoutTakingTheLock(t *testing.T) {
	dir := t.TempDir()
	if by, err := journal.Holder(t.Context(), dir); by != "" || err != nil {
		t.Errorf("nobody yet: %q, %v", by, err)
	}
	j := open(t, dir)
	if by, err := journal.Holder(t.Context(), dir); err != nil || !strings.HasPrefix(by, "ann@desk, process ") {
		t.Errorf("open: %q, %v", by, err)
	}
	id := j.ID()
	must(t, j.Close())
	if by, err := journal.Holder(t.Context(), dir); by != "" || err != nil {
		t.Errorf("closed: %q, %v", by, err)
	}
	if again := open(t, dir); again.ID() != id || id == "" {
		t.Errorf("the directory was %q and is %q", id, again.ID())
	}
}

// A directory keeps its name when it is moved; a copy of it, beside or in its place, is another, although all its files are the same.
func TestACopyOfADirectoryIsNotThatDirectory(t *testing.T) {
	root := t.TempDir()
	dir, copied, moved := filepath.Join(root, "state"), filepath.Join(root, "copy"), filepath.Join(root, "moved")
	j, err := journal.Open(dir, journal.Options{Actor: "ann@desk"})
	must(t, err)
	id := j.ID()
	must(t, j.Close())
	named := func(dir string) string {
		got, err := journal.Identity(dir)
		must(t, err)
		return got
	}
	if got := named(dir); got != id {
		t.Errorf("it says %q where its holder says %q", got, id)
	}
	must(t, os.CopyFS(copied, os.DirFS(dir)))
	if got := named(copied); got == id {
		t.Errorf("the copy has the name of what it was copied from, %q", got)
	}
	must(t, os.Rename(dir, moved))
	if got := named(moved); got != id {
		t.Errorf("the directory was %q and is %q behind its move", id, got)
	}
	must(t, os.Rename(copied, dir))
	if got := named(dir); got == id {
		t.Errorf("a copy in the place of the directory has its name %q", got)
	}
}
