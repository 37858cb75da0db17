package bench

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Measure is what one process took.
type Measure struct {
	Wall   time.Duration
	CPU    time.Duration // user and system
	Memory int64         // bytes, the most that was resident
}

// run starts a command and measures it to its end.
func run(ctx context.Context, env, argv []string) (Measure, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	err := cmd.Run()
	m := Measure{Wall: time.Since(began)}
	if cmd.ProcessState != nil {
		m.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			m.Memory = usage.Maxrss << 10 // Linux counts in KiB
		}
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, tail(out.String()))
	}
	return m, nil
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
