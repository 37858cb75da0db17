package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of a shift.
const (
	actionShift plan.Action = "split the answers of"
	actionWatch plan.Action = "measure and watch"
)

// ShiftOptions say which step of a shift is taken.
type ShiftOptions struct {
	Options
	App string
	// Held is what the TTL stage left of the application's names.
	Held []Held
	// From and To are how many of 100 answers lead to green before and after the step.
	From, To int
	// Before are the plans of the steps before: a split at an HTTPRoute is always one of the rules that stood there first.
	Before []*plan.Plan
	// Baselines are those that the first step took. Nil takes them now.
	Baselines map[string]float64
}

// ShiftResult is one step of a shift.
type ShiftResult struct {
	App  string `json:"app"`
	From int    `json:"from"`
	To   int    `json:"to"`
	// Names are the names whose answers were split, and when.
	Names []ShiftedName `json:"names,omitempty"`
	// Measured is how the answers were shared out then.
	Measured  []Measured         `json:"measured,omitempty"`
	Wait      Wait               `json:"wait,omitzero"`
	Rounds    Rounds             `json:"rounds,omitzero"`
	Baselines map[string]float64 `json:"baselines,omitempty"`
}

// ShiftedName is one name of a step.
type ShiftedName struct {
	Name   string      `json:"name"`
	Sent   time.Time   `json:"sent"`
	Result zone.Result `json:"result"`
}

// shiftData is what splitting one name's answers consumes. It holds all that a return needs.
type shiftData struct {
	moveData
	App    string  `json:"app"`
	From   int     `json:"from"`
	To     int     `json:"to"`
	Points float64 `json:"points"`
}

// watchData is what measuring and watching consume.
type watchData struct {
	Names []shiftData `json:"names"`
	// Entries are hosts whose requests are split at blue's entry.
	Entries []splitData   `json:"entries,omitempty"`
	For     time.Duration `json:"for"`
	Text    string        `json:"text"`
	Need    int           `json:"need"`
}

// stepTime is how long one step is watched: what the file says, and never less than until every cache has followed.
func (o Options) stepTime(s migration.Shift, ttl time.Duration) (time.Duration, string) {
	floor := ttl + o.margin()
	if s.Watch() > floor {
		return s.Watch(), fmt.Sprintf("%s declared, at least %s", s.Watch(), sum(part{"TTL", ttl}, part{"margin", o.margin()}))
	}
	return floor, sum(part{"TTL", ttl}, part{"margin", o.margin()})
}

// shiftTime is how long all steps take, with the arithmetic.
func (o Options) shiftTime(s migration.Shift, ttl time.Duration) (time.Duration, string) {
	step, _ := o.stepTime(s, ttl)
	one := o.propagation() + step
	total := time.Duration(len(s.Steps)) * one
	return total, fmt.Sprintf("%d x (%s propagation + %s watched) = %s", len(s.Steps), o.propagation(), step, total)
}

// judgeShift says early what stands in the way of a shift, and what it means for those who write.
func judgeShift(ctx context.Context, opts Options, app migration.Application, s NameState, z Zone, found *Inspection) error {
	if app.Shift == nil {
		return nil
	}
	if app.Writes != migration.WritesNone {
		length, text := opts.shiftTime(*app.Shift, time.Duration(opts.lowTTL())*time.Second)
		found.warn(s.Hostname, fmt.Sprintf("its shift takes %s (%s): for that time blue refuses writes, and of those who come to blue nobody can write", length, text))
	}
	if app.Shift.AtEntry() {
		return judgeEntryShift(ctx, opts, app, s.Entries, found)
	}
	judgeDNSShift(opts, app, s, z, found)
	return nil
}

