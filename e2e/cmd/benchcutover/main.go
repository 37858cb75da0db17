//go:build linux

// Command benchcutover measures a cutover: planning hundreds of names, swaps, and returns after a breach, on real name servers; and
// says which targets are met.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/crossfade-project/crossfade/e2e/cutbench"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/trial"
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, opts)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-cutover:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opts cutbench.Options) (err error) {
	if opts.Dir, err = os.MkdirTemp("", "crossfade-bench-*"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(opts.Dir)) }()
	if opts.Program, err = filepath.Abs(opts.Program); err != nil {
		return fmt.Errorf("find the command: %w", err)
	}
	opts.Log, opts.Say = slog.New(slog.NewTextHandler(os.Stderr, nil)), trial.SayTo(os.Stdout)
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
	met := 0
	fmt.Println()
	for _, v := range verdicts {
		fmt.Println(v)
		if v.Met {
			met++
		}
	}
	fmt.Printf("bench-cutover: %d of %d targets met\n", met, len(verdicts))
	return nil
}
