package azuredns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// settleStep is the time between two looks at what the API shows after it has acknowledged a change.
const settleStep = 200 * time.Millisecond

// view is what one look at a name and its fence saw.
type view struct {
	types map[string]found // what the name holds of the types that the change touches; those that do not exist too
	sets  []zone.RRset     // the same, of those that answer
	fence found
	done  bool // everything is as it is to become
}

// attempt is one Swap under way.
type attempt struct {
	change  zone.Change
	result  zone.Result
	acked   bool  // Azure has said yes to everything
	lost    error // the last request of which it is not known whether it was carried out
	changed bool  // a step of several was made by this very call
	began   time.Time
}

// Swap implements zone.Swapper.
func (d *Driver) Swap(ctx context.Context, change zone.Change) (zone.Result, error) {
	a := &attempt{result: zone.Result{Strength: zone.Weak}}
	change, err := change.Normal(d.apex)
	if err == nil {
		err = writes(change)
	}
	if err != nil {
		return a.result, err
	}
	a.change = change
	if err := d.pursue(ctx, a); err != nil {
		return a.result, d.errorOf("swap "+change.Name, err)
	}
	a.result.Applied = a.acked || a.lost != nil
	a.result.Recovered = a.lost != nil
	return a.result, nil
}

// writes refuses what this driver never writes.
func writes(change zone.Change) error {
	if err := zone.Alone(change); err != nil {
		return err
	}
	for _, typ := range change.Touched() {
		if !slices.Contains(writable(), typ) {
			return &zone.Error{Op: "swap " + change.Name, Hint: "change it by hand", Err: fmt.Errorf("%w: this driver does not write %s records", zone.ErrInvalid, typ)}
		}
	}
	return nil
}

// Judge implements zone.Judger: what needs several requests needs a gap.
func (d *Driver) Judge(change zone.Change) error {
	change, err := change.Normal(d.apex)
	if err == nil {
		err = writes(change)
	}
	if err != nil {
		return err
	}
	return d.checkGap(change, change.Old)
}

// checkGap refuses a change that takes several requests from what the name holds, where no gap is declared.
func (d *Driver) checkGap(change zone.Change, now []zone.RRset) error {
	n := len(steps(now, change.New))
	if n <= 1 || d.gap > 0 || onlyTTLs(change) {
		return nil
	}
	return &zone.Error{
		Op:   "swap " + change.Name,
		Hint: "replace records by records of the same one type, or declare with azureDNS.gap for how long the name may be without an answer",
		Err:  fmt.Errorf("%w: from %s to %s takes %d requests, and Azure DNS has no transaction over several record sets", zone.ErrInvalid, zone.Describe(now), zone.Describe(change.New), n),
	}
}

// pursue reads, writes and reads again until the name holds what it is to hold, or it is clear that it will not.
func (d *Driver) pursue(ctx context.Context, a *attempt) error {
	for {
		now, err := d.lookAfter(ctx, a)
		if err != nil {
			return a.doubt(err)
		}
		a.result.After = now.sets
		if now.done {
			d.finish(ctx, a, now)
			return nil
		}
		switch {
		case a.acked:
			return fmt.Errorf("%w: Azure said yes and shows %s still", zone.ErrNotApplied, zone.Describe(now.sets))
		case ctx.Err() != nil:
			return a.doubt(context.Cause(ctx))
		case a.result.Attempts >= d.attempts && a.lost == nil:
			return a.doubt(fmt.Errorf("%w: others write to the name all the time", zone.ErrMoved))
		case a.result.Attempts >= d.attempts:
			return a.doubt(nil)
		}
		plan, err := d.plan(ctx, a, now)
		if err != nil {
			return err
		}
		a.result.Attempts++
		err = d.carryOut(ctx, a, now, plan)
		switch {
		case err == nil:
			a.acked = true
		case failed(err): // somebody wrote between our reading and our writing: read again
		case uncertain(err):
			a.lost = err
			d.log.WarnContext(ctx, "it is not known whether Azure made a change: reading back", "name", a.change.Name, "error", err)
		default:
			return d.takeBack(ctx, a, err)
		}
	}
}

// doubt marks an error that leaves open whether the change was made. A name that has moved, or whose fence has, is not
// in doubt: its etags are not those that the lost request had.
func (a *attempt) doubt(err error) error {
	if a.acked && errors.Is(err, zone.ErrMoved) {
		return fmt.Errorf("%w to last: Azure made it, and then somebody else changed the name: %w", zone.ErrUncertain, err)
	}
	if a.lost == nil && !a.changed || errors.Is(err, zone.ErrMoved) || errors.Is(err, zone.ErrFenced) {
		return err
	}
	return fmt.Errorf("%w: %w", zone.ErrUncertain, errors.Join(err, a.lost))
}

