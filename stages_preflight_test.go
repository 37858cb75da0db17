package crossfade

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// A cluster that gives no answer is said to give none, once, with what mends that: no zone of the file is blamed for it, also where it
// has answered a moment before.
func TestAClusterThatGivesNoAnswerIsNotBlamedOnZones(t *testing.T) {
	for name, look := range map[string]func(*testing.T, *Migration) *plan.Plan{
		"from the start": func(t *testing.T, m *Migration) *plan.Plan {
			t.Helper()
			p, err := m.preflight(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		"after an answer": func(t *testing.T, m *Migration) *plan.Plan {
			t.Helper()
			p := newPreflight("move")
			m.lookAtZones(t.Context(), p, true, false)
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := load(t, strings.Replace(named, "blue: {target: b.test}, green: {target: g.test}", "service: web", 1))
			for _, side := range []string{Blue, Green} {
				config := `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
					"clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],"users":[{"name":"u","user":{}}]}`
				if err := os.WriteFile(filepath.Join(file.Dir, side), []byte(config), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			m := openedWith(t, file, Options{
				Getenv:   func(string) string { return "c2VjcmV0" },
				OpenZone: func(context.Context, ZoneConfig) (zone.Zone, error) { return memory.New("apps.test.") },
			})
			said := map[string]string{}
			for _, r := range look(t, m).Refusals {
				if said[r.What] != "" {
					t.Errorf("refused twice: %s: %s", r.What, r.Why)
				}
				said[r.What] = r.Why + " mend: " + r.Mend
			}
			if blue := said[Blue]; !strings.Contains(blue, "the connection is refused: nothing listens there") || !strings.Contains(blue, "mend: check the port of the server in the kubeconfig") {
				t.Errorf("blue: %s", blue)
			}
			if said["zones"] != "" {
				t.Errorf("zones: %s", said["zones"])
			}
		})
	}
}
