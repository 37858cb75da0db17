package lease

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Holder is who holds a lease, as it stands in its place.
type Holder struct {
	Migration string `json:"migration"`
	// State is the name of the holder's state directory: two have the same only where they share one file lock.
	State string    `json:"state"`
	Actor string    `json:"actor"` // user@host
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Tool  string    `json:"tool,omitempty"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"` // unless it is renewed
}

const timeForm = "2006-01-02 15:04:05 MST"

// String names the holder for people.
func (h Holder) String() string {
	return fmt.Sprintf("%s, process %d, since %s", h.Actor, h.PID, h.Since.UTC().Format(timeForm))
}

// same reports whether two are one holding, renewed or not.
func (h Holder) same(o Holder) bool {
	return h.State == o.State && h.Host == o.Host && h.PID == o.PID && h.Since.Equal(o.Since)
}

// Sentinels of a Place.
var (
	// ErrConflict says that the lease is no longer as it was seen.
	ErrConflict = errors.New("somebody else has the lease")
	// ErrNoPlace says that the place itself is gone: nobody can hold a lease there.
	ErrNoPlace = errors.New("the place of the lease is gone")
)

// Version is a place's opaque name of one state of the lease; empty where there is none.
type Version string

// Place keeps one lease.
type Place interface {
	// Read returns the lease as it is, or an empty Version where there is none.
	Read(ctx context.Context) (Holder, Version, error)
	// Write makes or replaces the lease if it still is as it was seen, else it returns ErrConflict.
	Write(ctx context.Context, h Holder, seen Version) (Version, error)
	// Remove takes the lease away if it still is as it was seen. That it is gone already is not an error.
	Remove(ctx context.Context, seen Version) error
	// String names the place for people.
	String() string
}

// HeldError says that another machine, or another state directory, holds the migration.
type HeldError struct {
	Place  string
	Holder Holder
	// Free is when the lease may be taken over, unless its holder renews it.
	Free time.Time
}

// Error says who holds it, and what to do.
func (e *HeldError) Error() string {
	return fmt.Sprintf("migration %s is in use by %s: the lease at %s is theirs until %s, and renewed while that run works; wait until it has ended, or end it there; "+
		"if that machine is gone, run again after that time: the lease is then taken over",
		e.Holder.Migration, e.Holder, e.Place, e.Free.UTC().Format(timeForm))
}

// LostError says that a lease that was held is not any more: nothing further is changed.
type LostError struct {
	Place string
	By    Holder // who has it now; zero where nobody is known to
	Err   error
}

// Error says why, and what to do.
func (e *LostError) Error() string {
	if e.By.State != "" {
		return fmt.Sprintf("the lease at %s was taken over by %s while this run could not renew it: nothing more is changed from here; "+
			"`crossfade status` shows where the migration stands", e.Place, e.By)
	}
	return fmt.Sprintf("the lease at %s could not be renewed in time, so another machine may take it over: nothing more is changed from here: %v; "+
		"see that the place can be reached, then run the same command again", e.Place, e.Err)
}

// Unwrap returns the cause.
func (e *LostError) Unwrap() error { return e.Err }
