package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Moved is one name that a swap, or its return, moved.
type Moved struct {
	App      string        `json:"app"`
	Name     string        `json:"name"`
	Change   zone.Change   `json:"change"`
	Servers  []dnsx.Server `json:"servers"`
	Strength zone.Strength `json:"strength"`
	// Sent is when the change was known to be made at the primary.
	Sent   time.Time   `json:"sent"`
	Result zone.Result `json:"result"`
	// Seen is when every server showed it; zero where that is not recorded.
	Seen Seen `json:"seen"`
	// Views are what resolvers said right after.
	Views []View `json:"views,omitempty"`
	// Baselines are the numbers from before the swap with which checks compare, by check.
	Baselines map[string]float64 `json:"baselines,omitempty"`
	// Switched is set where the name stays and its backend was switched: then Change, Servers and Views are empty.
	Switched *Switched `json:"switched,omitempty"`
}

// way says where the name led, and leads.
func (m Moved) way() (from, to string) {
	if m.Switched != nil {
		return m.Switched.From, m.Switched.To
	}
	return describe(m.Change.Old), describe(m.Change.New)
}

// ttl is the longest that a cache may hold what was before the change.
func (m Moved) ttl() time.Duration {
	return time.Duration(longestOf(m.Change.Old)) * time.Second
}

// promise is how strong the swap was, for people: with what its provider lacks.
func (m Moved) promise() string {
	text := string(m.Strength)
	if m.Result.Gap > 0 {
		text += fmt.Sprintf(", without its whole answer for up to %s", m.Result.Gap.Round(time.Millisecond))
	}
	if m.Seen.By != "" {
		text += ", seen by " + m.Seen.By
	}
	return text
}

// SwapResult is one application's swap.
type SwapResult struct {
	App   string  `json:"app"`
	Names []Moved `json:"names"`
	// Gates are those that green passed just before its names moved.
	Gates []Gate `json:"gates,omitempty"`
}

// Baselines are the numbers from before a swap with which checks compare after it.
func Baselines(names []Moved) map[string]float64 {
	for _, m := range names {
		if len(m.Baselines) > 0 {
			return m.Baselines
		}
	}
	return nil
}

// SwapOptions say what is swapped.
type SwapOptions struct {
	Options
	App string
	// Held is what the TTL stage left of the application's names.
	Held []Held
	// Baselines are those that a shift before the swap took. Nil takes them now.
	Baselines map[string]float64
}

// moveData is what a swap, or its return, consumes for one name.
type moveData struct {
	Zone     string        `json:"zone"`
	Change   zone.Change   `json:"change"`
	Servers  []dnsx.Server `json:"servers"`
	Strength zone.Strength `json:"strength"`
	// Green is the entry that the plan was made for.
	Green Entry `json:"green"`
	// Signed says that the zone is: every server must show a good signature too.
	Signed bool `json:"signed,omitempty"`
	// Proxied says that no name server shows where the name leads: the provider's API is read instead.
	Proxied bool `json:"proxied,omitempty"`
	// Handover is what becomes of external-dns's records of the name, in the same message.
	Handover *Handover `json:"handover,omitempty"`
	// Turn is the new token of the name's fence, where a return changes it in the same message.
	Turn *fenceData `json:"turn,omitempty"`
	// Baselines are taken with the plan, so that a run that goes on after a kill still has those from before the swap.
	Baselines map[string]float64 `json:"baselines,omitempty"`
}

// moved is the outcome of one name's move.
type moved struct {
	Result zone.Result `json:"result"`
	Sent   time.Time   `json:"sent"`
	Gates  []Gate      `json:"gates,omitempty"`
}

// verified is the outcome of one name's propagation.
type verified struct {
	Seen  Seen   `json:"seen"`
	Views []View `json:"views,omitempty"`
}

// swapSummary is the plan's Data: what a person wants to know before saying yes (C26).
type swapSummary struct {
	Strength zone.Strength `json:"strength"`
	There    string        `json:"there"`
	Back     string        `json:"back"`
}

func stageOr(opts Options, stage, app string) string {
	if opts.Stage == "" {
		return stage + "/" + app
	}
	return opts.Stage
}

