//go:build linux

// Rig brings the demo's world up and takes it down.
//
//	rig install   install and build what the rig and the tests need
//	rig up        bring it up, in the background
//	rig status    say what is up
//	rig down      take it down
//
// With -empty, up leaves out the demo's applications.
//
// The load balancer stand-in works as long as the rig is up, and every other part is a child of the process that does
// it. So `up` starts this program once more, detached, and that stays until `down` ends it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig"
	"github.com/crossfade-project/crossfade/e2e/rig/install"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		stop()
		os.Exit(1)
	}
}

const usage = "usage: rig install | up | status | down  [-dir FOLDER] [-empty]"

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("rig "+args[0], flag.ContinueOnError)
	dir := flags.String("dir", rig.DefaultDir, "state folder")
	empty := flags.Bool("empty", false, "without the demo's applications")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return errors.New(usage)
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	switch args[0] {
	case "install":
		return rig.InstallAll(ctx, logger)
	case "up":
		return up(ctx, *dir, *empty)
	case "serve": // what up starts
		return serve(ctx, rig.Options{Dir: *dir, Demo: !*empty, Log: logger})
	case "down":
		return down(ctx, *dir)
	case "status":
		return status(*dir)
	default:
		return errors.New(usage)
	}
}

// serve holds a rig up until it is told to end.
func serve(ctx context.Context, o rig.Options) error {
	r, err := rig.Up(ctx, o)
	if err != nil {
		return err
	}
	watch(ctx, r, o.Log)
	o.Log.Info("taking the rig down")
	return r.Down(context.WithoutCancel(ctx))
}

// watch returns when the context ends. Until then it says once when a part of the rig has ended by itself.
func watch(ctx context.Context, r *rig.Rig, logger *slog.Logger) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for said := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := r.Failure(); err != nil && !said {
			logger.Error("a part of the rig has ended", "error", err.Error())
			said = true
		}
	}
}

// up starts serve detached from the terminal, shows its log, and returns when the rig is whole.
func up(ctx context.Context, dir string, empty bool) error {
	if ok, reason := install.CanRun(); !ok {
		return errors.New(reason)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if pid, err := rig.Holder(dir); err != nil || pid != 0 {
		return errors.Join(err, &install.Error{Op: "bring the rig up", Hint: "rig down ends it", Err: rig.ErrRunning})
	}
	log, err := os.Create(filepath.Join(dir, "rig.log"))
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "serve", "-dir", dir, fmt.Sprintf("-empty=%t", empty))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return follow(ctx, dir, cmd.Process, ended)
}

// follow shows the log until the rig is whole or its process has ended. Interrupted, it ends the process too.
func follow(ctx context.Context, dir string, process *os.Process, ended <-chan error) error {
	log, err := os.Open(filepath.Join(dir, "rig.log"))
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // it was only read
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := log.WriteTo(os.Stderr); err != nil {
			return err
		}
		select {
		case err := <-ended:
			_, copied := log.WriteTo(os.Stderr)
			return errors.Join(errors.New("the rig did not come up"), err, copied)
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), process.Signal(syscall.SIGTERM), <-ended)
		case <-tick.C:
		}
		if info, err := rig.ReadInfo(dir); err == nil && info.PID == process.Pid {
			if _, err := log.WriteTo(os.Stderr); err != nil {
				return err
			}
			return status(dir)
		}
	}
}

// down ends the rig's process and waits for it, then removes what is left.
func down(ctx context.Context, dir string) error {
	pid, err := rig.Holder(dir)
	if err != nil {
		return err
	}
	if pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end process %d: %w", pid, err)
		}
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	for {
		err := rig.Clean(ctx, dir)
		if !errors.Is(err, rig.ErrRunning) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return fmt.Errorf("process %d does not end; kill it and call rig down again", pid)
		case <-tick.C:
		}
	}
}

func status(dir string) error {
	info, err := rig.ReadInfo(dir)
	if err != nil {
		return err
	}
	if pid, err := rig.Holder(dir); err != nil || pid == 0 {
		return errors.Join(fmt.Errorf("its process %d is gone; rig down cleans up: %w", info.PID, rig.ErrNone), err)
	}
	fmt.Print(info.Text())
	return nil
}
