package cutover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// target is what stands for green's entry, as rules name it.
func (d splitData) target() backend.Target {
	return backend.Target{Service: splitName(d.App, d.Host), Port: backend.Port{Number: int64(d.Port)}}
}

// notInSlice reports whether an API server refuses an address in an EndpointSlice.
func notInSlice(a netip.Addr) bool {
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast()
}

// judgeRouteShift says early what stands in the way of a split by the weights of blue's HTTPRoute.
func judgeRouteShift(ctx context.Context, opts Options, app migration.Application, e Entries, found *Inspection) error {
	const orMove = "take the shift out: the names then move in one change"
	if e.Green.known() && len(e.Green.Addresses) == 0 {
		found.refuse(e.Hostname, fmt.Sprintf("no address of green's entry is known (%s), and an HTTPRoute sends to addresses", e.Green.Missing), "name it: address under green of the hostname")
	}
	for _, a := range e.Green.Addresses {
		if notInSlice(a) {
			found.refuse(e.Hostname, fmt.Sprintf("green's address %s cannot be that of an EndpointSlice", a), "give green an address that blue's cluster reaches")
		}
	}
	if opts.Blue.Kube == nil {
		return nil
	}
	ref := opts.refOf(app, hostnameOf(app, e.Hostname))
	state, err := backend.Read(ctx, opts.Blue.Kube, ref, e.Hostname)
	if errors.Is(err, backend.ErrNotExist) {
		found.refuse(e.Hostname, err.Error(), mendRoute)
		return nil
	}
	if err != nil {
		return err
	}
	if len(state.Others) > 0 {
		found.refuse(e.Hostname, fmt.Sprintf("the rules of %s are for %v too, whose requests would be split with its own", ref, state.Others), "give the hostname a route of its own")
	}
	if who, mend := kube.GitOps(state.Object); who != "" {
		found.refuse(e.Hostname, fmt.Sprintf("%s keeps %s as its source says, and would put the weights back", who, ref), mend)
	}
	var route httpRoute
	if _, err := gatewayObject(ctx, opts.Blue.Kube, ref.Kind, ref.Namespace, ref.Name, &route); err != nil {
		return err
	}
	gateways := 0
	for _, parent := range route.Spec.ParentRefs {
		if parent = parent.of(ref.Namespace); parent.Kind != "Gateway" {
			found.refuse(e.Hostname, fmt.Sprintf("%s hangs at the %s %s/%s too, whose requests would be split with those of users", ref, parent.Kind, parent.Namespace, parent.Name), "give the hostname a route of its own at its Gateway")
			continue
		}
		gateways++
	}
	if gateways > 1 {
		found.warn(e.Hostname, fmt.Sprintf("%s hangs at %d Gateways or listeners: the requests of each are split, and the share is measured at the entry only (%s)", ref, gateways, e.Blue))
	}
	// Rules that are split already were looked at before the first step.
	_, err = backend.Split(state.Rules, int64(app.Shift.Steps[0]), backend.Target{})
	if err != nil && !backend.Mentions(state.Rules, splitName(app.Name, state.Host)) {
		found.refuse(e.Hostname, fmt.Sprintf("%s: %v", ref, err), "send to Services, with weights that can be shared out; or "+orMove)
	}
	return judgeShared(ctx, opts, &RouteState{Entries: e, Route: Route{Ref: ref, Host: state.Host, UID: state.UID}, state: state}, found)
}

// planWeights plans one step at a route. Its rules must be those of before the first step, or what the step before made of them.
func (o ShiftOptions) planWeights(p *plan.Plan, d *splitData, state *backend.State) (*splitData, error) {
	const mend = "find out who changed them; `crossfade rollback` takes the split back from any share"
	before, err := splitsOf(o.Before)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(before, func(b splitData) bool { return b.Host == d.Host && b.Weights != nil }); i >= 0 && o.From > 0 {
		d.Rules = before[i].Rules
	}
	old := d.Rules
	if o.From > 0 {
		if old, err = backend.Split(d.Rules, int64(o.From), d.target()); err != nil {
			return nil, fmt.Errorf("plan the split of %s: %w", d.Host, err)
		}
	}
	next, err := backend.Split(d.Rules, int64(o.To), d.target())
	switch {
	case err != nil:
		p.Refuse(d.Host, fmt.Sprintf("%s: %v", d.Ref, err), "let its weights be smaller, or take the shift out")
		return nil, nil
	case backend.Mentions(d.Rules, d.target().Service):
		p.Refuse(d.Host, fmt.Sprintf("%s leads to %s already, which Crossfade has made", d.Ref, d.target().Service), "where this very migration split it, its state directory is another one or lost: take this backend out of its rules")
		return nil, nil
	case backend.Same(next, d.Rules):
		p.Refuse(d.Host, fmt.Sprintf("%s leads %s, so there is nothing to split", d.Ref, backend.Describe(d.Rules)), mendRoute)
		return nil, nil
	case !backend.Same(state.Rules, old) && !backend.Same(state.Rules, next):
		p.Refuse(d.Host, fmt.Sprintf("%s leads it %s, and should lead it %s before this step", d.Ref, backend.Describe(state.Rules), backend.Describe(old)), mend)
		return nil, nil
	}
	d.Weights = &backend.Change{Ref: d.Ref, Host: d.Host, UID: state.UID, Old: old, New: next, Fence: d.Fence.Token}
	d.Service, d.Slice = backend.Outside(o.Migration, d.Ref.Namespace, d.target().Service, d.target().Port.Number, d.Green.Addresses)
	return d, nil
}

