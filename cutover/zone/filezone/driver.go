package filezone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// fenceTTL is short, though nobody who matters asks for a fence through a cache.
const fenceTTL = 60

// Options name one zone file.
type Options struct {
	// Apex is the zone's name, to which the file's names are relative until it says otherwise.
	Apex string
	// Path of the file. A symbolic link is followed.
	Path string
	// Log gets what is worth a line; nil is silent.
	Log *slog.Logger
}

// A Driver changes one file. It may be used by several goroutines and processes at once.
type Driver struct {
	apex string
	path string
	log  *slog.Logger
	// beforeReplacing is called before the file is compared with what was read; tests write to it there.
	beforeReplacing func()
}

var _ interface {
	zone.Zone
	zone.Lister
} = (*Driver)(nil)

// New checks the options. It does not look at the file.
func New(o Options) (*Driver, error) {
	fail := func(hint string, err error) (*Driver, error) {
		return nil, &zone.Error{Op: "set up the zone file " + o.Path, Hint: hint, Err: err}
	}
	apex, err := dnsx.Canonical(o.Apex)
	if err != nil {
		return fail("give the zone's name", err)
	}
	if !filepath.IsAbs(o.Path) {
		return fail("give the file's whole path", fmt.Errorf("%q is not absolute", o.Path))
	}
	d := &Driver{apex: apex, path: o.Path, log: o.Log, beforeReplacing: func() {}}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	return d, nil
}

// Apex implements zone.Zone.
func (d *Driver) Apex() string { return d.apex }

// Strength implements zone.Swapper: the file is replaced in one step, and loaded by whoever serves it later.
func (d *Driver) Strength() zone.Strength { return zone.Transactional }

// Lookup implements zone.Reader.
func (d *Driver) Lookup(ctx context.Context, name, typ string) (zone.RRset, error) {
	op := fmt.Sprintf("look up %s %s", name, typ)
	name, err := dnsx.Canonical(name)
	if err != nil {
		return zone.RRset{}, errorOf(op, fmt.Errorf("%w: %w", zone.ErrInvalid, err))
	}
	if err := ctx.Err(); err != nil {
		return zone.RRset{}, err
	}
	f, err := d.read()
	if err != nil {
		return zone.RRset{}, errorOf(op, err)
	}
	if set, ok := f.set(name, typ); ok {
		return set, nil
	}
	return zone.RRset{}, errorOf(op, zone.ErrNotExist)
}

// List implements zone.Lister.
func (d *Driver) List(ctx context.Context) ([]zone.RRset, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := d.read()
	if err != nil {
		return nil, errorOf("list the zone "+d.apex, err)
	}
	return f.sets(), nil
}

// Swap implements zone.Swapper.
func (d *Driver) Swap(ctx context.Context, change zone.Change) (zone.Result, error) {
	result := zone.Result{Strength: zone.Transactional}
	change, err := change.Normal(d.apex)
	if err != nil {
		return result, err
	}
	err = d.edit(ctx, func(f *file) ([]zone.RRset, error) {
		if err := f.checkFence(change.Fence); err != nil {
			return nil, err
		}
		result.After = f.touched(change)
		before, after := f.accompanied(change)
		switch {
		case zone.SameSets(result.After, change.New) && after == nil:
			return nil, nil
		case !zone.SameSets(result.After, change.Old):
			return nil, fmt.Errorf("%w: %s holds %s, expected %s", zone.ErrMoved, change.Name, zone.Describe(result.After), zone.Describe(change.Old))
		case before != nil:
			return nil, before
		}
		if err := zone.CheckLevel(change, d.apex, f.names()); err != nil {
			return nil, err
		}
		for _, typ := range change.Conflicting() {
			if set, ok := f.set(change.Name, typ); ok {
				return nil, fmt.Errorf("%w: %s also holds %s", zone.ErrConflict, change.Name, zone.Describe([]zone.RRset{set}))
			}
		}
		result.Attempts = 1
		var want []zone.RRset
		for _, typ := range change.Touched() {
			set := zone.RRset{Name: change.Name, Type: typ}
			if i := slices.IndexFunc(change.New, func(s zone.RRset) bool { return s.Type == typ }); i >= 0 {
				set = change.New[i]
			}
			want = append(want, set)
		}
		for _, w := range change.With {
			want = append(want, w.New)
		}
		return want, nil
	})
	if err != nil || result.Attempts == 0 {
		return result, errorOf("swap "+change.Name, err)
	}
	// What was written is read again: after the replacement, from the disk.
	f, err := d.read()
	if err != nil {
		return result, errorOf("swap "+change.Name, fmt.Errorf("%w: %w", zone.ErrUncertain, err))
	}
	_, after := f.accompanied(change)
	if result.After = f.touched(change); !zone.SameSets(result.After, change.New) || after != nil {
		return result, errorOf("swap "+change.Name, fmt.Errorf("%w to last: the file was written, and then somebody else changed the name: %w: it holds %s",
			zone.ErrUncertain, zone.ErrMoved, zone.Describe(result.After)))
	}
	result.Applied = true
	return result, nil
}

