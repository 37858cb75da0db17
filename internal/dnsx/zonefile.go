package dnsx

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// ErrZoneFile says that a text is no zone file that can be read entry by entry.
var ErrZoneFile = errors.New("not a zone file that can be read")

// A ZoneEntry is one entry of a zone file (RFC 1035 section 5.1): a record over one or more lines, a directive, a comment
// or an empty line. The entries' texts, one after the other, are the file.
type ZoneEntry struct {
	// Text is the entry as it stands, with its line break.
	Text string
	// Record is set for a record.
	Record *Record
	// Inherits is set where a record has the owner of the record before it.
	Inherits bool
	// Line is the entry's first line, from 1 on.
	Line int
}

// ParseZoneFile reads a zone file whose names are relative to an origin. Files that include or generate others are
// refused: who changes them must change another file.
func ParseZoneFile(text, origin string) ([]ZoneEntry, error) {
	r := zoneReader{origin: origin}
	var entries []ZoneEntry
	line := 1
	for text != "" {
		n, err := entryLength(text)
		if err == nil {
			var entry ZoneEntry
			if entry, err = r.entry(text[:n]); err == nil {
				entry.Line = line
				entries = append(entries, entry)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrZoneFile, line, err)
		}
		line += strings.Count(text[:n], "\n")
		text = text[n:]
	}
	return entries, nil
}

// zoneReader is what an entry means depends on: what stood before it.
type zoneReader struct {
	origin string
	owner  string // of the last record
	ttl    uint32 // of $TTL, or of the last record that stated one
	hasTTL bool
	fixed  bool // by $TTL
}

func (r *zoneReader) entry(text string) (ZoneEntry, error) {
	out := ZoneEntry{Text: text}
	words := zoneWords(text)
	if len(words) == 0 {
		return out, nil
	}
	first := text[words[0].From:words[0].To]
	if strings.HasPrefix(first, "$") {
		return out, r.directive(strings.ToUpper(first), words, text)
	}
	whole := text
	if out.Inherits = text[0] == ' ' || text[0] == '\t' || text[0] == '('; out.Inherits {
		if r.owner == "" {
			return out, errors.New("the first record has no owner")
		}
		whole = r.owner + " " + text
	}
	parser := dns.NewZoneParser(strings.NewReader(whole), r.origin, "")
	if r.hasTTL {
		parser.SetDefaultTTL(r.ttl)
	}
	rr, ok := parser.Next()
	if !ok {
		return out, errors.Join(errors.New("no record"), parser.Err())
	}
	if _, more := parser.Next(); more || parser.Err() != nil {
		return out, errors.Join(errors.New("more than one record"), parser.Err())
	}
	record, err := FromRR(rr)
	if err != nil {
		return out, err
	}
	r.owner = record.Name
	if !r.fixed {
		r.ttl, r.hasTTL = record.TTL, true
	}
	out.Record = &record
	return out, nil
}

func (r *zoneReader) directive(name string, words []ZoneWord, text string) error {
	if len(words) < 2 {
		return fmt.Errorf("%s says nothing", name)
	}
	value := text[words[1].From:words[1].To]
	switch name {
	case "$ORIGIN":
		if !strings.HasSuffix(value, ".") {
			value += "." + strings.TrimPrefix(r.origin, ".")
		}
		origin, err := Canonical(value)
		if err != nil {
			return err
		}
		r.origin = origin
		return nil
	case "$TTL":
		// The library knows the units; a record shows what it makes of them.
		parser := dns.NewZoneParser(strings.NewReader("$TTL "+value+"\nx. IN A 192.0.2.1\n"), ".", "")
		rr, ok := parser.Next()
		if !ok {
			return fmt.Errorf("$TTL %s: %w", value, parser.Err())
		}
		r.ttl, r.hasTTL, r.fixed = rr.Header().Ttl, true, true
		return nil
	}
	return fmt.Errorf("%s is not supported", name)
}

// entryLength returns where the first entry of a text ends: at the first line break outside of parentheses and quotes.
func entryLength(text string) (int, error) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			end := quoteEnd(text, i)
			if end < 0 {
				return 0, errors.New("a quote is not closed")
			}
			i = end
		case ';':
			for i < len(text) && text[i] != '\n' {
				i++
			}
			i-- // the line break is looked at next
		case '(':
			depth++
		case ')':
			depth--
		case '\n':
			if depth <= 0 {
				return i + 1, nil
			}
		}
	}
	if depth > 0 {
		return 0, errors.New("a parenthesis is not closed")
	}
	return len(text), nil
}

// quoteEnd returns where the quote that begins at i is closed, on the same line.
func quoteEnd(text string, i int) int {
	for j := i + 1; j < len(text) && text[j] != '\n'; j++ {
		switch text[j] {
		case '\\':
			j++
		case '"':
			return j
		}
	}
	return -1
}

// A ZoneWord is where a word of an entry stands in its text.
type ZoneWord struct{ From, To int }

// ZoneWords returns the words of an entry, without parentheses and comments.
func (e ZoneEntry) ZoneWords() []ZoneWord { return zoneWords(e.Text) }

// Comment returns the comment at an entry's end, from its semicolon on, where the entry is one line. Else it is empty.
func (e ZoneEntry) Comment() string {
	line := strings.TrimRight(e.Text, "\r\n")
	if strings.Contains(line, "\n") {
		return ""
	}
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			if end := quoteEnd(line, i); end > 0 {
				i = end
			}
		case ';':
			return line[i:]
		}
	}
	return ""
}

func zoneWords(text string) []ZoneWord {
	var out []ZoneWord
	from := -1
	end := func(i int) {
		if from >= 0 {
			out = append(out, ZoneWord{from, i})
			from = -1
		}
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ' ', '\t', '\r', '\n', '(', ')':
			end(i)
			continue
		case ';':
			end(i)
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
			continue
		}
		if from < 0 {
			from = i
		}
		switch text[i] {
		case '\\':
			i++
		case '"':
			if j := quoteEnd(text, i); j > 0 {
				i = j
			}
		}
	}
	end(len(text))
	return out
}
