// Command racing holds races of writers on real name servers, each with thousands of swaps and clients that ask all the
// while, and says what was lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/e2e/program"
	"github.com/crossfade-project/crossfade/e2e/racing"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
)

func main() {
	opts := racing.Options{Writers: 16, Names: 4, Say: program.SayTo(os.Stdout)}
	flag.Int64Var(&opts.Swaps, "swaps", 10_000, "how many swaps on each server")
	flag.Int64Var(&opts.Questions, "questions", 200_000, "how many questions to each server meanwhile, at least")
	flag.Uint64Var(&opts.Seed, "seed", uint64(time.Now().UnixNano()), "repeats the choices of an earlier run")
	flag.StringVar(&opts.Dir, "dir", ".racing", "folder for the servers")
	only := flag.String("only", "bind,knot,powerdns,bind+signed,knot+signed", "which servers")
	flag.Parse()
	program.Main("racing", func(ctx context.Context) error { return run(ctx, opts, strings.Split(*only, ",")) })
}

func run(ctx context.Context, opts racing.Options, servers []string) error {
	in, err := install.New(nil)
	if err != nil {
		return err
	}
	opts.Say("seed %d", opts.Seed)
	dir := opts.Dir
	var swaps, questions int64
	var errs []error
	for _, server := range servers {
		software, how, _ := strings.Cut(server, "+")
		one := opts
		one.Software, one.Sign, one.Dir = nameserver.Software(software), how == "signed", filepath.Join(dir, server)
		if err := in.Debian(ctx, one.Software.Packages()...); err != nil {
			return err
		}
		if err := os.RemoveAll(one.Dir); err != nil {
			return err
		}
		report, err := racing.Run(ctx, one)
		if err != nil {
			return fmt.Errorf("%s: %w", server, err)
		}
		opts.Say("%s: %s", server, report)
		if err := report.Err(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", server, err))
		}
		swaps, questions = swaps+report.Won, questions+report.Asked
	}
	fmt.Printf("racing: %d servers, %d swaps, %d questions, %d servers failed\n", len(servers), swaps, questions, len(errs))
	return errors.Join(errs...)
}
