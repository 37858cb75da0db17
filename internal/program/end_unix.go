//go:build unix

package program

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// endWhole gives a program a process group of its own, and ends that whole. A child that has left the group is its own.
func endWhole(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}
