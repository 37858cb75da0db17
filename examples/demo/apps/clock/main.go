// Command clock runs once a minute as a CronJob and writes one object, named by
// the minute that it was scheduled for: ticks/2026-11-21T13:45Z.
//
// Environment: STORE_URL, STORE_ACCESS_KEY, STORE_SECRET_KEY (see package store),
// SIDE (what the object says), and JOB_NAME (whose end is the scheduled minute).
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/crossfade-project/crossfade/examples/demo/internal/store"
)

// limit bounds the whole run: the next minute has a run of its own.
const limit = 30 * time.Second

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(logger, os.Getenv); err != nil {
		logger.Error("no tick", "error", err)
		os.Exit(1)
	}
}

func run(logger *slog.Logger, getenv func(string) string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticks, err := store.Open(store.FromEnv(getenv))
	if err != nil {
		return err
	}
	return tick(ctx, logger, ticks, scheduled(getenv("JOB_NAME"), time.Now()), getenv("SIDE"))
}

// scheduled is the minute that a run stands for. Kubernetes ends a CronJob's Job
// name with it, in minutes since 1970; so a run that starts late, or again, still
// names its own minute. Any other name says nothing, and now counts.
func scheduled(job string, now time.Time) time.Time {
	now = now.UTC().Truncate(time.Minute)
	minutes, err := strconv.ParseInt(job[strings.LastIndexByte(job, '-')+1:], 10, 64)
	if err != nil {
		return now
	}
	at := time.Unix(60*minutes, 0).UTC()
	if d := now.Sub(at); d < -time.Hour || d > 24*time.Hour {
		return now // a job started by hand, whose name ends with another number
	}
	return at
}

// tick writes the minute's object once: a run that finds it leaves it alone.
func tick(ctx context.Context, logger *slog.Logger, ticks store.Store, minute time.Time, side string) error {
	key := "ticks/" + minute.Format("2006-01-02T15:04Z")
	before, err := ticks.Get(ctx, key)
	switch {
	case err == nil:
		logger.Info("minute has its tick already", "key", key, "by", strings.TrimSpace(string(before)))
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("look for the minute's tick: %w", err)
	}
	if err := ticks.Put(ctx, key, []byte(side+"\n")); err != nil {
		return fmt.Errorf("write the minute's tick: %w", err)
	}
	logger.Info("ticked", "key", key, "side", side)
	return nil
}
