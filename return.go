package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// noteReturning is kept before an application's turn is taken back, noteReturned after: what lies between them is taken up
// again by the next run, and by the next rollback.
const noteReturning = "returning"

// returning is the note of a turn that is being taken back.
type returning struct {
	Turn  string `json:"turn"`
	Cause string `json:"cause"`
	// Calm is set where green serves well and can be frozen: then it is frozen before the names move.
	Calm bool `json:"calm,omitempty"`
	// ByItself is set where no person asked for it.
	ByItself bool `json:"byItself,omitempty"`
	// Discard is set where an operator has said that what cannot be brought back stays on green; Left is what that was.
	Discard bool         `json:"discard,omitempty"`
	Left    []LeftBehind `json:"left,omitempty"`
	// Without is what of green gave no answer when the operator said so.
	Without unreached `json:"without,omitzero"`
}

// turnNamed finds a turn.
func (m *Migration) turnNamed(name string) (turn, bool) {
	for _, t := range m.turns() {
		if t.name == name {
			return t, true
		}
	}
	return turn{}, false
}

// turnBegan reports whether anything of a turn has touched blue.
func (m *Migration) turnBegan(name string) bool {
	t, ok := m.turnNamed(name)
	return ok && t.began(m.journal.Stage)
}

// states tells what the journal knows of a stage, while it is open for writing or not.
type states func(stage string) journal.Stage

// began reports whether anything of the turn has touched blue.
func (t turn) began(of states) bool {
	return slices.ContainsFunc(t.apps, func(a migration.Application) bool { return of("freeze/"+a.Name).Plan != "" })
}

func (t turn) names() []string {
	var names []string
	for _, a := range t.apps {
		names = append(names, a.Name)
	}
	return names
}

// goBack takes the turn of a failed stage back, unless green may have accepted what no way back brings to blue: that is
// for a person to decide, and green goes on serving until then.
func (m *Migration) goBack(ctx context.Context, s stage, cause error) error {
	t, _ := m.turnNamed(s.turn)
	if err := m.mustBeTheNewest(ctx, "going back to blue", t.apps, newestReturnLook); err != nil {
		return errors.Join(cause, err)
	}
	left := m.atGreenOnly(ctx, t, m.journal.Stage, false)
	if err := m.journal.Note(noteBreach, breach{Apps: t.names(), Stage: s.name, Wave: t.wave, Cause: cause.Error(), Held: len(left) > 0}); err != nil {
		return errors.Join(cause, err)
	}
	if len(left) > 0 {
		return &HeldOnGreenError{Apps: t.names(), Cause: cause, Left: left}
	}
	how := returning{Turn: s.turn, Cause: cause.Error(), ByItself: true}
	if err := m.journal.Note(noteReturning, how); err != nil {
		return errors.Join(cause, err)
	}
	return m.finishReturn(ctx, how, cause)
}

// finishReturn does what is left of going back. It returns a *ReturnedError in any case.
func (m *Migration) finishReturn(ctx context.Context, how returning, cause error) error {
	t, ok := m.turnNamed(how.Turn)
	if !ok {
		return fmt.Errorf("the journal tells of a return of %s, which the migration file does not have any more: put the applications of that wave back as they were", how.Turn)
	}
	result := &ReturnedError{Apps: t.names(), Cause: cause}
	m.event(Event{Kind: Returning, Stage: "return/" + t.apps[0].Name, Text: cause.Error()})
	if result.Incomplete = m.owe(t, how); result.Incomplete != nil {
		return result
	}
	if result.Incomplete = m.blueServesAgain("taken back: " + how.Cause); result.Incomplete != nil {
		return result
	}
	err := m.takeBack(ctx, t, how)
	if how.Calm && unheld(err) && m.greenAnswers(ctx) {
		m.opts.Log.WarnContext(ctx, "green cannot be frozen while it serves, so its names go back first", "because", err.Error())
		how.Calm = false
		if err = m.journal.Note(noteReturning, how); err == nil {
			err = m.takeBack(ctx, t, how)
		}
	}
	if err == nil {
		err = m.stopped(t)
	}
	if result.Incomplete = err; err != nil {
		return result
	}
	for _, d := range m.deadEnds(ctx, t, m.journal.Stage) {
		if d.Back {
			m.opts.Log.WarnContext(ctx, "users get no answer", "because", d.String())
			result.DeadEnds = append(result.DeadEnds, d)
		}
	}
	// What caches may still hold must be known before the way back is forgotten.
	if result.Caches, err = m.cachesOf(t); err == nil {
		result.Buckets, err = m.forget(t, how, result.Caches)
	}
	if result.Incomplete = err; err == nil && how.ByItself {
		result.Wave = t.wave
	}
	if owed, err := m.owed(); err == nil {
		result.Undone = owed
	}
	return result
}

