package crossfade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/restore"
)

// RunOptions choose what of the pipeline is run. The zero value runs all of it.
type RunOptions struct {
	// Verb runs the stages of one verb only: "export", "sync", "provision", "restore", "cutover". What comes
	// before them must be done.
	Verb string
	// Names chooses applications (cutover) or buckets (sync) within the verb. Empty means all. Applications that share a
	// bucket are cut over together, whichever of them is named.
	Names []string
	// Redo is the name of a stage that is taken again although it is done.
	Redo string
	// Approve lists waves that the caller approves.
	Approve []int
	// NoWait ends the run with a *PausedError instead of waiting for an old TTL or a change window: a later run goes on.
	NoWait bool
}

// Run takes the migration as far as its gates allow, from where it stopped. Stages that are done are passed over. When
// an application breaches its gates, it goes back to blue by itself and Run returns a *ReturnedError.
func (m *Migration) Run(ctx context.Context, opts RunOptions) (_ *Report, err error) {
	if m.journal == nil {
		return nil, errReadOnly
	}
	m.logBegin("run", opts)
	m.noWait = opts.NoWait
	defer func() {
		m.notify(ctx)
		m.told(ctx)
		err = m.leave(ctx, cmp.Or(opts.Verb, "run"), m.logEnd("run", err))
	}()
	if m.file.Unretirable != nil {
		return nil, m.file.Unretirable
	}
	if err := m.checkNames(opts); err != nil {
		return nil, err
	}
	if err := m.begin(ctx); err != nil {
		return nil, m.refusedInstead(ctx, err)
	}
	if err := m.mustBeTheNewest(ctx, cmp.Or(opts.Verb, "run"), m.file.Applications, lookTime); err != nil {
		return nil, err
	}
	if err := m.endBrownOut(ctx); err != nil {
		return nil, err
	}
	stages := m.pipeline()
	if err := m.journal.Note(noteOutline, m.outline()); err != nil {
		return nil, err
	}
	if opts.Redo != "" {
		if err := m.mayRedo(opts.Redo, stages); err != nil {
			return nil, err
		}
		if err := m.stillToConclude(ctx, opts.Redo, stages); err != nil {
			return nil, err
		}
		if err := m.resetAll(append(restOn(opts.Redo), opts.Redo), "asked for by --redo"); err != nil {
			return nil, err
		}
	}
	owed := m.payWhatIsOwed(ctx)
	if err := m.finishWhatGoesBack(ctx); err != nil {
		return nil, err // that does not wait for what is owed of others
	}
	if owed != nil {
		return nil, owed
	}
	if err := m.approveWaves(opts.Approve); err != nil {
		return nil, err
	}
	m.lookAtFences(ctx)
	m.holdSwitches(ctx)
	for _, s := range stages {
		if opts.Verb != "" && !opts.chooses(s) {
			if err := m.mustBeDone(s, stages, opts); err != nil {
				return nil, err
			}
			continue
		}
		m.notify(ctx)
		if err := m.mayBegin(ctx, s, opts); err != nil {
			return nil, err
		}
		err := m.takeForward(ctx, s)
		for tries := 1; errors.Is(err, restore.ErrPortTaken) && tries < maxPortRaces; tries++ {
			err = m.takeWithNewPorts(ctx, s, err)
		}
		if err != nil {
			return nil, paused(m.failed(ctx, s, err))
		}
	}
	report, err := m.Report()
	if err != nil {
		return nil, err
	}
	report.Warnings = m.warnings
	return report, nil
}

// swapPatience is how long a swap, and the look at its names before the freeze, waits for a name server that is silent, before it gives up and the turn goes back.
const swapPatience = 2 * time.Minute

// takeForward takes a stage. A swap is taken again while only a server is silent and no name of its turn has moved: until then
// users are where they were, and going back would need the same server. So is a freeze that is not planned yet.
func (m *Migration) takeForward(ctx context.Context, s stage) error {
	until, pause := m.opts.Clock.Now().Add(swapPatience), time.Second
	for {
		err := m.take(ctx, s)
		asks := strings.HasPrefix(s.name, "swap/") || strings.HasPrefix(s.name, "freeze/") && m.journal.Stage(s.name).Plan == ""
		if err == nil || !asks || !noAnswer(err) || m.nameMoved(s) || !m.opts.Clock.Now().Add(pause).Before(until) {
			return err
		}
		m.opts.Log.WarnContext(ctx, "waits for a silent server: no name has moved yet", "stage", s.name, "pause", pause, "limit", swapPatience, "because", err.Error())
		if serr := m.opts.Clock.Sleep(ctx, pause); serr != nil {
			return errors.Join(err, serr)
		}
		pause = min(2*pause, 15*time.Second)
	}
}

