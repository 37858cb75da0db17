package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// A Zone is one zone. It may be used by several goroutines at once.
type Zone struct {
	apex string

	mu    sync.Mutex
	names map[string]map[string]zone.RRset // by name and type
}

// New returns a zone that holds the sets.
func New(apex string, sets ...zone.RRset) (*Zone, error) {
	apex, err := dnsx.Canonical(apex)
	if err != nil {
		return nil, fmt.Errorf("make zone in memory: %w", err)
	}
	z := &Zone{apex: apex, names: map[string]map[string]zone.RRset{}}
	return z, z.Put(sets...)
}

// Put writes sets without any condition, as another writer would.
func (z *Zone) Put(sets ...zone.RRset) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, set := range sets {
		normal, err := dnsx.Normal(dnsx.RRset(set))
		if err != nil {
			return fmt.Errorf("put into zone %s: %w", z.apex, err)
		}
		if !dnsx.InZone(normal.Name, z.apex) {
			return fmt.Errorf("put into zone %s: %w: %s is not in it", z.apex, zone.ErrInvalid, normal.Name)
		}
		z.put(zone.RRset(normal))
	}
	return nil
}

func (z *Zone) put(set zone.RRset) {
	if z.names[set.Name] == nil {
		z.names[set.Name] = map[string]zone.RRset{}
	}
	set.Data = slices.Clone(set.Data)
	z.names[set.Name][set.Type] = set
}

func (z *Zone) remove(name, typ string) {
	delete(z.names[name], typ)
	if len(z.names[name]) == 0 {
		delete(z.names, name)
	}
}

// Apex implements zone.Zone.
func (z *Zone) Apex() string { return z.apex }

// Strength implements zone.Swapper.
func (z *Zone) Strength() zone.Strength { return zone.Atomic }