func judgeDNSShift(opts Options, app migration.Application, s NameState, z Zone, found *Inspection) {
	const orMove = "take the shift out: the names then move in one change, and waves of applications still go one after the other"
	weigher, ok := zone.AsWeigher(z.Driver)
	if !ok {
		found.refuse(s.Hostname, "its zone cannot answer by weight: only Route 53 and Cloud DNS can", orMove)
		return
	}
	if s.Handover != nil {
		found.refuse(s.Hostname, "external-dns keeps it, and would undo weights that it has not set", "pause external-dns on both sides and say so by cutover.externalDNS.paused, or "+orMove)
		return
	}
	low := opts.lowTTL()
	if target, err := newRecords(s, low); err == nil && s.Green.known() {
		w := zone.Weighing{Change: zone.Change{Name: s.Hostname, Old: withTTL(s.Records, low), New: target}, To: app.Shift.Steps[0]}
		if err := weigher.JudgeWeighing(w); err != nil {
			why, hint := mend.Apart(err, orMove)
			found.refuse(s.Hostname, why, hint)
			return
		}
	}
	if s.Delegation.Signed {
		found.warn(s.Hostname, "its zone is signed: while its answers are split, only their data are looked at, and not their signatures")
	}
}

// PlanShift plans one step: every name of the application in one change, then the measurement and the watch.
func PlanShift(ctx context.Context, opts ShiftOptions) (*plan.Plan, error) {
	p := plan.New(opts.Migration, stageOr(opts.Options, fmt.Sprintf("shift/%s/%d", opts.App, opts.To), opts.App))
	app, err := opts.application(opts.App)
	if err != nil {
		return nil, err
	}
	if app.Shift == nil {
		return nil, &Error{Op: "plan the shift of " + app.Name, Hint: "declare one in the file"}
	}
	entries, err := FindEntries(ctx, opts.Options, app.Name)
	if err != nil {
		return nil, err
	}
	swap := SwapOptions{Options: opts.Options, App: opts.App, Held: opts.Held, Baselines: opts.Baselines}
	baselines, err := swap.baselines(ctx, app, p)
	if err != nil {
		return nil, err
	}
	keepers := newKeepers(opts.Options)
	keepers.stopped = true
	watch := watchData{}
	var ttl time.Duration
	for i, e := range entries {
		if app.Shift.AtEntry() {
			d, err := opts.planSplit(ctx, p, app, app.Hostnames[i], e)
			if err != nil {
				return nil, err
			}
			if d != nil {
				d.Baselines = baselines
				watch.Entries = append(watch.Entries, *d)
				p.Add(opts.splitEntryChange(p.Stage, *d))
			}
			continue
		}
		d, err := opts.planName(ctx, swap, p, e, keepers)
		if err != nil {
			return nil, err
		}
		if d == nil {
			continue
		}
		d.App, d.Points, d.Baselines = app.Name, app.Shift.Points(opts.To), baselines
		ttl = max(ttl, Moved{Change: d.Change}.ttl())
		watch.Names = append(watch.Names, *d)
		p.Add(opts.splitChange(p.Stage, *d))
	}
	watch.For, watch.Text = opts.stepTime(*app.Shift, ttl)
	watch.Need = max(minRounds, int(watch.For/opts.interval()/2))
	p.Add(plan.Change{
		ID: p.Stage + "/watch", Action: actionWatch, Target: app.Name, App: app.Name,
		Why: fmt.Sprintf("it is asked again and again who answers, until the share is seen (%d answers of each name at least, within %.1f points); meanwhile green is checked for %s: a round every %s, of which %d at least must pass and %d in a row may not fail, else all goes back to blue at once; it only reads",
			samples(opts.To, app.Shift.Points(opts.To)), app.Shift.Points(opts.To), watch.Text, opts.interval(), watch.Need, opts.breaches()),
		Data: plan.JSON(watch),
	})
	if app.Writes != migration.WritesNone {
		length, text := opts.shiftTime(*app.Shift, ttl)
		p.Note(plan.Warning, app.Name, fmt.Sprintf("until the names move as a whole, blue refuses writes: of those who come to blue nobody can write; the whole shift takes %s (%s)", length, text))
	}
	return p, nil
}