// takeBack takes the stages of a turn's way back.
func (m *Migration) takeBack(ctx context.Context, t turn, how returning) error {
	stages := m.wayBack(t, how, m.journal.Stage)
	for i := 0; i < len(stages); i++ {
		s, err := stages[i], error(nil)
		if n := leading(stages[i:]); n > 1 {
			err = m.leadBack(ctx, stages[i:i+n])
			i += n - 1
		} else {
			err = m.takeBackStage(ctx, s, how)
		}
		if err != nil && how.Discard && s.bucket != "" && ctx.Err() == nil {
			err = m.leaveBucket(ctx, s, err)
		}
		if err != nil {
			return m.withWayOut(ctx, s, how, err)
		}
	}
	return nil
}

// leading is how many of the stages that come next lead users back to blue.
func leading(stages []stage) int {
	n := 0
	for n < len(stages) && stages[n].leads {
		n++
	}
	return n
}

// leadBack leads users back to blue: each of the stages is tried before one of them is insisted on, and one that fails keeps no other up.
func (m *Migration) leadBack(ctx context.Context, stages []stage) error {
	var failed []stage
	for _, s := range stages {
		if err := m.take(ctx, s); err != nil {
			m.opts.Log.WarnContext(ctx, "the others go back first", "stage", s.name, "because", err.Error())
			failed = append(failed, s)
		}
	}
	var errs []error
	for _, s := range failed {
		errs = append(errs, m.insist(ctx, s))
	}
	return errors.Join(errs...)
}

func (m *Migration) takeBackStage(ctx context.Context, s stage, how returning) error {
	if why := how.Without.Buckets[s.bucket]; s.bucket != "" && why != "" && !m.journal.Stage(s.name).Finished {
		return fmt.Errorf("green's store was not reached: %s", why)
	}
	return m.insist(ctx, s)
}

// unheld reports whether green's application does not do what its freeze asks, or does not confirm it. The other order needs
// neither.
func unheld(err error) bool { return errors.Is(err, errNotRefused) || errors.Is(err, restore.ErrHook) }

// withWayOut adds to the failure of a stage that needs green what there is to do where green never answers again.
func (m *Migration) withWayOut(ctx context.Context, s stage, how returning, err error) error {
	needsGreen := strings.HasPrefix(s.name, "hold/") || strings.HasPrefix(s.name, "stop/") || s.bucket != ""
	if !needsGreen || ctx.Err() != nil || !noAnswer(err) || how.Without.Cluster != "" {
		return err
	}
	return fmt.Errorf("%w; where green does not come back, `crossfade rollback --discard-green` goes on without it", err)
}

// insistFor is how long a stage of the way back is tried again: while it fails, nobody can write.
const insistFor = 2 * time.Minute

// insist takes a stage of the way back, and again where a server was only silent for a while: often it is what broke the
// turn off. What is refused is not tried again, since a person must mend it; nor is a hold that green's application does not
// keep, since there is another order.
func (m *Migration) insist(ctx context.Context, s stage) error {
	until, pause := m.opts.Clock.Now().Add(insistFor), time.Second
	for {
		err := m.take(ctx, s)
		var refused *plan.RefusedError
		if err == nil || errors.As(err, &refused) || strings.HasPrefix(s.name, "hold/") && unheld(err) || !m.opts.Clock.Now().Add(pause).Before(until) {
			return err
		}
		m.opts.Log.WarnContext(ctx, "going back is tried again", "stage", s.name, "pause", pause, "limit", insistFor, "because", err.Error())
		if serr := m.opts.Clock.Sleep(ctx, pause); serr != nil {
			return errors.Join(err, serr)
		}
		pause = min(2*pause, 15*time.Second)
	}
}

