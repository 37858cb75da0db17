//go:build unix

// Package programtest has a program that does not end, whose child does not either, and looks whether both were ended.
package programtest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long what was ended may take to be gone.
const patience = 10 * time.Second

// Family is a program with a child. Both hold a pipe open as long as they live.
type Family struct {
	Argv []string
	pipe *os.File
}

// New makes one. It needs a shell, and pipes with a name.
func New(t *testing.T) *Family {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipe.Close() })
	return &Family{Argv: []string{"sh", "-c", `exec 3>"$1"; echo here >&3; sleep 60 & sleep 61`, "sh", path}, pipe: pipe}
}

// Gone fails the test where the program has not run, or where one of the two still lives.
func (f *Family) Gone(t *testing.T) {
	t.Helper()
	if err := f.pipe.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(f.pipe)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("what the program has started goes on")
	} else if err != nil || !strings.HasPrefix(string(said), "here\n") {
		t.Errorf("the program said %q, %v", said, err)
	}
}