// noAnswer reports whether an error only says that somebody gave no answer. A refusal, a failed check and a record that moved
// are answers.
func noAnswer(err error) bool {
	if errors.Is(err, plan.ErrMoved) || errors.Is(err, cutover.ErrGate) {
		return false
	}
	var network net.Error
	return errors.Is(err, zone.ErrUncertain) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.As(err, &network)
}

// nameMoved reports whether a name of a stage's turn is known to have moved.
func (m *Migration) nameMoved(s stage) bool {
	return slices.ContainsFunc(m.file.Applications, func(a migration.Application) bool {
		return slices.Contains(s.company, a.Name) && firstMove(a, m.journal.Stage) != "" && (m.journal.Stage("swap/"+a.Name).Done > 0 || len(steps(a)) > 0)
	})
}

// finishWhatGoesBack ends a rollback or a return that was broken off, and says so with a *ReturnedError: what was to go
// back is not taken forward by the same command.
func (m *Migration) finishWhatGoesBack(ctx context.Context) error {
	if open, ok := m.unfinishedRollback(); ok {
		var err error
		if open.Without, err = m.reachAgain(ctx, open.Without); err != nil {
			return err
		}
		if _, err := m.finishRollback(ctx, open); err != nil {
			return err
		}
		back := &ReturnedError{Cause: fmt.Errorf("%s, which is finished now", open.cause())}
		for _, t := range m.turns() {
			if slices.Contains(open.Turns, t.name) {
				back.Apps = append(back.Apps, t.names()...)
			}
		}
		back.Undone, _ = m.owed() // the journal was read a moment ago
		return back
	}
	if open, ok := m.unfinishedReturn(); ok {
		return m.finishReturn(ctx, open, errors.New(open.Cause))
	}
	return nil
}

// maxPortRaces is how often a node port may be taken by somebody else between the plan and the write.
const maxPortRaces = 5

// takeWithNewPorts decides on the ports again, because somebody took one since, and takes a restoring stage again.
// Services that are there already keep their numbers.
func (m *Migration) takeWithNewPorts(ctx context.Context, s stage, cause error) error {
	m.opts.Log.WarnContext(ctx, "planning the node ports again", "because", cause.Error())
	for _, name := range []string{stagePorts, s.name} {
		if err := m.journal.Reset(name, cause.Error()); err != nil {
			return errors.Join(cause, err)
		}
	}
	if err := m.take(ctx, m.portsStage()); err != nil {
		return err
	}
	return m.take(ctx, s)
}

// restOn are the stages that are concluded from a stage alone: taken again, it takes them along. What is concluded last goes first, so
// that no kill leaves a certificate of what is forgotten.
func restOn(stage string) []string {
	switch stage {
	case stageBrownOut:
		return []string{"certificate"}
	case "idle":
		return []string{"certificate", stageBrownOut}
	}
	return nil
}

