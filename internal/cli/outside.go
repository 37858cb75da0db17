package cli

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What comes from outside (the keys of objects, names of files, values in a store) is never written to a terminal as it is: whoever may
// write a key could else forge lines of a result, or colours, or whatever a terminal does at an escape.

// Quoted is a name from outside for people: as it is where every character of it can be printed, else in quotes, as Go writes them.
func Quoted(name string) string {
	if printable(name) && !strings.HasPrefix(name, `"`) {
		return name
	}
	return strconv.Quote(name)
}

// Line is a text that stays on one line: whatever cannot be printed is escaped, ends of lines too.
func Line(text string) string {
	if printable(text) {
		return text
	}
	var b strings.Builder
	for text != "" {
		_, n := utf8.DecodeRuneInString(text)
		if printable(text[:n]) {
			b.WriteString(text[:n])
		} else {
			quoted := strconv.Quote(text[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[n:]
	}
	return b.String()
}

// Lines is a text of several lines, each of which stays one.
func Lines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Line(line)
	}
	return strings.Join(lines, "\n")
}

// OneLine is a text that may be of several lines, as an error of several is, on one: what stood on the next one follows behind a semicolon,
// or as it is where it belongs to a colon. A text of one line keeps its spaces.
func OneLine(text string) string {
	if !strings.Contains(text, "\n") {
		return Line(text)
	}
	var out strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		switch so := out.String(); {
		case line == "" || so == "":
		case strings.HasSuffix(so, ":"), strings.HasSuffix(so, ";"):
			out.WriteString(" ")
		default:
			out.WriteString("; ")
		}
		out.WriteString(line)
	}
	return Line(out.String())
}

// Error is what an error says, which may be several lines; the names of files in it make none.
func Error(err error) string {
	text := err.Error()
	for _, path := range paths(err) {
		if !printable(path) {
			text = strings.ReplaceAll(text, path, Quoted(path))
		}
	}
	return Lines(text)
}

// paths are the files that an error names.
func paths(err error) (names []string) {
	if file, ok := err.(*fs.PathError); ok { //nolint:errorlint // each error of the chain is looked at by itself
		return []string{file.Path}
	}
	switch wraps := err.(type) { //nolint:errorlint // likewise
	case interface{ Unwrap() []error }:
		for _, one := range wraps.Unwrap() {
			names = append(names, paths(one)...)
		}
	default:
		if one := errors.Unwrap(err); one != nil {
			return paths(one)
		}
	}
	return names
}

// printable reports whether each character of a text shows as itself. What turns the direction of writing, or stands for a byte that
// is no UTF-8, does not.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) })
}
