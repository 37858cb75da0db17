//go:build linux

package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/crossfade-project/crossfade/e2e/rig"
)

// migrationFile is the demo's, from the top of the checkout. It is written for the first rig on a machine, in .rig.
const (
	migrationFile = "examples/demo/migration.yaml"
	fileRig       = "../../.rig/"
)

// MigrationFile returns the path of the migration file for a rig: the demo's own where it fits, otherwise a copy in the
// rig's folder with the rig's subnet and folder in place of those.
func MigrationFile(top string, r *rig.Rig) (string, error) {
	own := filepath.Join(top, migrationFile)
	raw, err := os.ReadFile(own)
	if err != nil {
		return "", fmt.Errorf("read the demo's migration file: %w", err)
	}
	text := r.Info().Localize(string(raw))
	if text == string(raw) && r.Dir == filepath.Join(top, rig.DefaultDir) {
		return own, nil
	}
	text = strings.ReplaceAll(text, fileRig, "")
	path := filepath.Join(r.Dir, "migration.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write the migration file: %w", err)
	}
	return path, nil
}
