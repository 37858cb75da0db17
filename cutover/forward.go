package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover/internal/front"
	"github.com/crossfade-project/crossfade/internal/forwarder"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of a forwarding's plan, beside those of a brown-out.
const (
	actionTry     plan.Action = "try"
	actionForward plan.Action = "forward"
	actionCheck   plan.Action = "check"
)

const (
	defaultForwarders = 2
	// forwardLimit is how long blue's entry may take to lead to our pods once its Services do.
	forwardLimit = time.Minute
)

// ForwardOptions say what blue passes on to green.
type ForwardOptions struct {
	Options
	App string
	// Helper is this project's image as blue's nodes can pull it.
	Helper string
	// early is set before green has been made: what is not there yet is no reason to refuse.
	early bool
}

// ExamineForward finds, before anything is changed, what PlanForward would refuse once green is there.
func ExamineForward(ctx context.Context, p *plan.Plan, opts ForwardOptions) error {
	opts.early = true
	app, err := opts.application(opts.App)
	if err != nil || app.Forward == nil {
		return err
	}
	entries, err := FindEntries(ctx, opts.Options, app.Name)
	if err != nil {
		return err
	}
	_, err = opts.detours(ctx, p, app, entries)
	return err
}

// ForwardResult is a forwarding that is in force.
type ForwardResult struct {
	App string `json:"app"`
	// Services lead to pods of ours, and these to To.
	Services []string  `json:"services"`
	To       []string  `json:"to"`
	Since    time.Time `json:"since"`
	// Checks are those that passed at blue's address, answered by green.
	Checks []Gate `json:"checks"`
}

// forwardData is what one change consumes. One of its parts is set.
type forwardData struct {
	Pods   *front.Pods   `json:"pods,omitempty"`
	Switch *front.Switch `json:"switch,omitempty"`
	Tries  []front.Try   `json:"tries,omitempty"`
	Check  bool          `json:"check,omitempty"`
}

// PlanForward plans to let blue's Services lead to pods of ours that pass every connection on to green.
func PlanForward(ctx context.Context, opts ForwardOptions) (*plan.Plan, error) {
	p := plan.New(opts.Migration, stageOr(opts.Options, "forward", opts.App))
	app, err := opts.application(opts.App)
	if err != nil {
		return nil, err
	}
	if app.Forward == nil {
		return nil, fmt.Errorf("application %s declares no forward", app.Name)
	}
	if opts.Helper == "" {
		p.Refuse("forward of "+app.Name, errNoHelper.Error(), "name it under blue.helper")
	}
	entries, err := FindEntries(ctx, opts.Options, app.Name)
	if err != nil {
		return nil, err
	}
	ns := opts.Blue.namespace(app.Namespace)
	f := opts.front().Pods(front.Forwarder, ns, app.Name)
	f.Image, f.Replicas = opts.Helper, defaultForwarders
	if app.Forward.Replicas > 0 {
		f.Replicas = int32(app.Forward.Replicas)
	}
	f.Config.Limit, f.Config.ProxyProtocol = app.Forward.Limit, app.Forward.ProxyProtocol
	detours, err := opts.detours(ctx, p, app, entries)
	if err != nil {
		return nil, err
	}
	var switches []plan.Change
	var tries []front.Try
	for _, name := range slices.Sorted(maps.Keys(detours)) {
		d := detours[name]
		s, ways, err := opts.front().PlanSwitch(ctx, d.svc, &f, d.to)
		if err != nil {
			return nil, fmt.Errorf("plan the forwarding: %w", err)
		}
		tries = append(tries, d.tries(app, ways)...)
		switches = append(switches, plan.Change{
			ID: fmt.Sprintf("%s/service/%s/%s", p.Stage, s.Namespace, s.Name), Action: actionForward, Target: "blue: " + s.String(), App: app.Name,
			Why:      "whoever still comes to " + strings.TrimSuffix(d.entries.Hostname, ".") + " on blue is passed on to " + d.entries.Green.String(),
			ReliesOn: []plan.Reliance{{What: s.String() + "'s uid", Is: s.UID}, {What: s.String() + "'s selector and ports", Is: hashOf(s.Original)}},
			Reverse:  &plan.Reverse{Action: actionServe, How: "give it its own selector and ports back", Data: plan.JSON(s)},
			Data:     plan.JSON(forwardData{Switch: &s}),
		})
	}
	if len(p.Refusals) > 0 {
		return p, nil
	}
	p.Add(plan.Change{
		ID: p.Stage + "/pods", Action: actionRaise, Target: "blue: " + f.String(), App: app.Name, Why: "they pass connections on to green as they are, and count who comes",
		Reverse: &plan.Reverse{Action: actionRemove, How: "delete " + f.String()}, Data: plan.JSON(forwardData{Pods: &f}),
	})
	p.Add(plan.Change{
		ID: p.Stage + "/try", Action: actionTry, Target: "blue: " + f.String(), App: app.Name,
		Why: "each pod must reach green under the real hostname before anybody is led to it; nothing is changed, so nothing is taken back", Data: plan.JSON(forwardData{Pods: nil, Tries: tries}),
	})
	for _, c := range switches {
		p.Add(c)
	}
	p.Add(plan.Change{
		ID: p.Stage + "/check", Action: actionCheck, Target: "blue: " + app.Name, App: app.Name,
		Why: "blue's address must answer under the real hostname, by way of our pods; else the Services are put back at once; nothing is changed, so nothing is taken back", Data: plan.JSON(forwardData{Check: true}),
	})
	return p, nil
}

