//go:build linux

package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/crossfade-project/crossfade/e2e/rig"
)

// migrationFile is the demo's, from the top of the checkout. It is written for a rig in .rig that has the first subnet.
const (
	migrationFile = "examples/demo/migration.yaml"
	fileSubnet    = "10.213.0."
	fileRig       = "../../.rig/"
)

// MigrationFile returns the path of the migration file for a rig: the demo's own where it fits, otherwise a copy in the
// rig's folder with the rig's subnet and folder in place of those.
func MigrationFile(top string, r *rig.Rig) (string, error) {
	own := filepath.Join(top, migrationFile)
	subnet := strings.TrimSuffix(r.Info().Host, "1")
	if subnet == fileSubnet && r.Dir == filepath.Join(top, rig.DefaultDir) {
		return own, nil
	}
	raw, err := os.ReadFile(own)
	if err != nil {
		return "", fmt.Errorf("read the demo's migration file: %w", err)
	}
	text := strings.NewReplacer(fileSubnet, subnet, fileRig, "").Replace(string(raw))
	path := filepath.Join(r.Dir, "migration.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write the migration file: %w", err)
	}
	return path, nil
}
