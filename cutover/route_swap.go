package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of hostnames whose backend is switched.
const (
	actionSwitch     plan.Action = "switch the backend of"
	actionSwitchBack plan.Action = "switch back the backend of"
	actionDrop       plan.Action = "take away"
)

// everywhere ends the ID of the change that sees a move everywhere.
const everywhere = "/everywhere"

// switchData is what switching a backend, or its return, consumes.
type switchData struct {
	Route  Route          `json:"route"`
	Change backend.Change `json:"change"`
	// Fence is the change's, as fences of names are kept.
	Fence zone.Fence `json:"fence"`
	// Made are objects of ours that the new rules lead through: they are there before the rules lead to them.
	Made []made `json:"made,omitempty"`
	// Green is the entry that the plan was made for, which is blue's.
	Green     Entry              `json:"green"`
	Baselines map[string]float64 `json:"baselines,omitempty"`
}

// dropData is what taking an object of ours away consumes.
type dropData struct {
	Made made `json:"made"`
}

// Switched is a hostname's move by its backend, as it is recorded.
type Switched struct {
	Route Route `json:"route"`
	// From and To say where its paths led, and lead.
	From string `json:"from"`
	To   string `json:"to"`
	// Change is what was made.
	Change backend.Change `json:"change"`
	// Followed says that a status of the controller shows that it has the new rules. An Ingress has none.
	Followed bool `json:"followed,omitempty"`
}

// planSwitch plans to lead a hostname to green at its backend. It returns nil data where a refusal was added.
func planSwitch(ctx context.Context, opts SwapOptions, p *plan.Plan, e Entries, baselines map[string]float64) (move, verify *plan.Change, data *switchData, err error) {
	i := slices.IndexFunc(opts.Held, func(h Held) bool { return h.Name == e.Hostname && h.App == e.App && h.Route != nil })
	if i < 0 {
		p.Refuse(e.Hostname, lateName, mendLateName)
		return nil, nil, nil, nil
	}
	held := opts.Held[i]
	var found Inspection
	s, err := inspectRoute(ctx, InspectOptions{Options: opts.Options, WithoutGreen: true}, e, &found)
	if err != nil {
		return nil, nil, nil, err
	}
	if s != nil && s.Fence != held.Fence.Token {
		found.refuse(e.Hostname, "another writer holds its fence: "+orUnknown(s.Fence), "find out who took it")
	}
	if s != nil && len(found.Refusals) == 0 {
		app, err := opts.application(e.App)
		if err != nil {
			return nil, nil, nil, err
		}
		if data, err = opts.toGreen(ctx, app, s, &found); err != nil {
			return nil, nil, nil, err
		}
	}
	p.Refusals, p.Notes = append(p.Refusals, found.Refusals...), append(p.Notes, found.Notes...)
	if data == nil || len(found.Refusals) > 0 {
		return nil, nil, nil, nil
	}
	data.Change.Fence, data.Fence, data.Baselines = held.Fence.Token, held.Fence, baselines
	m, v := switchChanges(opts.Options, p.Stage, e, actionSwitch, *data)
	return &m, &v, data, nil
}

// switchChanges are the two changes of one hostname: the switch, and seeing that it holds.
func switchChanges(opts Options, stage string, e Entries, action plan.Action, d switchData) (move, verify plan.Change) {
	from, to := backend.Describe(d.Change.Old), backend.Describe(d.Change.New)
	move = plan.Change{
		ID:     stage + "/" + e.Hostname,
		Action: action, Target: e.Hostname, App: e.App,
		Why: fmt.Sprintf("one update of %s, from %s to %s; DNS does not move, so no cache has to follow, there or back", d.Route.Ref, from, to),
		ReliesOn: []plan.Reliance{
			{What: fmt.Sprintf("rules of %s for %s", d.Route.Ref, d.Route.Host), Is: from},
			{What: "fence of " + d.Route.fence(), Is: d.Fence.Token},
		},
		Data: plan.JSON(d),
	}
	if action == actionSwitch {
		how := "switch back to " + from
		for _, m := range d.Made {
			move.Why += "; made for it: " + m.String()
			how += ", and take away " + m.String()
		}
		move.ReliesOn = append(move.ReliesOn, plan.Reliance{What: "checks on green", Is: string(Passed)})
		move.Reverse = &plan.Reverse{Action: actionSwitchBack, How: how, Data: plan.JSON(d.Change.Reverse())}
	}
	why := fmt.Sprintf("its controller must show in the status that it has the new rules, within %s", opts.propagation())
	if d.Route.Kind == backend.Ingress {
		why = fmt.Sprintf("an Ingress has no status that tells when its controller has the new rules, so they are read again after the margin of %s; the checks show who answers", opts.margin())
	}
	verify = plan.Change{
		ID:     move.ID + everywhere,
		Action: actionVerify, Target: e.Hostname, App: e.App,
		Why:  why + "; it only reads, so nothing is taken back",
		Data: plan.JSON(d),
	}
	return move, verify
}

