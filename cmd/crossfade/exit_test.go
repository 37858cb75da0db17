package main

import (
	"fmt"
	"testing"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/bucketsync"
)

func TestWhatDoesNotComeToRestIsNotProvenEqual(t *testing.T) {
	if got := exitCode(fmt.Errorf("sync: %w", &bucketsync.UnsettledError{})); got != exitDifferent {
		t.Errorf("the code is %d, want %d", got, exitDifferent)
	}
	if got := exitCode(&crossfade.HeldError{Dir: "d", Holder: "another process", Whose: "sync's"}); got != exitHeld {
		t.Errorf("the code is %d, want %d", got, exitHeld)
	}
}
