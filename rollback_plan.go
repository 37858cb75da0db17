package crossfade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// RollbackPlan is what a rollback would do.
type RollbackPlan struct {
	Migration string `json:"migration"`
	Rehearsal bool   `json:"rehearsal"`
	// Whole says that the names get their TTLs back and the fences go, too.
	Whole   bool           `json:"whole"`
	Discard bool           `json:"discard,omitempty"`
	Turns   []RollbackTurn `json:"turns"`
	// Nothing says that the journal tells of nothing that could be taken back.
	Nothing bool `json:"nothing,omitempty"`
	// First are the stages that an earlier rollback has left undone on green.
	First []Later `json:"first,omitempty"`
	// Undone is what is not done on green, because green gives no answer.
	Undone []LeftUndone `json:"undone,omitempty"`
	// After are the stages that follow the turns.
	After []Later `json:"after,omitempty"`
	// Kept are records that were made for green and stay, because other names lead to them.
	Kept []cutover.KeptRecord `json:"kept,omitempty"`
	// LeftNames are names that somebody else has led elsewhere: they stay as they are.
	LeftNames []cutover.LeftName `json:"leftNames,omitempty"`
	// Refusals are the reasons not to begin.
	Refusals []plan.Refusal `json:"refusals,omitempty"`

	without unreached
}

// RollbackTurn is the way back of the applications that go together.
type RollbackTurn struct {
	Name         string   `json:"name"`
	Applications []string `json:"applications"`
	// Together says why applications go along that were not named.
	Together string `json:"together,omitempty"`
	// Begun is false where nothing of the turn has touched blue.
	Begun bool `json:"begun"`
	// Calm says that green is frozen before its names move, and serves reads until then.
	Calm bool `json:"calm,omitempty"`
	// Stages in their order.
	Stages  []Later        `json:"stages,omitempty"`
	Buckets []BucketToCome `json:"buckets,omitempty"`
	// Left cannot come back.
	Left []LeftBehind `json:"left,omitempty"`
	// DeadEnds are names that will have no answer on blue.
	DeadEnds []cutover.DeadEnd `json:"deadEnds,omitempty"`
}

// BucketToCome is what a bucket's way back would bring, as it is now.
type BucketToCome struct {
	Name        string `json:"name"`
	New         int64  `json:"new"`
	Overwritten int64  `json:"overwritten"`
	Deleted     int64  `json:"deleted"`
	Bytes       int64  `json:"bytes"`
	// Conflicts changed on both sides and stay as they are.
	Conflicts int64 `json:"conflicts,omitempty"`
}

// PlanRollback reads what a rollback would do and what stands against it. It changes nothing and needs no lock.
func (m *Migration) PlanRollback(ctx context.Context, opts RollbackOptions) (*RollbackPlan, error) {
	if m.journal == nil && m.file.State != nil && m.file.State.URL != "" {
		m.Look(ctx) // another machine may have begun
	}
	p, err := m.planRollback(ctx, opts, false)
	if err != nil {
		return nil, err
	}
	older, err := m.notTheNewest(ctx, "rollback", m.appsToRollBack(opts.Apps), lookTime)
	p.Refusals = append(older, p.Refusals...)
	return p, err
}

func (m *Migration) planRollback(ctx context.Context, opts RollbackOptions, patient bool) (*RollbackPlan, error) {
	if err := m.checkNames(RunOptions{Verb: "cutover", Names: opts.Apps}); err != nil {
		return nil, err
	}
	log, err := m.log()
	if err != nil && !errors.Is(err, journal.ErrNone) {
		return nil, err
	}
	p := &RollbackPlan{Migration: m.file.Name, Rehearsal: m.file.Rehearsal != nil, Whole: len(opts.Apps) == 0, Discard: opts.DiscardGreen}
	if neverBegan(log) {
		p.Nothing = true
		return p, m.lookForBegun(ctx, p, log)
	}
	if retireBegan(log) {
		p.refuse("blue", "retire has begun to delete it: there is nothing to go back to", "bring back what is needed from the archive; green serves")
		return p, nil
	}
	for _, s := range m.owedStages(log) {
		p.First = append(p.First, Later{Stage: s.name, Title: s.title})
	}
	turns := m.turnsToRollBack(opts.Apps, log)
	if err := m.reachForRollback(ctx, p, turns, log, patient); err != nil {
		return nil, err
	}
	for _, t := range turns {
		if err := m.planRollbackOf(ctx, p, t, opts, log); err != nil {
			return nil, err
		}
	}
	earlier, _, broken := openRollback(log)
	p.Whole = p.Whole || broken && earlier.Whole
	if p.Whole {
		refusals, err := m.goesBackWithout(log)
		if err != nil {
			return nil, err
		}
		p.Refusals = append(p.Refusals, refusals...)
	}
	if p.Whole && pausesOrTTLs(log) {
		s := m.returnTTLStage()
		p.After = append(p.After, Later{Stage: s.name, Title: s.title})
		if opts, err := m.returnTTLOptions(ctx); err == nil { // what cannot be read now is said by the stage itself
			p.Kept = cutover.KeptRecords(ctx, opts)
		}
	}
	return p, nil
}

