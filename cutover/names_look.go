package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// NamesOptions say whose names are looked at, and how the TTL stage left them.
type NamesOptions struct {
	Options
	Apps []string
	Held []Held
}

// LookAtNames refuses in a plan what the swap would refuse of the names' records and fences, and of where green's targets lead. It only
// reads: before blue refuses writes it is known then whether a name has changed hands since its TTL was lowered.
func LookAtNames(ctx context.Context, p *plan.Plan, opts NamesOptions) error {
	entries := map[string]Entries{}
	for _, app := range opts.Apps {
		if err := opts.refuseLater(p, app, opts.Held); err != nil {
			return err
		}
		if err := opts.refuseLost(p, app, opts.Held); err != nil {
			return err
		}
		found, err := FindEntries(ctx, opts.Options, app)
		if err != nil {
			return err
		}
		for _, e := range found {
			entries[e.Hostname] = e
		}
	}
	for _, h := range opts.Held {
		if h.Route != nil || !slices.Contains(opts.Apps, h.App) {
			continue
		}
		z, err := opts.zoneOf(h.Name)
		if err != nil {
			return err
		}
		now, err := lookupSwappable(ctx, z.Driver, h.Name)
		if errors.Is(err, zone.ErrConflict) {
			p.Refuse(h.Name, err.Error(), whoChangedIt)
			continue
		}
		if err != nil {
			return err
		}
		token, err := fenceToken(ctx, z.Driver, h.Fence.Name)
		if err != nil {
			return err
		}
		others, err := opts.refuseOthers(p, h, now)
		if err != nil {
			return err
		}
		if !others && token != h.Fence.Token {
			p.Refuse(h.Name, fmt.Sprintf("its fence %s holds %q, and the migration's is %q", h.Fence.Name, token, h.Fence.Token), "find out who holds the name: another migration, or another run of this one; nothing is moved over another's head")
		}
		if e, ok := entries[h.Name]; ok {
			if _, err := opts.judgeTarget(ctx, p, e, h); err != nil {
				return err
			}
		}
	}
	return nil
}

const anew = "; or say `crossfade rollback`, and then `crossfade run`, which lowers TTLs anew"

// refuseLater refuses hostnames that the file has got since TTLs were lowered.
func (o Options) refuseLater(p *plan.Plan, appName string, held []Held) error {
	app, err := o.application(appName)
	if err != nil {
		return err
	}
	for _, h := range app.Hostnames {
		name, err := dnsx.Canonical(h.Name)
		if err != nil {
			return fmt.Errorf("hostname of application %s: %w", app.Name, err)
		}
		if !slices.ContainsFunc(held, func(h Held) bool { return h.App == app.Name && h.Name == name }) {
			p.Refuse(name, lateName, mendLateName)
		}
	}
	return nil
}

const (
	lateName     = "the file had it not when TTLs were lowered: its TTL was not lowered and its fence was not taken"
	mendLateName = "take it out of the file again" + anew
)

// refuseLost refuses hostnames that the file has lost since TTLs were lowered: they would stay at blue, which stops serving.
func (o Options) refuseLost(p *plan.Plan, appName string, held []Held) error {
	app, err := o.application(appName)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.App == app.Name && !slices.ContainsFunc(app.Hostnames, func(x migration.Hostname) bool {
			name, err := dnsx.Canonical(x.Name)
			return err == nil && name == h.Name
		}) {
			p.Refuse(h.Name, "the file does not have it any more, and had it when TTLs were lowered: it would stay where it is while its application moves", "put it back into the file"+anew)
		}
	}
	return nil
}

// AtGreen is a name that leads to green.
type AtGreen struct {
	Name string
	// Leads says where it leads, as it stands.
	Leads string
}

// NamesAtGreen returns the names of applications that lead to green now, in whole or in part, whatever is known of how they came
// there. It only reads. What could not be read is the error beside what was seen: one silent server hides no other name.
func NamesAtGreen(ctx context.Context, opts NamesOptions) ([]AtGreen, error) {
	return lookAtEach(ctx, opts.Apps, opts.atGreen)
}

// lookAtEach asks about several applications at once. What could not be read is the error beside what was seen.
func lookAtEach[T any](ctx context.Context, apps []string, look func(context.Context, string) ([]T, error)) ([]T, error) {
	found, unread := make([][]T, len(apps)), make([]error, len(apps))
	var group errgroup.Group
	group.SetLimit(lookedAt)
	for i, app := range apps {
		group.Go(func() error {
			found[i], unread[i] = look(ctx, app)
			return nil
		})
	}
	unread = append(unread, group.Wait())
	return slices.Concat(found...), errors.Join(unread...)
}

func (o NamesOptions) atGreen(ctx context.Context, app string) ([]AtGreen, error) {
	entries, err := FindEntries(ctx, o.Options, app)
	if err != nil {
		return nil, err
	}
	var found []AtGreen
	var unread []error
	for _, e := range entries {
		look := o.nameAtGreen
		if o.atBackend(app, e.Hostname) {
			look = o.routeAtGreen
		}
		leads, err := look(ctx, e)
		if err != nil {
			unread = append(unread, fmt.Errorf("read where %s leads: %w", e.Hostname, err))
		}
		if leads != "" {
			found = append(found, AtGreen{Name: e.Hostname, Leads: leads})
		}
	}
	return found, errors.Join(unread...)
}

