package crossfade

import (
	"context"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// steps are the shares of an application's traffic that go to green before its names move.
func steps(a migration.Application) []int {
	if a.Shift == nil {
		return nil
	}
	return a.Shift.Steps
}

func shiftName(a migration.Application, percent int) string {
	return fmt.Sprintf("shift/%s/%d", a.Name, percent)
}

// shiftStage takes one step of a shift. What fails there goes back as after a swap: the names lead to blue alone again, first of all.
func (m *Migration) shiftStage(a migration.Application, step int) stage {
	to, from := a.Shift.Steps[step], 0
	if step > 0 {
		from = a.Shift.Steps[step-1]
	}
	name := shiftName(a, to)
	return backedUp(withStep(m, stage{name: name, title: fmt.Sprintf("lead %d%% of the traffic of %s to green, measured and watched", to, a.Name)},
		func(ctx context.Context) (cutover.ShiftOptions, error) {
			opts, err := m.cutoverOptions(ctx, name)
			if err != nil {
				return cutover.ShiftOptions{}, err
			}
			var baselines map[string]float64
			if step > 0 {
				if baselines, err = m.shiftBaselines(a); err != nil {
					return cutover.ShiftOptions{}, err
				}
			}
			before, err := m.shiftPlans(ctx, a)
			if err != nil {
				return cutover.ShiftOptions{}, err
			}
			ttl, err := m.held()
			return cutover.ShiftOptions{Options: opts, App: a.Name, Held: ttl.Of(a.Name), From: from, To: to, Before: before, Baselines: baselines}, err
		},
		cutover.PlanShift, cutover.ApplyShift))
}

// shiftBaselines are the numbers from before the first step, or nil where nothing is shifted.
func (m *Migration) shiftBaselines(a migration.Application) (map[string]float64, error) {
	if len(steps(a)) == 0 {
		return nil, nil
	}
	var first cutover.ShiftResult
	err := m.resultOf(shiftName(a, a.Shift.Steps[0]), &first)
	return first.Baselines, err
}

// moves are the stages that may have led users of an application to green, in their order: all shares that there could be, since the
// file may have named others when they were taken.
func moves(a migration.Application) []string { return append(shifts(a), "swap/"+a.Name) }

// shifts are the moves that are steps of a shift.
func shifts(a migration.Application) []string {
	var names []string
	for percent := 1; percent < 100; percent++ {
		names = append(names, shiftName(a, percent))
	}
	return names
}

// movingStage is the last stage that led users to green, or was about to: its plan has both sides of every name. Empty where none
// was planned.
func movingStage(a migration.Application, of states) string {
	for _, name := range slices.Backward(moves(a)) {
		if of(name).Plan != "" {
			return name
		}
	}
	return ""
}

// firstMove is the first of them that was planned, or empty.
func firstMove(a migration.Application, of states) string {
	for _, name := range moves(a) {
		if of(name).Plan != "" {
			return name
		}
	}
	return ""
}

// splitAtEntry reports whether requests of an application may have been split at blue's entry: what was planned counts, and not what the
// file says by now.
func (m *Migration) splitAtEntry(a migration.Application, of states) bool {
	for _, name := range shifts(a) {
		s := of(name)
		if s.Plan == "" {
			continue
		}
		p, err := journal.PlanOf(m.file.StateDir(), s)
		if err == nil && cutover.SplitsAtEntry(p) || err != nil && a.Shift.AtEntry() {
			return true
		}
	}
	return false
}

// unshiftStage leads all requests at blue's entry to blue again: the way back of a shift by ingress, and its end once the names have
// moved.
func (m *Migration) unshiftStage(name string, a migration.Application) stage {
	return withStep(m, stage{name: name, app: a.Name, title: "take away what split the traffic of " + a.Name + " at blue's entry"},
		func(ctx context.Context) (cutover.UnsplitOptions, error) {
			opts := cutover.Options{Migration: m.file.Name, Stage: name, Log: m.opts.Log, Clock: m.opts.Clock, Observer: observer{m}}
			blue, err := m.side(Blue)
			if err != nil {
				return cutover.UnsplitOptions{}, err
			}
			opts.Blue = cutover.Side{Kube: blue}
			plans, err := m.shiftPlans(ctx, a)
			return cutover.UnsplitOptions{Options: opts, App: a.Name, Shifts: plans}, err
		},
		cutover.PlanUnsplit, cutover.ApplyUnsplit)
}

// shiftEndStage is unshiftStage after the soak. Its failure is no reason to go back.
func (m *Migration) shiftEndStage(a migration.Application) stage {
	s := m.unshiftStage("shift-end/"+a.Name, a)
	s.stays, s.after = true, "the names to have moved"
	return s
}

// shiftPlans are the plans of all steps that were planned, in their order.
func (m *Migration) shiftPlans(ctx context.Context, a migration.Application) ([]*plan.Plan, error) {
	var plans []*plan.Plan
	for _, name := range shifts(a) {
		s, err := m.known(name)
		if err != nil {
			return nil, err
		}
		if s.Plan == "" {
			continue
		}
		p, err := m.planInForce(ctx, s)
		if err != nil {
			return nil, err
		}
		plans = append(plans, p)
	}
	return plans, nil
}
