package zone

import (
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Conflicting returns the types of which no set may stand at the name when the change is made: those that change.Old
// does not hold and that could not stand beside change.New. A CNAME stands beside nothing (RFC 1034 section 3.6.2), so
// that for a new CNAME these are all types that a zone's owner writes.
func (c Change) Conflicting() []string {
	types := []string{"CNAME"}
	if slices.ContainsFunc(c.New, func(s RRset) bool { return s.Type == "CNAME" }) {
		types = []string{
			"CNAME", "A", "AAAA", "TXT", "MX", "SRV", "CAA", "HTTPS", "SVCB", "NS", "DNAME", "PTR", "NAPTR", "TLSA", "SSHFP",
			"LOC", "URI", "HINFO", "DS", "SPF", "CERT", "OPENPGPKEY", "SMIMEA",
		}
	}
	for _, set := range c.New {
		if !slices.Contains(types, set.Type) {
			types = append(types, set.Type)
		}
	}
	return slices.DeleteFunc(types, func(t string) bool {
		return slices.ContainsFunc(c.Old, func(s RRset) bool { return s.Type == t })
	})
}

// Touched returns the types of Old and New, sorted.
func (c Change) Touched() []string {
	var types []string
	for _, set := range slices.Concat(c.Old, c.New) {
		types = append(types, set.Type)
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// Normal returns the change with its names and data in the one form that can be compared, or ErrInvalid where no zone
// could ever carry it out. Drivers call it first.
func (c Change) Normal(apex string) (Change, error) {
	fail := func(hint, format string, args ...any) (Change, error) {
		return Change{}, &Error{Op: "check the change of " + c.Name, Hint: hint, Err: fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)}
	}
	name, err := dnsx.Canonical(c.Name)
	if err != nil {
		return fail("", "%w", err)
	}
	if !dnsx.InZone(name, apex) {
		return fail("choose the zone that holds the name", "%s is not in the zone %s", name, apex)
	}
	if len(c.New) == 0 && !c.Remove {
		return fail("set Remove where the name is to lose its answer", "it would leave %s without an answer", name)
	}
	if len(c.New) > 0 && c.Remove {
		return fail("", "it removes and also adds")
	}
	out := c
	out.Name = name
	if out.Old, err = normalSets(name, c.Old); err != nil {
		return fail("", "old: %w", err)
	}
	if out.New, err = normalSets(name, c.New); err != nil {
		return fail("", "new: %w", err)
	}
	if name == apex && slices.ContainsFunc(out.New, func(s RRset) bool { return s.Type == "CNAME" }) {
		return fail("use A and AAAA records there, which are replaced together", "an apex cannot hold a CNAME")
	}
	if c.Fence.Name != "" || c.Fence.Token != "" {
		if out.Fence, err = c.Fence.Normal(apex); err != nil {
			return fail("", "fence: %w", err)
		}
		if out.Fence.Name == name {
			return fail("", "the fence stands at the name that it guards")
		}
	}
	if out.With, err = normalCompanions(out, c.With, apex); err != nil {
		return fail("", "%w", err)
	}
	return out, nil
}

// Alone returns ErrInvalid for a change that has companions: for zones that cannot change several names in one go.
func Alone(c Change) error {
	if len(c.With) == 0 {
		return nil
	}
	return &Error{
		Op: "check the change of " + c.Name, Hint: "change the records one after the other, while nobody acts on what they say together",
		Err: fmt.Errorf("%w: this provider cannot change %s in the same transaction", ErrInvalid, c.With[0].Old.Name),
	}
}

// normalCompanions checks the companions of a change whose other parts are in normal form.
func normalCompanions(c Change, with []Companion, apex string) ([]Companion, error) {
	var out []Companion
	for _, w := range with {
		var both [2]RRset
		for i, set := range []RRset{w.Old, w.New} {
			name, err := dnsx.Canonical(set.Name)
			if err != nil {
				return nil, fmt.Errorf("companion: %w", err)
			}
			normal, err := normalSets(name, []RRset{set})
			if err != nil {
				return nil, fmt.Errorf("companion: %w", err)
			}
			both[i] = normal[0]
		}
		old, to := both[0], both[1]
		switch {
		case old.Type != "TXT" || to.Type != "TXT":
			return nil, fmt.Errorf("the companion at %s is no TXT", old.Name)
		case old.Name != to.Name:
			return nil, fmt.Errorf("the companion at %s would move to %s", old.Name, to.Name)
		case !dnsx.InZone(old.Name, apex):
			return nil, fmt.Errorf("the companion at %s is not in the zone %s", old.Name, apex)
		case old.Name == c.Name && slices.Contains(c.Touched(), "TXT"), old.Name == c.Fence.Name,
			slices.ContainsFunc(out, func(o Companion) bool { return o.Old.Name == old.Name }):
			return nil, fmt.Errorf("the companion at %s is changed in two ways", old.Name)
		}
		out = append(out, Companion{Old: old, New: to})
	}
	return out, nil
}

// Normal returns the fence with its name in canonical form, or ErrInvalid.
func (f Fence) Normal(apex string) (Fence, error) {
	name, err := dnsx.Canonical(f.Name)
	if err != nil {
		return Fence{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !dnsx.InZone(name, apex) {
		return Fence{}, fmt.Errorf("%w: %s is not in the zone %s", ErrInvalid, name, apex)
	}
	if err := checkToken(f.Token); err != nil {
		return Fence{}, err
	}
	return Fence{Name: name, Token: f.Token}, nil
}

// checkToken keeps tokens to what every server and every notation carries unchanged.
func checkToken(token string) error {
	if len(token) == 0 || len(token) > 255 {
		return fmt.Errorf("%w: a fence's token has 1 to 255 bytes, this one has %d", ErrInvalid, len(token))
	}
	for _, r := range token {
		if r <= ' ' || r > '~' || r == '"' || r == '\\' || r == ';' {
			return fmt.Errorf("%w: a fence's token is plain ASCII without spaces, quotes, semicolons and backslashes: %q", ErrInvalid, token)
		}
	}
	return nil
}

// normalSets checks the sets of one side of a change. Data is parsed and written again, so that equal records have
// equal text.
func normalSets(name string, sets []RRset) ([]RRset, error) {
	var out []RRset
	for _, set := range sets {
		at, err := dnsx.Canonical(set.Name)
		if err != nil {
			return nil, err
		}
		if at != name {
			return nil, fmt.Errorf("the %s set stands at %s, not at %s", set.Type, at, name)
		}
		if slices.ContainsFunc(out, func(s RRset) bool { return s.Type == set.Type }) {
			return nil, fmt.Errorf("there are two %s sets", set.Type)
		}
		if set.TTL > 1<<31-1 {
			return nil, fmt.Errorf("the TTL %d of the %s set is more than 2147483647 (RFC 2181 section 8)", set.TTL, set.Type)
		}
		switch set.Type {
		case "SOA", "NS", "DS", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNAME", "ANY":
			return nil, fmt.Errorf("%s records are the zone's own and are not swapped", set.Type)
		}
		normal, err := dnsx.Normal(dnsx.RRset(set))
		if err != nil {
			return nil, err
		}
		out = append(out, RRset(normal))
	}
	cname := slices.IndexFunc(out, func(s RRset) bool { return s.Type == "CNAME" })
	if cname >= 0 && (len(out) > 1 || len(out[cname].Data) > 1) {
		return nil, fmt.Errorf("a CNAME stands alone, here it has company")
	}
	return out, nil
}
