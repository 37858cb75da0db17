package dnsx

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Propagated asks every address of every server, without recursion, for each wanted set, once. The answers come in
// the order of servers, addresses and wants. A want with empty Data must not exist. The error is nil only when every
// answer is OK: given with authority, and equal to the want, TTL included. Else it wraps ErrNotPropagated and the
// answers say which and why; the caller asks again later. No servers, a server without an address, or no wants at all
// prove nothing and are an error too (I8, C13).
func (c *Client) Propagated(ctx context.Context, servers []Server, wants ...RRset) ([]ServerAnswer, error) {
	if len(servers) == 0 || len(wants) == 0 {
		return nil, &Error{Op: "check propagation", Hint: "list at least one server and one record", Err: ErrNotPropagated}
	}
	var answers []ServerAnswer
	var jobs []RRset
	for _, server := range servers {
		if len(server.Addrs) == 0 {
			return nil, &Error{Op: "check propagation", Hint: "name server " + server.Name + " has no address", Err: ErrNotPropagated}
		}
		for _, addr := range server.Addrs {
			for _, want := range wants {
				answers = append(answers, ServerAnswer{Server: server.Name, Addr: addr, Name: want.Name, Type: want.Type})
				jobs = append(jobs, want)
			}
		}
	}
	var group errgroup.Group
	group.SetLimit(16)
	for i := range answers {
		group.Go(func() error {
			c.check(ctx, &answers[i], jobs[i])
			return nil
		})
	}
	// Failures stand in the answers.
	_ = group.Wait()
	if err := ctx.Err(); err != nil {
		return answers, err
	}
	var bad []string
	for _, a := range answers {
		if !a.OK {
			bad = append(bad, fmt.Sprintf("%s: %s", strings.TrimSpace(a.Server+" "+a.Addr.String()), a.Reason))
		}
	}
	if len(bad) > 0 {
		return answers, fmt.Errorf("%w: %d of %d answers: %s", ErrNotPropagated, len(bad), len(answers), strings.Join(bad, "; "))
	}
	return answers, nil
}

// check fills in one answer.
func (c *Client) check(ctx context.Context, out *ServerAnswer, want RRset) {
	reply, err := c.Ask(ctx, c.reach(out.Addr), want.Name, want.Type, false)
	switch {
	case err != nil:
		out.Unknown, out.Reason = true, err.Error()
		return
	case reply.Rcode != "NOERROR" && reply.Rcode != "NXDOMAIN":
		out.Unknown, out.Reason = true, "it answers "+reply.Rcode
		return
	case !reply.Authoritative:
		out.Unknown, out.Reason = true, "it does not answer with authority"
		return
	}
	out.Got = reply.Set(want.Name, want.Type)
	switch {
	case len(want.Data) == 0 && len(out.Got.Data) == 0:
		out.OK = true
	case len(out.Got.Data) == 0:
		out.Reason = fmt.Sprintf("it has no %s record at %s (%s)", want.Type, want.Name, reply.Rcode)
	case !out.Got.SameData(want):
		out.Reason = fmt.Sprintf("it has %s, not %s", strings.Join(out.Got.Data, ", "), strings.Join(want.Data, ", "))
	case out.Got.TTL != want.TTL:
		out.Reason = fmt.Sprintf("it has the TTL %d, not %d", out.Got.TTL, want.TTL)
	default:
		out.OK = true
	}
}

func (c *Client) reach(addr netip.AddrPort) netip.AddrPort {
	if c.Reach == nil {
		return addr
	}
	return c.Reach(addr)
}
