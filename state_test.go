package crossfade

import (
	"errors"
	"path/filepath"
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