// PlanSwap plans to move the names of one application to green, each in one change, and to see every server show it.
func PlanSwap(ctx context.Context, opts SwapOptions) (*plan.Plan, error) {
	p := plan.New(opts.Migration, stageOr(opts.Options, "swap", opts.App))
	app, err := opts.application(opts.App)
	if err != nil {
		return nil, err
	}
	if err := opts.refuseLost(p, app.Name, opts.Held); err != nil {
		return nil, err
	}
	if len(app.Hostnames) == 0 {
		p.Note(plan.Info, app.Name, "it has no hostname, so no name moves")
		return p, nil
	}
	if len(app.Checks) == 0 {
		p.Refuse(app.Name, "it has no checks, so nothing could show that green serves, or that it fails after the swap", "declare at least one check for the application")
	}
	entries, err := FindEntries(ctx, opts.Options, app.Name)
	if err != nil {
		return nil, err
	}
	baselines, err := opts.baselines(ctx, app, p)
	if err != nil {
		return nil, err
	}
	var swaps, verifies []plan.Change
	summary := swapSummary{}
	keepers := newKeepers(opts.Options)
	dns := 0
	keepers.stopped = true
	for _, e := range entries {
		if opts.atBackend(app.Name, e.Hostname) {
			move, verify, data, err := planSwitch(ctx, opts, p, e, baselines)
			if err != nil {
				return nil, err
			}
			if data != nil {
				swaps, verifies = append(swaps, *move), append(verifies, *verify)
			}
			continue
		}
		dns++
		swap, verify, data, err := planMove(ctx, opts, p, e, keepers, baselines)
		if err != nil {
			return nil, err
		}
		if data == nil {
			continue
		}
		swaps, verifies = append(swaps, *swap), append(verifies, *verify)
		summary = summarise(opts.Options, summary, *data)
	}
	for _, c := range append(swaps, verifies...) {
		p.Add(c)
	}
	if len(swaps) > 0 && dns > 0 {
		p.Note(plan.Info, app.Name, fmt.Sprintf("strength: %s", summary.Strength))
		p.Note(plan.Info, app.Name, "there: "+summary.There)
		p.Note(plan.Info, app.Name, "back: "+summary.Back)
	}
	p.Data = plan.JSON(summary)
	return p, nil
}

// summarise keeps the weakest strength and the longest way.
func summarise(opts Options, s swapSummary, d moveData) swapSummary {
	order := []zone.Strength{"", zone.Atomic, zone.Transactional, zone.Weak}
	if slices.Index(order, d.Strength) > slices.Index(order, s.Strength) {
		s.Strength = d.Strength
	}
	there, back, asLong := opts.ways(d)
	s.There = fmt.Sprintf("every server shows it within %s at most, then %s until no cache that honours TTLs leads to blue", opts.propagation(), there)
	s.Back = fmt.Sprintf("every server within %s at most, then %s until no cache that honours TTLs leads to green", opts.propagation(), back)
	if asLong {
		s.Back = "as long: " + s.Back
	}
	return s
}

// ways are how long caches follow a swap, and its return; asLong says that they are the same.
func (o Options) ways(d moveData) (there, back string, asLong bool) {
	there = sum(o.beforeSwap(d.Change.Name, d.Change.Old), part{"margin", o.margin()})
	back = sum(part{"TTL", Moved{Change: d.Change}.ttl()}, part{"margin", o.margin()})
	return there, back, there == back
}

// baselines are the numbers from before the first name moved: a shift's, or those of now.
func (o SwapOptions) baselines(ctx context.Context, app migration.Application, p *plan.Plan) (map[string]float64, error) {
	if o.Baselines != nil {
		return o.Baselines, nil
	}
	return takeBaselines(ctx, o.Options, app, p)
}

// planMove returns nil data where a refusal was added.
func planMove(ctx context.Context, opts SwapOptions, p *plan.Plan, e Entries, keepers *dnsKeepers, baselines map[string]float64) (swap, verify *plan.Change, data *moveData, err error) {
	data, share, err := readMove(ctx, opts, p, e, keepers)
	if err != nil || data == nil {
		return nil, nil, nil, err
	}
	data.Baselines = baselines
	if share > 0 {
		p.Note(plan.Info, e.Hostname, fmt.Sprintf("%d of 100 answers lead to green now: one change replaces both shares by green alone", share))
	}
	s, v := moveChanges(opts.Options, p.Stage, e.App, actionSwap, *data)
	s.ReliesOn = append(s.ReliesOn, opts.relyOnPause()...)
	return &s, &v, data, nil
}

