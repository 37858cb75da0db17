package crossfade

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/lease"
)

// neverBegan reports whether the journal tells of no stage at all.
func neverBegan(log *journal.Log) bool {
	return log == nil || !slices.ContainsFunc(log.Records, func(r journal.Record) bool {
		return r.Kind == journal.KindPlanned && !strings.HasPrefix(r.Stage, stageCleanup)
	})
}

// lookForBegun refuses a rollback whose journal is empty where something else tells that the migration was begun. A state
// directory that is lost, or another one than the run's, is no proof that blue is as it was (I8).
func (m *Migration) lookForBegun(ctx context.Context, p *RollbackPlan, log *journal.Log) error {
	const lost = "the migration was begun and is not in the journal of this state directory"
	mend := fmt.Sprintf("put the state directory of that run back at %s, or run where it is; without it nothing knows what blue was", m.file.StateDir())
	if log != nil && m.journal != nil {
		for _, raw := range log.Noted(noteLease) {
			var h lease.Holder
			if json.Unmarshal(raw, &h) == nil && h.State != m.journal.ID() {
				p.refuse("state", fmt.Sprintf("%s: %s held its lease with another", lost, h), mend)
				return nil
			}
		}
	}
	if blind := m.looked().blind; m.journal == nil && m.file.State != nil && m.file.State.URL != "" && blind != "" {
		p.refuse("state", "whether the migration was begun is in the state store, and that could not be read: "+blind, "see to it that it answers, then say it again")
		return nil
	}
	found, err := m.lookBeyond(ctx, "rollback", m.file.Applications, func(string) journal.Stage { return journal.Stage{} }, false)
	for _, n := range found.atGreen {
		p.refuse(n.Name, lost+": the name leads to green", mend)
	}
	for _, f := range found.fences {
		p.refuse(f.Name, lost+": "+f.Holds, f.Mend)
	}
	if err != nil && len(p.Refusals) == 0 {
		return fmt.Errorf("look what the names show: %w", err)
	}
	return nil
}

// nothingToTakeBack is the report of a rollback that found nothing begun. Nothing is noted: that all of it was rolled back would
// not be true, and would open the way to a cleanup.
func (m *Migration) nothingToTakeBack() (*RollbackReport, error) {
	r, err := m.rollbackReport(rollback{Whole: false})
	if err != nil {
		return nil, err
	}
	r.Nothing = true
	return r, nil
}
