// Command testrun is what `make test` runs: go test, with the failures whole, every skipped test with its reason at the
// end, and a last line that counts. Packages behind -- come after all others and one by one: they measure what users notice, and
// a neighbour that takes the processors would be noticed too. What became of each test stays in bin/tests.json.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sort"
	"strings"

	"github.com/crossfade-project/crossfade/internal/devtools/testlog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	log, err := run(ctx, os.Args[1:])
	stop()
	if err == nil {
		err = log.Save(testlog.Last)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(1)
	}
	if !summary(log) {
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (*testlog.Log, error) {
	together, alone := args, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		together, alone = args[:i], args[i+1:]
	}
	log, err := testlog.Run(ctx, together, show)
	if err != nil || len(alone) == 0 {
		return log, err
	}
	more, err := testlog.Run(ctx, append([]string{"-timeout", "40m", "-count", "1", "-p", "1"}, alone...), show)
	if err != nil {
		return log, err
	}
	log.Tests, log.Packages = append(log.Tests, more.Tests...), append(log.Packages, more.Packages...)
	return log, nil
}

func show(p testlog.Package, tests []testlog.Result) {
	for _, t := range tests {
		if t.Action == "fail" {
			fmt.Print(strings.Join(t.Output, ""))
		}
	}
	switch {
	case p.Action == "fail":
		fmt.Print(strings.Join(p.Output, ""))
	case len(tests) > 0:
		fmt.Printf("ok  \t%s\t%.1fs%s\n", p.Name, p.Seconds, seeds(tests))
	}
}

// seeds are what the tests of a package say of the chance that chose their cases: "seed: 7 (…)".
func seeds(tests []testlog.Result) string {
	var said []string
	for _, t := range tests {
		for _, line := range t.Output {
			if _, seed, ok := strings.Cut(strings.TrimSpace(line), ".go:"); ok && strings.Contains(seed, ": seed: ") {
				_, seed, _ = strings.Cut(seed, ": ")
				if !slices.Contains(said, seed) {
					said = append(said, seed)
				}
			}
		}
	}
	if len(said) == 0 {
		return ""
	}
	return "\t" + strings.Join(said, ", ")
}

func summary(log *testlog.Log) bool {
	var passed, failed int
	var skipped []string
	for _, t := range log.Tests {
		switch t.Action {
		case "pass":
			passed++
		case "fail":
			failed++
		case "skip":
			skipped = append(skipped, fmt.Sprintf("  %s %s: %s", t.Package, t.Test, t.Reason()))
		}
	}
	broken := 0
	for _, p := range log.Packages {
		if p.Action == "fail" {
			broken++
		}
	}
	sort.Strings(skipped)
	if len(skipped) > 0 {
		fmt.Printf("\nskipped, with the reason:\n%s\n", strings.Join(skipped, "\n"))
	}
	if broken > 0 && failed == 0 {
		failed = broken // a package that does not build, or that panics, has no failed test to show
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", passed, failed, len(skipped))
	return failed == 0
}
