package dnsx

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// FindCut finds the zone that holds a name, its servers and what parent and child say of them. It starts at the name
// and goes up until a name has a SOA: an answer for another owner is that of a CNAME's target and says nothing.
func (c *Client) FindCut(ctx context.Context, name string, from Source) (Cut, []string, error) {
	name, err := Canonical(name)
	if err != nil {
		return Cut{}, nil, err
	}
	if len(from.Servers) > 0 {
		return c.listedCut(ctx, name, from.Servers)
	}
	resolvers, err := from.ResolverAddrs()
	if err != nil {
		return Cut{}, nil, err
	}
	apex, err := c.apexOf(ctx, resolvers, name)
	if err != nil {
		return Cut{}, nil, err
	}
	cut := Cut{}
	var warnings []string
	var glue map[string][]netip.AddrPort
	if apex != "." {
		if cut.Parent, err = c.apexOf(ctx, resolvers, Parent(apex)); err == nil {
			cut.AtParent, glue, cut.Secure, err = c.delegation(ctx, resolvers, cut.Parent, apex)
		}
		if err != nil {
			if ctx.Err() != nil {
				return Cut{}, nil, ctx.Err()
			}
			warnings = append(warnings, fmt.Sprintf("the delegation of %s could not be read at its parent: %v", apex, err))
		}
	}
	// The parent's word leads to servers that have the zone; these say which others there are. A zone whose parent
	// cannot be asked is entered by what the resolver knows.
	names := cut.AtParent
	if len(names) == 0 {
		answer, err := c.Resolve(ctx, resolvers, apex, "NS")
		if err != nil {
			return Cut{}, nil, &Error{Op: "find the name servers of " + apex, Hint: "list the zone's servers in the migration file", Err: err}
		}
		names = answer.Set(apex, "NS").Data
	}
	if err := c.fillCut(ctx, &cut, apex, names, resolvers, glue); err != nil {
		return Cut{}, nil, err
	}
	// A referral has no authority: there is a cut between the apex and the name that the resolvers did not show. The
	// type is CNAME because servers fail for any other one where a chain is a loop.
	if _, err := c.firstOf(ctx, cut.Addrs(), name, "CNAME", false); err != nil {
		return Cut{}, nil, &Error{Op: "confirm the zone of " + name, Hint: "are the zone's servers reachable over TCP from here?", Err: err}
	}
	return cut, append(warnings, compareNS(cut)...), nil
}

// apexOf walks up from a name to the nearest one that has a SOA of its own. A resolver fails for a name whose CNAMEs
// are broken, so a failure is passed over; FindCut lets the zone's own servers confirm that nothing was skipped.
func (c *Client) apexOf(ctx context.Context, resolvers []netip.AddrPort, name string) (string, error) {
	var errs []error
	for at := name; ; at = Parent(at) {
		answer, err := c.Resolve(ctx, resolvers, at, "SOA")
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err == nil && len(answer.Set(at, "SOA").Data) > 0 {
			return at, nil
		}
		errs = append(errs, err)
		if at == "." {
			return "", &Error{
				Op: "find the zone of " + name, Hint: "check the resolvers, or list the zone's servers in the migration file",
				Err: fmt.Errorf("no name above it has a SOA: %w", errors.Join(errs...)),
			}
		}
	}
}

// delegation asks the parent's servers for the child's NS set, without recursion: it stands in the authority section
// of a referral, or in the answer where one server has both zones.
func (c *Client) delegation(ctx context.Context, resolvers []netip.AddrPort, parent, child string) (names []string, glue map[string][]netip.AddrPort, secure bool, err error) {
	atResolver, err := c.Resolve(ctx, resolvers, parent, "NS")
	if err != nil {
		return nil, nil, false, err
	}
	var errs []error
	for _, server := range atResolver.Set(parent, "NS").Data {
		addrs, err := c.addresses(ctx, resolvers, server)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, addr := range addrs {
			reply, err := c.Ask(ctx, c.reach(addr), child, "NS", false)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			names = Gather(slices.Concat(reply.Answer, reply.Authority), child, "NS").Data
			if len(names) == 0 {
				errs = append(errs, fmt.Errorf("%s knows no delegation of %s (%s)", addr, child, reply.Rcode))
				continue
			}
			glue = map[string][]netip.AddrPort{}
			for _, r := range reply.Additional {
				if a, err := netip.ParseAddr(r.Data); err == nil && (r.Type == "A" || r.Type == "AAAA") {
					glue[r.Name] = append(glue[r.Name], netip.AddrPortFrom(a, 53))
				}
			}
			ds, err := c.Ask(ctx, c.reach(addr), child, "DS", false)
			return names, glue, err == nil && len(ds.Set(child, "DS").Data) > 0, nil
		}
	}
	return nil, nil, false, fmt.Errorf("%w: %w", ErrUnreachable, errors.Join(errs...))
}

