package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// settleStep is the time between two looks at what the API shows after it has acknowledged a change.
const settleStep = 200 * time.Millisecond

// view is what one look at a name and its fence saw.
type view struct {
	records []record
	sets    []zone.RRset // those of the types that the change touches
	with    [][]record   // what stands at the name of each companion
	fence   fenced
	done    bool
}

// attempt is one Swap under way.
type attempt struct {
	change zone.Change
	result zone.Result
	acked  bool
	lost   error    // the last request of which it is not known whether it was carried out
	made   []string // IDs of records that were made without any condition
}

// Swap implements zone.Swapper.
func (d *Driver) Swap(ctx context.Context, change zone.Change) (zone.Result, error) {
	a := &attempt{result: zone.Result{Strength: zone.Weak}}
	change, err := change.Normal(d.apex)
	if err != nil {
		return a.result, err
	}
	a.change = change
	op := "swap " + change.Name
	for _, typ := range change.Touched() {
		if !slices.Contains(writable(), typ) {
			return a.result, &zone.Error{Op: op, Hint: "change it by hand", Err: fmt.Errorf("%w: this driver does not write %s records", zone.ErrInvalid, typ)}
		}
	}
	if err := d.pursue(ctx, a); err != nil {
		return a.result, d.errorOf(op, err)
	}
	a.result.Applied = a.acked || a.lost != nil
	a.result.Recovered = a.lost != nil
	return a.result, nil
}

// pursue reads, writes and reads again until the name holds what it is to hold, or it is clear that it will not.
func (d *Driver) pursue(ctx context.Context, a *attempt) error {
	for {
		now, err := d.lookAfter(ctx, a)
		if err != nil {
			return a.doubt(d.withdraw(ctx, a, err))
		}
		a.result.After = now.sets
		switch {
		case now.done:
			return nil
		case a.acked:
			return fmt.Errorf("%w: the API said yes and shows %s still", zone.ErrNotApplied, zone.Describe(now.sets))
		case ctx.Err() != nil:
			return a.doubt(context.Cause(ctx))
		case a.result.Attempts >= d.attempts && a.lost == nil:
			return fmt.Errorf("%w: others write to the name all the time", zone.ErrMoved)
		case a.result.Attempts >= d.attempts:
			return a.doubt(nil)
		}
		send, err := d.plan(ctx, a.change, now)
		if err != nil {
			return a.doubt(err)
		}
		a.result.Attempts++
		err = d.send(ctx, a, send)
		switch {
		case err == nil:
			a.acked = true
		case failed(err): // somebody wrote between our reading and our writing: read again
		case uncertain(err):
			a.lost = err
			d.log.WarnContext(ctx, "it is not known whether Cloudflare made a change: reading back", "name", a.change.Name, "error", err)
		default:
			return a.doubt(err)
		}
	}
}

// doubt marks an error that leaves open whether the change was made. A name that has moved, or whose fence has, is not in
// doubt: an ID that the lost request named is gone.
func (a *attempt) doubt(err error) error {
	if a.acked && errors.Is(err, zone.ErrMoved) {
		return fmt.Errorf("%w to last: Cloudflare made it, and then somebody else changed the name: %w", zone.ErrUncertain, err)
	}
	if a.lost == nil || errors.Is(err, zone.ErrMoved) || errors.Is(err, zone.ErrFenced) {
		return err
	}
	return fmt.Errorf("%w: %w", zone.ErrUncertain, errors.Join(err, a.lost))
}

// lookAfter looks at the name. Once something was sent, it has a time of its own, and waits for what was acknowledged.
func (d *Driver) lookAfter(ctx context.Context, a *attempt) (view, error) {
	if a.result.Attempts == 0 {
		if err := ctx.Err(); err != nil {
			return view{}, err
		}
		return d.look(ctx, a.change)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.timeout)
	defer cancel()
	until := d.clock.Now().Add(d.settle)
	for {
		now, err := d.look(ctx, a.change)
		if err != nil || now.done || !a.acked || !d.clock.Now().Before(until) {
			return now, err
		}
		if err := d.clock.Sleep(ctx, settleStep); err != nil {
			return now, err
		}
	}
}