// detour is one Service of blue, and where its ports lead.
type detour struct {
	svc     *corev1.Service
	entries Entries
	// port of green to which all ports lead; 0: each to its own.
	port int
}

func (d detour) to(p corev1.ServicePort) []string {
	port := d.port
	if port == 0 {
		port = int(p.Port)
	}
	g := d.entries.Green
	if g.resolved { // addresses of a name may be another's tomorrow
		return []string{net.JoinHostPort(strings.TrimSuffix(g.Target, "."), strconv.Itoa(port))}
	}
	var list []string
	for _, a := range g.Addresses {
		list = append(list, netip.AddrPortFrom(a, uint16(port)).String())
	}
	return list
}

// tries are the paths of the application's http checks, at the way that clients of the hostname take.
func (d detour) tries(app migration.Application, ways []forwarder.Way) []front.Try {
	var list []front.Try
	for _, c := range app.Checks {
		if c.HTTP == nil || c.HTTP.Hostname != "" && !sameName(c.HTTP.Hostname, d.entries.Hostname) {
			continue
		}
		scheme := c.HTTP.Scheme
		if scheme == "" {
			scheme = "https"
		}
		for i, p := range d.svc.Spec.Ports {
			switch {
			case d.port == 0 && int(p.Port) != d.entries.Green.Port:
				continue
			case d.port != 0:
				scheme = "http"
			}
			list = append(list, front.Try{Way: ways[i].Name, Scheme: scheme, Host: strings.TrimSuffix(d.entries.Hostname, "."), Path: c.HTTP.Path})
		}
	}
	return list
}

// detours finds the Services by which clients of the hostnames come, and refuses what would go in a circle or nowhere.
func (o ForwardOptions) detours(ctx context.Context, p *plan.Plan, app migration.Application, entries []Entries) (map[string]detour, error) {
	found := map[string]detour{}
	ns := o.Blue.namespace(app.Namespace)
	for i, h := range app.Hostnames {
		if h.AtBackend() {
			p.Refuse(h.Name, "its name stays at blue's entry, which leads to green by itself", "leave forward out")
			continue
		}
		if why := loop(entries[i], entries); why != "" && (!o.early || entries[i].Green.known()) {
			p.Refuse(h.Name, why, "name another entry of green's, or leave forward out")
			continue
		}
		names, port, err := o.servicesOf(ctx, ns, app, h)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			p.Refuse(h.Name, "the file names neither a Service nor an Ingress for it, nor an HTTPRoute, so it is not known what would have to lead to green", "name one under hostnames, or leave forward out")
		}
		for _, name := range names {
			if known, ok := found[name]; ok {
				if !sameEntry(known.entries.Green, entries[i].Green) {
					p.Refuse("Service "+ns+"/"+name, "it serves "+known.entries.Hostname+" and "+entries[i].Hostname+", which lead to different entries of green's", "leave forward out, or give them Services of their own")
				}
				continue
			}
			svc, err := o.Blue.Kube.Typed.CoreV1().Services(ns).Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				p.Refuse("Service "+ns+"/"+name, "it does not exist on blue", "correct its name, or leave forward out")
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read Service %s/%s: %w", ns, name, err)
			}
			d := detour{svc: svc, entries: entries[i], port: port}
			if err := o.refuseDetour(ctx, p, app, h, d); err != nil {
				return nil, err
			}
			found[name] = d
		}
	}
	return found, nil
}

