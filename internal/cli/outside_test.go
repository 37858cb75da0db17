package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestWhatComesFromOutsideStaysOnItsLineAndShowsWhatCannotBePrinted(t *testing.T) {
	for text, want := range map[string][2]string{ // a line, and a name
		"a/b c.jpg":       {"a/b c.jpg", "a/b c.jpg"},
		"grün/日本":         {"grün/日本", "grün/日本"},
		"":                {"", ""},
		"a\nb":            {`a\nb`, `"a\nb"`},
		"\x1b[31mred\a":   {`\x1b[31mred\a`, `"\x1b[31mred\a"`},
		"c1 \u009b31m":    {`c1 \u009b31m`, `"c1 \u009b31m"`},
		"\u202egnp.exe":   {`\u202egnp.exe`, `"\u202egnp.exe"`},
		"bad\xff, \ufffd": {`bad\xff, ` + "\ufffd", `"bad\xff, ` + "\ufffd\""},
		`"quoted"`:        {`"quoted"`, `"\"quoted\""`},
	} {
		if got := Line(text); got != want[0] {
			t.Errorf("Line(%q) = %q, want %q", text, got, want[0])
		}
		if got := Quoted(text); got != want[1] {
			t.Errorf("Quoted(%q) = %q, want %q", text, got, want[1])
		}
	}
	if got := Lines("a\n\x1bb\n"); got != "a\n\\x1bb\n" {
		t.Errorf("Lines gives %q", got)
	}
}

func TestATextOfSeveralLinesOnOne(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "",
		"one":                   "one",
		"  - one ":              "  - one ",
		"read: no\nread: never": "read: no; read: never",
		"is refused:\n  a: \x1b why\n    mend: do;\n\n  b: why\n": `is refused: a: \x1b why; mend: do; b: why`,
	} {
		if got := OneLine(text); got != want {
			t.Errorf("OneLine(%q) = %q, want %q", text, got, want)
		}
	}
	var out strings.Builder
	p := NewProgress(&out, false)
	p.Line("swap/shop: %v", errors.Join(errors.New("one"), errors.New("two")))
	if !strings.HasSuffix(out.String(), "  swap/shop: one; two\n") {
		t.Errorf("progress says %q", out.String())
	}
	out.Reset()
	if err := Table(&out, []string{"what"}, [][]string{{"one\ntwo"}}); err != nil || !strings.HasSuffix(out.String(), "one; two\n") {
		t.Errorf("a table says %q, %v", out.String(), err)
	}
}

func TestTheNameOfAFileMakesNoLineOfAnError(t *testing.T) {
	file := func(name string) error { return &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission} }
	err := fmt.Errorf("copy: %w", errors.Join(fmt.Errorf("read: %w", file("d/a\nFORGED\x1b")), file("plain")))
	if got, want := Error(err), "copy: read: open \"d/a\\nFORGED\\x1b\": permission denied\nopen plain: permission denied"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
