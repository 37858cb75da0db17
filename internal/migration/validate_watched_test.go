package migration_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// TestC24_AnApplicationThatNothingWatchesIsRefused: blue is shown idle by what watches the others, and deleted with it. The file must
// say so, and why.
func TestC24_AnApplicationThatNothingWatchesIsRefused(t *testing.T) {
	const file = `version: 1
name: shop
reason: hosts
blue: {context: blue}
green: {context: green}
archive: {url: ./archive}
applications:
  - {name: shop, namespace: shop, wave: 1, writes: none, requests: {pods: {port: 8080, path: /r}, field: r}}
LATE
retirement:
  delete: {namespaces: [shop]}
REST
`
	const late = "  - {name: late, namespace: shop, wave: 2, writes: none}"
	const query = "name: edge, url: 'http://p', query: q"
	for name, tt := range map[string]struct{ late, rest, field, what, mend string }{
		"nothing":                 {late, "", "applications[1]", "nobody would see that it is still used on blue", "retirement.unwatched: {late: REASON}"},
		"said":                    {late, "  unwatched: {late: it takes from a queue}", "", "", ""},
		"no reason":               {late, "  unwatched: {late: ' '}", "retirement.unwatched.late", "says none", "the certificate holds it"},
		"of nobody":               {late, "  unwatched: {late: a job, gone: a job}", "retirement.unwatched.gone", "no application is called gone", "take it out"},
		"of one that is watched":  {late, "  unwatched: {late: a job, shop: a job}", "retirement.unwatched.shop", "watched by its requests", "take it out"},
		"a query of others":       {late, "  prometheus: [{" + query + "}]", "applications[1]", "nobody would see", "watches of a query"},
		"a query of it":           {late, "  prometheus: [{" + query + ", watches: [late]}]", "", "", ""},
		"a query of nobody":       {late, "  unwatched: {late: a job}\n  prometheus: [{" + query + ", watches: [gone]}]", "retirement.prometheus[0].watches[0]", "no application is called gone", "take it out"},
		"an access log of others": {late, "  accessLogs: [{format: envoy, namespace: edge, selector: a=b}]", "applications[1]", "nobody would see", ""},
		"a hostname": {
			"  - {name: late, namespace: shop, wave: 2, writes: none, hostnames: [{name: a.example.com, service: s}], checks: [{name: c, http: {path: /}}]}\n" +
				"zones: [{name: example.com, rfc2136: {server: '192.0.2.1:53', key: k, secret: {env: X}}}]", "", "", "", "",
		},
		"the only one, by a query": {"ONLY", "  prometheus: [{" + query + "}]", "", "", ""},
		"the only one, by nothing": {"ONLY", "", "applications[0]", "nobody would see", ""},
		"nothing at all, and said": {"ONLY", "  unwatched: {late: a job}", "retirement.unwatched", "it names every application", "blue stays"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("LATE", tt.late, "REST", tt.rest).Replace(file)
			if tt.late == "ONLY" {
				lines := strings.Split(strings.Replace(text, "ONLY", late, 1), "\n")
				text = strings.Join(append(lines[:7:7], lines[8:]...), "\n") // without shop
			}
			path := filepath.Join(t.TempDir(), "f.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := migration.Load(path)
			if tt.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var bad *migration.InvalidError
			if !errors.As(err, &bad) || len(bad.Problems) != 1 {
				t.Fatalf("%v, want one problem", err)
			}
			if p := bad.Problems[0]; p.Field != tt.field || !strings.Contains(p.What, tt.what) || !strings.Contains(p.Mend, tt.mend) || p.Line < 7 {
				t.Errorf("%+v, want %+v", p, tt)
			}
		})
	}
}