// planName returns nil where a refusal was added.
func (o ShiftOptions) planName(ctx context.Context, swap SwapOptions, p *plan.Plan, e Entries, keepers *dnsKeepers) (*shiftData, error) {
	z, err := o.zoneOf(e.Hostname)
	if err != nil {
		return nil, err
	}
	weigher, ok := zone.AsWeigher(z.Driver)
	if !ok {
		p.Refuse(e.Hostname, "its zone cannot answer by weight", "take the shift out: the names then move in one change")
		return nil, nil
	}
	move, share, err := readMove(ctx, swap, p, e, keepers)
	if err != nil || move == nil {
		return nil, err
	}
	d := &shiftData{moveData: *move, From: o.From, To: o.To}
	switch {
	case move.Handover != nil:
		p.Refuse(e.Hostname, "external-dns keeps it, and would undo weights that it has not set", "pause external-dns on both sides and say so by cutover.externalDNS.paused")
		return nil, nil
	case share != o.From && share != o.To:
		p.Refuse(e.Hostname, fmt.Sprintf("%d of 100 answers lead to green, and %d should before this step", share, o.From), "find out who changed its weights, or give the file the steps back that it had; `crossfade rollback` takes the name back to blue from any share")
		return nil, nil
	}
	if err := weigher.JudgeWeighing(d.weighing()); err != nil {
		why, hint := mend.Apart(err, "take the shift out: the names then move in one change")
		p.Refuse(e.Hostname, why, hint)
		return nil, nil
	}
	return d, nil
}

func (d shiftData) weighing() zone.Weighing {
	return zone.Weighing{Change: d.Change, From: d.From, To: d.To}
}

func (o ShiftOptions) splitChange(stage string, d shiftData) plan.Change {
	name := d.Change.Name
	way := sum(part{"TTL", Moved{Change: d.Change}.ttl()}, part{"margin", o.margin()})
	return plan.Change{
		ID: stage + "/" + name, Action: actionShift, Target: name, App: d.App,
		Why: fmt.Sprintf("one change (%s): %d of 100 answers become %s, the others stay %s; it was %d of 100; caches follow within %s",
			d.Strength, d.To, describe(d.Change.New), describe(d.Change.Old), d.From, way),
		ReliesOn: append([]plan.Reliance{
			{What: "share of green at " + name, Is: fmt.Sprintf("%d of 100", d.From)},
			{What: "fence " + d.Change.Fence.Name, Is: d.Change.Fence.Token},
			{What: "green's entry", Is: d.Green.String()},
			{What: "checks on green", Is: string(Passed)},
		}, o.relyOnPause()...),
		Reverse: &plan.Reverse{Action: actionReturn, How: fmt.Sprintf("blue alone again (%s), in one change from whatever share; caches follow within %s", describe(d.Change.Old), way), Data: plan.JSON(d.Change.Reverse())},
		Data:    plan.JSON(d),
	}
}

// ApplyShift takes one step. Just before, green must pass every check at the entry that the plan was made for. It returns a
// *BreachError as a soak does, and an *InconclusiveError where the share could not be seen.
func ApplyShift(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts ShiftOptions) (ShiftResult, error) {
	err := plan.Run(ctx, p, rec, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
		switch c.Action {
		case actionShift:
			var d shiftData
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return nil, fmt.Errorf("read the plan: %w", err)
			}
			return opts.split(ctx, c, d)
		case actionSplit:
			var d splitData
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return nil, fmt.Errorf("read the plan: %w", err)
			}
			return opts.splitEntry(ctx, c, d)
		case actionWatch:
			var d watchData
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return nil, fmt.Errorf("read the plan: %w", err)
			}
			return opts.see(ctx, d)
		}
		return nil, fmt.Errorf("a plan of a shift has no %q", c.Action)
	})
	if err != nil {
		return ShiftResult{}, err
	}
	return ShiftResultOf(p, rec)
}