// readMove reads what moving a name to green consumes, and what part of its answers leads there already. It returns nil where a
// refusal was added.
func readMove(ctx context.Context, opts SwapOptions, p *plan.Plan, e Entries, keepers *dnsKeepers) (*moveData, int, error) {
	i := slices.IndexFunc(opts.Held, func(h Held) bool { return h.Name == e.Hostname && h.App == e.App })
	if i < 0 {
		p.Refuse(e.Hostname, lateName, mendLateName)
		return nil, 0, nil
	}
	held := opts.Held[i]
	z, err := opts.zoneOf(e.Hostname)
	if err != nil {
		return nil, 0, err
	}
	state := NameState{Entries: e, Zone: held.Zone, Strength: z.Driver.Strength()}
	share := 0
	if state.Records, share, err = lookupShared(ctx, z.Driver, e, held); err != nil {
		return nil, 0, err
	}
	if state.Proxied, err = proxied(ctx, z.Driver, e.Hostname); err != nil {
		return nil, 0, err
	}
	var found Inspection
	if state.Proxied {
		found.warn(e.Hostname, proxiedNote)
	}
	judgeGreen(state, &found)
	if state.Owners, err = opts.findOwners(ctx, z, opts.sight(ctx, held), state.Records, keepers.affixes(ctx)); err != nil {
		return nil, 0, err
	}
	state.Handover = keepers.judge(ctx, state, z, false, &found)
	p.Refusals, p.Notes = append(p.Refusals, found.Refusals...), append(p.Notes, found.Notes...)
	if len(found.Refusals) > 0 {
		return nil, 0, nil
	}
	if others, err := opts.refuseOthers(p, held, state.Records); err != nil || others {
		return nil, 0, err
	}
	if held.Record != nil && !held.Record.holds(e.Green.Addresses) {
		p.Refuse(e.Hostname, fmt.Sprintf("%s was made for green's address and holds %s, and green answers at %s now", held.Record.Change.Name, describe(held.Record.Change.New), e.Green), "give green its address back, or roll the migration back and run it again")
		return nil, 0, nil
	}
	if refused, err := opts.judgeTarget(ctx, p, e, held); err != nil || refused {
		return nil, 0, err
	}
	target, err := newRecords(state, held.Low[0].TTL)
	if err != nil {
		return nil, 0, err
	}
	data := &moveData{
		Zone: held.Zone, Change: zone.Change{Name: e.Hostname, Old: held.Low, New: target, Fence: held.Fence}, Servers: held.Servers,
		Strength: state.Strength, Green: e.Green, Signed: held.Signed, Proxied: state.Proxied, Handover: state.Handover,
	}
	if h := state.Handover; h != nil {
		data.Change.With = h.companions(state.Owners)
		h.note(p, e.Hostname, data.Change.With)
	}
	return data, share, nil
}

// moveChanges are the two changes of one name: the move, and seeing it everywhere.
func moveChanges(opts Options, stage, app string, action plan.Action, d moveData) (move, verify plan.Change) {
	name := d.Change.Name
	if action != actionSwap {
		opts.Raised = nil // what was seen before the swap led to blue
	}
	there, back, asLong := opts.ways(d)
	goingBack := "as long"
	if !asLong {
		goingBack = back
	}
	move = plan.Change{
		ID:     stage + "/" + name,
		Action: action, Target: name, App: app,
		Why: fmt.Sprintf("one change (%s) from %s to %s; once every server shows it, caches follow within %s, and going back takes %s",
			d.Strength, describe(d.Change.Old), describe(d.Change.New), there, goingBack),
		ReliesOn: []plan.Reliance{
			{What: "records of " + name, Is: describe(d.Change.Old)},
			{What: "fence " + d.Change.Fence.Name, Is: d.Change.Fence.Token},
		},
		Data: plan.JSON(d),
	}
	if t := d.Turn; t != nil {
		move.ReliesOn[1] = plan.Reliance{What: "fence " + t.Fence.Name, Is: t.Previous}
		move.Why += "; its fence gets a new token in the same message, so that a writer of before the return cannot move it any more"
	}
	for _, w := range d.Change.With {
		if d.Turn != nil && w.Old.Name == d.Turn.Fence.Name {
			continue
		}
		move.ReliesOn = append(move.ReliesOn, plan.Reliance{What: "external-dns's record " + w.Old.Name, Is: strings.Join(w.Old.Data, " ")})
	}
	if action == actionSwap {
		move.ReliesOn = append(move.ReliesOn,
			plan.Reliance{What: "green's entry", Is: d.Green.String()},
			plan.Reliance{What: "checks on green", Is: string(Passed)})
		move.Reverse = &plan.Reverse{Action: actionReturn, How: fmt.Sprintf("swap back to %s, which takes caches %s", describe(d.Change.Old), back), Data: plan.JSON(d.Change.Reverse())}
	}
	verify = plan.Change{
		ID:     move.ID + "/everywhere",
		Action: actionVerify, Target: name, App: app,
		Why:  fmt.Sprintf("every address of all %d servers must show it with authority within %s; it only reads, so nothing is taken back", len(d.Servers), opts.propagation()),
		Data: plan.JSON(d),
	}
	if d.Proxied {
		verify.Why = "no name server shows where a proxied name leads, so it is read back at the provider's API; it only reads, so nothing is taken back"
	}
	return move, verify
}

