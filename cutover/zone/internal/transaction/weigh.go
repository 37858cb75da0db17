package transaction

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Weigh implements zone.Weigher: one change takes the sets that are there, exactly as they were read, and puts the new shares, or the
// plain old sets, in their place.
func (e *Engine) Weigh(ctx context.Context, w zone.Weighing) (zone.Result, error) {
	w, err := e.normal(w)
	if err != nil {
		return zone.Result{Strength: zone.Transactional}, err
	}
	result, err := e.commit(ctx, func(ctx context.Context) (bool, batch, error) {
		at, fence, err := e.held(ctx, w.Change)
		if err != nil {
			return false, batch{}, err
		}
		there := ofType(at, w.Touched()...)
		now, err := shareOf(there, w.Change)
		switch {
		case err != nil:
			return false, batch{}, err
		case now == w.To:
			return true, batch{}, nil
		case now != w.From:
			return false, batch{}, fmt.Errorf("%w: %d of 100 answers at %s are %s, expected %d", zone.ErrMoved, now, w.Name, zone.Describe(w.New), w.From)
		}
		if others := ofType(at, w.Conflicting()...); len(others) > 0 {
			return false, batch{}, fmt.Errorf("%w: %s also holds %s", zone.ErrConflict, w.Name, zone.Describe(plain(others)))
		}
		next := batch{remove: there, add: plainly(w.Old)}
		if w.To > 0 {
			next.add = split(w)
		}
		return false, next.fenced(w.Fence, fence), nil
	})
	if err != nil {
		return result, e.errorOf("split the answers of "+w.Name, err)
	}
	return result, nil
}

// Share implements zone.Weigher.
func (e *Engine) Share(ctx context.Context, change zone.Change) (int, error) {
	op := "read how the answers of " + change.Name + " are shared out"
	change, err := change.Normal(e.opts.Apex)
	if err != nil {
		return 0, err
	}
	at, err := e.provider.At(ctx, change.Name)
	if err != nil {
		return 0, e.errorOf(op, err)
	}
	share, err := shareOf(ofType(at, change.Touched()...), change)
	if err != nil {
		return 0, e.errorOf(op, err)
	}
	return share, nil
}

// JudgeWeighing implements zone.Weigher.
func (e *Engine) JudgeWeighing(w zone.Weighing) error {
	_, err := e.normal(w)
	return err
}

func (e *Engine) normal(w zone.Weighing) (zone.Weighing, error) {
	w, err := zone.NormalWeighing(w, e.opts.Apex)
	if err == nil && e.opts.Weighable != nil {
		err = e.opts.Weighable(w)
	}
	if err != nil {
		return w, e.errorOf("split the answers of "+w.Name, err)
	}
	return w, nil
}

// Underway implements zone.Resumer: a split is a change that has been made in part.
func (e *Engine) Underway(ctx context.Context, change zone.Change) (bool, error) {
	change, err := change.Normal(e.opts.Apex)
	if err != nil {
		return false, err
	}
	at, err := e.provider.At(ctx, change.Name)
	if err != nil {
		return false, e.errorOf("look up "+change.Name, err)
	}
	return splits(ofType(at, change.Touched()...), change), nil
}

// sides returns the weights of a split set, where its two answers are those of the change and nothing else.
func (s Set) sides(change zone.Change) (old, to int, ok bool) {
	find := func(sets []zone.RRset) (zone.RRset, bool) {
		i := slices.IndexFunc(sets, func(o zone.RRset) bool { return o.Type == s.Type })
		if i < 0 {
			return zone.RRset{}, false
		}
		return sets[i], true
	}
	before, has := find(change.Old)
	after, hasToo := find(change.New)
	if !has || !hasToo || len(s.Shares) != 2 || s.TTL != before.TTL || s.TTL != after.TTL {
		return 0, 0, false
	}
	is := func(share Share, set zone.RRset) bool {
		got := set
		got.Data = share.Data
		return dnsx.RRset(got).SameData(dnsx.RRset(set))
	}
	a, b := s.Shares[0], s.Shares[1]
	switch {
	case is(a, before) && is(b, after):
		return a.Weight, b.Weight, true
	case is(b, before) && is(a, after):
		return b.Weight, a.Weight, true
	}
	return 0, 0, false
}

// splits says whether every set is a split between the sides of the change, whatever the weights.
func splits(there []Set, change zone.Change) bool {
	return len(there) == len(change.Touched()) && len(there) > 0 && !slices.ContainsFunc(there, func(s Set) bool {
		_, _, ok := s.sides(change)
		return !ok
	})
}

// shareOf is how many of 100 answers are the new ones.
func shareOf(there []Set, change zone.Change) (int, error) {
	moved := fmt.Errorf("%w: %s holds %s, expected %s, or %s, or a part of both", zone.ErrMoved, change.Name, tell(there), zone.Describe(change.Old), zone.Describe(change.New))
	if !splits(there, change) {
		switch sets := plain(there); {
		case slices.ContainsFunc(there, func(s Set) bool { return s.Special != "" }):
			return 0, moved
		case zone.SameSets(sets, change.Old):
			return 0, nil
		case zone.SameSets(sets, change.New):
			return 100, nil
		}
		return 0, moved
	}
	share := -1
	for _, set := range there {
		old, to, _ := set.sides(change)
		if old+to != 100 || to == 0 || old == 0 || share >= 0 && share != to {
			return 0, moved
		}
		share = to
	}
	return share, nil
}

// split are the sets that answer with w.To of 100 from New.
func split(w zone.Weighing) []Set {
	var sets []Set
	for _, old := range w.Old {
		i := slices.IndexFunc(w.New, func(s zone.RRset) bool { return s.Type == old.Type })
		set := Set{RRset: zone.RRset{Name: old.Name, Type: old.Type, TTL: old.TTL}}
		set.Shares = []Share{
			{Side: zone.ShareOld, Weight: 100 - w.To, Data: old.Data},
			{Side: zone.ShareNew, Weight: w.To, Data: w.New[i].Data},
		}
		sets = append(sets, set)
	}
	return sets
}

// tell says in a line what a name holds, splits among it.
func tell(sets []Set) string {
	var texts []string
	for _, set := range sets {
		switch {
		case len(set.Shares) > 0:
			texts = append(texts, fmt.Sprintf("%s %s (TTL %d)", set.Type, Weights(set.Shares), set.TTL))
		case set.Special != "":
			texts = append(texts, set.Type+", "+set.Special)
		default:
			texts = append(texts, zone.Describe([]zone.RRset{set.RRset}))
		}
	}
	if len(texts) == 0 {
		return "nothing"
	}
	return strings.Join(texts, "; ")
}

// Weights says who has which weight in a split.
func Weights(shares []Share) string {
	var texts []string
	for _, s := range shares {
		texts = append(texts, fmt.Sprintf("%s by weight %d", strings.Join(s.Data, " "), s.Weight))
	}
	return strings.Join(texts, ", ")
}
