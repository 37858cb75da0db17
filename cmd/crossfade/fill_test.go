package main

import (
	"errors"
	"os"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crossfade-project/crossfade"
)

// cmdFill does what a person does with a draft, and nothing else: it puts a value in the place of the one mark of a field, or takes
// the mark's line out, or its whole section: fill FILE FIELD VALUE, fill FILE FIELD -, fill FILE FIELD section. A field without a
// mark is an error.
func cmdFill(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: fill FILE FIELD VALUE|-|section")
	}
	text, err := fill(ts.MkAbs(args[0]), args[1], os.Expand(args[2], ts.Getenv))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

var markText = regexp.MustCompile(`"FILL IN[^"]*"`)

func fill(path, field, value string) (string, error) {
	_, err := crossfade.Load(path)
	var invalid *crossfade.InvalidError
	if !errors.As(err, &invalid) {
		return "", errors.Join(errors.New("the file has no marks"), err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	lines := strings.Split(string(raw), "\n")
	for _, p := range invalid.Problems {
		if !p.FillIn || p.Field != field {
			continue
		}
		line := lines[p.Line-1]
		if value == "section" {
			from, to := p.Line-1, p.Line
			for strings.HasPrefix(lines[from], " ") {
				from--
			}
			for to < len(lines) && strings.HasPrefix(lines[to], " ") {
				to++
			}
			return strings.Join(append(lines[:from:from], lines[to:]...), "\n"), nil
		}
		if value == "-" {
			return strings.Join(append(lines[:p.Line-1:p.Line-1], lines[p.Line:]...), "\n"), nil
		}
		at := markText.FindStringIndex(line[p.Column-1:])
		lines[p.Line-1] = line[:p.Column-1] + value + line[p.Column-1+at[1]:]
		return strings.Join(lines, "\n"), nil
	}
	return "", errors.New("there is no mark at " + field + ": " + invalid.Error())
}
