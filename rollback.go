package crossfade

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// RollbackOptions say what goes back to blue. The zero value takes everything back.
type RollbackOptions struct {
	// Apps chooses applications. Those that share buckets with them go with them.
	Apps []string
	// DiscardGreen goes back although something that green has accepted cannot be brought to blue. It stays on green.
	DiscardGreen bool
}

// Names under which the beginning and the end of a rollback are noted.
const (
	noteRollback   = "rollback"
	noteRolledBack = "rolled-back"
)

// rollback is the note of a rollback that has begun.
type rollback struct {
	Turns []string `json:"turns"`
	// Whole gives the names back, too: nothing of the migration touches blue any more.
	Whole   bool         `json:"whole,omitempty"`
	Discard bool         `json:"discard,omitempty"`
	Calm    []string     `json:"calm,omitempty"` // the turns whose green is frozen before its names move
	Left    []LeftBehind `json:"left,omitempty"`
	Actor   string       `json:"actor"`
	// Without is what of green gave no answer: it is decided once, and asked again only by the next process.
	Without unreached `json:"without,omitzero"`
}

func (r rollback) cause() string { return "rolled back by " + r.Actor }

// Rollback takes applications back to blue from wherever they are: blue's specs and records become what they were, and what
// green has accepted in buckets is brought back and proven first. Green is kept, dark. Where something cannot come
// back, it is refused with a *RefusedError before anything is changed, unless DiscardGreen is set. Called again after a
// kill, it goes on.
func (m *Migration) Rollback(ctx context.Context, opts RollbackOptions) (_ *RollbackReport, err error) {
	if m.journal == nil {
		return nil, errReadOnly
	}
	if err := m.checkNames(RunOptions{Verb: "cutover", Names: opts.Apps}); err != nil {
		return nil, err // before any cluster is asked for its lease
	}
	m.logBegin("rollback", opts)
	defer func() {
		m.notify(ctx)
		m.told(ctx)
		err = m.leave(ctx, "rollback", m.logEnd("rollback", err))
	}()
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	if err := m.mustBeTheNewest(ctx, "rollback", m.appsToRollBack(opts.Apps), lookTime); err != nil {
		return nil, err
	}
	if err := m.endBrownOut(ctx); err != nil {
		return nil, err
	}
	if err := m.payWhatIsOwed(ctx); err != nil {
		// Whatever is to go back goes back without it, too; what is owed stays owed, and is in the report.
		m.opts.Log.WarnContext(ctx, "what an earlier rollback has left on green is still not stopped", "because", err.Error())
	}
	p, err := m.planRollback(ctx, opts, true)
	if err != nil {
		return nil, err
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	if p.Nothing {
		return m.nothingToTakeBack()
	}
	open := p.note(m.opts.Actor)
	if earlier, ok := m.unfinishedRollback(); ok {
		open = open.with(earlier)
	}
	if err := m.journal.Note(noteRollback, open); err != nil {
		return nil, err
	}
	return m.finishRollback(ctx, open)
}

// with takes in what an earlier rollback was asked for and did not reach.
func (r rollback) with(earlier rollback) rollback {
	for _, t := range earlier.Turns {
		if !slices.Contains(r.Turns, t) {
			r.Turns = append(r.Turns, t)
		}
	}
	for _, t := range earlier.Calm {
		if !slices.Contains(r.Calm, t) {
			r.Calm = append(r.Calm, t)
		}
	}
	r.Whole, r.Discard = r.Whole || earlier.Whole, r.Discard || earlier.Discard
	return r
}

// finishRollback does what is left of a rollback: the turns, the last one first, then the names.
func (m *Migration) finishRollback(ctx context.Context, open rollback) (*RollbackReport, error) {
	if open.Whole {
		log, err := m.log()
		if err != nil {
			return nil, err
		}
		refusals, err := m.goesBackWithout(log) // the file may have changed since it began
		if err != nil {
			return nil, err
		}
		if len(refusals) > 0 {
			return nil, &RefusedError{Stage: "rollback", Refusals: refusals}
		}
	}
	turns := slices.Clone(m.turns())
	if how, ok := m.unfinishedReturn(); ok {
		// What an earlier run was at comes first: nobody can write there.
		slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(rank(a.name == how.Turn), rank(b.name == how.Turn)) })
	}
	for _, t := range slices.Backward(turns) {
		if !slices.Contains(open.Turns, t.name) {
			continue
		}
		if err := m.rollBackTurn(ctx, t, open); err != nil {
			return nil, err
		}
	}
	if err := m.blueServesAgain(open.cause()); err != nil {
		return nil, err
	}
	if open.Whole {
		if err := m.releaseNames(ctx, open); err != nil {
			return nil, err
		}
	}
	if err := m.journal.Note(noteRolledBack, struct{}{}); err != nil {
		return nil, err
	}
	return m.rollbackReport(open)
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

