package crossfade

import (
	"fmt"
	"log/slog"

	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/runlog"
)

// keepLog keeps all that is logged from here on in the state directory too, with details, whatever the user wants to see.
// Where that cannot be, the migration does without: the journal is the record.
func (m *Migration) keepLog() {
	var err error
	if m.runLog, err = runlog.Open(m.file.StateDir()); err != nil {
		m.opts.Log.Warn("no log of this run is kept", "because", err.Error())
		return
	}
	kept := slog.NewJSONHandler(m.runLog, &slog.HandlerOptions{Level: slog.LevelDebug})
	m.opts.Log = slog.New(runlog.Tee(m.opts.Log.Handler(), m.redact.Handler(kept)))
}

// kept writes to the log of the state directory only: the user is told in other ways.
func (m *Migration) kept(msg string, err error, attrs ...any) {
	if m.runLog == nil {
		return
	}
	log := slog.New(m.redact.Handler(slog.NewJSONHandler(m.runLog, nil)))
	if err != nil {
		log.Error(msg, append(attrs, "error", err.Error())...)
		return
	}
	log.Info(msg, attrs...)
}

func (m *Migration) logBegin(verb string, opts any) {
	m.kept(verb+" began", nil, "migration", m.file.Name, "version", m.opts.Tool, "actor", m.opts.Actor, "options", fmt.Sprintf("%+v", opts))
}

// logEnd logs how a verb ended, and returns its error without secrets.
func (m *Migration) logEnd(verb string, err error) error {
	err = m.redact.Error(err)
	m.kept(verb+" ended", err)
	return err
}

func (m *Migration) logEvent(e Event) {
	switch e.Kind {
	case Copying, Comparing: // many times a second
	case ChangeEnded:
		m.kept("progress", e.Err, "kind", string(e.Kind), "stage", e.Stage, "text", e.Text, "skipped", e.Skipped)
	default:
		m.kept("progress", e.Err, "kind", string(e.Kind), "stage", e.Stage, "text", e.Text)
	}
}

// cleanPlan takes secrets out of what a plan says to people, and says of refusals where in the file they are at home. What Apply
// consumes is left alone: steps put no secrets there.
func (m *Migration) cleanPlan(p *plan.Plan) {
	for i := range p.Refusals {
		r := &p.Refusals[i]
		r.Why = m.redact.Text(r.Why)
		if r.At == "" {
			r.At = m.file.Place(r.What)
		}
	}
	for i := range p.Notes {
		p.Notes[i].Text = m.redact.Text(p.Notes[i].Text)
	}
}
