package crossfade

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const supportFile = `
# a comment with commentQ9canary in it
version: 1
name: move
reason: version
blue: {kubeconfig: blue.kubeconfig}
green: {kubeconfig: gone.kubeconfig}
archive: {url: archive, identity: {file: archive.key}}
state: {directory: state}
stores: {disk: {provider: s3, endpoint: "http://user:endpointQ9canary@store.example", secretKey: {env: STORE_KEY}}}
buckets:
  - {name: pictures, from: {store: disk, bucket: a}, to: {store: disk, bucket: b}, bind: [{kind: Secret, namespace: n, name: s, set: {k: "bindQ9canary-{{secretKey}}"}}]}
patches:
  - {target: {kind: Deployment, namespace: n}, merge: {spec: {note: mergeQ9canary}}}
applications:
  - name: shop
    namespace: n
    wave: 1
    writes: freeze
    buckets: [pictures]
    hostnames: [{name: shop.apps.test, blue: {target: b.test}, green: {target: g.test}}]
    freeze:
      enter: [{command: [lock, "argumentQ9canary"]}]
      leave: [{http: {url: "https://h.example/x?token=queryQ9canary", body: "bodyQ9canary"}}]
      probe: {http: {pods: {port: 80, path: /w?key=podQ9canary}}, refused: [503]}
    checks: [{name: page, http: {path: /, contains: containsQ9canary}}]
zones: [{name: apps.test, rfc2136: {server: "127.0.0.1:53", key: k, secret: {env: ZONE_KEY}}}]
`

// begun is a migration whose journal, plans and log hold what they could hold at worst.
func begun(t *testing.T) *Migration {
	t.Helper()
	file := load(t, supportFile)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(file.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("archive.key", "AGE-SECRET-KEY-1identityQ9canary\n")
	write("blue.kubeconfig", `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
		"clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],"users":[{"name":"u","user":{"token":"kubeconfigQ9canary"}}]}`)
	env := map[string]string{"STORE_KEY": "storeQ9canary", "ZONE_KEY": "zoneQ9canary"}
	m, err := Open(file, Options{
		Actor: "ann@desk", Tool: "test", Getenv: func(n string) string { return env[n] }, Secrets: []string{"hookQ9canary"},
		Clock: clock.NewFake(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	note(t, m, noteOutline, m.outline())
	p := plan.New("move", "freeze/shop")
	p.Add(plan.Change{
		ID: "freeze/shop/enter", Action: "freeze", Target: "blue: writes of shop", Why: "no write may be lost",
		ReliesOn: []plan.Reliance{{What: "ConfigMap n/settings", Is: `data.mode="reliesQ9canary"`}},
		Data:     plan.JSON(map[string]any{"fields": []any{map[string]any{"path": []string{"data", "mode"}, "present": true, "value": "freezeQ9canary"}}}),
		Reverse:  &plan.Reverse{Action: "thaw", How: "put it back", Data: plan.JSON(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"mode": "reverseQ9canary"}})},
	})
	if err := m.journal.SavePlan(p); err != nil {
		t.Fatal(err)
	}
	if err := m.journal.Fail("freeze/shop", "freeze/shop/enter", fmt.Errorf("run lock: %s said hookQ9canary", base64.StdEncoding.EncodeToString([]byte("a hookQ9canary")))); err != nil {
		t.Fatal(err)
	}
	m.opts.Log.Warn("the lock said hookQ9canary", "password", "attrQ9canary", "url", "http://user:urlQ9canary@x/")
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

// unpack reads a bundle.
func unpack(t *testing.T, raw []byte) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	archive := tar.NewReader(zipped)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		files[name] = string(content)
	}
}

func TestI09_TheSupportBundleHoldsNoSecretAndTheRest(t *testing.T) {
	m := begun(t)
	var b bytes.Buffer
	list, err := m.Support(context.Background(), &b, SupportOptions{Environ: []string{"HOME=/home/ann", "OTHER_TOKEN=environQ9canary", "PLAIN=plainQ9canary"}})
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, b.Bytes())
	for name, content := range files {
		if at := strings.Index(content, "Q9canary"); at >= 0 {
			t.Errorf("%s holds %s", name, content[max(0, at-60):min(len(content), at+20)])
		}
	}
	for name, wants := range map[string][]string{
		"migration.yaml":         {"name: move", "env: STORE_KEY", "file: archive.key", "kind: Deployment", "shop.apps.test", "- lock"},
		"journal.jsonl":          {`"kind":"failed"`, `"stage":"freeze/shop"`, `"hash":"`},
		"plans/freeze_shop.json": {`"no write may be lost"`, `"present": true`, `"mode"`},
		"versions.json":          {`"tool": "test"`, `"blue": {`, "connection refused", "gone.kubeconfig"},
		"status.json":            {`"next": "preflight"`},
		"report.json":            {`"applications"`},
		"run.log":                {"the lock said redacted-"},
		"state.txt":              {"journal.jsonl", "plans/freeze_shop-"},
		"environment.txt":        {"HOME\nOTHER_TOKEN\nPLAIN\n"},
		"README.txt":             {"journal.jsonl", "age identities"},
	} {
		for _, want := range wants {
			if !strings.Contains(files[name], want) {
				t.Errorf("%s lacks %q: it is\n%s", name, want, files[name])
			}
		}
	}
	if len(list.Entries) != len(files) || !slices.IsSortedFunc(list.Entries, func(a, b SupportEntry) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("%d files, and the list has %v", len(files), list.Entries)
	}
}

