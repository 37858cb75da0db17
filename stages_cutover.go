package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// zoneOptions are what those parts of the cutover get that only ask and change names: going back must not need green.
func (m *Migration) zoneOptions(ctx context.Context, stage string) (cutover.Options, error) {
	opts := cutover.Options{
		Migration: m.file.Name, Stage: stage, Times: m.file.Cutover, Rehearsal: m.file.Rehearsal, Applications: m.file.Applications,
		Log: m.opts.Log, Clock: m.opts.Clock, Observer: observer{m}, Secret: m.secret,
	}
	for _, z := range m.file.Zones {
		driver, err := m.zone(ctx, z)
		if err != nil {
			return opts, err
		}
		opts.Zones = append(opts.Zones, cutover.Zone{Zone: z, Driver: driver})
	}
	opts.Raised = m.raisedTTLs()
	if m.journal != nil {
		opts.Raising = func(r cutover.Raised) error { return m.journal.Note(noteRaised, r) }
	}
	return opts, nil
}

// noteRaised is kept when a name is seen with a TTL above the lowered one.
const noteRaised = "ttl-raised"

// raisedTTLs are those that were seen since the ttl stage was taken.
func (m *Migration) raisedTTLs() []cutover.Raised {
	log, err := m.log()
	if err != nil {
		return nil // there is no journal yet
	}
	var list []cutover.Raised
	for _, r := range log.Records {
		var raised cutover.Raised
		switch {
		case r.Kind == journal.KindReset && r.Stage == "ttl":
			list = nil
		case r.Kind == journal.KindNoted && r.Stage == noteRaised && json.Unmarshal(r.Data, &raised) == nil:
			list = append(list, raised)
		}
	}
	return list
}

// namesOptions are zoneOptions, with both clusters where a hostname of the applications is switched at its backend: that is
// taken back in blue's cluster.
func (m *Migration) namesOptions(ctx context.Context, stage string, apps ...migration.Application) (cutover.Options, error) {
	for _, a := range apps {
		if slices.ContainsFunc(a.Hostnames, migration.Hostname.AtBackend) {
			return m.cutoverOptions(ctx, stage)
		}
	}
	return m.zoneOptions(ctx, stage)
}

// cutoverOptions are what every other part of the cutover gets.
func (m *Migration) cutoverOptions(ctx context.Context, stage string) (cutover.Options, error) {
	opts, err := m.zoneOptions(ctx, stage)
	if err != nil {
		return opts, err
	}
	blue, err := m.side(Blue)
	if err != nil {
		return opts, err
	}
	green, err := m.side(Green)
	if err != nil {
		return opts, err
	}
	opts.Blue = cutover.Side{Kube: blue}
	opts.Green = cutover.Side{Kube: green, Namespaces: m.file.Maps.Namespaces}
	return opts, nil
}

func (m *Migration) ttlStage() stage {
	const name = "ttl"
	return withStep(m, stage{name: name, verb: "cutover", title: m.ttlTitle(), after: "green's entries"},
		func(ctx context.Context) (cutover.Options, error) {
			opts, err := m.cutoverOptions(ctx, name)
			if err != nil {
				return opts, err
			}
			opts.NoWait, opts.Waits = m.noWait, m.oldTTLs
			opts.Paused, opts.Pausing = m.pausedDNS(), m.pausing
			opts.Before, err = m.ttlsBefore(ctx)
			return opts, err
		},
		cutover.PlanTTL, cutover.ApplyTTL)
}

// ttlPlans are the plans of the ttl stage that may have changed names which did not get their TTLs back since, oldest first: the one in
// force, and those that were forgotten because a record or a fence had moved.
func ttlPlans(log *journal.Log) []journal.Stage {
	var list []journal.Stage
	for _, r := range log.Records {
		switch {
		case r.Kind == journal.KindPlanned && r.Stage == "ttl":
			list = append(list, journal.Stage{Name: r.Stage, Plan: r.Plan})
		case r.Kind == journal.KindFinished && (r.Stage == "return-ttl" || r.Stage == "restore-ttl"):
			list = nil
		}
	}
	return list
}

// ttlsBefore is what these plans know.
func (m *Migration) ttlsBefore(ctx context.Context) (cutover.Before, error) {
	log, err := m.log()
	if errors.Is(err, journal.ErrNone) {
		return cutover.Before{}, nil
	}
	if err != nil {
		return cutover.Before{}, err
	}
	var plans []*plan.Plan
	for _, s := range ttlPlans(log) {
		p, err := m.planInForce(ctx, s)
		if err != nil {
			return cutover.Before{}, err
		}
		plans = append(plans, p)
	}
	return cutover.BeforeOf(plans...)
}

// warmChecksStage checks the applications that run on green before their turn, at green's address.
func (m *Migration) warmChecksStage() stage {
	const name = "warm-checks"
	return m.gateStage(name, "restore", "check what already runs on green, at green's address", func(a migration.Application) bool {
		return a.Dark == migration.DarkReadOnly && len(a.Checks) > 0
	})
}

