package rfc2136

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Probe implements zone.Prober. Its messages delete records that do not exist, which changes nothing even where a
// server takes them (RFC 2136 section 3.4.2.4).
func (d *Driver) Probe(ctx context.Context, name string) error {
	op := "probe the conditions for " + name
	name, err := dnsx.Canonical(name)
	if err != nil {
		return d.errorOf(op, fmt.Errorf("%w: %w", zone.ErrInvalid, err))
	}
	fence, err := zone.FenceName(name, d.apex)
	if err != nil {
		return d.errorOf(op, err)
	}
	// Nobody else holds this token, so that a condition on it is false whatever the zone holds.
	token := "crossfade-probe-" + rand.Text()
	foreign, err := records(fenceSet(fence, token))
	if err != nil {
		return d.errorOf(op, err)
	}
	for _, probe := range []struct {
		what  string
		rcode int
		set   func(msg *dns.Msg)
	}{
		{"a TXT with this data exists", dns.RcodeNXRrset, func(m *dns.Msg) { m.Used(copies(foreign)) }},
		{"no SOA exists", dns.RcodeYXRrset, func(m *dns.Msg) { m.RRsetNotUsed(bare(d.apex, dns.TypeSOA)) }},
		{"a SOA exists", dns.RcodeSuccess, func(m *dns.Msg) { m.RRsetUsed(bare(d.apex, dns.TypeSOA)) }},
	} {
		msg := d.update()
		probe.set(msg)
		msg.Remove(copies(foreign))
		if name != d.apex {
			msg.Remove([]dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME}, Target: token + ".invalid."}})
		}
		reply, err := d.exchange(ctx, msg)
		switch {
		case err != nil:
			return d.errorOf(op, err)
		case reply.Rcode == dns.RcodeSuccess && probe.rcode != dns.RcodeSuccess:
			return &zone.Error{
				Op: op, Hint: "change this zone by another driver: without conditions two writers could undo each other",
				Err: fmt.Errorf("%w: it took a change on the false condition that %s", zone.ErrConditionsIgnored, probe.what),
			}
		case reply.Rcode != probe.rcode:
			return d.errorOf(op, replyError(reply))
		}
	}
	return nil
}

// copies keeps the library from writing into records that another section or message holds (C2).
func copies(rrs []dns.RR) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
	}
	return out
}
