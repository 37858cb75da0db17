//go:build linux

package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/e2e/load"
	"github.com/crossfade-project/crossfade/e2e/rig"
)

// Options choose how the demo runs. Top and Binary are needed.
type Options struct {
	// Top is the folder of the checkout.
	Top string
	// Binary is the crossfade command.
	Binary string
	// Dir is the rig's state folder; empty means .rig in Top.
	Dir string
	// Out gets what a user sees. Nil is silent.
	Out io.Writer
	Log *slog.Logger
	// Prepared is called when the rig is up and under load; Granted when the operator has the roles that the command prints,
	// just before the migration; Inspect when it is over, before the rig goes down.
	Prepared, Granted, Inspect func(ctx context.Context, r *rig.Rig) error
}

// Result is what the demo saw.
type Result struct {
	Migration crossfade.Report `json:"migration"`
	Load      load.Report      `json:"load"`
	// Lost are accepted writes that green's store does not hold as they were written.
	Lost []load.Loss `json:"lost"`
	// Ticks is how many of the clock's ticks green's store holds, Missing the minutes between the first and the last without one.
	Ticks   int      `json:"ticks"`
	Missing []string `json:"missing,omitempty"`
	// Took is how long each part took.
	Took Took `json:"took"`
}

// Took is how long each part of the demo took.
type Took struct {
	Rig       time.Duration `json:"rig"`
	Migration time.Duration `json:"migration"`
	Retire    time.Duration `json:"retire"`
}

const (
	// lead is how long the users are served before the migration begins, and trail how long after it has ended.
	lead, trail = 5 * time.Second, 5 * time.Second

	readsPerSecond, writesPerSecond = 20, 5
)

// Run plays the whole demo and takes everything down again. A failed request or a lost write is in the Result, not an error.
func Run(ctx context.Context, o Options) (result *Result, err error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(o.Top, rig.DefaultDir)
	}
	say(o.Out, "bringing up blue (Kubernetes 1.28), green (1.36), name servers, an S3 store and an Azure store")
	began := time.Now()
	r, err := rig.Up(ctx, rig.Options{Dir: o.Dir, Demo: true, Log: o.Log})
	if err != nil {
		return nil, err
	}
	defer func() {
		say(o.Out, "taking everything down")
		err = errors.Join(err, r.Down(context.WithoutCancel(ctx)))
	}()
	result = &Result{}
	result.Took.Rig = time.Since(began)
	return result, o.play(ctx, r, result)
}

// play is the demo on a rig that is up.
func (o Options) play(ctx context.Context, r *rig.Rig, result *Result) error {
	users, err := newUsers(r)
	if err != nil {
		return err
	}
	say(o.Out, "users begin: %d reads a second at each name, %d writes a second at the shop, from clients that honour TTLs and from ones that keep their connection", 2*readsPerSecond, 2*writesPerSecond)
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		users.Run(loadCtx)
	}()
	if err := sleep(ctx, lead); err != nil {
		return err
	}
	if o.Prepared != nil {
		if err := o.Prepared(ctx, r); err != nil {
			return err
		}
	}
	file, err := o.grant(ctx, r)
	if err != nil {
		return err
	}
	err = o.migrate(ctx, file, result)
	if err == nil {
		err = sleep(ctx, trail)
	}
	stop()
	<-ended
	result.Load = users.Report()
	if err != nil {
		return err
	}
	if err := result.verify(ctx, r); err != nil {
		return err
	}
	if o.Inspect != nil {
		return o.Inspect(ctx, r)
	}
	return nil
}

func newUsers(r *rig.Rig) (*load.Load, error) {
	return load.New(load.Config{
		Resolver: &load.DNSResolver{Server: r.Info().Resolver},
		Targets: []load.Target{
			{Host: "happy-bandit.apps.test", Expect: "happy-bandit", Reads: readsPerSecond},
			{Host: "shop.apps.test", Expect: "shop", Reads: readsPerSecond, Writes: writesPerSecond},
		},
	})
}

// grant lets the administrator give the operator, who may do nothing yet, what the migration needs. It returns the migration's
// file, whose kubeconfigs are the operator's.
func (o Options) grant(ctx context.Context, r *rig.Rig) (file string, err error) {
	if file, err = MigrationFile(o.Top, r); err != nil {
		return "", err
	}
	say(o.Out, "$ crossfade doctor --rbac --user %s … | kubectl apply -f -   (on both sides, by their administrator: the least roles)", rig.OperatorUser)
	if err := r.Info().Grant(ctx, o.Binary, file); err != nil {
		return "", err
	}
	if o.Granted != nil {
		return file, o.Granted(ctx, r)
	}
	return file, nil
}

// migrate runs the command twice: the migration, and the retirement of blue.
func (o Options) migrate(ctx context.Context, file string, result *Result) error {
	began := time.Now()
	raw, err := o.command(ctx, "run", "-f", file, "--yes", "-o", "json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &result.Migration); err != nil {
		return fmt.Errorf("read the migration's report: %w", err)
	}
	result.Took.Migration = time.Since(began)
	began = time.Now()
	_, err = o.command(ctx, "retire", "-f", file, "--confirm", result.Migration.Migration)
	result.Took.Retire = time.Since(began)
	return err
}

// command runs crossfade. Its progress is shown as it comes; its result is returned.
func (o Options) command(ctx context.Context, args ...string) ([]byte, error) {
	shown := args
	for i, a := range shown {
		if rel, err := filepath.Rel(o.Top, a); err == nil && filepath.IsAbs(a) {
			shown[i] = rel
		}
	}
	say(o.Out, "$ crossfade %s", join(shown))
	cmd := exec.CommandContext(ctx, o.Binary, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	cmd.Dir = o.Top
	cmd.Stderr = o.Out
	raw, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("crossfade %s: %w", args[0], err)
	}
	return raw, nil
}

func join(args []string) string {
	text := ""
	for i, a := range args {
		if i > 0 {
			text += " "
		}
		text += a
	}
	return text
}

func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...)) // a closed output is the user's choice
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
