package crossfade

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// DoctorOptions tune Doctor.
type DoctorOptions struct {
	// Limit is how long one check may take. Those that read all of blue may take six times as long. Default 10s.
	Limit time.Duration
}

const (
	defaultCheckLimit = 10 * time.Second
	// longCheck is how many times the limit a check has that reads all objects.
	longCheck = 6
	// clearLimit bounds the removal of probe objects, which goes on when the caller has given up.
	clearLimit = 10 * time.Second
)

// Verdict is what became of a check.
type Verdict string

// What may become of a check.
const (
	Passed     Verdict = "ok"
	Failed     Verdict = "FAILED"
	NotChecked Verdict = "not checked"
)

// Diagnosis is what Doctor found.
type Diagnosis struct {
	Migration string `json:"migration"`
	Tool      string `json:"tool"`
	// Findings are in the order in which a migration needs what they are about.
	Findings []Finding `json:"findings"`
}

// Finding is the outcome of one check.
type Finding struct {
	Check  string  `json:"check"`
	Status Verdict `json:"status"`
	// Text is what was seen, or why it was not looked at.
	Text string `json:"text,omitempty"`
	// Problems are what stands against a migration, each with its mend.
	Problems []Problem `json:"problems,omitempty"`
	// Notes are what a person should know, and no reason not to begin.
	Notes   []string `json:"notes,omitempty"`
	Seconds float64  `json:"seconds"`
}

// Problem is one thing that is wrong, and what mends it.
type Problem struct {
	Why  string `json:"why"`
	Mend string `json:"mend,omitempty"`
}

func (f *Finding) fail(why, mend string) {
	f.Status = Failed
	f.Problems = append(f.Problems, Problem{Why: why, Mend: mend})
}

// failed takes an error apart into what is wrong and what mends it.
func (f *Finding) failed(err error, otherwise string) { f.fail(mend.Apart(err, otherwise)) }

// clean takes secrets out of what is said to people.
func (f *Finding) clean(text func(string) string) {
	f.Text = text(f.Text)
	for i := range f.Notes {
		f.Notes[i] = text(f.Notes[i])
	}
	for i := range f.Problems {
		f.Problems[i] = Problem{Why: text(f.Problems[i].Why), Mend: text(f.Problems[i].Mend)}
	}
}

func (f *Finding) refused(refusals []plan.Refusal) {
	for _, r := range refusals {
		f.fail(r.What+": "+r.Why, r.Mend)
	}
}

func (f *Finding) say(format string, args ...any) { f.Text = fmt.Sprintf(format, args...) }

func (f *Finding) note(format string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, args...))
}

func (f *Finding) skip(format string, args ...any) {
	f.Status = NotChecked
	f.say(format, args...)
}

// check is one question of a doctor.
type check struct {
	name string
	// needs are the checks without whose success this one means nothing.
	needs []string
	// long is set for what reads all objects.
	long bool
	do   func(ctx context.Context, f *Finding)
	// mend is what is said where the check does not end in time.
	mend string
}

// Doctor looks at everything that a migration relies on, before it relies on it: both clusters, rights, stores, names, zones,
// and this machine. All checks run, side by side, also when one fails. It changes nothing but probe objects under names of
// its own in those stores that a run writes to, and removes them, also when it is interrupted.
func (m *Migration) Doctor(ctx context.Context, opts DoctorOptions) (*Diagnosis, error) {
	if opts.Limit <= 0 {
		opts.Limit = defaultCheckLimit
	}
	d := newMigration(m.file, m.opts)
	d.requestLimit = opts.Limit
	checks := d.checks()
	findings := make([]Finding, len(checks))
	done := map[string]chan struct{}{}
	index := map[string]int{}
	for i, c := range checks {
		done[c.name], index[c.name] = make(chan struct{}), i
	}
	var group sync.WaitGroup
	for i, c := range checks {
		group.Go(func() {
			defer close(done[c.name])
			f := &findings[i]
			f.Check, f.Status = c.name, Passed
			for _, need := range c.needs {
				<-done[need]
				if findings[index[need]].Status != Passed {
					f.skip("%s did not pass", need)
					return
				}
			}
			d.run(ctx, c, opts.Limit, f)
		})
	}
	group.Wait()
	for i := range findings {
		findings[i].clean(d.redact.Text)
	}
	return &Diagnosis{Migration: m.file.Name, Tool: m.opts.Tool, Findings: findings}, ctx.Err()
}

// run does one check within its time.
func (m *Migration) run(ctx context.Context, c check, limit time.Duration, f *Finding) {
	if c.long {
		limit *= longCheck
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	c.do(bounded, f)
	f.Seconds = time.Since(began).Seconds()
	if ctx.Err() == nil && bounded.Err() != nil && f.Status == Failed && c.mend != "" {
		f.fail(fmt.Sprintf("it did not end within %s", cli.Duration(limit)), c.mend)
	}
}

// OK reports whether every check passed: what was not looked at is no good news (I8).
func (d *Diagnosis) OK() bool {
	return !slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Status != Passed })
}

// Print writes a line for each check, with what mends it below.
func (d *Diagnosis) Print(w io.Writer) error {
	out := &printer{w: w}
	below := func(text string) {
		out.f("             %s\n", block(strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n               ")))
	}
	counts := map[Verdict]int{}
	for _, f := range d.Findings {
		counts[f.Status]++
		line := fmt.Sprintf("%-11s  %s", f.Status, f.Check)
		if f.Text != "" {
			line += ": " + f.Text
		}
		out.f("%s\n", block(line))
		for _, p := range f.Problems {
			below(p.Why)
			if p.Mend != "" {
				below("mend: " + p.Mend)
			}
		}
		for _, n := range f.Notes {
			below("note: " + n)
		}
	}
	out.f("%s: %d ok, %d failed, %d not checked (crossfade %s)\n", d.Migration, counts[Passed], counts[Failed], counts[NotChecked], d.Tool)
	return out.err
}
