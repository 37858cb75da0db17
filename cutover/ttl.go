package cutover

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of changes.
const (
	actionFence   plan.Action = "fence"
	actionLower   plan.Action = "lower the TTL of"
	actionWait    plan.Action = "wait for"
	actionSwap    plan.Action = "swap"
	actionVerify  plan.Action = "verify"
	actionSettle  plan.Action = "settle"
	actionSoak    plan.Action = "soak"
	actionReturn  plan.Action = "swap back"
	actionRestore plan.Action = "restore the TTL of"
	actionRelease plan.Action = "release the fence of"
)

// Held is one hostname as the TTL stage leaves it: fenced, with a short TTL that every cache has seen.
type Held struct {
	App     string        `json:"app"`
	Name    string        `json:"name"`
	Zone    string        `json:"zone"`
	Fence   zone.Fence    `json:"fence"`
	Servers []dnsx.Server `json:"servers"`
	// Signed says that the zone is: every server must show good signatures too.
	Signed bool `json:"signed,omitempty"`
	// Old are the records as they were found, Low the same with the lowered TTL.
	Old []zone.RRset `json:"old"`
	Low []zone.RRset `json:"low"`
	// OldTTL is the longest that any cache may have been given, in seconds.
	OldTTL uint32 `json:"oldTTL"`
	// Lowered is when the last server showed the lowered TTL.
	Lowered Seen `json:"lowered"`
	// Waited is the wait for the old TTL.
	Waited Wait `json:"waited"`
	// Record was made for green's address, so that the name can point at it.
	Record *Record `json:"record,omitempty"`
	// Route keeps the name in the place of a record; nil where DNS moves it. Then there are no records, and no TTL.
	Route *Route `json:"route,omitempty"`
}

// TTLResult is what the TTL stage leaves.
type TTLResult struct {
	Names []Held `json:"names"`
}

// Of returns the names of one application.
func (r TTLResult) Of(app string) []Held {
	var held []Held
	for _, h := range r.Names {
		if h.App == app {
			held = append(held, h)
		}
	}
	return held
}

// OldTTL is the longest TTL that any of the names had.
func (r TTLResult) OldTTL() time.Duration {
	var ttl uint32
	for _, h := range r.Names {
		ttl = max(ttl, h.OldTTL)
	}
	return time.Duration(ttl) * time.Second
}

// fenceData is what taking a fence consumes.
type fenceData struct {
	Zone     string     `json:"zone"`
	Name     string     `json:"name"`
	Fence    zone.Fence `json:"fence"`
	Previous string     `json:"previous,omitempty"`
	// Route holds the fence where no zone does. Held is what taking it leaves, in the stage of the TTLs.
	Route *Route `json:"route,omitempty"`
	Held  *Held  `json:"held,omitempty"`
}

// lowerData is what lowering a TTL consumes. Held lacks what only happens later.
type lowerData struct {
	Held   Held        `json:"held"`
	Change zone.Change `json:"change"`
}

// lowered is the outcome of lowering a TTL.
type lowered struct {
	Result zone.Result `json:"result"`
	Seen   Seen        `json:"seen"`
}

// waitData is what waiting for an old TTL consumes.
type waitData struct {
	App   string `json:"app"`
	Name  string `json:"name"`
	Lower string `json:"lower"` // the ID of the change whose outcome says when the wait begins
	TTL   uint32 `json:"ttl"`
	// Negative says that it is a missing answer that caches may remember; with Wildcard, a wildcard's.
	Negative bool `json:"negative,omitempty"`
	Wildcard bool `json:"wildcard,omitempty"`
}

// remembered says what caches may remember, and for how long.
func (d waitData) remembered() (what string, old part) {
	ttl := time.Duration(d.TTL) * time.Second
	switch {
	case d.Wildcard:
		return "caches that have a wildcard's answer for " + d.Name, part{"TTL of the wildcard", ttl}
	case d.Negative:
		return "caches that know of no " + d.Name, part{"negative TTL", ttl}
	}
	return "old TTL of " + d.Name, part{"old TTL", ttl}
}

