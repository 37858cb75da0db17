//go:build linux

// Command proof plays migrations that go wrong between two real clusters under load, prints what it measured as a table, and
// exits with a code other than 0 when something did not hold.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/crossfade-project/crossfade/e2e/program"
	"github.com/crossfade-project/crossfade/e2e/proof"
	"github.com/crossfade-project/crossfade/e2e/rig"
)

func main() { program.Main("proof", run) }

func run(ctx context.Context) (err error) {
	dir := flag.String("rig", "", "state folder of a rig that is up; without it one is brought up, and taken down again")
	only := flag.String("only", "", "regular expression of the scenarios' names")
	lanes := flag.Int("lanes", 3, "scenarios at a time")
	title := flag.String("title", "proof", "what the last line begins with")
	points := flag.Bool("points", false, "let the last line count points that converged")
	flag.Parse()
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("read -only: %w", err)
	}
	top, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	info, done, err := rig.Borrow(ctx, *dir, program.Log())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done(context.WithoutCancel(ctx))) }()
	into, err := filepath.Abs(filepath.Join(cmp.Or(*dir, rig.DefaultDir), "proof"))
	if err != nil {
		return fmt.Errorf("find the rig's folder: %w", err)
	}
	if err := os.MkdirAll(into, 0o755); err != nil {
		return fmt.Errorf("make a folder for the scenarios: %w", err)
	}
	binary, err := proof.Build(ctx, top, into)
	if err != nil {
		return err
	}
	options := proof.Options{
		Top: top, Dir: into, Binary: binary, Rig: info, Only: chosen, Lanes: *lanes, Title: *title, Points: *points, Out: os.Stderr,
	}
	if err := proof.Prepare(ctx, options); err != nil {
		return err
	}
	report, err := proof.Run(ctx, options)
	if err != nil {
		return err
	}
	if err := report.Print(os.Stdout); err != nil {
		return err
	}
	if !report.OK() {
		return errors.New("something did not hold: see above; logs are in " + into)
	}
	return nil
}
