//go:build linux

// Command demo runs a whole migration between two real clusters under load, and takes everything down again. It exits with
// a code other than 0 when a request failed or an accepted write was lost.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/crossfade-project/crossfade/e2e/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	top, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	result, err := demo.Run(ctx, demo.Options{
		Top: top, Binary: filepath.Join(top, "bin", "crossfade"), Out: os.Stderr, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
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
