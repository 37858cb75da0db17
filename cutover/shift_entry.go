package cutover

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of a split at blue's entry.
const (
	actionSplit   plan.Action = "split the requests of"
	actionUnsplit plan.Action = "lead all requests at blue's entry to blue again, of"
)

// Annotations of ingress-nginx ("Annotations", section Canary). A canary Ingress takes every other annotation from the Ingress
// whose host and paths it has, also how the backend is spoken to.
const (
	annotationCanary = "nginx.ingress.kubernetes.io/canary"
	annotationWeight = "nginx.ingress.kubernetes.io/canary-weight"
	controllerNginx  = "k8s.io/ingress-nginx"
)

// splitData is what splitting the requests of one host at blue's entry consumes, and all that taking it back needs.
type splitData struct {
	App  string         `json:"app"`
	Ref  backend.Ref    `json:"ref"`
	Host string         `json:"host"`
	Tell migration.Tell `json:"tell"`
	// Rules are blue's own for the host, as they were before the first step: of an Ingress they are not changed.
	Rules json.RawMessage `json:"rules"`
	// Zone and Fence are those of the name: the objects bear the token, and the zone is asked whether it is in force.
	Zone  string     `json:"zone"`
	Fence zone.Fence `json:"fence"`
	// Service is an object of ours on blue that stands for green's entry; Canary leads to it, or Weights, which are a change of blue's
	// HTTPRoute, and then Slice has the Service's addresses.
	Service *unstructured.Unstructured `json:"service"`
	Canary  *unstructured.Unstructured `json:"canary,omitempty"`
	Weights *backend.Change            `json:"weights,omitempty"`
	Slice   *unstructured.Unstructured `json:"slice,omitempty"`
	Port    int                        `json:"port,omitempty"`
	Entry   Entry                      `json:"entry"`
	Green   Entry                      `json:"green"`
	From    int                        `json:"from"`
	To      int                        `json:"to"`
	Points  float64                    `json:"points"`
	// Baselines are taken with the first step.
	Baselines map[string]float64 `json:"baselines,omitempty"`
}

// byAddress reports whether green's entry is known to blue's by its addresses.
func (d splitData) byAddress() bool { return d.Slice != nil }

// judgeEntryShift says early what stands in the way of a split at blue's entry.
func judgeEntryShift(ctx context.Context, opts Options, app migration.Application, e Entries, found *Inspection) error {
	if app.Shift.By == migration.ShiftByRoute {
		return judgeRouteShift(ctx, opts, app, e, found)
	}
	if e.Green.known() && e.Green.Target == "" {
		found.refuse(e.Hostname, fmt.Sprintf("green has only an address (%s), and blue's ingress can send to a name", e.Green), "give green a name: target under green of the hostname")
	}
	if opts.Blue.Kube == nil {
		return nil
	}
	why, err := notNginx(ctx, opts.Blue.Kube, e.Blue.Class)
	if err == nil && why != "" {
		found.refuse(e.Hostname, why, "take the shift out: the names then move in one change; or, at Route 53 and Cloud DNS, say by: dns")
	}
	return err
}

// notNginx says why a class is not known to be ingress-nginx's, or nothing.
func notNginx(ctx context.Context, client *kube.Client, class string) (string, error) {
	if class == "" {
		return "blue's Ingress names no class, so it is not known who serves it", nil
	}
	got, err := client.Typed.NetworkingV1().IngressClasses().Get(ctx, class, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		return fmt.Sprintf("the IngressClass %s could not be read (%v), so it is not known who serves blue's Ingress", class, err), nil
	case err != nil:
		return "", fmt.Errorf("read IngressClass %s: %w", class, err)
	case got.Spec.Controller != controllerNginx:
		return fmt.Sprintf("blue's Ingress is served by %s, and requests are split by the canary annotations of %s only", got.Spec.Controller, controllerNginx), nil
	}
	return "", nil
}

