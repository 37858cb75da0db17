package dnsx

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Hints returns the addresses that HTTPS and SVCB records give along (ipv4hint and ipv6hint, RFC 9460 section 7.3), and the names
// that they lead to.
func Hints(set RRset) (addrs []netip.Addr, targets []string, err error) {
	for _, data := range set.Data {
		rr, err := ToRR(Record{Name: set.Name, Type: set.Type, TTL: set.TTL, Data: data})
		if err != nil {
			return nil, nil, err
		}
		var svcb *dns.SVCB
		switch rr := rr.(type) {
		case *dns.HTTPS:
			svcb = &rr.SVCB
		case *dns.SVCB:
			svcb = rr
		default:
			return nil, nil, fmt.Errorf("%s records give no addresses", set.Type)
		}
		if svcb.Target != "." {
			target, err := Canonical(svcb.Target)
			if err != nil {
				return nil, nil, err
			}
			targets = append(targets, target)
		}
		for _, value := range svcb.Value {
			var ips []string
			switch v := value.(type) {
			case *dns.SVCBIPv4Hint:
				ips = strings.Split(v.String(), ",")
			case *dns.SVCBIPv6Hint:
				ips = strings.Split(v.String(), ",")
			}
			for _, text := range ips {
				if addr, err := netip.ParseAddr(text); err == nil {
					addrs = append(addrs, addr.Unmap())
				}
			}
		}
	}
	return addrs, targets, nil
}

// Issuers returns the domains of the authorities that a CAA set allows to issue for a name. Without restriction every
// authority may: a set that has no property of the kind restricts nothing (RFC 8659 sections 4.2 and 4.3).
func Issuers(set RRset, wildcard bool) (domains []string, restricted bool) {
	byTag := map[string][]string{}
	for _, data := range set.Data {
		rr, err := ToRR(Record{Name: set.Name, Type: set.Type, TTL: set.TTL, Data: data})
		if err != nil {
			continue
		}
		if caa, ok := rr.(*dns.CAA); ok {
			domain, _, _ := strings.Cut(caa.Value, ";")
			tag := strings.ToLower(caa.Tag)
			byTag[tag] = append(byTag[tag], strings.ToLower(strings.TrimSpace(domain)))
		}
	}
	found, ok := byTag["issuewild"]
	if !wildcard || !ok {
		found, ok = byTag["issue"]
	}
	return slices.DeleteFunc(found, func(d string) bool { return d == "" }), ok
}

// LeadsTo returns the names and the addresses to which clients of a set are led. Types that lead nowhere give none. ALIAS stands for a
// provider's own kind of pointer. Data that cannot be read is an error.
func LeadsTo(set RRset) (names []string, addrs []netip.Addr, err error) {
	switch set.Type {
	case "HTTPS", "SVCB":
		addrs, names, err = Hints(set)
		return names, addrs, err
	case "ALIAS", "ANAME":
		return set.Data, nil, nil
	case "A", "AAAA", "CNAME", "DNAME", "SRV", "MX", "NS", "NAPTR":
	default:
		return nil, nil, nil
	}
	for _, data := range set.Data {
		rr, err := ToRR(Record{Name: set.Name, Type: set.Type, TTL: set.TTL, Data: data})
		if err != nil {
			return nil, nil, err
		}
		target := ""
		switch rr := rr.(type) {
		case *dns.A:
			addrs = appendAddr(addrs, rr.A)
		case *dns.AAAA:
			addrs = appendAddr(addrs, rr.AAAA)
		case *dns.CNAME:
			target = rr.Target
		case *dns.DNAME:
			target = rr.Target
		case *dns.SRV:
			target = rr.Target
		case *dns.MX:
			target = rr.Mx
		case *dns.NS:
			target = rr.Ns
		case *dns.NAPTR:
			target = rr.Replacement
		}
		if target == "" || target == "." {
			continue
		}
		name, err := Canonical(target)
		if err != nil {
			return nil, nil, err
		}
		names = append(names, name)
	}
	return names, addrs, nil
}

func appendAddr(addrs []netip.Addr, ip net.IP) []netip.Addr {
	if addr, ok := netip.AddrFromSlice(ip); ok {
		addrs = append(addrs, addr.Unmap())
	}
	return addrs
}
