package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// maxChain is how many CNAMEs are followed.
const maxChain = 8

// Answer is what a name led to.
type Answer struct {
	Addresses []netip.Addr
	TTL       time.Duration // the least that is left of any record of the chain
	Chain     []string      // the names in between, ending with the one that has the addresses
}

// A Resolver looks a name up.
//
// Lookup returns at least one address, or an error; "the name has no address" is
// an error. It caches nothing and is safe to call from several goroutines.
type Resolver interface {
	Lookup(ctx context.Context, host string) (Answer, error)
}

// LookupError says that a name led to no address.
type LookupError struct {
	Host   string
	Reason string // NXDOMAIN, NODATA, SERVFAIL, or what kept the resolver from answering
	Err    error  // nil where the resolver answered
}

// Error implements error.
func (e *LookupError) Error() string { return "look up " + e.Host + ": " + e.Reason }

// Unwrap returns what kept the resolver from answering.
func (e *LookupError) Unwrap() error { return e.Err }

// DNSResolver asks one recursive name server for IPv4 addresses, as a stub does:
// over UDP, once more if no answer comes, over TCP if the answer is cut.
type DNSResolver struct {
	Server  string        // host:port
	Timeout time.Duration // of one attempt; 0: 2 s
}

// Lookup implements [Resolver].
func (d *DNSResolver) Lookup(ctx context.Context, host string) (Answer, error) {
	answer := Answer{TTL: 1<<63 - 1}
	name, seen := dns.CanonicalName(host), map[string]bool{}
	for {
		reply, err := d.ask(ctx, name)
		if err != nil {
			return Answer{}, &LookupError{Host: host, Reason: err.Error(), Err: err}
		}
		if reply.Rcode != dns.RcodeSuccess {
			return Answer{}, &LookupError{Host: host, Reason: dns.RcodeToString[reply.Rcode]}
		}
		// One reply usually holds the whole chain; a server may also stop early.
		next := name
		for {
			if seen[next] || len(answer.Chain) > maxChain {
				return Answer{}, &LookupError{Host: host, Reason: fmt.Sprintf("chain loops or is longer than %d at %s", maxChain, next)}
			}
			target, ttl, found := alias(reply, next)
			if !found {
				break
			}
			seen[next] = true
			answer.TTL = min(answer.TTL, ttl)
			answer.Chain = append(answer.Chain, target)
			next = target
		}
		if answer.addresses(reply, next) {
			return answer, nil
		}
		if next == name {
			return Answer{}, &LookupError{Host: host, Reason: "NODATA: no A record at " + name}
		}
		name = next
	}
}

// alias finds where name's CNAME points, if the reply has one.
func alias(reply *dns.Msg, name string) (target string, ttl time.Duration, found bool) {
	for _, record := range reply.Answer {
		if cname, is := record.(*dns.CNAME); is && dns.CanonicalName(cname.Hdr.Name) == name {
			return dns.CanonicalName(cname.Target), seconds(cname.Hdr.Ttl), true
		}
	}
	return "", 0, false
}

// addresses adds name's addresses, and says whether there were any.
func (a *Answer) addresses(reply *dns.Msg, name string) bool {
	for _, record := range reply.Answer {
		address, is := record.(*dns.A)
		if !is || dns.CanonicalName(address.Hdr.Name) != name {
			continue
		}
		if ip, valid := netip.AddrFromSlice(address.A.To4()); valid {
			a.Addresses = append(a.Addresses, ip)
			a.TTL = min(a.TTL, seconds(address.Hdr.Ttl))
		}
	}
	return len(a.Addresses) > 0
}

func seconds(ttl uint32) time.Duration { return time.Duration(ttl) * time.Second }

func (d *DNSResolver) ask(ctx context.Context, name string) (*dns.Msg, error) {
	timeout := d.Timeout
	if timeout == 0 {
		timeout = 2 * time.Second
	}
	query := new(dns.Msg)
	query.SetQuestion(name, dns.TypeA)
	query.SetEdns0(1232, false)
	udp := &dns.Client{Timeout: timeout}
	reply, _, err := udp.ExchangeContext(ctx, query, d.Server)
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() && ctx.Err() == nil {
		query.Id = dns.Id()
		reply, _, err = udp.ExchangeContext(ctx, query, d.Server)
	}
	if err == nil && reply.Truncated {
		tcp := &dns.Client{Net: "tcp", Timeout: timeout}
		reply, _, err = tcp.ExchangeContext(ctx, query, d.Server)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s: %w", d.Server, name, err)
	}
	return reply, nil
}

// cache keeps one name's answer for exactly as long as the answer allows.
// Failures are not kept.
type cache struct {
	resolver Resolver
	host     string
	now      func() time.Time
	looked   func() // called for each look-up

	mu      sync.Mutex
	answer  Answer
	expires time.Time
}

// get returns the answer in force. Callers at the same time share one look-up.
func (c *cache) get(ctx context.Context) (Answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Before(c.expires) {
		return c.answer, nil
	}
	c.looked()
	answer, err := c.resolver.Lookup(ctx, c.host)
	if err != nil {
		return Answer{}, err
	}
	c.answer, c.expires = answer, c.now().Add(answer.TTL)
	return answer, nil
}
