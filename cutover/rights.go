package cutover

import (
	"context"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// Rights lists what the cutover of the hostnames needs of both clusters.
func Rights(opts Options) []kube.Right {
	const why = "cutover: the address at which this side answers for a hostname"
	rights := append(externalDNSRights(opts), pauseRights(opts)...)
	for _, app := range opts.Applications {
		for _, h := range app.Hostnames {
			for name, side := range map[string]Side{sideBlue: opts.Blue, sideGreen: opts.Green} {
				r := kube.Right{Side: name, Namespace: side.namespace(app.Namespace), Verbs: []string{"get"}, Why: why}
				if h.AtBackend() {
					continue // with its switch
				}
				switch {
				case h.Service != "":
					r.Resource, r.Names = "services", []string{h.Service}
				case h.Ingress != "":
					r.Group, r.Resource, r.Names = "networking.k8s.io", "ingresses", []string{h.Ingress}
				case h.HTTPRoute != "":
					r.Group, r.Resource, r.Names = backend.GroupGateway, "httproutes", []string{h.HTTPRoute}
				default:
					continue
				}
				rights = append(rights, r)
			}
			if h.AtBackend() {
				rights = append(rights, switchRights(opts, app, h)...)
			}
			if app.Shift.AtEntry() {
				rights = append(rights, splitRights(opts, app, h)...)
			}
		}
	}
	return rights
}

// switchRights are needed where a hostname keeps its entry and its backend is switched.
func switchRights(opts Options, app migration.Application, h migration.Hostname) []kube.Right {
	const (
		whyRules = "cutover: blue's Ingress or HTTPRoute keeps the hostname, and its rules are switched to green"
		whyMade  = "cutover: what the switched rules lead through is made, and taken away when they go back"
		whyAsk   = "cutover: green's pods are asked before the rules are switched to them"
	)
	blue, green := opts.Blue.namespace(app.Namespace), opts.Green.namespace(app.Namespace)
	right := func(side, namespace, group, resource, why string, verbs ...string) kube.Right {
		return kube.Right{Side: side, Namespace: namespace, Group: group, Resource: resource, Verbs: verbs, Why: why}
	}
	rules := right(sideBlue, blue, backend.GroupIngress, "ingresses", whyRules, "get", "update")
	rules.Names = []string{h.Ingress}
	rights := []kube.Right{
		right(sideGreen, green, "", "services", whyRules, "get"),
	}
	if h.HTTPRoute != "" {
		rules.Group, rules.Resource, rules.Names = backend.GroupGateway, "httproutes", []string{h.HTTPRoute}
		rights = append(rights, right(sideBlue, blue, backend.GroupGateway, "httproutes", whyRules, "list"), right(sideGreen, green, backend.GroupGateway, "referencegrants", whyMade, "get", "create", "delete"))
	} else {
		rights = append(rights, right(sideBlue, blue, backend.GroupIngress, "ingresses", whyRules, "list"), right(sideBlue, blue, "", "services", whyMade, "get", "create", "delete"),
			right(sideBlue, "", backend.GroupIngress, "ingressclasses", "cutover: which controller serves the hostname", "get"))
	}
	return append(append(rights, rules), hook.PodRights(sideGreen, green, http.MethodGet, whyAsk)...)
}

// splitRights are needed where requests are split at blue's entry.
func splitRights(opts Options, app migration.Application, h migration.Hostname) []kube.Right {
	const (
		why      = "cutover: a canary Ingress and a Service for green's entry split the requests at blue's, and are taken away again"
		whyRoute = "cutover: the weights of blue's HTTPRoute split its requests, and are put back"
		whyMade  = "cutover: a Service with green's addresses stands for green's entry while requests are split, and is taken away again"
	)
	verbs := []string{"get", "create", "update", "delete"}
	at := opts.Blue.namespace(app.Namespace)
	if app.Shift.By == migration.ShiftByRoute {
		return []kube.Right{
			{Side: sideBlue, Namespace: at, Group: backend.GroupGateway, Resource: "httproutes", Verbs: []string{"list"}, Why: whyRoute},
			{Side: sideBlue, Namespace: at, Group: backend.GroupGateway, Resource: "httproutes", Verbs: []string{"get", "update"}, Names: []string{h.HTTPRoute}, Why: whyRoute},
			{Side: sideBlue, Namespace: at, Resource: "services", Verbs: verbs, Why: whyMade},
			{Side: sideBlue, Namespace: at, Group: "discovery.k8s.io", Resource: "endpointslices", Verbs: verbs, Why: whyMade},
		}
	}
	return []kube.Right{
		{Side: sideBlue, Namespace: at, Group: backend.GroupIngress, Resource: "ingresses", Verbs: verbs, Why: why},
		{Side: sideBlue, Namespace: at, Resource: "services", Verbs: verbs, Why: why},
		{Side: sideBlue, Group: backend.GroupIngress, Resource: "ingressclasses", Verbs: []string{"get"}, Why: "cutover: which controller serves the hostname"},
	}
}

// EntryRights lists what finding the entries needs beside what the file tells: where a Service is reached at the nodes, and by which
// Gateways a route is served. What cannot be read now asks for the wider right.
func EntryRights(ctx context.Context, opts Options) []kube.Right {
	const why = "cutover: the address at which this side answers for a hostname"
	var rights []kube.Right
	for _, app := range opts.Applications {
		for _, h := range app.Hostnames {
			for name, side := range map[string]Side{sideBlue: opts.Blue, sideGreen: opts.Green} {
				if side.Kube == nil || h.AtBackend() && name == sideGreen {
					continue
				}
				at := side.namespace(app.Namespace)
				switch {
				case h.HTTPRoute != "":
					rights = append(rights, gatewayRights(ctx, side, name, at, h.HTTPRoute, why)...)
				case h.Service != "":
					svc, err := side.Kube.Typed.CoreV1().Services(at).Get(ctx, h.Service, metav1.GetOptions{})
					if err != nil || svc.Spec.Type != corev1.ServiceTypeNodePort {
						continue // what is missing is said where the entry is looked for
					}
					rights = append(rights, kube.Right{Side: name, Resource: "nodes", Verbs: []string{"list"}, Why: why})
					if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
						rights = append(rights, kube.Right{Side: name, Namespace: at, Group: "discovery.k8s.io", Resource: "endpointslices", Verbs: []string{"list"}, Why: why})
					}
				}
			}
		}
	}
	return rights
}