// HeldOf returns the names that a plan of the TTL stage holds, whether it was applied to its end or not.
func HeldOf(p *plan.Plan) ([]Held, error) {
	var held []Held
	for _, c := range p.Changes {
		if h := routeHeld(c); h != nil {
			held = append(held, *h)
		}
		if c.Action != actionLower {
			continue
		}
		var d lowerData
		if err := json.Unmarshal(c.Data, &d); err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		held = append(held, d.Held)
	}
	return held, nil
}

// routeHeld returns the hostname whose route a change fences, nil where it does something else.
func routeHeld(c plan.Change) *Held {
	var d fenceData
	if c.Action != actionFence || json.Unmarshal(c.Data, &d) != nil {
		return nil
	}
	return d.Held
}

func ttlStage(opts Options) string {
	if opts.Stage == "" {
		return "ttl"
	}
	return opts.Stage
}

// PlanTTL plans to pause the external-dns that the file names, to fence every hostname, to lower its TTL with its target
// unchanged, and to wait until no cache can hold an answer with the old TTL. It proves first that each server refuses a change whose condition is false. It changes
// nothing.
func PlanTTL(ctx context.Context, opts Options) (*plan.Plan, error) {
	p := plan.New(opts.Migration, ttlStage(opts))
	found, err := Inspect(ctx, InspectOptions{Options: opts})
	if err != nil {
		return nil, err
	}
	p.Refusals, p.Notes = found.Refusals, found.Notes
	if err := planPauses(ctx, opts, p); err != nil {
		return nil, err
	}
	var lower, wait []plan.Change
	for _, state := range found.Names {
		z, err := opts.zoneOf(state.Hostname)
		if err != nil {
			return nil, err
		}
		fence, own, err := planFence(ctx, opts, z, state, p)
		if err != nil {
			return nil, err
		}
		if fence == nil {
			continue
		}
		record, known, err := planRecord(ctx, opts, p, state)
		if err != nil {
			return nil, err
		}
		if known != nil {
			wait = append(wait, *known)
		}
		l, w := planLower(opts, p.Stage, state, own, *fence, record)
		lower, wait = append(lower, l), append(wait, w)
	}
	for _, s := range found.Routes {
		planRouteFence(opts, p, s)
	}
	for _, c := range append(lower, wait...) {
		p.Add(c)
	}
	p.Data = plan.JSON(found)
	return p, nil
}

// planFence adds the change that takes the fence, or a refusal and returns nil. With the fence come the name's records with the TTLs
// that are their own.
func planFence(ctx context.Context, opts Options, z Zone, state NameState, p *plan.Plan) (*zone.Fence, []zone.RRset, error) {
	name, err := zone.FenceName(state.Hostname, state.Zone)
	if err != nil {
		return nil, nil, err
	}
	previous, err := fenceToken(ctx, z.Driver, name)
	if err != nil {
		return nil, nil, err
	}
	ours := strings.HasPrefix(previous, opts.tokens())
	if previous != "" && !opts.Before.gave(name, previous) && (!opts.TakeOver || !ours) {
		mend := "wait for the other migration to end, or remove the TXT record " + name + " once you are sure that nobody writes there"
		if ours {
			mend = mendLostState("the TXT record "+name, previous)
		}
		p.Refuse(state.Hostname, fmt.Sprintf("another writer holds its fence: %s", previous), mend)
		return nil, nil, nil
	}
	own := opts.ownRecords(state, previous)
	if !zone.SameSets(own, state.Records) {
		p.Note(plan.Info, state.Hostname, fmt.Sprintf("its TTL was lowered before, by a plan that was forgotten; its own, which it gets back at the end, is that of %s", describe(own)))
	}
	fence := zone.Fence{Name: name, Token: opts.token(own)}
	p.Add(plan.Change{
		ID:     p.Stage + "/fence/" + state.Hostname,
		Action: actionFence, Target: state.Hostname, App: state.App,
		Why:      "only the holder of the fence can change the name: a run that was thought dead cannot",
		ReliesOn: []plan.Reliance{{What: "fence " + name, Is: previous}},
		Reverse:  &plan.Reverse{Action: actionRelease, How: "remove the TXT record " + name, Data: plan.JSON(fence)},
		Data:     plan.JSON(fenceData{Zone: state.Zone, Name: state.Hostname, Fence: fence, Previous: previous}),
	})
	return &fence, own, nil
}