// turnsToRollBack are the turns that a rollback chooses, or all, and those of a way back that was broken off; the last one comes first.
func (m *Migration) turnsToRollBack(apps []string, log *journal.Log) []turn {
	open, returning := m.openReturn(log)
	earlier, _, broken := openRollback(log)
	var turns []turn
	for _, t := range slices.Backward(m.turns()) {
		chosen := len(apps) == 0 || slices.ContainsFunc(t.apps, func(a migration.Application) bool { return slices.Contains(apps, a.Name) })
		if chosen || broken && slices.Contains(earlier.Turns, t.name) || returning && open.Turn == t.name {
			turns = append(turns, t)
		}
	}
	return turns
}

// log is the journal's, whether it is open for writing or not. It must not be kept.
func (m *Migration) log() (*journal.Log, error) {
	if m.journal == nil {
		return m.readLog()
	}
	var log *journal.Log
	m.journal.View(func(l *journal.Log) { log = l })
	return log, nil
}

// retireBegan reports whether anything of blue may have been deleted.
func retireBegan(log *journal.Log) bool {
	began := false
	for _, r := range log.Records {
		if r.Stage == "retire" && (r.Kind == journal.KindIntent || r.Kind == journal.KindReset) {
			began = r.Kind == journal.KindIntent
		}
	}
	return began || log.Stage("retire").Finished
}

func (m *Migration) planRollbackOf(ctx context.Context, p *RollbackPlan, t turn, opts RollbackOptions, log *journal.Log) error {
	of := log.Stage
	open, under := m.openReturn(log)
	under = under && open.Turn == t.name
	r := RollbackTurn{Name: t.name, Applications: t.names(), Begun: t.began(of)}
	if len(opts.Apps) > 0 && slices.ContainsFunc(r.Applications, func(name string) bool { return !slices.Contains(opts.Apps, name) }) {
		var buckets []string
		for _, b := range t.buckets {
			buckets = append(buckets, b.Name)
		}
		r.Together = "they go together, because they share bucket " + strings.Join(buckets, ", ")
	}
	if !r.Begun {
		p.Turns = append(p.Turns, r)
		return nil
	}
	r.Calm = p.without.Cluster == "" && m.calm(ctx, t, of)
	how := returning{Turn: t.name, Calm: r.Calm, Discard: opts.DiscardGreen, Without: p.without.of(t)}
	if under {
		r.Calm, how.Calm, how.Discard = open.Calm, open.Calm, open.Discard || opts.DiscardGreen
	}
	r.Left = m.atGreenOnly(ctx, t, of, true)
	m.planLeftNames(ctx, p, t, under, of)
	if under {
		r.Left = nil // it was decided when this way back began
	} else {
		m.planDeadEnds(ctx, p, &r, t, of)
	}
	p.Undone = append(p.Undone, leftRunning(t, how.Without, of)...)
	for _, s := range m.wayBack(t, how, of) {
		title := s.title
		if of(s.name).Finished {
			title += " (done)"
		} else if why := how.Without.Buckets[s.bucket]; s.bucket != "" && why != "" {
			title = "leave on green what it wrote to bucket " + s.bucket
			r.Left = append(r.Left, LeftBehind{App: r.Applications[0], What: "bucket " + s.bucket, Why: "green's store was not reached: " + why})
		} else if s.bucket != "" && m.elsewhere() {
			title += " (how much that is tells the manifest, which the rollback fetches from the state store)"
		} else if s.bucket != "" {
			m.planBackOf(ctx, p, &r, s, how.Discard)
		}
		r.Stages = append(r.Stages, Later{Stage: s.name, Title: title})
	}
	for _, left := range r.Left {
		if !how.Discard && !slices.ContainsFunc(p.Refusals, func(x plan.Refusal) bool { return x.What == left.What }) {
			p.refuse(left.What, left.Why, "copy by hand what is needed, then say --discard-green: it stays on green, and blue goes on without it")
		}
	}
	p.Turns = append(p.Turns, r)
	return ctx.Err()
}

