package ten

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/e2e/load"
	"github.com/crossfade-project/crossfade/e2e/rig"
	"github.com/crossfade-project/crossfade/internal/journal"
)

const (
	// Namespace is the applications' own, and the migration's name.
	Namespace = "ten"
	// readsPerSecond are those of each user of an application.
	readsPerSecond = 5
	// limit bounds the whole.
	limit = 25 * time.Minute
	// lead and trail are how long users are served before the migration and after its last turn.
	lead, trail = 5 * time.Second, 3 * time.Second
	// looks are how many looks at blue must find its last users.
	looks = 3
)

// Options say what is moved. Top, Dir, Binary and Rig are needed.
type Options struct {
	// Top is the folder of the checkout.
	Top string
	// Dir gets the migration file, state, archive and log.
	Dir string
	// Binary is the crossfade command.
	Binary string
	// Rig is one that is up.
	Rig *rig.Info
	// Applications is how many there are; 0 is 10. The last fifth of them, one at least, has no drain.
	Applications int
	// Out hears of what happens. Nil is silent.
	Out io.Writer
}

// A proof is one run of it.
type proof struct {
	Options
	bandits rig.Bandits
	waves   []int
	kept    int // the first application without a drain
	report  *Report

	users, stayers *books
}

// books are users while they are there, and what they have seen once they have left.
type books struct {
	load  *load.Load
	stop  context.CancelFunc
	ended chan struct{}
}

func let(ctx context.Context, config load.Config) (*books, error) {
	users, err := load.New(config)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	b := &books{load: users, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(b.ended)
		users.Run(ctx)
	}()
	return b, nil
}

// leave sends the users home.
func (b *books) leave() load.Report {
	b.stop()
	<-b.ended
	return b.load.Report()
}

// Run moves the applications and takes them from the rig again. What does not hold is in the report, not an error.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Applications == 0 {
		o.Applications = 10
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	p := &proof{Options: o, bandits: rig.Bandits{Namespace: Namespace}, kept: o.Applications - max(1, o.Applications/5), report: &Report{}}
	for i := range o.Applications {
		p.bandits.TTLs = append(p.bandits.TTLs, uint32(2+i%4))
		p.waves = append(p.waves, wave(i))
	}
	if err := errors.Join(os.RemoveAll(o.Dir), os.MkdirAll(o.Dir, 0o755)); err != nil {
		return nil, fmt.Errorf("make a folder for the ten: %w", err)
	}
	defer func() { err = errors.Join(err, o.Rig.RemoveBandits(context.WithoutCancel(ctx), p.bandits)) }()
	p.say("%d applications are deployed on blue", o.Applications)
	if err := o.Rig.DeployBandits(ctx, p.bandits); err != nil {
		return nil, err
	}
	if err := p.writeFile(); err != nil {
		return nil, err
	}
	if err := o.Rig.Grant(ctx, o.Binary, p.path("migration.yaml")); err != nil {
		return nil, err
	}
	err = p.play(ctx)
	p.report.Took = time.Since(began)
	return p.report, err
}

// wave is that of an application: one by itself first, then three, then the rest.
func wave(i int) int {
	switch {
	case i == 0:
		return 1
	case i < 4:
		return 2
	}
	return 3
}

func (p *proof) path(parts ...string) string {
	return filepath.Join(append([]string{p.Dir}, parts...)...)
}

func (p *proof) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.Out, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...)) // a closed output is the user's choice
}

// invite lets users in: both kinds where there is a drain; where there is none, the ones that keep their connections are by
// themselves, so that they can be sent home alone.
func (p *proof) invite(ctx context.Context) error {
	resolver := &load.DNSResolver{Server: p.Rig.Resolver}
	var users, stayers []load.Target
	for i := range p.Applications {
		t := load.Target{Host: p.bandits.Host(i), Expect: "happy-bandit", Reads: readsPerSecond}
		if i >= p.kept {
			stayer := t
			stayer.Only, t.Only = load.KindKeep, load.KindTTL
			stayers = append(stayers, stayer)
		}
		users = append(users, t)
	}
	var err error
	if p.users, err = let(ctx, load.Config{Resolver: resolver, RunID: Namespace, Targets: users}); err != nil {
		return err
	}
	p.stayers, err = let(ctx, load.Config{Resolver: resolver, RunID: Namespace + "-stay", Targets: stayers})
	return err
}

