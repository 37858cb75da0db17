package lease

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
)

// shelf is a place in memory. Of the write whose number is losing, the answer does not come before the context ends.
type shelf struct {
	holder  Holder
	writes  int
	there   bool
	losing  int
	reached chan struct{}
}

func (s *shelf) version() Version {
	if !s.there {
		return ""
	}
	return Version(strconv.Itoa(s.writes))
}

func (s *shelf) Read(context.Context) (Holder, Version, error) { return s.holder, s.version(), nil }

func (s *shelf) Write(ctx context.Context, h Holder, seen Version) (Version, error) {
	if seen != s.version() {
		return "", ErrConflict
	}
	s.holder, s.there = h, true
	s.writes++
	if s.writes == s.losing {
		close(s.reached)
		<-ctx.Done()
		return "", ctx.Err()
	}
	return s.version(), nil
}

func (s *shelf) Remove(_ context.Context, seen Version) error {
	if s.there && seen != s.version() {
		return ErrConflict
	}
	s.there = false
	return nil
}

func (s *shelf) String() string { return "a shelf" }

// A lease that is given up while it is being renewed is given up all the same: left behind, it would keep the next machine out.
func TestReleaseDuringARenewalLeavesNothing(t *testing.T) {
	s := &shelf{losing: 2, reached: make(chan struct{})}
	l, err := Take(t.Context(), s, Options{Migration: "m", State: "s", Actor: "a", Host: "h", PID: 1, Clock: clock.Scaled{Epoch: time.Now(), Factor: 1e6}})
	if err != nil {
		t.Fatal(err)
	}
	<-s.reached
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if s.there {
		t.Error("the lease is left, held by " + s.holder.String())
	}
}

// What another has taken since is not taken away.
func TestReleaseLeavesAnothersLease(t *testing.T) {
	s := &shelf{}
	l, err := Take(t.Context(), s, Options{Migration: "m", State: "s", Actor: "a", Host: "h", PID: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.holder.State, s.writes = "another", s.writes+1
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if !s.there {
		t.Error("another's lease was taken away")
	}
}
