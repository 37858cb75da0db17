package migration_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

const valid = `version: 1
name: shop
reason: hosts
blue: {context: blue}
green: {context: green}
archive: {url: ./archive}
applications:
  - name: web
    namespace: shop
    wave: 1
    writes: none
`

func TestLoadTheDemosFile(t *testing.T) {
	doc, err := migration.Load("../../examples/demo/migration.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Applications) != 3 {
		t.Fatalf("got %d applications, want 3", len(doc.Applications))
	}
	if got := doc.Cutover.Breaches; got != 2 {
		t.Errorf("breaches: got %d, want 2", got)
	}
	if got := doc.Applications[1].Freeze.Enter[0].Patch.Merge["data"]; got == nil {
		t.Error("the patch of the freeze was lost")
	}
	if want := filepath.Join(doc.Dir, "../../.rig/state"); doc.StateDir() != want {
		t.Errorf("state: got %s, want %s", doc.StateDir(), want)
	}
}

// shiftOf is an application that writes as said, has a hostname, and a shift.
func shiftOf(writes, rest string) string {
	return "writes: " + writes + "\n    shift: {by: dns, " + rest + "}\n    hostnames: [{name: a.example.com, blue: {target: b.test}, green: {target: g.test}}]\n" +
		"    checks: [{name: c, http: {path: /}}]"
}

func TestProblemsNameFileLineColumnFieldAndMend(t *testing.T) {
	cases := []struct{ name, old, new, want string }{
		{"unknown field", "reason: hosts", "raeson: hosts", "f.yaml:3:1: raeson: there is no such field (did you mean reason?)"},
		{"missing field", "reason: hosts\n", "", "f.yaml:1:1: reason: the field is missing (add it: reason: …)"},
		{"duplicate field", "reason: hosts", "reason: hosts\nreason: version", "f.yaml:4:1: reason: the field stands here a second time (keep one of them)"},
		{"duplicate field in a list", "    wave: 1", "    wave: 1\n    wave: 2", "f.yaml:11:5: applications[0].wave: the field stands here a second time"},
		{"wrong type", "wave: 1", "wave: one", `f.yaml:10:11: applications[0].wave: "one" is not a whole number`},
		{"not an enum value", "writes: none", "writes: never", `applications[0].writes: "never" is not one of its values (one of none, freeze, quiesce)`},
		{"too small", "wave: 1", "wave: 0", "applications[0].wave: 0 is too small (at least 1)"},
		{"bad name", "name: shop\n", "name: Shop\n", `name: "Shop" has a form that is not taken`},
		{"list for text", "reason: hosts", "reason: [hosts]", "reason: it must be a single value"},
		{"text for list", "applications:\n", "zones: x\napplications:\n", "zones: it must be a list"},
		{"empty", "reason: hosts", "reason:", "reason: it has no value"},
		{"duration", "applications:", "cutover: {ttl: 5}\napplications:", `cutover.ttl: "5" is not a duration: write it as 90s, 2m or 72h`},
		{"number for text", "name: shop\n", "name: 12\n", "name: 12 must be text"},
		{"no share of a zone", "applications:", "cutover: {maxShare: 130}\napplications:", "cutover.maxShare: 130 is too large (at most 100)"},
		{"soak under its floor", "applications:", "cutover: {soak: 10s}\napplications:", "cutover.soak: 10s is less than 2 × TTL + floor = 3m0s"},
		{"freeze without hooks", "writes: none", "writes: freeze", "writes: freeze needs the hooks"},
		{"unknown bucket", "writes: none", "writes: none\n    buckets: [b]", "applications[0].buckets[0]: no bucket is called \"b\""},
		{"hostname without zone", "writes: none", "writes: none\n    hostnames: [{name: a.notexample.com, service: s}]\n    checks: [{name: c, tcp: {port: 80}}]\nzones: [{name: example.com, rfc2136: {server: '192.0.2.1:53', key: k, secret: {env: X}}}]", "a.notexample.com is in none of the zones"},
		{"same side", "green: {context: green}", "green: {context: blue}", "blue and green are the same cluster"},
		{"bandwidth", "applications:", "buckets: [{name: b, bandwidth: fast, from: {store: s, bucket: a}, to: {store: s, bucket: b}}]\napplications:", `buckets[0].bandwidth: "fast" is no number of bytes above 0`},
		{"shift with shares that fall", "writes: none", shiftOf("none", "steps: [25, 5]"), "shift.steps[1]: 5 is no share above 25 and below 100"},
		{"shift of everything", "writes: none", shiftOf("none", "steps: [100]"), "100 is no share"},
		{"shift of what is stopped", "writes: none", shiftOf("quiesce", "steps: [5]"), "shift: with writes: quiesce blue's workloads are stopped"},
		{"shift with a payload", "writes: none", shiftOf("none", "steps: [5]") + "\n    payload: {export: {command: [x]}, import: {command: [x]}}", "what green accepts of the payload"},
		{"shift with volumes", "writes: none", shiftOf("none", "steps: [5]") + "\n    volumes: empty", "what green writes to its volumes"},
		{"shift with writes out of sight", "writes: none", shiftOf("freeze", "steps: [5]"), "the application names no bucket"},
		{"shift without a name", "writes: none", "writes: none\n    shift: {by: dns, steps: [5]}", "no hostname whose traffic could be shifted"},
		{"shift of a name that stays", "writes: none", strings.Replace(shiftOf("none", "steps: [5]"), "blue: {target: b.test}, green: {target: g.test}", "ingress: i, switch: backend", 1), "a.example.com stays where it is (switch: backend)"},
		{"shift without steps", "writes: none", shiftOf("none", "steps: []"), "shift.steps"},
		{"shift at an ingress that is not named", "writes: none", strings.Replace(shiftOf("none", "steps: [5], tell: {path: /, onBlue: b, onGreen: g}"), "by: dns", "by: ingress", 1), "names no ingress at which its requests could be split"},
		{"shift at a route that is not named", "writes: none", strings.Replace(shiftOf("none", "steps: [5], tell: {path: /, onBlue: b, onGreen: g}"), "by: dns", "by: httpRoute", 1), "names no HTTPRoute at which its requests could be split"},
		{"shift at an ingress without a tell", "writes: none", strings.Replace(shiftOf("none", "steps: [5]"), "by: dns", "by: ingress", 1), "nothing says how an answer tells its side"},
		{"tell without difference", "writes: none", strings.Replace(shiftOf("none", "steps: [5], tell: {path: /, onBlue: b, onGreen: b}"), "by: dns", "by: ingress", 1), "onBlue and onGreen must be two texts that differ"},
		{"tell without effect", "writes: none", shiftOf("none", "steps: [5], port: 80"), "port and tell have an effect with by: ingress and by: httpRoute only"},
		{"shift by magic", "writes: none", "writes: none\n    shift: {by: magic, steps: [5]}", `shift.by: "magic" is not one of its values`},
		{"syntax", "reason: hosts", "reason: 'hosts", "f.yaml:"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(valid, c.old, c.new, 1)
			if text == valid {
				t.Fatal("the case changes nothing")
			}
			_, err := migration.Parse("f.yaml", []byte(text))
			var invalid *migration.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant it to hold\n%s", err, c.want)
			}
		})
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	_, err := migration.Parse("f.yaml", []byte(strings.NewReplacer("reason: hosts", "reason: fun", "wave: 1", "wave: 0", "version: 1", "version: 2").Replace(valid)))
	var invalid *migration.InvalidError
	if !errors.As(err, &invalid) || len(invalid.Problems) != 3 {
		t.Fatalf("got %v, want three problems", err)
	}
}

