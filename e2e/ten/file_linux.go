package ten

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// demoFile is the demo's migration file, from the top of the checkout; its paths lead to the first rig on a machine.
const (
	demoFile = "examples/demo/migration.yaml"
	demoRig  = "../../.rig/"
)

// writeFile writes the migration file: sides, zone and images of the demo's, and applications of its own.
func (p *proof) writeFile() error {
	raw, err := os.ReadFile(filepath.Join(p.Top, demoFile))
	if err != nil {
		return fmt.Errorf("read the demo's migration file: %w", err)
	}
	text := strings.ReplaceAll(p.Rig.Localize(string(raw)), demoRig, filepath.Dir(p.Rig.Keys)+"/")
	var file map[string]any
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		return fmt.Errorf("read the demo's migration file: %w", err)
	}
	delete(file, "stores")
	delete(file, "buckets")
	file["name"] = Namespace
	file["archive"].(map[string]any)["url"] = p.path("archive")
	file["state"] = map[string]any{"directory": p.path("state")}
	file["rehearsal"] = map[string]any{"soak": "2s", "idle": "6s"}
	// The TTLs of 2 to 5 s are short enough: none is lowered.
	file["cutover"] = map[string]any{"ttl": "5s", "margin": "1s", "interval": "1s", "breaches": 2, "maxShare": 100}
	file["retirement"] = map[string]any{"idle": "6s", "interval": "2s", "delete": map[string]any{"namespaces": []any{Namespace}}}
	var apps []any
	for i := range p.Applications {
		apps = append(apps, p.application(i))
	}
	file["applications"] = apps
	out, err := yaml.Marshal(file)
	if err == nil {
		err = os.WriteFile(p.path("migration.yaml"), out, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the migration file: %w", err)
	}
	return nil
}

func (p *proof) application(i int) map[string]any {
	name := p.bandits.App(i)
	pods := func(path string) map[string]any { return map[string]any{"port": 8080, "path": path} }
	app := map[string]any{
		"name": name, "namespace": Namespace, "selector": "app=" + name, "wave": p.waves[i], "writes": "none", "dark": "read-only",
		"hostnames": []any{map[string]any{"name": p.bandits.Host(i), "service": name, "port": 80}},
		"checks":    []any{map[string]any{"name": "page", "http": map[string]any{"scheme": "http", "path": "/", "contains": "happy-bandit", "sameAsBlue": true}}},
		"requests":  map[string]any{"pods": pods("/requests?replica=this"), "field": "requests"},
	}
	if i < p.kept {
		app["drain"] = []any{map[string]any{"http": map[string]any{"pods": pods("/admin/drain?replica=this")}}}
	}
	return app
}