// ApplySwap moves the names of one application. Just before, green must pass every check at the entry that the plan was
// made for. Before the first of them moves, all that are still to move are read.
func ApplySwap(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts SwapOptions) (SwapResult, error) {
	if err := p.Err(); err != nil {
		return SwapResult{}, err
	}
	if err := opts.lookFirst(ctx, p, rec); err != nil {
		return SwapResult{}, err
	}
	err := plan.Run(ctx, p, rec, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
		if ofRoute(c) {
			return opts.applySwitch(ctx, c, rec)
		}
		var d moveData
		if err := json.Unmarshal(c.Data, &d); err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		switch c.Action {
		case actionSwap:
			return opts.swapName(ctx, c, d)
		case actionVerify:
			return opts.verifyName(ctx, d)
		}
		return nil, fmt.Errorf("a plan of a swap has no %q", c.Action)
	})
	if err != nil {
		return SwapResult{}, err
	}
	return SwapResultOf(p, rec)
}

// lookFirst reads every name that is still to move, and its fence. One that has changed hands would be seen only once others have moved:
// then users are on both sides, and green may have accepted what no way back brings to blue.
func (o SwapOptions) lookFirst(ctx context.Context, p *plan.Plan, rec plan.Recorder) error {
	for _, c := range p.Changes {
		if recorded(rec, c.ID) {
			continue
		}
		var err error
		switch c.Action {
		case actionSwap:
			var d moveData
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return fmt.Errorf("read the plan: %w", err)
			}
			err = o.stillOurs(ctx, c.ID, d.Change)
		case actionSwitch:
			var d switchData
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return fmt.Errorf("read the plan: %w", err)
			}
			err = o.routeHolds(ctx, c.ID, d)
		}
		if err != nil {
			return fmt.Errorf("look at %s before the first name moves: %w", c.Target, err)
		}
	}
	return nil
}

// stillOurs reads a name that is to move, and its fence. It may have moved already, where a run was killed before it could record that.
func (o Options) stillOurs(ctx context.Context, id string, change zone.Change) error {
	z, err := o.zoneOf(change.Name)
	if err != nil {
		return err
	}
	now, half, err := lookupUnderway(ctx, z.Driver, change)
	if errors.Is(err, zone.ErrConflict) {
		return errors.Join(&plan.MovedError{Change: id, What: "records of " + change.Name, Was: describe(change.Old), Now: err.Error()}, err)
	}
	if err != nil {
		return err
	}
	if !half && !zone.SameSets(now, change.Old) && !zone.SameSets(now, change.New) {
		moved := &plan.MovedError{Change: id, What: "records of " + change.Name, Was: describe(change.Old), Now: describe(now)}
		return errors.Join(moved, o.sawTTL(change.Name, change.Old, now))
	}
	token, err := fenceToken(ctx, z.Driver, change.Fence.Name)
	if err != nil {
		return err
	}
	if token != change.Fence.Token {
		moved := &plan.MovedError{Change: id, What: "fence " + change.Fence.Name, Was: change.Fence.Token, Now: token}
		return errors.Join(moved, &zone.FencedError{Fence: change.Fence, Found: token})
	}
	return nil
}