func gatewayRights(ctx context.Context, side Side, name, namespace, route, why string) []kube.Right {
	var found httpRoute
	obj, err := gatewayObject(ctx, side.Kube, backend.HTTPRoute, namespace, route, &found)
	if err != nil || obj == nil {
		return []kube.Right{{Side: name, Group: backend.GroupGateway, Resource: "gateways", Verbs: []string{"get"}, Why: why}}
	}
	var rights []kube.Right
	for _, ref := range found.Spec.ParentRefs {
		if ref = ref.of(namespace); ref.Kind == "Gateway" {
			rights = append(rights, kube.Right{Side: name, Namespace: ref.Namespace, Group: backend.GroupGateway, Resource: "gateways", Verbs: []string{"get"}, Names: []string{ref.Name}, Why: why})
		}
	}
	return rights
}

// externalDNSRights are needed where the file speaks of external-dns.
func externalDNSRights(opts Options) []kube.Right {
	if opts.Times.ExternalDNS == nil {
		return nil
	}
	const why = "cutover: which external-dns keeps the names, and which objects ask it for them"
	var rights []kube.Right
	for name, side := range map[string]Side{sideBlue: opts.Blue, sideGreen: opts.Green} {
		rights = append(rights, kube.Right{Side: name, Group: "apps", Resource: "deployments", Verbs: []string{"list"}, Why: why})
		if e := opts.Times.ExternalDNS; e.Paused || e.Pause != nil {
			continue // nobody looks what a stopped one would do
		}
		for _, app := range opts.Applications {
			at := side.namespace(app.Namespace)
			rights = append(rights,
				kube.Right{Side: name, Namespace: at, Resource: "services", Verbs: []string{"list"}, Why: why},
				kube.Right{Side: name, Namespace: at, Group: "networking.k8s.io", Resource: "ingresses", Verbs: []string{"list"}, Why: why})
		}
	}
	return rights
}

// pauseRights are those over the Deployments that the file names under pause: to set their replicas, and nothing else of them.
func pauseRights(opts Options) []kube.Right {
	const (
		whyScale = "cutover: external-dns is paused while names move, and started again on the way back"
		whyLook  = "cutover: nothing of a paused external-dns may run any more, or be scaled up again"
	)
	var rights []kube.Right
	for _, n := range opts.named() {
		right := func(group, resource, verb, why string, names ...string) {
			rights = append(rights, kube.Right{Side: n.Side, Namespace: n.Namespace, Group: group, Resource: resource, Verbs: []string{verb}, Names: names, Why: why})
		}
		right("apps", "deployments", "get", whyScale, n.Name)
		right("apps", "deployments/scale", "update", whyScale, n.Name)
		right("", "pods", "list", whyLook)
		right("autoscaling", "horizontalpodautoscalers", "list", whyLook)
	}
	return rights
}

