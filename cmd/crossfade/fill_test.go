package main

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crossfade-project/crossfade/internal/scaffold/scaffoldtest"
)

// cmdFill fills in one mark of a draft, and can do nothing else: fill FILE FIELD VALUE, or - for the mark's line, or section.
func cmdFill(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: fill FILE FIELD VALUE|-|section")
	}
	ts.Check(scaffoldtest.Fill(ts.MkAbs(args[0]), args[1], os.Expand(args[2], ts.Getenv)))
}
