package crossfade

import (
	"context"
	"slices"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// gateChecks ask every query of the file's Prometheus checks once.
func (m *Migration) gateChecks() []check {
	asks := func(a migration.Application) bool {
		return slices.ContainsFunc(a.Checks, func(c migration.Check) bool { return c.Prometheus != nil })
	}
	if !slices.ContainsFunc(m.file.Applications, asks) {
		return nil
	}
	return []check{{name: "gates", long: true, mend: "see that the Prometheus that checks ask runs and can be reached from here", do: func(ctx context.Context, f *Finding) {
		refusals, notes := cutover.ExamineGates(ctx, cutover.Options{Applications: m.file.Applications, Clock: m.opts.Clock, Secret: m.secret})
		f.refused(refusals)
		for _, n := range notes {
			f.note("%s: %s", n.What, n.Text)
		}
		f.say("every query of Prometheus is taken")
	}}}
}
