package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/internal/migration"
)

const canary = "Zebra9Quagga7Okapi3"

// placed are texts that hold a secret in each of the forms that the rules name. The secret is CANARY.
var placed = []string{ //nolint:gochecknoglobals // a table for a test and a fuzz target
	"-----BEGIN RSA PRIVATE KEY-----\nCANARY\n-----END RSA PRIVATE KEY-----",
	"-----BEGIN PRIVATE KEY-----\nCANARY cut off",
	`{"k":"-----BEGIN EC PRIVATE KEY-----\nCANARY\n-----END EC PRIVATE KEY-----\n"}`,
	"client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVkCANARY",
	"AGE-SECRET-KEY-1CANARY",
	"postgres://shop:CANARY@db.example/shop",
	"https://CANARY@example.org/x",
	"https://b.example/o?X-Amz-Signature=CANARY&a=b",
	"https://b.example/o?a=b&X-Amz-Credential=CANARY",
	"https://b.example/o?sv=2&sig=CANARY",
	"https://b.example/o?X-Goog-Signature=CANARY",
	"https://b.example/o?access_token=CANARY",
	"Authorization: Bearer CANARY",
	"authorization: AWS4-HMAC-SHA256 Credential=CANARY",
	`{"Authorization": ["Basic CANARY"]}`,
	"Cookie: session=CANARY; other=1",
	"sent bearer CANARY to it",
	"eyJhbGciOiJSUzI1NiJ9.CANARY.CANARY",
	"used AKIACANARY1234567890",
	"ghp_CANARY1234567890",
	"-y hmac-sha256:crossfade:CANARY==",
	`key "crossfade" { algorithm hmac-sha256; secret "CANARY"; };`,
	`{"auths":{"r.example":{"auth":"CANARY"}}}`,
	"mysql --password CANARY -h db",
	"tool --token=CANARY",
	`password="CANARY"`,
	`{"secretKey":"CANARY"}`,
	`{\"password\":\"CANARY\"}`,
	"PGPASSWORD=CANARY psql",
	"DB_PASSWORD='CANARY'",
	"AccountKey=CANARY;EndpointSuffix=x",
}

func TestI09_EveryFormOfASecretIsTakenOutOfATextAndTheRestStays(t *testing.T) {
	r := New()
	for _, text := range placed {
		got := r.Text("before " + strings.ReplaceAll(text, "CANARY", canary) + " after")
		if strings.Contains(got, canary) {
			t.Errorf("%q became %q", text, got)
		}
		if !strings.HasPrefix(got, "before ") {
			t.Errorf("%q: what stands before it is gone: %q", text, got)
		}
	}
}

func TestTextsWithoutSecretsStayAsTheyAre(t *testing.T) {
	for _, text := range []string{
		"zones.apps.test.rfc2136.secret: the environment variable TSIG is not set",
		"archive.identity: read /home/a/key: no such file or directory",
		`secrets "login" not found`, `Secret shop/login on blue has no key password`,
		"https://127.0.0.1:6443/api/v1/namespaces/kube-system", "swap shop.apps.test. to green-shop.apps.test.",
		"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"token expired while listing", "mend: give the key the right to update", "crossfade run --yes -v --log-format json",
	} {
		if got := New().Text(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestI09_LearnedValuesAreFoundInEveryCoding(t *testing.T) {
	r := New()
	value := "p/ss w+rd\"" + canary
	r.Learn(value, "short")
	quoted, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		value, string(quoted), hex.EncodeToString([]byte(value)), url.QueryEscape(value), url.PathEscape(value),
		base64.StdEncoding.EncodeToString([]byte(value)), base64.StdEncoding.EncodeToString([]byte("a" + value + "z")),
		base64.URLEncoding.EncodeToString([]byte("ab" + value + "yz")),
	} {
		got := r.Text("<" + text + ">")
		if !strings.Contains(got, markPrefix) {
			t.Errorf("%q stayed %q", text, got)
		}
	}
	if r.Text("a short word") != "a short word" {
		t.Error("a value of five characters was taken out of a text")
	}
	if other := r.ForOthers(false); strings.Contains(other.Text(value), canary) {
		t.Error("the redactor for others does not know what this one knows")
	}
}

func TestEqualSecretsHaveEqualMarksAndKeysDiffer(t *testing.T) {
	a, b := New(), New()
	if first, second := a.mark("x"), a.mark("x"); first != second || a.mark("x") == a.mark("y") || a.mark("x") == b.mark("x") {
		t.Error("marks do not tell equal from different, or can be compared between two runs")
	}
	if !isMark(a.mark("x")) || a.Text("password="+a.mark("x")) != "password="+a.mark("x") {
		t.Error("a mark is marked again")
	}
}

func TestNamesAndAddressesAreHiddenOnRequestOnly(t *testing.T) {
	text := "shop.apps.example at 192.0.2.7 and 2001:db8::7, at 12:34:56"
	if got := New().ForOthers(false).Text(text); got != text {
		t.Errorf("it became %q", got)
	}
	r := New().ForOthers(true)
	r.HideNames("shop.apps.example.", "192.0.2.7")
	got := r.Text(text)
	for _, gone := range []string{"shop.apps", "192.0.2.7", "2001:db8"} {
		if strings.Contains(got, gone) {
			t.Errorf("%s is still in %q", gone, got)
		}
	}
	if !strings.Contains(got, "12:34:56") {
		t.Errorf("a time was taken for an address: %q", got)
	}
}

func TestI09_ErrorsAndLogsAreCleanAndKeepTheirCause(t *testing.T) {
	r := New()
	r.Learn(canary)
	err := r.Error(fmt.Errorf("open %s: %w", canary, io.ErrUnexpectedEOF))
	if strings.Contains(err.Error(), canary) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the error is %v", err)
	}
	if got := r.Error(io.EOF); got.Error() != "EOF" || !errors.Is(got, io.EOF) || r.Error(nil) != nil {
		t.Error("an error without secrets was changed")
	}
	var b bytes.Buffer
	log := slog.New(r.Handler(slog.NewJSONHandler(&b, nil))).With("base", canary)
	log.Info("it is "+canary, "err", err, "raw", errors.New(canary), "list", []string{canary},
		slog.Group("g", slog.String("in", canary)), "password", "abc", "n", 7)
	if strings.Contains(b.String(), canary) || strings.Contains(b.String(), "abc") || !strings.Contains(b.String(), `"n":7`) {
		t.Errorf("the log says %s", b.String())
	}
}

func TestI09_WhatAFreezeReplacedKeepsItsShapeAndLosesItsValues(t *testing.T) {
	plan := `{"stage":"freeze/shop","changes":[{"id":"freeze/shop/enter","action":"freeze","target":"blue: writes of shop","why":"no write may be lost",
		"reliesOn":[{"what":"ConfigMap shop/settings","is":"data.mode=\"CANARY\""}],
		"data":{"hooks":[{"enter":0,"original":{"kind":"ConfigMap","namespace":"shop","name":"settings","fields":[
			{"path":["data","mode"],"present":true,"value":"CANARY"},{"path":["data","same"],"present":true,"value":"CANARY"},
			{"path":["spec","replicas"],"present":true,"value":3}]}}]},
		"reverse":{"action":"update","how":"write it","data":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings","annotations":{"x":"CANARY"}},"data":{"kind":"CANARY"}}}}]}`
	out, err := New().ForOthers(false).JSON(RecordFields(), []byte(strings.ReplaceAll(plan, "CANARY", canary)))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(out, []byte(canary)) {
		t.Errorf("the value is still there: %s", out)
	}
	for _, want := range []string{`"value":3`, `"mode"`, `"freeze/shop/enter"`, `"no write may be lost"`, `"present":true`, `"kind":"ConfigMap"`} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%s is gone from %s", want, out)
		}
	}
	if n := bytes.Count(out, []byte(New().mark("")[:len(markPrefix)])); n < 5 {
		t.Errorf("%d marks in %s", n, out)
	}
}

