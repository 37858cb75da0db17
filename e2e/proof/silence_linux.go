package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	rigrecord "github.com/crossfade-project/crossfade/e2e/rig/record"
)

// silentFor is how long a server is stopped. It keeps its connections and answers nothing.
const silentFor = 15 * time.Second

// A server is a process of the rig.
type server struct {
	name string
	// process is what the rig's record calls it; folder is a part of its command line, where two are called the same.
	process, folder string
	// users is set where users need it too, so that requests of theirs must fail; names where it is one that is watched.
	users, names bool
}

func servers() []server {
	return []server{
		{name: "blue-api", process: "apiserver", folder: "/blue/"},
		{name: "green-api", process: "apiserver", folder: "/green/"},
		{name: "s3", process: "versitygw", users: true},
		{name: "azure", process: "azurite", users: true},
		{name: "primary", process: "dns-primary", names: true},
	}
}

// phases are where the run is when the server falls silent: it is held after the record until the server is stopped.
func phases() []struct{ name, record string } {
	return []struct{ name, record string }{
		{"warm", `"kind":"finished","stage":"preflight"`},
		{"frozen", `"kind":"finished","stage":"freeze/shop"`},
		{"soaking", `"kind":"planned","stage":"soak/shop"`},
	}
}

// silences stop each server once, while three runs need it in three phases.
func silences() []scenario {
	var list []scenario
	for _, srv := range servers() {
		together := &gathering{full: make(chan struct{}), act: func(o Options) error { return o.silence(srv) }}
		for _, phase := range phases() {
			list = append(list, scenario{
				name: "silent-" + srv.name + "-" + phase.name, group: "silent-" + srv.name, pace: usual(),
				gathering: together,
				play:      func(ctx context.Context, t *trial) error { return t.silenced(ctx, srv, phase.record, together) },
			})
		}
	}
	return list
}

// silenced lets a server fall silent at a record, and wants the run to wait and go on, or to stop with a word so that the next
// one does.
func (t *trial) silenced(ctx context.Context, srv server, record string, g *gathering) error {
	t.outage, t.deaf = srv.users, srv.names
	end, err := t.start(ctx, "hold after "+record, "run", "--yes", "-o", "json")
	if err != nil {
		return err
	}
	if err := t.held(ctx); err != nil {
		return errors.Join(err, ended(end))
	}
	if err := g.meet(ctx, t.o); err != nil {
		return errors.Join(err, ended(end))
	}
	released := time.Now()
	if err := os.Remove(t.path("hold")); err != nil {
		return errors.Join(fmt.Errorf("release the run: %w", err), ended(end))
	}
	run, err := end()
	if err != nil {
		return err
	}
	t.tell("run went on for", "%s", seconds(time.Since(released)))
	t.tell("and ended with", "%d", run.code)
	if run.code != 0 {
		t.want(slices.Contains([]int{1, 4}, run.code) && strings.HasPrefix(run.said, "crossfade: "), "the run ended with %s; want 0, or a word why it stopped", run)
		t.tell("because", "%.160s", run.said)
		again := []string{"--yes", "-o", "json"}
		if run.code == 4 {
			again = append(again, "--approve", "1,2") // what went back by itself needs a word
		}
		if run, err = t.run(ctx, "run", again...); err != nil {
			return err
		}
	}
	return t.arrive(ctx, run)
}

// held waits until the run stands still at the record that was armed.
func (t *trial) held(ctx context.Context) error {
	for {
		if _, err := os.Stat(t.path("hold")); err == nil {
			return nil
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("wait until the run is held: %w", err)
		}
	}
}

// silence stops a server, and continues it in a while. It returns when the server is stopped.
func (o Options) silence(srv server) error {
	pid, err := o.find(srv)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop %s: %w", srv.name, err)
	}
	o.say("%s is silent", srv.name)
	time.AfterFunc(silentFor, func() {
		// It can fail only when the rig is gone, which the scenarios notice.
		_ = syscall.Kill(pid, syscall.SIGCONT)
		o.say("%s answers again", srv.name)
	})
	return nil
}

// find finds the server's process in the rig's record.
func (o Options) find(srv server) (int, error) {
	entries, err := rigrecord.Left(filepath.Join(filepath.Dir(o.Rig.Keys), "record.jsonl"))
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if e.Kind != rigrecord.Process || e.Name != srv.process || !rigrecord.Alive(e) {
			continue
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", e.PID))
		if err == nil && strings.Contains(string(line), srv.folder) {
			return e.PID, nil
		}
	}
	return 0, fmt.Errorf("find %s in the rig: no such process", srv.name)
}

// A gathering lets several scenarios wait for each other. When all are there, or have left, it acts once.
type gathering struct {
	act func(Options) error

	mu      sync.Mutex
	missing int
	full    chan struct{}
	err     error
}

// expect counts one more scenario that will come, or leave.
func (g *gathering) expect() {
	if g != nil {
		g.missing++
	}
}

// meet returns when all have met and the act is done.
func (g *gathering) meet(ctx context.Context, o Options) error {
	g.arrive(o)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-g.full:
		return g.err
	}
}

// leave is called at the end of a scenario, which may not have come to the meeting.
func (g *gathering) leave(o Options) {
	if g != nil {
		g.arrive(o)
	}
}

func (g *gathering) arrive(o Options) {
	g.mu.Lock()
	defer g.mu.Unlock()
	// Who leaves after the meeting counts below zero, which means nothing any more.
	if g.missing--; g.missing == 0 {
		g.err = g.act(o)
		close(g.full)
	}
}
