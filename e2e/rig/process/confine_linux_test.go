package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAProgramWithAProfileRunsFromACopy(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "sbin", "named")
	profiles := filepath.Join(dir, "profiles")
	profile := filepath.Join(profiles, strings.ReplaceAll(strings.TrimPrefix(program, "/"), "/", "."))
	for file, text := range map[string]string{program: "program", profile: "profile", filepath.Join(dir, "on"): "Y\n", filepath.Join(dir, "off"): "N\n"} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, program, enabled, want string }{
		{"on", program, "on", filepath.Join(dir, "named")},
		{"on, once more", program, "on", filepath.Join(dir, "named")},
		{"off", program, "off", program},
		{"not in the kernel", program, "none", program},
		{"no profile", "/bin/sh", "on", "/bin/sh"},
	} {
		got, err := confinement{enabled: filepath.Join(dir, c.enabled), profiles: profiles}.outside(c.program, dir)
		if err != nil || got != c.want {
			t.Errorf("%s: it runs from %s, %v, want %s", c.name, got, err, c.want)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "named"))
	if err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("the copy cannot be run: %v, %v", info, err)
	}
}