// lookAfter looks at the name. Once something was sent, it has a time of its own, and waits for what Azure has
// acknowledged.
func (d *Driver) lookAfter(ctx context.Context, a *attempt) (view, error) {
	if a.result.Attempts == 0 {
		if err := ctx.Err(); err != nil {
			return view{}, err
		}
		return d.look(ctx, a)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.timeout)
	defer cancel()
	until := d.clock.Now().Add(d.settle)
	for {
		now, err := d.look(ctx, a)
		if err != nil || now.done || !a.acked || !d.clock.Now().Before(until) {
			return now, err
		}
		if err := d.clock.Sleep(ctx, settleStep); err != nil {
			return now, err
		}
	}
}

// look reads the sets first and the fence after them: who takes the fence over stamps the sets after it, so that what was
// read under a fence that is lost can no longer be written.
func (d *Driver) look(ctx context.Context, a *attempt) (view, error) {
	now := view{types: map[string]found{}}
	change := a.change
	for _, typ := range change.Touched() {
		at, err := d.get(ctx, change.Name, typ)
		if err != nil {
			return view{}, err
		}
		if at.alias() != "" {
			return view{}, aliased(at)
		}
		now.types[typ] = at
		if len(at.set.Data) > 0 {
			now.sets = append(now.sets, at.set)
		}
	}
	var err error
	if now.fence, err = d.readFence(ctx, change.Fence); err != nil {
		return view{}, err
	}
	ours := a.changed || change.Fence.Name != "" && now.fence.meta(metaUnderway) == markOf(change)
	switch {
	case zone.SameSets(now.sets, change.New):
		now.done = true
	case zone.SameSets(now.sets, change.Old):
	case ours && between(change, now.sets):
	default:
		return view{}, fmt.Errorf("%w: %s holds %s, expected %s", zone.ErrMoved, change.Name, zone.Describe(now.sets), zone.Describe(change.Old))
	}
	return now, nil
}

// Underway implements zone.Resumer, by the mark that the fence holds while a change of several requests is made.
func (d *Driver) Underway(ctx context.Context, change zone.Change) (bool, error) {
	op := "see whether a change of " + change.Name + " is under way"
	change, err := change.Normal(d.apex)
	if err != nil || change.Fence.Name == "" {
		return false, err
	}
	var now []zone.RRset
	for _, typ := range change.Touched() {
		at, err := d.get(ctx, change.Name, typ)
		if err != nil {
			return false, d.errorOf(op, err)
		}
		if len(at.set.Data) > 0 {
			now = append(now, at.set)
		}
	}
	fence, err := d.get(ctx, change.Fence.Name, "TXT")
	if err != nil {
		return false, d.errorOf(op, err)
	}
	return fence.meta(metaUnderway) == markOf(change) && between(change, now), nil
}

// readFence reads the fence and demands that it hold our token.
func (d *Driver) readFence(ctx context.Context, fence zone.Fence) (found, error) {
	if fence.Name == "" {
		return found{}, nil
	}
	at, err := d.get(ctx, fence.Name, "TXT")
	if err != nil {
		return found{}, err
	}
	if at.text() != fence.Token {
		return found{}, &zone.FencedError{Fence: fence, Found: at.text()}
	}
	return at, nil
}

// plan returns the steps from what is there to what is to be, or why they are not taken.
func (d *Driver) plan(ctx context.Context, a *attempt, now view) ([]zone.RRset, error) {
	change := a.change
	plan := steps(now.sets, change.New)
	if err := d.checkGap(change, now.sets); err != nil {
		return nil, err
	}
	if zone.NeedsLevel(change, d.apex) {
		all, err := d.List(ctx)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, set := range all {
			names = append(names, set.Name)
		}
		if err := zone.CheckLevel(change, d.apex, names); err != nil {
			return nil, err
		}
	}
	return plan, d.checkConflicts(ctx, change, now)
}

// checkConflicts looks for what Azure would refuse, before anything is taken away for it. Where nothing is, Azure's own
// refusal is enough.
func (d *Driver) checkConflicts(ctx context.Context, change zone.Change, now view) error {
	if len(now.sets) == 0 || holdsType(now.sets, "CNAME") || !holdsType(change.New, "CNAME") {
		return nil
	}
	for _, typ := range known() {
		if _, touched := now.types[typ]; touched {
			continue
		}
		at, err := d.get(ctx, change.Name, typ)
		if err != nil {
			return err
		}
		if at.raw != nil {
			return fmt.Errorf("%w: %s also holds %s", zone.ErrConflict, change.Name, zone.Describe([]zone.RRset{at.set}))
		}
	}
	return nil
}

