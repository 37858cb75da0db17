// Package program is what the programs below e2e/cmd share: their beginning and their end.
package program

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Main runs a program until it is over, or until the first interrupt or termination ends its context. An error is printed under the
// program's name, and lets it exit with code 1.
func Main(name string, run func(context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Log returns the log of a program, as text for people.
func Log() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }
