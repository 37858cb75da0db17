package externaldns

import (
	"slices"
	"strings"
)

// Affix is how an installation names its ownership records. The zero value is external-dns's default.
type Affix struct {
	// Prefix and Suffix are --txt-prefix and --txt-suffix, each with %{record_type} or without.
	Prefix string `json:"prefix,omitempty"`
	Suffix string `json:"suffix,omitempty"`
	// Wildcard is --txt-wildcard-replacement: it stands for the asterisk of a wildcard.
	Wildcard string `json:"wildcard,omitempty"`
}

// recordType is the template that a prefix or a suffix may hold.
const recordType = "%{record_type}"

// A Place is where an ownership TXT may stand.
type Place struct {
	Name string `json:"name"`
	// Type is the record type that the name tells; empty in the first format, which did not.
	Type string `json:"type,omitempty"`
}

// Places returns where the ownership of a name's records of some types may be written, names fully qualified: with the
// record's type (versions from 0.12 on), and without it (before, and beside it until 0.17). An alias of AWS is an A record
// whose TXT older versions wrote as that of a CNAME. A CNAME has no place at its own name: nothing stands beside it.
func (a Affix) Places(name string, types ...string) []Place {
	var out []Place
	add := func(at string, typ string) {
		alone := at == name && slices.Contains(types, "CNAME")
		if !alone && !slices.ContainsFunc(out, func(p Place) bool { return p.Name == at }) {
			out = append(out, Place{Name: at, Type: typ})
		}
	}
	for _, typ := range types {
		add(a.typed(name, typ), typ)
	}
	if slices.Contains(types, "A") {
		add(a.typed(name, "CNAME"), "CNAME")
	}
	if slices.Contains(types, "A") || slices.Contains(types, "CNAME") {
		add(a.plain(name), "")
	}
	return out
}

// typed is the form with the record's type: where the affix has a place for it, there; else before the first label.
func (a Affix) typed(name, typ string) string {
	typ = strings.ToLower(typ)
	label, rest := a.split(name)
	if !strings.Contains(a.Prefix, recordType) && !strings.Contains(a.Suffix, recordType) {
		label = typ + "-" + label
	}
	return fill(a.Prefix, typ) + label + fill(a.Suffix, typ) + rest
}

// plain is the first format. Its template was left out.
func (a Affix) plain(name string) string {
	label, rest := a.split(name)
	return fill(a.Prefix, "") + label + fill(a.Suffix, "") + rest
}

func (a Affix) split(name string) (label, rest string) {
	label, rest, _ = strings.Cut(name, ".")
	if label == "*" && a.Wildcard != "" {
		label = strings.ToLower(a.Wildcard)
	}
	return label, "." + rest
}

func fill(affix, typ string) string {
	return strings.ReplaceAll(strings.ToLower(affix), recordType, typ)
}
