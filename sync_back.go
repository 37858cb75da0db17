package crossfade

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/internal/attest"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// syncProven says in a sync's directory of which keys both places were proven equal: what the destination has taken of them
// since is then known.
const syncProven = "proven.json"

// syncProof is what lies there.
type syncProof struct {
	// Choices are those that the proofs were made of, each once; where one of them was of every key, it stands alone.
	Choices []bucketsync.Filter `json:"choices"`
	// Last is the manifest of the last proof.
	Last *SignedManifest `json:"last"`
}

// proven reads what was proven. It is nil where nothing was, or nothing tells of which keys.
func (s *Sync) proven() (*syncProof, error) {
	raw, err := os.ReadFile(filepath.Join(s.opts.Dir, syncProven))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var was syncProof
	if err == nil {
		err = json.Unmarshal(raw, &was)
	}
	if err != nil {
		return nil, fmt.Errorf("look for the last proof: %w", err)
	}
	if len(was.Choices) == 0 {
		return nil, nil
	}
	return &was, nil
}

// rememberProof notes that both places were proven equal. What was proven of other keys before stays so: the manifest
// still says how they were.
func (s *Sync) rememberProof(m *SignedManifest) error {
	was, err := s.proven()
	now := syncProof{Choices: []bucketsync.Filter{s.opts.Filter}, Last: m}
	if err == nil && was != nil && !s.opts.Filter.Everything() {
		now.Choices = was.Choices
		if !slices.ContainsFunc(was.Choices, func(f bucketsync.Filter) bool { return f.Everything() || f.Equal(s.opts.Filter) }) {
			now.Choices = append(now.Choices, s.opts.Filter)
		}
	}
	var raw []byte
	if err == nil {
		raw, err = json.MarshalIndent(now, "", "  ")
	}
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

// planBack plans to bring to the source what the destination has taken of the proven keys since both were proven equal, and
// returns the options with which that is done. Of any other key nothing tells whether it was there before.
func (s *Sync) planBack(ctx context.Context, engine bucketsync.Options) (*Plan, bucketsync.Options, error) {
	from, to := engine.From.Describe().URL, engine.To.Describe().URL
	was, err := s.proven()
	if err != nil {
		return nil, engine, err
	}
	if was == nil || !bucketsync.HasManifest(engine.Manifest) {
		p := plan.New(syncName, syncName)
		p.Refuse(from, fmt.Sprintf("%s knows of no proof that %s and %s were equal: nothing else tells what was written to %s since from what was there before", s.opts.Dir, from, to, to),
			"name the directory of the sync that ended with --final as --state, and both places in the order of that sync")
		return p, engine, nil
	}
	engine.Filter = engine.Filter.Within(was.Choices...)
	p, err := bucketsync.PlanBack(ctx, engine)
	if err == nil && len(engine.Filter.Among) > 0 {
		p.Note(plan.Info, from, "brought back is "+engine.Filter.String()+" alone, as it was proven: no other key is touched")
	}
	return p, engine, err
}

// back brings to the source what the destination has taken since.
func (s *Sync) back(ctx context.Context) (*SyncReport, error) {
	report := &SyncReport{From: s.engine.To.Describe().URL, To: s.engine.From.Describe().URL}
	p, engine, err := s.planBack(ctx, s.engine)
	if err == nil {
		s.warn(p, report)
		err = p.Err()
	}
	if err != nil {
		return report, err
	}
	report.Rounds = 1
	report.Result, err = bucketsync.ApplyBack(ctx, p, &plan.MemoryRecorder{}, engine)
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

// manifestPath is where a proof leaves its signed manifest.
func (s *Sync) manifestPath() string {
	return cmp.Or(s.opts.WriteManifest, filepath.Join(s.opts.Dir, provenManifest))
}

// replacesManifest refuses to put a manifest into the place of what is none.
func (s *Sync) replacesManifest() error {
	if err := attest.MayReplace(s.manifestPath()); err != nil {
		return &InputError{&mend.Error{Op: "write a signed manifest", Err: err, Hint: "name another file with --write-manifest"}}
	}
	return nil
}

// keepsProof refuses a proof whose manifest would take the place of one of other keys: a wider one is never lost to a narrower. What is
// no manifest proves nothing that could be lost.
func (s *Sync) keepsProof(p *Plan) {
	path := s.manifestPath()
	head, err := attest.ReadHeader(path)
	if err != nil || s.opts.Filter.Everything() {
		return
	}
	if was := choiceOf(head); !was.Equal(s.opts.Filter) {
		p.Refuse(s.engine.Name, fmt.Sprintf("%s is the signed manifest of %s, and this proof would be of %s alone", path, was, s.opts.Filter),
			"name another file with --write-manifest, or prove every key")
	}
}

// choiceOf is the choice of keys of a signed manifest.
func choiceOf(head attest.Header) bucketsync.Filter {
	return bucketsync.Filter{Include: head.Include, Exclude: head.Exclude}
}