func TestMissingFile(t *testing.T) {
	_, err := migration.Load(filepath.Join(t.TempDir(), "none.yaml"))
	if err == nil || !strings.Contains(err.Error(), "name one with -f") {
		t.Fatalf("got %v", err)
	}
}

// Whatever the bytes, Parse returns a file or an error that names a line, and does not panic.
func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte("a: &x [*x]"))
	f.Add([]byte("applications: [{name: {}}]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := migration.Parse("f.yaml", raw)
		if (file == nil) == (err == nil) {
			t.Fatalf("file %v and error %v", file, err)
		}
	})
}

func TestWhereTheFileSpeaksOfSomething(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	text := valid + `    hostnames:
      - {name: shop.apps.test, port: 80, blue: {target: b.test}, green: {target: g.test}}
    checks: [{name: page, http: {scheme: http, path: /}}]
zones:
  - {name: apps.test, file: {path: apps.zone}}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := migration.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"web":             path + ":8:11: applications[0].name",
		"shop.apps.test":  path + ":13:16: applications[0].hostnames[0].name",
		"SHOP.apps.test.": path + ":13:16: applications[0].hostnames[0].name",
		"apps.test.":      path + ":16:12: zones[0].name",
		"archive":         path + ":6:10: archive",
		"nobody.test.":    "",
		"":                "",
	} {
		if got := d.Place(what); got != want {
			t.Errorf("Place(%q) = %q, want %q", what, got, want)
		}
	}
}