// carryOut takes the steps. Where there are several, the fence says first which change is under way, and is read again
// before each.
func (d *Driver) carryOut(ctx context.Context, a *attempt, now view, plan []zone.RRset) error {
	meta := map[string]*string{}
	if a.change.Fence.Name != "" {
		meta[metaFence] = to.Ptr(a.change.Fence.Token)
	}
	several := len(plan) > 1 && !onlyTTLs(a.change)
	if several && now.fence.raw != nil && now.fence.meta(metaUnderway) != markOf(a.change) {
		if err := d.note(ctx, now.fence, map[string]*string{metaUnderway: to.Ptr(markOf(a.change))}); err != nil {
			return err
		}
	}
	if several && a.began.IsZero() {
		a.began = d.clock.Now()
	}
	for i, set := range plan {
		if i > 0 {
			if _, err := d.readFence(context.WithoutCancel(ctx), a.change.Fence); err != nil {
				return err
			}
		}
		prior := now.types[set.Type]
		var err error
		if len(set.Data) == 0 {
			err = d.remove(ctx, prior)
		} else {
			err = d.put(ctx, set, prior, meta)
		}
		if several {
			a.changed = a.changed || err == nil || uncertain(err)
			a.result.Gap = d.clock.Now().Sub(a.began)
		}
		if err != nil {
			return err
		}
		if several {
			ctx = context.WithoutCancel(ctx) // half a change helps nobody
		}
	}
	return nil
}

// takeBack puts the old sets back where a step of several was refused after others were made.
func (d *Driver) takeBack(ctx context.Context, a *attempt, cause error) error {
	if !a.changed || errors.Is(cause, zone.ErrFenced) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.timeout)
	defer cancel()
	d.log.ErrorContext(ctx, "a change was refused half-way: the old records are put back", "name", a.change.Name, "error", cause)
	back := &attempt{change: a.change.Reverse(), changed: true}
	if len(back.change.New) == 0 {
		back.change.Remove = true
	}
	now, err := d.look(ctx, back)
	if err == nil && !now.done {
		err = d.carryOut(ctx, back, now, steps(now.sets, back.change.New))
	}
	a.result.Gap = d.clock.Now().Sub(a.began)
	if err != nil {
		return fmt.Errorf("%w; putting the old records back failed: %w", cause, errors.Join(zone.ErrUncertain, err))
	}
	if err := d.clearMark(ctx, back.change.Fence); err != nil {
		return errors.Join(cause, err)
	}
	a.result.After = back.change.New
	return cause
}

// finish clears the mark of a change of several requests and says how long its gap was. The change is made by now: a mark
// that stays is replaced by that of the next such change, or goes with the fence.
func (d *Driver) finish(ctx context.Context, a *attempt, now view) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.timeout)
	defer cancel()
	if now.fence.meta(metaUnderway) != "" {
		if err := d.clearMark(ctx, a.change.Fence); err != nil {
			d.log.WarnContext(ctx, "the fence still says that a change is under way, which is made", "name", a.change.Name, "error", err)
		}
	}
	if a.result.Gap == 0 {
		return
	}
	if a.lost != nil {
		a.result.Gap = d.clock.Now().Sub(a.began) // only now is it known that it is over
	}
	text := "the name had no answer, or a part of the new one, between the requests of its change"
	if a.result.Gap > d.gap {
		text += ": for longer than declared"
	}
	d.log.WarnContext(ctx, text, "name", a.change.Name, "gap", a.result.Gap.String(), "declared", d.gap.String(), "remembered", d.negativeTTL(ctx).String())
}

func (d *Driver) clearMark(ctx context.Context, fence zone.Fence) error {
	at, err := d.readFence(ctx, fence)
	if err != nil || at.raw == nil {
		return err
	}
	return d.note(ctx, at, map[string]*string{metaUnderway: nil})
}

// negativeTTL is for how long a resolver that asked during a gap may remember that there is no answer (RFC 2308
// section 5). It is for people: where it cannot be read it is zero.
func (d *Driver) negativeTTL(ctx context.Context) time.Duration {
	at, err := d.get(ctx, d.apex, "SOA")
	if err != nil || at.raw == nil || at.raw.Properties.SoaRecord == nil {
		return 0
	}
	return time.Duration(min(int64(at.set.TTL), num(at.raw.Properties.SoaRecord.MinimumTTL))) * time.Second
}