func sameEntry(a, b Entry) bool {
	return a.Target == b.Target && slices.Equal(a.Addresses, b.Addresses)
}

// servicesOf are the Services behind a hostname. Behind an Ingress TLS is over, so that all of them lead to one port of green's.
func (o ForwardOptions) servicesOf(ctx context.Context, ns string, app migration.Application, h migration.Hostname) (names []string, port int, err error) {
	switch {
	case h.Service != "":
		return []string{h.Service}, 0, nil
	case h.HTTPRoute != "":
		route, err := o.routes(ns).Get(ctx, h.HTTPRoute, metav1.GetOptions{})
		if err != nil {
			return nil, 0, fmt.Errorf("read HTTPRoute %s/%s: %w", ns, h.HTTPRoute, err)
		}
		names = routeBackends(*route, ns)
		slices.Sort(names)
		return slices.Compact(names), app.Forward.PlainPort(), nil
	case h.Ingress == "":
		return nil, 0, nil
	}
	ing, err := o.Blue.Kube.Typed.NetworkingV1().Ingresses(ns).Get(ctx, h.Ingress, metav1.GetOptions{})
	if err != nil {
		return nil, 0, fmt.Errorf("read Ingress %s/%s: %w", ns, h.Ingress, err)
	}
	for _, b := range backendsOf(ing.Spec) {
		if !slices.Contains(names, b.Name) {
			names = append(names, b.Name)
		}
	}
	return names, app.Forward.PlainPort(), nil
}

// loop says why what is sent to green's entry would come back to blue, or go nowhere, or "".
func loop(e Entries, all []Entries) string {
	if len(e.Green.Addresses) == 0 {
		return "no address of green's entry is known: " + e.Green.Missing
	}
	for _, other := range all {
		if e.Green.Target != "" && e.Green.Target == other.Blue.Target {
			return fmt.Sprintf("green's entry %s is blue's: what blue sends there comes back to it", e.Green.Target)
		}
		for _, a := range e.Green.Addresses {
			if slices.Contains(other.Blue.Addresses, a) || slices.Contains(other.Blue.ClusterIPs, a) {
				return fmt.Sprintf("green's entry %s is an address of blue's entry of %s: what blue sends there comes back to it", a, strings.TrimSuffix(other.Hostname, "."))
			}
		}
	}
	return ""
}

func (o ForwardOptions) refuseDetour(ctx context.Context, p *plan.Plan, app migration.Application, h migration.Hostname, d detour) error {
	what := "Service " + d.svc.Namespace + "/" + d.svc.Name
	if why := front.Takeable(d.svc, false); why != "" {
		p.Refuse(what, why+", so that it cannot lead to pods that forward", "leave forward out: blue goes on answering")
		return nil
	}
	only, err := o.onlyOurs(ctx, d.svc, app.Name)
	if err != nil {
		return err
	}
	if !only {
		p.Refuse(what, "not all of its pods are those of "+app.Name+": others use it", "give the application a Service of its own, or leave forward out")
	}
	if d.port != 0 || h.Service == "" || o.Green.Kube == nil {
		return nil
	}
	at := o.Green.namespace(app.Namespace)
	green, err := o.Green.Kube.Typed.CoreV1().Services(at).Get(ctx, h.Service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // the file names green's entry
	}
	if err != nil {
		return fmt.Errorf("read Service %s/%s of green: %w", at, h.Service, err)
	}
	for _, port := range d.svc.Spec.Ports {
		if !slices.ContainsFunc(green.Spec.Ports, func(g corev1.ServicePort) bool { return g.Port == port.Port && g.Protocol == port.Protocol }) {
			p.Refuse(what, fmt.Sprintf("it has a port %d, and green's Service %s/%s has none", port.Port, at, h.Service), "give green's Service the port, or leave forward out")
		}
	}
	return nil
}

