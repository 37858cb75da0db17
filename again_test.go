package crossfade

import (
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// A swap of two names of which the second had moved has moved the first: its plan is what takes that back.
func TestI07_APlanThatMovedInItsTurnIsKeptForTheWayBack(t *testing.T) {
	file := &File{
		File: migration.File{
			Name: "m", State: &migration.State{Directory: t.TempDir()},
			Applications: []migration.Application{{Name: "shop", Namespace: "shop", Wave: 1, Dark: migration.DarkReadOnly}},
		},
		Dir: t.TempDir(),
	}
	m, err := Open(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	save := func(name string) {
		p := plan.New("m", name)
		p.Add(plan.Change{ID: name + "/one", Action: "change", Target: "thing", Why: "test"})
		if err := m.journal.SavePlan(p); err != nil {
			t.Fatal(err)
		}
	}
	turn := m.turns()[0].name
	moved := &plan.MovedError{Change: "c", What: "thing", Was: "a", Now: "b"}

	save("warm/data")
	if err := m.again(stage{name: "warm/data", turn: turn}, moved); err == nil || m.journal.Stage("warm/data").Plan != "" {
		t.Error("before the freeze nothing has to be taken back, and the stale plan stays")
	}
	for _, name := range []string{"freeze/shop", "start/shop", "swap/shop"} {
		save(name)
		if err := m.again(stage{name: name, turn: turn}, moved); err == nil || m.journal.Stage(name).Plan == "" {
			t.Errorf("the plan of %s is forgotten: what was made under it cannot be taken back", name)
		}
	}
	if back := m.wayBack(m.turns()[0], returning{}, m.journal.Stage); len(back) != 3 {
		t.Errorf("the way back has %d stages, want return, stop and thaw", len(back))
	}
	save("restore")
	if err := m.again(stage{name: "restore"}, moved); err == nil || m.journal.Stage("restore").Plan != "" {
		t.Error("outside a turn a stale plan stays")
	}
}
