package crossfade

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/hook"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/restore"
)

func (m *Migration) restoreOptions(ctx context.Context, stage string, only ...string) (restore.Options, error) {
	reader, err := m.openArchive(ctx)
	if err != nil {
		return restore.Options{}, err
	}
	opts, err := m.greenOptions(ctx, stage, only...)
	opts.Archive = reader
	return opts, err
}

// greenOptions are restoreOptions but for the archive.
func (m *Migration) greenOptions(ctx context.Context, stage string, only ...string) (restore.Options, error) {
	green, err := m.side(Green)
	if err != nil {
		return restore.Options{}, err
	}
	ports, err := m.portMap()
	if err != nil {
		return restore.Options{}, err
	}
	binds, err := m.binds(ctx)
	if err != nil {
		return restore.Options{}, err
	}
	return restore.Options{
		Migration: m.file.Name, Stage: stage, Green: green, Applications: m.file.Applications, Only: only,
		Maps: m.file.Maps, Ports: ports, Patches: m.file.Patches, Binds: binds, Ready: m.file.Cutover.Ready.D(),
		Conflicts: restore.Policy(m.file.Restore.Conflicts), AllowOlder: m.file.Restore.AllowOlder,
		HTTP: m.hookClient(), Dir: m.file.Dir, Log: m.opts.Log, Clock: m.opts.Clock, Observer: observer{m},
	}, nil
}

// binds resolves what the buckets write into objects on their way to green.
func (m *Migration) binds(ctx context.Context) ([]migration.Bind, error) {
	var out []migration.Bind
	for _, b := range m.file.Buckets {
		if len(b.Bind) == 0 {
			continue
		}
		s, err := m.store(ctx, b.To.Store)
		if err != nil {
			return nil, err
		}
		for _, bind := range b.Bind {
			set := make(map[string]string, len(bind.Set))
			for key, value := range bind.Set {
				set[key] = binding(value, b.To, s)
			}
			bind.Set = set
			out = append(out, bind)
		}
	}
	return out, nil
}

func (m *Migration) restoreStage() stage {
	return backedUp(m.restoring("restore", "restore", "restore the archive on green, dark", restore.Plan))
}

// restoreDeltaStage brings over what the delta of the export found changed.
func (m *Migration) restoreDeltaStage(a migration.Application) stage {
	return m.restoring("restore-delta/"+a.Name, "cutover", "bring what has changed of "+a.Name+" to green", restore.Plan, a.Name)
}

// startStage lets an application run and write on green.
func (m *Migration) startStage(a migration.Application) stage {
	return m.restoring("start/"+a.Name, "cutover", "start "+a.Name+" on green: it may write", restore.PlanStart, a.Name)
}

// stopStage is the reverse of startStage.
func (m *Migration) stopStage(a migration.Application) stage {
	s := m.stopping("stop/"+a.Name, "stop "+a.Name+" on green: it may not write any more", a, restore.PlanStop)
	if a.Dark == migration.DarkReadOnly {
		return m.orAtRest(m.withoutWrites(s, a), a)
	}
	return s
}

// orAtRest scales green to 0 where its freeze is not confirmed. A green that is left because it answers everyone with an error
// answers the tried write so, too, which proves nothing; blue must not stay frozen for that. Where no pod is left, nothing
// accepts (I7).
func (m *Migration) orAtRest(s stage, a migration.Application) stage {
	freeze, rest := s.apply, m.stopping(s.name, s.title, a, planRest)
	s.apply = func(ctx context.Context, p *plan.Plan) (any, error) {
		result, err := freeze(ctx, p)
		if !errors.Is(err, errNotRefused) || ctx.Err() != nil {
			return result, err
		}
		m.opts.Log.WarnContext(ctx, "green's freeze is not confirmed, so green is stopped", "app", a.Name, "because", err.Error())
		p, planErr := rest.plan(ctx)
		if planErr == nil {
			planErr = p.Err()
		}
		if planErr == nil {
			planErr = m.journal.SavePlan(p)
		}
		if planErr != nil {
			return result, errors.Join(err, planErr)
		}
		return rest.apply(ctx, p)
	}
	return s
}

