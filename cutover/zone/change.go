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
