package cutover_test

import (
	"context"
	"fmt"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// lastRequest is evidence of one's own: the time of the last line of an access log, say.
type lastRequest struct {
	clock clock.Clock
	at    time.Time
}

func (lastRequest) Name() string { return "the load balancer's access log" }

// Coverage says that a log tells of all that was between two looks.
func (lastRequest) Coverage() cutover.Coverage { return cutover.Whole }

func (l lastRequest) Collect(_ context.Context, last cutover.Observation) (cutover.Observation, error) {
	obs := cutover.Observation{Use: cutover.Quiet, From: last.At, At: l.clock.Now(), Text: "last request at " + l.at.Format(time.TimeOnly)}
	if !l.at.After(last.At) {
		return obs, nil
	}
	obs.Use = cutover.Used
	return obs, nil
}

// Any evidence can be watched beside what the package collects itself. Time passes at once here.
func ExampleWatchIdle() {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	now := clock.NewFake(start)
	idle, err := cutover.WatchIdle(context.Background(), cutover.IdleOptions{
		Options:  cutover.Options{Migration: "move", Clock: now},
		OldTTL:   48 * time.Hour,
		Evidence: []cutover.Evidence{lastRequest{now, start}},
		Retirement: migration.Retirement{
			Interval: migration.Duration(30 * time.Minute),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(idle.Text)
	// Output: quiet from 2026-11-21 12:00:00 to 2026-11-25 12:00:00, 96h0m0s; at least max(72h0m0s, 2 x old TTL 48h0m0s) = 96h0m0s
}
