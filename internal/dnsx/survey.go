package dnsx

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

// A View is what one address of one server says about a name.
type View struct {
	Server string         `json:"server,omitempty"`
	Addr   netip.AddrPort `json:"addr"`
	// Unknown says why nothing was learned; empty where the server answered everything.
	Unknown string `json:"unknown,omitempty"`
	// Serial is that of the zone's SOA there.
	Serial        uint32 `json:"serial,omitempty"`
	Authoritative bool   `json:"authoritative"`
	// Rcode of the answer for the name: "NOERROR", "NXDOMAIN".
	Rcode string `json:"rcode,omitempty"`
	// Sets are what it holds at the name, of the types that were asked for.
	Sets []RRset `json:"sets,omitempty"`
	// Signatures has one for each of Sets, where they were asked for.
	Signatures []Signature `json:"signatures,omitempty"`
}

// A Signature is what a server shows of the RRSIG over one set.
type Signature struct {
	Type string `json:"type"`
	// Problem says in one sentence why the set would not validate; empty where it would.
	Problem string    `json:"problem,omitempty"`
	Signer  string    `json:"signer,omitempty"`
	KeyTag  uint16    `json:"keyTag,omitempty"`
	From    time.Time `json:"from,omitzero"`
	Until   time.Time `json:"until,omitzero"`
}

// Left is how long the signature is valid from a time on.
func (s Signature) Left(at time.Time) time.Duration { return s.Until.Sub(at) }

// SurveyOptions say what a survey asks.
type SurveyOptions struct {
	// Apex of the zone, Name in it.
	Apex, Name string
	// Types in the order in which they are asked for. A CNAME ends the list: it stands alone, and servers fail for other types
	// where its chain is a loop.
	Types []string
	// Signed asks for the signatures too, and judges them at a time.
	Signed bool
	At     time.Time
}

// Survey asks every address of every server for the zone's serial and for what it holds at a name. The views come in the
// order of servers and addresses. What cannot be learned is said in each.
func (c *Client) Survey(ctx context.Context, servers []Server, o SurveyOptions) []View {
	var views []View
	for _, server := range servers {
		for _, addr := range server.Addrs {
			views = append(views, View{Server: server.Name, Addr: addr})
		}
	}
	var group errgroup.Group
	group.SetLimit(16)
	for i := range views {
		group.Go(func() error {
			if err := c.survey(ctx, &views[i], o); err != nil {
				views[i].Unknown = err.Error()
			}
			return nil
		})
	}
	// What fails stands in the views.
	_ = group.Wait()
	return views
}

func (c *Client) survey(ctx context.Context, v *View, o SurveyOptions) error {
	at := c.reach(v.Addr)
	soa, err := c.Ask(ctx, at, o.Apex, "SOA", false)
	if err != nil {
		return err
	}
	if !soa.Authoritative || len(soa.Set(o.Apex, "SOA").Data) == 0 {
		return fmt.Errorf("it does not serve %s (%s)", o.Apex, soa.Rcode)
	}
	read, err := readSOA(soa, o.Apex)
	if err != nil {
		return err
	}
	v.Serial, v.Authoritative = read.Serial, true
	var keys []dns.RR
	if o.Signed {
		reply, err := c.askSigned(ctx, at, o.Apex, "DNSKEY")
		if err != nil {
			return err
		}
		keys = reply.Answer
	}
	for _, typ := range o.Types {
		reply, err := c.askSigned(ctx, at, o.Name, typ)
		if err != nil {
			return err
		}
		answer, err := toAnswer(reply)
		if err != nil {
			return err
		}
		v.Rcode, v.Authoritative = answer.Rcode, v.Authoritative && answer.Authoritative
		if answer.Rcode != "NOERROR" && answer.Rcode != "NXDOMAIN" {
			return fmt.Errorf("it answers %s for %s %s", answer.Rcode, o.Name, typ)
		}
		set := answer.Set(o.Name, typ)
		if len(set.Data) == 0 {
			continue
		}
		v.Sets = append(v.Sets, set)
		if o.Signed {
			v.Signatures = append(v.Signatures, judgeSignature(reply.Answer, keys, o.Name, typ, o.At))
		}
		if typ == "CNAME" {
			break
		}
	}
	return nil
}