// newToken is 128 random bits, so that no two writers ever have the same.
func newToken() string {
	var raw [16]byte
	// rand.Read never returns an error.
	_, _ = rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}

// fenceToken returns the token that stands at a fence's name, empty where there is none.
func fenceToken(ctx context.Context, driver zone.Zone, name string) (string, error) {
	set, err := fenceAt(ctx, driver, name)
	return tokenOf(set), err
}

// tokenOf is the text of a fence's set; empty for none.
func tokenOf(set zone.RRset) string { return strings.Trim(strings.Join(set.Data, ","), `"`) }

// fenceAt returns the set that stands at a fence's name, without data where there is none. What only a wildcard answers there is
// nobody's token.
func fenceAt(ctx context.Context, driver zone.Zone, name string) (zone.RRset, error) {
	set, err := lookupText(ctx, driver, name)
	if err != nil || len(set.Data) == 0 || strings.HasPrefix(tokenOf(set), fencePrefix) {
		return set, err
	}
	for wildcard := range zone.WildcardsAbove(name, driver.Apex()) {
		wild, err := lookupText(ctx, driver, wildcard)
		if err != nil {
			return zone.RRset{}, err
		}
		if dnsx.RRset(wild).SameData(dnsx.RRset{Name: wild.Name, Type: wild.Type, Data: set.Data}) {
			return zone.RRset{}, nil
		}
	}
	return set, nil
}

// fencePrefix is what every token begins with, whosever it is.
const fencePrefix = "crossfade/"

// lookupText returns a set without data where there is none.
func lookupText(ctx context.Context, driver zone.Zone, name string) (zone.RRset, error) {
	set, err := driver.Lookup(ctx, name, "TXT")
	if errors.Is(err, zone.ErrNotExist) {
		return zone.RRset{}, nil
	}
	if err != nil {
		return zone.RRset{}, fmt.Errorf("read the fence %s: %w", name, err)
	}
	return set, nil
}

func planLower(opts Options, stage string, s NameState, own []zone.RRset, fence zone.Fence, record *Record) (lower, wait plan.Change) {
	ttl := opts.lowTTL()
	for _, set := range s.Records {
		ttl = min(ttl, set.TTL) // a TTL that is shorter already is not raised
	}
	old := s.TTL
	for _, set := range own {
		old = max(old, set.TTL) // caches may hold it still, where it was lowered a moment ago
	}
	waited := old
	why := fmt.Sprintf("from %ds to %ds with the target unchanged (%s), so that a swap and its way back take no longer", old, ttl, s.Strength)
	if s.Proxied {
		// No cache of the DNS holds where it leads, so that there is nothing to lower and nothing to wait for.
		ttl, waited = s.Records[0].TTL, 0
		why = fmt.Sprintf("nothing is changed: it is proxied, and its provider alone decides on its TTL; a swap reaches all of the provider's servers within %ds", ttl)
	}
	held := Held{
		App: s.App, Name: s.Hostname, Zone: s.Zone, Fence: fence, Servers: s.Delegation.Servers, Signed: s.Delegation.Signed,
		Old: own, Low: withTTL(s.Records, ttl), OldTTL: old, Record: record,
	}
	change := zone.Change{Name: s.Hostname, Old: s.Records, New: held.Low, Fence: fence}
	back := zone.Change{Name: s.Hostname, Old: held.Low, New: held.Old, Fence: fence}
	lower = plan.Change{
		ID:     stage + "/lower/" + s.Hostname,
		Action: actionLower, Target: s.Hostname, App: s.App,
		Why:      why,
		ReliesOn: []plan.Reliance{{What: "records of " + s.Hostname, Is: describe(s.Records)}},
		Reverse:  &plan.Reverse{Action: actionRestore, How: fmt.Sprintf("set the TTL to %ds again", old), Data: plan.JSON(back)},
		Data:     plan.JSON(lowerData{Held: held, Change: change}),
	}
	wait = plan.Change{
		ID:     stage + "/wait/" + s.Hostname,
		Action: actionWait, Target: "the old TTL of " + s.Hostname, App: s.App,
		Why: fmt.Sprintf("a cache may have got the old TTL until the last server showed the new one: %s from then on; nothing is changed, so nothing is taken back",
			sum(part{"old TTL", time.Duration(waited) * time.Second}, part{"margin", opts.margin()})),
		Data: plan.JSON(waitData{App: s.App, Name: s.Hostname, Lower: lower.ID, TTL: waited}),
	}
	return lower, wait
}