// switchName makes one switch: green must pass its checks, and what the rules will lead through must be there.
func (o SwapOptions) switchName(ctx context.Context, c plan.Change, d switchData) (moved, error) {
	entries, err := FindEntries(ctx, o.Options, o.App)
	if err != nil {
		return moved{}, err
	}
	gates, err := Check(ctx, CheckOptions{Options: o.Options, App: o.App, Side: sideGreen, Entries: entries, rules: map[string]json.RawMessage{d.Route.Host: d.Change.Old}})
	if err != nil {
		return moved{}, err
	}
	if Verdict(gates) != Passed {
		return moved{}, &GateError{App: o.App, Gates: gates}
	}
	if err := o.routeHolds(ctx, c.ID, d); err != nil {
		return moved{}, err
	}
	for _, m := range d.Made {
		if _, err := backend.Create(ctx, o.kubeOn(m.Side), m.Object); errors.Is(err, backend.ErrForeign) || errors.Is(err, backend.ErrChanged) {
			return moved{}, &Error{Op: "switch the backend of " + c.Target, Hint: "take " + m.String() + " away, if nobody needs it", Err: err}
		} else if err != nil {
			return moved{}, err
		}
	}
	sent, err := o.makeSwitch(ctx, c.ID, d)
	return moved{Sent: sent, Gates: gates}, err
}

// routeHolds refuses a writer who has lost the fence, or whose rules were changed, before he makes anything. The switch itself asks for
// both again.
func (o Options) routeHolds(ctx context.Context, id string, d switchData) error {
	if o.Blue.Kube == nil {
		return errNoCluster
	}
	state, err := backend.Read(ctx, o.Blue.Kube, d.Route.Ref, d.Route.Host)
	if err != nil {
		return err
	}
	if state.Fence != d.Change.Fence {
		return movedRoute(id, &backend.FencedError{Host: state.Host, Want: d.Change.Fence, Found: state.Fence})
	}
	if !backend.Same(state.Rules, d.Change.Old) && !backend.Same(state.Rules, d.Change.New) {
		return &plan.MovedError{Change: id, What: fmt.Sprintf("where %s leads %s", d.Route.Ref, d.Route.Host), Was: backend.Describe(d.Change.Old), Now: backend.Describe(state.Rules)}
	}
	return nil
}

// applySwitch makes a change of a swap that is about a switch.
func (o SwapOptions) applySwitch(ctx context.Context, c plan.Change, rec plan.Recorder) (any, error) {
	var d switchData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	switch c.Action {
	case actionSwitch:
		return o.switchName(ctx, c, d)
	case actionVerify:
		return o.verifySwitch(ctx, c, d, rec)
	}
	return nil, fmt.Errorf("a plan of a swap has no %q", c.Action)
}

func (o Options) makeSwitch(ctx context.Context, id string, d switchData) (time.Time, error) {
	if o.Blue.Kube == nil {
		return time.Time{}, errNoCluster
	}
	if _, err := d.Change.Make(ctx, o.Blue.Kube); err != nil {
		return time.Time{}, movedRoute(id, err)
	}
	return o.now(), nil
}

// verifySwitch waits until the controller shows that it has the rules, where it can show that, and reads them again.
func (o Options) verifySwitch(ctx context.Context, c plan.Change, d switchData, rec plan.Recorder) (verified, error) {
	if o.Blue.Kube == nil {
		return verified{}, errNoCluster
	}
	// Where the rules were blue's already, nothing was sent: the margin begins now.
	sent := moved{Sent: o.now()}
	if move := strings.TrimSuffix(c.ID, everywhere); recorded(rec, move) {
		if err := outcome(rec, move, &sent); err != nil {
			return verified{}, err
		}
	}
	limit := o.now().Add(o.propagation())
	for {
		state, err := backend.Read(ctx, o.Blue.Kube, d.Route.Ref, d.Route.Host)
		if err != nil {
			return verified{}, err
		}
		if !backend.Same(state.Rules, d.Change.New) {
			return verified{}, &plan.MovedError{Change: c.ID, What: fmt.Sprintf("where %s leads %s", d.Route.Ref, d.Route.Host), Was: backend.Describe(d.Change.New), Now: backend.Describe(state.Rules)}
		}
		now, by := o.now(), "its controller's status"
		left := time.Duration(0)
		why := following(state.Object)
		if d.Route.Kind == backend.Ingress {
			why, by, left = "", "the rules, read again after the margin", sent.Sent.Add(o.margin()).Sub(now)
		}
		if why == "" && left <= 0 {
			return verified{Seen: Seen{At: now, By: by}}, nil
		}
		if why != "" && !now.Before(limit) {
			return verified{}, fmt.Errorf("%s has the new rules, and its controller has not followed within %s: %s", d.Route.Ref, o.propagation(), why)
		}
		if err := o.clock().Sleep(ctx, max(min(o.interval(), time.Second), left)); err != nil {
			return verified{}, err
		}
	}
}

