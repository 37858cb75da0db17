package migration

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// Limits on what is taken for a migration file, so that a wrong or hostile one cannot fill the memory. A migration of a
// thousand applications is far below them.
const (
	maxSize = 1 << 20
	// maxDepth is how deep lists and mappings may lie in one another.
	maxDepth = 100
)

// readText reads a file, and no more of it than a migration file can have.
func readText(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return raw, err
}

// text checks that bytes are text, and returns it without a byte order mark.
func text(raw []byte) ([]byte, *Problem) {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	switch {
	case len(raw) > maxSize:
		return nil, &Problem{Line: 1, Column: 1, What: fmt.Sprintf("it is larger than %d MiB", maxSize>>20), Mend: "a migration file is far smaller: is it another file?"}
	case bytes.HasPrefix(raw, []byte("\xff\xfe")), bytes.HasPrefix(raw, []byte("\xfe\xff")):
		return nil, &Problem{Line: 1, Column: 1, What: "it is UTF-16", Mend: "save it as UTF-8"}
	}
	line, column := 1, 1
	for rest := raw; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			return nil, &Problem{Line: line, Column: column, What: fmt.Sprintf("the byte %#02x is not UTF-8", rest[0]), Mend: "save the file as UTF-8"}
		case r < ' ' && r != '\n' && r != '\r' && r != '\t':
			return nil, &Problem{Line: line, Column: column, What: fmt.Sprintf("it holds the control character %#02x", r), Mend: "a migration file is text: is it another file?"}
		case r == '\n':
			line, column = line+1, 0
		}
		rest, column = rest[size:], column+1
	}
	return raw, nil
}

// tokens splits text, and refuses what the parser would need very much memory for.
func tokens(raw []byte) (token.Tokens, *Problem) {
	list := lexer.Tokenize(string(raw))
	depth, dashes, line, documents := 0, 0, 0, 0
	// The columns at which the lines that hold the present one begin. The lexer's own count of levels does not come down again
	// after some lists, so that a file with many applications would look deep.
	var begins []int
	for _, t := range list {
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
			if depth == 0 {
				for len(begins) > 0 && begins[len(begins)-1] >= t.Position.Column {
					begins = begins[:len(begins)-1]
				}
				begins = append(begins, t.Position.Column)
			}
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			dashes++
		case token.DocumentHeaderType:
			documents++
		}
		at := Problem{Line: t.Position.Line, Column: t.Position.Column}
		if depth > maxDepth || dashes > maxDepth || len(begins) > maxDepth {
			at.What, at.Mend = fmt.Sprintf("it is nested more than %d deep", maxDepth), "nothing in a migration file is"
			return nil, &at
		}
		if documents > maxDepth {
			at.What, at.Mend = fmt.Sprintf("it holds more than %d YAML documents", maxDepth), "write exactly one"
			return nil, &at
		}
	}
	return list, nil
}