func (o SwapOptions) swapName(ctx context.Context, c plan.Change, d moveData) (moved, error) {
	gates, err := o.gateGreen(ctx, c, d)
	if err != nil {
		return moved{}, err
	}
	if err := o.standsStill(ctx, c.ID); err != nil {
		return moved{}, err
	}
	result, err := o.swapOne(ctx, c.ID, d.Change)
	if errors.Is(err, plan.ErrMoved) {
		err = errors.Join(err, o.lookAtTTL(ctx, d.Change))
	}
	if err != nil {
		return moved{}, err
	}
	return moved{Result: result, Sent: o.now(), Gates: gates}, nil
}

// lookAtTTL reads the TTL of a name that is not swapped because it holds something else.
func (o Options) lookAtTTL(ctx context.Context, change zone.Change) error {
	z, err := o.zoneOf(change.Name)
	if err != nil {
		return err
	}
	now, err := lookupSwappable(ctx, z.Driver, change.Name)
	if err != nil {
		return err
	}
	return o.sawTTL(change.Name, change.Old, now)
}

// gateGreen reads green's entry again, and where its target leads, and demands that every check passes there now.
func (o SwapOptions) gateGreen(ctx context.Context, c plan.Change, d moveData) ([]Gate, error) {
	entries, err := FindEntries(ctx, o.Options, o.App)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Hostname != d.Change.Name {
			continue
		}
		if e.Green.Target != d.Green.Target || !slices.Equal(e.Green.Addresses, d.Green.Addresses) {
			return nil, &plan.MovedError{Change: c.ID, What: "green's entry", Was: d.Green.String(), Now: e.Green.String()}
		}
		if (NameState{Records: d.Change.Old}).Address() {
			continue
		}
		why, _, err := o.refuseTarget(ctx, e.Green)
		if err != nil {
			return nil, err
		}
		if why != "" {
			return nil, &plan.MovedError{Change: c.ID, What: "green's entry", Was: d.Green.String(), Now: why}
		}
	}
	gates, err := Check(ctx, CheckOptions{Options: o.Options, App: o.App, Side: sideGreen, Entries: entries})
	if err != nil {
		return nil, err
	}
	if Verdict(gates) != Passed {
		return nil, &GateError{App: o.App, Gates: gates}
	}
	return gates, nil
}

func (o Options) verifyName(ctx context.Context, d moveData) (verified, error) {
	seen, err := o.propagate(ctx, spread{name: d.Change.Name, zone: d.Zone, signed: d.Signed, servers: d.Servers, want: wants(d.Change)})
	if err != nil {
		return verified{}, err
	}
	return verified{Seen: seen, Views: o.views(ctx, d.Change.Name, toDNS(d.Change.New))}, nil
}

// SwapResultOf returns what is recorded of a swap, from its plan and its outcomes. A swap that was broken off has only
// some of its names.
func SwapResultOf(p *plan.Plan, rec plan.Recorder) (SwapResult, error) {
	var result SwapResult
	var err error
	result.Names, result.Gates, err = movedOf(p, rec)
	if len(p.Changes) > 0 {
		result.App = p.Changes[0].App
	}
	return result, err
}

// movedOf reads the outcomes of a swap or of a return.
func movedOf(p *plan.Plan, rec plan.Recorder) ([]Moved, []Gate, error) {
	var names []Moved
	var gates []Gate
	for _, c := range p.Changes {
		if _, ok := rec.Done(c.ID); !ok || c.Action == actionFence || c.Action == actionDrop {
			continue
		}
		if ofRoute(c) {
			var passed []Gate
			var err error
			if names, passed, err = switchedOf(names, c, rec); err != nil {
				return nil, nil, err
			}
			gates = append(gates, passed...)
			continue
		}
		var d moveData
		if err := json.Unmarshal(c.Data, &d); err != nil {
			return nil, nil, fmt.Errorf("read the plan: %w", err)
		}
		switch c.Action {
		case actionSwap, actionReturn:
			var m moved
			if err := outcome(rec, c.ID, &m); err != nil {
				return nil, nil, err
			}
			names = append(names, Moved{App: c.App, Name: d.Change.Name, Change: d.Change, Servers: d.Servers, Strength: d.Strength, Sent: m.Sent, Result: m.Result, Baselines: d.Baselines})
			gates = append(gates, m.Gates...)
		case actionVerify:
			var v verified
			if err := outcome(rec, c.ID, &v); err != nil {
				return nil, nil, err
			}
			if i := slices.IndexFunc(names, func(m Moved) bool { return m.Name == d.Change.Name }); i >= 0 {
				names[i].Seen, names[i].Views = v.Seen, v.Views
			}
		}
	}
	return names, gates, nil
}