func (m *Migration) checksStage(a migration.Application) stage {
	return m.gateStage("checks/"+a.Name, "cutover", "check "+a.Name+" on green under its real hostname", func(x migration.Application) bool {
		return x.Name == a.Name && len(a.Checks) > 0
	})
}

// gateStage asks the checks of the chosen applications on green until all pass, for as long as green may take to be ready.
func (m *Migration) gateStage(name, verb, title string, choose func(migration.Application) bool) stage {
	return stage{
		name: name, verb: verb, title: title, after: "green to answer",
		plan: func(context.Context) (*plan.Plan, error) {
			p := plan.New(m.file.Name, name)
			for _, a := range m.file.Applications {
				if choose(a) {
					p.Add(plan.Change{
						ID: name + "/" + a.Name, Action: "check", Target: "green: " + a.Name, App: a.Name,
						Why: "a name moves only to a side that answers under it; nothing is changed, so nothing is taken back",
					})
				}
			}
			return p, nil
		},
		apply: func(ctx context.Context, p *plan.Plan) (any, error) {
			opts, err := m.cutoverOptions(ctx, name)
			if err != nil {
				return nil, err
			}
			var gates []cutover.Gate
			err = plan.Run(ctx, p, m.journal, plan.RunOptions{Observer: observer{m}}, func(ctx context.Context, c plan.Change) (any, error) {
				passed, err := cutover.WaitForChecks(ctx, cutover.CheckOptions{Options: opts, App: c.App, Side: Green})
				gates = append(gates, passed...)
				return passed, err
			})
			return gates, err
		},
	}
}

func (m *Migration) swapStage(a migration.Application) stage {
	name := "swap/" + a.Name
	return backedUp(withStep(m, stage{name: name, title: "move the names of " + a.Name + " to green"},
		func(ctx context.Context) (cutover.SwapOptions, error) {
			opts, err := m.cutoverOptions(ctx, name)
			if err != nil {
				return cutover.SwapOptions{}, err
			}
			baselines, err := m.shiftBaselines(a)
			if err != nil {
				return cutover.SwapOptions{}, err
			}
			ttl, err := m.held()
			return cutover.SwapOptions{Options: opts, App: a.Name, Held: ttl.Of(a.Name), Baselines: baselines}, err
		},
		cutover.PlanSwap, cutover.ApplySwap))
}

// moved are the names that an application's swap moved.
func (m *Migration) moved(a migration.Application) ([]cutover.Moved, error) {
	var swap cutover.SwapResult
	err := m.resultOf("swap/"+a.Name, &swap)
	return swap.Names, err
}

func (m *Migration) settleStage(a migration.Application) stage {
	name := "settle/" + a.Name
	return withStep(m, stage{name: name, title: "wait until no cache holds the old answer for " + a.Name},
		func(ctx context.Context) (cutover.SettleOptions, error) {
			opts, err := m.cutoverOptions(ctx, name)
			if err != nil {
				return cutover.SettleOptions{}, err
			}
			names, err := m.moved(a)
			return cutover.SettleOptions{Options: opts, App: a.Name, Moved: names}, err
		},
		cutover.PlanSettle, cutover.ApplySettle)
}

func (m *Migration) soakStage(a migration.Application) stage {
	name := "soak/" + a.Name
	return withStep(m, stage{name: name, title: "watch " + a.Name + " on green"},
		func(ctx context.Context) (cutover.SoakOptions, error) {
			opts, err := m.cutoverOptions(ctx, name)
			if err != nil {
				return cutover.SoakOptions{}, err
			}
			shifts, err := m.shiftPlans(ctx, a)
			if err != nil {
				return cutover.SoakOptions{}, err
			}
			names, err := m.moved(a)
			return cutover.SoakOptions{Options: opts, App: a.Name, Moved: names, Shifts: shifts}, err
		},
		cutover.PlanSoak, cutover.ApplySoak)
}

// resultOf reads the result of a finished stage from the journal.
func (m *Migration) resultOf(name string, into any) error {
	s, err := m.known(name)
	if err != nil {
		return err
	}
	if !s.Finished {
		return fmt.Errorf("%s is not done", name)
	}
	if err := json.Unmarshal(s.Result, into); err != nil {
		return fmt.Errorf("read the result of %s: %w", name, err)
	}
	return nil
}

// known is what the journal knows of a stage, whether it is open for writing or not.
func (m *Migration) known(name string) (journal.Stage, error) {
	if m.journal != nil {
		return m.journal.Stage(name), nil
	}
	log, err := m.readLog()
	if errors.Is(err, journal.ErrNone) {
		return journal.Stage{Name: name}, nil
	}
	if err != nil {
		return journal.Stage{}, err
	}
	return log.Stage(name), nil
}
