package migration_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// A mark is refused wherever it stands, whatever the form of its field, and nothing else is said of that field.
func TestAMarkIsRefusedWithItsLineInEveryPlace(t *testing.T) {
	const mark = `"FILL IN: what it is, such as x"`
	for field, change := range map[string][2]string{
		"name":                     {"name: shop", "name: " + mark},
		"reason":                   {"reason: hosts", "reason: " + mark},
		"archive":                  {"archive: {url: ./archive}", "archive: " + mark},
		"archive.url":              {"url: ./archive", "url: " + mark},
		"applications[0].wave":     {"wave: 1", "wave: " + mark},
		"applications[0].writes":   {"writes: none", "writes: " + mark},
		"cutover.ttl":              {"applications:", "cutover: {ttl: " + mark + "}\napplications:"},
		"maps.namespaces.shop":     {"applications:", "maps: {namespaces: {shop: " + mark + "}}\napplications:"},
		"patches[0].json[0].value": {"applications:", "patches: [{target: {kind: Pod}, json: [{op: add, path: /x, value: " + mark + "}]}]\napplications:"},
		"patches[0].merge.a.b":     {"applications:", "patches: [{target: {kind: Pod}, merge: {a: {b: " + mark + "}}}]\napplications:"},
		"patches[0].merge.a[1]":    {"applications:", "patches: [{target: {kind: Pod}, merge: {a: [1, " + mark + "]}}]\napplications:"},
	} {
		t.Run(field, func(t *testing.T) {
			text := strings.Replace(valid, change[0], change[1], 1)
			if text == valid {
				t.Fatalf("there is no %q in the file", change[0])
			}
			_, err := migration.Parse("f.yaml", []byte(text))
			var invalid *migration.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("the mark was taken: %v", err)
			}
			if len(invalid.Problems) != 1 {
				t.Fatalf("got %d problems, want the mark alone: %v", len(invalid.Problems), err)
			}
			p := invalid.Problems[0]
			if p.Field != field || !p.FillIn || p.Mend != "what it is, such as x" {
				t.Errorf("got %+v", p)
			}
			if line := strings.Split(text, "\n")[p.Line-1]; !strings.HasPrefix(line[p.Column-1:], mark) {
				t.Errorf("line %d, column %d is not where the mark stands: %s", p.Line, p.Column, line)
			}
		})
	}
}

func TestTextThatOnlyMentionsAMarkIsTaken(t *testing.T) {
	text := strings.Replace(valid, "name: web", "name: web # FILL IN: a comment", 1)
	text = strings.Replace(text, "url: ./archive", `url: "./a FILL IN"`, 1)
	if _, err := migration.Parse("f.yaml", []byte(text)); err != nil {
		t.Error(err)
	}
}
