package crossfade

import (
	"context"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/restore"
)

func (m *Migration) restoreOptions(ctx context.Context, stage string, only ...string) (restore.Options, error) {
	green, err := m.side(Green)
	if err != nil {
		return restore.Options{}, err
	}
	reader, err := m.openArchive(ctx)
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
		Migration: m.file.Name, Stage: stage, Green: green, Archive: reader, Applications: m.file.Applications, Only: only,
		Maps: m.file.Maps, Ports: ports, Patches: m.file.Patches, Binds: binds, Ready: m.file.Cutover.Ready.D(),
		Conflicts: restore.Policy(m.file.Restore.Conflicts), AllowOlder: m.file.Restore.AllowOlder,
		HTTP: hookClient(), Dir: m.file.Dir, Log: m.opts.Log, Clock: m.opts.Clock, Observer: observer{m},
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
	return m.restoring("restore", "restore", "restore the archive on green, dark", restore.Plan)
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
	return m.restoring("stop/"+a.Name, "cutover", "stop "+a.Name+" on green: it may not write any more", restore.PlanStop, a.Name)
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
