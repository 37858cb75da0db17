package crossfade

import (
	"context"

	"github.com/crossfade-project/crossfade/provision"
	"github.com/crossfade-project/crossfade/restore"
)

func (m *Migration) provisionOptions(stage string) (provision.Options, error) {
	blue, err := m.side(Blue)
	if err != nil {
		return provision.Options{}, err
	}
	green, err := m.side(Green)
	if err != nil {
		return provision.Options{}, err
	}
	namespaces := map[string]string{}
	for _, a := range m.file.Applications {
		namespaces[a.Namespace] = m.greenNamespace(a.Namespace)
	}
	there := restore.Policy(m.file.Restore.Conflicts)
	return provision.Options{
		Adopt: there == restore.Adopt, Shared: there == restore.Skip || there == restore.Update,
		Migration: m.file.Name, Stage: stage, Blue: blue, Green: green, Namespaces: namespaces,
		Log: m.opts.Log, Clock: m.opts.Clock, Observer: observer{m},
	}, nil
}

func (m *Migration) provisionStage() stage {
	const name = "provision"
	return backedUp(withStep(m, stage{name: name, verb: "provision", title: "stand up the namespaces on green"},
		func(context.Context) (provision.Options, error) { return m.provisionOptions(name) },
		provision.Plan, provision.Apply))
}
