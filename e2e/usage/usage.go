// Package usage measures what a process takes: wall time, CPU and the most memory that it had resident.
package usage

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Usage is what one process took.
type Usage struct {
	Wall   time.Duration
	CPU    time.Duration // user and system
	Memory int64         // bytes, the most that was resident
}

// Run starts a command, measures it to its end, and gives what it wrote.
func Run(ctx context.Context, dir string, env, argv []string) (Usage, []byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return Usage{}, nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	over := make(chan struct{})
	memory := watchMemory(cmd.Process.Pid, over)
	err := cmd.Wait()
	u := Usage{Wall: time.Since(began)}
	close(over)
	u.Memory = <-memory
	if cmd.ProcessState != nil {
		u.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		return u, nil, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, Tail(out.String()))
	}
	return u, out.Bytes(), nil
}

// watchMemory follows the most that a process has had resident until over is closed, and then tells it. The system's own count of
// a process that has ended will not do: it begins with what this process had when it started the other.
func watchMemory(pid int, over <-chan struct{}) <-chan int64 {
	told := make(chan int64, 1)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		most := int64(0)
		for {
			select {
			case <-over:
				told <- most
				return
			case <-tick.C:
				most = max(most, peakOf(pid))
			}
		}
	}()
	return told
}

// peakOf is the most that a process has had resident; 0 where it has none any more.
func peakOf(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0
	}
	return kib << 10
}

// Tail is the end of what a process wrote.
func Tail(s string) string {
	const most = 1000
	if s = strings.TrimSpace(s); len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}
