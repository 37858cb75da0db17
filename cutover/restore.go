package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/internal/backend"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// RestoreOptions say which names get their TTLs back.
type RestoreOptions struct {
	Options
	Held []Held
	// Moved are the names that swaps have left at green.
	Moved []Moved
	// AtGreen says that the names stay at green: only what can do no harm there is started again of Paused.
	AtGreen bool
	// Resumed is told what became of each of Paused. Nil tells nobody.
	Resumed func(Resumed) error
}

// restoreData is what giving a TTL back consumes.
type restoreData struct {
	Change  zone.Change   `json:"change"`
	Zone    string        `json:"zone,omitempty"`
	Servers []dnsx.Server `json:"servers"`
	Signed  bool          `json:"signed,omitempty"`
}

// LeftName is a name that somebody else has changed: it keeps what it holds.
type LeftName struct {
	App   string `json:"app"`
	Name  string `json:"name"`
	Holds string `json:"holds"`
}

// KeptRecord is a record that was made for green's address, and stays because other names lead to it.
type KeptRecord struct {
	App   string   `json:"app"`
	Name  string   `json:"name"`
	Users []string `json:"users"`
}

// String says it in a line.
func (k KeptRecord) String() string {
	return fmt.Sprintf("%s (made for %s), to which %s leads", k.Name, k.App, strings.Join(k.Users, " and "))
}

// RestoreResult is what giving the TTLs back came to.
type RestoreResult struct {
	Left []LeftName   `json:"left,omitempty"`
	Kept []KeptRecord `json:"kept,omitempty"`
}

// RestoreResultOf is what a plan that gives TTLs back leaves as it is.
func RestoreResultOf(p *plan.Plan) (r RestoreResult, err error) {
	if len(p.Data) == 0 {
		return r, nil // of an earlier version
	}
	if err = json.Unmarshal(p.Data, &r); err != nil {
		err = fmt.Errorf("read the plan: %w", err)
	}
	return r, err
}

// PlanRestoreTTL plans to give every name the TTL that it had before, with the target that it has now, and then to remove
// its fence. A name with other records than this migration left keeps them as they are (I3), and its fence goes. At last external-dns is
// started again, where it was paused and can do no harm. It belongs after the window in which names may go back: a long TTL makes the way
// back long.
func PlanRestoreTTL(ctx context.Context, opts RestoreOptions) (*plan.Plan, error) {
	stage := opts.Stage
	if stage == "" {
		stage = "restore-ttl"
	}
	p := plan.New(opts.Migration, stage)
	var result RestoreResult
	for _, held := range opts.Held {
		if held.Route != nil {
			if err := planRouteRelease(ctx, opts, p, held); err != nil {
				return nil, err
			}
			continue
		}
		z, err := opts.zoneOf(held.Name)
		if err != nil {
			return nil, err
		}
		now, err := lookupSwappable(ctx, z.Driver, held.Name)
		if err != nil {
			return nil, err
		}
		kept, err := planUnmake(ctx, opts, p, held, now)
		if err != nil {
			return nil, err
		}
		result.Kept = append(result.Kept, kept...)
		token, err := fenceToken(ctx, z.Driver, held.Fence.Name)
		if err != nil {
			return nil, err
		}
		if opts.Before.gave(held.Fence.Name, token) {
			held.Fence.Token = token
		}
		if token == "" {
			p.Note(plan.Info, held.Name, "its fence is gone already, so it is not ours to change")
			continue
		}
		if token != held.Fence.Token && zone.SameSets(now, held.Old) {
			p.Note(plan.Info, held.Name, "another writer holds its fence ("+token+"), and its records are as they were found: there is nothing to give back")
			continue
		}
		if token != held.Fence.Token {
			p.Refuse(held.Name, "another writer holds its fence: "+token, "leave the name to that writer")
			continue
		}
		if len(now) == 0 {
			p.Refuse(held.Name, "it holds neither a CNAME nor an address", "find out who removed it")
			continue
		}
		if opts.left(held, now) {
			p.Add(giveBack(stage, held, now))
		} else {
			p.Note(plan.Warning, held.Name, fmt.Sprintf("it holds %s, and this migration has not put that there: its records and their TTLs stay as they are", describe(now)))
			result.Left = append(result.Left, LeftName{App: held.App, Name: held.Name, Holds: describe(now)})
		}
		p.Add(plan.Change{
			ID:     stage + "/release/" + held.Name,
			Action: actionRelease, Target: held.Name, App: held.App,
			Why:      "the migration needs the name no more",
			ReliesOn: []plan.Reliance{{What: "fence " + held.Fence.Name, Is: held.Fence.Token}},
			Reverse:  &plan.Reverse{Action: actionFence, How: "write the TXT record " + held.Fence.Name + " again", Data: plan.JSON(held.Fence)},
			Data:     plan.JSON(fenceData{Zone: held.Zone, Name: held.Name, Fence: held.Fence}),
		})
	}
	p.Data = plan.JSON(result)
	return p, planResumes(ctx, opts, p)
}

