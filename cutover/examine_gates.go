package cutover

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade/cutover/internal/prometheus"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// ExamineGates asks every query of every application once, before anything is changed: a typing error that would keep a gate
// from ever passing is found then, and not while blue is frozen. No data is only said, since green has none yet.
func ExamineGates(ctx context.Context, opts Options) (refusals []plan.Refusal, notes []plan.Note) {
	for _, app := range opts.Applications {
		for _, check := range app.Checks {
			if check.Prometheus == nil {
				continue
			}
			for _, q := range queriesOf(check.Prometheus) {
				what := fmt.Sprintf("%s: check %q: %s", app.Name, check.Name, q.field)
				text, hint := opts.examineQuery(ctx, check, q.text)
				switch {
				case hint != "":
					refusals = append(refusals, plan.Refusal{What: what, Why: text, Mend: hint})
				case text != "":
					notes = append(notes, plan.Note{Level: plan.Warning, What: what, Text: text + "; as long as that is so the gate does not pass"})
				}
			}
		}
	}
	return refusals, notes
}

type query struct{ field, text string }

func queriesOf(c *migration.PrometheusCheck) []query {
	list := []query{{"query", c.Query}}
	if c.Baseline != nil && c.Baseline.Query != "" {
		list = append(list, query{"baseline.query", c.Baseline.Query})
	}
	if c.Samples != nil {
		list = append(list, query{"samples.query", c.Samples.Query})
	}
	if c.Age != nil {
		list = append(list, query{"age.query", c.Age.Query})
	}
	return list
}

// examineQuery returns what is to be said of a query, and a hint where it is a refusal.
func (o Options) examineQuery(ctx context.Context, check migration.Check, text string) (say, hint string) {
	ctx, cancel := context.WithTimeout(ctx, check.Timeout.Or(defaultCheckTimeout))
	defer cancel()
	_, err := o.ask(ctx, check, text)
	return judgeQuery(err)
}

// takeBaselines asks for the numbers from before the swap that are compared after it. What is no number now refuses the plan: after the
// swap there would be nothing to compare with. An error means that a server gave no answer.
func takeBaselines(ctx context.Context, opts Options, app migration.Application, p *plan.Plan) (map[string]float64, error) {
	var taken map[string]float64
	for _, check := range app.Checks {
		if check.Prometheus == nil || check.Prometheus.Baseline == nil || check.Prometheus.Baseline.Query != "" {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, check.Timeout.Or(defaultCheckTimeout))
		n, err := opts.ask(limited, check, check.Prometheus.Query)
		cancel()
		var wrong *prometheus.QueryError
		var server *prometheus.ServerError
		what := fmt.Sprintf("check %q", check.Name)
		switch {
		case errors.As(err, &wrong), errors.As(err, &server), errors.Is(err, prometheus.ErrNoNumber):
			p.Refuse(what, "its number from before the swap cannot be taken: "+err.Error(), "mend the query or the server, or give baseline a query of its own")
			continue
		case err != nil:
			return nil, fmt.Errorf("take the baseline of %s: %w", what, err)
		}
		if taken == nil {
			taken = map[string]float64{}
		}
		taken[check.Name] = n.Value
		p.Note(plan.Info, app.Name, fmt.Sprintf("check %q compares with %s, its number from before the swap", check.Name, format(n.Value)))
	}
	return taken, nil
}