// wayBack is the pipeline of going back. There are two orders, and both keep these:
//
//   - I7: green is stopped or frozen first, its buckets are brought back and proven equal after that, and blue is thawed
//     last of the three. At no time do both sides accept writes, and no write is lost.
//   - I1 and I2: a name moves in one change, to a side that answers.
//
// After a breach green does not serve as it should, so the names come first: blue answers reads at once, and what green
// had accepted follows.
//
//	return → return-settle → stop → back-sync → thaw
//
// What will not answer on green once it is stopped is stopped only when no cache leads there (return-settle); for what
// rests read-only, stopping is freezing. An operator's rollback takes the same order where an application has no freeze: nothing but
// its end holds its writes back.
//
// In a calm rollback green answers reads until the end, and what blue answers when the names reach it is complete: nobody
// sees data go back in time.
//
//	hold → back-sync → return → thaw → return-settle → stop
//
// Where green's cluster gives no answer and an operator has said to go back all the same, nothing there can be stopped: who
// still reaches it by an old answer may write there. So every name is waited out before the buckets, also those of what
// would have gone on answering reads:
//
//	return → return-settle → back-sync → thaw
//
// Where blue passes on to green (unforward), its Services get their own pods back before any name leads there: else the name would
// lead to green by a detour.
//
// What was held before green went silent is held, and stays in the calm order, without its stop.
func (m *Migration) wayBack(t turn, how returning, of states) []stage {
	var hold, back, own, names, settle, stop, thaw []stage
	silent := how.Without.Cluster != ""
	if silent && how.Calm {
		how.Calm = !slices.ContainsFunc(t.apps, func(a migration.Application) bool {
			return of("start/"+a.Name).Plan != "" && !of("hold/"+a.Name).Finished
		})
	}
	written := false
	for _, a := range slices.Backward(t.apps) {
		frozen, started, swapped := of("freeze/"+a.Name).Plan != "", of("start/"+a.Name).Plan != "", movingStage(a, of) != ""
		rests := a.Dark != migration.DarkReadOnly
		written = written || started
		if of("forward/"+a.Name).Plan != "" {
			own = append(own, m.unforwardStage(a))
		}
		if m.splitAtEntry(a, of) {
			names = append(names, leadsBack(m.unshiftStage("unshift/"+a.Name, a)))
		}
		if swapped {
			names = append(names, leadsBack(m.returnStage(a)))
		}
		if swapped && (rests || silent && !how.Calm) {
			settle = append(settle, m.returnSettleStage(a))
		}
		if started && how.Calm {
			hold = append(hold, m.holdStage(a))
		}
		if started && (rests || !how.Calm) && (!silent || of("stop/"+a.Name).Finished) {
			stop = append(stop, m.stopStage(a))
		}
		if frozen {
			thaw = append(thaw, m.thawStage(a))
		}
	}
	if written {
		for _, b := range t.buckets {
			back = append(back, m.backSyncStage(b, how.Discard))
		}
	}
	if how.Calm {
		return slices.Concat(hold, back, own, names, thaw, settle, stop)
	}
	return slices.Concat(own, names, settle, stop, back, thaw)
}

func leadsBack(s stage) stage {
	s.leads = true
	return s
}

// returnStages are the names of all stages of a turn's way back.
func (t turn) returnStages() []string {
	var names []string
	for _, a := range t.apps {
		names = append(names, "hold/"+a.Name, "unforward/"+a.Name, "unshift/"+a.Name, "return/"+a.Name, "return-settle/"+a.Name, "stop/"+a.Name)
	}
	for _, b := range t.buckets {
		names = append(names, "back-sync/"+b.Name)
	}
	for _, a := range t.apps {
		names = append(names, "thaw/"+a.Name)
	}
	return names
}

// forget makes the turn's stages undone, so that a later run takes the turn again, and keeps the note of the return. It
// returns what was brought back.
func (m *Migration) forget(t turn, how returning, caches []cutover.Wait) ([]BucketBack, error) {
	buckets, err := m.broughtBack(t)
	if err != nil {
		return nil, err
	}
	refused, leftNames := map[string]time.Duration{}, map[string][]cutover.LeftName{}
	for _, a := range t.apps {
		refused[a.Name] = m.writesRefused(a)
		if m.journal.Stage("return/" + a.Name).Finished {
			var back cutover.ReturnResult
			if err := m.resultOf("return/"+a.Name, &back); err != nil {
				return nil, err
			}
			leftNames[a.Name] = back.LeftNames()
		}
	}
	// The way back comes last and whole: a later return must take all of it again, and one that is killed here must not.
	if err := m.resetAll(append(m.stagesOf(t), t.returnStages()...), "taken back: "+how.Cause); err != nil {
		return nil, err
	}
	for _, b := range t.buckets {
		// What a way back without a proof has left of its manifest must not pass for the next one's.
		if err := m.forgetBack(b); err != nil {
			return nil, err
		}
	}
	// The note of the first application ends the return, so it comes last.
	for _, a := range slices.Backward(t.apps) {
		note := returned{App: a.Name, Why: how.Cause, At: m.opts.Clock.Now().UTC(), Refused: refused[a.Name], Left: leftOf(how.Left, a.Name), LeftNames: leftNames[a.Name], ByItself: how.ByItself}
		if i := slices.IndexFunc(caches, func(w cutover.Wait) bool { return w.App == a.Name }); i >= 0 {
			note.Caches = &caches[i]
		}
		if a.Name == t.apps[0].Name {
			note.Buckets = buckets
		}
		if err := m.journal.Note(noteReturned, note); err != nil {
			return nil, err
		}
	}
	return buckets, nil
}

