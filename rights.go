package crossfade

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/export"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/lease"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/ports"
	"github.com/crossfade-project/crossfade/provision"
	"github.com/crossfade-project/crossfade/restore"
)

// sight is what the migration would move, seen before anything is archived.
type sight struct {
	blue  *export.Sight
	green *restore.Sight
	// missing are the namespaces that green does not have yet, by the name that blue gives them.
	missing map[string]string
	// foreign are the namespaces that green has and that this migration did not make.
	foreign []string
}

// see reads blue's objects and makes green's of them. It writes nothing.
func (m *Migration) see(ctx context.Context) (*sight, error) {
	blue, err := m.side(Blue)
	if err != nil {
		return nil, err
	}
	green, err := m.side(Green)
	if err != nil {
		return nil, err
	}
	s := &sight{missing: map[string]string{}}
	s.blue, err = export.Look(ctx, export.Options{
		Migration: m.file.Name, Tool: m.opts.Tool, Blue: blue, Green: green, Applications: m.file.Applications,
		HTTP: m.hookClient(), Dir: m.file.Dir, Log: m.opts.Log, Clock: m.opts.Clock,
	})
	if err != nil {
		return nil, err
	}
	s.green, err = restore.Look(ctx, restore.Options{
		Migration: m.file.Name, Stage: "restore", Green: green, Archive: s.blue, Applications: m.file.Applications,
		Maps: m.file.Maps, Patches: m.file.Patches, Conflicts: restore.Policy(m.file.Restore.Conflicts), AllowOlder: m.file.Restore.AllowOlder,
		HTTP: m.hookClient(), Dir: m.file.Dir, Log: m.opts.Log, Clock: m.opts.Clock,
	})
	if err != nil {
		return nil, err
	}
	for from, to := range m.namespaces() {
		there, err := green.Typed.CoreV1().Namespaces().Get(ctx, to, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			s.missing[from] = to
		case err != nil && !apierrors.IsForbidden(err): // a right that is missing is said as one
			return nil, fmt.Errorf("read namespace %s of green: %w", to, err)
		case err == nil && there.Labels[kube.LabelMigration] != m.file.Name:
			s.foreign = append(s.foreign, to)
		}
	}
	return s, nil
}

// namespaces maps each namespace of blue that moves to its name on green.
func (m *Migration) namespaces() map[string]string {
	out := map[string]string{}
	for _, a := range m.file.Applications {
		out[a.Namespace] = m.greenNamespace(a.Namespace)
	}
	return out
}

// rights gathers what every step declares that it needs.
func (m *Migration) rights(ctx context.Context, s *sight) ([]kube.Right, error) {
	blue, err := m.side(Blue)
	if err != nil {
		return nil, err
	}
	green, err := m.side(Green)
	if err != nil {
		return nil, err
	}
	list := s.blue.Rights()
	add := func(more []kube.Right, err error) error {
		list = append(list, more...)
		return err
	}
	there := restore.Policy(m.file.Restore.Conflicts)
	_ = add(provision.Rights(provision.Options{Namespaces: m.namespaces(), Adopt: there == restore.Adopt}), nil)
	err = errors.Join(add(provision.ContentRights(ctx, green, s.foreign)), add(s.green.Rights(ctx)), add(ports.Rights(ctx, s.blue, m.file.Maps)))
	for _, a := range m.file.Applications {
		opts, ferr := m.freezeOptions("freeze/"+a.Name, a)
		err = errors.Join(err, ferr, add(s.blue.FreezeRights(ctx, opts)))
		for _, h := range a.Drain {
			err = errors.Join(err, add(m.hookRunner(blue, a.Namespace, a).Rights(ctx, h, Blue, "drain: kept connections of "+a.Name+" are closed", false)))
		}
		if a.Payload != nil && a.Payload.Import.HTTP != nil {
			runner := m.hookRunner(green, m.greenNamespace(a.Namespace), a)
			_ = add(runner.HTTPRights(*a.Payload.Import.HTTP, Green, "payload: it is handed to "+a.Name+" on green"), nil)
		}
	}
	if err != nil {
		return nil, err
	}
	sides := cutover.Options{Applications: m.file.Applications, Times: m.file.Cutover, Blue: cutover.Side{Kube: blue}, Green: cutover.Side{Kube: green, Namespaces: m.file.Maps.Namespaces}}
	_ = add(append(cutover.Rights(sides), cutover.EntryRights(ctx, sides)...), nil)
	_ = add(cutover.ForwardRights(sides), nil)
	if r := m.file.Retirement; r != nil {
		_ = add(cutover.EvidenceRights(m.file.Applications, m.file.Retirement, m.file.Blue.Helper), nil)
		if m.file.RefusesFor() > 0 {
			_ = add(cutover.BrownOutRights(cutover.Options{Applications: m.file.Applications}), nil)
		}
		_ = add(provision.DestroyRights(r.Delete.Namespaces, s.blue.Volumes()), nil)
	}
	if m.file.State == nil || m.file.State.URL == "" {
		_ = add(lease.Rights(Blue, m.file.Applications[0].Namespace, m.file.Name), nil)
	}
	return append(list, m.secretRights()...), nil
}

