package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

const side = "green"

// Reasons for which rights are needed. One text for one reason, so that the rules that share it are printed as one.
const (
	whyPlace   = "restore: which cluster this is, so that blue and green are not the same place"
	whyMade    = "restore: what this migration made and blue has no longer is looked for"
	whyRead    = "restore: what green has already is read before anything is written"
	whyCreate  = "restore: what blue has is made on green"
	whyChange  = "restore: what changed on blue is changed on green"
	whyDelete  = "restore: what this migration made and blue has no longer is deleted; what has no resting state goes when green stops"
	whyReady   = "restore and start: whether it is ready"
	whyTurn    = "start and stop: what rests is given the replicas that blue had, and put to rest again on the way back"
	whyLastRun = "start: a CronJob is told when blue's ran last, so that nothing fires twice"
	whyStuck   = "start: why a pod does not become ready is read out of its log"
	whyRoom    = "restore: whether green's nodes have room is counted before anything is written"
	whyClasses = "restore: whether green has the classes that are asked for"
	whyRoutes  = "restore: whether another Ingress of green answers for the same host"
	whyOwners  = "restore: the owners of what is made"
	whyGrant   = "restore: nobody can write a role that grants more than he has himself; this is what the applications' own roles grant"
	whyBound   = "restore: bindings in namespaces that stay, which give rights to blue's accounts, are reported"
	whyBind    = "restore: the applications' own accounts are bound to these roles of the cluster"
)

// Rights lists what a restore, the start and the stop of all applications need of green.
func (s *Sight) Rights(ctx context.Context) ([]kube.Right, error) {
	l := &rightList{pl: s.pl, namespaces: map[string]bool{}}
	l.need("", "", "namespaces", whyPlace, "get").Names = []string{metav1.NamespaceSystem}
	for _, app := range s.pl.opts.Applications {
		l.namespaces[namespaceMap(s.pl.opts.Maps.Namespaces).of(app.Namespace)] = true
	}
	if s.pl.cargo.onePlace {
		l.need("", rbacGroup, "rolebindings", whyBound, "list")
	}
	made, err := s.pl.madeKinds(ctx)
	if err != nil {
		return nil, err
	}
	for ns := range l.namespaces {
		for _, r := range made {
			l.need(ns, r.Group, r.Resource, whyMade, "list")
		}
	}
	for _, it := range s.pl.cargo.items {
		if r, ok := s.pl.view.resource(it.running); ok {
			l.object(it, r)
			l.granted(it)
			l.owners(it)
		}
	}
	if err := l.hooks(ctx); err != nil {
		return nil, err
	}
	return l.rights, nil
}

type rightList struct {
	pl         *planner
	rights     []kube.Right
	namespaces map[string]bool
}

// need adds a right, and returns it so that it can be narrowed.
func (l *rightList) need(namespace, group, resource, why string, verbs ...string) *kube.Right {
	l.rights = append(l.rights, kube.Right{Side: side, Namespace: namespace, Group: group, Resource: resource, Verbs: verbs, Why: why})
	return &l.rights[len(l.rights)-1]
}

// object adds what one object needs, from its reading to its start.
func (l *rightList) object(it *item, r kube.Resource) {
	ns, k := it.key.Namespace, it.key
	if l.pl.cargo.onePlace && !r.Namespaced {
		l.need("", r.Group, r.Resource, whyRead, "list") // blue's stays as it is, for both
		if !k.is(rbacGroup, "ClusterRoleBinding") {
			return
		}
	}
	l.need(ns, r.Group, r.Resource, whyRead, "list")
	l.need(ns, r.Group, r.Resource, whyCreate, "create")
	if l.pl.deferred(it) {
		l.need(ns, r.Group, r.Resource, whyReady, "get")
		l.need(ns, r.Group, r.Resource, whyDelete, "delete")
	} else {
		l.need(ns, r.Group, r.Resource, whyChange, "get", "update")
		if r.Namespaced && !k.is("", "PersistentVolumeClaim") {
			l.need(ns, r.Group, r.Resource, whyDelete, "delete")
		}
	}
	if _, turns := leverOf(k); turns {
		l.need(ns, r.Group, r.Resource, whyTurn, "get", "patch")
	}
	if k.is("batch", "CronJob") {
		l.need(ns, r.Group, "cronjobs/status", whyLastRun, "patch")
	}
	podTemplates(it.running, func(spec, _ map[string]any) {
		l.need(ns, "", "pods", whyReady, "list")
		l.need(ns, "", "pods/log", whyStuck, "get")
		if len(podRequests(spec)) > 0 {
			l.need("", "", "nodes", whyRoom, "list")
			l.need("", "", "pods", whyRoom, "list")
		}
	})
	for _, ref := range classesOf(it.running) {
		l.need("", classGroups()[ref.kind], strings.ToLower(ref.kind)+"es", whyClasses, "list")
	}
	switch {
	case k.is("", "PersistentVolumeClaim"):
		l.need("", "storage.k8s.io", "storageclasses", whyReady, "get")
	case k.is(groupIngress, "Ingress"), k.is(groupGateway, "HTTPRoute"):
		l.need("", r.Group, r.Resource, whyRoutes, "list")
	}
}