// play is the migration under load, and its retirement, which the last users of blue hold up.
func (p *proof) play(ctx context.Context) (err error) {
	if err := p.invite(ctx); err != nil {
		if p.users != nil {
			p.users.leave()
		}
		return err
	}
	home := false
	defer func() {
		if !home {
			p.users.leave()
			p.stayers.leave()
		}
	}()
	if err := wait(ctx, lead); err != nil {
		return err
	}
	p.say("$ crossfade run --yes")
	ended, err := p.start(ctx)
	if err != nil {
		return err
	}
	if err := p.blocked(ctx, ended); err != nil {
		return err
	}
	if err := wait(ctx, trail); err != nil {
		return err
	}
	p.say("the clients that kept their connections to blue leave")
	stayed := p.stayers.leave()
	if err := <-ended; err != nil {
		p.users.leave()
		home = true
		return err
	}
	home = true
	return p.judge(p.users.leave(), stayed)
}

// start starts the migration and returns how it ends.
func (p *proof) start(ctx context.Context) (<-chan error, error) {
	log, err := os.Create(p.path("run.log"))
	if err != nil {
		return nil, fmt.Errorf("log of the run: %w", err)
	}
	cmd := exec.CommandContext(ctx, p.Binary, "run", "-f", p.path("migration.yaml"), "--yes")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start crossfade run: %w", err), log.Close())
	}
	ended := make(chan error, 1)
	go func() {
		err := errors.Join(cmd.Wait(), log.Close())
		if err != nil {
			err = fmt.Errorf("crossfade run: %w: look into %s", err, log.Name())
		}
		ended <- err
	}()
	return ended, nil
}

// blocked waits until blue has been looked at for some time, and wants every look to find the clients that are still there.
func (p *proof) blocked(ctx context.Context, ended <-chan error) error {
	for {
		records, err := p.records()
		if err != nil {
			return err
		}
		var samples []cutover.Sample
		for _, r := range records {
			var s cutover.Sample
			if r.Kind == journal.KindNoted && r.Stage == "idle-sample" && json.Unmarshal(r.Data, &s) == nil {
				samples = append(samples, s)
			}
		}
		if len(samples) > looks { // the first one only learns how often blue has been asked so far
			p.judgeSamples(samples[1:])
			return nil
		}
		select {
		case err := <-ended:
			return errors.Join(errors.New("the run ended while clients were still with blue"), err)
		case <-ctx.Done():
			return fmt.Errorf("wait until blue is watched: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// judgeSamples wants each look to find a use, and the counters of exactly those applications to have gone up whose clients have stayed.
func (p *proof) judgeSamples(samples []cutover.Sample) {
	used := map[string]string{}
	for n, s := range samples {
		found := false
		for _, o := range s.Observations {
			if o.Use == cutover.Used {
				found = true
				used[o.Evidence] = fmt.Sprintf("%s: %s; %s", o.Evidence, o.Text, strings.Join(o.Details, ", "))
			}
		}
		p.want(found, "look %d finds blue idle, while clients keep connections to it: %+v", n+2, s.Observations)
	}
	for i := range p.Applications {
		app := p.bandits.App(i)
		text, is := used["requests that "+app+" counts on blue"]
		p.want(is == (i >= p.kept), "somebody uses %s on blue: %t, want %t; %s", app, is, i >= p.kept, text)
		if is {
			p.report.Explained = append(p.report.Explained, text)
			p.say("blue is not idle: %s", text)
		}
	}
	p.report.Looks = len(samples)
}

// records reads the journal while somebody writes it: a line that is not whole yet is left out.
func (p *proof) records() ([]journal.Record, error) {
	raw, err := os.ReadFile(p.path("state", "journal.jsonl"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	var records []journal.Record
	for text := range bytes.Lines(raw) {
		var line struct {
			Record journal.Record `json:"record"`
		}
		if json.Unmarshal(text, &line) == nil {
			records = append(records, line.Record)
		}
	}
	return records, nil
}

func (p *proof) want(holds bool, format string, args ...any) {
	if !holds {
		p.report.Wanting = append(p.report.Wanting, fmt.Sprintf(format, args...))
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
