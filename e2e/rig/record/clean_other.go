//go:build !linux

package record

import (
	"context"
	"errors"
)

// Clean fails: only Linux runs anything that is recorded.
func Clean(context.Context, string) (int, error) { return 0, errors.ErrUnsupported }

// Remove fails: only Linux runs anything that is recorded.
func Remove(context.Context, Entry) error { return errors.ErrUnsupported }

// StartTime fails: only Linux runs anything that is recorded.
func StartTime(int) (uint64, error) { return 0, errors.ErrUnsupported }

// Alive says no: only Linux runs anything that is recorded.
func Alive(Entry) bool { return false }