// granted adds what the server demands of whoever writes roles and bindings (K14).
func (l *rightList) granted(it *item) {
	if it.key.Group != rbacGroup {
		return
	}
	for _, rule := range digMaps(it.running.Object, "rules") {
		verbs, names := texts(digList(rule, "verbs")), texts(digList(rule, "resourceNames"))
		for _, url := range texts(digList(rule, "nonResourceURLs")) {
			l.rights = append(l.rights, kube.Right{Side: side, URL: url, Verbs: verbs, Why: whyGrant, Granted: true})
		}
		for _, group := range texts(digList(rule, "apiGroups")) {
			for _, resource := range texts(digList(rule, "resources")) {
				r := l.need(it.key.Namespace, group, resource, whyGrant, verbs...)
				r.Names, r.Granted = names, true
			}
		}
	}
	ref := dig(it.running.Object, "roleRef")
	kind, name := digString(ref, "kind"), digString(ref, "name")
	ours := slices.ContainsFunc(l.pl.cargo.items, func(o *item) bool {
		return o.key == key{rbacGroup, kind, it.key.Namespace, name} || o.key == key{rbacGroup, kind, "", name}
	})
	if ref != nil && !ours { // whoever holds all that a role grants may bind it
		r := l.need(it.key.Namespace, rbacGroup, strings.ToLower(kind)+"s", whyBind, "bind")
		r.Names, r.Granted = []string{name}, true
	}
}

// owners adds the reading of owners that are not of the archive.
func (l *rightList) owners(it *item) {
	for _, ref := range it.running.GetOwnerReferences() {
		group, _, found := strings.Cut(ref.APIVersion, "/")
		if !found {
			group = ""
		}
		for gk, r := range l.pl.view.served {
			if gk.Group == group && gk.Kind == ref.Kind {
				ns := it.key.Namespace
				if !r.Namespaced {
					ns = ""
				}
				l.need(ns, r.Group, r.Resource, whyOwners, "get").Names = []string{ref.Name}
			}
		}
	}
}

// hooks adds what lets an application write on green, and stops it again.
func (l *rightList) hooks(ctx context.Context) error {
	for _, app := range l.pl.opts.Applications {
		if app.Freeze == nil {
			continue
		}
		run := hook.Runner{Kube: l.pl.opts.Green, Namespace: namespaceMap(l.pl.opts.Maps.Namespaces).of(app.Namespace), Selector: app.Selector}
		list := slices.Concat(app.Freeze.Leave, app.Freeze.Enter)
		if app.Writes == migration.WritesFreeze && app.Freeze.Probe != nil {
			l.rights = append(l.rights, run.HTTPRights(app.Freeze.Probe.HTTP, side, "stop of "+app.Name+": a write is tried on green, so that none is lost on the way back")...)
		}
		for _, h := range list {
			more, err := run.Rights(ctx, h, side, "start and stop of "+app.Name+": its hooks let green write, and stop it", false)
			if errors.Is(err, kube.ErrNotServed) {
				continue // the object that it patches cannot be made either
			}
			if err != nil {
				return fmt.Errorf("list the rights of %s: %w", hook.Describe(h), err)
			}
			l.rights = append(l.rights, more...)
		}
	}
	return nil
}

func texts(list []any) []string {
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
