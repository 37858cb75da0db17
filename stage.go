package crossfade

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade/internal/plan"
)

// stage is one entry of the pipeline: it plans when its inputs exist, then applies exactly that plan.
type stage struct {
	name string // as the journal calls it: "sync/shop"
	verb string // the verb that takes it by itself: "sync"
	turn string // the turn of which it is a part, or "" outside the waves
	// company are the applications of the turn.
	company []string
	app     string
	// bucket that a warm or final sync copies.
	bucket string
	// stays is set where a failure is no reason to go back to blue: green serves and has passed its soak.
	stays bool
	// leads is set for stages of the way back that lead users to blue.
	leads bool
	wave  int
	// backup is set where the stage begins only with a proven archive: it brings it to green, takes blue's writes away or moves
	// a name.
	backup bool
	// concludes is set where the stage says something of blue as a whole: the file must have every application then.
	concludes bool
	title     string // what it does, for progress and status
	// after says what the stage waits for before it can be planned; empty means that it can be planned before anything has
	// been changed.
	after string
	plan  func(ctx context.Context) (*plan.Plan, error)
	// apply returns the stage's result, which later stages and the report read from the journal.
	apply func(ctx context.Context, p *plan.Plan) (any, error)
}

// withStep lets a step plan and apply a stage. Each call gets options that are read afresh: between planning and applying,
// a run may have been killed and begun again.
func withStep[O, R any](m *Migration, s stage, options func(context.Context) (O, error),
	planner func(context.Context, O) (*plan.Plan, error),
	applier func(context.Context, *plan.Plan, plan.Recorder, O) (R, error),
) stage {
	s.plan = func(ctx context.Context) (*plan.Plan, error) {
		opts, err := options(ctx)
		if err != nil {
			return nil, err
		}
		return planner(ctx, opts)
	}
	s.apply = func(ctx context.Context, p *plan.Plan) (any, error) {
		opts, err := options(ctx)
		if err != nil {
			return nil, err
		}
		return applier(ctx, p, m.journal, opts)
	}
	return s
}

// take does a stage, or finds that it is done. A plan that an earlier run began with is gone on with, not made again.
func (m *Migration) take(ctx context.Context, s stage) error {
	if m.journal.Stage(s.name).Finished {
		m.event(Event{Kind: StageSkipped, Stage: s.name, App: s.app, Text: s.title})
		return nil
	}
	m.event(Event{Kind: StageBegan, Stage: s.name, App: s.app, Text: s.title})
	err := m.redact.Error(m.do(ctx, s))
	m.event(Event{Kind: StageEnded, Stage: s.name, App: s.app, Text: s.title, Err: err})
	return err
}

func (m *Migration) do(ctx context.Context, s stage) error {
	if err := m.hasAll(s); err != nil {
		return err
	}
	if err := m.proveBackup(ctx, s); err != nil {
		return err
	}
	p, err := m.journal.LoadPlan(s.name)
	if err != nil {
		return err
	}
	if p == nil {
		if p, err = m.planAnew(ctx, s); err != nil {
			return err
		}
		if err := m.journal.SavePlan(p); err != nil {
			return err
		}
	}
	m.event(Event{Kind: Planned, Stage: s.name, App: s.app, Changes: len(p.Changes)})
	m.warn(s, p)
	result, err := s.apply(ctx, p)
	// The manifests say what at a destination is this migration's own: the store must have them before the stage is over.
	merr := m.journal.Mirror(context.WithoutCancel(ctx))
	if err != nil {
		if err = m.again(s, fmt.Errorf("%s: %w", s.name, err)); merr != nil {
			err = errors.Join(err, merr)
		}
		return err
	}
	if merr != nil {
		return fmt.Errorf("%s: %w", s.name, merr)
	}
	return m.journal.Finish(s.name, result)
}

// planAnew makes the plan of a stage, which refuses nothing.
func (m *Migration) planAnew(ctx context.Context, s stage) (*plan.Plan, error) {
	p, err := s.plan(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", s.name, err)
	}
	m.cleanPlan(p)
	return p, p.Err()
}

// warn tells what the plan of a stage warns of, before the stage begins.
func (m *Migration) warn(s stage, p *plan.Plan) {
	for _, w := range warningsOf(p, m.redact) {
		m.event(w.event(s.app))
		m.mu.Lock()
		m.warnings = append(m.warnings, w)
		m.mu.Unlock()
	}
}

// again forgets a plan that no longer fits the world, so that the next run makes a new one. Changes that were
// made under it stay known to the steps: they find them in the world. Within a turn that has begun the plan is kept: going
// back undoes what was made under it, and forgets it then.
func (m *Migration) again(s stage, err error) error {
	if !errors.Is(err, plan.ErrMoved) || s.turn != "" && !s.stays && m.turnBegan(s.turn) {
		return err
	}
	return errors.Join(err, m.journal.Reset(s.name, err.Error()))
}

// observer passes a step's progress on as events.
type observer struct{ m *Migration }

// Began implements plan.Observer.
func (o observer) Began(string, plan.Change) {}

// Ended implements plan.Observer.
func (o observer) Ended(stage string, c plan.Change, skipped bool, err error) {
	o.m.event(Event{Kind: ChangeEnded, Stage: stage, App: c.App, Text: fmt.Sprintf("%s %s", c.Action, c.Target), Skipped: skipped, Err: err})
}
