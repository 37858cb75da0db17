package record_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/crossfade-project/crossfade/e2e/rig/record"
)

func open(t *testing.T) (*record.Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state", "record.jsonl")
	written, err := record.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := written.Close(); err != nil {
			t.Error(err)
		}
	})
	return written, path
}

func TestWhatWasMadeAndNotRemovedIsLeft(t *testing.T) {
	written, path := open(t)
	link := record.Entry{Kind: record.Link, Name: "cf7"}
	first := record.Entry{Kind: record.Process, Name: "etcd", PID: 7, Start: 1}
	second := record.Entry{Kind: record.Process, Name: "etcd", PID: 7, Start: 2} // the number, given out again
	for _, err := range []error{written.Made(link), written.Made(first), written.Made(second), written.Gone(first)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// A run was killed while it wrote a line.
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"kind":"proc`); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := record.Left(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 2 || left[0] != link || left[1] != second {
		t.Errorf("left is %v, want the link and the second process", left)
	}
}

func TestNoRecordIsAnEmptyOne(t *testing.T) {
	left, err := record.Left(filepath.Join(t.TempDir(), "none"))
	if err != nil || len(left) != 0 {
		t.Errorf("left is %v, %v", left, err)
	}
	var none *record.Log
	for _, err := range []error{none.Made(record.Entry{}), none.Gone(record.Entry{}), none.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
}
