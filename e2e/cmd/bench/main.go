//go:build linux

// Command bench measures crossfade's bucket copies beside those of rclone and mc, and says which targets are met.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/crossfade-project/crossfade/e2e/bench"
	"github.com/crossfade-project/crossfade/e2e/program"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/score"
)

func main() {
	only := flag.String("only", "", "regular expression of the works' names")
	rounds := flag.Int("rounds", 0, "rounds of each work; 0 is its own number")
	keys := flag.Int("keys", 0, "only compare so many synthetic keys in this process, and write a line of JSON")
	flag.Parse()
	program.Main("bench", func(ctx context.Context) error {
		if *keys > 0 {
			return bench.CompareKeys(ctx, *keys, os.Stdout)
		}
		return run(ctx, *only, *rounds)
	})
}

func run(ctx context.Context, only string, rounds int) (err error) {
	chosen, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("read -only: %w", err)
	}
	dir, err := os.MkdirTemp("", "crossfade-bench-*")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, "crossfade")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/crossfade")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the command: %w\n%s", err, out)
	}
	log := program.Log()
	in, err := install.New(log)
	if err != nil {
		return err
	}
	tools, err := bench.Peers(ctx, in, binary)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	verdicts, err := bench.Run(ctx, bench.Options{Tools: tools, Keys: []string{self, "-keys", "100000000"}, Dir: filepath.Join(dir, "world"), Only: chosen, Rounds: rounds, Log: log, Say: program.SayTo(os.Stdout)})
	if err != nil {
		return err
	}
	return score.Print(os.Stdout, "bench-bucketsync", verdicts)
}
