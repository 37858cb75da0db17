//go:build linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/internal/leftovers"
)

const hello = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hello"},
"spec": {"hostNetwork": true, "containers": [{"name": "hello", "image": "rig.test/pause:1"}]}}`

func command(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	t.Logf("%s %s:\n%s", filepath.Base(program), strings.Join(args, " "), out)
	return string(out), err
}

func TestUpStaysAfterItsEndAndAKilledRigIsCleanedUp(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two whole clusters")
	}
	if ok, reason := install.CanRun(); !ok {
		t.Skip(reason)
	}
	program := filepath.Join(t.TempDir(), "rig")
	if out, err := command(t, "go", "build", "-o", program, "."); err != nil {
		t.Fatal(err, out)
	}
	dir := filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() {
		if out, err := exec.Command(program, "down", "-dir", dir).CombinedOutput(); err != nil { // also after a failure
			t.Errorf("rig down: %v: %s", err, out)
		}
	})
	if _, err := command(t, program, "status", "-dir", dir); err == nil {
		t.Error("status finds a rig before there is one")
	}
	for _, kill := range []bool{true, false} {
		if _, err := command(t, program, "up", "-empty", "-dir", dir); err != nil {
			t.Fatal(err)
		}
		if _, err := command(t, program, "up", "-empty", "-dir", dir); err == nil {
			t.Error("a second up in the same folder succeeds")
		}
		network := checkRunning(t, program, dir, kill)
		if _, err := command(t, program, "down", "-dir", dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the state folder is left: %v", err)
		}
		if left, err := leftovers.Of(dir, network); err != nil || len(left) > 0 {
			t.Errorf("left are %q, %v", left, err)
		}
	}
}

// checkRunning starts a pod on each side, and may kill the rig's process. It returns the network's name.
func checkRunning(t *testing.T, program, dir string, kill bool) string {
	t.Helper()
	info, err := rig.ReadInfo(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, side := range info.Sides {
		cmd := exec.CommandContext(t.Context(), side.Kubectl, "--kubeconfig", side.Kubeconfig, "apply", "-f", "-")
		cmd.Stdin = strings.NewReader(hello)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if out, err := command(t, side.Kubectl, "--kubeconfig", side.Kubeconfig, "wait", "--for=condition=Ready", "--timeout=60s", "pod/hello"); err != nil {
			t.Fatal(err, out)
		}
	}
	network := "cf" + strings.Split(info.Subnet, ".")[2]
	running, err := leftovers.Of(dir, network)
	if err != nil {
		t.Fatal(err)
	}
	pods := 0
	for _, what := range running {
		if strings.HasSuffix(what, " /pause ") {
			pods++
		}
	}
	if pods != 4 {
		t.Errorf("of two pods, with their sandboxes, %d processes are found, so that the check after down shows nothing: %q", pods, running)
	}
	if _, err := command(t, program, "status", "-dir", dir); err != nil {
		t.Error(err)
	}
	if !kill {
		return network
	}
	if err := syscall.Kill(info.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		pid, err := rig.Holder(dir)
		if err != nil {
			t.Fatal(err)
		}
		if pid == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the killed process still holds the folder")
		}
	}
	if _, err := command(t, program, "status", "-dir", dir); err == nil {
		t.Error("status takes a killed rig for one that is up")
	}
	return network
}
