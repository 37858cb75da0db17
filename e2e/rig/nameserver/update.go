package nameserver

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Add puts records into a dynamic zone of the server, by a signed update without conditions: the rig's own hand, not
// the way of the driver under test.
func (s *Server) Add(ctx context.Context, apex string, records ...dnsx.Record) error {
	return s.update(ctx, apex, func(msg *dns.Msg) error {
		for _, r := range records {
			rr, err := dnsx.ToRR(r)
			if err != nil {
				return err
			}
			msg.Insert([]dns.RR{rr})
		}
		return nil
	})
}

// Clear takes all records of a type from a name.
func (s *Server) Clear(ctx context.Context, apex, name, typ string) error {
	return s.update(ctx, apex, func(msg *dns.Msg) error {
		msg.RemoveRRset([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: dns.StringToType[typ]}}})
		return nil
	})
}

// Forget takes every record from names.
func (s *Server) Forget(ctx context.Context, apex string, names ...string) error {
	return s.update(ctx, apex, func(msg *dns.Msg) error {
		for _, name := range names {
			msg.RemoveName([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: name}}})
		}
		return nil
	})
}

// AddA gives a name an address, with a TTL in seconds.
func (s *Server) AddA(ctx context.Context, apex, name string, addr netip.Addr, ttl uint32) error {
	return s.Add(ctx, apex, dnsx.Record{Name: name, Type: "A", TTL: ttl, Data: addr.String()})
}

// SetA makes an address the only one of a name, in one message: nobody sees the name without one.
func (s *Server) SetA(ctx context.Context, apex, name string, addr netip.Addr, ttl uint32) error {
	return s.update(ctx, apex, func(msg *dns.Msg) error {
		rr, err := dnsx.ToRR(dnsx.Record{Name: name, Type: "A", TTL: ttl, Data: addr.String()})
		if err != nil {
			return err
		}
		msg.RemoveRRset([]dns.RR{rr})
		msg.Insert([]dns.RR{rr})
		return nil
	})
}

func (s *Server) update(ctx context.Context, apex string, fill func(*dns.Msg) error) error {
	msg := new(dns.Msg)
	msg.SetUpdate(apex)
	if err := fill(msg); err != nil {
		return fmt.Errorf("update %s at %s: %w", apex, s.Spec.Name, err)
	}
	key := s.Spec.Key
	msg.SetTsig(key.Name, dns.Fqdn(key.Algorithm), 300, time.Now().Unix())
	client := dns.Client{Net: "tcp", Timeout: 5 * time.Second, TsigSecret: map[string]string{key.Name: key.Secret}}
	reply, _, err := client.ExchangeContext(ctx, msg, s.Spec.Addr.String())
	if err != nil {
		return fmt.Errorf("update %s at %s: %w", apex, s.Spec.Name, err)
	}
	if reply.Rcode != dns.RcodeSuccess {
		return fmt.Errorf("update %s at %s: the server says %s", apex, s.Spec.Name, dns.RcodeToString[reply.Rcode])
	}
	return nil
}
