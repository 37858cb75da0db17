package cutover

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Route is the object of blue's that keeps a hostname which does not move in the DNS: its backends are switched instead.
type Route struct {
	backend.Ref
	// Host is the hostname as the object has it.
	Host string `json:"host"`
	UID  string `json:"uid"`
}

// fence is the name under which the route's fence is kept with those of zones.
func (r Route) fence() string { return r.String() + " " + r.Host }

// RouteState is a hostname that keeps its entry, as it stands.
type RouteState struct {
	Entries
	Route Route `json:"route"`
	// Leads says where its paths go now.
	Leads string `json:"leads"`
	Fence string `json:"fence,omitempty"`

	state *backend.State
}

// hostnameOf returns what the file says of a canonical name.
func hostnameOf(app migration.Application, name string) migration.Hostname {
	for _, h := range app.Hostnames {
		if sameName(h.Name, name) {
			return h
		}
	}
	return migration.Hostname{}
}

// refOf names the object of blue's that keeps a hostname.
func (o Options) refOf(app migration.Application, h migration.Hostname) backend.Ref {
	ref := backend.Ref{Kind: backend.Ingress, Namespace: o.Blue.namespace(app.Namespace), Name: h.Ingress}
	if h.HTTPRoute != "" {
		ref.Kind, ref.Name = backend.HTTPRoute, h.HTTPRoute
	}
	return ref
}

// AtBackend reports whether a hostname of an application keeps its entry.
func (o Options) atBackend(appName, hostname string) bool {
	app, err := o.application(appName)
	return err == nil && hostnameOf(app, hostname).AtBackend()
}

const (
	mendRoute      = "name the Ingress or HTTPRoute that serves the hostname on blue, with a rule of its own for it"
	defaultDomain  = "cluster.local"
	longestService = 63
)

