package cutover

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// reached asks the zone's resolvers where they lead clients of a hostname, and returns the addresses that are not blue's. What
// stands in the way of judging by them is said: a resolver that gives no address is a failure, since clients get none either; one
// that still leads to blue, or gives no answer, has shown nothing of green.
func (o Options) reached(ctx context.Context, e Entries) ([]netip.Addr, []finding) {
	resolvers, err := o.resolversOf(e.Hostname)
	if err != nil {
		return nil, []finding{unknown("no resolver is known: %v", err)}
	}
	var addrs []netip.Addr
	var said []finding
	for _, resolver := range resolvers {
		found, f := o.reachedBy(ctx, resolver, e)
		if f != nil {
			said = append(said, *f)
		}
		for _, a := range found {
			if !slices.Contains(addrs, a) {
				addrs = append(addrs, a)
			}
		}
	}
	sortAddresses(addrs)
	return addrs, said
}

func (o Options) reachedBy(ctx context.Context, resolver netip.AddrPort, e Entries) ([]netip.Addr, *finding) {
	name := strings.TrimSuffix(e.Hostname, ".")
	var addrs []netip.Addr
	toBlue, rcode, ttl := false, "", uint32(0)
	for _, typ := range []string{"A", "AAAA"} {
		reply, err := o.names().Ask(ctx, resolver, e.Hostname, typ, true)
		if err == nil && reply.Rcode != "NOERROR" && reply.Rcode != "NXDOMAIN" {
			err = errors.New(reply.Rcode)
		}
		if err != nil {
			f := unknown("resolver %s does not answer for %s: %v", resolver, name, err)
			return nil, &f
		}
		rcode = reply.Rcode
		toBlue = toBlue || chainLeads(reply, e.Hostname, e.Blue.Target) && !chainLeads(reply, e.Hostname, e.Green.Target)
		addrs = append(addrs, addressesIn(reply.Answer)...)
		for _, r := range reply.Answer {
			if sameName(r.Name, e.Hostname) {
				ttl = max(ttl, r.TTL)
			}
		}
	}
	if len(addrs) == 0 {
		f := failed("resolver %s gives no address for %s (%s): clients reach nobody", resolver, name, rcode)
		return nil, &f
	}
	green := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool {
		return toBlue || slices.Contains(e.Blue.Addresses, a) && !slices.Contains(e.Green.Addresses, a)
	})
	if len(green) < len(addrs) {
		f := unknown("resolver %s still leads %s to blue, and may for %ds more, so nothing is learned of green end to end", resolver, name, ttl)
		return green, &f
	}
	return green, nil
}

// chainLeads reports whether the CNAMEs of an answer lead from a name to a target.
func chainLeads(reply dnsx.Answer, name, target string) bool {
	if target == "" {
		return false
	}
	for range len(reply.Answer) {
		if sameName(name, target) {
			return true
		}
		next := reply.Set(name, "CNAME")
		if len(next.Data) != 1 {
			return false
		}
		name = next.Data[0]
	}
	return sameName(name, target)
}
