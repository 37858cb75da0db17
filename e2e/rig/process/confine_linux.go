package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// confinement is where a machine keeps AppArmor's switch and its profiles.
type confinement struct{ enabled, profiles string }

func machineConfinement() confinement {
	return confinement{enabled: "/sys/module/apparmor/parameters/enabled", profiles: "/etc/apparmor.d"}
}

// outside returns a path at which a program runs without the AppArmor profile that its package brought, which lets a
// name server read and write only in the folders of the machine's own one. Profiles go by path, so that a copy in dir
// has none. A program without a profile stays where it is.
func (c confinement) outside(program, dir string) (string, error) {
	enabled, err := os.ReadFile(c.enabled)
	if err != nil || strings.TrimSpace(string(enabled)) != "Y" {
		return program, nil // this kernel has no AppArmor, or it is off
	}
	profile := strings.ReplaceAll(strings.TrimPrefix(program, "/"), "/", ".")
	if _, err := os.Stat(filepath.Join(c.profiles, profile)); errors.Is(err, os.ErrNotExist) {
		return program, nil
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("copy %s out of its AppArmor profile: %w", program, err)
	}
	twin := filepath.Join(dir, filepath.Base(program))
	// A new file each time: one that is running cannot be written to.
	if err := os.Remove(twin); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("copy %s out of its AppArmor profile: %w", program, err)
	}
	if err := os.WriteFile(twin, content, 0o755); err != nil {
		return "", fmt.Errorf("copy %s out of its AppArmor profile: %w", program, err)
	}
	return twin, nil
}

func unconfined(program, dir string) (string, error) {
	return machineConfinement().outside(program, dir)
}