// planRest plans a stop of applications as if they had no read-only mode.
func planRest(ctx context.Context, opts restore.Options) (*plan.Plan, error) {
	apps := slices.Clone(opts.Applications)
	for i := range apps {
		apps[i].Dark = migration.DarkScaled
	}
	opts.Applications = apps
	return restore.PlanStop(ctx, opts)
}

// holdStage keeps an application on green from writing; it goes on serving reads.
func (m *Migration) holdStage(a migration.Application) stage {
	return m.withoutWrites(m.stopping("hold/"+a.Name, "freeze "+a.Name+" on green: it serves reads and writes no more", a, restore.PlanHold), a)
}

// stopping makes a stage that stops green. It works without the archive too: its loss may be why the application goes back.
func (m *Migration) stopping(name, title string, a migration.Application, how func(context.Context, restore.Options) (*plan.Plan, error)) stage {
	options := func(ctx context.Context) (restore.Options, error) {
		opts, err := m.restoreOptions(ctx, name, a.Name)
		if err == nil || ctx.Err() != nil {
			return opts, err
		}
		return m.withoutArchive(ctx, name, a, err)
	}
	planner := func(ctx context.Context, opts restore.Options) (*plan.Plan, error) {
		p, err := how(ctx, opts)
		if !errors.Is(err, archive.ErrCorrupt) && !errors.Is(err, archive.ErrNotExist) {
			return p, err
		}
		if opts, err = m.withoutArchive(ctx, name, a, err); err != nil {
			return nil, err
		}
		return how(ctx, opts)
	}
	return withStep(m, stage{name: name, verb: "cutover", app: a.Name, title: title, after: "the archive"}, options, planner, restore.Apply)
}

func (m *Migration) withoutArchive(ctx context.Context, stage string, a migration.Application, cause error) (restore.Options, error) {
	m.opts.Log.WarnContext(ctx, "green is stopped without the archive, by what is there", "app", a.Name, "because", cause.Error())
	opts, err := m.greenOptions(ctx, stage, a.Name)
	if err != nil {
		return opts, errors.Join(cause, err)
	}
	return restore.WithoutArchive(ctx, opts)
}

// errNotRefused says that green has not refused a tried write as its freeze wants.
var errNotRefused = errors.New("green has not refused a tried write")

// withoutWrites ends a stage that freezes green with a tried write, as a freeze of blue ends: a write that green still
// accepted would be lost on the way back (I7).
func (m *Migration) withoutWrites(s stage, a migration.Application) stage {
	freeze := s.apply
	s.apply = func(ctx context.Context, p *plan.Plan) (any, error) {
		result, err := freeze(ctx, p)
		if err != nil || a.Freeze == nil || a.Freeze.Probe == nil || a.Freeze.Probe.HTTP.Pods == nil {
			return result, err // a probe of a URL asks whoever answers there, and not green's pods
		}
		green, err := m.side(Green)
		if err != nil {
			return result, err
		}
		err = m.hookRunner(green, m.greenNamespace(a.Namespace), a).Probe(ctx, *a.Freeze.Probe)
		if err != nil && !errors.Is(err, hook.ErrNoPods) { // where nothing runs, nothing accepts
			// The next try enters the freeze again: a pod that began since has not heard of it.
			return result, errors.Join(fmt.Errorf("%w after its freeze: %w", errNotRefused, err), m.journal.Reset(s.name, err.Error()))
		}
		return result, nil
	}
	return s
}

func (m *Migration) restoring(name, verb, title string, planner func(context.Context, restore.Options) (*plan.Plan, error), only ...string) stage {
	app := ""
	if len(only) == 1 {
		app = only[0]
	}
	return withStep(m, stage{name: name, verb: verb, app: app, title: title, after: "the archive"},
		func(ctx context.Context) (restore.Options, error) { return m.restoreOptions(ctx, name, only...) },
		planner, restore.Apply)
}
