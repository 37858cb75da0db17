package cutover

import (
	"context"
	"fmt"
	"time"
)

// TurnTime is how long the names of applications take to move, one application after the other, with its arithmetic (C26): every server,
// the TTL, and the soak of each. Held are the names as the TTL stage left them; before it, the TTL is the one that it will lower
// to. Spare is what nobody can foresee: the freeze, the last copy, the start.
func TurnTime(opts Options, apps []string, held []Held, spare time.Duration) (time.Duration, string, error) {
	var parts []part
	for _, name := range apps {
		app, err := opts.application(name)
		if err != nil {
			return 0, "", err
		}
		if len(app.Hostnames) == 0 {
			continue
		}
		low, before := opts.lowTTL(), part{name: "TTL"}
		for i, h := range (TTLResult{Names: held}).Of(name) {
			if i == 0 {
				low = 0
			}
			low = max(low, longestOf(h.Low))
			if p := opts.beforeSwap(h.Name, h.Low); p.length > before.length {
				before = p
			}
		}
		ttl := time.Duration(low) * time.Second
		before.length = max(before.length, ttl)
		if app.Shift != nil {
			length, _ := opts.shiftTime(*app.Shift, ttl)
			parts = append(parts, part{fmt.Sprintf("shift of %s in %d steps", name, len(app.Shift.Steps)), length})
		}
		soak, _ := opts.soakTime(ttl)
		parts = append(parts, part{"propagation of " + name, opts.propagation()}, before, part{"margin", opts.margin()}, part{"soak", soak})
	}
	parts = append(parts, part{"spare", spare})
	var total time.Duration
	for _, p := range parts {
		total += p.length
	}
	return total, sum(parts...), nil
}

// WatchOptions say what is watched, and for how long.
type WatchOptions struct {
	Options
	App string
	// For is how long every check must pass.
	For time.Duration
	// Moved are the names of its swap.
	Moved []Moved
}

// Watch asks the checks of an application on green for a while. It returns a *BreachError or an *InconclusiveError as a soak does,
// and changes nothing.
func Watch(ctx context.Context, opts WatchOptions) (Rounds, error) {
	entries, err := FindEntries(ctx, opts.Options, opts.App)
	if err != nil {
		return Rounds{}, err
	}
	began := opts.now()
	until := began.Add(opts.For)
	return opts.watch(ctx, vigil{
		app: opts.App, entries: entries, until: until, need: max(minRounds, int(opts.For/opts.interval()/2)),
		limit: until.Add(max(opts.For, time.Duration(minRounds)*(opts.interval()+defaultCheckTimeout))),
		what:  "checks of " + opts.App,
		text:  fmt.Sprintf("%s + %s of checks = %s", began.Format(time.TimeOnly), opts.For, until.Format(time.TimeOnly)), baselines: Baselines(opts.Moved), moved: opts.Moved,
	})
}