func (m *Migration) rollBackTurn(ctx context.Context, t turn, open rollback) error {
	how, returns := m.unfinishedReturn()
	if !returns && !t.began(m.journal.Stage) {
		return m.resetAll(m.stagesOf(t), open.cause()) // the warm phase alone has touched nothing of blue
	}
	if without := open.Without.of(t); !returns || how.Turn != t.name || how.Discard != open.Discard || !how.Without.equal(without) {
		next := returning{Turn: t.name, Cause: open.cause(), Calm: slices.Contains(open.Calm, t.name), Discard: open.Discard, Without: without}
		if returns && how.Turn == t.name {
			next.Calm, next.Left = how.Calm, how.Left // the order in which it was begun
			if err := m.bringAgain(t, how.Without, without); err != nil {
				return err
			}
		}
		for _, left := range open.Left {
			if slices.Contains(t.names(), left.App) && !slices.Contains(next.Left, left) {
				next.Left = append(next.Left, left)
			}
		}
		how = next
		if err := m.journal.Note(noteReturning, how); err != nil {
			return err
		}
	}
	err := m.finishReturn(ctx, how, errors.New(how.Cause))
	var back *ReturnedError
	if errors.As(err, &back) && back.Incomplete == nil {
		return nil
	}
	if back != nil {
		err = back.Incomplete
	}
	return fmt.Errorf("the rollback is not complete: %w; run `crossfade rollback` again to finish it", err)
}

// bringAgain forgets what was brought back of buckets, or left, while green gave no answer, where it answers now and blue
// does not write yet: green's pods may have written after it.
func (m *Migration) bringAgain(t turn, before, now unreached) error {
	for _, a := range t.apps {
		if m.journal.Stage("thaw/"+a.Name).Plan != "" {
			return nil
		}
	}
	var names []string
	for _, b := range t.buckets {
		if before.Cluster != "" && now.Cluster == "" || before.Buckets[b.Name] != "" && now.Buckets[b.Name] == "" {
			names = append(names, "back-sync/"+b.Name)
		}
	}
	return m.resetAll(names, "green answers again")
}

// returnTTLStage gives the names their TTLs back, removes the fences and starts external-dns again, however far lowering them had come.
func (m *Migration) returnTTLStage() stage {
	const name = "return-ttl"
	return withStep(m, stage{name: name, title: m.returnTitle()},
		func(ctx context.Context) (cutover.RestoreOptions, error) {
			opts, err := m.returnTTLOptions(ctx)
			if err != nil {
				return cutover.RestoreOptions{}, err
			}
			opts.Held = cutover.UnderFences(opts.Held, m.fences())
			return m.withDNS(opts)
		},
		cutover.PlanRestoreTTL, restoreTTL)
}

func (m *Migration) returnTTLOptions(ctx context.Context) (cutover.RestoreOptions, error) {
	opts, err := m.namesOptions(ctx, "return-ttl", m.file.Applications...)
	if err != nil {
		return cutover.RestoreOptions{}, err
	}
	opts.Before, err = m.ttlsBefore(ctx)
	return cutover.RestoreOptions{Options: opts, Held: opts.Before.Held}, err
}

