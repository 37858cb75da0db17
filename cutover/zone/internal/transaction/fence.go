package transaction

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Claim implements zone.Fencer.
func (e *Engine) Claim(ctx context.Context, guarded string, fence zone.Fence, previous string) error {
	op := "claim the fence of " + guarded
	fence, err := fence.Normal(e.opts.Apex)
	if err != nil {
		return e.errorOf(op, err)
	}
	if guarded, err = dnsx.Canonical(guarded); err != nil || !dnsx.InZone(guarded, e.opts.Apex) || guarded == fence.Name {
		return e.errorOf(op, fmt.Errorf("%w: the fence %s cannot guard %q", zone.ErrInvalid, fence.Name, guarded))
	}
	if previous != "" {
		if _, err := (zone.Fence{Name: fence.Name, Token: previous}).Normal(e.opts.Apex); err != nil {
			return e.errorOf(op, err)
		}
	}
	_, err = e.commit(ctx, e.moveFence(fence.Name, previous, fence.Token, func(ctx context.Context) error {
		at, err := e.provider.At(ctx, guarded)
		if err == nil && len(at) == 0 && guarded != e.opts.Apex {
			err = &zone.Error{
				Op: op, Hint: "make a record of the name's own first: a fence there could end a wildcard's answers",
				Err: fmt.Errorf("%w: %s has no record of its own", zone.ErrInvalid, guarded),
			}
		}
		return err
	}))
	if err != nil {
		return e.errorOf(op, err)
	}
	return nil
}

// Release implements zone.Fencer.
func (e *Engine) Release(ctx context.Context, fence zone.Fence) error {
	op := "release the fence " + fence.Name
	fence, err := fence.Normal(e.opts.Apex)
	if err != nil {
		return e.errorOf(op, err)
	}
	if _, err := e.commit(ctx, e.moveFence(fence.Name, fence.Token, "", nil)); err != nil {
		return e.errorOf(op, err)
	}
	return nil
}

// moveFence is the goal that a fence holds another token than now. Empty means no fence. check, where set, is asked before
// anything is written.
func (e *Engine) moveFence(name, from, to string, check func(context.Context) error) goal {
	return func(ctx context.Context) (bool, batch, error) {
		at, err := e.provider.At(ctx, name)
		if err != nil {
			return false, batch{}, err
		}
		expected := from
		if expected == "" {
			expected = to
		}
		switch found := token(at); {
		case found == to:
			return true, batch{}, nil
		case found != from:
			return false, batch{}, &zone.FencedError{Fence: zone.Fence{Name: name, Token: expected}, Found: found}
		}
		if check != nil {
			if err := check(ctx); err != nil {
				return false, batch{}, err
			}
		}
		for _, set := range ofType(at, "TXT", "CNAME") {
			if set.Special != "" || set.Type == "CNAME" {
				return false, batch{}, fmt.Errorf("%w: a %s record stands at %s", zone.ErrConflict, set.Type, name)
			}
		}
		next := batch{remove: ofType(at, "TXT")}
		if to != "" {
			next.add = []Set{fenceSet(name, to, at)}
		}
		return false, next, nil
	}
}

// Probe implements zone.Prober. It asks for the removal of records that cannot exist, near the name and at it, so that even a
// provider that took it would change nothing. A provider judges rights before conditions, so that the refusal says that the
// credentials suffice.
func (e *Engine) Probe(ctx context.Context, name string) error {
	op := "probe the conditions for " + name
	name, err := dnsx.Canonical(name)
	if err != nil {
		return e.errorOf(op, fmt.Errorf("%w: %w", zone.ErrInvalid, err))
	}
	fence, err := zone.FenceName(name, e.opts.Apex)
	if err != nil {
		return e.errorOf(op, err)
	}
	// Nobody else holds this token.
	foreign := "crossfade-probe-" + rand.Text()
	remove := []Set{{RRset: zone.RRset{Name: fence, Type: "TXT", TTL: fenceTTL, Data: []string{`"` + foreign + `"`}}}}
	if name != e.opts.Apex {
		remove = append(remove, Set{RRset: zone.RRset{Name: name, Type: "CNAME", TTL: fenceTTL, Data: []string{foreign + ".invalid."}}})
	}
	switch _, err := e.provider.Change(ctx, remove, nil); {
	case err == nil:
		return &zone.Error{
			Op: op, Hint: "change this zone by another driver: without conditions two writers could undo each other",
			Err: fmt.Errorf("%w: it took the removal of records that do not exist", zone.ErrConditionsIgnored),
		}
	case errors.Is(err, ErrCondition):
		return nil
	default:
		return e.errorOf(op, err)
	}
}
