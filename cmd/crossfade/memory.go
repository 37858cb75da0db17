package main

import (
	"fmt"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/crossfade-project/crossfade/internal/cli"
)

const (
	// leftToSystem is the part of what a container gives that is not Go's: the program's own pages and the kernel's for it.
	leftToSystem = 10 // percent
	// objectsShare is the part of it that the objects under way may have; usualMemory is what they have where there is plenty.
	objectsShare = 4
	usualMemory  = 32 << 20
	leastMemory  = 4 << 20
)

// boundMemory keeps the program within what its container, or its unit, gives it, and returns what the objects under way may have of
// that. A GOMEMLIMIT in the environment stays as it is.
func boundMemory(getenv func(string) string) int64 {
	limit, err := memlimit.FromCgroup()
	if err != nil || limit == 0 || limit > 1<<50 {
		return usualMemory // there is no bound, or the system knows none
	}
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(limit / 100 * (100 - leftToSystem)))
	}
	return objectsOf(limit)
}

// checkMemory refuses a bound on the objects under way that the program could not work with, or that the machine does not have.
func checkMemory(bytes int64, system func() (uint64, error)) error {
	if bytes < leastMemory {
		return fmt.Errorf("%s is too little: it takes at least %s", cli.Bytes(bytes), cli.Bytes(leastMemory))
	}
	if has, err := system(); err == nil && has > 0 && uint64(bytes) > has {
		return fmt.Errorf("%s is more than the %s of this machine", cli.Bytes(bytes), cli.Bytes(int64(has)))
	}
	return nil
}

// objectsOf is the share of a limit that the objects under way may have.
func objectsOf(limit uint64) int64 {
	return max(leastMemory, min(usualMemory, int64(limit/objectsShare)))
}
