package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Measure is what one process took.
type Measure struct {
	Wall   time.Duration
	CPU    time.Duration // user and system
	Memory int64         // bytes, the most that was resident
	// Rate is in pairs a second, and Growth the share by which memory was larger at the end than at the beginning; of comparisons of
	// synthetic keys.
	Rate, Growth float64
}

// run starts a command and measures it to its end.
func run(ctx context.Context, env, argv []string) (Measure, error) {
	m, _, err := runFor(ctx, env, argv)
	return m, err
}

// runFor also gives what the command wrote.
func runFor(ctx context.Context, env, argv []string) (Measure, []byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return Measure{}, nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	over := make(chan struct{})
	memory := watchMemory(cmd.Process.Pid, over)
	err := cmd.Wait()
	m := Measure{Wall: time.Since(began)}
	close(over)
	m.Memory = <-memory
	if cmd.ProcessState != nil {
		m.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		return m, nil, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, tail(out.String()))
	}
	return m, out.Bytes(), nil
}

// runKeys has a process of its own compare synthetic keys.
func runKeys(ctx context.Context, argv []string) (Measure, error) {
	m, out, err := runFor(ctx, nil, argv)
	if err != nil {
		return m, err
	}
	var keys Keys
	if err := json.Unmarshal(out, &keys); err != nil {
		return m, fmt.Errorf("read %q: %w", tail(string(out)), err)
	}
	m.Rate, m.Growth = keys.Rate, float64(keys.Late)/float64(max(keys.Early, 1))-1
	return m, nil
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

func tail(s string) string {
	const most = 1000
	if s = strings.TrimSpace(s); len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}

// median takes each figure's median by itself.
func median(all []Measure) Measure {
	if len(all) == 0 {
		return Measure{}
	}
	return Measure{
		Wall:   middle(all, func(m Measure) time.Duration { return m.Wall }),
		CPU:    middle(all, func(m Measure) time.Duration { return m.CPU }),
		Memory: middle(all, func(m Measure) int64 { return m.Memory }),
		Rate:   middle(all, func(m Measure) float64 { return m.Rate }),
		Growth: middle(all, func(m Measure) float64 { return m.Growth }),
	}
}

func middle[T cmp.Ordered](all []Measure, of func(Measure) T) T {
	values := make([]T, len(all))
	for i, m := range all {
		values[i] = of(m)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
