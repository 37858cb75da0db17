package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/bucketsync"
)

// Exit codes. They are documented by the help topic below.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitReturned    = 4
	exitDifferent   = 5
	exitHeld        = 6
	exitInterrupted = 7
	exitUnproven    = 8
	exitLeftGreen   = 9
	exitPartial     = 10
	exitPaused      = 11
)

const exitCodesText = `crossfade ends with one of these codes:

  0  done: what was asked for is true
  1  failed: something went wrong; what was done is in the journal, and the same command goes on from there
  2  bad input: wrong flags, or a migration file that is not valid; nothing was changed
  3  refused: the plan, or doctor, names reasons not to begin, each with its mend; nothing was changed by the refused stage
  4  returned: an application breached its gates and serves from blue again; its wave needs --approve before the next try
  5  different: verify found differences, or what should be equal could not be proven equal; audit found what does not hold
  6  held: another run holds the migration, on this machine or another; or a failed application is held on green, because
     going back by itself would lose what green has accepted
  7  interrupted: stopped by a signal (SIGINT, SIGTERM, SIGHUP); the same command goes on from there
  8  unproven: audit found nothing wrong, and could not check everything; or cutover inspect could not read everything, and its
     picture says what
  9  back without green: blue serves and accepts writes again; green was not reached, its pods may still run, and the next
     crossfade rollback, run or cleanup that reaches it stops them first
 10  in part: some objects of a bucket could not be copied, and are named; the others were, and the same command tries those
     that are missing. Where so many fail that the sync stops before the others are tried, the code is 1
 11  paused: the migration waits for an approval, a change window or an old TTL, and this run does not; nothing is wrong, and the
     same command goes on (run it again later, as a cron job does; crossfade status says until when)`

// usageError is a mistake in how the program was called.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// silentError ends the program with the code of its cause and prints nothing: the result has said it.
type silentError struct{ code int }

func (e *silentError) Error() string { return "" }

func exitCode(err error) int {
	var (
		silent   *silentError
		usage    *usageError
		invalid  *crossfade.InvalidError
		unknown  *crossfade.UnknownError
		input    *crossfade.InputError
		refused  *crossfade.RefusedError
		returned *crossfade.ReturnedError
		held     *crossfade.HeldError
		onGreen  *crossfade.HeldOnGreenError
		leased   *crossfade.LeaseHeldError
		unproven *bucketsync.UnprovenError
		restless *bucketsync.UnsettledError
		partial  *bucketsync.FailedError
		waits    *crossfade.PausedError
	)
	switch {
	case errors.As(err, &silent):
		return silent.code
	case errors.As(err, &usage), errors.As(err, &invalid), errors.As(err, &unknown), errors.As(err, &input), errors.Is(err, bucketsync.ErrOtherPlaces), errors.Is(err, bucketsync.ErrOtherLosses):
		return exitUsage
	case errors.As(err, &waits):
		return exitPaused
	case errors.As(err, &onGreen):
		return exitHeld
	case errors.As(err, &returned) && returned.Incomplete != nil:
		return exitFailed // the application does not serve in whole from blue yet
	case errors.As(err, &returned) && len(returned.Undone) > 0:
		return exitLeftGreen
	case errors.As(err, &returned):
		return exitReturned
	case errors.As(err, &refused):
		return exitRefused
	case errors.As(err, &held), errors.As(err, &leased):
		return exitHeld
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &unproven), errors.As(err, &restless):
		return exitDifferent
	case errors.As(err, &partial) && !partial.Stopped:
		return exitPartial
	}
	return exitFailed
}

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "The codes that the command ends with", Long: exitCodesText}
}
