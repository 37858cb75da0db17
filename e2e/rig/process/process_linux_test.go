package process_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/e2e/rig/record"
)

func start(t *testing.T, script string, o process.Options) *process.Process {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("there is no /bin/sh")
	}
	o.Name, o.Args, o.Log = "child", []string{"/bin/sh", "-c", script}, filepath.Join(t.TempDir(), "child.log")
	p, err := process.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestAChildThatEndsTellsHowAndWhatItSaidLast(t *testing.T) {
	p := start(t, "for i in $(seq 20); do echo line $i; done; exit 3", process.Options{})
	err := process.WaitUntil(t.Context(), time.Minute, func(context.Context) error { return errors.New("never ready") }, p)
	var exit *process.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("got %v, want an ExitError", err)
	}
	if !strings.Contains(err.Error(), "exit status 3") || !strings.HasSuffix(exit.Tail, "line 20") || strings.Contains(exit.Tail, "line 8\n") {
		t.Errorf("it says %q", err)
	}
}

func TestWaitUntilEndsAtItsLimitWithTheLastReason(t *testing.T) {
	p := start(t, "exec sleep 600", process.Options{})
	err := process.WaitUntil(t.Context(), 150*time.Millisecond, func(context.Context) error { return errors.New("its door is shut") }, p)
	if err == nil || !strings.Contains(err.Error(), "its door is shut") || !strings.Contains(err.Error(), "150ms") {
		t.Errorf("got %v", err)
	}
	if p.Failure() != nil {
		t.Errorf("the child runs, and yet: %v", p.Failure())
	}
}

func TestStopAsksFirstAndKillsAfterTheGrace(t *testing.T) {
	polite := start(t, `trap "echo asked; exit 0" TERM; echo up; while :; do sleep 0.01; done`, process.Options{})
	deaf := start(t, `trap "" TERM; while :; do sleep 0.01; done`, process.Options{})
	// A child that has not yet set its trap would end of the signal itself.
	err := process.WaitUntil(t.Context(), time.Minute, func(context.Context) error {
		if deafTo(deaf.PID()) && deafTo(polite.PID()) {
			return nil
		}
		return errors.New("no trap yet")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := polite.Stop(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
	if said := polite.Failure().Error(); !strings.Contains(said, "status 0") || !strings.Contains(said, "asked") {
		t.Errorf("the polite child was not asked: %s", said)
	}
	if err := deaf.Stop(t.Context(), 50*time.Millisecond); err != nil {
		t.Error(err)
	}
	if said := deaf.Failure().Error(); !strings.Contains(said, "killed") {
		t.Errorf("the deaf child was not killed: %s", said)
	}
}

// deafTo says whether a process has its own handling of SIGTERM (15).
func deafTo(pid int) bool {
	mask := func(name string) bool {
		content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(content)) {
			if hex, ok := strings.CutPrefix(line, name+":\t"); ok {
				digit := hex[len(strings.TrimSpace(hex))-4]
				return strings.ContainsRune("4567cdef", rune(digit)) // bit 14
			}
		}
		return false
	}
	return mask("SigCgt") || mask("SigIgn")
}

func TestAChildIsRecordedWhileItRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record")
	written, err := record.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer written.Close()
	p := start(t, "exec sleep 600", process.Options{Record: written})
	left, err := record.Left(path)
	if err != nil || len(left) != 1 || left[0].PID != p.PID() || left[0].Start == 0 {
		t.Fatalf("the record says %v, %v", left, err)
	}
	if err := p.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if left, err := record.Left(path); err != nil || len(left) != 0 {
		t.Fatalf("after its end the record says %v, %v", left, err)
	}
}

func TestEnterRunsBeforeTheChildAndItsErrorStopsTheStart(t *testing.T) {
	shut := errors.New("the door is shut")
	_, err := process.Start(process.Options{
		Name: "child", Args: []string{"/bin/sh"}, Log: filepath.Join(t.TempDir(), "log"), Enter: func() error { return shut },
	})
	if !errors.Is(err, shut) {
		t.Errorf("got %v, want Enter's error", err)
	}
}