// fillCut asks the servers that are known so far for the zone's own SOA and NS, and adds the servers that these name.
func (c *Client) fillCut(ctx context.Context, cut *Cut, apex string, names []string, resolvers []netip.AddrPort, glue map[string][]netip.AddrPort) error {
	add := func(names []string) error {
		for _, name := range names {
			if slices.ContainsFunc(cut.Servers, func(s Server) bool { return s.Name == name }) {
				continue
			}
			addrs, err := c.addresses(ctx, resolvers, name)
			if err != nil && len(glue[name]) == 0 {
				return &Error{Op: "find the name servers of " + apex, Hint: "a server whose address is unknown cannot be watched: mend its record, or list the zone's servers", Err: err}
			}
			for _, a := range glue[name] {
				if !slices.Contains(addrs, a) {
					addrs = append(addrs, a)
				}
			}
			if len(addrs) == 0 {
				return &Error{Op: "find the name servers of " + apex, Hint: "mend its record, or list the zone's servers", Err: fmt.Errorf("%s has no address", name)}
			}
			cut.Servers = append(cut.Servers, Server{Name: name, Addrs: addrs})
		}
		return nil
	}
	if err := add(names); err != nil {
		return err
	}
	if err := c.readApex(ctx, cut, apex); err != nil {
		return err
	}
	return add(cut.AtChild)
}

// readApex reads SOA, NS and DNSKEY at the zone's servers.
func (c *Client) readApex(ctx context.Context, cut *Cut, apex string) error {
	addrs := cut.Addrs()
	soa, err := c.firstOf(ctx, addrs, apex, "SOA", false)
	if err != nil {
		return &Error{Op: "read the SOA of " + apex, Hint: "are the zone's servers reachable over TCP from here?", Err: err}
	}
	if cut.SOA, err = readSOA(soa, apex); err != nil {
		return err
	}
	ns, err := c.firstOf(ctx, addrs, apex, "NS", false)
	if err != nil {
		return &Error{Op: "read the NS of " + apex, Err: err}
	}
	cut.AtChild = ns.Set(apex, "NS").Data
	key, err := c.firstOf(ctx, addrs, apex, "DNSKEY", false)
	if err != nil {
		return &Error{Op: "read the DNSKEY of " + apex, Err: err}
	}
	cut.Signed = len(key.Set(apex, "DNSKEY").Data) > 0
	return nil
}

// listedCut trusts the listed addresses to be all of the zone's servers.
func (c *Client) listedCut(ctx context.Context, name string, servers []string) (Cut, []string, error) {
	cut := Cut{}
	for _, text := range servers {
		addr, err := ParseServer(text)
		if err != nil {
			return Cut{}, nil, &Error{Op: "find the name servers of " + name, Hint: "list addresses, with the port where that is not 53", Err: err}
		}
		cut.Servers = append(cut.Servers, Server{Addrs: []netip.AddrPort{addr}})
	}
	for at := name; ; at = Parent(at) {
		answer, err := c.firstOf(ctx, cut.Addrs(), at, "SOA", false)
		if err == nil && len(answer.Set(at, "SOA").Data) > 0 {
			if err := c.readApex(ctx, &cut, at); err != nil {
				return Cut{}, nil, err
			}
			if len(cut.AtChild) > len(cut.Servers) {
				return cut, []string{fmt.Sprintf("%s has %d name servers and the migration file lists %d: the others are not watched", at, len(cut.AtChild), len(cut.Servers))}, nil
			}
			return cut, nil, nil
		}
		// Above its zone a server may refuse or refer; whether nothing was found is known at the root.
		if at == "." || ctx.Err() != nil {
			err = errors.Join(err, ctx.Err())
			return Cut{}, nil, &Error{
				Op: "find the zone of " + name, Hint: "do the listed servers serve its zone?",
				Err: errors.Join(errors.New("no listed server has a SOA for it"), err),
			}
		}
	}
}

// Addrs returns the addresses of all servers.
func (c Cut) Addrs() []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range c.Servers {
		out = append(out, s.Addrs...)
	}
	return out
}

func readSOA(a Answer, apex string) (SOA, error) {
	set := a.Set(apex, "SOA")
	if len(set.Data) != 1 {
		return SOA{}, fmt.Errorf("read the SOA of %s: %w: it has %d of them", apex, ErrReply, len(set.Data))
	}
	f := strings.Fields(set.Data[0])
	if len(f) != 7 {
		return SOA{}, fmt.Errorf("read the SOA of %s: %w: %q", apex, ErrReply, set.Data[0])
	}
	serial, err1 := strconv.ParseUint(f[2], 10, 32)
	minimum, err2 := strconv.ParseUint(f[6], 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return SOA{}, fmt.Errorf("read the SOA of %s: %w: %w", apex, ErrReply, err)
	}
	return SOA{Zone: apex, Primary: f[0], Serial: uint32(serial), TTL: set.TTL, Minimum: uint32(minimum)}, nil
}

// compareNS warns where resolvers may know other servers than the zone does.
func compareNS(cut Cut) []string {
	if len(cut.AtParent) == 0 {
		return nil
	}
	parent, child := slices.Sorted(slices.Values(cut.AtParent)), slices.Sorted(slices.Values(cut.AtChild))
	if slices.Equal(parent, child) {
		return nil
	}
	return []string{fmt.Sprintf("%s is delegated to %s and names %s itself: all of them are watched", cut.SOA.Zone, strings.Join(parent, ", "), strings.Join(child, ", "))}
}
