package bucketsync

import (
	"context"
	"fmt"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// hiddenNotes names what lies at the source where its driver keeps things of its own, and is none of them: no listing shows it, so that it is
// not copied. It is in the way of nothing, and nor is a place that may not be looked into.
func (e *engine) hiddenNotes(ctx context.Context, p *plan.Plan) error {
	var names []string
	n := 0
	for key, err := range bucket.Hidden(ctx, e.opts.From) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			p.Note(plan.Warning, e.opts.Name, "whether the source holds keys that are not copied, since its driver keeps things of its own there, could not be found out: "+err.Error())
			return nil
		}
		if !e.opts.listing().Holds(key) || !e.opts.Filter.takes(key) {
			continue
		}
		if n++; n <= maxKeys {
			names = append(names, fmt.Sprintf("%q", key))
		}
	}
	if n == 0 {
		return nil
	}
	named := strings.Join(names, ", ")
	if more := n - len(names); more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	p.Note(plan.Warning, e.opts.Name, "not copied is what lies where the source's driver keeps things of its own, and is none of them; what is wanted has to be moved elsewhere: "+named)
	return nil
}
