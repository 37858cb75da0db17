package migration

import (
	"fmt"
	"strings"
)

// Place says where the file speaks of something by its name: of a hostname, with or without its last dot, of an application, of
// a check of one (`shop: check "page"`), of a zone, or of one of its own fields. It is empty for what the file does not name.
func (d *Document) Place(what string) string {
	name := bare(what)
	for i, a := range d.Applications {
		for j, h := range a.Hostnames {
			if bare(h.Name) == name {
				return d.place(fmt.Sprintf("applications[%d].hostnames[%d].name", i, j))
			}
		}
	}
	for i, a := range d.Applications {
		if a.Name == what {
			return d.place(fmt.Sprintf("applications[%d].name", i))
		}
		for j, c := range a.Checks {
			if field, ok := strings.CutPrefix(what, fmt.Sprintf("%s: check %q", a.Name, c.Name)); ok {
				check := fmt.Sprintf("applications[%d].checks[%d]", i, j)
				// A check's part is named by its own field.
				for _, kind := range []string{".prometheus.", "."} {
					if at := d.place(check + kind + strings.TrimPrefix(field, ": ")); field != "" && at != "" {
						return at
					}
				}
				return d.place(check)
			}
		}
	}
	for i, z := range d.Zones {
		if bare(z.Name) == name {
			return d.place(fmt.Sprintf("zones[%d].name", i))
		}
	}
	if what == "" {
		return ""
	}
	return d.place(what)
}

func (d *Document) place(field string) string {
	at, ok := d.at[field]
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d: %s", d.Path, at.line, at.column, field)
}