// Together implements zone.Joint: the file is replaced as a whole.
func (d *Driver) Together() bool { return true }

// Claim implements zone.Fencer.
func (d *Driver) Claim(ctx context.Context, guarded string, fence zone.Fence, previous string) error {
	op := "claim the fence of " + guarded
	fence, err := fence.Normal(d.apex)
	if err != nil {
		return errorOf(op, err)
	}
	if guarded, err = dnsx.Canonical(guarded); err != nil || !dnsx.InZone(guarded, d.apex) || guarded == fence.Name {
		return errorOf(op, fmt.Errorf("%w: the fence %s cannot guard %q", zone.ErrInvalid, fence.Name, guarded))
	}
	return errorOf(op, d.edit(ctx, func(f *file) ([]zone.RRset, error) {
		switch found := f.token(fence.Name); {
		case found == fence.Token:
			return nil, nil
		case found != previous:
			return nil, &zone.FencedError{Fence: fence, Found: found}
		case !slices.Contains(f.names(), guarded):
			return nil, &zone.Error{
				Op: op, Hint: "make a record of the name's own first: a fence there could end a wildcard's answers",
				Err: fmt.Errorf("%w: %s has no record of its own", zone.ErrInvalid, guarded),
			}
		}
		return []zone.RRset{{Name: fence.Name, Type: "TXT", TTL: fenceTTL, Data: []string{dnsx.TextData(fence.Token)}}}, nil
	}))
}

// Release implements zone.Fencer.
func (d *Driver) Release(ctx context.Context, fence zone.Fence) error {
	op := "release the fence " + fence.Name
	fence, err := fence.Normal(d.apex)
	if err != nil {
		return errorOf(op, err)
	}
	return errorOf(op, d.edit(ctx, func(f *file) ([]zone.RRset, error) {
		switch found := f.token(fence.Name); found {
		case "":
			return nil, nil
		case fence.Token:
			return []zone.RRset{{Name: fence.Name, Type: "TXT"}}, nil
		default:
			return nil, &zone.FencedError{Fence: fence, Found: found}
		}
	}))
}

// Probe implements zone.Prober. The conditions are this driver's own; what it finds out is whether the file can be read
// and replaced, by making the lock and a file beside it.
func (d *Driver) Probe(ctx context.Context, name string) error {
	op := "probe the zone file for " + name
	if _, err := zone.FenceName(name, d.apex); err != nil {
		return errorOf(op, err)
	}
	return errorOf(op, d.locked(ctx, func(path string) error {
		f, err := d.readAt(path)
		if err != nil {
			return err
		}
		if err := f.changeable(); err != nil {
			return err
		}
		return tryWriting(path)
	}))
}

// errorOf gives an error the form that callers show.
func errorOf(op string, err error) error {
	var told *zone.Error
	if err == nil || errors.As(err, &told) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	hint := ""
	if errors.Is(err, dnsx.ErrZoneFile) {
		hint = "the file must be a zone's master file, with everything in it and nothing included"
	}
	return &zone.Error{Op: op, Hint: hint, Err: err}
}