// ApplyForward starts the pods, tries them, lets blue's Services lead to them, and sees that blue's address then answers by way of
// them. Where anything of that fails, everything is put back; the error wraps ErrNotUndone where that has failed, too.
func ApplyForward(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts ForwardOptions) (ForwardResult, error) {
	if raw, done := rec.Done(p.Stage + "/check"); done {
		var result ForwardResult
		if err := json.Unmarshal(raw, &result); err != nil {
			return result, fmt.Errorf("read the outcome of %s: %w", p.Stage, err)
		}
		return result, nil
	}
	d, err := readForward(p)
	if err != nil {
		return ForwardResult{}, err
	}
	var result ForwardResult
	err = plan.Run(ctx, p, again{rec}, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
		return opts.makeForward(ctx, c, d, &result)
	})
	if err == nil {
		return result, nil
	}
	var refused *plan.RefusedError
	if errors.As(err, &refused) {
		return ForwardResult{}, err
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	return ForwardResult{}, errors.Join(err, opts.endForward(undo, d))
}

// makeForward makes one change of a forwarding.
func (o ForwardOptions) makeForward(ctx context.Context, c plan.Change, d brownOutPlan, result *ForwardResult) (any, error) {
	var one forwardData
	if err := json.Unmarshal(c.Data, &one); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	switch {
	case one.Pods != nil:
		return struct{}{}, o.front().Raise(ctx, *one.Pods)
	case one.Switch != nil:
		return struct{}{}, o.front().Lead(ctx, c.ID, *one.Switch)
	case one.Check:
		var err error
		*result, err = o.checkForward(ctx, d)
		return *result, err
	}
	return struct{}{}, o.front().Try(ctx, d.pods[0], one.Tries)
}

// EndForward gives blue's Services their own pods back and removes ours, from the plan of the forwarding alone. Its error wraps ErrNotUndone.
func EndForward(ctx context.Context, p *plan.Plan, opts Options) error {
	d, err := readForward(p)
	if err != nil {
		return err
	}
	return opts.endForward(ctx, d)
}

func (o Options) endForward(ctx context.Context, d brownOutPlan) error {
	if err := o.front().Serve(ctx, d.switches, d.pods); err != nil {
		return fmt.Errorf("%w: put it back: %s", ErrNotUndone, err.Error())
	}
	return nil
}

func readForward(p *plan.Plan) (brownOutPlan, error) {
	d, err := readBrownOut(p)
	if err == nil && len(d.pods) != 1 {
		err = fmt.Errorf("the plan of %s names no pods", p.Stage)
	}
	return d, err
}

// checkForward sends the application's checks to blue's address until they pass and our pods have counted them.
func (o ForwardOptions) checkForward(ctx context.Context, d brownOutPlan) (ForwardResult, error) {
	result := ForwardResult{App: o.App}
	for _, s := range d.switches {
		result.Services = append(result.Services, s.String())
	}
	for _, w := range d.pods[0].Config.Ways {
		result.To = append(result.To, w.Name+" > "+strings.Join(w.To, ", "))
	}
	if err := o.front().WaitLed(ctx, d.switches); err != nil {
		return result, err
	}
	limit := o.now().Add(forwardLimit)
	for {
		entries, err := FindEntries(ctx, o.Options, o.App)
		if err != nil {
			return result, err
		}
		before, err := o.front().Counts(ctx, d.pods[0])
		if err != nil {
			return result, err
		}
		if result.Checks, err = o.checkBlue(ctx, entries); err != nil {
			return result, err
		}
		after, err := o.front().Counts(ctx, d.pods[0])
		if err != nil {
			return result, err
		}
		counted := total(after) > total(before)
		if Verdict(result.Checks) == Passed && counted {
			result.Since = o.now()
			return result, nil
		}
		if !o.now().Before(limit) {
			if Verdict(result.Checks) != Passed {
				return result, fmt.Errorf("blue's address does not answer by way of green: %s", describeBad(result.Checks))
			}
			return result, fmt.Errorf("blue's address answers, and not by way of our pods: it is not by %s that clients reach it", strings.Join(result.Services, ", "))
		}
		if err := o.clock().Sleep(ctx, min(o.interval(), time.Second)); err != nil {
			return result, err
		}
	}
}

func (o ForwardOptions) checkBlue(ctx context.Context, entries []Entries) ([]Gate, error) {
	check := CheckOptions{Options: o.Options, App: o.App, Side: sideBlue, Entries: entries, Phase: BeforeSwap}
	gates, err := Check(ctx, check)
	if err != nil || len(gates) > 0 {
		return gates, err
	}
	check.Phase = AfterSwap
	return Check(ctx, check)
}

func total(all map[string]forwarder.Counts) (n int64) {
	for _, c := range all {
		for _, w := range c.Ways {
			n += w.Connections
		}
	}
	return n
}
