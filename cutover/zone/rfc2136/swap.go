package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Swap implements zone.Swapper.
func (d *Driver) Swap(ctx context.Context, change zone.Change) (zone.Result, error) {
	result := zone.Result{Strength: zone.Atomic}
	change, err := change.Normal(d.apex)
	if err != nil {
		return result, err
	}
	op := "swap " + change.Name
	if newAlias(change) {
		if err := d.checkAlias(ctx, change); err != nil {
			return result, d.errorOf(op, err)
		}
	}
	var after []zone.RRset
	result, err = d.commit(ctx, goal{
		done: func(ctx context.Context) (bool, error) {
			done, found, err := d.inspect(ctx, change)
			after = found
			return done, err
		},
		message: func() (*dns.Msg, error) { return d.swapMessage(change) },
		explain: func(ctx context.Context, reply *ReplyError) error { return d.explain(ctx, change, reply) },
		mend: func(ctx context.Context) (bool, error) {
			if len(after) > 0 || len(change.New) == 0 {
				return false, nil
			}
			d.log.Error("the server took the old records away and did not add the new ones: they are put there now", "name", change.Name)
			return true, d.fill(ctx, change)
		},
	})
	result.After = after
	if err != nil {
		return result, d.errorOf(op, err)
	}
	return result, nil
}

// inspect reads the fence and the types that a change touches.
func (d *Driver) inspect(ctx context.Context, change zone.Change) (bool, []zone.RRset, error) {
	if err := d.checkFence(ctx, change.Fence); err != nil {
		return false, nil, err
	}
	found, err := d.look(ctx, change.Name, change.Touched())
	if err == nil && (len(change.Old) == 0 || len(change.New) == 0) {
		found, err = d.own(ctx, change.Name, found)
	}
	if err != nil {
		return false, nil, err
	}
	before, after, err := d.accompanied(ctx, change)
	switch {
	case err != nil:
		return false, nil, err
	case zone.SameSets(found, change.New) && after == nil:
		return true, found, nil
	case !zone.SameSets(found, change.Old):
		return false, found, fmt.Errorf("%w: %s holds %s, expected %s", zone.ErrMoved, change.Name, zone.Describe(found), zone.Describe(change.Old))
	case before != nil:
		return false, found, before
	}
	return false, found, d.checkLevel(ctx, change)
}

// Together implements zone.Joint: one message may change several names of a zone (RFC 2136 section 3).
func (d *Driver) Together() bool { return true }

// accompanied reads the companions, and says of them what differs from how they are before the change, and from how they
// are after it.
func (d *Driver) accompanied(ctx context.Context, change zone.Change) (before, after, err error) {
	for _, w := range change.With {
		found, err := d.look(ctx, w.Old.Name, []string{w.Old.Type})
		if err != nil {
			return nil, nil, err
		}
		if !zone.SameSets(found, []zone.RRset{w.Old}) {
			before = fmt.Errorf("%w: %s holds %s, expected %s", zone.ErrMoved, w.Old.Name, zone.Describe(found), zone.Describe([]zone.RRset{w.Old}))
		}
		if !zone.SameSets(found, []zone.RRset{w.New}) {
			after = fmt.Errorf("%w: %s holds %s, not %s", zone.ErrMoved, w.New.Name, zone.Describe(found), zone.Describe([]zone.RRset{w.New}))
		}
	}
	return before, after, nil
}

// checkLevel refuses a new name that could put a level into the tree below a wildcard. Whether its parent is in the tree
// already can't be seen through the wildcard, and no condition of RFC 2136 tells, so that the wildcard decides.
func (d *Driver) checkLevel(ctx context.Context, change zone.Change) error {
	if len(change.Old) > 0 || change.Name == d.apex {
		return nil
	}
	for wildcard := range zone.WildcardsAbove(dnsx.Parent(change.Name), d.apex) {
		exists, err := d.exists(ctx, wildcard)
		if err != nil {
			return err
		}
		if exists {
			return zone.LevelError(change, wildcard)
		}
	}
	return nil
}

