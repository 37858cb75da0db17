package cutbench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/e2e/score"
)

// Options choose what is measured. Program and Dir are needed.
type Options struct {
	// Program is the command.
	Program string
	// Dir gets the servers' data and the migration's state.
	Dir string
	// Apps are so many applications with a name each, in so many Zones.
	Apps, Zones int
	// Plans is how often the plan is made.
	Plans int
	// Rounds repeat what follows; what they measured is judged together.
	Rounds int
	// Swaps and Returns are those of one round. A name that returns was swapped before, so that there are at least as many swaps.
	Swaps, Returns int
	// Lanes is how many migrations move names at the same time, each in zones of its own and one name after the other.
	Lanes int
	// Delay is by how much transfers to the delayed secondary begin later.
	Delay time.Duration
	Log   *slog.Logger
	// Say hears of each figure.
	Say func(format string, args ...any)
}

// Full is what the targets are about.
func Full() Options {
	return Options{Apps: 500, Zones: 50, Plans: 5, Rounds: 3, Swaps: 80, Returns: 40, Lanes: 2, Delay: 1500 * time.Millisecond}
}

// interval is the time between two rounds of checks of an application that soaks.
const interval = time.Second

// Run measures, and judges the targets.
func Run(ctx context.Context, opts Options) (_ []score.Verdict, err error) {
	if opts.Rounds*opts.Swaps > opts.Apps || opts.Returns > opts.Swaps {
		return nil, fmt.Errorf("%d rounds of %d swaps and %d returns need as many applications, and there are %d", opts.Rounds, opts.Swaps, opts.Returns, opts.Apps)
	}
	all := apps(opts.Apps, opts.Zones)
	dns, err := startNames(ctx, filepath.Join(opts.Dir, "names"), all)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dns.stop(context.WithoutCancel(ctx))) }()
	web, err := startSides()
	if err != nil {
		return nil, err
	}
	defer web.stop()
	if err := everywhere(ctx, dns, all); err != nil {
		return nil, err
	}
	dns.way.Set(opts.Delay)
	var verdicts []score.Verdict
	if opts.Plans > 0 {
		planned, err := measurePlans(ctx, opts, dns, web, all)
		if err != nil {
			return nil, err
		}
		verdicts = append(verdicts, planned...)
	}
	if opts.Rounds == 0 {
		return verdicts, nil
	}
	moved, err := measureMoves(ctx, opts, dns, web, all)
	return append(verdicts, moved...), err
}

// everywhere waits until every address has every zone with the last of its names.
func everywhere(ctx context.Context, dns *names, all []app) error {
	seen := map[string]bool{}
	for i := len(all) - 1; i >= 0 && len(seen) < len(dns.zones)-1; i-- {
		if a := all[i]; !seen[a.zone] {
			seen[a.zone] = true
			if _, err := watch(ctx, dns.addrs, a.peer, blueTarget).last(); err != nil {
				return fmt.Errorf("wait for the name servers: %w", err)
			}
		}
	}
	return nil
}

// Packages lists the Debian packages that a run needs.
func Packages() []string {
	return append(append(nameserver.BIND.Packages(), nameserver.ResolverPackages()...), "bind9-dnsutils")
}
