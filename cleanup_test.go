package crossfade

import (
	"errors"
	"testing"

	"github.com/crossfade-project/crossfade/internal/journal"
)

// What a cleanup takes away is what going on and going back need: it waits until neither can happen.
func TestACleanupIsRefusedWhileTheMigrationIsUnderWay(t *testing.T) {
	over := func(m *Migration, want bool) {
		t.Helper()
		var err error
		m.journal.View(func(log *journal.Log) { err = m.mustBeOver(log) })
		if want != (err == nil) || err != nil && !errors.As(err, new(*RefusedError)) {
			t.Errorf("over: %v, want %v", err, want)
		}
	}
	m := opened(t, load(t, named))
	over(m, false)
	finishes(t, m, "freeze/one", "certificate")
	over(m, false)
	finishes(t, m, "retire")
	over(m, false) // fences are still there
	finishes(t, m, "restore-ttl")
	over(m, true)

	m = opened(t, load(t, named))
	plans(t, m, "freeze/one")
	note(t, m, noteRollback, rollback{Whole: true})
	over(m, false) // it was begun
	note(t, m, noteRolledBack, struct{}{})
	over(m, true)
	plans(t, m, stageCleanup)
	over(m, true)
	plans(t, m, "export")
	over(m, false) // it goes on again

	m = opened(t, load(t, named))
	note(t, m, noteRollback, rollback{Turns: []string{"wave 2: two"}})
	note(t, m, noteRolledBack, struct{}{})
	over(m, false) // of one application alone
}
