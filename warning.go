package crossfade

import (
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/redact"
)

// Warning is what a plan that was carried out has warned of: who says yes beforehand has seen no plan.
type Warning struct {
	Stage string `json:"stage"`
	What  string `json:"what"`
	Text  string `json:"text"`
}

// warningsOf are the warnings among a plan's notes.
func warningsOf(p *plan.Plan, r *redact.Redactor) (all []Warning) {
	for _, n := range p.Notes {
		if n.Level == plan.Warning {
			all = append(all, Warning{Stage: p.Stage, What: n.What, Text: r.Text(n.Text)})
		}
	}
	return all
}

// event tells of it.
func (w Warning) event(app string) Event {
	return Event{Kind: Warned, Stage: w.Stage, App: app, Text: w.What + ": " + w.Text}
}
