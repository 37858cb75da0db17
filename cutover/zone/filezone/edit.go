package filezone

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// replace returns the file's text with the given sets in the place of those that are there; one without data is removed.
// The serial is raised. Lines that are not concerned stay as they are, byte for byte.
func (f *file) replace(sets []zone.RRset) (string, error) {
	if err := f.changeable(); err != nil {
		return "", err
	}
	left := map[string][]string{} // data that is still to be written, by name and type
	ttls := map[string]uint32{}
	for _, set := range sets {
		left[set.Name+" "+set.Type], ttls[set.Name+" "+set.Type] = slices.Clone(set.Data), set.TTL
	}
	// What stays as it is keeps its line.
	keep := make([]bool, len(f.entries))
	for i, e := range f.entries {
		keep[i] = true
		if e.Record == nil {
			continue
		}
		key := e.Record.Name + " " + e.Record.Type
		data, concerned := left[key]
		if !concerned {
			continue
		}
		j := slices.Index(data, e.Record.Data)
		if keep[i] = j >= 0 && e.Record.TTL == ttls[key]; keep[i] {
			left[key] = slices.Delete(data, j, j+1)
		}
	}
	w := writer{eol: "\n"}
	if strings.Contains(f.text, "\r\n") {
		w.eol = "\r\n"
	}
	for i, e := range f.entries {
		switch {
		case keep[i] && e.Record != nil && e.Record.Type == "SOA":
			text, err := raiseSerial(e)
			if err != nil {
				return "", err
			}
			e.Text = text
			w.keep(e)
		case keep[i]:
			w.keep(e)
		default:
			// A new record takes the line of the old one, with its comment.
			key := e.Record.Name + " " + e.Record.Type
			if data := left[key]; len(data) > 0 {
				w.write(e.Record.Name, e.Record.Type, ttls[key], data[0], e.Comment())
				left[key] = data[1:]
			}
		}
	}
	for _, set := range sets {
		for _, data := range left[set.Name+" "+set.Type] {
			w.write(set.Name, set.Type, set.TTL, data, "")
		}
	}
	text := w.out.String()
	return text, f.check(text, sets)
}

// writer puts a file together and knows whose record the last one was.
type writer struct {
	out   strings.Builder
	owner string
	eol   string
}

// keep writes an entry as it stands. One that has the owner of the record before it is given its own where that record is
// another's now.
func (w *writer) keep(e dnsx.ZoneEntry) {
	w.endLine()
	if e.Record != nil {
		if e.Inherits && w.owner != e.Record.Name {
			w.out.WriteString(e.Record.Name)
			if e.Text[0] == '(' {
				w.out.WriteString(" ")
			}
		}
		w.owner = e.Record.Name
	}
	w.out.WriteString(e.Text)
}

func (w *writer) write(name, typ string, ttl uint32, data, comment string) {
	w.endLine()
	fmt.Fprintf(&w.out, "%s\t%d\tIN\t%s\t%s", name, ttl, typ, data)
	if comment != "" {
		w.out.WriteString(" " + comment)
	}
	w.out.WriteString(w.eol)
	w.owner = name
}

// endLine ends a last line that has no break.
func (w *writer) endLine() {
	if text := w.out.String(); text != "" && !strings.HasSuffix(text, "\n") {
		w.out.WriteString(w.eol)
	}
}

// raiseSerial returns a SOA's text with the next serial (RFC 1982), and nothing else changed.
func raiseSerial(e dnsx.ZoneEntry) (string, error) {
	fail := fmt.Errorf("%w: line %d: no serial was found in the SOA", dnsx.ErrZoneFile, e.Line)
	words := e.ZoneWords()
	word := func(i int) string { return e.Text[words[i].From:words[i].To] }
	from := 1 // the first word is the owner
	if e.Inherits {
		from = 0
	}
	for i := from; i+3 < len(words); i++ {
		if !strings.EqualFold(word(i), "SOA") {
			continue
		}
		serial, err := strconv.ParseUint(word(i+3), 10, 32)
		if err != nil {
			return "", fail
		}
		next := uint32(serial) + 1
		if next == 0 {
			next = 1 // 0 means "none" to some servers
		}
		at := words[i+3]
		return e.Text[:at.From] + strconv.FormatUint(uint64(next), 10) + e.Text[at.To:], nil
	}
	return "", fail
}

// check reads the new text: the sets are there, and every other record is as it was.
func (f *file) check(text string, sets []zone.RRset) error {
	now, err := parse(text, f.apex)
	if err != nil {
		return fmt.Errorf("the edited file cannot be read any more: %w", err)
	}
	concerned := func(s zone.RRset) bool {
		return s.Type == "SOA" || slices.ContainsFunc(sets, func(o zone.RRset) bool { return o.Name == s.Name && o.Type == s.Type })
	}
	before, after := slices.DeleteFunc(f.sets(), concerned), slices.DeleteFunc(now.sets(), concerned)
	if !zone.SameSets(before, after) {
		return &zone.Error{
			Op: "edit the zone file", Hint: "give the file a $TTL, so that no record takes its TTL from the one before it",
			Err: fmt.Errorf("%w: another record would change with it", zone.ErrInvalid),
		}
	}
	for _, want := range sets {
		got, ok := now.set(want.Name, want.Type)
		if ok != (len(want.Data) > 0) || ok && !dnsx.RRset(got).Equal(dnsx.RRset(want)) {
			return fmt.Errorf("%w: the edited file would hold %s", zone.ErrInvalid, zone.Describe([]zone.RRset{got}))
		}
	}
	return nil
}