// weighRoute makes one step at a route: what the rules lead to is there before they lead to it.
func (o ShiftOptions) weighRoute(ctx context.Context, id string, d splitData) error {
	if err := backend.Claim(ctx, o.Blue.Kube, d.Ref, d.Weights.UID, d.Host, d.Fence.Token, ""); err != nil {
		return movedRoute(id, err)
	}
	if err := o.nameFenceHolds(ctx, id, d); err != nil {
		if d.From == 0 {
			err = errors.Join(err, backend.Release(ctx, o.Blue.Kube, d.Ref, d.Weights.UID, d.Host, d.Fence.Token))
		}
		return err
	}
	if _, err := backend.Put(ctx, o.Blue.Kube, d.Service); err != nil {
		return err
	}
	if _, err := backend.Put(ctx, o.Blue.Kube, d.Slice); err != nil {
		return err
	}
	_, err := d.Weights.Make(ctx, o.Blue.Kube)
	return movedRoute(id, err)
}

// renewSplits lets what stands for green's entry at blue's have the addresses that green has now: those of a load balancer may change. A
// failure is told: what it means for users, the checks see.
func (o Options) renewSplits(ctx context.Context, v vigil) {
	for _, d := range v.splits {
		i := slices.IndexFunc(v.entries, func(e Entries) bool { return backend.Clean(e.Hostname) == d.Host })
		if !d.byAddress() || o.Blue.Kube == nil || i < 0 || v.entries[i].Green.Missing != "" {
			continue
		}
		usable := slices.DeleteFunc(slices.Clone(v.entries[i].Green.Addresses), notInSlice)
		if len(usable) == 0 {
			continue
		}
		_, slice := backend.Outside(o.Migration, d.Ref.Namespace, d.target().Service, d.target().Port.Number, usable)
		done, err := backend.Renew(ctx, o.Blue.Kube, slice)
		if err != nil {
			o.log().WarnContext(ctx, "green's addresses at blue's entry are not renewed", "host", d.Host, "because", err.Error())
		}
		if done {
			o.log().InfoContext(ctx, "green's entry has other addresses, and blue's sends there", "host", d.Host, "addresses", fmt.Sprint(usable))
		}
	}
}

// splitGates ask whether the share of a step still stands at blue's entry: were it undone or widened by somebody, the checks would judge
// something else than what is asked for.
func (o Options) splitGates(ctx context.Context, splits []splitData) []Gate {
	var gates []Gate
	for _, d := range splits {
		gate := Gate{App: d.App, Check: "split at " + d.Ref.String(), Side: sideBlue, Hostname: d.Host, At: o.now()}
		f := passed("%d of 100 requests go to green", d.To)
		switch {
		case o.Blue.Kube == nil:
			f = unknown("%v", errNoCluster)
		case d.Weights != nil:
			state, err := backend.Read(ctx, o.Blue.Kube, d.Ref, d.Host)
			switch {
			case errors.Is(err, backend.ErrNotExist):
				f = failed("%v", err)
			case err != nil:
				f = unknown("%v", err)
			case !backend.Same(state.Rules, d.Weights.New):
				f = failed("somebody has changed the rules: they lead %s, and the step led %s", backend.Describe(state.Rules), backend.Describe(d.Weights.New))
			}
		default:
			weight, err := backend.Annotation(ctx, o.Blue.Kube, d.Canary, annotationWeight)
			switch {
			case err != nil:
				f = unknown("%v", err)
			case weight != fmt.Sprint(d.To):
				f = failed("somebody has changed the canary Ingress %s: its weight is %s, and the step set %d", d.Canary.GetName(), orUnknown(weight), d.To)
			}
		}
		gate.Outcome, gate.Text = f.outcome, f.text
		gates = append(gates, gate)
	}
	return gates
}
