// Package score is how benchmarks say which of their targets are met.
package score

import (
	"fmt"
	"io"
)

// A Verdict is one target, and whether it is met.
type Verdict struct {
	Work string // that was measured; empty where Text says it
	Text string
	Met  bool
}

// String is the verdict in one line.
func (v Verdict) String() string {
	text, word := v.Text, "missed"
	if v.Work != "" {
		text = v.Work + ": " + text
	}
	if v.Met {
		word = "met"
	}
	return text + ": " + word
}

// Print writes the verdicts after an empty line, and last how many are met: "bench-cutover: 4 of 4 targets met".
func Print(w io.Writer, name string, verdicts []Verdict) error {
	met := 0
	text := "\n"
	for _, v := range verdicts {
		text += v.String() + "\n"
		if v.Met {
			met++
		}
	}
	_, err := fmt.Fprintf(w, "%s%s: %d of %d targets met\n", text, name, met, len(verdicts))
	return err
}
