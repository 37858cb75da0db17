//go:build unix

package program_test

import (
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/program"
	"github.com/crossfade-project/crossfade/internal/program/programtest"
)

func TestAProgramThatIsEndedTakesItsChildrenAlong(t *testing.T) {
	family := programtest.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := program.Command(ctx, family.Argv, time.Second).Run(); err == nil {
		t.Error("it ended by itself")
	}
	family.Gone(t)
}

// What a program leaves behind on purpose, and ends well before its time, is its own.
func TestAProgramThatEndsByItselfMayLeaveSomethingBehind(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := program.Command(ctx, []string{"sh", "-c", "(sleep 0.3; echo left) & exit 0"}, time.Second)
	cmd.Stdout = write
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
	cancel()
	_ = write.Close()
	if said, err := io.ReadAll(read); string(said) != "left\n" {
		t.Errorf("it said %q, %v", said, err)
	}
}