// planDeadEnds looks where the names would lead on blue. A green that serves is not left for a name without an answer; where it does not
// serve, there is nothing to lose by it.
func (m *Migration) planDeadEnds(ctx context.Context, p *RollbackPlan, r *RollbackTurn, t turn, of states) {
	dead := slices.DeleteFunc(m.deadEnds(ctx, t, of), func(d cutover.DeadEnd) bool {
		return d.Back || slices.ContainsFunc(p.LeftNames, func(l cutover.LeftName) bool { return l.Name == d.Name }) // it does not go back
	})
	if len(dead) == 0 {
		return
	}
	if p.without.Cluster != "" || !m.greenServes(ctx, t, of) {
		r.DeadEnds = dead
		return
	}
	for _, d := range dead {
		p.refuse(d.Name, d.String()+"; green serves, and users would get no answer", "give "+d.Target+" its record back, then roll back again")
	}
}

// planLeftNames looks which names the way back will leave to somebody else, and which still lead to green as nobody of this migration has
// written it. What cannot be read now is said by the stage itself.
func (m *Migration) planLeftNames(ctx context.Context, p *RollbackPlan, t turn, under bool, of states) {
	for _, a := range t.apps {
		name := movingStage(a, of)
		if name == "" || of("return/"+a.Name).Finished {
			continue
		}
		swap, err := m.planInForce(ctx, of(name))
		if err != nil {
			continue
		}
		opts, err := m.zoneOptions(ctx, "rollback")
		if err != nil {
			continue
		}
		left, refused, err := cutover.LookAtReturn(ctx, cutover.ReturnOptions{Options: opts, App: a.Name, Swap: swap})
		if err != nil {
			m.opts.Log.WarnContext(ctx, "whether all names can go back is not known yet", "app", a.Name, "because", err.Error())
		}
		p.LeftNames = append(p.LeftNames, left...)
		if !under {
			p.Refusals = append(p.Refusals, refused...)
		}
	}
}

// deadEnds are the names of a turn that have moved, and have no answer on blue.
func (m *Migration) deadEnds(ctx context.Context, t turn, of states) []cutover.DeadEnd {
	held, err := m.held()
	if err != nil {
		return nil
	}
	opts, err := m.zoneOptions(ctx, "rollback")
	if err != nil {
		return nil
	}
	var names []cutover.Held
	for _, a := range t.apps {
		if movingStage(a, of) != "" {
			names = append(names, held.Of(a.Name)...)
		}
	}
	return cutover.DeadEnds(ctx, opts, names)
}

// planBackOf looks what a bucket's way back would bring, and what stands against it.
func (m *Migration) planBackOf(ctx context.Context, p *RollbackPlan, r *RollbackTurn, s stage, discard bool) {
	app := r.Applications[0]
	refuse := func(what, why, mend string) {
		if discard {
			r.Left = append(r.Left, LeftBehind{App: app, What: what, Why: why})
			return
		}
		p.refuse(what, why, mend+"; or say --discard-green: it stays on green, and blue goes on without it")
	}
	what := "bucket " + s.bucket
	sync, err := s.plan(ctx)
	if err != nil {
		refuse(what, "what green wrote to it cannot be read: "+err.Error(), "see to it that both stores answer; where it is the manifest that is damaged, put manifests/"+s.bucket+".jsonl back from a backup")
		return
	}
	for _, x := range sync.Refusals {
		refuse("bucket "+strings.TrimPrefix(x.What, "bucket "), x.Why, x.Mend)
	}
	planned, err := bucketsync.PlannedOf(sync)
	if err != nil || len(sync.Changes) == 0 {
		return
	}
	r.Buckets = append(r.Buckets, BucketToCome{
		Name: s.bucket, New: planned.Copy - planned.Replace, Overwritten: planned.Replace, Deleted: planned.Deletions, Bytes: planned.CopyBytes, Conflicts: planned.Conflicts,
	})
}

// calm reports whether a turn's green can be frozen before its names move: each of its applications that writes has a
// freeze, and answers its checks, so that it is worth reading from until then.
func (m *Migration) calm(ctx context.Context, t turn, of states) bool {
	for _, a := range t.apps {
		if of("start/"+a.Name).Plan == "" {
			continue
		}
		if a.Writes == migration.WritesQuiesce || a.Writes == migration.WritesFreeze && a.Freeze == nil {
			return false
		}
	}
	return m.greenServes(ctx, t, of)
}

