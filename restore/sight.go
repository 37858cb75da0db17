package restore

import (
	"context"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/internal/plan"
)

// A Sight is what can be said about a restore before green's objects are read, or anything is written.
type Sight struct{ pl *planner }

// Look makes green's objects of the archive's. Of green it reads which cluster it is and what it serves, which every account
// may, so that it can also say which rights are missing.
func Look(ctx context.Context, opts Options) (*Sight, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	pl := &planner{opts: opts, plan: plan.New(opts.Migration, opts.Stage)}
	if pl.view, err = look(ctx, opts.Green); err != nil {
		return nil, fmt.Errorf("look at green: %w", err)
	}
	if pl.cargo, err = load(ctx, opts, pl.view, pl.plan); err != nil {
		return nil, fmt.Errorf("look at green: %w", err)
	}
	return &Sight{pl: pl}, nil
}

// Kinds refuses objects of kinds or versions that green does not serve and that nothing of the archive brings.
func (s *Sight) Kinds() []plan.Refusal {
	pl := s.afresh()
	pl.plan.Refusals = append(pl.plan.Refusals, s.pl.plan.Refusals...)
	pl.checkConversions()
	for _, it := range pl.cargo.items {
		if r, ok := pl.view.resource(it.running); !ok || !r.Can("create") {
			pl.refuseKind(it)
		}
	}
	return pl.plan.Refusals
}

// Classes refuses classes that green does not have.
func (s *Sight) Classes(ctx context.Context) ([]plan.Refusal, error) {
	pl := s.afresh()
	err := pl.checkClasses(ctx)
	return pl.plan.Refusals, err
}

// Room refuses what green's nodes have no room for.
func (s *Sight) Room(ctx context.Context) ([]plan.Refusal, error) {
	pl := s.afresh()
	err := pl.checkCapacity(ctx)
	return pl.plan.Refusals, err
}

// afresh is the same planner with nothing said yet, so that questions can be asked side by side.
func (s *Sight) afresh() *planner {
	pl := *s.pl
	pl.plan = plan.New(pl.opts.Migration, pl.opts.Stage)
	return &pl
}

// Makes reports whether an object of green comes with the restore.
func (s *Sight) Makes(kind, namespace, name string) bool {
	return slices.ContainsFunc(s.pl.cargo.items, func(it *item) bool {
		return it.key.Kind == kind && it.key.Namespace == namespace && it.key.Name == name
	})
}