// mayRedo refuses to take a stage again whose plan is the way back: a freeze that is planned on a frozen blue would take the frozen
// state for blue's own, a swap that was forgotten would not be swapped back, and a sync would write over what green has.
//
//	ttl                                             │ once it was planned: it remembers the names' own TTLs
//	checks, settle, soak, drain                     │ until blue is retired: they remember nothing, and what fails goes back
//	all else of a turn, and the sync of its buckets │ until the turn's freeze is planned
//	everything else                                 │ at any time
func (m *Migration) mayRedo(name string, stages []stage) error {
	s := stages[slices.IndexFunc(stages, func(s stage) bool { return s.name == name })]
	kind, _, _ := strings.Cut(name, "/")
	gone := false
	m.journal.View(func(log *journal.Log) { gone = retireBegan(log) })
	if gone && s.turn != "" {
		return &RefusedError{Stage: name, Refusals: []plan.Refusal{{
			What: "--redo " + name, Why: "blue is retired: a failure would have nothing to go back to", Mend: "leave it as it is: green serves",
		}}}
	}
	if m.journal.Stage(name).Plan == "" || slices.Contains([]string{"checks", "settle", "soak", "drain"}, kind) {
		return nil
	}
	refuse := func(why, back string) error {
		return &RefusedError{Stage: name, Refusals: []plan.Refusal{{
			What: "--redo " + name, Why: why, Mend: fmt.Sprintf("say `%s`, which puts everything back, and then `crossfade run`, which takes this stage again", back),
		}}}
	}
	if name == "ttl" {
		return refuse("it remembers the TTLs that the names had, and taken again it would remember the lowered ones", "crossfade rollback")
	}
	for _, t := range m.turns() {
		copies := func(x stage) bool { return x.turn == t.name && x.bucket == s.bucket }
		if t.began(m.journal.Stage) && (s.turn == t.name || s.bucket != "" && slices.ContainsFunc(stages, copies)) {
			return refuse(fmt.Sprintf("the turn of %s has begun, and what this stage has done is needed to go back", strings.Join(t.names(), ", ")), "crossfade rollback "+t.names()[0])
		}
	}
	return nil
}

// stillToConclude refuses to conclude something of blue anew once retire has deleted of it: what is gone would be missing for ever, and the
// certificate under which it went would be forgotten.
func (m *Migration) stillToConclude(ctx context.Context, name string, stages []stage) error {
	if !slices.ContainsFunc(stages, func(s stage) bool { return s.name == name && s.concludes }) {
		return nil
	}
	log, err := m.log()
	if err != nil {
		return err
	}
	rest, err := m.halfGone(ctx, log)
	if err != nil || !rest.half {
		return err
	}
	r := plan.Refusal{What: "--redo " + name, Why: "blue is retired: nothing of it is left to look at", Mend: "leave it as it is: the certificate under which blue was deleted stays"}
	if len(rest.gone) > 0 {
		r.Why = fmt.Sprintf("`crossfade retire` has deleted %s of blue, which would be missing for ever", strings.Join(rest.gone, " and "))
		r.Mend = fmt.Sprintf("say `crossfade retire --confirm %s`, which looks at what is still there, and ends it or says what to do", m.file.Name)
	}
	return &RefusedError{Stage: name, Refusals: []plan.Refusal{r}}
}

// checkNames refuses options that name what the file does not have: they would choose nothing, and nothing would look done.
func (m *Migration) checkNames(opts RunOptions) error {
	stages := m.pipeline()
	if opts.Redo != "" && !slices.ContainsFunc(stages, func(s stage) bool { return s.name == opts.Redo }) {
		return &UnknownError{Kind: "stage", Name: opts.Redo, Known: "status lists them"}
	}
	if err := m.checkWaves(opts.Approve); err != nil {
		return err
	}
	for _, name := range opts.Names {
		if opts.Verb == "sync" {
			if err := m.checkBucket(name); err != nil {
				return err
			}
			continue
		}
		var apps []string
		for _, a := range m.file.Applications {
			apps = append(apps, a.Name)
		}
		if !slices.Contains(apps, name) {
			return &UnknownError{Kind: "application", Name: name, Known: known(m.file.Path, apps)}
		}
	}
	return nil
}

func (o RunOptions) chooses(s stage) bool {
	if s.verb != o.Verb {
		return false
	}
	switch {
	case len(o.Names) == 0, s.verb == "cutover" && s.turn == "": // what the cutover of every application needs
		return true
	case s.turn != "":
		return slices.ContainsFunc(s.company, func(app string) bool { return slices.Contains(o.Names, app) })
	}
	return slices.Contains(o.Names, s.bucket)
}

// mustBeDone refuses to take a verb's stages before what comes earlier in the pipeline.
func (m *Migration) mustBeDone(s stage, stages []stage, opts RunOptions) error {
	if m.journal.Stage(s.name).Finished {
		return nil
	}
	here := slices.IndexFunc(stages, func(x stage) bool { return x.name == s.name })
	for _, later := range stages[here+1:] {
		if opts.chooses(later) && !m.journal.Stage(later.name).Finished && later.needs(s) {
			return &RefusedError{Stage: later.name, Refusals: []plan.Refusal{{
				What: s.name, Why: "it comes before " + later.name + " and is not done", Mend: "run `crossfade " + s.verb + "` first, or `crossfade run`",
			}}}
		}
	}
	return nil
}