// planSplit plans one step for one hostname. It returns nil where a refusal was added.
func (o ShiftOptions) planSplit(ctx context.Context, p *plan.Plan, app migration.Application, h migration.Hostname, e Entries) (*splitData, error) {
	var found Inspection
	if err := judgeEntryShift(ctx, o.Options, app, e, &found); err != nil {
		return nil, err
	}
	if !e.Green.known() {
		found.refuse(e.Hostname, "green's entry is not known: "+e.Green.Missing, "see that green's entry has an address")
	}
	i := slices.IndexFunc(o.Held, func(held Held) bool { return held.Name == e.Hostname && held.App == e.App && held.Route == nil })
	if i < 0 {
		found.refuse(e.Hostname, "its fence was not taken", "run the stage that takes fences first")
	}
	p.Refusals, p.Notes = append(p.Refusals, found.Refusals...), append(p.Notes, found.Notes...)
	if len(found.Refusals) > 0 {
		return nil, nil
	}
	ref := o.refOf(app, h)
	state, err := backend.Read(ctx, o.Blue.Kube, ref, e.Hostname)
	if err != nil {
		return nil, fmt.Errorf("plan the split of %s: %w", e.Hostname, err)
	}
	d := &splitData{
		App: app.Name, Ref: ref, Host: state.Host, Tell: *app.Shift.Tell, Rules: state.Rules, Zone: o.Held[i].Zone, Fence: o.Held[i].Fence, Port: app.Shift.BackendPort(),
		Entry: e.Blue, Green: e.Green, From: o.From, To: o.To, Points: app.Shift.Points(o.To),
	}
	if app.Shift.By == migration.ShiftByRoute {
		return o.planWeights(p, d, state)
	}
	return d, o.makeSplit(d, d.Port, state)
}

// splitName names what stands for green's entry at a host.
func splitName(app, host string) string {
	sum := sha256.Sum256([]byte(app + " " + host))
	return "crossfade-shift-" + hex.EncodeToString(sum[:6])
}

// makeSplit writes the two objects: a Service that stands for green's entry, and a canary Ingress with blue's paths that leads to it.
func (o ShiftOptions) makeSplit(d *splitData, port int, state *backend.State) error {
	name := splitName(d.App, d.Host)
	d.Service = backend.ExternalName(o.Migration, d.Ref.Namespace, name, strings.TrimSuffix(d.Green.Target, "."), []corev1.ServicePort{{Name: "green", Port: int32(port)}})
	rules, err := backend.Replace(backend.Ingress, state.Rules, func(backend.Target) ([]backend.Target, error) {
		return []backend.Target{{Service: name, Port: backend.Port{Number: int64(port)}}}, nil
	})
	if err != nil {
		return fmt.Errorf("plan the split of %s: %w", d.Host, err)
	}
	var list []any
	if err := json.Unmarshal(rules, &list); err != nil {
		return fmt.Errorf("plan the split of %s: %w", d.Host, err)
	}
	spec := map[string]any{"rules": list}
	if class, ok, err := unstructured.NestedString(state.Object.Object, "spec", "ingressClassName"); ok && err == nil {
		spec["ingressClassName"] = class
	}
	canary := &unstructured.Unstructured{Object: map[string]any{"apiVersion": backend.GroupIngress + "/v1", "kind": backend.Ingress, "spec": spec}}
	canary.SetNamespace(d.Ref.Namespace)
	canary.SetName(name)
	// It is made with the weight 0, which takes nothing yet: see splitEntry.
	annotations := map[string]string{annotationCanary: "true", annotationWeight: "0", backend.FenceAnnotation(d.Host): d.Fence.Token}
	if class := state.Object.GetAnnotations()["kubernetes.io/ingress.class"]; class != "" {
		annotations["kubernetes.io/ingress.class"] = class
	}
	canary.SetAnnotations(annotations)
	backend.Own(canary, o.Migration)
	// Numbers as an API server gives them, so that what is there can be compared.
	raw, err := canary.MarshalJSON()
	if err != nil {
		return err
	}
	d.Canary = new(unstructured.Unstructured)
	return d.Canary.UnmarshalJSON(raw)
}

