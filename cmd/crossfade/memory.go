package main

import (
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
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

// objectsOf is the share of a limit that the objects under way may have.
func objectsOf(limit uint64) int64 {
	return max(leastMemory, min(usualMemory, int64(limit/objectsShare)))
}
