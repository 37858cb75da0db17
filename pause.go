package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// WaitKind says what a migration waits for.
type WaitKind string

// Kinds of waits that can be longer than a process lives.
const (
	WaitsForTTL      WaitKind = "old-ttl"
	WaitsForWindow   WaitKind = "window"
	WaitsForApproval WaitKind = "approval"
	WaitsForIdle     WaitKind = "idle"
)

// Waiting is what a migration waits for before something begins, and until when. It is noted in the journal before the wait.
type Waiting struct {
	For WaitKind `json:"for"`
	// Stage is the ttl or idle stage, or the first stage of the turn that has not begun.
	Stage        string   `json:"stage"`
	Turn         string   `json:"turn,omitempty"`
	Wave         int      `json:"wave,omitempty"`
	Applications []string `json:"apps,omitempty"`
	// What is waited for, and the arithmetic of its end (C26).
	What string `json:"what"`
	Text string `json:"text"`
	// Until is when the wait ends by itself, at the earliest; an approval has none.
	Until *time.Time `json:"until,omitempty"`
	// Over says that Until has passed, and no run has gone on yet.
	Over bool `json:"over,omitempty"`
	// Plan is the hash of what is to be approved.
	Plan string `json:"plan,omitempty"`
}

// String says what is waited for, until when, and why then.
func (w Waiting) String() string {
	text := w.What
	if w.Until != nil {
		text += " until " + w.Until.UTC().Format(time.DateTime+" MST")
	}
	if w.Text != "" {
		text += " (" + w.Text + ")"
	}
	return text
}

// next is what to do about a wait, for people.
func (w Waiting) next() string {
	switch {
	case w.For == WaitsForApproval:
		return fmt.Sprintf("`crossfade run --approve %d`", w.Wave)
	case w.For == WaitsForWindow && w.Over:
		return "its time has come: say `crossfade run`, which goes on while the window is open, and waits for the next one otherwise"
	case w.Over:
		return "that is over: say `crossfade run`, which goes on now"
	case w.For == WaitsForIdle:
		return "leave `crossfade run` running, which watches"
	}
	return "`crossfade run` goes on then"
}

// PausedError says that a run ended before something that it does not wait for. Nothing has failed: the same command goes on.
type PausedError struct{ Waiting Waiting }

// Error says what is waited for, and what to type.
func (e *PausedError) Error() string {
	if e.Waiting.For == WaitsForApproval {
		return fmt.Sprintf("paused before wave %d (%s): it needs an approval: `crossfade run --approve %d`; %s", e.Waiting.Wave, strings.Join(e.Waiting.Applications, ", "), e.Waiting.Wave, e.Waiting.Text)
	}
	return fmt.Sprintf("paused before %s: it waits for %s; the same command goes on from there", e.Waiting.Stage, e.Waiting)
}

// noteWaiting is kept when a wait begins that may be longer than this process lives.
const noteWaiting = "waiting"

// waits notes a wait, unless the last note of its kind says the same: a cron job comes again and again.
func (m *Migration) waits(w Waiting) error {
	var last Waiting
	m.journal.View(func(log *journal.Log) {
		for _, raw := range log.Noted(noteWaiting) {
			var known Waiting
			if json.Unmarshal(raw, &known) == nil && known.For == w.For && known.Turn == w.Turn {
				last = known
			}
		}
	})
	same := last.For == w.For && last.Plan == w.Plan && (last.Until == nil) == (w.Until == nil) && (w.Until == nil || last.Until.Equal(*w.Until))
	if same && w.For != WaitsForApproval || same && !m.returnedSince(w) {
		return nil
	}
	return m.journal.Note(noteWaiting, w)
}

// returnedSince reports whether a wave that is waited for has come back from green since that was last noted.
func (m *Migration) returnedSince(w Waiting) bool {
	back := false
	m.journal.View(func(log *journal.Log) {
		for _, r := range log.Records {
			if r.Kind != journal.KindNoted {
				continue
			}
			switch r.Stage {
			case noteWaiting:
				var known Waiting
				if json.Unmarshal(r.Data, &known) == nil && known.For == w.For && known.Turn == w.Turn {
					back = false
				}
			case noteReturned:
				back = back || m.waveReturned(r, w.Wave)
			}
		}
	})
	return back
}

// oldTTLs notes what the ttl stage waits for, before it waits.
func (m *Migration) oldTTLs(waits []cutover.Wait) error { return m.waits(waitingForTTL(waits)) }

func waitingForTTL(waits []cutover.Wait) Waiting {
	longest := waits[len(waits)-1]
	w := Waiting{For: WaitsForTTL, Stage: "ttl", What: longest.What, Text: longest.Text, Until: &longest.Until}
	if more := len(waits) - 1; more > 0 {
		w.What += fmt.Sprintf(" and %d more that end before", more)
	}
	return w
}

// paused turns the pause of a step into the façade's.
func paused(err error) error {
	var step *cutover.PausedError
	if !errors.As(err, &step) {
		return err
	}
	return &PausedError{Waiting: waitingForTTL(step.Waits)}
}