// stagesOf are the names of a turn's stages in the pipeline.
func (m *Migration) stagesOf(t turn) []string {
	var names []string
	for _, s := range m.pipeline() {
		if s.turn == t.name {
			names = append(names, s.name)
		}
	}
	for _, a := range t.apps {
		for _, name := range moves(a) {
			if !slices.Contains(names, name) {
				names = append(names, name) // a share that the file named once
			}
		}
	}
	return names
}

// resetAll takes stages back to nothing that are not so already.
func (m *Migration) resetAll(names []string, why string) error {
	for _, name := range names {
		if m.journal.Stage(name).Plan == "" {
			continue
		}
		if err := m.journal.Reset(name, why); err != nil {
			return err
		}
	}
	return nil
}

// unfinishedReturn finds a return that an earlier run began and did not end.
func (m *Migration) unfinishedReturn() (returning, bool) {
	var open returning
	found := false
	m.journal.View(func(log *journal.Log) { open, found = m.openReturn(log) })
	return open, found
}

// openReturn finds the return that was begun last, unless the note of its first application ends it.
func (m *Migration) openReturn(log *journal.Log) (returning, bool) {
	var open returning
	found := false
	for _, r := range log.Records {
		switch {
		case r.Kind != journal.KindNoted:
		case r.Stage == noteReturning:
			var begun returning
			if json.Unmarshal(r.Data, &begun) == nil {
				open, found = begun, true
			}
		case r.Stage == noteReturned && found:
			var ended returned
			t, ok := m.turnNamed(open.Turn)
			if ok && json.Unmarshal(r.Data, &ended) == nil && ended.App == t.apps[0].Name {
				found = false
			}
		}
	}
	return open, found
}

func (m *Migration) returnStage(a migration.Application) stage {
	name := "return/" + a.Name
	return withStep(m, stage{name: name, app: a.Name, title: "move the names of " + a.Name + " back to blue"},
		func(ctx context.Context) (cutover.ReturnOptions, error) {
			opts, err := m.namesOptions(ctx, name, a)
			if err != nil {
				return cutover.ReturnOptions{}, err
			}
			shifts, err := m.shiftPlans(ctx, a)
			if err != nil {
				// The split was taken away before: names wait for no second look.
				m.opts.Log.WarnContext(ctx, "what split requests at blue's entry is not looked for again", "app", a.Name, "because", err.Error())
			}
			if opts.Blue.Kube == nil && slices.ContainsFunc(shifts, cutover.SplitsAtEntry) {
				if opts.Blue.Kube, err = m.side(Blue); err != nil {
					return cutover.ReturnOptions{}, err
				}
			}
			swap, err := m.journal.LoadPlan(movingStage(a, m.journal.Stage))
			return cutover.ReturnOptions{Options: opts, App: a.Name, Swap: swap, Shifts: shifts, Fences: m.fences()}, err
		},
		m.planReturn, cutover.ApplyReturn)
}

// noteFence keeps the token that a return is about to give a name. It is noted before the plan is: should the plan be made
// again, the token may stand in the zone already.
const noteFence = "fence"

