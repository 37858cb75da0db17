package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// cmdCanary gives variables that have no value a random one, and remembers all of them: no output may show them.
func cmdCanary(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		if ts.Getenv(name) == "" {
			// The form of a key of a zone, which is the strictest.
			ts.Setenv(name, base64.StdEncoding.EncodeToString([]byte("canary of "+name+" "+rand.Text())))
		}
	}
	ts.Setenv("CANARIES", strings.Join(append(strings.Fields(ts.Getenv("CANARIES")), args...), " "))
}

// cmdLogin writes a kubeconfig with a user's token beside another one: login FROM TO NAME-OF-VARIABLE.
func cmdLogin(ts *testscript.TestScript, _ bool, args []string) {
	config, err := clientcmd.LoadFromFile(os.Expand(args[0], ts.Getenv))
	ts.Check(err)
	config.AuthInfos["somebody"] = &clientcmdapi.AuthInfo{Token: ts.Getenv(args[2])}
	for _, c := range config.Contexts {
		c.AuthInfo = "somebody"
	}
	ts.Check(clientcmd.WriteToFile(*config, ts.MkAbs(args[1])))
}

// cmdClean demands that no canary, in any usual coding or packing, is in what the last command printed, or in the files
// below folders.
func cmdClean(ts *testscript.TestScript, _ bool, args []string) {
	canaries := map[string]string{}
	for _, name := range strings.Fields(ts.Getenv("CANARIES")) {
		canaries[name] = ts.Getenv(name)
	}
	look := func(where string, raw []byte) {
		if leak := leakOf(canaries, where, raw); leak != "" {
			ts.Fatalf("%s", leak)
		}
	}
	if len(args) == 0 {
		look("standard output", []byte(ts.ReadFile("stdout")))
		look("standard error", []byte(ts.ReadFile("stderr")))
		return
	}
	files := 0
	for _, dir := range args {
		if _, err := os.Stat(ts.MkAbs(dir)); os.IsNotExist(err) {
			continue
		}
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			look(path, raw)
			files++
			return err
		}))
	}
	if files == 0 {
		ts.Fatalf("no files were looked at")
	}
}

// leakOf says which canary is in some bytes, as they are or unpacked, and in which coding.
func leakOf(canaries map[string]string, where string, raw []byte) string {
	for name, value := range canaries {
		for coding, text := range codings(value) {
			if at := bytes.Index(raw, []byte(text)); at >= 0 {
				return fmt.Sprintf("%s holds %s in %s: …%q", where, name, coding, raw[max(0, at-120):at])
			}
		}
	}
	inner, how := unpacked(raw)
	if inner == nil {
		return ""
	}
	for name, content := range inner {
		if leak := leakOf(canaries, where+" ("+how+" "+name+")", content); leak != "" {
			return leak
		}
	}
	return ""
}

// codings are the texts in which a value shows. A part of a longer value that was coded as a whole shows in one of three
// base64 texts, by where it begins.
func codings(value string) map[string]string {
	quoted, err := json.Marshal(value)
	if err != nil {
		quoted = nil
	}
	list := map[string]string{
		"clear": value, "hex": hex.EncodeToString([]byte(value)), "upper hex": strings.ToUpper(hex.EncodeToString([]byte(value))),
		"URL form": url.QueryEscape(value), "path form": url.PathEscape(value), "JSON": strings.Trim(string(quoted), `"`), "escaped JSON": strings.ReplaceAll(value, "/", `\/`),
	}
	if raw, err := base64.StdEncoding.DecodeString(value); err == nil && len(raw) >= 16 {
		list["what its base64 means"] = string(raw)
	}
	for before := range 3 {
		whole := append(make([]byte, before), value...)
		from := (before*8 + 5) / 6
		to := len(whole) * 8 / 6
		list[fmt.Sprintf("base64 after %d bytes", before)] = base64.RawStdEncoding.EncodeToString(whole)[from:to]
		list[fmt.Sprintf("URL base64 after %d bytes", before)] = base64.RawURLEncoding.EncodeToString(whole)[from:to]
	}
	return list
}

// unpacked opens what gzip, zstd and tar pack, one layer.
func unpacked(raw []byte) (inner map[string][]byte, how string) {
	switch {
	case bytes.HasPrefix(raw, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, ""
		}
		text, _ := io.ReadAll(r) // what can be read is looked at
		return map[string][]byte{"": text}, "gzip"
	case bytes.HasPrefix(raw, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		r, err := zstd.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, ""
		}
		defer r.Close()
		text, _ := io.ReadAll(r)
		return map[string][]byte{"": text}, "zstd"
	case len(raw) > 262 && string(raw[257:262]) == "ustar":
		inner = map[string][]byte{}
		for r := tar.NewReader(bytes.NewReader(raw)); ; {
			head, err := r.Next()
			if errors.Is(err, io.EOF) || err != nil {
				return inner, "tar"
			}
			inner[head.Name], _ = io.ReadAll(r)
		}
	}
	return nil, ""
}

// The search itself must find what it is there to find.
func TestI09_TheSearchFindsACanaryInEveryCodingAndPacking(t *testing.T) {
	value := "p/s w\"" + rand.Text()
	canaries := map[string]string{"C": value}
	for coding, text := range codings(value) {
		if leakOf(canaries, "x", []byte("before "+text+" after")) == "" {
			t.Errorf("it is not found in %s", coding)
		}
	}
	for _, before := range []string{"", "a", "ab"} {
		if leakOf(canaries, "x", []byte(base64.StdEncoding.EncodeToString([]byte(before+value+"z")))) == "" {
			t.Errorf("it is not found in the base64 of a longer text, %d bytes in", len(before))
		}
	}
	var tarred, zipped, zstded bytes.Buffer
	archive := tar.NewWriter(&tarred)
	if err := archive.WriteHeader(&tar.Header{Name: "f", Size: int64(len(value)), Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write([]byte(value)); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	g := gzip.NewWriter(&zipped)
	z, err := zstd.NewWriter(&zstded)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		if _, err := w.Write(tarred.Bytes()); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for how, raw := range map[string][]byte{"tar": tarred.Bytes(), "gzip": zipped.Bytes(), "zstd": zstded.Bytes()} {
		if leakOf(canaries, "x", raw) == "" {
			t.Errorf("it is not found in %s", how)
		}
	}
	if leak := leakOf(canaries, "x", []byte("nothing of it")); leak != "" {
		t.Error(leak)
	}
}