// mayBegin holds a stage of a turn back that has not begun, until its wave is approved and a window is open in which the time is left
// that the turn takes. A turn that has begun is never held: blue is frozen. Nor is going back.
//
//	approval of the wave ── window with time left ── the warm sync ── window again ── freeze
func (m *Migration) mayBegin(ctx context.Context, s stage, opts RunOptions) error {
	if s.turn == "" || m.journal.Stage(s.name).Finished || m.turnBegan(s.turn) {
		return nil
	}
	t, _ := m.turnNamed(s.turn)
	if err := m.approved(ctx, t, s); err != nil {
		return err
	}
	for {
		waited, err := m.inWindow(ctx, t, s, opts)
		if err != nil || !waited || !strings.HasPrefix(s.name, "freeze/") {
			return err
		}
		// Blue has written for as long as the window was waited for: what differs must be little before its writes are refused.
		for _, b := range t.buckets {
			if err := m.journal.Reset("warm/"+b.Name, "a change window was waited for since"); err != nil {
				return err
			}
			if err := m.take(ctx, t.in(m.syncStage("warm/"+b.Name, b))); err != nil {
				return err
			}
		}
	}
}

// turnTime is how long a turn takes, with its arithmetic.
func (m *Migration) turnTime(t turn) (time.Duration, string, error) {
	opts := cutover.Options{Times: m.file.Cutover, Rehearsal: m.file.Rehearsal, Applications: m.file.Applications, Raised: m.raisedTTLs()}
	var held []cutover.Held
	if known, err := m.known("ttl"); err == nil && known.Finished {
		ttl, err := m.held()
		if err != nil {
			return 0, "", err
		}
		held = ttl.Names
	}
	spare := time.Duration(migration.DefaultWindowSpare)
	if w := m.file.Cutover.Windows; w != nil {
		spare = w.Spare.Or(migration.DefaultWindowSpare)
	}
	return cutover.TurnTime(opts, t.names(), held, spare)
}

// inWindow waits until a window is open that has the time left that a turn takes. It says whether it had to wait.
func (m *Migration) inWindow(ctx context.Context, t turn, s stage, opts RunOptions) (waited bool, err error) {
	w := m.file.Cutover.Windows
	if w == nil {
		return false, nil
	}
	schedule, err := w.Schedule()
	if err != nil {
		return false, err
	}
	need, text, err := m.turnTime(t)
	if err != nil {
		return false, err
	}
	for {
		now := m.opts.Clock.Now().UTC()
		begin, span, ok := schedule.Next(now, need)
		if !ok {
			return false, &RefusedError{Stage: s.name, Refusals: []plan.Refusal{tooShort(t, schedule.Longest(now), need, text)}}
		}
		local := func(at time.Time) string { return at.In(schedule.Location()).Format("Mon 2006-01-02 15:04:05 MST") }
		if !begin.After(now) {
			m.opts.Log.InfoContext(ctx, "the change window is open", "before", s.name, "until", local(span.To), "needed", text)
			return waited, nil
		}
		wait := Waiting{
			For: WaitsForWindow, Stage: s.name, Turn: t.name, Wave: t.wave, Applications: t.names(), Until: &begin, What: "a change window for " + strings.Join(t.names(), ", "),
			Text: fmt.Sprintf("%s to %s of %s; needed: %s", local(span.From), local(span.To), schedule, text),
		}
		if err := m.waits(wait); err != nil {
			return waited, err
		}
		m.notify(ctx)
		if opts.NoWait || begin.Sub(now) > w.Wait.Or(migration.DefaultWindowWait) {
			return waited, &PausedError{Waiting: wait}
		}
		waited = true
		m.opts.Log.InfoContext(ctx, "waiting", "for", wait.What, "because", wait.Text, "left", begin.Sub(now).Round(time.Second).String())
		if err := m.opts.Clock.Sleep(ctx, min(begin.Sub(now), 30*time.Second)); err != nil {
			return waited, fmt.Errorf("wait for %s: %w", wait.What, err)
		}
	}
}

func tooShort(t turn, longest, need time.Duration, text string) plan.Refusal {
	return plan.Refusal{
		What: "cutover.windows", Why: fmt.Sprintf("no window of the next 400 days is long enough for %s: the longest is %s, and needed are %s", strings.Join(t.names(), ", "), longest, text),
		Mend: fmt.Sprintf("open one of %s at least, lower soak, TTL, propagation or spare, or put the applications of this turn into several", need),
	}
}

// lookAtWaits says beforehand what waves will wait for, and refuses windows in which no turn could ever begin.
func (m *Migration) lookAtWaits(p *plan.Plan) {
	waves := map[int]bool{}
	for _, t := range m.turns() {
		if need, after := m.file.Cutover.ApprovalOf(t.wave); !waves[t.wave] && need != migration.ApprovalNone {
			text := fmt.Sprintf("it needs an approval before it begins: `crossfade run --approve %d`", t.wave)
			if need == migration.ApprovalGates {
				text = fmt.Sprintf("it begins when all checks of the wave before it have passed for %s more", after)
			}
			p.Note(plan.Info, fmt.Sprintf("wave %d", t.wave), text)
		}
		waves[t.wave] = true
		w := m.file.Cutover.Windows
		if w == nil {
			continue
		}
		schedule, err := w.Schedule()
		if err != nil {
			continue // said where the file is read
		}
		need, text, err := m.turnTime(t)
		if err != nil {
			p.Refuse("cutover.windows", err.Error(), "")
			continue
		}
		now := m.opts.Clock.Now()
		begin, _, ok := schedule.Next(now, need)
		if !ok {
			r := tooShort(t, schedule.Longest(now), need, text)
			p.Refuse(r.What, r.Why, r.Mend)
			continue
		}
		p.Note(plan.Info, t.name, fmt.Sprintf("it begins only in a change window (%s) with time left for %s; from now on the first is at %s", schedule, text, begin.In(schedule.Location()).Format("Mon 2006-01-02 15:04 MST")))
	}
}