// following says what of a route's status does not show that its controllers have the present spec, empty where all does.
func following(obj *unstructured.Unstructured) string {
	parents, _, _ := unstructured.NestedSlice(obj.Object, "status", "parents")
	if len(parents) == 0 {
		return "it has no status"
	}
	for _, p := range parents {
		m, _ := p.(map[string]any)
		conditions, _ := m["conditions"].([]any)
		for _, typ := range []string{"Accepted", "ResolvedRefs"} {
			i := slices.IndexFunc(conditions, func(c any) bool { one, _ := c.(map[string]any); return one["type"] == typ })
			if i < 0 {
				return "a status without the condition " + typ
			}
			c, _ := conditions[i].(map[string]any)
			seen, _ := c["observedGeneration"].(int64)
			switch {
			case seen < obj.GetGeneration():
				return fmt.Sprintf("%s is of generation %d, and the rules are of %d", typ, seen, obj.GetGeneration())
			case c["status"] != string(metav1.ConditionTrue):
				return fmt.Sprintf("%s is %v: %v %v", typ, c["status"], c["reason"], c["message"])
			}
		}
	}
	return ""
}

// switched visits the hostnames whose backend the swap switches, each as its rules are now.
func (o ReturnOptions) switched(ctx context.Context, visit func(c plan.Change, d switchData, now *backend.State) error) error {
	for _, c := range o.Swap.Changes {
		if c.Action != actionSwitch {
			continue
		}
		var d switchData
		if err := json.Unmarshal(c.Data, &d); err != nil {
			return fmt.Errorf("read the plan of the swap: %w", err)
		}
		if o.Blue.Kube == nil {
			return errNoCluster
		}
		now, err := backend.Read(ctx, o.Blue.Kube, d.Route.Ref, d.Route.Host)
		if errors.Is(err, backend.ErrNotExist) {
			now, err = nil, nil
		}
		if err != nil {
			return err
		}
		if err := visit(c, d, now); err != nil {
			return err
		}
	}
	return nil
}

// wayBack are the changes of a return, in their order.
type wayBack struct{ fences, leaves, moves, unsplits, verifies, drops []plan.Change }

// planSwitchBack plans the exact reverse of every switch of a swap, each under a fence of its own.
func planSwitchBack(ctx context.Context, opts ReturnOptions, p *plan.Plan, way *wayBack) error {
	return opts.switched(ctx, func(c plan.Change, d switchData, now *backend.State) error {
		name := c.Target
		if now == nil {
			p.Refuse(name, d.Route.String()+", which leads it, is gone", "make it again as the archive has it")
			return nil
		}
		again := now.UID != d.Route.UID && now.Fence == "" // with the object its fence went: there is none to hold against anybody
		if again {
			p.Note(plan.Warning, name, d.Route.String()+" was deleted and made again since the swap, without the fence: it is taken anew")
		}
		d.Route.UID, d.Change.UID = now.UID, now.UID
		if !again && now.Fence != d.Fence.Token && !slices.Contains(opts.Fences, zone.Fence{Name: d.Fence.Name, Token: now.Fence}) {
			p.Refuse(name, "another writer holds its fence: "+orUnknown(now.Fence), mendRouteFence(d))
			return nil
		}
		back := d
		back.Change = d.Change.Reverse()
		back.Fence = zone.Fence{Name: d.Fence.Name, Token: opts.tokenAfter(d.Fence.Token)}
		back.Change.Fence = back.Fence.Token
		fence := plan.Change{
			ID:     p.Stage + "/fence/" + name,
			Action: actionFence, Target: name, App: c.App,
			Why:      "a writer of before the return cannot switch its backend any more; the next swap and the end of the migration know the new token, so nothing is taken back",
			ReliesOn: []plan.Reliance{{What: "fence of " + d.Route.fence(), Is: now.Fence}},
			Data:     plan.JSON(fenceData{Name: name, Fence: back.Fence, Previous: now.Fence, Route: &d.Route}),
		}
		move, verify := switchChanges(opts.Options, p.Stage, Entries{App: c.App, Hostname: name}, actionSwitchBack, back)
		switch {
		case backend.Same(now.Rules, back.Change.New):
			p.Note(plan.Info, name, "its backend is blue's already")
		case backend.Same(now.Rules, back.Change.Old):
			way.moves = append(way.moves, move)
		default:
			p.Refuse(name, fmt.Sprintf("%s leads it %s, which is neither what the swap wrote nor what it replaced", d.Route.Ref, backend.Describe(now.Rules)), "find out who changed it, and lead it "+backend.Describe(back.Change.New)+" by hand if it is to go back to blue")
			return nil
		}
		way.fences, way.verifies = append(way.fences, fence), append(way.verifies, verify)
		for _, m := range d.Made {
			way.drops = append(way.drops, plan.Change{
				ID: fmt.Sprintf("%s/drop/%s/%s", p.Stage, name, m.Object.GetName()), Action: actionDrop, Target: m.String(), App: c.App,
				Why: "it was made for " + name + ", and no rule leads through it any more; the next swap makes it again", Data: plan.JSON(dropData{m}),
			})
		}
		return nil
	})
}

