// Package mend holds the one error type for failures that a person can mend. Packages give it a name of their own by an
// alias, so that their users need not know this one.
package mend

import (
	"errors"
	"strings"
)

// Error says what failed and what the user can do about it.
type Error struct {
	Op   string // what was tried: "swap shop.apps.test."
	Hint string // what mends it
	Err  error
}

// Error is the sentence for people: what failed, why, and in brackets what mends it.
func (e *Error) Error() string {
	text := e.Op
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Apart takes an error apart into why it happened and what mends it, for those who show both in places of their own. The mend
// of an error that names none is instead.
func Apart(err error, instead string) (why, hint string) {
	var known *Error
	if !errors.As(err, &known) || known.Hint == "" {
		return err.Error(), instead
	}
	bare := &Error{Op: known.Op, Err: known.Err}
	return strings.Replace(err.Error(), known.Error(), bare.Error(), 1), known.Hint
}
