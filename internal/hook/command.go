package hook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/program"
)

const (
	// keptError is how much of a program's last words an error repeats, in bytes.
	keptError = 400
	// commandTime bounds a program that only does something and says nothing.
	commandTime = 10 * time.Minute
	// killAfter is how long a program may take to end once its context has ended.
	killAfter = 10 * time.Second
)

// command runs a program without a shell. It inherits the environment; its arguments are never logged. An error repeats its
// last words, which the caller cleans of secrets; but of one that reads a payload it repeats nothing, since programs that load
// data quote the line that they stumble over.
//
// One that streams takes as long as its payload does; any other is ended after commandTime.
func (r Runner) command(ctx context.Context, argv []string, in io.Reader, out io.Writer) error {
	if in == nil && out == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, commandTime, fmt.Errorf("it was ended after %s", commandTime))
		defer cancel()
	}
	cmd := program.Command(ctx, argv, killAfter)
	cmd.Dir, cmd.Stdin, cmd.Stdout = r.Dir, in, out
	last := &tail{}
	cmd.Stderr = last
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if in != nil {
			return fmt.Errorf("run %s: %w (what it said is not repeated, since that may hold a part of the payload: run it by hand to see)", argv[0], err)
		}
		if said := last.line(); said != "" {
			return fmt.Errorf("run %s: %w: %s", argv[0], err, said)
		}
		return fmt.Errorf("run %s: %w", argv[0], err)
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct{ buf bytes.Buffer }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if extra := t.buf.Len() - keptError; extra > 0 {
		t.buf.Next(extra)
	}
	return len(p), nil
}

func (t *tail) line() string {
	lines := strings.Split(strings.TrimSpace(t.buf.String()), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
