// Command criteria runs the tests that hold acceptance criteria and prints one line for each criterion of
// docs/criteria.md: held, failing or open, with its tests. With -last it goes by what the last make test left, and runs nothing.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/devtools/testlog"
)

const list = "docs/criteria.md"

func main() {
	raw, err := os.ReadFile(list)
	if err != nil {
		fmt.Fprintln(os.Stderr, "criteria:", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	log, err := results(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "criteria:", err)
		os.Exit(1)
	}
	if !report(parse(string(raw)), log) {
		os.Exit(1)
	}
}

func results(ctx context.Context, args []string) (*testlog.Log, error) {
	if slices.Equal(args, []string{"-last"}) {
		return testlog.Load(testlog.Last)
	}
	return testlog.Run(ctx, append([]string{"-count=1", "-run", `^(Test|Fuzz)[BCIKP][0-9][0-9]_`}, args...), nil)
}

// criterion is one row of the list.
type criterion struct{ id, text string }

// parse reads the rows "| B04 | text |".
func parse(doc string) []criterion {
	row := regexp.MustCompile(`(?m)^\|\s*([BCIKP]\d\d)\s*\|\s*(.*?)\s*\|\s*$`)
	var out []criterion
	for _, m := range row.FindAllStringSubmatch(doc, -1) {
		out = append(out, criterion{id: m[1], text: m[2]})
	}
	return out
}

func report(criteria []criterion, log *testlog.Log) bool {
	tests := map[string][]testlog.Result{}
	id := regexp.MustCompile(`^(?:Test|Fuzz)([BCIKP]\d\d)_`)
	for _, t := range log.Tests {
		m := id.FindStringSubmatch(t.Test)
		if m != nil && !strings.Contains(t.Test, "/") {
			tests[m[1]] = append(tests[m[1]], t)
		}
	}
	counts := map[string]int{}
	for _, c := range criteria {
		state, names := judge(tests[c.id])
		counts[state]++
		fmt.Printf("%s %-7s %s%s\n", c.id, state, c.text, names)
		delete(tests, c.id)
	}
	for unknown := range tests {
		fmt.Printf("%s failing it has tests but stands not in %s\n", unknown, list)
		counts["failing"]++
	}
	for _, p := range log.Packages {
		if p.Action == "fail" {
			fmt.Printf("%s failed\n%s", p.Name, strings.Join(p.Output, ""))
			counts["failing"] = max(counts["failing"], 1)
		}
	}
	fmt.Printf("criteria: %d held, %d failing, %d open\n", counts["held"], counts["failing"], counts["open"])
	return counts["failing"] == 0
}

// judge says held only when a test passed and none failed; a criterion whose tests were all skipped is open.
func judge(tests []testlog.Result) (state, names string) {
	state = "open"
	var list []string
	for _, t := range tests {
		switch t.Action {
		case "fail":
			state = "failing"
		case "pass":
			if state == "open" {
				state = "held"
			}
		}
		name := t.Test
		if t.Action == "skip" {
			name += " (skipped: " + t.Reason() + ")"
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	if len(list) > 0 {
		names = " [" + strings.Join(list, ", ") + "]"
	}
	return state, names
}
