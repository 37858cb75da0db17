package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/examples/demo/internal/store"
)

var errDown = errors.New("store is down")

type deadStore struct{ store.Store }

func (deadStore) Get(context.Context, string) ([]byte, error) { return nil, errDown }

func TestScheduledMinuteIsThatOfTheJob(t *testing.T) {
	now := time.Date(2026, 11, 21, 13, 45, 59, 0, time.UTC)
	for job, want := range map[string]string{
		"clock-29921144":        "13:44", // one minute late
		"clock-29921145":        "13:45",
		"":                      "13:45",
		"clock-manual":          "13:45",
		"clock-2":               "13:45", // ends with a number, but is no minute of today
		"other-clock-29921140":  "13:40",
		"clock-999999999999999": "13:45",
	} {
		if got := scheduled(job, now).Format("15:04"); got != want {
			t.Errorf("scheduled(%q) = %s, want %s", job, got, want)
		}
	}
}

func TestI07_AMinuteIsTickedOnce(t *testing.T) {
	ticks, logger := store.NewMemory(), slog.New(slog.DiscardHandler)
	minute := time.Date(2026, 11, 21, 13, 45, 0, 0, time.UTC)
	for _, side := range []string{"blue", "green"} {
		if err := tick(t.Context(), logger, ticks, minute, side); err != nil {
			t.Fatal(err)
		}
	}
	body, err := ticks.Get(t.Context(), "ticks/2026-11-21T13:45Z")
	if err != nil || string(body) != "blue\n" {
		t.Errorf("tick = %q, %v; want the one that blue wrote", body, err)
	}
}

func TestI08_NoTickWhenTheStoreDoesNotSay(t *testing.T) {
	err := tick(t.Context(), slog.New(slog.DiscardHandler), deadStore{}, time.Unix(0, 0), "blue")
	if !errors.Is(err, errDown) {
		t.Errorf("tick = %v, want the store's error", err)
	}
}