func (d *Driver) look(ctx context.Context, change zone.Change) (view, error) {
	var now view
	var err error
	if now.fence, err = d.readFence(ctx, change.Fence); err != nil {
		return view{}, err
	}
	if now.records, err = d.at(ctx, change.Name); err != nil {
		return view{}, err
	}
	touched := change.Touched()
	for _, set := range gather(now.records) {
		if slices.Contains(touched, set.Type) {
			now.sets = append(now.sets, set)
		}
	}
	before, after, err := d.accompanied(ctx, change, &now)
	switch {
	case err != nil:
		return view{}, err
	case zone.SameSets(now.sets, change.New) && after == nil:
		now.done = true
	case !zone.SameSets(now.sets, change.Old):
		return view{}, fmt.Errorf("%w: %s holds %s, expected %s", zone.ErrMoved, change.Name, zone.Describe(now.sets), zone.Describe(change.Old))
	case before != nil:
		return view{}, before
	}
	return now, nil
}

// Together implements zone.Joint: a batch may change several names.
func (d *Driver) Together() bool { return true }

// accompanied reads the companions, and says of them what differs from how they are before the change, and from how they
// are after it.
func (d *Driver) accompanied(ctx context.Context, change zone.Change, now *view) (before, after, err error) {
	for _, w := range change.With {
		all, err := d.at(ctx, w.Old.Name)
		if err != nil {
			return nil, nil, err
		}
		now.with = append(now.with, all)
		found := gather(ofType(all, w.Old.Type))
		if !zone.SameSets(found, []zone.RRset{w.Old}) {
			before = fmt.Errorf("%w: %s holds %s, expected %s", zone.ErrMoved, w.Old.Name, zone.Describe(found), zone.Describe([]zone.RRset{w.Old}))
		}
		if !zone.SameSets(found, []zone.RRset{w.New}) {
			after = fmt.Errorf("%w: %s holds %s, not %s", zone.ErrMoved, w.New.Name, zone.Describe(found), zone.Describe([]zone.RRset{w.New}))
		}
	}
	return before, after, nil
}

// plan returns the one transaction that makes the change, with the fence in it.
func (d *Driver) plan(ctx context.Context, change zone.Change, now view) (batch, error) {
	if err := checkConflicts(change, now); err != nil {
		return batch{}, err
	}
	if zone.NeedsLevel(change, d.apex) {
		all, err := d.List(ctx)
		if err != nil {
			return batch{}, err
		}
		var names []string
		for _, set := range all {
			names = append(names, set.Name)
		}
		if err := zone.CheckLevel(change, d.apex, names); err != nil {
			return batch{}, err
		}
	}
	b, err := planBatch(change, now.records, change.Fence.Name != "")
	if err != nil {
		return batch{}, err
	}
	for i, w := range change.With {
		if err := planType(&b, w.New, w.New.Type, now.with[i], change.Fence.Name != ""); err != nil {
			return batch{}, err
		}
	}
	if change.Fence.Name != "" {
		now.fence.renew(&b, change.Fence.Token)
	}
	return b, nil
}

// checkConflicts looks for records beside which the new ones cannot stand. A CNAME that Cloudflare lets stand beside
// other records is exchanged like any other: nothing new comes to stand there.
func checkConflicts(change zone.Change, now view) error {
	isAlias := func(s zone.RRset) bool { return s.Type == "CNAME" }
	if slices.ContainsFunc(change.Old, isAlias) && slices.ContainsFunc(change.New, isAlias) {
		return nil
	}
	conflicting := change.Conflicting()
	var found []zone.RRset
	for _, set := range gather(now.records) {
		if slices.Contains(conflicting, set.Type) {
			found = append(found, set)
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %s also holds %s", zone.ErrConflict, change.Name, zone.Describe(found))
	}
	return nil
}

func (d *Driver) send(ctx context.Context, a *attempt, b batch) error {
	id, err := d.zone(ctx)
	if err != nil {
		return err
	}
	made, err := d.api.commit(ctx, id, b)
	if err == nil && len(b.Deletes) == 0 && len(b.Patches) == 0 {
		for _, r := range made {
			a.made = append(a.made, r.ID)
		}
	}
	return err
}

// withdraw takes back what was made under no condition at all, a new name without a fence, where another writer made
// records there at the same time.
func (d *Driver) withdraw(ctx context.Context, a *attempt, cause error) error {
	if len(a.made) == 0 || !errors.Is(cause, zone.ErrMoved) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.timeout)
	defer cancel()
	var b batch
	for _, id := range a.made {
		b.Deletes = append(b.Deletes, record{ID: id})
	}
	id, err := d.zone(ctx)
	if err == nil {
		_, err = d.api.commit(ctx, id, b)
	}
	if err != nil {
		return errors.Join(cause, fmt.Errorf("take back what was made: %w", err))
	}
	a.acked = false
	return cause
}