// ApplyTTL pauses external-dns, takes the fences, lowers the TTLs and waits the old ones out. A wait begins when the last
// server showed the lowered TTL and its beginning is recorded, so a run that is resumed waits only for what is left.
func ApplyTTL(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts Options) (TTLResult, error) {
	err := plan.Run(ctx, p, rec, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
		switch c.Action {
		case actionPause:
			return opts.pause(ctx, c)
		case actionGone:
			return struct{}{}, opts.waitGone(ctx, c)
		case actionFence:
			return nil, opts.takeFence(ctx, c)
		case actionLower:
			return opts.lowerTTL(ctx, c)
		case actionRecord:
			return opts.makeRecord(ctx, c)
		case actionWait:
			return opts.waitOldTTL(ctx, p, c, rec)
		}
		return nil, fmt.Errorf("a plan of TTLs has no %q", c.Action)
	})
	if err != nil {
		return TTLResult{}, err
	}
	return TTLResultOf(p, rec)
}

func (o Options) takeFence(ctx context.Context, c plan.Change) error {
	var d fenceData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	if d.Route != nil {
		return o.claimRoute(ctx, c, d)
	}
	z, err := o.zoneOf(d.Name)
	if err != nil {
		return err
	}
	err = z.Driver.Claim(ctx, d.Name, d.Fence, d.Previous)
	var fenced *zone.FencedError
	if errors.As(err, &fenced) {
		return errors.Join(&plan.MovedError{Change: c.ID, What: "fence " + d.Fence.Name, Was: d.Previous, Now: fenced.Found}, err)
	}
	return err
}

func (o Options) lowerTTL(ctx context.Context, c plan.Change) (lowered, error) {
	var d lowerData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return lowered{}, fmt.Errorf("read the plan: %w", err)
	}
	result, err := o.swapOne(ctx, c.ID, d.Change)
	if err != nil {
		return lowered{}, err
	}
	seen, err := o.propagate(ctx, spread{name: d.Change.Name, zone: d.Held.Zone, signed: d.Held.Signed, servers: d.Held.Servers, want: wants(d.Change)})
	if err != nil {
		return lowered{}, err
	}
	return lowered{Result: result, Seen: seen}, nil
}

// swapOne reads again what a change of a name relies on, and makes it. A name that holds the new records already is done.
func (o Options) swapOne(ctx context.Context, id string, change zone.Change) (zone.Result, error) {
	z, err := o.zoneOf(change.Name)
	if err != nil {
		return zone.Result{}, err
	}
	now, half, err := lookupUnderway(ctx, z.Driver, change)
	if err == nil && len(change.Old) == 0 {
		now, err = lookupOwn(ctx, z.Driver, change.Name)
	}
	if err != nil {
		return zone.Result{}, err
	}
	if !half && !zone.SameSets(now, change.Old) && !zone.SameSets(now, change.New) {
		return zone.Result{}, &plan.MovedError{Change: id, What: "records of " + change.Name, Was: describe(change.Old), Now: describe(now)}
	}
	result, err := z.Driver.Swap(ctx, change)
	if errors.Is(err, zone.ErrMoved) {
		return result, errors.Join(&plan.MovedError{Change: id, What: "records of " + change.Name, Was: describe(change.Old), Now: describe(result.After)}, err)
	}
	return result, err
}

