package proof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/e2e/rig"
)

// Options choose what is played. Top, Dir, Binary and Rig are needed.
type Options struct {
	// Top is the folder of the checkout.
	Top string
	// Dir gets a folder for each scenario: its migration file, state, archive and logs.
	Dir string
	// Binary is the crossfade command, built with the tag faults (see Build).
	Binary string
	// Rig is one that is up.
	Rig *rig.Info
	// Only chooses scenarios by name; nil chooses all.
	Only *regexp.Regexp
	// Lanes is how many scenarios are played at a time, of those that do not need the rig for themselves; 0 is 3.
	Lanes int
	// Title is what the last line begins with; empty is proof. Points lets it count points that converged.
	Title  string
	Points bool
	// Out hears of each scenario's beginning and end. Nil is silent.
	Out io.Writer

	reference *reference
}

// reference is the end state of the unbroken run, for the scenarios that are played beside it.
type reference struct {
	once sync.Once
	done chan struct{}
	st   state
}

// set keeps the state; nil says that there will be none.
func (r *reference) set(st state) {
	r.once.Do(func() {
		r.st = st
		close(r.done)
	})
}

func (r *reference) get(ctx context.Context) (state, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.done:
	}
	if r.st == nil {
		return nil, errors.New("there is no unbroken run to compare with")
	}
	return r.st, nil
}

// A scenario is one thing that goes wrong, and what must hold of it.
type scenario struct {
	name string
	pace pace
	// group is set where the scenario needs the rig for itself and the others of its group.
	group string
	// gathering is where the scenarios of a group meet, if they do.
	gathering *gathering
	play      func(ctx context.Context, t *trial) error
}

// usual is the pace of most scenes.
func usual() pace { return pace{soak: "6s", idle: "8s"} }

// limit bounds one scenario.
const limit = 20 * time.Minute

// Build builds the command with the tag faults into a folder and returns its path.
func Build(ctx context.Context, top, dir string) (string, error) {
	binary := filepath.Join(dir, "crossfade-faults")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "faults", "-o", binary, "./cmd/crossfade")
	cmd.Dir, cmd.Env = top, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return binary, nil
}

// Run plays the scenarios, after Prepare: what may share the rig first, in lanes, then the rest one group after the other. What does not hold
// is in the report, not an error.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Lanes == 0 {
		o.Lanes = 3
	}
	o.reference = &reference{done: make(chan struct{})}
	report := &Report{Title: "proof", Points: o.Points}
	if o.Title != "" {
		report.Title = o.Title
	}
	chosen := o.chosen()
	if len(chosen) == 0 {
		return nil, errors.New("no scenario has such a name")
	}
	for _, s := range chosen {
		s.gathering.expect()
	}
	report.Results = make([]Result, len(chosen))
	began := time.Now()
	for _, part := range groups(chosen) {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(o.Lanes)
		if part != "" {
			group.SetLimit(-1)
		}
		for i, s := range chosen {
			if s.group == part {
				group.Go(func() error { return o.play(ctx, s, &report.Results[i]) })
			}
		}
		if err := group.Wait(); err != nil {
			return report, err
		}
	}
	report.Took = time.Since(began)
	return report, nil
}

// chosen are the scenarios to play; the unbroken run is always among them.
func (o Options) chosen() []scenario {
	return slices.DeleteFunc(scenarios(), func(s scenario) bool {
		return o.Only != nil && !o.Only.MatchString(s.name) && s.name != Unbroken
	})
}

// groups are those of the chosen scenarios in order, beginning with those that share the rig with everyone.
func groups(chosen []scenario) []string {
	list := []string{""}
	for _, s := range chosen {
		if !slices.Contains(list, s.group) {
			list = append(list, s.group)
		}
	}
	return list
}

// play plays one scenario. A failure of its own means that it does not hold; only the end of ctx is an error.
func (o Options) play(ctx context.Context, s scenario, into *Result) error {
	into.Name = s.name
	o.say("%s: begins", s.name)
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	scene, err := o.open(bounded, s.name, s.pace)
	if err == nil {
		err = s.play(bounded, &trial{scene: scene, result: into})
		err = errors.Join(err, scene.close(context.WithoutCancel(ctx)))
	}
	if err != nil {
		into.Wanting = append(into.Wanting, err.Error())
	}
	s.gathering.leave(o)
	if s.name == Unbroken {
		o.reference.set(nil) // where it broke off before its end
	}
	into.Took = time.Since(began)
	verdict := "held"
	if !into.Held() {
		verdict = "NOT HELD: " + into.Wanting[0]
	}
	o.say("%s: %s, %.0f s", s.name, verdict, into.Took.Seconds())
	return ctx.Err()
}

func (o Options) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.Out, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...)) // a closed output is the user's choice
}

// scenarios is the list of all, in the order of the table.
func scenarios() []scenario {
	return slices.Concat(kills(), rollbacks(), breaches(), silences())
}
