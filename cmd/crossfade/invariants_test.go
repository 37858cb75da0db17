package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func invariant(t *testing.T, name string) {
	t.Helper()
	t.Parallel()
	runScripts(t, "", filepath.Join("testdata", "invariants", name+".txtar"))
}

// What the migration did not make stays as it is, in a bucket and in a cluster.
func TestI03_WhatIsNotOursIsNeitherChangedNorDeleted(t *testing.T) { invariant(t, "i03") }

// In one cluster both sides share what has no namespace: it is nobody's to write.
func TestI03_InOneClusterWhatBothSidesShareStaysAsItIs(t *testing.T) { invariant(t, "i03-one-cluster") }

// A job that could fire on both sides would write twice.
func TestI07_JobsSleepOnOneSideBeforeTheyWakeOnTheOther(t *testing.T) { invariant(t, "i07") }

// A secret in clear in any file or output of a whole migration is a leak.
func TestI09_NoSecretIsInClearInFilesOrOutput(t *testing.T) { invariant(t, "i09") }

// Neither --yes, nor a run, nor a certificate alone destroys blue.
func TestI10_BlueIsDestroyedOnlyWithCertificateAndTypedName(t *testing.T) { invariant(t, "i10") }

// cmdCanary gives variables that have no value a random one, and remembers all of them: no output may show them.
func cmdCanary(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		if ts.Getenv(name) == "" {
			// The form of a key of a zone, which is the strictest.
			ts.Setenv(name, base64.StdEncoding.EncodeToString([]byte("canary of "+name+" "+rand.Text())))
		}
	}
	ts.Setenv("CANARIES", strings.Join(args, " "))
}

// cmdClean demands that no canary, in any usual coding, is in what the last command printed, or in the files below folders.
func cmdClean(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		lookForCanaries(ts, "standard output", []byte(ts.ReadFile("stdout")))
		lookForCanaries(ts, "standard error", []byte(ts.ReadFile("stderr")))
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
			lookForCanaries(ts, path, raw)
			files++
			return err
		}))
	}
	if files < 10 {
		ts.Fatalf("only %d files were looked at", files)
	}
}

func lookForCanaries(ts *testscript.TestScript, where string, raw []byte) {
	for _, name := range strings.Fields(ts.Getenv("CANARIES")) {
		value := ts.Getenv(name)
		forms := map[string]string{
			"clear": value, "base64": base64.StdEncoding.EncodeToString([]byte(value)), "unpadded base64": base64.RawURLEncoding.EncodeToString([]byte(value)),
			"hex": hex.EncodeToString([]byte(value)), "URL form": url.QueryEscape(value), "JSON": strings.ReplaceAll(value, "/", `\/`),
		}
		for form, text := range forms {
			if bytes.Contains(raw, []byte(text)) {
				ts.Fatalf("%s holds %s in %s", where, name, form)
			}
		}
	}
}

// cmdBase64 demands that the last output is the base64 of a text.
func cmdBase64(ts *testscript.TestScript, _ bool, args []string) {
	want := base64.StdEncoding.EncodeToString([]byte(args[0]))
	if got := strings.TrimSpace(ts.ReadFile("stdout")); got != want {
		ts.Fatalf("it is %s, want %s", got, want)
	}
}