// waitOldTTL waits the old TTL of one name out. Before it begins, all the waits that are left are told: they run side by side.
func (o Options) waitOldTTL(ctx context.Context, p *plan.Plan, c plan.Change, rec plan.Recorder) (Wait, error) {
	w, err := o.oldTTL(c, rec)
	if err != nil || !w.Until.After(o.now()) {
		return w, err
	}
	left, err := o.oldTTLs(p, rec)
	if err != nil {
		return Wait{}, err
	}
	if o.Waits != nil {
		if err := o.Waits(left); err != nil {
			return Wait{}, err
		}
	}
	if o.NoWait {
		return Wait{}, &PausedError{Waits: left}
	}
	return w, o.waitOut(ctx, w)
}

// oldTTL is the wait for one name's old TTL, from when the last server showed the lowered one.
func (o Options) oldTTL(c plan.Change, rec plan.Recorder) (Wait, error) {
	var d waitData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return Wait{}, fmt.Errorf("read the plan: %w", err)
	}
	var l lowered
	if err := outcome(rec, d.Lower, &l); err != nil {
		return Wait{}, err
	}
	what, old := d.remembered()
	return newWait(d.App, what, l.Seen.At, old, part{"margin", o.margin()}), nil
}

// oldTTLs are the waits of a plan that are not over, the longest last.
func (o Options) oldTTLs(p *plan.Plan, rec plan.Recorder) ([]Wait, error) {
	var left []Wait
	for _, c := range p.Changes {
		if c.Action != actionWait {
			continue
		}
		w, err := o.oldTTL(c, rec)
		if err != nil {
			return nil, err
		}
		if w.Until.After(o.now()) {
			left = append(left, w)
		}
	}
	slices.SortStableFunc(left, func(a, b Wait) int { return a.Until.Compare(b.Until) })
	return left, nil
}

// recorded reports whether the outcome of a change is.
func recorded(rec plan.Recorder, id string) bool {
	_, ok := rec.Done(id)
	return ok
}

// outcome reads what a change left.
func outcome(rec plan.Recorder, id string, into any) error {
	raw, ok := rec.Done(id)
	if !ok {
		return fmt.Errorf("the outcome of %s is not recorded", id)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read the outcome of %s: %w", id, err)
	}
	return nil
}

// TTLResultOf returns the result of a TTL stage that was applied to its end, from its plan and its recorded outcomes.
func TTLResultOf(p *plan.Plan, rec plan.Recorder) (TTLResult, error) {
	byName := map[string]int{}
	var result TTLResult
	for _, c := range p.Changes {
		if h := routeHeld(c); h != nil {
			result.Names = append(result.Names, *h)
		}
		switch c.Action {
		case actionLower:
			var d lowerData
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return TTLResult{}, fmt.Errorf("read the plan: %w", err)
			}
			var l lowered
			if err := outcome(rec, c.ID, &l); err != nil {
				return TTLResult{}, err
			}
			d.Held.Lowered = l.Seen
			byName[d.Held.Name] = len(result.Names)
			result.Names = append(result.Names, d.Held)
		case actionWait:
			var d waitData
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return TTLResult{}, fmt.Errorf("read the plan: %w", err)
			}
			i, ok := byName[d.Name]
			if !ok {
				continue // for a record that was made
			}
			if err := outcome(rec, c.ID, &result.Names[i].Waited); err != nil {
				return TTLResult{}, err
			}
		}
	}
	return result, nil
}
