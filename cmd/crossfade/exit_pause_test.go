package main

import (
	"fmt"
	"testing"

	"github.com/crossfade-project/crossfade"
)

func TestAPauseHasACodeOfItsOwn(t *testing.T) {
	if got := exitCode(fmt.Errorf("run: %w", &crossfade.PausedError{})); got != exitPaused || got == exitFailed {
		t.Errorf("the code is %d, want %d", got, exitPaused)
	}
}
