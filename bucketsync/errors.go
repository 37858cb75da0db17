package bucketsync

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/crossfade-project/crossfade/internal/cli"
)

// ErrConflict says that the destination holds something that this migration, or sync, did not write.
var ErrConflict = errors.New("the destination holds what somebody else wrote")

// ErrOtherPlaces says that a manifest is of another pair of buckets.
var ErrOtherPlaces = errors.New("it remembers other places")

// ErrOtherLosses says that a file in which a plan would write what it foresees holds something else.
var ErrOtherLosses = errors.New("it holds what no dry run has written, such as what was lost in a sync")

// errSourceMoved says that the source's object was overwritten while it was read: the copy starts again (B4).
var errSourceMoved = errors.New("the source's object changed while it was read")

// errUnsorted says that a listing came out of the order that the store declares (B1).
var errUnsorted = errors.New("listing out of order")

// ConflictError names an object that was left as it is.
type ConflictError struct {
	Op   string
	Key  string
	What string // what differs
	// Writer is who did not write it; empty is this migration.
	Writer string
	Hint   string
}

// Error says what differs and how to decide.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s %q: the destination holds what %s did not write (%s): %s", e.Op, e.Key, cmp.Or(e.Writer, "this migration"), e.What, e.Hint)
}

// Is reports ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// TooManyDeletesError says that nothing was deleted because too much would have been (B13).
type TooManyDeletesError struct {
	Op                    string
	Deletes, Limit, Total int64
	Hint                  string
}

// Error gives the arithmetic.
func (e *TooManyDeletesError) Error() string {
	return fmt.Sprintf("%s: %d of %d objects at the destination would be deleted and %d are allowed; nothing was deleted: %s", e.Op, e.Deletes, e.Total, e.Limit, e.Hint)
}

// CorruptError says that bytes arrived changed.
type CorruptError struct {
	Key, Where string
	Want, Got  string // typed digests or sizes
}

// Error names the place and both values.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("%q: the bytes at the %s are not those that were read: %s was computed and %s reported", e.Key, e.Where, e.Want, e.Got)
}

// PropertyError says that the destination acknowledged an object and did not keep a property that it can hold.
type PropertyError struct {
	Key, Property string
	Want, Got     string
}

// Error names the property and both values.
func (e *PropertyError) Error() string {
	return fmt.Sprintf("%q: the destination did not keep %s: %q was written and %q is there", e.Key, e.Property, e.Want, e.Got)
}

// UnprovenError says that both sides could not be proven equal.
type UnprovenError struct {
	Op     string
	Report Report
	Hint   string
}

// Error gives the counts and the first differences.
func (e *UnprovenError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: the two sides are not proven equal: %d missing, %d extra, %d differ, %d unreadable, %d without evidence: %s",
		e.Op, e.Report.Missing, e.Report.Extra, e.Report.Differ, e.Report.Unreadable, e.Report.Unproven, e.Hint)
	for i, d := range e.Report.Differences {
		if i == 5 {
			break
		}
		fmt.Fprintf(&b, "\n  %q: %s", d.Key, cli.OneLine(d.What))
	}
	return b.String()
}

// UnsettledError says that the source still changes although it should be frozen.
type UnsettledError struct {
	Op     string
	Passes int
	Hint   string
}

// Error says how often it was tried.
func (e *UnsettledError) Error() string {
	return fmt.Sprintf("%s: %d passes in a row found something to copy or to delete: %s", e.Op, e.Passes, e.Hint)
}

// Failure is one object that could not be synced.
type Failure struct {
	Key string
	Err error
}

// Error names the object.
func (f Failure) Error() string { return fmt.Sprintf("%q: %s", f.Key, cli.OneLine(cli.Error(f.Err))) }

// Unwrap returns the cause.
func (f Failure) Unwrap() error { return f.Err }

// FailedError collects the objects that could not be synced. The others were, unless it was Stopped.
type FailedError struct {
	Op       string
	Count    int64
	Failures []Failure
	// Stopped says that so many failed that the others were not tried any more: Untried at least, as far as the plan knew; 0 says nothing.
	Stopped bool
	Untried int64
}

// namedFailures is how many failures the text of an error has.
const namedFailures = 20

// Error lists the first failures.
func (e *FailedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s failed", e.Op, cli.Count(int(e.Count), "object"))
	switch {
	case e.Stopped && e.Untried > 0:
		fmt.Fprintf(&b, ", and the sync stopped there: at least %d more were not tried; mend what they have in common, then run the same command again", e.Untried)
	case e.Stopped:
		b.WriteString(", and the sync stopped there: others were not tried; mend what they have in common, then run the same command again")
	}
	shown := e.Failures[:min(namedFailures, len(e.Failures))]
	for _, failure := range shown {
		fmt.Fprintf(&b, "\n  %v", failure)
	}
	if more := e.Count - int64(len(shown)); more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

// Unwrap returns the failures.
func (e *FailedError) Unwrap() []error {
	out := make([]error, 0, len(e.Failures))
	for _, failure := range e.Failures {
		out = append(out, failure)
	}
	return out
}
