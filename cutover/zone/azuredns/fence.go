package azuredns

import (
	"context"
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Claim implements zone.Fencer.
func (d *Driver) Claim(ctx context.Context, guarded string, fence zone.Fence, previous string) error {
	op := "claim the fence of " + guarded
	fence, err := fence.Normal(d.apex)
	if err != nil {
		return d.errorOf(op, err)
	}
	if guarded, err = dnsx.Canonical(guarded); err != nil || !dnsx.InZone(guarded, d.apex) || guarded == fence.Name {
		return d.errorOf(op, fmt.Errorf("%w: the fence %s cannot guard %q", zone.ErrInvalid, fence.Name, guarded))
	}
	if err := d.again(ctx, func(ctx context.Context) (bool, error) { return d.take(ctx, guarded, fence, previous) }); err != nil {
		return d.errorOf(op, err)
	}
	for _, typ := range writable() {
		if err := d.again(ctx, func(ctx context.Context) (bool, error) { return d.stamp(ctx, guarded, typ, fence) }); err != nil {
			return d.errorOf(op, err)
		}
	}
	return nil
}

// take turns the token of a fence into another one. It says whether that is done.
func (d *Driver) take(ctx context.Context, guarded string, fence zone.Fence, previous string) (bool, error) {
	at, err := d.get(ctx, fence.Name, "TXT")
	switch token := at.text(); {
	case err != nil:
		return false, err
	case token == fence.Token:
		return true, nil
	case token != previous:
		return false, &zone.FencedError{Fence: fence, Found: token}
	}
	if at.meta(metaUnderway) == "" {
		if err := d.mustExist(ctx, guarded); err != nil {
			return false, err
		}
	}
	set := zone.RRset{Name: fence.Name, Type: "TXT", TTL: fenceTTL, Data: []string{dnsx.TextData(fence.Token)}}
	return false, d.put(ctx, set, at, map[string]*string{metaGuards: to.Ptr(guarded)})
}

// mustExist demands that a name have a record of its own: a fence beside one that only a wildcard answers for could put a
// level into the tree (C12).
func (d *Driver) mustExist(ctx context.Context, name string) error {
	for _, typ := range known() {
		at, err := d.get(ctx, name, typ)
		if err != nil {
			return err
		}
		if at.raw != nil {
			return nil
		}
	}
	return &zone.Error{
		Op: "claim the fence of " + name, Hint: "make a record of the name's own first: a fence there could end a wildcard's answers",
		Err: fmt.Errorf("%w: %s has no record of its own", zone.ErrInvalid, name),
	}
}

// stamp writes the token into the metadata of a guarded set. With it the set's etag changes, so that whoever read it
// before can no longer write it. The fence is read after the set: who has lost it leaves the set alone.
func (d *Driver) stamp(ctx context.Context, name, typ string, fence zone.Fence) (bool, error) {
	at, err := d.get(ctx, name, typ)
	if err != nil || at.raw == nil || at.meta(metaFence) == fence.Token {
		return true, err
	}
	if _, err := d.readFence(ctx, fence); err != nil {
		return false, err
	}
	return false, d.note(ctx, at, map[string]*string{metaFence: to.Ptr(fence.Token)})
}

// Release implements zone.Fencer. The stamps go first: a release that is broken off leaves the fence, and can be
// repeated.
func (d *Driver) Release(ctx context.Context, fence zone.Fence) error {
	op := "release the fence " + fence.Name
	fence, err := fence.Normal(d.apex)
	if err != nil {
		return d.errorOf(op, err)
	}
	at, err := d.get(ctx, fence.Name, "TXT")
	if err != nil {
		return d.errorOf(op, err)
	}
	if guarded := at.meta(metaGuards); guarded != "" && at.text() == fence.Token {
		for _, typ := range writable() {
			if err := d.again(ctx, func(ctx context.Context) (bool, error) { return d.unstamp(ctx, guarded, typ, fence) }); err != nil {
				return d.errorOf(op, err)
			}
		}
	}
	err = d.again(ctx, func(ctx context.Context) (bool, error) {
		at, err := d.get(ctx, fence.Name, "TXT")
		switch token := at.text(); {
		case err != nil:
			return false, err
		case token == "":
			return true, nil
		case token != fence.Token:
			return false, &zone.FencedError{Fence: fence, Found: token}
		}
		return false, d.remove(ctx, at)
	})
	if err != nil {
		return d.errorOf(op, err)
	}
	return nil
}

func (d *Driver) unstamp(ctx context.Context, name, typ string, fence zone.Fence) (bool, error) {
	at, err := d.get(ctx, name, typ)
	if err != nil || at.raw == nil || at.meta(metaFence) != fence.Token {
		return true, err
	}
	return false, d.note(ctx, at, map[string]*string{metaFence: nil})
}

// fenceTries is how often a write of a fence is tried where others write at the same time. Each time somebody else's
// write was carried out, so that not all can go on for ever.
const fenceTries = 20

// again calls do until it says that everything is as it should be. do reads, writes by the etag that it read, and is
// called again after a write, after one whose condition was false, and after one of which nothing is known.
func (d *Driver) again(ctx context.Context, do func(ctx context.Context) (bool, error)) error {
	var lost error
	for range fenceTries {
		if err := ctx.Err(); err != nil {
			return errors.Join(err, lost)
		}
		done, err := do(ctx)
		switch {
		case done || err != nil && !failed(err) && !uncertain(err):
			return err
		case uncertain(err):
			if lost != nil {
				return fmt.Errorf("%w: %w", zone.ErrUncertain, err)
			}
			lost = err
		}
	}
	return fmt.Errorf("%w: others write there all the time", zone.ErrMoved)
}
