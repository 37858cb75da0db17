package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// syncProven says in a sync's directory that both places were proven equal: what the destination has taken since is then known.
const syncProven = "proven.json"

// rememberProof notes that both places were proven equal.
func (s *Sync) rememberProof(m *SignedManifest) error {
	raw, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		path := filepath.Join(s.opts.Dir, syncProven)
		if err = os.WriteFile(path+".new", append(raw, '\n'), 0o600); err == nil {
			err = os.Rename(path+".new", path)
		}
	}
	if err != nil {
		return fmt.Errorf("note that both places were proven equal: %w", err)
	}
	return nil
}

// planBack plans to bring to the source what the destination has taken since both were proven equal.
func (s *Sync) planBack(ctx context.Context, engine bucketsync.Options) (*Plan, error) {
	from, to := engine.From.Describe().URL, engine.To.Describe().URL
	_, err := os.Stat(filepath.Join(s.opts.Dir, syncProven))
	if err == nil && !bucketsync.HasManifest(engine.Manifest) {
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		p := plan.New(syncName, syncName)
		p.Refuse(from, fmt.Sprintf("%s knows of no proof that %s and %s were equal: nothing else tells what was written to %s since from what was there before", s.opts.Dir, from, to, to),
			"name the directory of the sync that ended with --final as --state, and both places in the order of that sync")
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the last proof: %w", err)
	}
	return bucketsync.PlanBack(ctx, engine)
}

// back brings to the source what the destination has taken since.
func (s *Sync) back(ctx context.Context) (*SyncReport, error) {
	p, err := s.planBack(ctx, s.engine)
	if err == nil {
		err = p.Err()
	}
	if err != nil {
		return nil, err
	}
	report := &SyncReport{From: s.engine.To.Describe().URL, To: s.engine.From.Describe().URL}
	report.Rounds = 1
	report.Result, err = bucketsync.ApplyBack(ctx, p, &plan.MemoryRecorder{}, s.engine)
	return report, err
}

// notOnTheWayBack refuses a sync forward while a way back is under way: each would undo the other.
func (s *Sync) notOnTheWayBack(p *Plan) error {
	for _, path := range bucketsync.BackManifest(s.engine.Manifest) {
		switch _, err := os.Stat(path); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("look for a way back: %w", err)
		default:
			p.Refuse(s.engine.Name, "a way back was begun and is not finished: "+path+" is there", "run the same command with --reverse to its end")
			return nil
		}
	}
	return nil
}
