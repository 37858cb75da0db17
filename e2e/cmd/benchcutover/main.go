//go:build linux

// Command benchcutover measures a cutover: planning hundreds of names, swaps, and returns after a breach, on real name servers; and
// says which targets are met.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/crossfade-project/crossfade/e2e/cutbench"
	"github.com/crossfade-project/crossfade/e2e/program"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/score"
)

func main() {
	opts := cutbench.Full()
	flag.StringVar(&opts.Program, "crossfade", "bin/crossfade", "the command")
	flag.IntVar(&opts.Plans, "plans", opts.Plans, "how often the plan is made; 0 leaves it out")
	flag.IntVar(&opts.Rounds, "rounds", opts.Rounds, "rounds of swaps and returns")
	flag.IntVar(&opts.Swaps, "swaps", opts.Swaps, "swaps in each round")
	flag.IntVar(&opts.Returns, "returns", opts.Returns, "returns in each round")
	flag.DurationVar(&opts.Delay, "delay", opts.Delay, "by how much transfers to one secondary begin later")
	flag.Parse()
	program.Main("bench-cutover", func(ctx context.Context) error { return run(ctx, opts) })
}

func run(ctx context.Context, opts cutbench.Options) (err error) {
	if opts.Dir, err = os.MkdirTemp("", "crossfade-bench-*"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(opts.Dir)) }()
	if opts.Program, err = filepath.Abs(opts.Program); err != nil {
		return fmt.Errorf("find the command: %w", err)
	}
	opts.Log, opts.Say = program.Log(), program.SayTo(os.Stdout)
	in, err := install.New(opts.Log)
	if err != nil {
		return err
	}
	if err := in.Debian(ctx, cutbench.Packages()...); err != nil {
		return err
	}
	verdicts, err := cutbench.Run(ctx, opts)
	if err != nil {
		return err
	}
	return score.Print(os.Stdout, "bench-cutover", verdicts)
}