func (m *Migration) releaseNames(ctx context.Context, open rollback) error {
	log, err := m.log()
	if err != nil {
		return err
	}
	if !pausesOrTTLs(log) {
		return m.resetAll([]string{"return-ttl"}, open.cause())
	}
	if err := m.insist(ctx, m.returnTTLStage()); err != nil {
		return fmt.Errorf("the rollback is not complete: %w; run `crossfade rollback` again to finish it", err)
	}
	return m.resetAll([]string{"ttl", "return-ttl"}, open.cause())
}

// blueServesAgain forgets that blue was idle, and all that was concluded from it (I10).
func (m *Migration) blueServesAgain(why string) error {
	return errors.Join(m.resetAll([]string{"certificate", stageBrownOut, "idle", "retire", "restore-ttl"}, why), m.removeCertificate())
}

// unfinishedRollback finds a rollback that was begun and not ended.
func (m *Migration) unfinishedRollback() (rollback, bool) {
	var open rollback
	found := false
	m.journal.View(func(log *journal.Log) { open, _, found = openRollback(log) })
	return open, found
}

// openRollback finds the rollback that is not ended, and the record with which the first of its tries began. Where there is
// none, it finds the last one.
func openRollback(log *journal.Log) (last rollback, from int, open bool) {
	for i, r := range log.Records {
		switch {
		case r.Kind != journal.KindNoted:
		case r.Stage == noteRollback:
			var begun rollback
			if json.Unmarshal(r.Data, &begun) != nil {
				continue
			}
			if !open {
				from = i
			}
			last, open = begun, true
		case r.Stage == noteRolledBack:
			open = false
		}
	}
	return last, from, open
}

// writesRefused is how long no side accepted an application's writes, where green had accepted them before. Else they were
// refused since the freeze.
func (m *Migration) writesRefused(a migration.Application) time.Duration {
	thawed := m.journal.Stage("thaw/" + a.Name).Ended
	if a.Writes == migration.WritesNone || thawed.IsZero() {
		return 0
	}
	from := m.journal.Stage("freeze/" + a.Name).Began
	if m.journal.Stage("swap/"+a.Name).Finished || len(a.Hostnames) == 0 && m.journal.Stage("start/"+a.Name).Finished {
		for _, name := range []string{"thaw/", "stop/", "return/", "hold/"} {
			if began := m.journal.Stage(name + a.Name).Began; !began.IsZero() && began.Before(thawed) {
				from = began
			}
		}
	}
	return max(0, thawed.Sub(from))
}

// BucketBack is what was brought back to blue of one bucket.
type BucketBack struct {
	Name string `json:"name"`
	// New, Overwritten and Deleted count objects at blue.
	New         int64 `json:"new"`
	Overwritten int64 `json:"overwritten"`
	Deleted     int64 `json:"deleted"`
	Bytes       int64 `json:"bytes"`
	// Objects is how many both sides have, as proven.
	Objects int64 `json:"objects"`
	Proven  bool  `json:"proven"`
	// Conflicts changed on both sides and were left as they are; the first ones by name.
	Conflicts []string `json:"conflicts,omitempty"`
	// NotBrought says why what green wrote stayed there.
	NotBrought string `json:"notBrought,omitempty"`
}

// String is the bucket in one sentence.
func (b BucketBack) String() string {
	if b.NotBrought != "" {
		return fmt.Sprintf("bucket %s: what green wrote stays there: %s", b.Name, b.NotBrought)
	}
	return fmt.Sprintf("bucket %s: %d brought back, %d overwritten, %d deleted; %d objects proven equal", b.Name, b.New, b.Overwritten, b.Deleted, b.Objects)
}

