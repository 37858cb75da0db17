// Command crossfade moves applications from a running blue cluster to a new green one, side by side.
//
// Installed as kubectl-crossfade, it is a kubectl plugin.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // a second signal ends at once: the journal bears a kill
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program; tests call it too. args holds the program's name first.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	p := newProgram(args[0], in, out, errs)
	root := p.root()
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	return p.end(err)
}
