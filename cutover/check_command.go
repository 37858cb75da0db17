package cutover

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/program"
)

// command runs a program, without a shell. It learns from its environment whom to judge. Exit status 0 passes; a program
// that could not be run or was stopped has judged nothing.
func (p probe) command(ctx context.Context) finding {
	cmd := program.Command(ctx, p.check.Command, time.Second)
	cmd.Env = append(os.Environ(),
		"CROSSFADE_MIGRATION="+p.opts.Migration,
		"CROSSFADE_APPLICATION="+p.app,
		"CROSSFADE_SIDE="+p.side,
		"CROSSFADE_HOSTNAME="+strings.TrimSuffix(p.entry.Hostname, "."),
	)
	if p.addr.IsValid() {
		cmd.Env = append(cmd.Env, "CROSSFADE_ADDRESS="+p.addr.String(), "CROSSFADE_PORT="+strconv.Itoa(p.port))
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return unknown("%s did not end within %s", p.check.Command[0], p.timeout())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return failed("%s ended with status %d: %s", p.check.Command[0], exit.ExitCode(), lastLine(out.String()))
	}
	if err != nil {
		return unknown("%s was not run to its end: %v", p.check.Command[0], err)
	}
	return passed("%s ended with status 0", p.check.Command[0])
}

// lastLine is where programs say what went wrong, cut to what fits a report.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	const limit = 200
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}
