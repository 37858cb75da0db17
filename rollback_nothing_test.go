package crossfade

import (
	"testing"

	"github.com/crossfade-project/crossfade/internal/lease"
)

// An empty journal is no proof that nothing was begun: whoever held the lease with another state directory has begun.
func TestI08_AnEmptyJournalIsNoProofThatBlueIsAsItWas(t *testing.T) {
	m := opened(t, load(t, kinds))
	refused := func(want bool) {
		t.Helper()
		p, err := m.PlanRollback(t.Context(), RollbackOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !p.Nothing || len(p.Turns) > 0 || (p.Err() != nil) != want {
			t.Errorf("nothing begun: %v, turns %v, refused: %v, want %v", p.Nothing, p.Turns, p.Err(), want)
		}
	}
	refused(false)
	note(t, m, noteLease, lease.Holder{Actor: "ann@desk", State: m.journal.ID()})
	refused(false) // its own, before a kill
	note(t, m, noteLease, lease.Holder{Actor: "bob@lab", State: "another"})
	refused(true)
	plans(t, m, "export")
	p, err := m.PlanRollback(t.Context(), RollbackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Nothing || p.Err() != nil {
		t.Errorf("begun: %+v", p)
	}
}

// A rollback that finds nothing begun notes nothing: a cleanup after it is refused as before.
func TestARollbackOfNothingOpensNoWayToACleanup(t *testing.T) {
	m := opened(t, load(t, kinds))
	r, err := m.nothingToTakeBack()
	if err != nil {
		t.Fatal(err)
	}
	if !r.Nothing || r.Whole {
		t.Errorf("%+v", r)
	}
	if err := m.mustBeOver(nil); err == nil {
		t.Error("the cleanup is not refused")
	}
}
