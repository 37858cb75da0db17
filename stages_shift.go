package crossfade

import (
	"context"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/migration"
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
			ttl, err := m.held()
			return cutover.ShiftOptions{Options: opts, App: a.Name, Held: ttl.Of(a.Name), From: from, To: to, Baselines: baselines}, err
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
func moves(a migration.Application) []string {
	var names []string
	for percent := 1; percent < 100; percent++ {
		names = append(names, shiftName(a, percent))
	}
	return append(names, "swap/"+a.Name)
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
