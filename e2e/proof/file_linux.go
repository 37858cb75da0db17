package proof

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// migrationFile is the demo's, from the top of the checkout. Its paths lead to the first rig on a machine.
const (
	migrationFile = "examples/demo/migration.yaml"
	fileRig       = "../../.rig/"
)

// pace is what scenes change of the demo's safety times, and of its shop.
type pace struct {
	soak, idle string
	// volumes is set where the shop is said to begin on green with empty volumes, which nothing brings back.
	volumes bool
}

// writeFile writes the scene's migration file: the demo's, with names of its own and short times.
func (s *scene) writeFile(top string, p pace) error {
	raw, err := os.ReadFile(filepath.Join(top, migrationFile))
	if err != nil {
		return fmt.Errorf("read the demo's migration file: %w", err)
	}
	text := strings.ReplaceAll(s.rig.Localize(string(raw)), fileRig, filepath.Dir(s.rig.Keys)+"/")
	var file map[string]any
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		return fmt.Errorf("read the demo's migration file: %w", err)
	}
	file["name"] = s.name
	file["archive"].(map[string]any)["url"] = s.path("archive")
	file["state"] = map[string]any{"directory": s.path("state")}
	file["rehearsal"] = map[string]any{"soak": "2s", "idle": p.idle}
	cut := file["cutover"].(map[string]any)
	cut["ttl"], cut["soak"] = "2s", p.soak
	retirement := file["retirement"].(map[string]any)
	retirement["idle"], retirement["interval"], retirement["delete"] = p.idle, "2s", map[string]any{"namespaces": []any{s.name}}
	buckets := map[string]string{"shop": s.demo.ShopBucket(), "clock": s.demo.ClockBucket()}
	for _, b := range mappings(file["buckets"]) {
		for _, side := range []string{"from", "to"} {
			b[side].(map[string]any)["bucket"] = buckets[b["name"].(string)]
		}
		for _, bind := range mappings(b["bind"]) {
			bind["namespace"] = s.name
		}
	}
	for _, app := range mappings(file["applications"]) {
		app["namespace"] = s.name
		if p.volumes && app["name"] == "shop" {
			app["volumes"] = "empty"
		}
		for _, host := range mappings(app["hostnames"]) {
			host["name"] = s.demo.Host(app["name"].(string))
		}
	}
	out, err := yaml.Marshal(file)
	if err != nil {
		return fmt.Errorf("write the migration file: %w", err)
	}
	if err := os.WriteFile(s.file(), out, 0o600); err != nil {
		return fmt.Errorf("write the migration file: %w", err)
	}
	return nil
}

// mappings is a list of mappings of the file; one that is not there is empty.
func mappings(list any) []map[string]any {
	var out []map[string]any
	items, _ := list.([]any) // a missing list has no items
	for _, item := range items {
		out = append(out, item.(map[string]any))
	}
	return out
}