// A field of the migration file that nobody decided about is hidden; this says so when one is added.
func TestEveryFieldOfTheMigrationFileIsDecidedUpon(t *testing.T) {
	hidden := strings.Fields(`set merge value body contains version wave allowExtra maxDelete create versions anonymous allowOlder
		port status expect refused days breaches maxDelta maxShare sameAsBlue paused name private externalID headers
		secretHeaders matches responseHeaders sameBody plaintext samples perRound errors ratio floor max min query alive counter age maxRatio minRatio username`)
	table := FileFields()
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(ty reflect.Type) {
		for ty.Kind() == reflect.Pointer || ty.Kind() == reflect.Slice || ty.Kind() == reflect.Map {
			ty = ty.Elem()
		}
		if ty.Kind() != reflect.Struct || seen[ty] || ty.PkgPath() != reflect.TypeFor[migration.File]().PkgPath() {
			return
		}
		seen[ty] = true
		for i := range ty.NumField() {
			field, _, _ := strings.Cut(ty.Field(i).Tag.Get("yaml"), ",")
			if _, ok := table[field]; !ok && field != byName && field != "" && !strings.Contains(" "+strings.Join(hidden, " ")+" ", " "+field+" ") {
				t.Errorf("%s.%s (%s) is neither in FileFields nor in this test's list of hidden ones: decide", ty.Name(), ty.Field(i).Name, field)
			}
			walk(ty.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[migration.File]())
}

// A secret that stands where a rule looks, or in a field that no table shows, is never in what comes out: whatever stands
// around it.
func FuzzI09_NoCanaryComesOut(f *testing.F) {
	for i := range placed {
		f.Add("before ", " after", "extra", uint(i))
	}
	f.Fuzz(func(t *testing.T, before, after, key string, at uint) {
		if !utf8.ValidString(before) || !utf8.ValidString(after) || !utf8.ValidString(key) {
			t.Skip("JSON holds valid text only")
		}
		r := New().ForOthers(at%2 == 0)
		text := strings.ReplaceAll(placed[at%uint(len(placed))], "CANARY", canary)
		if got := r.Text(before + "\n" + text + "\n" + after); strings.Contains(got, canary) {
			t.Errorf("%q", got)
		}
		table := RecordFields()
		if at%3 == 0 {
			table = FileFields()
		}
		doc := map[string]any{"kind": before, "data": []any{map[string]any{"why": text + "\n", "value": canary}}, "error": text}
		if table[key] == 0 && key != byName {
			doc[key] = []any{map[string]any{before: canary, "x": []any{canary}}, canary}
		}
		raw, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		out, err := r.JSON(table, raw)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(out, []byte(canary)) {
			t.Errorf("%s became %s", raw, out)
		}
	})
}