func (o ShiftOptions) splitEntryChange(stage string, d splitData) plan.Change {
	why := fmt.Sprintf("%d of 100 requests that reach %s go to %s, by the canary Ingress %s/%s; it was %d; blue's own Ingress is not touched",
		d.To, d.Ref, d.Green, d.Service.GetNamespace(), d.Service.GetName(), d.From)
	how := fmt.Sprintf("take away Ingress and Service %s/%s: blue's Ingress then leads to blue alone", d.Service.GetNamespace(), d.Service.GetName())
	rules := d.Rules
	if d.Weights != nil {
		rules = d.Weights.Old
		why = fmt.Sprintf("one update of %s, from %s to %s: %d of 100 requests go to %s, for which the Service and EndpointSlice %s/%s stand; it was %d",
			d.Ref, backend.Describe(rules), backend.Describe(d.Weights.New), d.To, d.Green, d.Service.GetNamespace(), d.Service.GetName(), d.From)
		how = fmt.Sprintf("lead %s %s again, and take away Service and EndpointSlice %s/%s", d.Ref, backend.Describe(d.Rules), d.Service.GetNamespace(), d.Service.GetName())
	}
	return plan.Change{
		ID: stage + "/" + d.Host, Action: actionSplit, Target: d.Host, App: d.App, Why: why,
		ReliesOn: []plan.Reliance{
			{What: fmt.Sprintf("rules of %s for %s", d.Ref, d.Host), Is: backend.Describe(rules)},
			{What: "fence " + d.Fence.Name, Is: d.Fence.Token},
			{What: "checks on green", Is: string(Passed)},
		},
		Reverse: &plan.Reverse{Action: actionUnsplit, How: how},
		Data:    plan.JSON(d),
	}
}

// splitEntry makes one step: green must pass its checks, and blue's rules must be those of the plan.
//
// The zone's fence and the cluster's objects cannot be changed in one message. So the object is marked with the token first (the canary is
// made with the weight 0, the route gets an annotation), then the zone is asked whether the token is in force, and then one update, on
// condition of the mark, lets requests through. Who takes the name back, takes the fence in the zone and then looks for the mark: he
// finds it, or a stale writer has marked after that look, and finds in the zone that he lost the fence.
func (o ShiftOptions) splitEntry(ctx context.Context, c plan.Change, d splitData) (moved, error) {
	entries, err := FindEntries(ctx, o.Options, o.App)
	if err != nil {
		return moved{}, err
	}
	gates, err := Check(ctx, CheckOptions{Options: o.Options, App: o.App, Side: sideGreen, Entries: entries})
	if err != nil {
		return moved{}, err
	}
	if Verdict(gates) != Passed {
		return moved{}, &GateError{App: o.App, Gates: gates}
	}
	if err := o.nameFenceHolds(ctx, c.ID, d); err != nil {
		return moved{}, err
	}
	if d.Weights != nil {
		err = o.weighRoute(ctx, c.ID, d)
	} else {
		err = o.weighCanary(ctx, c.ID, d)
	}
	return moved{Sent: o.now(), Gates: gates}, err
}

// nameFenceHolds asks the zone whether the token of a split is in force.
func (o Options) nameFenceHolds(ctx context.Context, id string, d splitData) error {
	name, err := dnsx.Canonical(d.Host)
	if err != nil {
		return err
	}
	z, err := o.zoneOf(name)
	if err != nil {
		return err
	}
	token, err := fenceToken(ctx, z.Driver, d.Fence.Name)
	if err != nil {
		return err
	}
	if token != d.Fence.Token {
		return errors.Join(&plan.MovedError{Change: id, What: "fence " + d.Fence.Name, Was: d.Fence.Token, Now: orUnknown(token)}, &zone.FencedError{Fence: d.Fence, Found: token})
	}
	return nil
}

func (o ShiftOptions) weighCanary(ctx context.Context, id string, d splitData) error {
	state, err := backend.Read(ctx, o.Blue.Kube, d.Ref, d.Host)
	if err != nil {
		return err
	}
	if !backend.Same(state.Rules, d.Rules) {
		return &plan.MovedError{Change: id, What: fmt.Sprintf("rules of %s for %s", d.Ref, d.Host), Was: backend.Describe(d.Rules), Now: backend.Describe(state.Rules)}
	}
	from := []string{strconv.Itoa(d.From)}
	if d.From == 0 { // later steps find the canary of the first
		if _, err := backend.Create(ctx, o.Blue.Kube, d.Canary); err != nil && !errors.Is(err, backend.ErrChanged) {
			return err // one that was changed is looked at closely now
		}
	}
	if err := o.nameFenceHolds(ctx, id, d); err != nil {
		if d.From == 0 {
			err = errors.Join(err, backend.Drop(ctx, o.Blue.Kube, d.Canary))
		}
		return err
	}
	if _, err := backend.Put(ctx, o.Blue.Kube, d.Service); err != nil {
		return err
	}
	return movedRoute(id, backend.Weigh(ctx, o.Blue.Kube, d.Canary, d.Host, d.Fence.Token, annotationWeight, from, strconv.Itoa(d.To)))
}

