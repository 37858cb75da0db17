package restore

import (
	"slices"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const readOnlyApp = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: live}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 3, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}`

// Green is left because nobody there answers; so nobody answers the hook that stops it either. No controller makes pods here.
func TestI07_AGreenWithoutPodsIsStoppedByRest(t *testing.T) {
	patch := func(mode string) migration.Hook {
		return migration.Hook{Patch: &migration.PatchHook{Kind: "ConfigMap", Name: "settings", Merge: map[string]any{"data": map[string]any{"mode": mode}}}}
	}
	ask := migration.Hook{HTTP: &migration.HTTPHook{Pods: &migration.PodEndpoint{Port: 80, Path: "/read-only"}}}
	f := newFixture(t, "shop", migration.Application{Selector: "app=web", Dark: migration.DarkReadOnly, Freeze: &migration.Freeze{
		Enter: []migration.Hook{patch("read-only"), ask}, Leave: []migration.Hook{patch("live")},
	}}, readOnlyApp)
	f.turn(t, f.plan(t), nil)
	f.start(t)
	replicas := func() int64 {
		n, _ := digInt(f.get(t, "apps", "Deployment", "web"), "spec", "replicas")
		return int64(n)
	}
	for range 2 { // again, after a kill
		f.stop(t)
		if n := replicas(); n != 0 {
			t.Fatalf("after a stop that nobody answered, Deployment web has %d replicas, want 0", n)
		}
	}
	p := f.plan(t)
	if !slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Action == ActionStart }) {
		t.Error("the next try leaves green at rest, though it waits for its turn running")
	}
	f.turn(t, p, nil)
	if n := replicas(); n != 3 {
		t.Errorf("at the next try Deployment web has %d replicas, want 3", n)
	}
	if mode := digString(f.get(t, "", "ConfigMap", "settings"), "data", "mode"); mode != "read-only" {
		t.Errorf("it is woken in mode %q", mode)
	}
}
