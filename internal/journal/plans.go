package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/crossfade-project/crossfade/internal/plan"
)

// SavePlan puts the plan of a stage on disk and records that it is the one in force.
func (j *Journal) SavePlan(p *plan.Plan) error {
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("save the plan of %s: %w", p.Stage, err)
	}
	hash := p.Hash()
	if err := writeDurably(planPath(j.dir, p.Stage, hash), raw); err != nil {
		return fmt.Errorf("save the plan of %s: %w", p.Stage, err)
	}
	if err := j.planSaved(planName(p.Stage, hash)); err != nil {
		return fmt.Errorf("save the plan of %s: %w", p.Stage, err)
	}
	return j.append(Record{Kind: KindPlanned, Stage: p.Stage, Plan: hash})
}

// LoadPlan returns the plan of a stage that is in force, or nil where there is none.
func (j *Journal) LoadPlan(stage string) (*plan.Plan, error) {
	s := j.Stage(stage)
	if s.Plan == "" {
		return nil, nil
	}
	return readPlan(j.dir, stage, s.Plan)
}

// PlanOf returns the plan with a hash of a stage, for readers of a journal.
func PlanOf(dir string, s Stage) (*plan.Plan, error) { return readPlan(dir, s.Name, s.Plan) }

func readPlan(dir, stage, hash string) (*plan.Plan, error) {
	path := planPath(dir, stage, hash)
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{Op: "read the plan of " + stage, Err: err, Hint: mendPlan}
	}
	p, err := parsePlan(raw, hash)
	if err != nil {
		return nil, &Error{Op: fmt.Sprintf("read the plan of %s in %s", stage, path), Err: err, Hint: mendPlan}
	}
	return p, nil
}

// mendPlan is what mends a plan that is gone or was edited.
const mendPlan = "the journal names it by its hash, so only that very file will do: put it back from a backup; where the migration file has a state.url, " +
	"remove the file, and the next run fetches it from there"

func parsePlan(raw []byte, hash string) (*plan.Plan, error) {
	var p plan.Plan
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if p.Hash() != hash {
		return nil, fmt.Errorf("it is not the plan that the journal names: %w", ErrBroken)
	}
	return &p, nil
}

// planName is the name of a plan within the state directory.
func planName(stage, hash string) string {
	return plansDir + "/" + strings.ReplaceAll(stage, "/", "_") + "-" + hash[:min(12, len(hash))] + ".json"
}

func planPath(dir, stage, hash string) string {
	return filepath.Join(dir, filepath.FromSlash(planName(stage, hash)))
}

// writeDurably replaces a file in one step: a crash leaves the old content or the new.
func writeDurably(path string, raw []byte) error { return writeDurablyFrom(path, bytes.NewReader(raw)) }

func writeDurablyFrom(path string, from io.Reader) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	name := tmp.Name()
	_, err = io.Copy(tmp, from)
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(name))
	}
	return syncDir(filepath.Dir(path))
}
