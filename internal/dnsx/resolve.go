package dnsx

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// ResolverAddrs returns the addresses of a source's resolvers: those listed, or those of /etc/resolv.conf.
func (s Source) ResolverAddrs() ([]netip.AddrPort, error) {
	listed := s.Resolvers
	if len(listed) == 0 {
		text, err := os.ReadFile("/etc/resolv.conf")
		if err != nil {
			return nil, &Error{Op: "find a resolver", Hint: "list resolvers in the migration file", Err: err}
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) >= 2 && f[0] == "nameserver" {
				addr, _, _ := strings.Cut(f[1], "%")
				listed = append(listed, addr)
			}
		}
	}
	var addrs []netip.AddrPort
	for _, text := range listed {
		addr, err := ParseServer(text)
		if err != nil {
			return nil, &Error{Op: "find a resolver", Hint: "give an address, with its port where that is not 53", Err: err}
		}
		addrs = append(addrs, addr)
	}
	if len(addrs) == 0 {
		return nil, &Error{Op: "find a resolver", Hint: "list resolvers in the migration file", Err: errors.New("none is configured")}
	}
	return addrs, nil
}

// Resolve asks resolvers, the next one where one gives no usable answer, as a client of theirs would.
func (c *Client) Resolve(ctx context.Context, resolvers []netip.AddrPort, name, typ string) (Answer, error) {
	return c.firstOf(ctx, resolvers, name, typ, true)
}

// firstOf returns the first usable answer: NOERROR or NXDOMAIN, and, without recursion, given with authority.
func (c *Client) firstOf(ctx context.Context, addrs []netip.AddrPort, name, typ string, recurse bool) (Answer, error) {
	return remembered(c, fmt.Sprint(addrs, name, typ, recurse), func() (Answer, error) { return c.askFirst(ctx, addrs, name, typ, recurse) })
}

func (c *Client) askFirst(ctx context.Context, addrs []netip.AddrPort, name, typ string, recurse bool) (Answer, error) {
	var errs []error
	for _, addr := range addrs {
		if !recurse {
			addr = c.reach(addr)
		}
		answer, err := c.Ask(ctx, addr, name, typ, recurse)
		switch {
		case err != nil:
			errs = append(errs, err)
		case answer.Rcode != "NOERROR" && answer.Rcode != "NXDOMAIN":
			errs = append(errs, fmt.Errorf("%s answers %s for %s %s", addr, answer.Rcode, name, typ))
		case !recurse && !answer.Authoritative:
			errs = append(errs, fmt.Errorf("%s answers without authority for %s %s", addr, name, typ))
		default:
			return answer, nil
		}
		if ctx.Err() != nil {
			return Answer{}, ctx.Err()
		}
	}
	return Answer{}, fmt.Errorf("%w: %w", ErrUnreachable, errors.Join(errs...))
}

// addresses resolves a server's name to all its IPv4 and IPv6 addresses.
func (c *Client) addresses(ctx context.Context, resolvers []netip.AddrPort, name string) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	for _, typ := range []string{"A", "AAAA"} {
		answer, err := c.Resolve(ctx, resolvers, name, typ)
		if err != nil {
			return nil, fmt.Errorf("find the addresses of name server %s: %w", name, err)
		}
		for _, r := range answer.Answer {
			if r.Type != typ {
				continue
			}
			addr, err := netip.ParseAddr(r.Data)
			if err != nil {
				return nil, fmt.Errorf("find the addresses of name server %s: %w", name, err)
			}
			out = append(out, netip.AddrPortFrom(addr, 53))
		}
	}
	return out, nil
}
