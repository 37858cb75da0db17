package dnsx

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// DefaultTimeout bounds one question to one server where the client says nothing else.
const DefaultTimeout = 5 * time.Second

// A Client asks name servers, over TCP. The zero value is ready; it may be used by several goroutines at once.
type Client struct {
	// Timeout bounds one question to one address, dialling included. Zero means DefaultTimeout.
	Timeout time.Duration
	// Reach, where set, says at which address a name server that the DNS names is really asked: for name servers behind
	// a tunnel or at another port. It is asked with every address that was found or listed, and not with a resolver's.
	Reach func(netip.AddrPort) netip.AddrPort
	// Dial, where set, opens the connection.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	memo *memo // nil remembers nothing
}

// Ask puts one question to one address. recurse is set for a resolver and unset for an authoritative server. A reply
// that is truncated, malformed or to another question is an error that wraps ErrReply.
func (c *Client) Ask(ctx context.Context, addr netip.AddrPort, name, typ string, recurse bool) (Answer, error) {
	code, ok := dns.StringToType[typ]
	if !ok {
		return Answer{}, &Error{Op: "ask for " + name, Hint: "use a type's mnemonic, such as CNAME", Err: fmt.Errorf("unknown type %q", typ)}
	}
	name, err := Canonical(name)
	if err != nil {
		return Answer{}, err
	}
	msg := new(dns.Msg)
	msg.SetQuestion(name, code)
	msg.RecursionDesired = recurse
	reply, err := c.exchange(ctx, addr, msg)
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s for %s %s: %w", addr, name, typ, err)
	}
	answer, err := toAnswer(reply)
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s for %s %s: %w", addr, name, typ, err)
	}
	answer.Server = addr
	return answer, nil
}

func (c *Client) exchange(ctx context.Context, addr netip.AddrPort, msg *dns.Msg) (*dns.Msg, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	// A connection that only read has nothing to lose at its close.
	defer func() { _ = conn.Close() }()
	// The library's own deadlines know nothing of the context: closing the connection ends them.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	co := &dns.Conn{Conn: conn}
	if err := co.WriteMsg(msg); err != nil {
		return nil, orContext(ctx, err)
	}
	reply, err := co.ReadMsg()
	if err != nil {
		return nil, orContext(ctx, err)
	}
	if err := fits(msg, reply); err != nil {
		return nil, err
	}
	return reply, nil
}

// orContext prefers the reason for which the connection was closed to the closed connection.
func orContext(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// fits says whether a reply belongs to its question and is whole.
func fits(msg, reply *dns.Msg) error {
	switch {
	case !reply.Response || reply.Id != msg.Id || reply.Opcode != msg.Opcode:
		return fmt.Errorf("%w: it does not belong to the question", ErrReply)
	case reply.Truncated:
		return fmt.Errorf("%w: truncated over TCP", ErrReply)
	case len(reply.Question) > 1, len(reply.Question) == 1 && (!strings.EqualFold(reply.Question[0].Name, msg.Question[0].Name) || reply.Question[0].Qtype != msg.Question[0].Qtype):
		return fmt.Errorf("%w: it repeats another question", ErrReply)
	case len(reply.Question) == 0 && reply.Rcode == dns.RcodeSuccess:
		return fmt.Errorf("%w: it repeats no question", ErrReply)
	}
	return nil
}