func (m *Migration) planReturn(ctx context.Context, opts cutover.ReturnOptions) (*plan.Plan, error) {
	p, err := cutover.PlanReturn(ctx, opts)
	if err != nil || m.journal == nil {
		return p, err
	}
	for _, fence := range cutover.PlannedFences(p) {
		if err := m.journal.Note(noteFence, fence); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// fences are all that returns have planned since the names were fenced, oldest first.
func (m *Migration) fences() []zone.Fence {
	log, err := m.log()
	if err != nil {
		return nil // there is no journal yet
	}
	var fences []zone.Fence
	for _, r := range log.Records {
		var fence zone.Fence
		switch {
		case r.Kind == journal.KindReset && r.Stage == "ttl":
			fences = nil
		case r.Kind == journal.KindNoted && r.Stage == noteFence && json.Unmarshal(r.Data, &fence) == nil:
			fences = append(fences, fence)
		}
	}
	return fences
}

// lookAtFences warns of names that lead to green and whose fence somebody has taken away. It waits for nobody long: only going back
// needs it, and that reads it again.
func (m *Migration) lookAtFences(ctx context.Context) {
	gone := false
	m.journal.View(func(log *journal.Log) { gone = retireBegan(log) })
	var look cutover.NamesOptions
	for _, a := range m.file.Applications {
		if len(a.Hostnames) > 0 && m.journal.Stage("swap/"+a.Name).Finished {
			look.Apps = append(look.Apps, a.Name)
		}
	}
	if gone || len(look.Apps) == 0 {
		return // retire removes them
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	p := plan.New(m.file.Name, noteFence)
	held, err := m.held()
	if err == nil {
		look.Held = held.Names
		look.Options, err = m.cutoverOptions(ctx, noteFence)
	}
	if err == nil {
		err = cutover.LostFences(ctx, p, look, m.fences())
	}
	if err != nil {
		m.opts.Log.WarnContext(ctx, "the fences of names that lead to green were not all read", "because", err.Error())
	}
	m.warn(stage{name: noteFence}, p)
}

// holdSwitches makes again what hostnames are led through to green at their backend, where somebody has deleted it, and warns of rules
// that do not lead to green any more: after the soak nobody else asks. As with fences, it holds nothing up.
func (m *Migration) holdSwitches(ctx context.Context) {
	gone := false
	m.journal.View(func(log *journal.Log) { gone = retireBegan(log) })
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	for _, a := range m.file.Applications {
		name := "swap/" + a.Name
		if gone || !m.journal.Stage(name).Finished || !slices.ContainsFunc(a.Hostnames, migration.Hostname.AtBackend) {
			continue
		}
		p := plan.New(m.file.Name, name)
		opts, err := m.cutoverOptions(ctx, name)
		if err == nil {
			look := cutover.ReturnOptions{Options: opts, App: a.Name, Fences: m.fences()}
			if look.Swap, err = m.journal.LoadPlan(name); err == nil {
				err = cutover.HoldSwitches(ctx, p, look)
			}
		}
		if err != nil {
			m.opts.Log.WarnContext(ctx, "whether the rules that lead to green still stand was not all read", "app", a.Name, "because", err.Error())
		}
		m.warn(stage{name: name, app: a.Name}, p)
	}
}

// held are the names as the TTL stage left them, under the fences that are in force.
func (m *Migration) held() (cutover.TTLResult, error) {
	var ttl cutover.TTLResult
	err := m.resultOf("ttl", &ttl)
	ttl.Names = cutover.UnderFences(ttl.Names, m.fences())
	return ttl, err
}

// cachesOf are how long caches may still lead to green, for each application of a turn whose names went back.
func (m *Migration) cachesOf(t turn) ([]cutover.Wait, error) {
	var waits []cutover.Wait
	for _, a := range t.apps {
		if !m.journal.Stage("return/" + a.Name).Finished {
			continue
		}
		var back cutover.ReturnResult
		if err := m.resultOf("return/"+a.Name, &back); err != nil {
			return nil, err
		}
		if wait, ok := cutover.CachesUntil(cutover.Options{Times: m.file.Cutover}, a.Name, slices.Concat(back.Names, back.Left)); ok {
			waits = append(waits, wait)
		}
	}
	return waits, nil
}

// mayLead says until when clients may still go to green.
func mayLead(w cutover.Wait) string {
	return fmt.Sprintf("caches that honour TTLs may lead clients of %s to green until %s (%s)", w.App, w.Until.UTC().Format(time.TimeOnly), w.Text)
}

func (m *Migration) returnSettleStage(a migration.Application) stage {
	name := "return-settle/" + a.Name
	return withStep(m, stage{name: name, app: a.Name, title: "wait until no cache leads to green for " + a.Name},
		func(ctx context.Context) (cutover.SettleOptions, error) {
			opts, err := m.zoneOptions(ctx, name)
			if err != nil {
				return cutover.SettleOptions{}, err
			}
			var back cutover.ReturnResult
			err = m.resultOf("return/"+a.Name, &back)
			return cutover.SettleOptions{Options: opts, App: a.Name, Moved: slices.Concat(back.Names, back.Left), Returned: true}, err
		},
		cutover.PlanSettle, cutover.ApplySettle)
}
