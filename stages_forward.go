package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// forwardStage lets blue pass on to green who still comes by an old address. Its failure is no reason to go back: green serves.
func (m *Migration) forwardStage(a migration.Application) stage {
	name := "forward/" + a.Name
	s := withStep(m, stage{name: name, title: "let blue pass on to green who still comes to " + a.Name, stays: true},
		func(ctx context.Context) (cutover.ForwardOptions, error) {
			opts, err := m.cutoverOptions(ctx, name)
			return cutover.ForwardOptions{Options: opts, App: a.Name, Helper: m.file.Blue.Helper}, err
		},
		cutover.PlanForward, cutover.ApplyForward)
	apply := s.apply
	s.apply = func(ctx context.Context, p *plan.Plan) (any, error) {
		result, err := apply(ctx, p)
		if err == nil || errors.Is(err, cutover.ErrNotUndone) {
			return result, err
		}
		// It was put back, so that the next one finds the Services anew.
		return nil, errors.Join(err, m.resetAll([]string{name}, err.Error()))
	}
	return s
}

// lookAtForwards refuses early what could not be passed on.
func (m *Migration) lookAtForwards(ctx context.Context, p *plan.Plan, reached bool) {
	for _, a := range m.file.Applications {
		if a.Forward == nil || !reached {
			continue // that a side was not reached is refused already
		}
		opts, err := m.cutoverOptions(ctx, "preflight")
		if err == nil {
			err = cutover.ExamineForward(ctx, p, cutover.ForwardOptions{Options: opts, App: a.Name, Helper: m.file.Blue.Helper})
		}
		if err != nil {
			p.Refuse("forward of "+a.Name, "whether blue can pass on to green could not be found out: "+err.Error(), "see that both clusters answer, or leave forward out")
		}
	}
}

// unforwardStage gives blue's Services their own pods back: blue answers by itself again.
func (m *Migration) unforwardStage(a migration.Application) stage {
	name := "unforward/" + a.Name
	return stage{
		name: name, app: a.Name, title: "let blue itself answer for " + a.Name + " again",
		plan: func(context.Context) (*plan.Plan, error) {
			p := plan.New(m.file.Name, name)
			p.Add(plan.Change{
				ID: name + "/serve", Action: "serve", Target: "blue: " + a.Name, App: a.Name,
				Why: "the plan of forward/" + a.Name + " is taken back: every Service gets its own selector and ports, and our pods go; this is the reverse itself",
			})
			return p, nil
		},
		apply: func(ctx context.Context, p *plan.Plan) (any, error) {
			forward, err := m.journal.LoadPlan("forward/" + a.Name)
			if err != nil || forward == nil {
				return struct{}{}, err
			}
			blue, err := m.side(Blue)
			if err != nil {
				return nil, err
			}
			opts := cutover.Options{Migration: m.file.Name, Stage: name, Blue: cutover.Side{Kube: blue}, Log: m.opts.Log, Clock: m.opts.Clock}
			err = plan.Run(ctx, p, m.journal, plan.RunOptions{Observer: observer{m}}, func(ctx context.Context, _ plan.Change) (any, error) {
				return struct{}{}, cutover.EndForward(ctx, forward, opts)
			})
			return struct{}{}, err
		},
	}
}

// forwards are the plans of the forwardings that are in force, by application.
func (m *Migration) forwards() (map[string]*plan.Plan, error) {
	plans := map[string]*plan.Plan{}
	for _, a := range m.file.Applications {
		s := m.journal.Stage("forward/" + a.Name)
		if !s.Finished || m.journal.Stage("unforward/"+a.Name).Finished {
			continue
		}
		p, err := m.journal.LoadPlan(s.Name)
		if err != nil {
			return nil, err
		}
		if p != nil {
			plans[a.Name] = p
		}
	}
	return plans, nil
}

// endForwards are the stages that end every forwarding before blue is deleted.
func (m *Migration) endForwards(of states) []stage {
	var list []stage
	for _, a := range m.file.Applications {
		if of("forward/"+a.Name).Plan != "" {
			list = append(list, m.unforwardStage(a))
		}
	}
	return list
}

// ForwardStatus is what is known of a blue that passes on to green.
type ForwardStatus struct {
	Since    time.Time `json:"since"`
	Services []string  `json:"services"`
	// Seen is who came as of the last look at blue's idleness; empty before the first one.
	Seen   string     `json:"seen,omitempty"`
	SeenAt *time.Time `json:"seenAt,omitempty"`
}

// forwardsIn reads from the journal whether blue passes an application on.
func forwardsIn(app string, log *journal.Log) *ForwardStatus {
	s := log.Stage("forward/" + app)
	if !s.Finished || log.Stage("unforward/"+app).Finished {
		return nil
	}
	var result cutover.ForwardResult
	if json.Unmarshal(s.Result, &result) != nil {
		return nil
	}
	status := &ForwardStatus{Since: result.Since, Services: result.Services}
	for _, raw := range log.Noted(noteSample) {
		var sample cutover.Sample
		if json.Unmarshal(raw, &sample) != nil || sample.At.Before(result.Since) {
			continue
		}
		for _, o := range sample.Observations {
			if o.Evidence == cutover.ForwardEvidenceName(app) {
				at := sample.At
				status.Seen, status.SeenAt = o.Text, &at
			}
		}
	}
	return status
}

// String is the forwarding in one line for people.
func (f ForwardStatus) String() string {
	text := fmt.Sprintf("blue passes on to green since %s", f.Since.Format(time.DateTime))
	if f.SeenAt != nil {
		text += fmt.Sprintf("; at %s: %s", f.SeenAt.Format(time.DateTime), f.Seen)
	}
	return text
}
