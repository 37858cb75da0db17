package migration_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// TestC20_NothingOfTheRetirementKeepsTheWayBackUp: a rule about the end of blue, new or old, must not hold users on a green that fails.
func TestC20_NothingOfTheRetirementKeepsTheWayBackUp(t *testing.T) {
	const file = `version: 1
name: shop
reason: hosts
blue: {context: both}
green: {context: both}
archive: {url: ./archive}
maps: {namespaces: {shop: shop-green}}
applications:
  - {name: shop, namespace: shop, wave: 1, writes: none, requests: {pods: {port: 8080, path: /r}, field: r}}
  - {name: late, namespace: shop, wave: WAVE, writes: none, hostnames: [{name: a.example.com, ingress: web, switch: backend}], checks: [{name: c, http: {path: /}}]}
  - {name: job, namespace: shop, wave: 3, writes: none}
retirement: RETIREMENT
`
	for name, tt := range map[string]struct{ wave, retirement, field string }{
		"an application without a source": {"2", "{delete: {namespaces: []}}", "applications[2]"},
		"nothing":                         {"2", "{delete: {namespaces: []}, unwatched: {job: it runs once a year}}", ""},
		"an entry that is deleted":        {"2", "{delete: {namespaces: [shop]}, unwatched: {job: a job}}", "applications[1].hostnames[0].switch"},
		"too short":                       {"2", "{idle: 1s, interval: 1s, delete: {namespaces: []}, unwatched: {job: a job}}", "retirement.idle"},
		"a namespace of nobody":           {"2", "{delete: {namespaces: [kube-system]}, unwatched: {job: a job}}", "retirement.delete.namespaces[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f.yaml")
			write := func(wave string) {
				text := strings.NewReplacer("WAVE", wave, "RETIREMENT", tt.retirement).Replace(file)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(tt.wave)
			_, strict := migration.Load(path)
			d, err := migration.LoadToGoBack(path)
			if err != nil {
				t.Fatal(err)
			}
			if tt.field == "" {
				if strict != nil || d.Unretirable != nil {
					t.Errorf("Load: %v, and %v of a file with which nothing is wrong", strict, d.Unretirable)
				}
				return
			}
			var bad *migration.InvalidError
			if !errors.As(strict, &bad) || d.Unretirable == nil || strict.Error() != d.Unretirable.Error() {
				t.Fatalf("Load: %v; to go back: %v", strict, d.Unretirable)
			}
			if p := bad.Problems[0]; len(bad.Problems) != 1 || p.Field != tt.field || p.Line < 8 {
				t.Errorf("%v, want one problem at %s", strict, tt.field)
			}
			write("0") // what is wrong beside it still counts
			if d, err := migration.LoadToGoBack(path); !errors.As(err, &bad) || d != nil {
				t.Errorf("a file without a wave was read: %v", err)
			}
		})
	}
}