// measureEntry counts which side answers requests through blue's entry.
func (o Options) measureEntry(ctx context.Context, d splitData) (Measured, error) {
	base := probe{
		opts: CheckOptions{Options: o}, app: d.App, entry: d.Entry, port: d.Entry.Port,
		check: migration.Check{HTTP: &migration.HTTPCheck{Scheme: d.Tell.Scheme, Path: d.Tell.Path}},
	}
	base.entry.Hostname = d.Host + "."
	var at []netip.AddrPort
	var places []ServerShare
	for _, addr := range d.Entry.Addresses {
		to := netip.AddrPortFrom(addr, uint16(d.Entry.Port))
		at, places = append(at, to), append(places, ServerShare{Server: "blue's entry", Addr: to.String()})
	}
	t := tally{app: d.App, name: d.Host, typ: "requests", wanted: d.To, points: d.Points, places: places}
	return o.until(ctx, t, func(ctx context.Context, i int, s *ServerShare) error {
		got, err := base.get(ctx, base.check.HTTP, at[i], nil)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.Silent++
			return nil
		}
		text := got.Body
		if d.Tell.Header != "" {
			text = strings.Join(got.Header.Values(d.Tell.Header), ",")
		}
		switch blue, green := strings.Contains(text, d.Tell.OnBlue), strings.Contains(text, d.Tell.OnGreen); {
		case green && !blue:
			s.Green++
		case blue && !green:
			s.Blue++
		default:
			s.Silent++ // it says of neither side that it answered
		}
		return nil
	})
}

// UnsplitOptions say whose split at blue's entry is taken back.
type UnsplitOptions struct {
	Options
	App string
	// Shifts are the plans of all steps that were taken, or were about to be, in their order: a hostname may have been taken out of
	// the file between two of them.
	Shifts []*plan.Plan
}

// UnsplitResult is what taking a split back has met.
type UnsplitResult struct {
	// Edited says what somebody has changed of the objects of the split. They are gone all the same.
	Edited []string `json:"edited,omitempty"`
}

// SplitsAtEntry reports whether a plan of a step splits requests at blue's entry.
func SplitsAtEntry(p *plan.Plan) bool {
	return slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Action == actionSplit })
}

// PlanUnsplit plans to lead all requests at blue's entry to blue again, from whatever share.
func PlanUnsplit(_ context.Context, opts UnsplitOptions) (*plan.Plan, error) {
	p := plan.New(opts.Migration, stageOr(opts.Options, "unshift", opts.App))
	splits, err := splitsOf(opts.Shifts)
	if err != nil {
		return nil, err
	}
	for _, d := range splits {
		why := "the objects of the split go, first the canary Ingress, whatever somebody has changed of them; blue's own Ingress was never changed; nothing is taken back"
		if d.Weights != nil {
			why = fmt.Sprintf("%s leads %s again; where somebody has changed its rules, only what leads to green goes, and it is said; nothing is taken back", d.Ref, backend.Describe(d.Rules))
		}
		p.Add(plan.Change{ID: p.Stage + "/" + d.Host, Action: actionUnsplit, Target: d.Host, App: opts.App, Why: why, Data: plan.JSON(d)})
	}
	return p, nil
}

// ApplyUnsplit takes the objects of a split away. What somebody else has changed of them keeps nothing up, and is said. A host that cannot
// be taken back keeps the others up no more: the error tells of all.
func ApplyUnsplit(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts UnsplitOptions) (UnsplitResult, error) {
	var failed error
	for _, c := range p.Changes {
		one := *p
		one.Changes = []plan.Change{c}
		failed = errors.Join(failed, plan.Run(ctx, &one, rec, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
			return opts.unsplit(ctx, c)
		}))
	}
	var result UnsplitResult
	if failed != nil {
		return result, failed
	}
	for _, c := range p.Changes {
		var one UnsplitResult
		if err := outcome(rec, c.ID, &one); err != nil {
			return result, err
		}
		result.Edited = append(result.Edited, one.Edited...)
	}
	return result, nil
}

