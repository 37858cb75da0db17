// Package scaffoldtest does what a person does with a draft, and nothing else, so that tests can show that no more is needed.
package scaffoldtest

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// What takes a mark's line, or the section that holds it, out.
const (
	Line    = "-"
	Section = "section"
)

var markText = regexp.MustCompile(`"FILL IN[^"]*"`)

// Fill puts a value in the place of the mark of a field, or takes the mark's line or section out. Nothing but a mark can be
// changed by it: a field without one is an error.
func Fill(path, field, value string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("fill in %s: %w", field, err)
	}
	_, err = migration.Parse(path, raw)
	var invalid *migration.InvalidError
	if !errors.As(err, &invalid) {
		return fmt.Errorf("fill in %s: the file has no marks: %w", field, err)
	}
	i := slices.IndexFunc(invalid.Problems, func(p migration.Problem) bool { return p.FillIn && p.Field == field })
	if i < 0 {
		return fmt.Errorf("fill in %s: there is no such mark: %w", field, invalid)
	}
	lines := replace(strings.Split(string(raw), "\n"), invalid.Problems[i], value)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		return fmt.Errorf("fill in %s: %w", field, err)
	}
	return nil
}

func replace(lines []string, p migration.Problem, value string) []string {
	from, to := p.Line-1, p.Line
	switch value {
	case Line:
		return slices.Delete(lines, from, to)
	case Section:
		for from > 0 && strings.HasPrefix(lines[from], " ") {
			from--
		}
		for to < len(lines) && strings.HasPrefix(lines[to], " ") {
			to++
		}
		return slices.Delete(lines, from, to)
	}
	line := lines[from]
	at := markText.FindStringIndex(line[p.Column-1:])
	lines[from] = line[:p.Column-1] + value + line[p.Column-1+at[1]:]
	return lines
}
