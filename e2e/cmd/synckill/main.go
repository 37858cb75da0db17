// Command synckill kills syncs of two places at random moments and at requests, runs them again, and looks at both sides
// with another client.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/crossfade-project/crossfade/e2e/program"
	"github.com/crossfade-project/crossfade/e2e/shard"
	"github.com/crossfade-project/crossfade/e2e/synckill"
)

func main() {
	var of shard.Shard
	n := flag.Int("points", 200, "how many kills")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "repeats the choice of an earlier run")
	binary := flag.String("program", "", "the command to kill; empty builds it")
	dir := flag.String("dir", ".kill/sync", "folder for what is left of points that fail")
	parallel := flag.Int("parallel", 4, "trials at once")
	flag.Var(&of, "shard", "which part of the points: 2/3 is the second of three; give the seed with it")
	flag.Parse()
	opts := synckill.Options{Dir: *dir, Program: *binary, Seed: *seed, Parallel: *parallel, Say: program.SayTo(os.Stdout)}
	program.Main("synckill", func(ctx context.Context) error { return run(ctx, opts, *n, of) })
}

func run(ctx context.Context, opts synckill.Options, n int, of shard.Shard) (err error) {
	opts.To = []synckill.Destination{synckill.Fake, synckill.MinIO, synckill.Directory}
	opts.Say("seed %d", opts.Seed)
	if err := os.RemoveAll(opts.Dir); err != nil {
		return err
	}
	killer, err := synckill.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, killer.Stop(context.WithoutCancel(ctx))) }()
	var points []synckill.Point
	for _, p := range synckill.Points(opts.Seed, n, opts.To...) {
		if of.Has(p.String()) {
			points = append(points, p)
		}
	}
	began, done, converged, kills := time.Now(), 0, 0, 0
	err = killer.Kill(ctx, points, func(o synckill.Outcome) {
		done++
		kills += o.Kills
		if o.Err == nil {
			converged++
		} else {
			opts.Say("FAILED %s: %v", o.Point, o.Err)
		}
		if done%20 == 0 {
			opts.Say("%d of %d in %s", done, len(points), time.Since(began).Round(time.Second))
		}
	})
	if err != nil {
		return err
	}
	opts.Say("%d kills, in %s", kills, time.Since(began).Round(time.Second))
	fmt.Printf("kill-sync: %d points, %d converged\n", len(points), converged)
	if converged != len(points) {
		return fmt.Errorf("%d points did not converge: look into %s", len(points)-converged, opts.Dir)
	}
	return nil
}
