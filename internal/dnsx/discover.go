package dnsx

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// MaxChain is how many CNAMEs may follow one another (C14).
const MaxChain = 8

// Discover finds out what a cutover of a name must know: its zone and all of the zone's servers, what stands at the
// name, what a wildcard would answer beside it, its chain of CNAMEs with each link's own zone and TTL, and the CAA set
// that governs it. All TTLs are the zones' own, read with authority.
//
// A chain that is a loop, longer than MaxChain or without an address at its end is an error (ErrLoop, ErrTooLong,
// ErrDangling), and the Delegation holds the chain as far as it was followed. A name that does not exist at all is no
// error: Records and Chain are empty.
func (c *Client) Discover(ctx context.Context, name string, from Source) (Delegation, error) {
	name, err := Canonical(name)
	if err != nil {
		return Delegation{}, err
	}
	cut, warnings, err := c.FindCut(ctx, name, from)
	if err != nil {
		return Delegation{}, err
	}
	d := Delegation{Name: name, Cut: cut, Warnings: warnings}
	if d.Records, err = c.records(ctx, cut, name); err != nil {
		return d, err
	}
	d.Wildcard, err = remembered(c, fmt.Sprint("wildcard ", cut.Addrs(), Parent(name), name == cut.SOA.Zone), func() ([]RRset, error) { return c.wildcard(ctx, cut, name) })
	if err != nil {
		return d, err
	}
	d.Silent = c.unreachable(ctx, cut)
	d.Warnings = append(d.Warnings, d.Silent...)
	if len(d.Records) == 0 {
		return d, nil
	}
	if err := c.follow(ctx, &d, from); err != nil {
		return d, &Error{Op: "follow the CNAMEs of " + name, Hint: "mend the chain first: its end decides what a client reaches", Err: err}
	}
	if d.CAA, err = c.caa(ctx, d, from); err != nil {
		// Certificates are the business of another check; what is not known is said.
		d.CAAUnread = err.Error()
		d.Warnings = append(d.Warnings, fmt.Sprintf("the CAA of %s could not be read: %v", name, err))
	}
	return d, nil
}

