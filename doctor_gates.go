package crossfade

import (
	"context"
	"slices"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// examineQueries asks every query of the file once: those of checks, and those of the retirement.
func (m *Migration) examineQueries(ctx context.Context) ([]plan.Refusal, []plan.Note) {
	opts := cutover.Options{Applications: m.file.Applications, Clock: m.opts.Clock, Secret: m.secret}
	refusals, notes := cutover.ExamineGates(ctx, opts)
	more, further := cutover.ExamineRetirement(ctx, opts, m.file.Retirement)
	return append(refusals, more...), append(notes, further...)
}

// gateChecks ask every query of the file's Prometheus checks, and of its retirement, once.
func (m *Migration) gateChecks() []check {
	asks := func(a migration.Application) bool {
		return slices.ContainsFunc(a.Checks, func(c migration.Check) bool { return c.Prometheus != nil })
	}
	if !slices.ContainsFunc(m.file.Applications, asks) && (m.file.Retirement == nil || len(m.file.Retirement.Prometheus) == 0) {
		return nil
	}
	return []check{{name: "gates", long: true, mend: "see that the Prometheus that the file names runs and can be reached from here", do: func(ctx context.Context, f *Finding) {
		refusals, notes := m.examineQueries(ctx)
		f.refused(refusals)
		for _, n := range notes {
			f.note("%s: %s", n.What, n.Text)
		}
		f.say("every query of Prometheus is taken")
	}}}
}
