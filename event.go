package crossfade

import "github.com/crossfade-project/crossfade/bucketsync"

// EventKind says what happened.
type EventKind string

// Kinds of events.
const (
	StageBegan   EventKind = "stage-began"
	StageEnded   EventKind = "stage-ended"
	StageSkipped EventKind = "stage-skipped" // an earlier run finished it
	Planned      EventKind = "planned"       // Changes says how many changes the stage has
	Warned       EventKind = "warned"        // Text is a warning of the stage's plan, which begins now
	ChangeEnded  EventKind = "change-ended"
	Copying      EventKind = "copying"   // Copy says how far a sync has come
	Comparing    EventKind = "comparing" // Copy says how far a comparison has come
	Returning    EventKind = "returning"
)

// Event is progress, as it happens. Nothing depends on events: the journal is the record.
type Event struct {
	Kind    EventKind            `json:"kind"`
	Stage   string               `json:"stage"`
	App     string               `json:"app,omitempty"`
	Text    string               `json:"text,omitempty"`
	Changes int                  `json:"changes,omitempty"`
	Skipped bool                 `json:"skipped,omitempty"`
	Copy    *bucketsync.Progress `json:"copy,omitempty"`
	Err     error                `json:"-"`
}

func (m *Migration) event(e Event) {
	e.Text, e.Err = m.redact.Text(e.Text), m.redact.Error(e.Err)
	m.logEvent(e)
	if m.opts.Events != nil {
		m.opts.Events(e)
	}
}
