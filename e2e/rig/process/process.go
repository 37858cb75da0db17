package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/record"
)

// Options say what to start. Name, Args and Log are needed.
type Options struct {
	Name string   // what errors and the record call it
	Args []string // the program and its arguments
	Dir  string
	Env  []string // in addition to this process's environment
	Log  string   // the file that gets its output, truncated first
	// Enter, if set, is called on the thread that starts the child, which is never used for anything else.
	Enter func() error
	// Record, if set, remembers the child while it runs.
	Record *record.Log
}

// A Process is a child that was started.
type Process struct {
	name, log string
	entry     record.Entry
	cmd       *exec.Cmd
	done      chan struct{}
	err       error // how it ended; read after done is closed
}

// Start starts a child. It lives until it ends by itself, until Stop, or until this process ends.
func Start(o Options) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(o.Log), 0o755); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	output, err := os.Create(o.Log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	program, err := unconfined(o.Args[0], filepath.Dir(o.Log))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", o.Name, err), output.Close())
	}
	cmd := exec.Command(program, o.Args[1:]...)
	cmd.Dir = o.Dir
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = attributes()
	p := &Process{name: o.Name, log: o.Log, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	// The thread ends after the child, and not before.
	go lockedGoroutine(func() {
		err := p.start(o, output)
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		if err := o.Record.Gone(p.entry); err != nil {
			p.err = errors.Join(p.err, err)
		}
		close(p.done)
	})
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	return p, nil
}

// start runs on the child's own thread.
func (p *Process) start(o Options, output *os.File) error {
	var entered error
	if o.Enter != nil {
		entered = o.Enter()
	}
	if entered != nil {
		return errors.Join(entered, output.Close())
	}
	err := p.cmd.Start()
	// The child has its own copy of the file.
	if err := errors.Join(err, output.Close()); err != nil {
		return err
	}
	p.entry = record.Entry{Kind: record.Process, Name: o.Name, PID: p.cmd.Process.Pid}
	if o.Record == nil {
		return nil
	}
	// A child that ended already has no start time any more, and needs no record.
	if p.entry.Start, err = record.StartTime(p.entry.PID); err != nil {
		return nil
	}
	return o.Record.Made(p.entry)
}

// PID is its number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Name is what it was called.
func (p *Process) Name() string { return p.name }

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Failure says that it ended, how, and what it wrote last. It is nil while the process runs.
func (p *Process) Failure() error {
	select {
	case <-p.done:
		return &ExitError{Name: p.name, Log: p.log, Tail: p.tail(), Err: p.err}
	default:
		return nil
	}
}

// An ExitError tells of a child that ended although it should have run on.
type ExitError struct {
	Name string // the child
	Log  string // its log file
	Tail string // the last lines of that
	Err  error  // how it ended, nil for status 0
}

// Error implements error.
func (e *ExitError) Error() string {
	how := "with status 0"
	if e.Err != nil {
		how = e.Err.Error()
	}
	return fmt.Sprintf("%s ended: %s (its log is %s, last lines:\n%s)", e.Name, how, e.Log, e.Tail)
}

// Unwrap returns how it ended.
func (e *ExitError) Unwrap() error { return e.Err }

func (p *Process) tail() string {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}

// Stop asks the child to end and kills it after the grace; with no grace it kills at once. It returns when the child
// has ended. How the child ended is no error.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	if grace > 0 {
		p.signal(syscall.SIGTERM)
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.done:
			return nil
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	p.signal(syscall.SIGKILL)
	// A killed process goes in a moment even when the context has ended; leaving it unwaited would leave a zombie.
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	select {
	case <-p.done:
		return nil
	case <-limit.C:
		return fmt.Errorf("stop %s: process %d does not end", p.name, p.PID())
	}
}

// signal sends a signal; a process that has ended in the meantime needs none.
func (p *Process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

// WaitUntil calls ready every 50 ms until it returns nil. It fails at the limit, when the context ends, or as soon as
// one of the processes has ended. The error holds what ready said last.
func WaitUntil(ctx context.Context, limit time.Duration, ready func(context.Context) error, needs ...*Process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not ready after %s", limit))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		for _, p := range needs {
			if failure := p.Failure(); failure != nil {
				return failure
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
