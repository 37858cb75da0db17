package main

import (
	"fmt"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdConfigure sets one part of what a bucket is beside its objects from a file: configure one data policy policy.json.
func cmdConfigure(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(accountOf(ts, args[0]).Configure(args[1], args[2], ts.ReadFile(args[3])))
}

// cmdConfigured writes one part of what a bucket is beside its objects to standard output: configured two copy policy.
func cmdConfigured(ts *testscript.TestScript, _ bool, args []string) {
	_, _ = fmt.Fprintln(ts.Stdout(), accountOf(ts, args[0]).Configured(args[1], args[2]))
}
