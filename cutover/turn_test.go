package cutover_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
)

// What a turn takes is the sum that is shown: before the TTLs are lowered with the TTL to come, after it with the one that a name has.
func TestC26_TheTimeOfATurnIsItsSum(t *testing.T) {
	w := newWorld(t)
	got, text, err := cutover.TurnTime(w.opts, []string{"shop"}, nil, 10*time.Minute)
	want := 2*time.Minute + 10*time.Second + 2*time.Second + 80*time.Second + 10*time.Minute
	if err != nil || got != want || text != "2m0s propagation of shop + 10s TTL + 2s margin + 1m20s soak + 10m0s spare = 13m32s" {
		t.Errorf("it takes %s: %s, %v; want %s", got, text, err, want)
	}
	held := w.lowered(t)
	held.Names[0].Low[0].TTL = 5
	if got, text, err = cutover.TurnTime(w.opts, []string{"shop"}, held.Names, 0); err != nil || got != want-10*time.Minute-15*time.Second {
		t.Errorf("it takes %s: %s, %v", got, text, err)
	}
}

func TestC20_AWaveIsWatchedBeforeTheNext(t *testing.T) {
	w := newWorld(t)
	_, swapped := w.swapped(t)
	opts := cutover.WatchOptions{Options: w.opts, App: "shop", For: time.Minute, Moved: swapped.Names}
	began := w.clock.Now()
	rounds, err := cutover.Watch(t.Context(), opts)
	if err != nil || w.clock.Now().Sub(began) != time.Minute || rounds.Passed < 6 {
		t.Errorf("watched for %s, %d rounds passed, %v", w.clock.Now().Sub(began), rounds.Passed, err)
	}
	w.green.status.Store(http.StatusInternalServerError)
	if _, err := cutover.Watch(t.Context(), opts); !errors.Is(err, cutover.ErrBreach) {
		t.Errorf("err = %v, want a breach", err)
	}
}
