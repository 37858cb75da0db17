package crossfade

import (
	"encoding/json"
	"fmt"

	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// readLog reads the journal for those who only look, as the state store has it where Look found more there. Like Open, it
// refuses the journal of another migration.
func (m *Migration) readLog() (*journal.Log, error) {
	log, err := m.looked().log, error(nil)
	if log == nil {
		log, err = journal.Read(m.file.StateDir())
	}
	if err != nil {
		return nil, err
	}
	return log, m.owns(log)
}

// owns refuses the journal of another migration: its finished stages would pass for this one's, and all that was made
// on green bears the other's name. The first run says whose a journal is.
func (m *Migration) owns(log *journal.Log) error {
	notes := log.Noted(noteOutline)
	if len(notes) == 0 {
		return nil
	}
	var first outline
	if err := json.Unmarshal(notes[0], &first); err != nil {
		return fmt.Errorf("read whose journal is in %s: %w", m.file.StateDir(), err)
	}
	if first.Migration == m.file.Name {
		return nil
	}
	return &RefusedError{Stage: "migration " + m.file.Name, Refusals: []plan.Refusal{{
		What: "state", Why: fmt.Sprintf("%s holds the journal of migration %s", m.file.StateDir(), first.Migration),
		Mend: "give this migration a state.directory of its own, or its old name back",
	}}}
}
