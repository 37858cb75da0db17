package record_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/crossfade-project/crossfade/e2e/rig/record"
)

// sleeper starts a process that ends only when it is killed, and returns its entry.
func sleeper(t *testing.T) (record.Entry, <-chan error) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		// An error means that it has ended already.
		_ = cmd.Process.Kill()
	})
	start, err := record.StartTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return record.Entry{Kind: record.Process, Name: "sleep", PID: cmd.Process.Pid, Start: start}, ended
}

func TestCleanEndsARecordedProcessAndNoOtherWithItsNumber(t *testing.T) {
	written, path := open(t)
	ours, ended := sleeper(t)
	foreign, _ := sleeper(t)
	mistaken := foreign
	mistaken.Start-- // what the record says of a process that ended long ago
	folder := filepath.Join(t.TempDir(), "full")
	if err := os.MkdirAll(filepath.Join(folder, "file"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, e := range []record.Entry{ours, mistaken, {Kind: record.Folder, Name: folder}, {Kind: record.Link, Name: "cf-none"}, {Kind: record.Namespace, Name: "cf-none"}} {
		if err := written.Made(e); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := record.Clean(t.Context(), path)
	if err != nil || removed != 5 {
		t.Fatalf("removed %d, %v", removed, err)
	}
	<-ended
	if record.Alive(ours) {
		t.Error("the recorded process lives")
	}
	if !record.Alive(foreign) {
		t.Error("a process that only has a recorded number was ended")
	}
	if _, err := os.Stat(folder); err != nil {
		t.Errorf("a folder that is not empty is gone: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the record is still there: %v", err)
	}
}

func TestCleanKeepsTheRecordWhenSomethingCannotBeRemoved(t *testing.T) {
	written, path := open(t)
	if err := written.Made(record.Entry{Kind: "unheard of", Name: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := record.Clean(t.Context(), path); err == nil {
		t.Error("an unknown kind was cleaned")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