// knownRights are those that the file alone tells, for when blue's objects cannot be read.
func (m *Migration) knownRights() []kube.Right {
	list := provision.Rights(provision.Options{Namespaces: m.namespaces()})
	list = append(list, cutover.Rights(cutover.Options{Applications: m.file.Applications, Times: m.file.Cutover, Green: cutover.Side{Namespaces: m.file.Maps.Namespaces}})...)
	return append(list, m.secretRights()...)
}

// secretRights lists the reading of Secrets that the file refers to.
func (m *Migration) secretRights() []kube.Right {
	var list []kube.Right
	add := func(ref *migration.SecretRef, what string) {
		if ref == nil || ref.Secret == nil {
			return
		}
		list = append(list, kube.Right{
			Side: ref.Secret.Side, Namespace: ref.Secret.Namespace, Resource: "secrets", Verbs: []string{"get"}, Names: []string{ref.Secret.Name},
			Why: "the migration file refers to it: " + what,
		})
	}
	for name, s := range m.file.Stores {
		add(s.AccessKey, "stores."+name+".accessKey")
		add(s.SecretKey, "stores."+name+".secretKey")
	}
	add(m.file.Archive.Identity, "archive.identity")
	for _, z := range m.file.Zones {
		for _, c := range z.Credentials() {
			add(c.Ref, "zones."+z.Name+"."+c.Field)
		}
	}
	for _, a := range m.file.Applications {
		for _, c := range a.Checks {
			for field, ref := range c.SecretRefs() {
				add(ref, fmt.Sprintf("check %q of %s: %s", c.Name, a.Name, field))
			}
		}
	}
	if m.file.Retirement != nil {
		for _, q := range m.file.Retirement.Prometheus {
			add(q.Password, fmt.Sprintf("retirement.prometheus %q: password", q.Name))
			add(q.Token, fmt.Sprintf("retirement.prometheus %q: token", q.Name))
		}
	}
	for _, n := range m.file.Notifications {
		if n.Webhook != nil {
			add(n.Webhook.URLFrom, "notifications."+n.Name+".webhook.urlFrom")
			add(n.Webhook.Secret, "notifications."+n.Name+".webhook.secret")
		}
	}
	return list
}

// makingNamespaces is the right to make what green does not have yet. It is not printed: the roles come with their namespaces.
func makingNamespaces(s *sight) []kube.Right {
	if len(s.missing) == 0 {
		return nil
	}
	return []kube.Right{{Side: Green, Resource: "namespaces", Verbs: []string{"create"}, Why: "provision: green does not have the namespaces yet"}}
}

// missingRights asks a side for every right that the migration needs there.
func (m *Migration) missingRights(ctx context.Context, side string, rights []kube.Right) ([]kube.Missing, error) {
	client, err := m.side(side)
	if err != nil {
		return nil, err
	}
	return client.Holds(ctx, rulesOf(side, rights)...)
}

// rulesOf are the rules of one side.
func rulesOf(side string, rights []kube.Right) []kube.Rule {
	return kube.Rules(slices.DeleteFunc(slices.Clone(rights), func(r kube.Right) bool { return r.Side != side }))
}

// lookAtRights refuses in preflight what would be refused in the middle of a migration. An account that may do everything is
// asked for nothing more.
func (m *Migration) lookAtRights(ctx context.Context, p *plan.Plan) error {
	all := true
	for _, side := range []string{Blue, Green} {
		client, err := m.side(side)
		if err != nil {
			return err
		}
		may, err := client.HoldsAll(ctx)
		if err != nil {
			return err
		}
		all = all && may
	}
	if all {
		return nil
	}
	s, err := m.see(ctx)
	if err != nil {
		return err
	}
	rights, err := m.rights(ctx, s)
	if err != nil {
		return err
	}
	rights = append(rights, makingNamespaces(s)...)
	for _, side := range []string{Blue, Green} {
		missing, err := m.missingRights(ctx, side, rights)
		if err != nil {
			return err
		}
		for _, miss := range missing {
			p.Refuse(side+": "+miss.String(), "this account may not; it is needed for "+miss.Why[0], mendRights(side))
		}
	}
	return nil
}

// mendRights is the mend of a missing right.
func mendRights(side string) string {
	return "crossfade doctor --rbac --side " + side + " prints the least roles: have an administrator print and apply them"
}
