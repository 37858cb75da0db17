package cutover

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Sentinels that the typed errors wrap.
var (
	// ErrBreach says that green failed its gates after the swap: the names must go back.
	ErrBreach = errors.New("green fails its checks")
	// ErrInconclusive says that too little was learned to go on. It is no reason to go back either.
	ErrInconclusive = errors.New("the evidence is not enough")
	// ErrGate says that green has not passed its gates, so nothing was swapped.
	ErrGate = errors.New("green has not passed its checks")
	// ErrNotIdle says that blue was still used when the limit of the watch ended.
	ErrNotIdle = errors.New("blue is not idle")
)

// An Error is a failure that the user can mend.
type Error = mend.Error

// BreachError says which gates failed, and how often in a row.
type BreachError struct {
	App    string
	Rounds int
	Since  time.Time
	Gates  []Gate
}

// Error implements error.
func (e *BreachError) Error() string {
	return fmt.Sprintf("%s: %v: %d rounds in a row since %s: %s", e.App, ErrBreach, e.Rounds, e.Since.Format(time.TimeOnly), describeBad(e.Gates))
}

// Unwrap makes errors.Is find ErrBreach.
func (e *BreachError) Unwrap() error { return ErrBreach }

// InconclusiveError says what could not be learned. It wraps ErrInconclusive.
type InconclusiveError struct {
	App   string
	Why   string
	Gates []Gate
}

// Error implements error.
func (e *InconclusiveError) Error() string {
	text := fmt.Sprintf("%s: %v: %s", e.App, ErrInconclusive, e.Why)
	if bad := describeBad(e.Gates); bad != "" {
		text += ": " + bad
	}
	return text
}

// Unwrap makes errors.Is find ErrInconclusive.
func (e *InconclusiveError) Unwrap() error { return ErrInconclusive }

// PausedError says what is waited for, by a process that was not to wait. It wraps plan.ErrPaused.
type PausedError struct {
	// Waits are those that are not over, the longest last.
	Waits []Wait
}

// Error implements error.
func (e *PausedError) Error() string {
	longest := e.Waits[len(e.Waits)-1]
	return fmt.Sprintf("%v: %s until %s (%s)", plan.ErrPaused, longest.What, longest.Until.Format(time.DateTime+" MST"), longest.Text)
}

// Unwrap makes errors.Is find plan.ErrPaused.
func (e *PausedError) Unwrap() error { return plan.ErrPaused }

// GateError says which gates were not passed. It wraps ErrGate.
type GateError struct {
	App   string
	Gates []Gate
}

// Error implements error.
func (e *GateError) Error() string {
	return fmt.Sprintf("%s: %v: %s", e.App, ErrGate, describeBad(e.Gates))
}

// Unwrap makes errors.Is find ErrGate.
func (e *GateError) Unwrap() error { return ErrGate }

func describeBad(gates []Gate) string {
	var bad []string
	for _, g := range gates {
		if g.Outcome != Passed {
			bad = append(bad, g.String())
		}
	}
	return strings.Join(bad, "; ")
}
