package migration_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// What is no YAML text, or not of a form that is taken, is refused with its place and a mend. Nothing of it panics or fills the memory.
func TestTextThatIsNoMigration(t *testing.T) {
	with := func(old, now string) string {
		t.Helper()
		if !strings.Contains(valid, old) {
			t.Fatalf("the valid file does not hold %s", old)
		}
		return strings.Replace(valid, old, now, 1)
	}
	patch := func(merge string) string {
		return valid + "\npatches:\n  - target: {kind: X}\n    merge:\n" + merge
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":             {"", "f.yaml:1:1: it is empty (`crossfade init` writes a first one)"},
		"comment":           {"# nothing\n", "it is empty"},
		"two documents":     {"a: b\n---\nc: d\n", "f.yaml:3:1: it holds 2 YAML documents (write exactly one)"},
		"many documents":    {strings.Repeat("---\na\n", 10000), "it holds more than 100 YAML documents"},
		"scalar":            {"hello", "it must be a mapping of fields"},
		"list":              {"- a\n- b\n", "it must be a mapping of fields"},
		"null":              {"null\n", "it has no value"},
		"utf-16":            {"\xff\xfea\x00", "it is UTF-16 (save it as UTF-8)"},
		"latin-1":           {"name: m\xf6ve\n", "f.yaml:1:8: the byte 0xf6 is not UTF-8 (save the file as UTF-8)"},
		"binary":            {"\x1f\x8b\x08\x00", "f.yaml:1:1: it holds the control character 0x1f (a migration file is text: is it another file?)"},
		"NUL":               {"a: b\nc: d\x00", "f.yaml:2:5: it holds the control character 0x00"},
		"too large":         {strings.Repeat("# 4567890\n", 200_000), "it is larger than 1 MiB"},
		"tabs":              {"blue:\n\tcontext: x\n", "(indent with spaces: YAML takes no tabs)"},
		"unclosed":          {"a: \"b\n", "(correct the YAML around here)"},
		"deep lists":        {strings.Repeat("[", 100_000), "f.yaml:1:101: it is nested more than 100 deep"},
		"deep mappings":     {strings.Repeat("{a: ", 100_000), "it is nested more than 100 deep"},
		"dashes":            {strings.Repeat("- ", 100_000), "it is nested more than 100 deep"},
		"deep block":        {deepBlock(1000), "it is nested more than 100 deep"},
		"anchor":            {with("reason: hosts", "reason: &r hosts"), "reason: YAML anchors, aliases and tags are not taken (write the value out)"},
		"tag":               {with("reason: hosts", "reason: !!str hosts"), "YAML anchors, aliases and tags are not taken"},
		"merge key":         {with("reason: hosts", "reason: hosts\n<<: {name: x}"), "YAML merge keys (<<) are not taken (write the fields out)"},
		"billion laughs":    {patch(laughs(9)), "patches[0].merge.b: YAML anchors, aliases and tags are not taken"},
		"alias in itself":   {patch("      a: &a {x: *a}\n"), "patches[0].merge.a: YAML anchors, aliases and tags are not taken"},
		"free form, twice":  {patch("      a: {b: 1, b: 2}\n"), "patches[0].merge.a.b: the key stands here a second time"},
		"alias in a list":   {patch("      a: [1, *x]\n"), "patches[0].merge.a[1]: YAML anchors, aliases and tags are not taken"},
		"octal":             {with("wave: 1", "wave: 010"), `"010" is not a whole number (write it in digits, without quotes and leading zeros)`},
		"float":             {with("wave: 1", "wave: 1.0"), "is not a whole number"},
		"text for a number": {with("wave: 1", "wave: one"), `"one" is not a whole number`},
		"beyond integers":   {with("wave: 1", "wave: 99999999999999999999"), "is not a whole number"},
		"octal port":        {valid + "\nmaps: {nodePorts: {030080: 30081}}\n", `the key "030080" must be a whole number`},
		"key of two words":  {valid + "\n? [a, b]\n: x\n", "invalid key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := migration.Parse("f.yaml", []byte(c.text))
			var invalid *migration.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant it to hold\n%s", err, c.want)
			}
		})
	}
}

// Editors of other systems add a mark, end lines otherwise, or end the file with an empty document.
func TestTextsThatAreTaken(t *testing.T) {
	for name, text := range map[string]string{
		"byte order mark": "\xef\xbb\xbf" + valid,
		"CRLF":            strings.ReplaceAll(valid, "\n", "\r\n"),
		"begin and end":   "---\n" + strings.TrimSpace(valid) + "\n---\n",
		"null in a patch": valid + "\npatches:\n  - target: {kind: X}\n    merge: {a: null, b: {c: null, d: [null]}}\n",
		"directive":       "%YAML 1.2\n---\n" + strings.TrimSpace(valid) + "\n",
	} {
		if _, err := migration.Parse("f.yaml", []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFolderIsNoMigrationFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := migration.Load(dir); err == nil || !strings.Contains(err.Error(), "is a folder: name the migration file in it with -f") {
		t.Errorf("err = %v", err)
	}
	path := filepath.Join(dir, "f.yaml")
	if err := os.WriteFile(path, []byte(valid), 0o000); err != nil {
		t.Fatal(err)
	}
	_, unreadable := os.ReadFile(path) // root may read every file
	if _, err := migration.Load(path); unreadable != nil && (err == nil || !strings.Contains(err.Error(), "permission denied")) {
		t.Errorf("err = %v", err)
	}
}

// A secret key in the place of a public one is a mistake that people make, and no reason to print it.
func TestI09_AMisplacedSecretKeyIsNotRepeated(t *testing.T) {
	text := strings.Replace(valid, "{url: ./archive}", "{url: ./archive, identity: {file: k}, recipients: [AGE-SECRET-KEY-1CANARY]}", 1)
	_, err := migration.Parse("f.yaml", []byte(text))
	if err == nil || strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "archive.recipients[0]: it is not an age public key") {
		t.Errorf("err = %v", err)
	}
}

func TestManyProblemsAreCounted(t *testing.T) {
	_, err := migration.Parse("f.yaml", []byte(valid+strings.Repeat("\nnone: 1", 200)))
	if err == nil || !strings.Contains(err.Error(), "f.yaml: and 150 more") {
		t.Errorf("err = %v", err)
	}
}

func deepBlock(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// laughs is the classic bomb: each line has nine of the one before.
func laughs(n int) string {
	text := "      a: &a {x: lol}\n"
	for i := 1; i <= n; i++ {
		now, before := string(rune('a'+i)), string(rune('a'+i-1))
		text += "      " + now + ": &" + now + " [" + strings.Repeat("*"+before+", ", 8) + "*" + before + "]\n"
	}
	return text
}

// A file is as deep as its lines lie in one another, however many lists stand in it one after the other.
func TestAThousandApplicationsAreNotDeep(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nname: many\nreason: hosts\nblue: {kubeconfig: b}\ngreen: {kubeconfig: g}\narchive: {url: ./archive}\napplications:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  - name: app-%d\n    namespace: shop\n    selector: app=app-%d\n    wave: 1\n    writes: none\n    hostnames:\n      - {name: app-%d.apps.test, port: 80, blue: {target: b.test}, green: {target: g.test}}\n    checks:\n      - {name: page, http: {scheme: http, path: /}}\n", i, i, i)
	}
	b.WriteString("zones:\n  - {name: apps.test, rfc2136: {server: '192.0.2.1:53', key: k, secret: {env: S}}}\n")
	file, err := migration.Parse("f.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(file.Applications); n != 1000 {
		t.Errorf("%d applications were read", n)
	}
}
