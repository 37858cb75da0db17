// Command network cuts a migration off from every server in every phase, one at a time, and looks whether it gets over it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/crossfade-project/crossfade/e2e/network"
	"github.com/crossfade-project/crossfade/e2e/program"
	"github.com/crossfade-project/crossfade/e2e/shard"
	"github.com/crossfade-project/crossfade/e2e/trial"
)

type options struct {
	dir, only string
	shard     shard.Shard
	say       func(format string, args ...any)
	parallel  int
}

func main() {
	o := options{say: program.SayTo(os.Stdout)}
	flag.StringVar(&o.dir, "dir", ".network", "folder for what is left of cuts that fail")
	flag.IntVar(&o.parallel, "parallel", 4, "trials at once")
	flag.Var(&o.shard, "shard", "which part of the cuts: 2/3 is the second of three")
	flag.StringVar(&o.only, "only", "", "a regular expression of the cuts' names, as in \"green store stalled in sync\"")
	flag.Parse()
	program.Main("network", func(ctx context.Context) error { return run(ctx, o) })
}

func run(ctx context.Context, o options) (err error) {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	var chosen []network.Cut
	for _, c := range network.Cuts() {
		if o.shard.Has(c.String()) && only.MatchString(c.String()) {
			chosen = append(chosen, c)
		}
	}
	world, err := trial.Start(ctx, trial.Options{Log: program.Log()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Stop(context.WithoutCancel(ctx))) }()
	failed := filepath.Join(o.dir, "failed")
	player := network.New(world, network.Options{Parallel: o.parallel, Keep: failed, Say: o.say})
	o.say("an unbroken run, to compare with")
	if err := player.Reference(ctx); err != nil {
		return err
	}
	converged := 0
	err = player.Play(ctx, chosen, func(out network.Outcome) {
		word := "converged"
		if out.Converged {
			converged++
		} else {
			word = "FAILED"
		}
		o.say("%s: %s; exit code %d after %s, %d further calls, %d connections met it", out.Cut, word, out.Code, out.Took.Round(time.Second), out.Calls, out.Met)
		if !out.Converged {
			o.say("%s", out.Why)
		}
	})
	if err != nil {
		return err
	}
	fmt.Printf("network: %d cuts, %d converged\n", len(chosen), converged)
	if converged != len(chosen) {
		return fmt.Errorf("%d cuts did not converge: look into %s", len(chosen)-converged, failed)
	}
	return nil
}
