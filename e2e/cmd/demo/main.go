//go:build linux

// Command demo runs a whole migration between two real clusters under load, and takes everything down again. It exits with
// a code other than 0 when a request failed or an accepted write was lost.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/crossfade-project/crossfade/e2e/demo"
	"github.com/crossfade-project/crossfade/e2e/program"
)

func main() { program.Main("demo", run) }

func run(ctx context.Context) error {
	top, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	result, err := demo.Run(ctx, demo.Options{
		Top: top, Binary: filepath.Join(top, "bin", "crossfade"), Out: os.Stderr, Log: program.Log(),
	})
	if err != nil {
		return err
	}
	if err := result.Print(os.Stdout); err != nil {
		return err
	}
	if !result.OK() {
		return errors.New("requests failed or writes were lost: see above")
	}
	return nil
}
