package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/cutover/internal/externaldns"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// ReturnOptions say which swap is taken back.
type ReturnOptions struct {
	Options
	App string
	// Swap is the plan of the swap, or of a shift before it, whether it was applied to its end or not.
	Swap *plan.Plan
	// Shifts are the plans of all steps of a shift. What splits requests at blue's entry was taken away before; it is looked for again
	// under the return's fence, since a stale writer may have made it anew.
	Shifts []*plan.Plan
	// Fences are those that earlier returns planned: any of them may stand there after a kill.
	Fences []zone.Fence
	// Begun reports whether a change of the swap was. Nil says that any may have been.
	Begun func(changeID string) bool
}

// ReturnResult is one application's way back.
type ReturnResult struct {
	App   string  `json:"app"`
	Names []Moved `json:"names"`
	// Left are names that somebody else has led elsewhere: they stay as they are. Their caches may hold green's records since then.
	Left []Moved `json:"left,omitempty"`
	// Fences are in force from here on.
	Fences []zone.Fence `json:"fences,omitempty"`
}

// PlanReturn plans the exact reverse of a swap, under a fence of its own: a writer of before the return, that was thought dead,
// cannot move the name to green again. It reads what each name holds now: one that the swap did not reach stays as it
// is, and so does one that somebody else has led elsewhere. One that leads to green still, and is not as the swap wrote it, is refused.
// There is one way back: a return cannot be returned.
func PlanReturn(ctx context.Context, opts ReturnOptions) (*plan.Plan, error) {
	p := plan.New(opts.Migration, stageOr(opts.Options, "return", opts.App))
	var way wayBack
	summary := swapSummary{}
	if slices.ContainsFunc(opts.Swap.Changes, func(c plan.Change) bool { return c.Action == actionReturn || c.Action == actionSwitchBack }) {
		return nil, &Error{Op: "plan the return of " + opts.App, Hint: "a name goes back once; plan a new swap when green is mended", Err: fmt.Errorf("the plan given is a return itself")}
	}
	err := opts.swapped(ctx, func(c plan.Change, d moveData, z Zone, now []zone.RRset, half bool) error {
		back := d
		back.Change = d.Change.Reverse()
		if !half && !zone.SameSets(now, back.Change.New) && !zone.SameSets(now, back.Change.Old) {
			return opts.planLeave(ctx, p, c.App, z, d, now, &way)
		}
		turn, err := opts.newFence(ctx, p, z, d)
		if err != nil || turn == nil {
			return err
		}
		joint := !half && zone.SameSets(now, back.Change.Old) && zone.Together(z.Driver) && z.Driver.Strength() != zone.Weak
		if !joint {
			way.fences = append(way.fences, turn.change(p, c.App))
			back.Change.Fence = turn.Fence
		}
		switch {
		case zone.SameSets(now, back.Change.New):
			p.Note(plan.Info, d.Change.Name, "it leads to blue already")
			// Servers may still show green, and a resolver may have learned it from them.
			_, verify := moveChanges(opts.Options, p.Stage, c.App, actionReturn, back)
			way.verifies = append(way.verifies, verify)
		case half || zone.SameSets(now, back.Change.Old):
			if h := d.Handover; h != nil {
				back.Handover = &Handover{From: h.To, To: h.From, Affix: h.Affix}
				back.Change.With = opts.companionsBack(ctx, p, z, d)
			}
			if joint {
				turn.join(&back)
			}
			move, verify := moveChanges(opts.Options, p.Stage, c.App, actionReturn, back)
			way.moves, way.verifies = append(way.moves, move), append(way.verifies, verify)
			summary = summarise(opts.Options, summary, back)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := planSwitchBack(ctx, opts, p, &way); err != nil {
		return nil, err
	}
	if err := planUnsplitAgain(ctx, opts, p, &way); err != nil {
		return nil, err
	}
	for _, c := range slices.Concat(way.fences, way.leaves, way.moves, way.unsplits, way.verifies, way.drops) {
		p.Add(c)
	}
	p.Data = plan.JSON(summary)
	return p, nil
}

// planLeave leaves a name to whoever has led it elsewhere: it must not keep the others at green, and blue frozen. One that still leads to
// green does: who comes by it writes there.
func (o ReturnOptions) planLeave(ctx context.Context, p *plan.Plan, app string, z Zone, d moveData, now []zone.RRset, way *wayBack) error {
	elsewhere, err := o.elsewhere(ctx, d, now)
	if err != nil {
		return err
	}
	if !elsewhere {
		p.Refusals = append(p.Refusals, heldAtGreen(d, now))
		return nil
	}
	left := d
	left.Change = zone.Change{Name: d.Change.Name, Old: d.Change.New, New: now}
	p.Note(plan.Warning, d.Change.Name, fmt.Sprintf("it holds %s, and this migration has not put that there: it stays as it is, and does not go back to blue", describe(now)))
	way.leaves = append(way.leaves, plan.Change{
		ID:     p.Stage + "/leave/" + d.Change.Name,
		Action: actionLeave, Target: d.Change.Name, App: app,
		Why:      "somebody else has led it elsewhere; nothing is changed, so nothing is taken back",
		ReliesOn: []plan.Reliance{{What: "records of " + d.Change.Name, Is: describe(now)}},
		Data:     plan.JSON(left),
	})
	// A fence that somebody has taken as well keeps writers of before the return out by itself.
	turn, err := o.newFence(ctx, plan.New(o.Migration, p.Stage), z, d)
	if turn != nil {
		way.fences = append(way.fences, turn.change(p, app))
	}
	return err
}

// heldAtGreen refuses a way back that a name which still leads to green would not take.
func heldAtGreen(d moveData, now []zone.RRset) plan.Refusal {
	return plan.Refusal{
		What: d.Change.Name, Why: fmt.Sprintf("it holds %s, which is neither what the swap wrote nor what it replaced, and leads to green", describe(now)),
		Mend: "find out who changed it, and set it to " + describe(d.Change.Old) + " by hand if it is to lead to blue",
	}
}

// leaveName reads a name again that is left: it must not lead to green when blue is thawed.
func (o ReturnOptions) leaveName(ctx context.Context, c plan.Change, d moveData) (moved, error) {
	z, err := o.zoneOf(d.Change.Name)
	if err != nil {
		return moved{}, err
	}
	now, err := lookupSwappable(ctx, z.Driver, d.Change.Name)
	if err == nil && !zone.SameSets(now, d.Change.New) {
		err = &plan.MovedError{Change: c.ID, What: "records of " + d.Change.Name, Was: describe(d.Change.New), Now: describe(now)}
	}
	return moved{Sent: o.now()}, err
}

// LookAtReturn finds the names that a return would leave as they are, and those that it would refuse because they still lead to green. It
// only reads. What could not be read is the error.
func LookAtReturn(ctx context.Context, opts ReturnOptions) (left []LeftName, refused []plan.Refusal, err error) {
	err = opts.swapped(ctx, func(c plan.Change, d moveData, _ Zone, now []zone.RRset, half bool) error {
		if half || zone.SameSets(now, d.Change.Old) || zone.SameSets(now, d.Change.New) {
			return nil
		}
		elsewhere, err := opts.elsewhere(ctx, d, now)
		switch {
		case err != nil:
			return err
		case elsewhere:
			left = append(left, LeftName{App: c.App, Name: d.Change.Name, Holds: describe(now)})
		default:
			refused = append(refused, heldAtGreen(d, now))
		}
		return nil
	})
	return left, refused, err
}

// LeftNames are the names that the return has left as they are.
func (r ReturnResult) LeftNames() []LeftName {
	var left []LeftName
	for _, m := range r.Left {
		left = append(left, LeftName{App: m.App, Name: m.Name, Holds: describe(m.Change.New)})
	}
	return left
}

// companionsBack are external-dns's records of a name as they are now, given back to blue's. Green's external-dns may have
// written them anew since the swap. Nothing about them keeps the name from going back: what cannot be read is said.
func (o ReturnOptions) companionsBack(ctx context.Context, p *plan.Plan, z Zone, d moveData) []zone.Companion {
	name := d.Change.Name
	back := Handover{From: d.Handover.To, To: d.Handover.From, Affix: d.Handover.Affix}
	owners, err := o.findOwners(ctx, z, o.sight(ctx, Held{Name: name, Zone: d.Zone, Servers: d.Servers}), d.Change.New, []externaldns.Affix{back.Affix})
	if err != nil {
		p.Note(plan.Warning, name, fmt.Sprintf("external-dns's records of it could not be read (%v), and stay: stop green's external-dns, or it takes the name to green again", err))
		return nil
	}
	with := back.companions(owners)
	if len(with) == 0 {
		p.Note(plan.Warning, name, "none of external-dns's records of it says that it is "+back.From+"'s any more: they stay as they are")
		return nil
	}
	back.note(p, name, with)
	return with
}

// fenceTurn gives a fence a new token.
type fenceTurn struct {
	fenceData
	// set is the fence as it stands.
	set zone.RRset
}

// newFence chooses a new token for a name's fence, or adds a refusal and returns nil.
func (o ReturnOptions) newFence(ctx context.Context, p *plan.Plan, z Zone, d moveData) (*fenceTurn, error) {
	old := d.Change.Fence
	set, err := fenceAt(ctx, z.Driver, old.Name)
	if err != nil {
		return nil, err
	}
	token := tokenOf(set)
	if why, mend := lostFence(old, token, o.Fences); why != "" {
		p.Refuse(d.Change.Name, why, mend)
		return nil, nil
	}
	fence := zone.Fence{Name: old.Name, Token: o.tokenAfter(old.Token)}
	return &fenceTurn{fenceData: fenceData{Zone: d.Zone, Name: d.Change.Name, Fence: fence, Previous: token}, set: set}, nil
}

// lostFence says what is wrong with a token that stands at a fence's name, and what to do; both are empty where it is the one that was
// taken, or one that a return has taken since.
func lostFence(old zone.Fence, token string, since []zone.Fence) (why, mend string) {
	if token == old.Token || slices.Contains(since, zone.Fence{Name: old.Name, Token: token}) {
		return "", ""
	}
	why = "another writer holds its fence: " + token
	if token == "" {
		why = "its fence " + old.Name + " is gone"
	}
	return why, "find out who took it; if nobody writes there, put the TXT record " + old.Name + " back with the text " + old.Token
}

// LostFences warns in a plan of names whose fence is not this migration's any more: going back would be refused. Since are those that
// returns have taken. It only reads. What could not be read is the error beside what was seen.
func LostFences(ctx context.Context, p *plan.Plan, opts NamesOptions, since []zone.Fence) error {
	lost, unread := make([]string, len(opts.Held)), make([]error, len(opts.Held))
	var group errgroup.Group
	group.SetLimit(lookedAt)
	for i, h := range opts.Held {
		if h.Route != nil || !slices.Contains(opts.Apps, h.App) {
			continue
		}
		group.Go(func() error {
			token := ""
			z, err := opts.zoneOf(h.Name)
			if err == nil {
				token, err = fenceToken(ctx, z.Driver, h.Fence.Name)
			}
			if err != nil {
				unread[i] = fmt.Errorf("read the fence of %s: %w", h.Name, err)
				return nil
			}
			if why, mend := lostFence(h.Fence, token, since); why != "" {
				lost[i] = why + ", so that going back to blue would be refused; " + mend
			}
			return nil
		})
	}
	unread = append(unread, group.Wait())
	for i, text := range lost {
		if text != "" {
			p.Note(plan.Warning, opts.Held[i].Name, text)
		}
	}
	return errors.Join(unread...)
}

// change takes the fence by itself, before the name moves.
func (t fenceTurn) change(p *plan.Plan, app string) plan.Change {
	return plan.Change{
		ID:     p.Stage + "/fence/" + t.Name,
		Action: actionFence, Target: t.Name, App: app,
		Why:      "a writer of before the return cannot move the name any more; the next swap and the end of the migration know the new token, so nothing is taken back",
		ReliesOn: []plan.Reliance{{What: "fence " + t.Fence.Name, Is: t.Previous}},
		Data:     plan.JSON(t.fenceData),
	}
}

// join lets the fence change its token in the message that moves the name: with the old token as its condition, and without the
// time that a change of its own would take to reach every server.
func (t fenceTurn) join(back *moveData) {
	next := t.set
	next.Data = []string{`"` + t.Fence.Token + `"`}
	back.Change.Fence = zone.Fence{}
	back.Change.With = append(back.Change.With, zone.Companion{Old: t.set, New: next})
	back.Turn = &t.fenceData
}

// returnName moves one name back. Where its fence changes hands in the same message, one that another writer holds is told from a
// record that moved.
func (o ReturnOptions) returnName(ctx context.Context, c plan.Change, d moveData) (moved, error) {
	result, err := o.swapOne(ctx, c.ID, d.Change)
	if t := d.Turn; t != nil && errors.Is(err, zone.ErrMoved) {
		z, zerr := o.zoneOf(d.Change.Name)
		if zerr != nil {
			return moved{}, errors.Join(err, zerr)
		}
		if token, ferr := fenceToken(ctx, z.Driver, t.Fence.Name); ferr == nil && token != t.Previous {
			fenced := &zone.FencedError{Fence: zone.Fence{Name: t.Fence.Name, Token: t.Previous}, Found: token}
			return moved{}, errors.Join(&plan.MovedError{Change: c.ID, What: "fence " + t.Fence.Name, Was: t.Previous, Now: token}, fenced)
		}
	}
	return moved{Result: result, Sent: o.now()}, err
}

// fenceOf is the fence that a change of a return takes; zero where it takes none.
func fenceOf(c plan.Change) zone.Fence {
	switch c.Action {
	case actionFence:
		var d fenceData
		if json.Unmarshal(c.Data, &d) == nil {
			return d.Fence
		}
	case actionReturn:
		var d moveData
		if json.Unmarshal(c.Data, &d) == nil && d.Turn != nil {
			return d.Turn.Fence
		}
	}
	return zone.Fence{}
}

// PlannedFences are the fences that a plan of a return is to take.
func PlannedFences(p *plan.Plan) []zone.Fence {
	var fences []zone.Fence
	for _, c := range p.Changes {
		if f := fenceOf(c); f.Name != "" {
			fences = append(fences, f)
		}
	}
	return fences
}

// UnderFences returns names with the fences that are in force: the last one for each, of those that returns have taken.
func UnderFences(held []Held, fences []zone.Fence) []Held {
	held = slices.Clone(held)
	for i, h := range held {
		for _, f := range fences {
			if f.Name == h.Fence.Name {
				held[i].Fence = f
			}
		}
	}
	return held
}

// LeadsToGreen returns the names that hold now what a swap wrote, or anything else that it did not replace. One that the swap did not
// come to, and that somebody else has led elsewhere, has led nobody to green.
func LeadsToGreen(ctx context.Context, opts ReturnOptions) ([]string, error) {
	var names []string
	err := opts.swapped(ctx, func(c plan.Change, d moveData, _ Zone, now []zone.RRset, half bool) error {
		if !half && zone.SameSets(now, d.Change.Old) {
			return nil
		}
		if !half && opts.Begun != nil && !opts.Begun(c.ID) {
			if elsewhere, err := opts.elsewhere(ctx, d, now); err != nil || elsewhere {
				return err
			}
		}
		names = append(names, d.Change.Name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = opts.switched(ctx, func(c plan.Change, d switchData, now *backend.State) error {
		if now == nil || !backend.Same(now.Rules, d.Change.Old) {
			names = append(names, c.Target)
		}
		return nil
	})
	return names, err
}

// elsewhere reports whether a name that holds neither what a swap wrote nor what it replaced leads nobody to green, by itself or by
// further names: then it is in another's hand. Where it leads must be known (I8).
func (o Options) elsewhere(ctx context.Context, d moveData, now []zone.RRset) (bool, error) {
	green := d.Green
	for _, set := range d.Change.New {
		if set.Type == "CNAME" {
			green.Target = set.Data[0]
		}
	}
	green.Addresses = slices.Concat(green.Addresses, addressesOf(toDNS(d.Change.New)))
	if leadsTo(NameState{Records: now}, green) {
		return false, nil
	}
	users, err := o.follow(ctx, d.Change.Name, d.Change.Name)
	if err != nil {
		return false, err
	}
	if green.Target != "" {
		at, err := o.follow(ctx, d.Change.Name, green.Target)
		if err != nil {
			return false, err
		}
		green.Addresses = append(green.Addresses, at.addresses...)
	}
	return !slices.ContainsFunc(users.addresses, func(a netip.Addr) bool { return slices.Contains(green.Addresses, a) }), nil
}

// swapped visits the names that the swap moves, each with what it holds now, and whether that is between both.
func (o ReturnOptions) swapped(ctx context.Context, visit func(c plan.Change, d moveData, z Zone, now []zone.RRset, half bool) error) error {
	for _, c := range o.Swap.Changes {
		if c.Action != actionSwap && c.Action != actionShift {
			continue
		}
		var d moveData
		if err := json.Unmarshal(c.Data, &d); err != nil {
			return fmt.Errorf("read the plan of the swap: %w", err)
		}
		z, err := o.zoneOf(d.Change.Name)
		if err != nil {
			return err
		}
		now, half, err := lookupUnderway(ctx, z.Driver, d.Change)
		if err != nil {
			return err
		}
		if err := visit(c, d, z, now, half); err != nil {
			return err
		}
	}
	return nil
}

// ApplyReturn swaps the names back to blue. It asks for no gate: blue served them before. Green must go on answering
// until Settle has waited out what caches hold.
func ApplyReturn(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts ReturnOptions) (ReturnResult, error) {
	err := plan.Run(ctx, p, rec, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
		if c.Action == actionFence {
			return nil, opts.takeFence(ctx, c)
		}
		if c.Action == actionDrop {
			return opts.drop(ctx, c)
		}
		if c.Action == actionUnsplit {
			return opts.unsplit(ctx, c)
		}
		if ofRoute(c) {
			return opts.applySwitchBack(ctx, c, rec)
		}
		var d moveData
		if err := json.Unmarshal(c.Data, &d); err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		switch c.Action {
		case actionReturn:
			return opts.returnName(ctx, c, d)
		case actionLeave:
			return opts.leaveName(ctx, c, d)
		case actionVerify:
			return opts.verifyName(ctx, d)
		}
		return nil, fmt.Errorf("a plan of a return has no %q", c.Action)
	})
	if err != nil {
		return ReturnResult{}, err
	}
	return ReturnResultOf(p, rec)
}

// ReturnResultOf returns what is recorded of a return, from its plan and its outcomes.
func ReturnResultOf(p *plan.Plan, rec plan.Recorder) (ReturnResult, error) {
	var result ReturnResult
	var err error
	result.Names, _, err = movedOf(p, rec)
	for _, c := range p.Changes {
		if f := fenceOf(c); f.Name != "" {
			if _, ok := rec.Done(c.ID); ok {
				result.Fences = append(result.Fences, f)
			}
		}
		if c.Action != actionLeave || !recorded(rec, c.ID) {
			continue
		}
		var d moveData
		if err := json.Unmarshal(c.Data, &d); err != nil {
			return result, fmt.Errorf("read the plan: %w", err)
		}
		var m moved
		if err := outcome(rec, c.ID, &m); err != nil {
			return result, err
		}
		result.Left = append(result.Left, Moved{App: c.App, Name: d.Change.Name, Change: d.Change, Strength: d.Strength, Sent: m.Sent, Seen: Seen{At: m.Sent}})
	}
	if len(p.Changes) > 0 {
		result.App = p.Changes[0].App
	}
	return result, err
}
