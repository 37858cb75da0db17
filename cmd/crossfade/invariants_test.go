package main

import (
	"encoding/base64"
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

// Whatever was frozen, and however far it was, a rollback leaves every spec and record of blue as it found them.
func TestI06_ARollbackFromAnyPointGivesBlueBackExactly(t *testing.T) { invariant(t, "i06") }

// A job that could fire on both sides would write twice.
func TestI07_JobsSleepOnOneSideBeforeTheyWakeOnTheOther(t *testing.T) { invariant(t, "i07") }

// A secret in clear in any file or output of a whole migration is a leak.
func TestI09_NoSecretIsInClearInFilesOrOutput(t *testing.T) { invariant(t, "i09") }

// What goes wrong complains of the place and not of the secret, whatever others say.
func TestI09_NoErrorRepeatsASecret(t *testing.T) { invariant(t, "i09-errors") }

// Neither --yes, nor a run, nor a certificate alone destroys blue.
func TestI10_BlueIsDestroyedOnlyWithCertificateAndTypedName(t *testing.T) { invariant(t, "i10") }

// cmdBase64 demands that the last output is the base64 of a text.
func cmdBase64(ts *testscript.TestScript, _ bool, args []string) {
	want := base64.StdEncoding.EncodeToString([]byte(args[0]))
	if got := strings.TrimSpace(ts.ReadFile("stdout")); got != want {
		ts.Fatalf("it is %s, want %s", got, want)
	}
}
