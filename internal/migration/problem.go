package migration

import (
	"fmt"
	"sort"
	"strings"
)

// Problem is one thing that is wrong with a migration file.
type Problem struct {
	Line   int // from 1
	Column int // from 1
	// Field is the path of the field: applications[0].wave.
	Field string
	What  string
	Mend  string
	// FillIn says that a draft of the file left this to a person.
	FillIn bool
	// Retirement says that only the end of blue asks for it: it must not keep the way back up.
	Retirement bool
}

// InvalidError lists everything that is wrong with a migration file.
type InvalidError struct {
	File     string
	Problems []Problem
}

// maxShown is how many problems are written out.
const maxShown = 50

// Error lists the problems, one a line, in the form file:line:column: field: what (mend).
func (e *InvalidError) Error() string {
	sort.SliceStable(e.Problems, func(i, k int) bool { return e.Problems[i].Line < e.Problems[k].Line })
	lines := make([]string, 0, min(len(e.Problems), maxShown+1))
	for i, p := range e.Problems {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("%s: and %d more", e.File, len(e.Problems)-i))
			break
		}
		s := fmt.Sprintf("%s:%d:%d: ", e.File, p.Line, p.Column)
		if p.Field != "" {
			s += p.Field + ": "
		}
		s += p.What
		if p.Mend != "" {
			s += " (" + p.Mend + ")"
		}
		lines = append(lines, s)
	}
	return strings.Join(lines, "\n")
}
