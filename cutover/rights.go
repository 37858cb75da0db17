package cutover

import (
	"net/http"

	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// Rights lists what the cutover of the hostnames needs of both clusters.
func Rights(opts Options) []kube.Right {
	const why = "cutover: the address at which this side answers for a hostname"
	rights := externalDNSRights(opts)
	for _, app := range opts.Applications {
		for _, h := range app.Hostnames {
			for name, side := range map[string]Side{sideBlue: opts.Blue, sideGreen: opts.Green} {
				r := kube.Right{Side: name, Namespace: side.namespace(app.Namespace), Verbs: []string{"get"}, Why: why}
				switch {
				case h.Service != "":
					r.Resource, r.Names = "services", []string{h.Service}
				case h.Ingress != "":
					r.Group, r.Resource, r.Names = "networking.k8s.io", "ingresses", []string{h.Ingress}
				default:
					continue
				}
				rights = append(rights, r)
			}
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
		for _, app := range opts.Applications {
			at := side.namespace(app.Namespace)
			rights = append(rights,
				kube.Right{Side: name, Namespace: at, Resource: "services", Verbs: []string{"list"}, Why: why},
				kube.Right{Side: name, Namespace: at, Group: "networking.k8s.io", Resource: "ingresses", Verbs: []string{"list"}, Why: why})
		}
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
	return append(rights,
		kube.Right{Side: sideBlue, Resource: "nodes", Verbs: []string{"list"}, Why: whyFlows},
		kube.Right{Side: sideBlue, Namespace: defaultHelperNS, Resource: "pods", Verbs: []string{"create", "list", "get", "delete"}, Why: whyFlows},
		kube.Right{Side: sideBlue, Namespace: defaultHelperNS, Resource: "pods/log", Verbs: []string{"get"}, Why: whyFlows},
	)
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
