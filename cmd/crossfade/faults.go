//go:build faults

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/fault"
)

// Variables that a build with the tag faults reads. No other build knows them.
const (
	// envFault is where to stop or hold the program, as fault.Parse reads it; envHold is the file to hold it by.
	envFault = "CROSSFADE_FAULT"
	envHold  = "CROSSFADE_FAULT_HOLD"
	// envSilence is how long a server may say nothing, as time.ParseDuration reads it.
	envSilence = "CROSSFADE_FAULT_SILENCE"
	// envClock makes time pass faster, as clock.ParseScaled reads it.
	envClock = "CROSSFADE_FAULT_CLOCK"
)

// arm takes faults and time from the environment.
func arm(opts *crossfade.Options) error {
	var err error
	if spec := os.Getenv(envFault); spec != "" {
		if opts.Fault, err = fault.Parse(spec, os.Getenv(envHold)); err != nil {
			return fmt.Errorf("%s: %w", envFault, err)
		}
	}
	if text := os.Getenv(envSilence); text != "" {
		if opts.Silence, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("%s: %w", envSilence, err)
		}
	}
	if text := os.Getenv(envClock); text != "" {
		scaled, err := clock.ParseScaled(text)
		if err != nil {
			return fmt.Errorf("%s: %w", envClock, err)
		}
		opts.Clock = scaled
	}
	return nil
}
