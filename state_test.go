package crossfade

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// A state directory that two files name by mistake serves the first: nothing of it passes for the second's.
func TestAnothersJournalIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) *File {
		return &File{File: migration.File{Name: name, State: &migration.State{Directory: "state"}}, Path: filepath.Join(dir, name+".yaml"), Dir: dir}
	}
	first, err := Open(file("first"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.journal.Note(noteOutline, first.outline()), first.Close()); err != nil {
		t.Fatal(err)
	}
	var refused *RefusedError
	if _, err := Open(file("second"), Options{}); !errors.As(err, &refused) {
		t.Errorf("opened for another migration: %v", err)
	}
	if _, err := Inspect(file("second"), Options{}).Status(); !errors.As(err, &refused) {
		t.Errorf("the status of another migration: %v", err)
	}
	again, err := Open(file("first"), Options{})
	if err != nil {
		t.Fatalf("its own journal: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// A copy of the working folder on the same machine is no way round the lease of a run that goes on; a run that was killed is gone on
// with in its own folder at once.
func TestACopyOfTheStateDirectoryWaitsForTheLease(t *testing.T) {
	file := load(t, strings.Replace(named, "directory: state", "directory: state, url: "+filepath.Join(t.TempDir(), "kept"), 1))
	opts := Options{OpenBucket: inMemory(t)}
	killed := openedWith(t, file, opts)
	if err := killed.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := killed.journal.Close(); err != nil { // its lock is free; its lease stays
		t.Fatal(err)
	}
	again, err := Open(file, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.begin(t.Context()); err != nil {
		t.Errorf("the same directory after a kill: %v", err)
	}
	copied := *file
	copied.Dir = t.TempDir()
	if err := os.CopyFS(copied.StateDir(), os.DirFS(file.StateDir())); err != nil {
		t.Fatal(err)
	}
	second := openedWith(t, &copied, opts)
	var held *LeaseHeldError
	if err := second.begin(t.Context()); !errors.As(err, &held) {
		t.Errorf("a copy beside a run that goes on: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// Which names must be on green is known from the journal, also to those who only look: until they are, and after they came back, none.
func TestTheJournalTellsWhichNamesHaveMoved(t *testing.T) {
	file := load(t, named)
	m := opened(t, file)
	var under []string
	says := func(want ...string) {
		t.Helper()
		moved, moving, err := Inspect(file, Options{}).movedApps()
		if err != nil || !slices.Equal(moving, under) || !slices.Equal(moved, want) {
			t.Errorf("moved %v, moving %v, %v; want %v", moved, moving, err, want)
		}
	}
	finishes(t, m, "freeze/one")
	says()
	under = []string{"one"}
	plans(t, m, "shift/one/5")
	says()
	finishes(t, m, "shift/one/5")
	says()
	under = nil
	finishes(t, m, "swap/one")
	says("one")
	if err := m.journal.Reset("shift/one/5", "it went back"); err != nil {
		t.Fatal(err)
	}
	if err := m.journal.Reset("swap/one", "it went back"); err != nil {
		t.Fatal(err)
	}
	says()
}
