package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/crossfade-project/crossfade/internal/plan"
)

const (
	actionResume plan.Action = "start again"
	actionLeave  plan.Action = "leave"
)

// Resumed is what became of a paused Deployment.
type Resumed struct {
	Paused
	// Left says why it was not scaled to what it was; empty where it was.
	Left string `json:"left,omitempty"`
	// Still says that it stands still as the migration left it.
	Still bool `json:"still,omitempty"`
}

// String is one line for people.
func (r Resumed) String() string {
	if r.Left == "" {
		return fmt.Sprintf("%s has %d replicas again", r.Paused, r.Replicas)
	}
	if r.Still {
		return fmt.Sprintf("%s stays at 0 replicas (it had %d): %s", r.Paused, r.Replicas, r.Left)
	}
	return fmt.Sprintf("%s is left as it is (it had %d replicas): %s", r.Paused, r.Replicas, r.Left)
}

// planResumes plans what becomes of each paused Deployment:
//
//	names at   blue's                                  green's
//	blue       started again, with what it had         the same, where the names are not its own
//	green      left: the names are its own still       the same
//
// What somebody else has changed since is left as it is, and said. Nothing about green keeps a way back from its end.
func planResumes(ctx context.Context, opts RestoreOptions, p *plan.Plan) error {
	if len(opts.Paused) == 0 {
		return nil
	}
	owners, unread := opts.ownersOfAll(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, was := range opts.Paused {
		r := Resumed{Paused: was}
		var err error
		if opts.AtGreen && was.Side == sideBlue {
			r.Still, r.Left = true, blueStays(was, owners, unread)
		} else if r, err = opts.look(ctx, was, owners, unread); err != nil {
			return err
		}
		p.Add(resumeChange(p.Stage, r))
		if r.Left != "" {
			p.Note(plan.Warning, "external-dns", r.String())
		}
	}
	return nil
}

func resumeChange(stage string, r Resumed) plan.Change {
	c := plan.Change{
		ID: r.id(stage, "external-dns"), Action: actionResume, Target: r.Paused.String(),
		Why: fmt.Sprintf("the migration has paused it, and needs that no more: %d replicas again, unless somebody has changed it meanwhile; it is as it was then, so nothing is taken back", r.Replicas),
		ReliesOn: []plan.Reliance{
			{What: r.Paused.String() + "'s uid", Is: r.UID}, {What: r.Paused.String() + "'s replicas", Is: fmt.Sprintf("0, or %d again", r.Replicas)},
		},
		Data: plan.JSON(r),
	}
	if r.Left != "" {
		c.Action, c.ReliesOn = actionLeave, nil
		c.Why = r.Left + "; nothing is changed, so nothing is taken back"
	}
	return c
}

// look reads a paused Deployment, and says what stands against starting it again.
func (o RestoreOptions) look(ctx context.Context, was Paused, owners []Owner, unread error) (Resumed, error) {
	d, err := o.readKeeper(ctx, was.named())
	r, done, err := o.judgeResume(ctx, was, d, err)
	if err != nil || done || r.Left != "" || was.Side == sideBlue {
		return r, err
	}
	i, ok := installationOf(*d, was.Side)
	if !ok {
		r.Left = "it does not run external-dns any more"
		return r, nil
	}
	if why := harm(i, o.hostnames(), owners, unread); why != "" {
		r.Still, r.Left = true, why+fmt.Sprintf("; once that is settled: kubectl --namespace=%s scale deployment/%s --replicas=%d", was.Namespace, was.Name, was.Replicas)
	}
	return r, nil
}

// judgeResume says whether a Deployment, as it was read or not, is as the migration left it. Done means that it is as it was
// before that.
func (o RestoreOptions) judgeResume(ctx context.Context, was Paused, d *appsv1.Deployment, err error) (r Resumed, done bool, _ error) {
	r.Paused = was
	switch {
	case ctx.Err() != nil:
		return r, false, ctx.Err()
	case errors.Is(err, errNoDeployment):
		r.Left = "somebody has deleted it"
	case err != nil && was.Side == sideGreen:
		r.Still, r.Left = true, fmt.Sprintf("%v; where green answers again, `crossfade rollback` starts it", err)
	case err != nil:
		return r, false, err
	case string(d.UID) != was.UID:
		r.Left = "it is another one of that name: somebody has deleted it and made it anew"
	case replicasOf(*d) == was.Replicas:
		return r, true, nil
	case replicasOf(*d) != 0:
		r.Left = fmt.Sprintf("somebody has scaled it to %d meanwhile", replicasOf(*d))
	}
	return r, false, nil
}

// resume scales a paused Deployment to what it had, if it still stands still as the migration left it.
func (o RestoreOptions) resume(ctx context.Context, c plan.Change) (Resumed, error) {
	var planned Resumed
	if err := json.Unmarshal(c.Data, &planned); err != nil {
		return planned, fmt.Errorf("read the plan: %w", err)
	}
	if c.Action == actionLeave {
		return planned, o.tell(planned)
	}
	for range setTries {
		d, err := o.readKeeper(ctx, planned.named())
		r, done, err := o.judgeResume(ctx, planned.Paused, d, err)
		if err != nil {
			return r, err
		}
		if !done && r.Left == "" {
			err = o.scale(ctx, d, planned.named(), planned.Replicas)
			if apierrors.IsConflict(err) {
				continue
			}
			if err != nil && planned.Side == sideGreen && ctx.Err() == nil {
				r.Still, r.Left = true, err.Error()
			} else if err != nil {
				return r, err
			}
		}
		if r.Left != "" {
			o.log().WarnContext(ctx, "external-dns is not started again", "deployment", planned.Paused.String(), "because", r.Left)
		}
		return r, o.tell(r)
	}
	return planned, changing(planned.Paused)
}

func (o RestoreOptions) tell(r Resumed) error {
	if o.Resumed == nil {
		return nil
	}
	return o.Resumed(r)
}

// ownersOfAll reads external-dns's records of all names of the file. A name without records has none.
func (o RestoreOptions) ownersOfAll(ctx context.Context) ([]Owner, error) {
	affixes := newKeepers(o.Options).affixes(ctx)
	var owners []Owner
	for _, name := range o.hostnames() {
		z, err := o.zoneOf(name)
		if err != nil {
			return nil, err
		}
		d, err := o.names().Discover(ctx, name, z.source())
		if err != nil {
			return nil, fmt.Errorf("read the name servers of %s: %w", name, err)
		}
		records, err := lookupSwappable(ctx, z.Driver, d.Name)
		if err != nil {
			return nil, err
		}
		found, err := o.findOwners(ctx, z, d, records, affixes)
		if err != nil {
			return nil, err
		}
		owners = append(owners, found...)
	}
	return owners, nil
}

// blueStays says why blue's external-dns is not started while the names are at green, and what to do first.
func blueStays(was Paused, owners []Owner, unread error) string {
	records := "the names' records may still be its own"
	if unread == nil && len(owners) == 0 {
		records = "no record in the zone says whose the names are, and a registry elsewhere may still say that they are its own"
	}
	if len(owners) > 0 {
		var list []string
		for _, o := range owners {
			list = append(list, o.String())
		}
		records = "its records still say whose the names are: " + strings.Join(list, "; ")
	}
	return fmt.Sprintf("the names are at green now, and %s. Started, it would take them back to blue while blue's objects ask for them, and under the policy sync delete them once nobody there does. "+
		"Hand these records over to green's owner id or remove them, or give it another %s; then: kubectl --namespace=%s scale deployment/%s --replicas=%d",
		records, ownerArgument, was.Namespace, was.Name, was.Replicas)
}

// harm says why an external-dns of green could change one of the names; empty where it cannot, as long as the records say what
// they say now. What cannot be read may do harm (I8).
func harm(i Installation, names []string, owners []Owner, unread error) string {
	mine := func(o Owner) bool { return !o.Unknown && (o.Owner == i.Owner || i.Takes != "" && o.Owner == i.Takes) }
	switch {
	case i.DryRun, !slices.ContainsFunc(names, i.Concerns), i.Policy == "create-only":
		return ""
	case len(i.Unread) > 0:
		return "what it was told could not be read (" + strings.Join(i.Unread, "; ") + "), so that it may take the names for its own"
	case unread != nil:
		return fmt.Sprintf("whose the names are could not be read (%v), so that it may take them for its own", unread)
	case i.Registry != "txt":
		return "whose the names are it keeps in the registry " + i.Registry + ", which cannot be read here, so that it may change or delete them"
	}
	for _, o := range owners {
		switch {
		case o.Unknown:
			return "external-dns's record at " + o.Name + " cannot be read, so that it may take the name for its own"
		case mine(o):
			return "a name is its own by external-dns's record, " + o.String() + ", so that it would change or delete it where green's objects do not ask for exactly what stands there"
		}
	}
	return ""
}