func (o Options) unsplit(ctx context.Context, c plan.Change) (UnsplitResult, error) {
	var d splitData
	var result UnsplitResult
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return result, fmt.Errorf("read the plan: %w", err)
	}
	if o.Blue.Kube == nil {
		return result, errNoCluster
	}
	say := func(edited []string) {
		for _, text := range edited {
			if strings.Contains(text, annotationWeight+" of") {
				continue // of whichever step
			}
			o.log().WarnContext(ctx, "the split is taken back all the same", "host", d.Host, "because", text)
			result.Edited = append(result.Edited, text)
		}
	}
	// What leads requests goes first. What stands for green's entry stays while requests may go through it.
	if d.Weights != nil {
		edited, err := backend.TakeBack(ctx, o.Blue.Kube, d.Ref, d.Host, d.Fence.Token, d.Rules, d.target())
		if err != nil {
			return result, err
		}
		say(edited)
	}
	for _, obj := range []*unstructured.Unstructured{d.Canary, d.Service, d.Slice} {
		if obj == nil {
			continue
		}
		edited, err := backend.TakeAway(ctx, o.Blue.Kube, obj, muteCanary)
		if err != nil {
			return result, err
		}
		if obj != d.Slice {
			say(edited) // its addresses followed green's
		}
	}
	return result, nil
}

// planUnsplitAgain plans a second look for splits at blue's entry, under the new fence of each name: a stale writer may have made one anew
// since they were taken back. A name that only its split led to green gets its new fence here.
func planUnsplitAgain(ctx context.Context, opts ReturnOptions, p *plan.Plan, way *wayBack) error {
	splits, err := splitsOf(opts.Shifts)
	if err != nil {
		return err
	}
	for _, d := range splits {
		name, err := dnsx.Canonical(d.Host)
		if err != nil {
			return err
		}
		moves := slices.ContainsFunc(opts.Swap.Changes, func(c plan.Change) bool { return c.Target == name && c.Action == actionSwap })
		if !moves && d.Fence.Name != "" {
			z, err := opts.zoneOf(name)
			if err != nil {
				return err
			}
			turn, err := opts.newFence(ctx, p, z, moveData{Zone: d.Zone, Change: zone.Change{Name: name, Fence: d.Fence}})
			if err != nil {
				return err
			}
			if turn != nil {
				way.fences = append(way.fences, turn.change(p, d.App))
			}
		}
		way.unsplits = append(way.unsplits, plan.Change{
			ID: p.Stage + "/unsplit/" + d.Host, Action: actionUnsplit, Target: d.Host, App: d.App,
			Why:  "a writer of before the return may have split its requests at blue's entry once more; nothing is taken back",
			Data: plan.JSON(d),
		})
	}
	return nil
}

// splitsOf are the splits of the hosts in plans of steps, of each host the last one.
func splitsOf(shifts []*plan.Plan) ([]splitData, error) {
	var all []splitData
	for _, shift := range slices.Backward(shifts) {
		for _, c := range shift.Changes {
			if c.Action != actionSplit || slices.ContainsFunc(all, func(d splitData) bool { return d.Host == c.Target }) {
				continue
			}
			var d splitData
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return nil, fmt.Errorf("read the plan: %w", err)
			}
			all = append(all, d)
		}
	}
	return all, nil
}

// muteCanary lets a canary Ingress that cannot go yet take no request: neither by weight, nor by a header or a cookie.
func muteCanary(obj *unstructured.Unstructured) {
	if obj.GetKind() != backend.Ingress {
		return
	}
	annotations := map[string]string{}
	for k, v := range obj.GetAnnotations() {
		if !strings.HasPrefix(k, annotationCanary) {
			annotations[k] = v
		}
	}
	annotations[annotationCanary], annotations[annotationWeight] = "true", "0"
	obj.SetAnnotations(annotations)
}
