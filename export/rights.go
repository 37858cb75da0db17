package export

import (
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

const side = "blue"

// Rights lists what an export needs of blue: to read every kind of object in the applications' namespaces, since what they
// have is known only then, and in the cluster what belongs to them or is named by them.
func (s *Sight) Rights() []kube.Right {
	const (
		whyAll     = "export: every object of the applications is read, whatever its kind"
		whyPlace   = "export: which cluster this is, so that blue and green are not the same place"
		whyNames   = "export: what the applications' objects name is archived with them"
		whyDefined = "export: the definitions of the applications' custom resources"
		whyBound   = "export: what in the cluster is bound to the applications' accounts and Services is found by reading all of its kind"
	)
	opts := s.survey.opts
	rights := []kube.Right{{Side: side, Resource: "namespaces", Verbs: []string{"get"}, Names: []string{metav1.NamespaceSystem}, Why: whyPlace}}
	for _, ns := range s.survey.namespaces() {
		rights = append(rights, kube.Right{Side: side, Resource: "namespaces", Verbs: []string{"get"}, Names: []string{ns}, Why: whyNames})
		for _, r := range s.survey.exported(s.survey.resources) {
			rights = append(rights, kube.Right{Side: side, Namespace: ns, Group: r.Group, Resource: r.Resource, Verbs: []string{"list"}, Why: whyAll})
		}
	}
	list := func(group, kind, why string) {
		if r, ok := s.resource(group, kind); ok {
			rights = append(rights, kube.Right{Side: side, Group: r.Group, Resource: r.Resource, Verbs: []string{"list"}, Why: why})
		}
	}
	if len(s.survey.custom) > 0 {
		list(groupCRD, "CustomResourceDefinition", whyDefined)
	}
	if s.survey.refersTo(schema.GroupKind{Group: groupRBAC, Kind: "ClusterRole"}) {
		list(groupRBAC, "ClusterRole", whyBound)
	}
	list(groupRBAC, "ClusterRoleBinding", whyBound)
	list("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", whyBound)
	list("admissionregistration.k8s.io", "MutatingWebhookConfiguration", whyBound)
	list("apiregistration.k8s.io", "APIService", whyBound)
	for ref := range s.survey.refs {
		if r, ok := s.survey.find(ref.GroupKind); ok {
			rights = append(rights, kube.Right{Side: side, Group: r.Group, Resource: r.Resource, Verbs: []string{"get"}, Names: []string{ref.name}, Why: whyNames})
		}
	}
	for _, app := range opts.Applications {
		if app.Payload != nil && app.Payload.Export.HTTP != nil {
			rights = append(rights, opts.runner(app).HTTPRights(*app.Payload.Export.HTTP, side, "export: the payload of "+app.Name+" is asked for")...)
		}
	}
	return rights
}

// FreezeRights lists what the freeze of an application and its thaw need of blue.
func (s *Sight) FreezeRights(ctx context.Context, opts FreezeOptions) ([]kube.Right, error) {
	var rights []kube.Right
	why := "freeze and thaw of " + opts.App.Name + ": "
	for _, gk := range stoppable() {
		quiesced := opts.App.Writes == migration.WritesQuiesce
		r, ok := s.resource(gk.Group, gk.Kind)
		if !ok || !s.has(opts.App.Name, gk.Group, gk.Kind) || !quiesced && gk.Kind != "CronJob" {
			continue
		}
		rights = append(rights, kube.Right{
			Side: side, Namespace: opts.App.Namespace, Group: r.Group, Resource: r.Resource, Verbs: []string{"get", "patch"},
			Why: why + "what fires or writes is stopped, and started again exactly as it was",
		})
	}
	f := opts.App.Freeze
	if opts.App.Writes != migration.WritesFreeze || f == nil {
		return rights, nil
	}
	hooks := why + "its hooks"
	run := opts.runner()
	for _, h := range slices.Concat(f.Enter, f.Leave) {
		more, err := run.Rights(ctx, h, side, hooks, isEntered(f, h))
		if errors.Is(err, kube.ErrNotServed) {
			continue // the freeze's plan refuses it
		}
		if err != nil {
			return nil, fmt.Errorf("list the rights of %s: %w", hook.Describe(h), err)
		}
		rights = append(rights, more...)
	}
	if f.Probe != nil {
		rights = append(rights, run.HTTPRights(f.Probe.HTTP, side, why+"a write is tried")...)
	}
	return rights, nil
}
