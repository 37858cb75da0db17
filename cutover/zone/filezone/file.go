package filezone

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// file is a zone file as it was read.
type file struct {
	apex    string
	text    string
	entries []dnsx.ZoneEntry
	records []dnsx.Record
}

func parse(text, apex string) (*file, error) {
	f := &file{apex: apex, text: text}
	var err error
	if f.entries, err = dnsx.ParseZoneFile(text, apex); err != nil {
		return nil, err
	}
	soas := 0
	for _, e := range f.entries {
		if e.Record == nil {
			continue
		}
		if !dnsx.InZone(e.Record.Name, apex) {
			return nil, fmt.Errorf("%w: line %d: %s is not in the zone %s", dnsx.ErrZoneFile, e.Line, e.Record.Name, apex)
		}
		if e.Record.Type == "SOA" && e.Record.Name == apex {
			soas++
		}
		f.records = append(f.records, *e.Record)
	}
	if soas != 1 {
		return nil, fmt.Errorf("%w: it has %d SOA records of %s", dnsx.ErrZoneFile, soas, apex)
	}
	return f, nil
}

// changeable refuses what must be changed by other means.
func (f *file) changeable() error {
	for _, r := range f.records {
		switch r.Type {
		case "RRSIG", "NSEC", "NSEC3":
			return &zone.Error{
				Op: "change the zone file of " + f.apex, Hint: "change the file from which it is signed",
				Err: fmt.Errorf("%w: the file is signed: it holds a %s", zone.ErrInvalid, r.Type),
			}
		}
	}
	return nil
}

func (f *file) set(name, typ string) (zone.RRset, bool) {
	set := dnsx.Gather(f.records, name, typ)
	return zone.RRset(set), len(set.Data) > 0
}

// sets returns all sets, sorted by name and type.
func (f *file) sets() []zone.RRset {
	groups := map[[2]string][]dnsx.Record{}
	for _, r := range f.records {
		groups[[2]string{r.Name, r.Type}] = append(groups[[2]string{r.Name, r.Type}], r)
	}
	var out []zone.RRset
	for key, group := range groups {
		out = append(out, zone.RRset(dnsx.Gather(group, key[0], key[1])))
	}
	slices.SortFunc(out, func(a, b zone.RRset) int { return strings.Compare(a.Name+" "+a.Type, b.Name+" "+b.Type) })
	return out
}

// names returns the owner of every record.
func (f *file) names() []string {
	var out []string
	for _, r := range f.records {
		out = append(out, r.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// touched returns what a name holds of the types that a change touches.
func (f *file) touched(change zone.Change) []zone.RRset {
	var out []zone.RRset
	for _, typ := range change.Touched() {
		if set, ok := f.set(change.Name, typ); ok {
			out = append(out, set)
		}
	}
	return out
}

// accompanied says of a change's companions what differs from how they are before the change, and from how they are after
// it.
func (f *file) accompanied(change zone.Change) (before, after error) {
	for _, w := range change.With {
		found, _ := f.set(w.Old.Name, w.Old.Type)
		if !dnsx.RRset(found).Equal(dnsx.RRset(w.Old)) {
			before = fmt.Errorf("%w: %s holds %s, expected %s", zone.ErrMoved, w.Old.Name, zone.Describe([]zone.RRset{found}), zone.Describe([]zone.RRset{w.Old}))
		}
		if !dnsx.RRset(found).Equal(dnsx.RRset(w.New)) {
			after = fmt.Errorf("%w: %s holds %s, not %s", zone.ErrMoved, w.New.Name, zone.Describe([]zone.RRset{found}), zone.Describe([]zone.RRset{w.New}))
		}
	}
	return before, after
}

// token returns the text of a fence, empty where there is none.
func (f *file) token(name string) string {
	set, _ := f.set(name, "TXT")
	var tokens []string
	for _, data := range set.Data {
		parts, err := dnsx.TextParts(data)
		if err != nil {
			return data // nobody's token
		}
		tokens = append(tokens, strings.Join(parts, ""))
	}
	return strings.Join(tokens, " ")
}

func (f *file) checkFence(fence zone.Fence) error {
	if fence.Name == "" {
		return nil
	}
	if found := f.token(fence.Name); found != fence.Token {
		return &zone.FencedError{Fence: fence, Found: found}
	}
	return nil
}