// Lookup implements zone.Reader.
func (z *Zone) Lookup(ctx context.Context, name, typ string) (zone.RRset, error) {
	if err := ctx.Err(); err != nil {
		return zone.RRset{}, err
	}
	name, err := dnsx.Canonical(name)
	if err != nil {
		return zone.RRset{}, fmt.Errorf("look up %s: %w", typ, err)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if set, ok := z.answer(name, typ); ok {
		return set, nil
	}
	return zone.RRset{}, &zone.Error{Op: fmt.Sprintf("look up %s %s", name, typ), Err: zone.ErrNotExist}
}

// answer is what a name server would say: a name that is not in the tree is answered for by the wildcard at its
// closest encloser (RFC 4592 section 3.3).
func (z *Zone) answer(name, typ string) (zone.RRset, bool) {
	at := name
	for encloser := name; !z.inTree(name) && dnsx.InZone(encloser, z.apex) && encloser != z.apex; {
		encloser = dnsx.Parent(encloser)
		if z.inTree(encloser) {
			at = "*." + encloser
			break
		}
	}
	set, ok := z.names[at][typ]
	set.Name, set.Data = name, slices.Clone(set.Data)
	return set, ok
}

// inTree says whether a name holds a record or stands above one.
func (z *Zone) inTree(name string) bool {
	if name == z.apex || len(z.names[name]) > 0 {
		return true
	}
	for other := range z.names {
		if strings.HasSuffix(other, "."+name) {
			return true
		}
	}
	return false
}

// Swap implements zone.Swapper.
func (z *Zone) Swap(ctx context.Context, change zone.Change) (zone.Result, error) {
	result := zone.Result{Strength: zone.Atomic}
	change, err := change.Normal(z.apex)
	if err != nil {
		return result, err
	}
	if err := ctx.Err(); err != nil {
		return result, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	fail := func(err error) (zone.Result, error) {
		return result, &zone.Error{Op: "swap " + change.Name, Err: err}
	}
	if err := z.checkFence(change.Fence); err != nil {
		return fail(err)
	}
	before, after := z.accompanied(change)
	switch {
	case z.holds(change, change.New) && after == nil:
		result.After = z.sets(change)
		return result, nil
	case !z.holds(change, change.Old):
		return fail(fmt.Errorf("%w: %s holds %v, expected %v", zone.ErrMoved, change.Name, z.sets(change), change.Old))
	case before != nil:
		return fail(before)
	}
	if err := z.checkLevel(change); err != nil {
		return fail(err)
	}
	for _, typ := range change.Conflicting() {
		if set, ok := z.names[change.Name][typ]; ok {
			return fail(fmt.Errorf("%w: %s also holds %v", zone.ErrConflict, change.Name, set))
		}
	}
	for _, set := range change.Old {
		z.remove(set.Name, set.Type)
	}
	for _, set := range change.New {
		z.put(set)
	}
	for _, w := range change.With {
		z.put(w.New)
	}
	result.Applied, result.Attempts, result.After = true, 1, z.sets(change)
	return result, nil
}

// Together implements zone.Joint.
func (z *Zone) Together() bool { return true }

// accompanied says of the companions what differs from how they are before the change, and from how they are after it.
func (z *Zone) accompanied(change zone.Change) (before, after error) {
	for _, w := range change.With {
		have := z.names[w.Old.Name]["TXT"]
		if !dnsx.RRset(have).Equal(dnsx.RRset(w.Old)) {
			before = fmt.Errorf("%w: %s holds %v, expected %v", zone.ErrMoved, w.Old.Name, have, w.Old)
		}
		if !dnsx.RRset(have).Equal(dnsx.RRset(w.New)) {
			after = fmt.Errorf("%w: %s holds %v, not %v", zone.ErrMoved, w.New.Name, have, w.New)
		}
	}
	return before, after
}

// checkLevel refuses a new level below a wildcard.
func (z *Zone) checkLevel(change zone.Change) error {
	parent := dnsx.Parent(change.Name)
	if len(change.Old) > 0 || change.Name == z.apex || z.inTree(parent) {
		return nil
	}
	for wildcard := range zone.WildcardsAbove(parent, z.apex) {
		if z.inTree(wildcard) {
			return zone.LevelError(change, wildcard)
		}
	}
	return nil
}

// sets returns what the name itself holds of the types that a change touches.
func (z *Zone) sets(change zone.Change) []zone.RRset {
	var out []zone.RRset
	for _, typ := range change.Touched() {
		if set, ok := z.names[change.Name][typ]; ok {
			set.Data = slices.Clone(set.Data)
			out = append(out, set)
		}
	}
	return out
}

func (z *Zone) holds(change zone.Change, want []zone.RRset) bool {
	have := z.sets(change)
	return len(have) == len(want) && !slices.ContainsFunc(have, func(s zone.RRset) bool {
		return !slices.ContainsFunc(want, func(o zone.RRset) bool { return dnsx.RRset(s).Equal(dnsx.RRset(o)) })
	})
}

func (z *Zone) checkFence(f zone.Fence) error {
	if f.Name == "" {
		return nil
	}
	if found := z.token(f.Name); found != f.Token {
		return &zone.FencedError{Fence: f, Found: found}
	}
	return nil
}

func (z *Zone) token(name string) string {
	var tokens []string
	for _, data := range z.names[name]["TXT"].Data {
		tokens = append(tokens, strings.Trim(data, `"`))
	}
	return strings.Join(tokens, " ")
}

// Claim implements zone.Fencer.
func (z *Zone) Claim(ctx context.Context, guarded string, fence zone.Fence, previous string) error {
	op := "claim the fence of " + guarded
	fence, err := fence.Normal(z.apex)
	if err != nil {
		return &zone.Error{Op: op, Err: err}
	}
	guarded, err = dnsx.Canonical(guarded)
	if err != nil || !dnsx.InZone(guarded, z.apex) || guarded == fence.Name {
		return &zone.Error{Op: op, Err: errors.Join(zone.ErrInvalid, err)}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	switch found := z.token(fence.Name); {
	case found == fence.Token:
		return nil
	case found != previous:
		return &zone.Error{Op: op, Err: &zone.FencedError{Fence: fence, Found: found}}
	case len(z.names[guarded]) == 0 && guarded != z.apex:
		return &zone.Error{Op: op, Err: fmt.Errorf("%w: %s has no record of its own", zone.ErrInvalid, guarded)}
	}
	z.put(zone.RRset{Name: fence.Name, Type: "TXT", TTL: 60, Data: []string{`"` + fence.Token + `"`}})
	return nil
}

// Release implements zone.Fencer.
func (z *Zone) Release(ctx context.Context, fence zone.Fence) error {
	fence, err := fence.Normal(z.apex)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	switch found := z.token(fence.Name); found {
	case "":
		return nil
	case fence.Token:
		z.remove(fence.Name, "TXT")
		return nil
	default:
		return &zone.Error{Op: "release the fence " + fence.Name, Err: &zone.FencedError{Fence: fence, Found: found}}
	}
}

// Probe implements zone.Prober: this zone keeps its conditions.
func (z *Zone) Probe(ctx context.Context, name string) error {
	if _, err := zone.FenceName(name, z.apex); err != nil {
		return err
	}
	return ctx.Err()
}

// List implements zone.Lister.
func (z *Zone) List(ctx context.Context) ([]zone.RRset, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	var out []zone.RRset
	for _, sets := range z.names {
		for _, set := range sets {
			set.Data = slices.Clone(set.Data)
			out = append(out, set)
		}
	}
	slices.SortFunc(out, func(a, b zone.RRset) int { return strings.Compare(a.Name+" "+a.Type, b.Name+" "+b.Type) })
	return out, nil
}