// applySwitchBack makes a change of a return that is about a switch.
func (o ReturnOptions) applySwitchBack(ctx context.Context, c plan.Change, rec plan.Recorder) (any, error) {
	var d switchData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	switch c.Action {
	case actionSwitchBack:
		sent, err := o.makeSwitch(ctx, c.ID, d)
		return moved{Sent: sent}, err
	case actionVerify:
		return o.verifySwitch(ctx, c, d, rec)
	}
	return nil, fmt.Errorf("a plan of a return has no %q", c.Action)
}

// drop takes an object of ours away. One that somebody has changed stays: it is told, and keeps nothing up.
func (o Options) drop(ctx context.Context, c plan.Change) (any, error) {
	var d dropData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	client := o.kubeOn(d.Made.Side)
	if client == nil {
		return nil, errNoCluster
	}
	err := backend.Drop(ctx, client, d.Made.Object)
	if errors.Is(err, backend.ErrChanged) {
		o.log().WarnContext(ctx, "an object that was made for a switch is left where it is", "object", d.Made.String(), "because", err.Error())
		return map[string]string{"left": err.Error()}, nil
	}
	return struct{}{}, err
}

// switchedOf reads the outcome of one change of a swap or of a return into its names.
func switchedOf(names []Moved, c plan.Change, rec plan.Recorder) ([]Moved, []Gate, error) {
	var d switchData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return nil, nil, fmt.Errorf("read the plan: %w", err)
	}
	if c.Action == actionVerify {
		var v verified
		if err := outcome(rec, c.ID, &v); err != nil {
			return nil, nil, err
		}
		if i := slices.IndexFunc(names, func(m Moved) bool { return m.Name == c.Target }); i >= 0 {
			names[i].Seen, names[i].Switched.Followed = v.Seen, d.Route.Kind == backend.HTTPRoute
		}
		return names, nil, nil
	}
	var m moved
	if err := outcome(rec, c.ID, &m); err != nil {
		return nil, nil, err
	}
	return append(names, Moved{
		App: c.App, Name: c.Target, Strength: zone.Atomic, Sent: m.Sent, Baselines: d.Baselines,
		Switched: &Switched{Route: d.Route, From: backend.Describe(d.Change.Old), To: backend.Describe(d.Change.New), Change: d.Change},
	}), m.Gates, nil
}

// ofRoute reports whether the data of a change is that of a switch.
func ofRoute(c plan.Change) bool {
	var d struct {
		Route *Route `json:"route"`
	}
	return json.Unmarshal(c.Data, &d) == nil && d.Route != nil
}

// routeGates ask whether the rules of switched hostnames still lead to green: were they put back to blue's, by whoever keeps
// blue's objects as a repository has them, then the checks would judge blue.
func (o Options) routeGates(ctx context.Context, names []Moved) []Gate {
	var gates []Gate
	for _, m := range names {
		if m.Switched == nil {
			continue
		}
		gate := Gate{App: m.App, Check: "rules of " + m.Switched.Route.String(), Side: sideGreen, Hostname: m.Name, At: o.now()}
		var f finding
		if o.Blue.Kube == nil {
			f = unknown("%v", errNoCluster)
		} else {
			state, err := backend.Read(ctx, o.Blue.Kube, m.Switched.Route.Ref, m.Switched.Route.Host)
			switch {
			case errors.Is(err, backend.ErrNotExist):
				f = failed("%v", err)
			case err != nil:
				f = unknown("%v", err)
			case !backend.Same(state.Rules, m.Switched.Change.New):
				f = failed("somebody has changed them: they lead %s, and the swap led %s", backend.Describe(state.Rules), m.Switched.To)
			default:
				f = passed("they lead %s", m.Switched.To)
			}
		}
		gate.Outcome, gate.Text = f.outcome, f.text
		gates = append(gates, gate)
	}
	return gates
}