func (o ShiftOptions) split(ctx context.Context, c plan.Change, d shiftData) (moved, error) {
	gates, err := SwapOptions{Options: o.Options, App: o.App}.gateGreen(ctx, c, d.moveData)
	if err != nil {
		return moved{}, err
	}
	if err := o.standsStill(ctx, c.ID); err != nil {
		return moved{}, err
	}
	z, err := o.zoneOf(d.Change.Name)
	if err != nil {
		return moved{}, err
	}
	weigher, ok := zone.AsWeigher(z.Driver)
	if !ok {
		return moved{}, &Error{Op: "split the answers of " + d.Change.Name, Hint: "let the file name the zone at its provider again", Err: errors.New("its zone cannot answer by weight")}
	}
	result, err := weigher.Weigh(ctx, d.weighing())
	if err != nil && stale(err) {
		err = errors.Join(&plan.MovedError{Change: c.ID, What: "share of green at " + d.Change.Name, Was: fmt.Sprintf("%d of 100", d.From), Now: "something else"}, err)
	}
	return moved{Result: result, Sent: o.now(), Gates: gates}, err
}

// seen is the outcome of measuring and watching.
type seen struct {
	Measured []Measured `json:"measured"`
	Wait     Wait       `json:"wait"`
	Rounds   Rounds     `json:"rounds"`
}

// see measures the split while green is watched: a breach ends both at once. Either began anew after a break: what was not watched has
// not been shown.
func (o ShiftOptions) see(ctx context.Context, d watchData) (seen, error) {
	entries, err := FindEntries(ctx, o.Options, o.App)
	if err != nil {
		return seen{}, err
	}
	var out seen
	began := o.now()
	out.Wait = Wait{App: o.App, What: fmt.Sprintf("%s with %d%% on green", o.App, o.To), From: began, Until: began.Add(d.For), For: d.For}
	out.Wait.Text = fmt.Sprintf("%s: %s, until %s", began.Format(time.TimeOnly), d.Text, out.Wait.Until.Format(time.TimeOnly))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for _, name := range d.Names {
			measured, err := o.measure(ctx, name)
			if err != nil {
				return err
			}
			out.Measured = append(out.Measured, measured...)
		}
		for _, entry := range d.Entries {
			measured, err := o.measureEntry(ctx, entry)
			if err != nil {
				return err
			}
			out.Measured = append(out.Measured, measured)
		}
		return nil
	})
	group.Go(func() error {
		var baselines map[string]float64
		if len(d.Names) > 0 {
			baselines = d.Names[0].Baselines
		}
		if len(d.Entries) > 0 {
			baselines = d.Entries[0].Baselines
		}
		var err error
		out.Rounds, err = o.watch(ctx, vigil{
			app: o.App, entries: entries, splits: d.Entries, until: out.Wait.Until, need: d.Need, shift: true, baselines: baselines,
			limit: out.Wait.Until.Add(max(d.For, time.Duration(minRounds)*(o.interval()+defaultCheckTimeout))), what: out.Wait.What, text: out.Wait.Text,
		})
		return err
	})
	if err := group.Wait(); err != nil {
		return seen{}, err
	}
	return out, nil
}

// ShiftResultOf returns what is recorded of a step, from its plan and its outcomes.
func ShiftResultOf(p *plan.Plan, rec plan.Recorder) (ShiftResult, error) {
	var result ShiftResult
	for _, c := range p.Changes {
		if _, ok := rec.Done(c.ID); !ok {
			continue
		}
		switch c.Action {
		case actionShift:
			var d shiftData
			var m moved
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return result, fmt.Errorf("read the plan: %w", err)
			}
			if err := outcome(rec, c.ID, &m); err != nil {
				return result, err
			}
			result.App, result.From, result.To, result.Baselines = c.App, d.From, d.To, d.Baselines
			result.Names = append(result.Names, ShiftedName{Name: d.Change.Name, Sent: m.Sent, Result: m.Result})
		case actionSplit:
			var d splitData
			var m moved
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return result, fmt.Errorf("read the plan: %w", err)
			}
			if err := outcome(rec, c.ID, &m); err != nil {
				return result, err
			}
			result.App, result.From, result.To, result.Baselines = c.App, d.From, d.To, d.Baselines
			result.Names = append(result.Names, ShiftedName{Name: d.Host, Sent: m.Sent})
		case actionWatch:
			var s seen
			if err := outcome(rec, c.ID, &s); err != nil {
				return result, err
			}
			result.Measured, result.Wait, result.Rounds = s.Measured, s.Wait, s.Rounds
		}
	}
	return result, nil
}
