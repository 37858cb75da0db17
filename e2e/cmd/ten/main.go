//go:build linux

// Command ten moves ten applications between two real clusters under load, prints what their clients saw, and exits with a code
// other than 0 when a request failed or something else did not hold.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/crossfade-project/crossfade/e2e/program"
	"github.com/crossfade-project/crossfade/e2e/rig"
	"github.com/crossfade-project/crossfade/e2e/ten"
)

func main() { program.Main("ten", run) }

func run(ctx context.Context) (err error) {
	dir := flag.String("rig", "", "state folder of a rig that is up; without it one is brought up, and taken down again")
	applications := flag.Int("applications", 10, "how many there are")
	flag.Parse()
	top, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	info, done, err := rig.Borrow(ctx, *dir, program.Log())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done(context.WithoutCancel(ctx))) }()
	into, err := filepath.Abs(filepath.Join(cmp.Or(*dir, rig.DefaultDir), "ten"))
	if err != nil {
		return fmt.Errorf("find the rig's folder: %w", err)
	}
	report, err := ten.Run(ctx, ten.Options{
		Top: top, Dir: into, Binary: filepath.Join(top, "bin", "crossfade"), Rig: info, Applications: *applications, Out: os.Stderr,
	})
	if err != nil {
		return err
	}
	if err := report.Print(os.Stdout); err != nil {
		return err
	}
	if !report.OK() {
		return errors.New("something did not hold: see above; the log is in " + into)
	}
	return nil
}