// askSigned asks an authoritative server, and wants signatures with the answer (RFC 4035 section 3.2.1).
func (c *Client) askSigned(ctx context.Context, addr netip.AddrPort, name, typ string) (*dns.Msg, error) {
	msg := new(dns.Msg)
	msg.SetQuestion(name, dns.StringToType[typ])
	msg.RecursionDesired = false
	msg.SetEdns0(dns.DefaultMsgSize, true)
	reply, err := c.exchange(ctx, addr, msg)
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s %s: %w", addr, name, typ, err)
	}
	return reply, nil
}

// judgeSignature says whether a validator that trusts the zone's keys would accept a set now (RFC 4035 section 5.3). Of
// several signatures one must do.
func judgeSignature(answer, keys []dns.RR, name, typ string, at time.Time) Signature {
	code := dns.StringToType[typ]
	var set []dns.RR
	var best Signature
	for _, rr := range answer {
		if rr.Header().Rrtype == code && dns.CanonicalName(rr.Header().Name) == name {
			set = append(set, rr)
		}
	}
	found := false
	for _, rr := range answer {
		sig, ok := rr.(*dns.RRSIG)
		if !ok || sig.TypeCovered != code || dns.CanonicalName(sig.Hdr.Name) != name {
			continue
		}
		s := Signature{
			Type: typ, Signer: dns.CanonicalName(sig.SignerName), KeyTag: sig.KeyTag,
			From: time.Unix(int64(sig.Inception), 0).UTC(), Until: time.Unix(int64(sig.Expiration), 0).UTC(),
		}
		s.Problem = whyInvalid(sig, set, keys, s, at)
		if !found || best.Problem != "" && s.Problem == "" || (best.Problem == "") == (s.Problem == "") && s.Until.After(best.Until) {
			best, found = s, true
		}
	}
	if !found {
		return Signature{Type: typ, Problem: "it has no RRSIG over the " + typ + " set"}
	}
	return best
}

func whyInvalid(sig *dns.RRSIG, set, keys []dns.RR, s Signature, at time.Time) string {
	switch {
	case at.Before(s.From):
		return "its RRSIG is valid only from " + s.From.Format(time.RFC3339)
	case at.After(s.Until):
		return "its RRSIG has expired on " + s.Until.Format(time.RFC3339)
	}
	i := slices.IndexFunc(keys, func(rr dns.RR) bool {
		key, ok := rr.(*dns.DNSKEY)
		return ok && key.KeyTag() == sig.KeyTag && key.Algorithm == sig.Algorithm && sig.Verify(key, set) == nil
	})
	if i < 0 {
		return fmt.Sprintf("no key that it shows fits its RRSIG (key %d)", sig.KeyTag)
	}
	return ""
}

// ReadSet returns what a zone's servers say with authority of one type at a name; without data where there is none.
func (c *Client) ReadSet(ctx context.Context, cut Cut, name, typ string) (RRset, error) {
	answer, err := c.firstOf(ctx, cut.Addrs(), name, typ, false)
	if err != nil {
		return RRset{}, fmt.Errorf("read %s records at %s: %w", typ, name, err)
	}
	return answer.Set(name, typ), nil
}

// CAAVia returns the CAA set that would govern a name if it led to target (RFC 8659 section 3): that of the target, and where it
// has none, of the nearest name above the name.
func (c *Client) CAAVia(ctx context.Context, d Delegation, target string, from Source) (*RRset, error) {
	resolvers, err := from.ResolverAddrs()
	if err != nil {
		return nil, err
	}
	answer, err := c.Resolve(ctx, resolvers, target, "CAA")
	if err != nil {
		return nil, err
	}
	for _, r := range answer.Answer {
		if r.Type == "CAA" {
			set := answer.Set(r.Name, "CAA")
			return &set, nil
		}
	}
	return c.climbCAA(ctx, d, from)
}
