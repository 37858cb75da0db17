package cutbench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

const (
	// glance is the time between two questions to one address: what is measured is no finer than that.
	glance = 10 * time.Millisecond
	// patience is how long one answer by UDP may take before the question is asked again.
	patience = 500 * time.Millisecond
	// visibleLimit ends a watch: what takes longer is a failure of the run and no figure.
	visibleLimit = 2 * time.Minute
)

// A sighting waits until every address shows a name's new target, and says when each did for the first time.
type sighting struct {
	times []time.Time
	group *errgroup.Group
}

// watch begins to ask every address.
func watch(ctx context.Context, addrs []netip.AddrPort, name, target string) *sighting {
	s := &sighting{times: make([]time.Time, len(addrs))}
	ctx, cancel := context.WithTimeoutCause(ctx, visibleLimit, fmt.Errorf("%s does not lead to %s everywhere within %s", name, target, visibleLimit))
	s.group, ctx = errgroup.WithContext(ctx)
	for i, addr := range addrs {
		s.group.Go(func() (err error) {
			s.times[i], err = firstShown(ctx, addr, name, target)
			return err
		})
	}
	context.AfterFunc(ctx, cancel)
	return s
}

// last is when the last address showed it.
func (s *sighting) last() (time.Time, error) {
	if err := s.group.Wait(); err != nil {
		return time.Time{}, err
	}
	last := s.times[0]
	for _, t := range s.times {
		if t.After(last) {
			last = t
		}
	}
	return last, nil
}

// firstShown asks one address until it answers with the target.
func firstShown(ctx context.Context, addr netip.AddrPort, name, target string) (time.Time, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp4", addr.String())
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = conn.Close() }() // it was only asked
	tick := time.NewTicker(glance)
	defer tick.Stop()
	packet := make([]byte, 4096)
	for id := uint16(1); ; id++ {
		got, err := targetOf(conn, id, name, packet)
		if err != nil {
			return time.Time{}, fmt.Errorf("ask %s for %s: %w", addr, name, err)
		}
		if strings.EqualFold(got, target) {
			return time.Now(), nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// targetOf asks once where a name leads; empty where no answer came.
func targetOf(conn net.Conn, id uint16, name string, packet []byte) (string, error) {
	rr, err := question(conn, id, name, dns.TypeCNAME, packet)
	if cname, ok := rr.(*dns.CNAME); ok {
		return cname.Target, err
	}
	return "", err
}

// question asks once for the one record of a type, by UDP; nil where no answer came in time, or none with authority.
func question(conn net.Conn, id uint16, name string, typ uint16, packet []byte) (dns.RR, error) {
	msg := new(dns.Msg)
	msg.SetQuestion(name, typ)
	msg.Id, msg.RecursionDesired = id, false
	wire, err := msg.Pack()
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(wire); err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	for {
		n, err := conn.Read(packet)
		if err != nil {
			return nil, nil //nolint:nilerr // UDP may lose a packet: the question is asked again
		}
		reply := new(dns.Msg)
		if reply.Unpack(packet[:n]) != nil || reply.Id != id {
			continue
		}
		if len(reply.Answer) != 1 || !reply.Authoritative {
			return nil, nil
		}
		return reply.Answer[0], nil
	}
}

// settled waits until every address has the same serial of a zone: what was changed before is not on the next one's time.
func settled(ctx context.Context, addrs []netip.AddrPort, zone string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, visibleLimit, fmt.Errorf("the servers of %s do not agree within %s", zone, visibleLimit))
	defer cancel()
	packet := make([]byte, 4096)
	for {
		serials := map[uint32]bool{}
		for _, addr := range addrs {
			conn, err := new(net.Dialer).DialContext(ctx, "udp4", addr.String())
			if err != nil {
				return err
			}
			rr, err := question(conn, 1, zone, dns.TypeSOA, packet)
			if err := errors.Join(err, conn.Close()); err != nil {
				return fmt.Errorf("ask %s for the serial of %s: %w", addr, zone, err)
			}
			if soa, ok := rr.(*dns.SOA); ok {
				serials[soa.Serial] = true
			} else {
				serials[0] = true
			}
		}
		if len(serials) == 1 && !serials[0] {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * glance):
		}
	}
}