// greenServes reports whether each application of a turn that writes on green answers its checks there.
func (m *Migration) greenServes(ctx context.Context, t turn, of states) bool {
	for _, a := range t.apps {
		if of("start/"+a.Name).Plan == "" || len(a.Checks) == 0 || len(a.Hostnames) == 0 {
			continue
		}
		opts, err := m.cutoverOptions(ctx, "rollback")
		if err != nil {
			return false
		}
		entries, err := cutover.FindEntries(ctx, opts, a.Name)
		if err != nil {
			return false
		}
		gates, err := cutover.Check(ctx, cutover.CheckOptions{Options: opts, App: a.Name, Side: Green, Entries: entries})
		if err != nil || cutover.Verdict(gates) != cutover.Passed {
			return false
		}
	}
	return true
}

func (p *RollbackPlan) refuse(what, why, mend string) {
	p.Refusals = append(p.Refusals, plan.Refusal{What: what, Why: why, Mend: mend})
}

// Err is nil for a plan without refusals, otherwise a *RefusedError with all of them.
func (p *RollbackPlan) Err() error {
	if len(p.Refusals) == 0 {
		return nil
	}
	return &RefusedError{Stage: "rollback", Refusals: p.Refusals}
}

func (p *RollbackPlan) note(actor string) rollback {
	r := rollback{Whole: p.Whole, Discard: p.Discard, Actor: actor, Without: p.without}
	for _, t := range p.Turns {
		r.Turns = append(r.Turns, t.Name)
		if t.Calm {
			r.Calm = append(r.Calm, t.Name)
		}
		r.Left = append(r.Left, t.Left...)
	}
	return r
}

// Print writes the plan for people.
func (p *RollbackPlan) Print(w io.Writer) error {
	out := &printer{w: w}
	out.f("plan to roll back migration %s%s\n", p.Migration, stamp(p.Rehearsal))
	for _, s := range p.First {
		out.f("\nfirst, left from an earlier rollback: %s %s\n", s.Stage, s.Title)
	}
	for _, t := range p.Turns {
		out.f("\n%s", strings.Join(t.Applications, ", "))
		if t.Together != "" {
			out.f(" (%s)", t.Together)
		}
		if !t.Begun {
			out.f(": on blue, where nothing of it has changed\n")
			continue
		}
		out.f(":\n")
		for i, s := range t.Stages {
			out.f("  %d. %-24s %s\n", i+1, s.Stage, s.Title)
		}
		for _, b := range t.Buckets {
			out.f("  bucket %s, as it is now: %d to bring back, %d to overwrite, %d to delete on blue; %s\n", b.Name, b.New, b.Overwritten, b.Deleted, cli.Bytes(b.Bytes))
		}
		for _, b := range t.Buckets {
			if b.Conflicts > 0 {
				out.f("  cannot come back: bucket %s: %s changed on both sides, and each side keeps its own\n", b.Name, cli.Count(int(b.Conflicts), "object"))
			}
		}
		for _, l := range t.Left {
			out.f("  cannot come back: %s\n", l)
		}
		for _, d := range t.DeadEnds {
			out.f("  warning: %s\n", d)
		}
	}
	for _, l := range p.Undone {
		out.f("\nnot done: %s\n", l)
	}
	if len(p.Turns) == 0 && len(p.Refusals) == 0 {
		out.f("\nnothing has begun, so there is nothing to take back\n")
	}
	if len(p.After) > 0 {
		out.f("\nthen:\n")
	}
	for _, s := range p.After {
		out.f("  %-27s %s\n", s.Stage, s.Title)
	}
	printLeftNames(out, p.LeftNames)
	printKept(out, p.Kept)
	for _, r := range p.Refusals {
		out.f("\nREFUSED %s: %s\n    mend: %s\n", r.What, r.Why, r.Mend)
	}
	return out.err
}

// RollbackReport is what a rollback has done.
type RollbackReport struct {
	Migration string `json:"migration"`
	Rehearsal bool   `json:"rehearsal"`
	Whole     bool   `json:"whole"`
	// Nothing says that the journal tells of nothing that could be taken back, so nothing was.
	Nothing bool `json:"nothing,omitempty"`
	// Applications of the file, with the side that serves each now.
	Applications []RolledBack `json:"applications"`
	Buckets      []BucketBack `json:"buckets,omitempty"`
	// Caches are how long caches that honour TTLs may still lead clients to green, for each application whose names went back.
	Caches []cutover.Wait `json:"caches,omitempty"`
	// Left stays on green and is not at blue.
	Left []LeftBehind `json:"left,omitempty"`
	// LeftNames are names that somebody else has changed: they hold what that one has put there.
	LeftNames []cutover.LeftName `json:"leftNames,omitempty"`
	// Undone was not done on green, because green gave no answer. Empty where the rollback is whole on both sides.
	Undone []LeftUndone `json:"undone,omitempty"`
	// Kept are records that were made for green and stay, because other names lead to them.
	Kept []cutover.KeptRecord `json:"kept,omitempty"`
	// ExternalDNS is what became of the Deployments that the migration had paused.
	ExternalDNS []cutover.Resumed `json:"externalDNS,omitempty"`
}

