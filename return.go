package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// noteReturning is kept before an application's turn is taken back, noteReturned after: what lies between them is taken up
// again by the next run.
const noteReturning = "returning"

// returning is the note of a turn that is being taken back.
type returning struct {
	Turn  string `json:"turn"`
	Cause string `json:"cause"`
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
	return ok && slices.ContainsFunc(t.apps, func(a migration.Application) bool { return m.journal.Stage("freeze/"+a.Name).Plan != "" })
}

// goBack takes the turn of a failed stage back: names lead to blue, green writes no more, blue accepts writes again. In this
// order, so that at no time two sides write (I7) and no name is without an answer (I2).
func (m *Migration) goBack(ctx context.Context, s stage, cause error) error {
	if err := m.journal.Note(noteReturning, returning{Turn: s.turn, Cause: cause.Error()}); err != nil {
		return errors.Join(cause, err)
	}
	return m.finishReturn(ctx, s.turn, cause)
}

// finishReturn does what is left of going back.
func (m *Migration) finishReturn(ctx context.Context, turnName string, cause error) error {
	t, ok := m.turnNamed(turnName)
	if !ok {
		return fmt.Errorf("the journal tells of a return of %s, which the migration file does not have any more: put the applications of that wave back as they were", turnName)
	}
	result := &ReturnedError{Cause: cause}
	for _, a := range t.apps {
		result.Apps = append(result.Apps, a.Name)
	}
	m.event(Event{Kind: Returning, Stage: "return/" + t.apps[0].Name, Text: cause.Error()})
	for _, s := range m.wayBack(t) {
		if err := m.insist(ctx, s); err != nil {
			result.Incomplete = err
			return result
		}
	}
	result.Incomplete = m.forget(t, cause)
	return result
}

// insistFor is how long a stage of the way back is tried again: while it fails, nobody can write.
const insistFor = 2 * time.Minute

// insist takes a stage of the way back, and again where a server was only silent for a while: often it is what broke the
// turn off. What is refused is not tried again, since a person must mend it.
func (m *Migration) insist(ctx context.Context, s stage) error {
	until, pause := m.opts.Clock.Now().Add(insistFor), time.Second
	for {
		err := m.take(ctx, s)
		var refused *plan.RefusedError
		if err == nil || errors.As(err, &refused) || !m.opts.Clock.Now().Add(pause).Before(until) {
			return err
		}
		m.opts.Log.WarnContext(ctx, "going back is tried again", "stage", s.name, "pause", pause, "limit", insistFor, "because", err.Error())
		if serr := m.opts.Clock.Sleep(ctx, pause); serr != nil {
			return errors.Join(err, serr)
		}
		pause = min(2*pause, 15*time.Second)
	}
}

// wayBack is the pipeline of going back.
func (m *Migration) wayBack(t turn) []stage {
	var list []stage
	for _, a := range slices.Backward(t.apps) {
		if m.journal.Stage("swap/"+a.Name).Plan == "" {
			continue
		}
		list = append(list, m.returnStage(a))
		if a.Dark != migration.DarkReadOnly {
			// Stopping green would leave those without an answer who still have its address.
			list = append(list, m.returnSettleStage(a))
		}
	}
	for _, a := range slices.Backward(t.apps) {
		if m.journal.Stage("start/"+a.Name).Plan != "" {
			list = append(list, m.stopStage(a))
		}
	}
	for _, a := range slices.Backward(t.apps) {
		if m.journal.Stage("freeze/"+a.Name).Plan != "" {
			list = append(list, m.thawStage(a))
		}
	}
	return list
}

// forget makes the turn's stages undone, so that a later run takes the turn again, and keeps the note of the return.
func (m *Migration) forget(t turn, cause error) error {
	var names []string
	for _, s := range m.pipeline() {
		if s.turn == t.name {
			names = append(names, s.name)
		}
	}
	// The way back comes last and whole: a later return must take all of it again, and one that is killed here must not.
	for _, a := range t.apps {
		names = append(names, "return/"+a.Name, "return-settle/"+a.Name, "stop/"+a.Name, "thaw/"+a.Name)
	}
	for _, name := range names {
		if m.journal.Stage(name).Plan == "" {
			continue
		}
		if err := m.journal.Reset(name, "taken back: "+cause.Error()); err != nil {
			return err
		}
	}
	for _, a := range t.apps {
		if err := m.journal.Note(noteReturned, returned{App: a.Name, Why: cause.Error(), At: m.opts.Clock.Now().UTC()}); err != nil {
			return err
		}
	}
	return nil
}

// unfinishedReturn finds a return that an earlier run began and did not end.
func (m *Migration) unfinishedReturn() (returning, bool) {
	var open returning
	found := false
	m.journal.View(func(log *journal.Log) {
		begun, ended := log.Noted(noteReturning), log.Noted(noteReturned)
		if len(begun) == 0 {
			return
		}
		if err := json.Unmarshal(begun[len(begun)-1], &open); err != nil {
			return
		}
		t, ok := m.turnNamed(open.Turn)
		found = !ok || countReturned(ended, t.apps[0].Name) < countReturning(begun, open.Turn)
	})
	return open, found
}

func countReturning(notes []json.RawMessage, turn string) int {
	n := 0
	for _, raw := range notes {
		var r returning
		if json.Unmarshal(raw, &r) == nil && r.Turn == turn {
			n++
		}
	}
	return n
}

func countReturned(notes []json.RawMessage, app string) int {
	n := 0
	for _, raw := range notes {
		var r returned
		if json.Unmarshal(raw, &r) == nil && r.App == app {
			n++
		}
	}
	return n
}

func (m *Migration) returnStage(a migration.Application) stage {
	name := "return/" + a.Name
	return withStep(m, stage{name: name, app: a.Name, title: "move the names of " + a.Name + " back to blue"},
		func(ctx context.Context) (cutover.ReturnOptions, error) {
			opts, err := m.cutoverOptions(ctx, name)
			if err != nil {
				return cutover.ReturnOptions{}, err
			}
			swap, err := m.journal.LoadPlan("swap/" + a.Name)
			return cutover.ReturnOptions{Options: opts, App: a.Name, Swap: swap}, err
		},
		cutover.PlanReturn, cutover.ApplyReturn)
}

func (m *Migration) returnSettleStage(a migration.Application) stage {
	name := "return-settle/" + a.Name
	return withStep(m, stage{name: name, app: a.Name, title: "wait until no cache leads to green for " + a.Name},
		func(ctx context.Context) (cutover.SettleOptions, error) {
			opts, err := m.cutoverOptions(ctx, name)
			if err != nil {
				return cutover.SettleOptions{}, err
			}
			var back cutover.ReturnResult
			err = m.resultOf("return/"+a.Name, &back)
			return cutover.SettleOptions{Options: opts, App: a.Name, Moved: back.Names, Returned: true}, err
		},
		cutover.PlanSettle, cutover.ApplySettle)
}
