package lease_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/lease"
	"github.com/crossfade-project/crossfade/internal/remote"
)

func options(state string) lease.Options {
	return lease.Options{Migration: "move", State: state, Actor: "ann@" + state, Host: state, PID: 7, Clock: clock.System{}}
}

func take(t *testing.T, place lease.Place, opts lease.Options) *lease.Lease {
	t.Helper()
	l, err := lease.Take(t.Context(), place, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func held(t *testing.T, place lease.Place, opts lease.Options, by string) *lease.HeldError {
	t.Helper()
	_, err := lease.Take(t.Context(), place, opts)
	var held *lease.HeldError
	if !errors.As(err, &held) || !strings.Contains(err.Error(), by+", process 7, since ") {
		t.Fatalf("got %v, want that %s holds it", err, by)
	}
	return held
}

// In synctest's bubble the machine's clock stands still until everything waits.
func TestTheSecondMachineIsToldWhoHoldsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		place := lease.InStore(&remote.Memory{}, "s3://state")
		l := take(t, place, options("desk"))
		err := held(t, place, options("lap"), "ann@desk")
		if want := time.Now().Add(lease.Lasts + lease.Skew); !err.Free.Equal(want) || !strings.Contains(err.Error(), want.UTC().Format("2006-01-02 15:04:05")) {
			t.Errorf("free at %s, want %s: %v", err.Free, want, err)
		}
		time.Sleep(time.Hour) // it is renewed all the while
		held(t, place, options("lap"), "ann@desk")
		if err := errors.Join(l.Check(t.Context()), l.Release()); err != nil {
			t.Error(err)
		}
		other := take(t, place, options("lap"))
		if other.Took() != nil {
			t.Error("a lease that was given up counts as taken over")
		}
		if err := other.Release(); err != nil {
			t.Error(err)
		}
	})
}

// What a killed run leaves: the same state directory goes on at once, another machine when it has run out.
func TestAKilledRunKeepsItsOwnDirectoryNotWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut atomic.Bool
		store := &remote.Memory{Before: func(string, string) error {
			if cut.Load() {
				return errors.New("unplugged")
			}
			return nil
		}}
		place := lease.InStore(store, "s3://state")
		for range 2 {
			killed := take(t, place, options("desk"))
			cut.Store(true) // nothing is renewed, nothing taken away
			_ = killed.Release()
			cut.Store(false)
		}
		held(t, place, options("lap"), "ann@desk")
		// The same directory's name on another machine is a copy: its lock proves nothing.
		copied := options("desk")
		copied.Host = "lap"
		held(t, place, copied, "ann@desk")
		time.Sleep(lease.Lasts + lease.Skew - time.Second)
		held(t, place, options("lap"), "ann@desk")
		time.Sleep(time.Second)
		over := take(t, place, options("lap"))
		if over.Took() == nil || over.Took().Actor != "ann@desk" {
			t.Errorf("taken over from %v", over.Took())
		}
		if err := over.Release(); err != nil {
			t.Error(err)
		}
	})
}

// Whoever slept too long finds the lease another's, and may do nothing more. Its end does not touch the other's lease.
func TestALostLeaseIsNoticedAndLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &remote.Memory{}
		place := lease.InStore(store, "s3://state")
		var cut atomic.Bool
		asleep := take(t, &cutOff{Place: place, cut: &cut}, options("desk"))
		cut.Store(true)
		time.Sleep(lease.Lasts + lease.Skew)
		other := take(t, place, options("lap"))
		cut.Store(false)
		err := asleep.Check(t.Context())
		var lost *lease.LostError
		if !errors.As(err, &lost) || lost.By.Actor != "ann@lap" || !strings.Contains(err.Error(), "nothing more is changed from here") {
			t.Errorf("err = %v", err)
		}
		if err := asleep.Release(); err != nil {
			t.Error(err)
		}
		held(t, place, options("third"), "ann@lap")
		if err := errors.Join(other.Check(t.Context()), other.Release()); err != nil {
			t.Error(err)
		}
	})
}

// A lease that ran out while nobody took it is still ours: a laptop that slept goes on.
func TestALeaseThatNobodyTookIsStillOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut atomic.Bool
		place := lease.InStore(&remote.Memory{}, "s3://state")
		l := take(t, &cutOff{Place: place, cut: &cut}, options("desk"))
		cut.Store(true)
		time.Sleep(time.Hour)
		cut.Store(false)
		if err := l.Check(t.Context()); err != nil {
			t.Error(err)
		}
		held(t, place, options("lap"), "ann@desk")
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	})
}

// What cannot be renewed is not good news: after a bounded wait nothing more may be changed.
func TestI08_ALeaseThatCannotBeAskedForIsLostInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut atomic.Bool
		l := take(t, &cutOff{Place: lease.InStore(&remote.Memory{}, "s3://state"), cut: &cut}, options("desk"))
		cut.Store(true)
		if err := l.Check(t.Context()); err != nil {
			t.Errorf("it is good until it runs out: %v", err)
		}
		time.Sleep(lease.Lasts)
		began := time.Now()
		var lost *lease.LostError
		if err := l.Check(t.Context()); !errors.As(err, &lost) || !strings.Contains(err.Error(), "unplugged") {
			t.Errorf("err = %v", err)
		}
		if took := time.Since(began); took > lease.Lasts {
			t.Errorf("it took %s", took)
		}
		cut.Store(false)
		if err := l.Check(t.Context()); !errors.As(err, &lost) {
			t.Errorf("what was lost came back: %v", err)
		}
		_ = l.Release()
	})
}

// Of several who want a free lease at one moment, one has it.
func TestOfManyOneTakesIt(t *testing.T) {
	place := lease.InStore(&remote.Memory{}, "s3://state")
	var wg sync.WaitGroup
	var won atomic.Int32
	for i := range 8 {
		wg.Go(func() {
			l, err := lease.Take(t.Context(), place, options(fmt.Sprint("m", i)))
			if err == nil {
				won.Add(1)
				t.Cleanup(func() { _ = l.Release() })
				return
			}
			if !errors.As(err, new(*lease.HeldError)) {
				t.Errorf("a loser was told %v", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have it", won.Load())
	}
}

// The answer to a renewal may be lost although it was written: the next one is not a conflict with oneself.
func TestALostAnswerIsNotAnotherHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var armed, once atomic.Bool
		store := &remote.Memory{Before: func(op, _ string) error {
			if op == "acknowledge" && armed.Load() && once.CompareAndSwap(false, true) {
				return errors.New("reset by peer")
			}
			return nil
		}}
		l := take(t, lease.InStore(store, "s3://state"), options("desk"))
		armed.Store(true)
		time.Sleep(3 * lease.Lasts)
		if err := l.Check(t.Context()); err != nil || !once.Load() {
			t.Errorf("err = %v", err)
		}
		if err := l.Release(); err != nil {
			t.Error(err)
		}
		if names, err := store.List(t.Context(), ""); err != nil || len(names) > 0 {
			t.Errorf("left behind: %v, %v", names, err)
		}
	})
}

// cutOff is a place that cannot be reached at times.
type cutOff struct {
	lease.Place
	cut *atomic.Bool
}

func (c *cutOff) Read(ctx context.Context) (lease.Holder, lease.Version, error) {
	if c.cut.Load() {
		return lease.Holder{}, "", errors.New("unplugged")
	}
	return c.Place.Read(ctx)
}

func (c *cutOff) Write(ctx context.Context, h lease.Holder, seen lease.Version) (lease.Version, error) {
	if c.cut.Load() {
		return "", errors.New("unplugged")
	}
	return c.Place.Write(ctx, h, seen)
}
