package migration

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Mark begins every value of a draft that a person has to decide: "FILL IN: what is expected". No value that means
// something begins so.
const Mark = "FILL IN"

// marked reports whether a node is a mark, and what it says is expected.
func marked(n ast.Node) (string, bool) {
	s, ok := scalarText(n)
	if !ok || !strings.HasPrefix(s, Mark) {
		return "", false
	}
	return strings.TrimSpace(strings.TrimLeft(strings.TrimPrefix(s, Mark), ": ")), true
}

// mark reports a value that is left to fill in. Nothing else is said about it: it has no form yet.
func (w *walker) mark(n ast.Node, field string) bool {
	expected, ok := marked(n)
	if !ok {
		return false
	}
	p := pos(n)
	w.problems = append(w.problems, Problem{Line: p.line, Column: p.column, Field: field, What: "it is left to fill in", Mend: expected, FillIn: true})
	return true
}