// left reports whether a name leads where this migration has left it: where it was found, or where a swap has moved it.
func (o RestoreOptions) left(held Held, now []zone.RRset) bool {
	same := func(sets []zone.RRset) bool { return zone.SameSets(withTTL(now, 0), withTTL(sets, 0)) }
	return same(held.Old) || slices.ContainsFunc(o.Moved, func(m Moved) bool {
		return m.Name == held.Name && m.Switched == nil && same(m.Change.New)
	})
}

// giveBack is the change that gives a name its TTL back.
func giveBack(stage string, held Held, now []zone.RRset) plan.Change {
	ttl := held.Old[0].TTL
	change := zone.Change{Name: held.Name, Old: now, New: withTTL(now, ttl), Fence: held.Fence}
	if zone.SameSets(now, held.Low) {
		change.New = held.Old // exactly: its sets may have had several TTLs
	}
	return plan.Change{
		ID:     stage + "/ttl/" + held.Name,
		Action: actionRestore, Target: held.Name, App: held.App,
		Why:      fmt.Sprintf("from %ds back to %ds, with the target that it has now; from then on going back takes %ds", now[0].TTL, ttl, ttl),
		ReliesOn: []plan.Reliance{{What: "records of " + held.Name, Is: describe(now)}, {What: "fence " + held.Fence.Name, Is: held.Fence.Token}},
		Reverse:  &plan.Reverse{Action: actionLower, How: fmt.Sprintf("lower the TTL to %ds again", now[0].TTL), Data: plan.JSON(change.Reverse())},
		Data:     plan.JSON(restoreData{Change: change, Zone: held.Zone, Servers: held.Servers, Signed: held.Signed}),
	}
}

// ApplyRestoreTTL gives the TTLs back, removes the fences and starts external-dns again.
func ApplyRestoreTTL(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts RestoreOptions) error {
	return plan.Run(ctx, p, rec, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
		switch c.Action {
		case actionRestore:
			var d restoreData
			if err := json.Unmarshal(c.Data, &d); err != nil {
				return nil, fmt.Errorf("read the plan: %w", err)
			}
			result, err := opts.swapOne(ctx, c.ID, d.Change)
			if err != nil {
				return nil, err
			}
			seen, err := opts.propagate(ctx, spread{name: d.Change.Name, zone: d.Zone, signed: d.Signed, servers: d.Servers, want: wants(d.Change)})
			return lowered{Result: result, Seen: seen}, err
		case actionUnmake:
			return opts.removeRecord(ctx, c)
		case actionRelease:
			return nil, opts.releaseFence(ctx, c)
		case actionResume, actionLeave:
			return opts.resume(ctx, c)
		}
		return nil, fmt.Errorf("a plan that restores TTLs has no %q", c.Action)
	})
}

func (o Options) releaseFence(ctx context.Context, c plan.Change) error {
	var d fenceData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	if d.Route != nil {
		if o.Blue.Kube == nil {
			return errNoCluster
		}
		return movedRoute(c.ID, backend.Release(ctx, o.Blue.Kube, d.Route.Ref, d.Route.UID, d.Route.Host, d.Fence.Token))
	}
	z, err := o.zoneOf(d.Name)
	if err != nil {
		return err
	}
	err = z.Driver.Release(ctx, d.Fence)
	var fenced *zone.FencedError
	if errors.As(err, &fenced) {
		return errors.Join(&plan.MovedError{Change: c.ID, What: "fence " + d.Fence.Name, Was: d.Fence.Token, Now: fenced.Found}, err)
	}
	return err
}