// failed decides what a failure means: an application that was in its turn goes back to blue, unless the run was stopped
// from outside; then the next run goes on.
func (m *Migration) failed(ctx context.Context, s stage, err error) error {
	if s.turn == "" || s.stays || ctx.Err() != nil || !m.turnBegan(s.turn) {
		return err
	}
	return m.goBack(context.WithoutCancel(ctx), s, err)
}

// ReturnedError says that an application breached its gates, or could not be moved, and serves from blue again.
type ReturnedError struct {
	Apps []string
	// Cause is what went wrong on the way to green.
	Cause error
	// Buckets are what was brought back of green's writes.
	Buckets []BucketBack
	// Undone is what was not done on green, because green gave no answer and an operator had said to go back without it.
	Undone []LeftUndone
	// Caches are how long caches that honour TTLs may still lead clients to green, for each application whose names went back.
	Caches []cutover.Wait
	// DeadEnds are the names that have no answer at blue.
	DeadEnds []cutover.DeadEnd
	// Wave must be approved before it is tried again; 0 where a person asked for the return.
	Wave int
	// Incomplete is set when going back has not worked in whole either: the next run goes on with it.
	Incomplete error
}

// Error says what happened and where the applications are now.
func (e *ReturnedError) Error() string {
	if e.Incomplete != nil {
		return fmt.Sprintf("%v; going back to blue is not complete: %v; run `crossfade run` again to finish it", e.Cause, e.Incomplete)
	}
	text := fmt.Sprintf("%v; %v went back to blue, which serves and accepts writes again", e.Cause, e.Apps)
	for _, b := range e.Buckets {
		text += "; " + b.String()
	}
	for _, w := range e.Caches {
		text += "; " + mayLead(w)
	}
	for _, d := range e.DeadEnds {
		text += "; " + d.String()
	}
	for _, l := range e.Undone {
		text += "; not done: " + l.String()
	}
	if e.Wave > 0 {
		text += fmt.Sprintf("; it is not tried again without a word: `crossfade run --approve %d`", e.Wave)
	}
	return text
}

// Unwrap returns both causes.
func (e *ReturnedError) Unwrap() []error {
	return slices.DeleteFunc([]error{e.Cause, e.Incomplete}, func(err error) bool { return err == nil })
}

// HeldOnGreenError says that an application breached its gates and stays on green, because going back would leave there what
// green may have accepted. Green serves; a person decides.
type HeldOnGreenError struct {
	Apps  []string
	Cause error
	Left  []LeftBehind
}

// Error says what is wrong, what would be left, and what there is to do.
func (e *HeldOnGreenError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v; %v stays on green, which still serves, because going back by itself would lose:", e.Cause, e.Apps)
	for _, l := range e.Left {
		fmt.Fprintf(&b, "\n  %s", l)
	}
	mend := "mend green"
	if errors.Is(e.Cause, plan.ErrMoved) || errors.Is(e.Cause, zone.ErrFenced) {
		mend = "green has not failed: somebody has changed what is named above; find out who, give it back what was expected,"
	}
	fmt.Fprintf(&b, "\n%s and `crossfade run` again, or go back without it: `crossfade rollback %s --discard-green`", mend, strings.Join(e.Apps, " "))
	return b.String()
}

// Unwrap returns the cause.
func (e *HeldOnGreenError) Unwrap() error { return e.Cause }

// needs reports whether a stage cannot be taken before an earlier one is done. Outside the waves the stages of one verb
// need what feeds them; a turn needs all of the warm phase, and of the other turns only those of earlier waves.
func (s stage) needs(before stage) bool {
	switch {
	case before.name == "preflight":
		return false
	case before.turn != "":
		return s.turn == "" || s.turn == before.turn || s.wave > before.wave
	case s.turn != "":
		return true
	}
	switch s.verb {
	case "export":
		return false
	case "sync", "provision": // both write to green
		return before.name == stageExport
	case "restore":
		return before.name == stageExport || before.verb == "provision" || before.verb == "restore"
	}
	return true
}