// nameAtGreen says where a name leads, if that is green; else it is empty.
func (o NamesOptions) nameAtGreen(ctx context.Context, e Entries) (string, error) {
	z, err := o.zoneOf(e.Hostname)
	if err != nil {
		return "", err
	}
	state, share := NameState{Entries: e}, 0
	if i := slices.IndexFunc(o.Held, func(h Held) bool { return h.App == e.App && h.Name == e.Hostname }); i >= 0 {
		state.Records, share, err = lookupShared(ctx, z.Driver, e, o.Held[i])
	} else {
		state.Records, err = lookupSwappable(ctx, z.Driver, e.Hostname)
	}
	switch {
	case err != nil:
		return "", err
	case share > 0:
		return fmt.Sprintf("%s, in %d of 100 answers", e.Green, share), nil
	case state.AtGreen():
		return describe(state.Records), nil
	}
	return "", nil
}

// routeAtGreen says where the backend of a hostname leads, if that is green; else it is empty.
func (o NamesOptions) routeAtGreen(ctx context.Context, e Entries) (string, error) {
	app, err := o.application(e.App)
	if err != nil {
		return "", err
	}
	ref := o.refOf(app, hostnameOf(app, e.Hostname))
	state, err := backend.Read(ctx, o.Blue.Kube, ref, e.Hostname)
	if err != nil {
		return "", err
	}
	targets, err := backend.Targets(ref.Kind, state.Rules)
	if err != nil {
		return "", err
	}
	green := o.Green.namespace(app.Namespace)
	if slices.ContainsFunc(targets, func(t backend.Target) bool {
		return strings.HasPrefix(t.Service, ownPrefix) || t.Namespace == green && green != ref.Namespace
	}) {
		return backend.Describe(state.Rules), nil
	}
	return "", nil
}

// Standing is a fence of this migration that stands, whoever has taken it.
type Standing struct {
	Name string
	// Holds says where it stands and what it holds.
	Holds string
	// Mend says what to do where nobody has the state of that run any more.
	Mend string
}

// StandingFences returns the fences of this migration at the names of applications, whatever is known of how they came there. It only
// reads, and needs nothing of green. What could not be read is the error beside what was seen.
func StandingFences(ctx context.Context, opts NamesOptions) ([]Standing, error) {
	return lookAtEach(ctx, opts.Apps, opts.standing)
}

func (o NamesOptions) standing(ctx context.Context, appName string) ([]Standing, error) {
	app, err := o.application(appName)
	if err != nil {
		return nil, err
	}
	var found []Standing
	var unread []error
	for _, h := range app.Hostnames {
		name, where, token, err := o.fenceOf(ctx, app, h)
		if err != nil {
			unread = append(unread, fmt.Errorf("read the fence of %s: %w", h.Name, err))
		} else if strings.HasPrefix(token, o.tokens()) {
			found = append(found, Standing{Name: name, Holds: where + " holds " + token, Mend: mendLostState(where, token)})
		}
	}
	return found, errors.Join(unread...)
}

// fenceOf reads the fence of one hostname, and says where it stands; the token is empty where there is none.
func (o NamesOptions) fenceOf(ctx context.Context, app migration.Application, h migration.Hostname) (name, where, token string, err error) {
	if name, err = dnsx.Canonical(h.Name); err != nil {
		return "", "", "", err
	}
	if h.AtBackend() {
		if o.Blue.Kube == nil {
			return "", "", "", errNoCluster
		}
		state, err := backend.Read(ctx, o.Blue.Kube, o.refOf(app, h), name)
		if errors.Is(err, backend.ErrNotExist) {
			return name, "", "", nil
		}
		if err != nil {
			return "", "", "", err
		}
		return name, annotationOf(state.Ref, state.Host), state.Fence, nil
	}
	z, err := o.zoneOf(name)
	if err != nil {
		return "", "", "", err
	}
	at, err := zone.FenceName(name, z.Driver.Apex())
	if err != nil {
		return "", "", "", err
	}
	token, err = fenceToken(ctx, z.Driver, at)
	return name, "the TXT record " + at, token, err
}

// annotationOf names the fence of a host that keeps its entry.
func annotationOf(ref backend.Ref, host string) string {
	return fmt.Sprintf("the annotation %s of %s", backend.FenceAnnotation(host), ref)
}

// mendLostState says what to do about a fence of this migration that a run of which nothing is known has taken.
func mendLostState(where, token string) string {
	mend := "resume that run with its state; if its state is lost and it runs nowhere, it may have frozen blue: start there by hand what stands still " +
		"(suspended jobs, workloads at 0, what the hooks of a freeze have set), for the next run takes it for what its owner wants; then remove " + where + " by hand"
	if ttls := keptTTLs(token); ttls != "" {
		mend += ", and before that give the name the TTL that it had: the fence keeps it (" + ttls + ")"
	}
	return mend
}

const whoChangedIt = "find out who changed it, and give it back what the stage left; nothing is changed over another's head"

// refuseOthers refuses a name that holds other records than the TTL stage left.
func (o Options) refuseOthers(p *plan.Plan, held Held, now []zone.RRset) (bool, error) {
	if zone.SameSets(now, held.Low) {
		return false, nil
	}
	if err := o.sawTTL(held.Name, held.Low, now); err != nil {
		return false, err
	}
	p.Refuse(held.Name, fmt.Sprintf("it holds %s, and the stage that lowers TTLs left %s", describe(now), describe(held.Low)), whoChangedIt)
	return true, nil
}
