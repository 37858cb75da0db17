package program

import (
	"context"
	"os/exec"
	"time"
)

// Command is a program with its arguments, without a shell. When its context ends, it is ended with all that it has started; after
// wait, whatever still keeps its output open is left behind.
//
// On Windows it alone is ended.
func Command(ctx context.Context, argv []string, wait time.Duration) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = wait
	endWhole(cmd)
	return cmd
}