// inspectRoute reads the object that keeps a hostname, and refuses what could not be switched. It returns nil where a refusal
// says why nothing is known.
func inspectRoute(ctx context.Context, opts InspectOptions, e Entries, found *Inspection) (*RouteState, error) {
	app, err := opts.application(e.App)
	if err != nil {
		return nil, err
	}
	if opts.Blue.Kube == nil || opts.Green.Kube == nil {
		found.refuse(e.Hostname, "its backend is to be switched, and no cluster was given", "give both kubeconfigs")
		return nil, nil
	}
	if one, err := oneCluster(ctx, opts.Options); err != nil {
		return nil, err
	} else if !one {
		found.refuse(e.Hostname, "its backend is to be switched, and blue and green are two clusters: blue's ingress sends to Services of its own cluster only", "use switch: dns")
		return nil, nil
	}
	ref := opts.refOf(app, hostnameOf(app, e.Hostname))
	state, err := backend.Read(ctx, opts.Blue.Kube, ref, e.Hostname)
	if errors.Is(err, backend.ErrNotExist) {
		found.refuse(e.Hostname, err.Error(), mendRoute)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &RouteState{
		Entries: e, Route: Route{Ref: ref, Host: state.Host, UID: state.UID}, Leads: backend.Describe(state.Rules), Fence: state.Fence, state: state,
	}
	found.note(e.Hostname, fmt.Sprintf("DNS does not move: both sides answer at %s, so %s keeps the name and sends it to green's namespace %s in one update", e.Blue, ref, opts.Green.namespace(app.Namespace)))
	judgeOthers(opts.Options, app, s, found)
	if err := judgeShared(ctx, opts.Options, s, found); err != nil {
		return nil, err
	}
	judgeGates(app, e.Hostname, found)
	if ref.Kind == backend.Ingress {
		if err := judgeController(ctx, opts.Options, s, found); err != nil {
			return nil, err
		}
	}
	if opts.WithoutGreen {
		if _, err := backend.Targets(ref.Kind, state.Rules); err != nil {
			found.refuse(e.Hostname, fmt.Sprintf("%s: %v", ref, err), "only Services can be exchanged for green's")
		}
		return s, nil
	}
	_, err = opts.toGreen(ctx, app, s, found)
	return s, err
}

func (f *Inspection) note(what, text string) {
	f.Notes = append(f.Notes, plan.Note{Level: plan.Info, What: what, Text: text})
}

// oneCluster asks both sides who they are.
func oneCluster(ctx context.Context, opts Options) (bool, error) {
	blue, err := opts.Blue.Kube.Identity(ctx)
	if err != nil {
		return false, fmt.Errorf("ask blue who it is: %w", err)
	}
	green, err := opts.Green.Kube.Identity(ctx)
	if err != nil {
		return false, fmt.Errorf("ask green who it is: %w", err)
	}
	return blue.UID == green.UID, nil
}

// judgeOthers refuses rules that serve hostnames which do not move with this one.
func judgeOthers(opts Options, app migration.Application, s *RouteState, found *Inspection) {
	for _, other := range s.state.Others {
		h := hostnameOf(app, other)
		if !h.AtBackend() || opts.refOf(app, h) != s.Route.Ref {
			found.refuse(s.Hostname, fmt.Sprintf("the rules of %s are for %s too, which would go to green with it", s.Route.Ref, other), "give the hostname a route of its own, or list the other one under the application's hostnames in the same way")
		}
	}
}

// judgeShared refuses a hostname for which another object of the namespace has rules too: its paths would stay on blue.
func judgeShared(ctx context.Context, opts Options, s *RouteState, found *Inspection) error {
	r, err := opts.Blue.Kube.ResourceFor(ctx, s.state.Object.GroupVersionKind().Group, s.Route.Kind)
	if err != nil {
		return fmt.Errorf("look for other rules of %s: %w", s.Hostname, err)
	}
	for obj, err := range opts.Blue.Kube.List(ctx, r, s.Route.Namespace, "") {
		if err != nil {
			return fmt.Errorf("look for other rules of %s: %w", s.Hostname, err)
		}
		other := s.Route.Ref
		other.Name = obj.GetName()
		if other == s.Route.Ref || obj.GetLabels()[kube.LabelComponent] == kube.ComponentEntry || !backend.Serves(obj, other.Kind, s.Route.Host) {
			continue
		}
		found.refuse(s.Hostname, fmt.Sprintf("%s has rules for it too, which would stay on blue", other), "join the rules of the hostname in one object")
	}
	return nil
}

// judgeGates demands a check that can reach green before its backend is switched: its entry still leads to blue then.
func judgeGates(app migration.Application, hostname string, found *Inspection) {
	reaches := false
	for _, c := range app.Checks {
		reaches = reaches || c.Before() && (c.HTTP != nil || len(c.Command) > 0)
		if c.Probes != nil && c.Probes.AsksBlue() {
			found.refuse(hostname, fmt.Sprintf("check %q compares green with blue while it soaks, and nobody reaches blue under the name then", c.Name), "give the probes limits of their own, or compare by a Prometheus check")
		}
	}
	if !reaches {
		found.refuse(hostname, "no check reaches green before its backend is switched: until then its entry leads to blue", "add an http check, which is sent to green's pods through the API server, or a command")
	}
}

// judgeController looks up who serves a class of Ingresses, and whether he sends requests to Services of type ExternalName.
func judgeController(ctx context.Context, opts Options, s *RouteState, found *Inspection) error {
	controller := ""
	if s.Blue.Class != "" {
		class, err := opts.Blue.Kube.Typed.NetworkingV1().IngressClasses().Get(ctx, s.Blue.Class, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			return fmt.Errorf("read IngressClass %s: %w", s.Blue.Class, err)
		}
		if err == nil {
			controller = class.Spec.Controller
		}
	}
	// An Ingress can name Services of its own namespace only: see the Kubernetes API reference, IngressServiceBackend.
	switch {
	case controller == "k8s.io/ingress-nginx":
	case controller == "ingress.k8s.aws/alb":
		// aws-load-balancer-controller, issue 3505.
		found.refuse(s.Hostname, fmt.Sprintf("the controller of class %q sends to pods only, and not to a Service of type ExternalName, by which an Ingress reaches another namespace", s.Blue.Class), mendOneEntry)
	case strings.HasPrefix(controller, "traefik.io/"):
		found.warn(s.Hostname, "Traefik sends to a Service of type ExternalName only with providers.kubernetesIngress.allowExternalNameServices: see that it is set")
	case strings.HasPrefix(controller, "projectcontour.io/"):
		found.warn(s.Hostname, "Contour sends to a Service of type ExternalName only with enableExternalNameService: see that it is set")
	default:
		found.warn(s.Hostname, fmt.Sprintf("whether the controller of class %q (%s) sends to a Service of type ExternalName is not known here: see that it does", s.Blue.Class, orUnknown(controller)))
	}
	return nil
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// made is one object of ours that a route leads through.
type made struct {
	Side   string                     `json:"side"`
	Object *unstructured.Unstructured `json:"object"`
}

// String names it for plans.
func (m made) String() string {
	return fmt.Sprintf("%s: %s %s/%s", m.Side, m.Object.GetKind(), m.Object.GetNamespace(), m.Object.GetName())
}

// toGreen makes the change that leads a route to green, with what it needs, or refusals.
func (o Options) toGreen(ctx context.Context, app migration.Application, s *RouteState, found *Inspection) (*switchData, error) {
	from, to := s.Route.Namespace, o.Green.namespace(app.Namespace)
	d := &switchData{Route: s.Route, Change: backend.Change{Ref: s.Route.Ref, Host: s.Route.Host, UID: s.Route.UID, Old: s.state.Rules}, Green: s.Green}
	var services []string
	moves, before := false, len(found.Refusals)
	next, err := backend.Replace(s.Route.Kind, s.state.Rules, func(t backend.Target) ([]backend.Target, error) {
		if t.Namespace != "" && t.Namespace != from {
			return []backend.Target{t}, nil // it leads to a namespace that stays
		}
		svc, err := o.greenService(ctx, to, t, s.Hostname, found)
		if err != nil || svc == nil {
			return []backend.Target{t}, err
		}
		moves = true
		if s.Route.Kind == backend.HTTPRoute {
			if !slices.Contains(services, t.Service) {
				services = append(services, t.Service)
			}
			t.Namespace = to
			return []backend.Target{t}, nil
		}
		obj := backend.ExternalName(o.Migration, from, ownName(o.Migration, s.Route.Host, t.Service), t.Service+"."+to+".svc."+o.domain(), svc.Spec.Ports)
		if !slices.ContainsFunc(d.Made, func(m made) bool { return m.Object.GetName() == obj.GetName() }) {
			d.Made = append(d.Made, made{sideBlue, obj})
		}
		t.Service = obj.GetName()
		return []backend.Target{t}, nil
	})
	switch {
	case apierrors.IsForbidden(err), ctx.Err() != nil:
		return nil, err
	case err != nil:
		found.refuse(s.Hostname, fmt.Sprintf("%s: %v", s.Route.Ref, err), "only Services can be exchanged for green's")
	case !moves && len(found.Refusals) == before:
		found.refuse(s.Hostname, fmt.Sprintf("%s leads %s, and to no Service of the namespace %s", s.Route.Ref, s.Leads, from), mendRoute)
	}
	if len(found.Refusals) > before {
		return nil, nil
	}
	if len(services) > 0 {
		d.Made = append(d.Made, made{sideGreen, backend.Grant(o.Migration, to, ownName(o.Migration, s.Route.Host, app.Name), from, services)})
	}
	d.Change.New = next
	return d, nil
}

// greenService reads the Service of green's that takes a target's place. A refusal says what it lacks.
func (o Options) greenService(ctx context.Context, namespace string, t backend.Target, hostname string, found *Inspection) (*corev1.Service, error) {
	svc, err := o.Green.Kube.Typed.CoreV1().Services(namespace).Get(ctx, t.Service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if strings.HasPrefix(t.Service, ownPrefix) {
			found.refuse(hostname, "its backend is "+t.Service+" already, which Crossfade has made", "where this very migration switched it, its state directory is another one or lost: put it back")
			return nil, nil
		}
		found.refuse(hostname, fmt.Sprintf("green has no Service %s/%s, to which its backend is to be switched", namespace, t.Service), "restore it, or correct the rules on blue")
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Service %s/%s on green: %w", namespace, t.Service, err)
	}
	if !slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool {
		return t.Port.Name != "" && p.Name == t.Port.Name || t.Port.Name == "" && int64(p.Port) == t.Port.Number
	}) {
		found.refuse(hostname, fmt.Sprintf("green's Service %s/%s has no port %s, to which its backend is to be switched", namespace, t.Service, t.Port), "give it the port that blue's has")
		return nil, nil
	}
	return svc, nil
}

// ownPrefix begins the names of objects that are made for routes.
const ownPrefix = "crossfade-"

// ownName is the name of an object that is made for one host: no other host leads through it, so that each goes back alone.
func ownName(migrationName, host, what string) string {
	sum := sha256.Sum256([]byte(migrationName + " " + host))
	end := "-" + hex.EncodeToString(sum[:4])
	return ownPrefix + what[:min(len(what), longestService-len(ownPrefix)-len(end))] + end
}

// domain is the cluster's own.
func (o Options) domain() string {
	if o.Times.ClusterDomain != "" {
		return strings.Trim(o.Times.ClusterDomain, ".")
	}
	return defaultDomain
}

// planRouteFence adds the change that takes the fence of a route, or a refusal.
func planRouteFence(opts Options, p *plan.Plan, s RouteState) {
	ours := strings.HasPrefix(s.Fence, opts.tokens())
	annotation := annotationOf(s.Route.Ref, s.Route.Host)
	if s.Fence != "" && !opts.Before.gave(s.Route.fence(), s.Fence) && (!opts.TakeOver || !ours) {
		mend := "wait for the other migration to end, or remove " + annotation + " once you are sure that nobody writes there"
		if ours {
			mend = mendLostState(annotation, s.Fence)
		}
		p.Refuse(s.Hostname, "another writer holds its fence: "+s.Fence, mend)
		return
	}
	fence := zone.Fence{Name: s.Route.fence(), Token: opts.tokenAfter(s.Fence)}
	route := s.Route
	p.Add(plan.Change{
		ID:     p.Stage + "/fence/" + s.Hostname,
		Action: actionFence, Target: s.Hostname, App: s.App,
		Why:      "only the holder of the fence can switch its backend: a run that was thought dead cannot; DNS does not move, so no TTL is lowered",
		ReliesOn: []plan.Reliance{{What: "fence of " + s.Route.fence(), Is: s.Fence}},
		Reverse:  &plan.Reverse{Action: actionRelease, How: "remove " + annotation, Data: plan.JSON(fence)},
		Data: plan.JSON(fenceData{
			Name: s.Hostname, Fence: fence, Previous: s.Fence, Route: &route, Held: &Held{App: s.App, Name: s.Hostname, Fence: fence, Route: &route},
		}),
	})
}

// claimRoute gives a route's fence its token.
func (o Options) claimRoute(ctx context.Context, c plan.Change, d fenceData) error {
	if o.Blue.Kube == nil {
		return errNoCluster
	}
	err := backend.Claim(ctx, o.Blue.Kube, d.Route.Ref, d.Route.UID, d.Route.Host, d.Fence.Token, d.Previous)
	return movedRoute(c.ID, err)
}

// errNoCluster says that a route is to be changed, and no cluster was given.
var errNoCluster = errors.New("the backend of a hostname is switched in blue's cluster, and none was given")

// movedRoute says in a plan's words what moved.
func movedRoute(id string, err error) error {
	var fenced *backend.FencedError
	var moved *backend.MovedError
	switch {
	case errors.As(err, &fenced):
		return errors.Join(&plan.MovedError{Change: id, What: "fence of " + fenced.Host, Was: fenced.Want, Now: fenced.Found}, err)
	case errors.As(err, &moved):
		return errors.Join(&plan.MovedError{Change: id, What: moved.What, Was: moved.Was, Now: moved.Now}, err)
	}
	return err
}

// planRouteRelease adds the change that gives a route's fence up.
func planRouteRelease(ctx context.Context, opts RestoreOptions, p *plan.Plan, held Held) error {
	if opts.Blue.Kube == nil {
		return errNoCluster
	}
	state, err := backend.Read(ctx, opts.Blue.Kube, held.Route.Ref, held.Route.Host)
	switch {
	case errors.Is(err, backend.ErrNotExist):
		p.Note(plan.Info, held.Name, held.Route.String()+" is gone, and its fence with it")
		return nil
	case err != nil:
		return err
	case state.Fence == "":
		p.Note(plan.Info, held.Name, "its fence is gone already, so it is not ours to change")
		return nil
	case opts.Before.gave(held.Fence.Name, state.Fence):
		held.Fence.Token = state.Fence
	case state.Fence != held.Fence.Token:
		p.Refuse(held.Name, "another writer holds its fence: "+state.Fence, "leave the name to that writer")
		return nil
	}
	route := *held.Route
	route.UID = state.UID // it may have been made again, and been fenced anew
	p.Add(plan.Change{
		ID:     p.Stage + "/release/" + held.Name,
		Action: actionRelease, Target: held.Name, App: held.App,
		Why:      "the migration needs the name no more; where its rules lead stays as it is",
		ReliesOn: []plan.Reliance{{What: "fence of " + held.Route.fence(), Is: held.Fence.Token}},
		Reverse:  &plan.Reverse{Action: actionFence, How: "write the annotation again", Data: plan.JSON(held.Fence)},
		Data:     plan.JSON(fenceData{Name: held.Name, Fence: held.Fence, Route: &route}),
	})
	return nil
}

// kubeOn is a side's cluster.
func (o Options) kubeOn(side string) *kube.Client {
	if side == sideGreen {
		return o.Green.Kube
	}
	return o.Blue.Kube
}
