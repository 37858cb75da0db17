package crossfade

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/export"
	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// streamSilence is how long a payload that a hook streams may stand still.
const streamSilence = 10 * time.Minute

// hookClient is what hooks with a URL are sent by. The runner of hooks bounds those that stream nothing more tightly.
func (m *Migration) hookClient() *http.Client {
	limit := m.silence()
	limit.For = max(limit.For, streamSilence)
	return &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: limit.Dial(), ForceAttemptHTTP2: true}}
}

func (m *Migration) exportOptions(ctx context.Context, stage string) (export.Options, error) {
	blue, err := m.side(Blue)
	if err != nil {
		return export.Options{}, err
	}
	green, err := m.side(Green)
	if err != nil {
		return export.Options{}, err
	}
	store, err := m.archiveStore(ctx)
	if err != nil {
		return export.Options{}, err
	}
	keys, err := m.archiveOptions(ctx)
	if err != nil {
		return export.Options{}, err
	}
	opts := export.Options{
		Migration: m.file.Name, Stage: stage, Tool: m.opts.Tool, Blue: blue, Green: green,
		Applications: m.file.Applications, Store: store, Archive: keys,
		HTTP: m.hookClient(), Dir: m.file.Dir, Log: m.opts.Log, Clock: m.opts.Clock, Observer: observer{m},
	}
	opts.Frozen, err = m.frozen()
	return opts, err
}

// frozen returns the plans of the freezes that are in force: what they changed is archived as it was before.
func (m *Migration) frozen() ([]*plan.Plan, error) {
	if m.journal == nil {
		return nil, nil
	}
	var plans []*plan.Plan
	for _, a := range m.file.Applications {
		p, err := m.journal.LoadPlan("freeze/" + a.Name)
		if err != nil {
			return nil, err
		}
		if p != nil {
			plans = append(plans, p)
		}
	}
	return plans, nil
}

const stageExport = "export"

func (m *Migration) exportStage() stage {
	return m.exporting(stageExport, "export", "export blue's objects into the archive, and verify it", nil)
}

// deltaStage exports one application again, within its freeze, as a further revision of the archive.
func (m *Migration) deltaStage(a migration.Application) stage {
	return m.exporting("delta/"+a.Name, "cutover", "export what has changed of "+a.Name, []string{a.Name})
}

func (m *Migration) exporting(name, verb, title string, only []string) stage {
	return withStep(m, stage{name: name, verb: verb, title: title},
		func(ctx context.Context) (export.Options, error) {
			opts, err := m.exportOptions(ctx, name)
			opts.Only = only
			return opts, err
		},
		export.Plan, export.Apply)
}

func (m *Migration) freezeOptions(stage string, a migration.Application) (export.FreezeOptions, error) {
	blue, err := m.side(Blue)
	return export.FreezeOptions{
		Migration: m.file.Name, Stage: stage, Blue: blue, App: a, Applications: m.file.Applications,
		HTTP: m.hookClient(), Dir: m.file.Dir, Log: m.opts.Log, Clock: m.opts.Clock, Observer: observer{m},
	}, err
}

// freezeStage stops an application's writes on blue. It goes on serving reads unless the file declares a quiesce.
func (m *Migration) freezeStage(a migration.Application) stage {
	name := "freeze/" + a.Name
	return backedUp(withStep(m, stage{name: name, title: fmt.Sprintf("stop the writes of %s on blue (%s)", a.Name, a.Writes)},
		func(context.Context) (export.FreezeOptions, error) { return m.freezeOptions(name, a) },
		m.planFreeze, export.ApplyFreeze))
}

// planFreeze looks at the names of the whole turn too, before any of it is frozen: what the swap would refuse is refused here, while
// blue accepts writes.
func (m *Migration) planFreeze(ctx context.Context, opts export.FreezeOptions) (*plan.Plan, error) {
	p, err := export.PlanFreeze(ctx, opts)
	if err != nil {
		return nil, err
	}
	turns := m.turns()
	t := turns[slices.IndexFunc(turns, func(t turn) bool { return slices.Contains(t.names(), opts.App.Name) })]
	of := func(name string) journal.Stage {
		s, _ := m.known(name) // what cannot be read is looked at
		return s
	}
	var held cutover.TTLResult
	if of("ttl").Finished {
		if held, err = m.held(); err != nil {
			return nil, err
		}
	}
	named := func(a migration.Application) bool { return len(a.Hostnames) > 0 || len(held.Of(a.Name)) > 0 }
	if t.began(of) || !slices.ContainsFunc(t.apps, named) {
		return p, nil
	}
	look := cutover.NamesOptions{Apps: t.names(), Held: held.Names}
	if look.Options, err = m.cutoverOptions(ctx, p.Stage); err != nil {
		return nil, err
	}
	return p, cutover.LookAtNames(ctx, p, look)
}

// thawStage takes a freeze back from the freeze's own plan.
func (m *Migration) thawStage(a migration.Application) stage {
	name := "thaw/" + a.Name
	return stage{
		name: name, app: a.Name, title: "let " + a.Name + " write on blue again",
		plan: func(context.Context) (*plan.Plan, error) {
			p := plan.New(m.file.Name, name)
			p.Note(plan.Info, a.Name, "the plan of freeze/"+a.Name+" is taken back, change by change")
			return p, nil
		},
		apply: func(ctx context.Context, _ *plan.Plan) (any, error) {
			freeze, err := m.journal.LoadPlan("freeze/" + a.Name)
			if err != nil {
				return nil, err
			}
			opts, err := m.freezeOptions(name, a)
			if err != nil {
				return nil, err
			}
			return export.Thaw(ctx, freeze, m.journal, opts)
		},
	}
}

// hookRunner runs hooks of an application on one side.
func (m *Migration) hookRunner(side *kube.Client, namespace string, a migration.Application) hook.Runner {
	return hook.Runner{
		Kube: side, Namespace: namespace, Selector: a.Selector,
		HTTP: m.hookClient(), Dir: m.file.Dir, Log: m.opts.Log, Clock: m.opts.Clock,
	}
}

// drainStage asks blue to close, in good order, the connections that clients have kept open.
func (m *Migration) drainStage(a migration.Application) stage {
	name := "drain/" + a.Name
	return stage{
		name: name, title: "let blue close the kept connections of " + a.Name, stays: true,
		plan: func(context.Context) (*plan.Plan, error) {
			p := plan.New(m.file.Name, name)
			for i, h := range a.Drain {
				p.Add(plan.Change{
					ID: fmt.Sprintf("%s/%d", name, i), Action: "drain", Target: "blue: " + hook.Describe(h), App: a.Name,
					Why:  "clients that keep a connection look the name up again only when it closes; blue goes on answering, so nothing is taken back",
					Data: plan.JSON(i),
				})
			}
			return p, nil
		},
		apply: func(ctx context.Context, p *plan.Plan) (any, error) {
			blue, err := m.side(Blue)
			if err != nil {
				return nil, err
			}
			runner := m.hookRunner(blue, a.Namespace, a)
			next := 0
			err = plan.Run(ctx, p, m.journal, plan.RunOptions{Observer: observer{m}}, func(ctx context.Context, c plan.Change) (any, error) {
				if _, err := fmt.Sscan(string(c.Data), &next); err != nil || next >= len(a.Drain) {
					return nil, &plan.MovedError{Change: c.ID, What: "the drain of " + a.Name, Was: "declared", Now: "changed in the file"}
				}
				return runner.Run(ctx, a.Drain[next])
			})
			return struct{}{}, err
		},
	}
}