// broughtBack reads what the finished way back of a turn has brought.
func (m *Migration) broughtBack(t turn) ([]BucketBack, error) {
	var list []BucketBack
	for _, b := range t.buckets {
		s := m.journal.Stage("back-sync/" + b.Name)
		if !s.Finished {
			continue
		}
		var r backResult
		if err := json.Unmarshal(s.Result, &r); err != nil {
			return nil, fmt.Errorf("read the result of %s: %w", s.Name, err)
		}
		back := BucketBack{
			Name: b.Name, New: r.Copied - r.Replaced, Overwritten: r.Replaced, Deleted: r.Deleted, Bytes: r.Bytes,
			Conflicts: r.ConflictKeys, NotBrought: r.NotBrought,
		}
		if r.Proof != nil {
			back.Objects, back.Proven = r.Proof.Objects-r.Proof.Kept, r.Proof.Equal
		}
		list = append(list, back)
	}
	return list, nil
}

// LeftBehind is something that green may have accepted and that cannot be brought to blue.
type LeftBehind struct {
	App  string `json:"app"`
	What string `json:"what"`
	Why  string `json:"why"`
}

// String is one line for people.
func (l LeftBehind) String() string { return l.What + ": " + l.Why }

func leftOf(all []LeftBehind, app string) []LeftBehind {
	return slices.DeleteFunc(slices.Clone(all), func(l LeftBehind) bool { return l.App != app })
}

// atGreenOnly lists what green may have accepted of a turn and no way back brings to blue. Users write to green from when
// the first name moves. What has no name may write from its start on; that counts where asked is set: a person can wait
// and look, while before the first name has moved a failed turn goes back by itself in any case.
func (m *Migration) atGreenOnly(ctx context.Context, t turn, of states, asked bool) []LeftBehind {
	var left []LeftBehind
	for _, a := range t.apps {
		since := time.Time{}
		if m.mayHaveMoved(ctx, a, of) {
			since = of(firstMove(a, of)).Began
		} else if s := of("start/" + a.Name); asked && len(a.Hostnames) == 0 && s.Plan != "" {
			since = s.Began
		}
		if !since.IsZero() {
			left = append(left, outOfSight(a, since)...)
		}
	}
	return left
}

// outOfSight names the data of an application that lies where no reverse sync reaches.
func outOfSight(a migration.Application, since time.Time) []LeftBehind {
	when := "what it has accepted on green since " + cmp.Or(since.UTC().Format("2006-01-02 15:04:05Z"))
	var left []LeftBehind
	add := func(what, why string) { left = append(left, LeftBehind{App: a.Name, What: what, Why: why}) }
	if a.Payload != nil {
		add("the payload of "+a.Name, when+" is in green's application; blue has its own, as it was at the freeze")
	}
	if a.Volumes == "empty" {
		add("the volumes of "+a.Name, when+" is in green's claims; blue's hold what they held at the freeze")
	}
	if a.Writes != migration.WritesNone && len(a.Buckets) == 0 && len(left) == 0 {
		add("the writes of "+a.Name, when+" lies where Crossfade cannot see: the file names no bucket for it")
	}
	return left
}

// mayHaveMoved reports whether users may have reached green by a name of the application. Where that cannot be found
// out, they may (I8).
func (m *Migration) mayHaveMoved(ctx context.Context, a migration.Application, of states) bool {
	name := movingStage(a, of)
	if name == "" {
		return false
	}
	s := of(name)
	if s.Finished || s.Done > 0 {
		return true
	}
	if m.splitAtEntry(a, of) {
		return true // who was there cannot be seen in the zone
	}
	swap, err := m.planInForce(ctx, s)
	if err != nil {
		return true
	}
	opts, err := m.namesOptions(ctx, s.Name, a)
	if err != nil {
		return true
	}
	log, err := m.log()
	if err != nil {
		return true
	}
	led, err := cutover.LeadsToGreen(ctx, cutover.ReturnOptions{Options: opts, App: a.Name, Swap: swap, Begun: log.Intended})
	return err != nil || len(led) > 0
}

// returnsSince are the notes of applications that went back since a record.
func returnsSince(log *journal.Log, from int) []returned {
	var notes []returned
	for _, r := range log.Records[from:] {
		var note returned
		if r.Kind == journal.KindNoted && r.Stage == noteReturned && json.Unmarshal(r.Data, &note) == nil {
			notes = append(notes, note)
		}
	}
	return notes
}
