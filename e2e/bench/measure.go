package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/e2e/usage"
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
	u, out, err := usage.Run(ctx, "", env, argv)
	return Measure{Wall: u.Wall, CPU: u.CPU, Memory: u.Memory}, out, err
}

// runKeys has a process of its own compare synthetic keys.
func runKeys(ctx context.Context, argv []string) (Measure, error) {
	m, out, err := runFor(ctx, nil, argv)
	if err != nil {
		return m, err
	}
	var keys Keys
	if err := json.Unmarshal(out, &keys); err != nil {
		return m, fmt.Errorf("read %q: %w", usage.Tail(string(out)), err)
	}
	m.Rate, m.Growth = keys.Rate, float64(keys.Late)/float64(max(keys.Early, 1))-1
	return m, nil
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