// EvidenceRights lists what the watch over blue's idleness needs of blue.
func EvidenceRights(apps []migration.Application, retirement *migration.Retirement, helper string) []kube.Right {
	const whyFlows = "idle: a short-lived pod on each node lists the connections to blue's entries"
	rights := accessLogRights(retirement)
	named := false
	for _, app := range apps {
		if app.Requests != nil {
			rights = append(rights, hook.PodRights(sideBlue, app.Namespace, http.MethodGet, "idle: each pod of "+app.Name+" is asked for its counter of requests")...)
		}
		named = named || len(app.Hostnames) > 0
	}
	if !named || helper == "" {
		return rights
	}
	if slices.ContainsFunc(apps, namesNoService) {
		rights = append(rights, kube.Right{Side: sideBlue, Resource: "services", Verbs: []string{"list"}, Why: "idle: a load balancer passes connections to a node port, and the Service with its address says which"})
	}
	return append(rights,
		kube.Right{Side: sideBlue, Resource: "nodes", Verbs: []string{"list"}, Why: whyFlows},
		kube.Right{Side: sideBlue, Namespace: defaultHelperNS, Resource: "pods", Verbs: []string{"create", "list", "get", "delete"}, Why: whyFlows},
		kube.Right{Side: sideBlue, Namespace: defaultHelperNS, Resource: "pods/log", Verbs: []string{"get"}, Why: whyFlows},
	)
}

// namesNoService reports whether an application has a hostname for which the file names no Service.
func namesNoService(app migration.Application) bool {
	return slices.ContainsFunc(app.Hostnames, func(h migration.Hostname) bool { return h.Service == "" && !h.AtBackend() })
}

// accessLogRights are those to read the logs that the file names.
func accessLogRights(retirement *migration.Retirement) []kube.Right {
	if retirement == nil {
		return nil
	}
	const why = "idle: the access log of an ingress controller tells who still asks"
	var rights []kube.Right
	for _, log := range retirement.AccessLogs {
		rights = append(rights,
			kube.Right{Side: sideBlue, Namespace: log.Namespace, Resource: "pods", Verbs: []string{"list"}, Why: why},
			kube.Right{Side: sideBlue, Namespace: log.Namespace, Resource: "pods/log", Verbs: []string{"get"}, Why: why})
	}
	return rights
}

// frontRights are those to put pods of ours in front of a namespace's Services, and to take them away again.
func frontRights(namespace, why string) []kube.Right {
	return []kube.Right{
		{Side: sideBlue, Namespace: namespace, Group: "apps", Resource: "deployments", Verbs: []string{"create", "get", "delete"}, Why: why},
		{Side: sideBlue, Namespace: namespace, Group: "apps", Resource: "replicasets", Verbs: []string{"list"}, Why: why},
		{Side: sideBlue, Namespace: namespace, Group: "discovery.k8s.io", Resource: "endpointslices", Verbs: []string{"list"}, Why: why},
		{Side: sideBlue, Namespace: namespace, Resource: "pods", Verbs: []string{"list"}, Why: why},
		{Side: sideBlue, Namespace: namespace, Resource: "pods/proxy", Verbs: []string{"get"}, Why: why},
		{Side: sideBlue, Namespace: namespace, Resource: "services", Verbs: []string{"get", "update"}, Why: why},
	}
}

// BrownOutRights lists what a brown-out needs of blue.
func BrownOutRights(opts Options) []kube.Right {
	const why = "brown-out: the ways in refuse for a while, and who comes is counted"
	var rights []kube.Right
	for _, ns := range opts.appNamespaces() {
		rights = append(rights, frontRights(ns, why)...)
		rights = append(rights,
			kube.Right{Side: sideBlue, Namespace: ns, Resource: "services", Verbs: []string{"list"}, Why: why},
			kube.Right{Side: sideBlue, Namespace: ns, Group: "networking.k8s.io", Resource: "ingresses", Verbs: []string{"list"}, Why: why},
			kube.Right{Side: sideBlue, Namespace: ns, Group: "gateway.networking.k8s.io", Resource: "httproutes", Verbs: []string{"list"}, Why: why})
	}
	return rights
}

// ForwardRights lists what a forwarding needs of blue.
func ForwardRights(opts Options) []kube.Right {
	const why = "forward: pods stand behind the application's Services on blue, pass on to green who still comes, and count"
	var rights []kube.Right
	for _, app := range opts.Applications {
		if app.Forward != nil {
			rights = append(rights, frontRights(opts.Blue.namespace(app.Namespace), why)...)
		}
	}
	return rights
}
