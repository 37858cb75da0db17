package trial

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
)

// A Fault is what happens to one run of the command. The zero value is nothing.
type Fault struct {
	// Spec is read by fault.Parse: "kill before 17", `hold after "stage":"swap/shop"`.
	Spec string
	// Hold is the file by which a run is held: it is there while the run is, and the run goes on when it is removed.
	Hold string
	// Silence is how long a server may say nothing; 0 is the product's own limit.
	Silence time.Duration
}

// A Result is how a run ended.
type Result struct {
	Code   int  // exit code, -1 where it was killed
	Killed bool // by SIGKILL
	Stdout string
	Stderr string
	Took   time.Duration
}

// Run runs the command in the trial's folder, to its end. An error means that it could not be run at all; how it ended is
// the Result. Its output is kept in the folder too: run-01.log and so on.
func (t *Trial) Run(ctx context.Context, fault Fault, args ...string) (Result, error) {
	cmd := exec.CommandContext(ctx, t.Program, args...)
	cmd.Dir = t.Dir
	cmd.Env = append(t.Env(), "CROSSFADE_FAULT="+fault.Spec, "CROSSFADE_FAULT_HOLD="+fault.Hold)
	if fault.Silence > 0 {
		cmd.Env = append(cmd.Env, "CROSSFADE_FAULT_SILENCE="+fault.Silence.String())
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	err := cmd.Run()
	r := Result{Stdout: out.String(), Stderr: errs.String(), Took: time.Since(began)}
	t.runs++
	text := fmt.Sprintf("$ crossfade %s\nfault: %s\n%s%s\nended: %v after %s, %s of a processor\n", strings.Join(args, " "), fault.Spec, r.Stderr, r.Stdout, err, r.Took, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	if werr := os.WriteFile(filepath.Join(t.Dir, fmt.Sprintf("run-%02d.log", t.runs)), []byte(text), 0o600); werr != nil {
		return r, werr
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return r, nil
	case ctx.Err() != nil:
		return r, fmt.Errorf("run crossfade %s in %s: %w", strings.Join(args, " "), t.Dir, ctx.Err())
	case !errors.As(err, &exit):
		return r, fmt.Errorf("run crossfade %s: %w", strings.Join(args, " "), err)
	}
	r.Code = exit.ExitCode()
	if status, ok := exit.Sys().(syscall.WaitStatus); ok {
		r.Killed = status.Signaled() && status.Signal() == syscall.SIGKILL
	}
	return r, nil
}

// Env is the environment of the command: credentials of the world, and its clock.
func (t *Trial) Env() []string {
	w := t.world
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.Dir, "TMPDIR=" + os.TempDir(),
		"S3_ACCESS=" + w.Store.AccessKey, "S3_SECRET=" + w.Store.SecretKey, "TSIG=" + w.key.Secret,
		"CROSSFADE_FAULT_CLOCK=" + w.Clock.String(),
	}
}