// RolledBack is where one application is after a rollback.
type RolledBack struct {
	Name string `json:"name"`
	// Side serves it now.
	Side string `json:"side"`
	// Returned is set where this rollback took it back; Refused is for how long no side accepted its writes.
	Returned bool   `json:"returned"`
	Refused  string `json:"refused,omitempty"`
}

// rollbackReport reads what was done since the rollback began, by however many tries.
func (m *Migration) rollbackReport(open rollback) (*RollbackReport, error) {
	r := &RollbackReport{Migration: m.file.Name, Rehearsal: m.file.Rehearsal != nil, Whole: open.Whole}
	log, err := m.log()
	if err != nil {
		return nil, err
	}
	_, from, _ := openRollback(log)
	notes := returnsSince(log, from)
	for _, a := range statusOf(m.outline(), log).Applications {
		side := Blue
		if a.State == Moving || a.State == Soaking || a.State == OnGreen {
			side = Green
		}
		row := RolledBack{Name: a.Name, Side: side}
		for _, n := range notes {
			if n.App != a.Name {
				continue
			}
			row.Returned = true
			if n.Refused > 0 {
				row.Refused = cli.Duration(n.Refused)
			}
			r.Buckets, r.Left = append(r.Buckets, n.Buckets...), append(r.Left, n.Left...)
			r.LeftNames = append(r.LeftNames, n.LeftNames...)
			if n.Caches != nil {
				r.Caches = append(r.Caches, *n.Caches)
			}
		}
		r.Applications = append(r.Applications, row)
	}
	for _, b := range r.Buckets {
		for _, key := range b.Conflicts {
			r.Left = append(r.Left, LeftBehind{What: fmt.Sprintf("bucket %s: %q", b.Name, key), Why: "it changed on both sides, and each keeps its own"})
		}
	}
	r.Undone, r.ExternalDNS = owedOf(log), resumedIn(log.Records[from:])
	restored := restoredIn(log.Records[from:], "return-ttl")
	r.Kept = restored.Kept
	for _, l := range restored.Left {
		r.LeftNames = slices.DeleteFunc(r.LeftNames, func(o cutover.LeftName) bool { return o.Name == l.Name }) // read later
	}
	r.LeftNames = append(r.LeftNames, restored.Left...)
	return r, nil
}

// Print writes the report for people.
func (r *RollbackReport) Print(w io.Writer) error {
	out := &printer{w: w}
	what := "rolled back"
	switch {
	case r.Nothing:
		what = "nothing has begun, so nothing was taken back"
	case len(r.LeftNames) > 0:
		what = "rolled back as a whole: blue's objects are as they were, and so are the names that nobody else has changed"
	case r.Whole && len(r.Kept) > 0:
		what = "rolled back as a whole: blue's objects and names are as they were, beside a record that was made for green and is used"
	case r.Whole:
		what = "rolled back as a whole: blue's objects and names are as they were"
	}
	out.f("migration %s%s: %s\n\n", r.Migration, stamp(r.Rehearsal), what)
	var rows [][]string
	for _, a := range r.Applications {
		did, refused := "as before", "-"
		if a.Returned {
			did = "taken back"
		}
		if a.Refused != "" {
			refused = a.Refused
		}
		rows = append(rows, []string{a.Name, a.Side, did, refused})
	}
	if out.err != nil {
		return out.err
	}
	if err := cli.Table(w, []string{"APPLICATION", "SERVED BY", "DONE", "WRITES REFUSED FOR"}, rows); err != nil {
		return err
	}
	if len(r.Caches)+len(r.Buckets) > 0 {
		out.f("\n")
	}
	for _, w := range r.Caches {
		out.f("%s\n", mayLead(w))
	}
	for _, b := range r.Buckets {
		out.f("%s\n", b)
	}
	if len(r.Left) > 0 {
		out.f("\nleft on green, and not at blue:\n")
	}
	for _, l := range r.Left {
		out.f("  %s\n", l)
	}
	printLeftNames(out, r.LeftNames)
	printKept(out, r.Kept)
	if len(r.Undone) > 0 {
		out.f("\nnot done on green:\n")
	}
	for _, l := range r.Undone {
		out.f("  %s\n", l)
	}
	printResumed(out, r.ExternalDNS)
	return out.err
}