// records asks for each type by itself: servers may answer ANY with as little as they like (RFC 8482). A CNAME stands
// alone, and servers fail for other types where its chain is a loop: it is asked for first.
func (c *Client) records(ctx context.Context, cut Cut, name string) ([]RRset, error) {
	types := []string{"CNAME", "A", "AAAA", "MX", "TXT", "SRV", "CAA", "HTTPS", "SVCB", "NS", "DNAME", "PTR", "NAPTR", "TLSA", "SSHFP", "URI"}
	found := make([]RRset, len(types))
	ask := func(ctx context.Context, i int) error {
		answer, err := c.firstOf(ctx, cut.Addrs(), name, types[i], false)
		if err != nil {
			return fmt.Errorf("read %s records at %s: %w", types[i], name, err)
		}
		found[i] = answer.Set(name, types[i])
		return nil
	}
	if err := ask(ctx, 0); err != nil {
		return nil, err
	}
	if len(found[0].Data) > 0 {
		return found[:1], nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(5)
	for i := 1; i < len(types); i++ {
		group.Go(func() error { return ask(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(s RRset) bool { return len(s.Data) == 0 }), nil
}

// wildcard asks for a name beside this one that surely nobody made.
func (c *Client) wildcard(ctx context.Context, cut Cut, name string) ([]RRset, error) {
	if name == cut.SOA.Zone {
		return nil, nil
	}
	parent := Parent(name)
	probe, err := Canonical("crossfade-" + strings.ToLower(rand.Text()) + "." + strings.TrimPrefix(parent, "."))
	if err != nil {
		return nil, nil // no room for a sibling: a wildcard's name would be shorter, and the fence climbs too
	}
	sets, err := c.records(ctx, cut, probe)
	for i := range sets {
		sets[i].Name = "*." + strings.TrimPrefix(parent, ".")
	}
	return sets, err
}

// unreachable warns of every address that does not answer for the zone with authority. IPv6 addresses are asked too:
// where this machine has no IPv6 they stay unknown, and the plan must say so.
func (c *Client) unreachable(ctx context.Context, cut Cut) []string {
	var out []string
	for _, server := range cut.Servers {
		for _, addr := range server.Addrs {
			answer, err := remembered(c, fmt.Sprint("serves ", addr, cut.SOA.Zone), func() (Answer, error) { return c.Ask(ctx, c.reach(addr), cut.SOA.Zone, "SOA", false) })
			who := strings.TrimSpace(server.Name + " " + addr.String())
			switch {
			case err != nil:
				out = append(out, fmt.Sprintf("name server %s cannot be asked, so that its answers cannot be watched: %v", who, err))
			case !answer.Authoritative || len(answer.Set(cut.SOA.Zone, "SOA").Data) == 0:
				out = append(out, fmt.Sprintf("name server %s does not serve %s (%s)", who, cut.SOA.Zone, answer.Rcode))
			}
		}
	}
	return out
}

// follow fills the chain.
func (c *Client) follow(ctx context.Context, d *Delegation, from Source) error {
	cuts := []Cut{d.Cut}
	link := Link{Name: d.Name, Sets: answering(d.Records), Cut: d.Cut}
	for {
		d.Chain = append(d.Chain, link)
		if len(link.Sets) == 0 {
			if len(d.Chain) == 1 {
				return nil // the name holds other types only: it leads nowhere, and nobody says that it should
			}
			return fmt.Errorf("%w: %s", ErrDangling, link.Name)
		}
		if link.Sets[0].Type != "CNAME" {
			return nil
		}
		target := link.Sets[0].Data[0]
		if slices.ContainsFunc(d.Chain, func(l Link) bool { return l.Name == target }) {
			return fmt.Errorf("%w: %s leads back to %s", ErrLoop, link.Name, target)
		}
		if len(d.Chain) > MaxChain {
			return fmt.Errorf("%w: more than %d", ErrTooLong, MaxChain)
		}
		cut, err := c.cutOf(ctx, target, from, cuts)
		if err != nil {
			return err
		}
		cuts = append(cuts, cut)
		sets, err := c.addressing(ctx, cut, target)
		if err != nil {
			return err
		}
		link = Link{Name: target, Sets: sets, Cut: cut}
	}
}

// cutOf finds the zone of a link. Listed servers are asked first, and a target that they do not serve is found by the
// resolvers. A zone that is known already is not looked up again, where it is the same name's parent.
func (c *Client) cutOf(ctx context.Context, name string, from Source, known []Cut) (Cut, error) {
	for _, cut := range known {
		if name != cut.SOA.Zone && Parent(name) == cut.SOA.Zone {
			// A direct child of a known apex is in that zone unless it is an apex itself.
			answer, err := c.firstOf(ctx, cut.Addrs(), name, "SOA", false)
			if err == nil && len(answer.Set(name, "SOA").Data) == 0 {
				return cut, nil
			}
		}
	}
	cut, _, err := c.FindCut(ctx, name, from)
	if err != nil && len(from.Servers) > 0 && ctx.Err() == nil {
		var other error
		if cut, _, other = c.FindCut(ctx, name, Source{Resolvers: from.Resolvers}); other != nil {
			return Cut{}, errors.Join(err, other)
		}
		return cut, nil
	}
	return cut, err
}

// addressing reads what decides where a client goes: one CNAME, or the addresses.
func (c *Client) addressing(ctx context.Context, cut Cut, name string) ([]RRset, error) {
	var sets []RRset
	for _, typ := range []string{"CNAME", "A", "AAAA"} {
		answer, err := c.firstOf(ctx, cut.Addrs(), name, typ, false)
		if err != nil {
			return nil, fmt.Errorf("read %s records at %s: %w", typ, name, err)
		}
		if set := answer.Set(name, typ); len(set.Data) > 0 {
			sets = append(sets, set)
			if typ == "CNAME" {
				break // servers fail for other types where the chain is a loop
			}
		}
	}
	return answering(sets), nil
}

func answering(sets []RRset) []RRset {
	var out []RRset
	for _, s := range sets {
		switch s.Type {
		case "CNAME":
			return []RRset{s}
		case "A", "AAAA":
			out = append(out, s)
		}
	}
	return out
}

// caa asks at the end of the name's chain first, and then climbs from the name until a CAA set is found (RFC 8659
// section 3). Inside the zone its own servers are asked, above it the resolvers.
func (c *Client) caa(ctx context.Context, d Delegation, from Source) (*RRset, error) {
	end := d.Chain[len(d.Chain)-1]
	answer, err := c.firstOf(ctx, end.Cut.Addrs(), end.Name, "CAA", false)
	if err != nil {
		return nil, err
	}
	if set := answer.Set(end.Name, "CAA"); len(set.Data) > 0 {
		return &set, nil
	}
	return c.climbCAA(ctx, d, from)
}

// climbCAA asks above the name.
func (c *Client) climbCAA(ctx context.Context, d Delegation, from Source) (*RRset, error) {
	var answer Answer
	var err error
	var resolvers []netip.AddrPort
	for at := Parent(d.Name); at != "."; at = Parent(at) {
		if InZone(at, d.SOA.Zone) {
			answer, err = c.firstOf(ctx, d.Addrs(), at, "CAA", false)
		} else {
			if resolvers, err = from.ResolverAddrs(); err == nil {
				answer, err = c.Resolve(ctx, resolvers, at, "CAA")
			}
		}
		if err != nil {
			return nil, err
		}
		if set := answer.Set(at, "CAA"); len(set.Data) > 0 {
			return &set, nil
		}
	}
	return nil, nil
}