func TestI09_NothingInTheStateDirectoryIsASecretOrOpenToOthers(t *testing.T) {
	m := begun(t)
	err := filepath.WalkDir(m.file.StateDir(), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; runtime.GOOS != "windows" && info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		if d.IsDir() || strings.Contains(path, "plans") { // this test's own plan holds what no step puts there
			return nil
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte("Q9canary")) {
			t.Errorf("%s holds a canary: %s", path, raw)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestASupportBundleHidesNamesOnRequest(t *testing.T) {
	m := begun(t)
	var b bytes.Buffer
	if _, err := m.Support(context.Background(), &b, SupportOptions{HideNames: true}); err != nil {
		t.Fatal(err)
	}
	for name, content := range unpack(t, b.Bytes()) {
		for _, gone := range []string{"apps.test", "127.0.0.1", "store.example", "b.test"} {
			if strings.Contains(content, gone) {
				t.Errorf("%s holds %s", name, gone)
			}
		}
	}
}

// A bug report is needed most where something is broken.
func TestASupportBundleIsMadeWithoutAJournalAndWithADamagedOne(t *testing.T) {
	fresh := Inspect(load(t, named), Options{})
	list, err := fresh.Support(context.Background(), nil, SupportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(list.Entries, func(e SupportEntry) bool { return e.Name == "journal.jsonl.missing.txt" }) {
		t.Errorf("it holds %v", list.Entries)
	}
	m := begun(t)
	path := filepath.Join(m.file.StateDir(), "journal.jsonl")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("no record Q9canary\n"), raw...), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := m.Support(context.Background(), &b, SupportOptions{}); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, b.Bytes())
	if !strings.Contains(files["status.json.missing.txt"], "line 1") || !strings.Contains(files["journal.jsonl"], `{"unreadable":19}`) {
		t.Errorf("the bundle of a damaged journal says %q and %q", files["status.json.missing.txt"], files["journal.jsonl"][:60])
	}
}

func TestASupportBundleIsTheSameTwice(t *testing.T) {
	m := begun(t)
	names := func() []string {
		var b bytes.Buffer
		list, err := m.Support(context.Background(), &b, SupportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range list.Entries {
			out = append(out, fmt.Sprint(e.Name, " ", e.Bytes))
		}
		return out
	}
	if a, b := names(), names(); !slices.Equal(a, b) {
		t.Errorf("%v and then %v", a, b)
	}
}
