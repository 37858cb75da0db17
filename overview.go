package crossfade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Overview is what the migration would do from here: the plans that can be made now, and what the rest waits for.
type Overview struct {
	Migration string  `json:"migration"`
	Rehearsal bool    `json:"rehearsal"`
	Plans     []*Plan `json:"plans"`
	Later     []Later `json:"later,omitempty"`
	// Done names the stages that an earlier run has finished.
	Done []string `json:"done,omitempty"`
}

// Later is a stage that is planned when its inputs exist.
type Later struct {
	Stage string `json:"stage"`
	Title string `json:"title"`
	// Waits says what for.
	Waits string `json:"waits"`
}

// Plan reads both sides and plans every stage that can be planned now. It changes nothing and takes no lock. All
// refusals that reading can find are in the overview at once.
func (m *Migration) Plan(ctx context.Context, opts RunOptions) (_ *Overview, err error) {
	defer func() { err = m.redact.Error(err) }()
	if m.file.Unretirable != nil {
		return nil, m.file.Unretirable
	}
	o := &Overview{Migration: m.file.Name, Rehearsal: m.file.Rehearsal != nil}
	if err := m.checkNames(opts); err != nil {
		return nil, err
	}
	if m.journal == nil && m.file.State != nil && m.file.State.URL != "" {
		m.Look(ctx) // another machine may have begun
	}
	log, err := m.readLog()
	if err != nil && !errors.Is(err, journal.ErrNone) {
		return nil, err
	}
	done := func(name string) bool { return log != nil && log.Stage(name).Finished }
	if log != nil {
		if err := m.planOwed(ctx, o, log); err != nil {
			return nil, err
		}
	}
	if opts.Verb == "cleanup" {
		return o, m.planCleanup(ctx, o, log)
	}
	if opts.Verb == "retire" {
		return o, m.planRetirement(ctx, o, log)
	}
	stages := m.pipeline()
	if done(stageExport) && slices.ContainsFunc(stages, func(s stage) bool {
		return s.backup && !done(s.name) && (opts.Verb == "" || opts.chooses(s))
	}) {
		if _, refusal := m.lookAtBackup(ctx); refusal != nil {
			p := plan.New(m.file.Name, noteBackup)
			p.Refusals = []plan.Refusal{refusal.Refusal}
			o.Plans = append(o.Plans, p)
		}
	}
	words := map[int]string{} // of waves that went back by themselves
	if log != nil {
		for _, w := range m.wordsNeeded(log, nil) {
			words[w.Wave] = fmt.Sprintf("it needs an approval: `crossfade run --approve %d`; %s", w.Wave, w.Text)
		}
	}
	for i, s := range stages {
		if opts.Verb != "" && !opts.chooses(s) {
			continue
		}
		if done(s.name) {
			o.Done = append(o.Done, s.name)
			continue
		}
		if s.after != "" && slices.ContainsFunc(stages[:i], func(b stage) bool { return !done(b.name) && s.needs(b) }) {
			o.Later = append(o.Later, Later{Stage: s.name, Title: s.title, Waits: s.after})
			continue
		}
		if s.bucket != "" && o.refuses("bucket "+s.bucket) || s.bucket == "" && (o.refuses(Blue) || o.refuses(Green)) {
			o.Later = append(o.Later, Later{Stage: s.name, Title: s.title, Waits: "the refusals above"})
			continue
		}
		p, err := m.planned(ctx, s, log)
		if err != nil && o.Refusals() > 0 && ctx.Err() == nil {
			o.Later = append(o.Later, Later{Stage: s.name, Title: s.title, Waits: "the refusals above: " + err.Error()})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", s.name, err)
		}
		if text := words[s.wave]; text != "" {
			p.Note(plan.Info, fmt.Sprintf("wave %d", s.wave), text)
			delete(words, s.wave)
		}
		o.Plans = append(o.Plans, p)
	}
	return o, nil
}

// planned is the plan that a run would apply: the one that an earlier run began with, or a new one.
func (m *Migration) planned(ctx context.Context, s stage, log *journal.Log) (*plan.Plan, error) {
	if log != nil {
		if known := log.Stage(s.name); known.Plan != "" {
			return m.planInForce(ctx, known)
		}
	}
	p, err := s.plan(ctx)
	if err == nil {
		m.cleanPlan(p)
	}
	return p, err
}

// Refusals counts the reasons not to begin.
func (o *Overview) Refusals() int {
	n := 0
	for _, p := range o.Plans {
		n += len(p.Refusals)
	}
	return n
}

// refuses reports whether a plan so far names something that begins with what as a reason not to begin: asking it again
// would only take the time of its first silence once more.
func (o *Overview) refuses(what string) bool {
	return slices.ContainsFunc(o.Plans, func(p *Plan) bool {
		return slices.ContainsFunc(p.Refusals, func(r plan.Refusal) bool { return strings.HasPrefix(r.What, what) })
	})
}

// Err is nil for an overview without refusals, otherwise a *RefusedError with all of them.
func (o *Overview) Err() error {
	var all []plan.Refusal
	for _, p := range o.Plans {
		all = append(all, p.Refusals...)
	}
	if len(all) == 0 {
		return nil
	}
	return &RefusedError{Stage: "migration " + o.Migration, Refusals: all}
}

// shownChanges is how many changes of one stage are printed; JSON has them all.
const shownChanges = 60

// Print writes the overview for people.
func (o *Overview) Print(w io.Writer) error {
	out := &printer{w: w}
	out.f("plan of migration %s%s\n", o.Migration, stamp(o.Rehearsal))
	return o.printPlans(out)
}

func (o *Overview) printPlans(out *printer) error {
	for _, name := range o.Done {
		out.f("\n%s: done\n", name)
	}
	for _, p := range o.Plans {
		out.f("\n%s: %s\n", p.Stage, cli.Count(len(p.Changes), "change"))
		for i, c := range p.Changes {
			if i == shownChanges {
				out.f("  … and %d more: -o json prints all\n", len(p.Changes)-i)
				break
			}
			out.f("  %s %s\n      %s\n", c.Action, c.Target, c.Why)
			if c.Reverse != nil {
				out.f("      back: %s\n", c.Reverse.How)
			}
		}
		for _, n := range p.Notes {
			out.f("  %s: %s: %s\n", n.Level, n.What, n.Text)
		}
		for _, r := range p.Refusals {
			out.f("  REFUSED %s: %s\n      mend: %s\n", r.What, r.Why, r.Mend)
			if r.At != "" {
				out.f("      at: %s\n", r.At)
			}
		}
	}
	if len(o.Later) > 0 {
		out.f("\nplanned when their inputs exist:\n")
		for _, l := range o.Later {
			out.f("  %-28s %s (waits for %s)\n", l.Stage, l.Title, l.Waits)
		}
	}
	return out.err
}

func stamp(rehearsal bool) string {
	if rehearsal {
		return " — REHEARSAL: safety times are shortened on purpose"
	}
	return ""
}

// printer keeps the first error of a row of writes. A string in what is written comes from outside, for all that is known: it stays on its
// line, and shows what cannot be printed. A block is of several lines on purpose.
type printer struct {
	w   io.Writer
	err error
}

// block is a text of several lines.
type block string

func (p *printer) f(format string, args ...any) {
	if p.err != nil {
		return
	}
	shown := make([]any, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case block:
			shown[i] = cli.Lines(string(arg))
		case string:
			shown[i] = cli.OneLine(arg)
		case fmt.Stringer:
			shown[i] = cli.OneLine(arg.String())
		default:
			shown[i] = arg
		}
	}
	_, p.err = fmt.Fprintf(p.w, format, shown...)
}
