package crossfade

import (
	"context"
	"errors"

	"github.com/crossfade-project/crossfade/internal/archive"
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

// stopStage is the reverse of startStage. It works without the archive too: its loss may be why the application goes back.
func (m *Migration) stopStage(a migration.Application) stage {
	name := "stop/" + a.Name
	options := func(ctx context.Context) (restore.Options, error) {
		opts, err := m.restoreOptions(ctx, name, a.Name)
		if err == nil || ctx.Err() != nil {
			return opts, err
		}
		return m.withoutArchive(ctx, name, a, err)
	}
	planner := func(ctx context.Context, opts restore.Options) (*plan.Plan, error) {
		p, err := restore.PlanStop(ctx, opts)
		if !errors.Is(err, archive.ErrCorrupt) && !errors.Is(err, archive.ErrNotExist) {
			return p, err
		}
		if opts, err = m.withoutArchive(ctx, name, a, err); err != nil {
			return nil, err
		}
		return restore.PlanStop(ctx, opts)
	}
	s := stage{name: name, verb: "cutover", app: a.Name, title: "stop " + a.Name + " on green: it may not write any more", after: "the archive"}
	return withStep(m, s, options, planner, restore.Apply)
}

func (m *Migration) withoutArchive(ctx context.Context, stage string, a migration.Application, cause error) (restore.Options, error) {
	m.opts.Log.WarnContext(ctx, "green is stopped without the archive, by what is there", "app", a.Name, "because", cause.Error())
	opts, err := m.greenOptions(ctx, stage, a.Name)
	if err != nil {
		return opts, errors.Join(cause, err)
	}
	return restore.WithoutArchive(ctx, opts)
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