// swapMessage puts a whole change into one message (RFC 2136 section 3: all of it, or nothing). Records are deleted by
// their data, never a whole set or name, so that what the plan has not seen cannot go with them (C6); deletions come
// first, since servers refuse or drop a CNAME that is added beside another record (C5).
//
// A CNAME in the place of a CNAME is only added: the server replaces the one that is there (RFC 2136 section 3.4.2.2).
// Deleted first, it would be lost in a signed zone of Knot 3.2, which then sees the name's NSEC and RRSIG as company
// and drops the new one; and where a server does not replace, the old answer stays.
//
// Companions go into the same message, each with its old set as a condition of it.
func (d *Driver) swapMessage(change zone.Change) (*dns.Msg, error) {
	msg := d.update()
	if err := accompany(msg, change.With); err != nil {
		return nil, err
	}
	for _, set := range change.Old {
		rrs, err := records(set)
		if err != nil {
			return nil, err
		}
		msg.Used(rrs)
	}
	for _, typ := range change.Conflicting() {
		msg.RRsetNotUsed(bare(change.Name, dns.StringToType[typ]))
	}
	if err := d.requireFence(msg, change.Fence); err != nil {
		return nil, err
	}
	for _, set := range change.Old {
		if set.Type == "CNAME" && isAlias(change.New) {
			continue
		}
		rrs, err := records(set)
		if err != nil {
			return nil, err
		}
		msg.Remove(rrs)
	}
	return msg, insert(msg, change.New)
}

func accompany(msg *dns.Msg, with []zone.Companion) error {
	for _, w := range with {
		// Records are built for each use: no two sections may share one (C2).
		condition, err := records(w.Old)
		if err != nil {
			return err
		}
		msg.Used(condition)
		gone := w.Old
		gone.Data = slices.DeleteFunc(slices.Clone(w.Old.Data), func(data string) bool { return slices.Contains(w.New.Data, data) })
		old, err := records(gone)
		if err != nil {
			return err
		}
		msg.Remove(old)
		if err := insert(msg, []zone.RRset{w.New}); err != nil {
			return err
		}
	}
	return nil
}

func insert(msg *dns.Msg, sets []zone.RRset) error {
	for _, set := range sets {
		rrs, err := records(set)
		if err != nil {
			return err
		}
		msg.Insert(rrs)
	}
	return nil
}

// requireFence makes the fence's token a condition: conditions compare data and not TTLs, and a change of TTL leaves
// the data as it was, so that the old set alone would not keep a stale writer out (C7).
func (d *Driver) requireFence(msg *dns.Msg, fence zone.Fence) error {
	if fence.Name == "" {
		return nil
	}
	rrs, err := records(fenceSet(fence.Name, fence.Token))
	if err != nil {
		return err
	}
	msg.Used(rrs)
	return nil
}

// explain looks for the false condition that inspect does not read.
func (d *Driver) explain(ctx context.Context, change zone.Change, reply *ReplyError) error {
	if !errors.Is(reply, zone.ErrConflict) && !errors.Is(reply, zone.ErrMoved) {
		return reply
	}
	ctx, cancel := context.WithTimeout(ctx, 4*d.timeout)
	defer cancel()
	if err := d.checkConflicts(ctx, change); err != nil {
		return errors.Join(err, reply)
	}
	// What a reader sees is as expected, and the zone itself is not: a wildcard answers for the name.
	return fmt.Errorf("%w: %w, though it shows what was expected", zone.ErrMoved, reply)
}

// checkConflicts returns ErrConflict where the name shows a set of a type that cannot stand beside the new ones.
func (d *Driver) checkConflicts(ctx context.Context, change zone.Change) error {
	found, err := d.look(ctx, change.Name, change.Conflicting())
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: %s also holds %s", zone.ErrConflict, change.Name, zone.Describe(found))
	}
	return err
}

// records builds the library's records afresh, so that no two messages and no two sections share one (C2).
func records(set zone.RRset) ([]dns.RR, error) {
	var rrs []dns.RR
	for _, data := range set.Data {
		rr, err := dnsx.ToRR(dnsx.Record{Name: set.Name, Type: set.Type, TTL: set.TTL, Data: data})
		if err != nil {
			return nil, err
		}
		rrs = append(rrs, rr)
	}
	return rrs, nil
}
