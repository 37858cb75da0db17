package transaction

import (
	"context"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Swap implements zone.Swapper.
func (e *Engine) Swap(ctx context.Context, change zone.Change) (zone.Result, error) {
	change, err := change.Normal(e.opts.Apex)
	if err != nil {
		return zone.Result{Strength: zone.Transactional}, err
	}
	var after []zone.RRset
	result, err := e.commit(ctx, func(ctx context.Context) (bool, batch, error) {
		at, fence, err := e.held(ctx, change)
		if err != nil {
			return false, batch{}, err
		}
		with, err := e.accompanied(ctx, change)
		if err != nil {
			return false, batch{}, err
		}
		there := ofType(at, change.Touched()...)
		after = plain(there)
		split := splits(there, change)
		switch {
		case split: // between its two sides: both ways out of it lead by one change
		case zone.SameSets(after, change.New) && with.after == nil:
			return true, batch{}, nil
		case !zone.SameSets(after, change.Old):
			return false, batch{}, fmt.Errorf("%w: %s holds %s, expected %s", zone.ErrMoved, change.Name, zone.Describe(after), zone.Describe(change.Old))
		}
		if with.before != nil {
			return false, batch{}, with.before
		}
		if err := e.checkLevel(ctx, change); err != nil {
			return false, batch{}, err
		}
		if others := ofType(at, change.Conflicting()...); len(others) > 0 {
			return false, batch{}, fmt.Errorf("%w: %s also holds %s", zone.ErrConflict, change.Name, zone.Describe(plain(others)))
		}
		next := batch{remove: slices.Concat(there, with.remove), add: slices.Concat(plainly(change.New), with.add)}
		return false, next.fenced(change.Fence, fence), nil
	})
	result.After = after
	if err != nil {
		return result, e.errorOf("swap "+change.Name, err)
	}
	return result, nil
}

// fenced adds the fence's part to a batch.
func (b batch) fenced(fence zone.Fence, now []Set) batch {
	if fence.Name != "" {
		b.remove = append(b.remove, ofType(now, "TXT")...)
		b.add = append(b.add, fenceSet(fence.Name, fence.Token, now))
	}
	return b
}

// Together implements zone.Joint: one change may touch several names.
func (e *Engine) Together() bool { return true }

// company is what was read of a change's companions.
type company struct {
	batch
	// before and after say what differs from how they are before the change, and from how they are after it.
	before, after error
}

func (e *Engine) accompanied(ctx context.Context, change zone.Change) (company, error) {
	var out company
	for _, w := range change.With {
		at, err := e.provider.At(ctx, w.Old.Name)
		if err != nil {
			return out, err
		}
		there := ofType(at, w.Old.Type)
		for _, set := range there {
			if set.Special != "" {
				return out, &specialError{set}
			}
		}
		found := plain(there)
		if !zone.SameSets(found, []zone.RRset{w.Old}) {
			out.before = fmt.Errorf("%w: %s holds %s, expected %s", zone.ErrMoved, w.Old.Name, zone.Describe(found), zone.Describe([]zone.RRset{w.Old}))
		}
		if !zone.SameSets(found, []zone.RRset{w.New}) {
			out.after = fmt.Errorf("%w: %s holds %s, not %s", zone.ErrMoved, w.New.Name, zone.Describe(found), zone.Describe([]zone.RRset{w.New}))
		}
		out.remove, out.add = append(out.remove, there...), append(out.add, Set{RRset: w.New})
	}
	return out, nil
}

// held reads the name and its fence. The fence must be ours, and no special set may be in the way but a split between the sides
// of the change.
func (e *Engine) held(ctx context.Context, change zone.Change) (at, fence []Set, err error) {
	if change.Fence.Name != "" {
		if fence, err = e.provider.At(ctx, change.Fence.Name); err != nil {
			return nil, nil, err
		}
		if found := token(fence); found != change.Fence.Token {
			return nil, nil, &zone.FencedError{Fence: change.Fence, Found: found}
		}
	}
	if at, err = e.provider.At(ctx, change.Name); err != nil {
		return nil, nil, err
	}
	for _, set := range append(ofType(at, change.Touched()...), ofType(at, change.Conflicting()...)...) {
		if _, _, ok := set.sides(change); set.Special != "" && !ok {
			return nil, nil, &specialError{set}
		}
	}
	return at, fence, nil
}

// checkLevel refuses a new name that could put a level into the tree below a wildcard (RFC 4592 section 2.2.2).
func (e *Engine) checkLevel(ctx context.Context, change zone.Change) error {
	parent := dnsx.Parent(change.Name)
	if len(change.Old) > 0 || change.Name == e.opts.Apex || parent == e.opts.Apex {
		return nil
	}
	if in, err := e.provider.InTree(ctx, parent); err != nil || in {
		return err
	}
	for wildcard := range zone.WildcardsAbove(parent, e.opts.Apex) {
		sets, err := e.provider.At(ctx, wildcard)
		if err != nil {
			return err
		}
		if len(sets) > 0 {
			return zone.LevelError(change, wildcard)
		}
	}
	return nil
}

func plain(sets []Set) []zone.RRset {
	var out []zone.RRset
	for _, set := range sets {
		out = append(out, set.RRset)
	}
	return out
}
