package dnsx

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// toAnswer turns a reply into this package's own types.
func toAnswer(m *dns.Msg) (Answer, error) {
	rcode, ok := dns.RcodeToString[m.Rcode]
	if !ok {
		rcode = fmt.Sprintf("RCODE%d", m.Rcode)
	}
	answer := Answer{Rcode: rcode, Authoritative: m.Authoritative}
	for _, part := range []struct {
		from []dns.RR
		to   *[]Record
	}{{m.Answer, &answer.Answer}, {m.Ns, &answer.Authority}, {m.Extra, &answer.Additional}} {
		for _, rr := range part.from {
			switch rr.Header().Rrtype {
			case dns.TypeOPT, dns.TypeTSIG, dns.TypeSIG:
				continue // they speak of the message, not of the zone
			}
			record, err := FromRR(rr)
			if err != nil {
				return Answer{}, fmt.Errorf("%w: %w", ErrReply, err)
			}
			*part.to = append(*part.to, record)
		}
	}
	return answer, nil
}

// FromRR returns the library's record as this package's own. Names in the data of types that the original DNS knew are
// made canonical, as RFC 4034 section 6.2 does, so that equal records have equal data.
func FromRR(rr dns.RR) (Record, error) {
	h := rr.Header()
	name, err := Canonical(h.Name)
	if err != nil {
		return Record{}, err
	}
	if h.Class != dns.ClassINET {
		return Record{}, fmt.Errorf("record at %s is of class %s", name, dns.Class(h.Class))
	}
	rr = dns.Copy(rr)
	switch rr := rr.(type) {
	case *dns.CNAME:
		rr.Target, err = Canonical(rr.Target)
	case *dns.DNAME:
		rr.Target, err = Canonical(rr.Target)
	case *dns.NS:
		rr.Ns, err = Canonical(rr.Ns)
	case *dns.PTR:
		rr.Ptr, err = Canonical(rr.Ptr)
	case *dns.MX:
		rr.Mx, err = Canonical(rr.Mx)
	case *dns.SRV:
		rr.Target, err = Canonical(rr.Target)
	case *dns.SOA:
		rr.Ns, err = Canonical(rr.Ns)
	}
	if err != nil {
		return Record{}, fmt.Errorf("record at %s: %w", name, err)
	}
	data := strings.TrimPrefix(rr.String(), rr.Header().String())
	if data == "" {
		return Record{}, fmt.Errorf("record at %s: a %s without data", name, dns.Type(h.Rrtype))
	}
	return Record{Name: name, Type: dns.Type(h.Rrtype).String(), TTL: h.Ttl, Data: data}, nil
}

// ToRR returns a record as the library's own.
func ToRR(r Record) (dns.RR, error) {
	code, ok := dns.StringToType[r.Type]
	if !ok {
		return nil, fmt.Errorf("read record at %s: unknown type %q", r.Name, r.Type)
	}
	name, err := Canonical(r.Name)
	if err != nil {
		return nil, err
	}
	rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", name, r.TTL, r.Type, r.Data))
	if err != nil {
		return nil, fmt.Errorf("read %s record at %s: %w", r.Type, name, err)
	}
	// A line break could smuggle in a second record, and empty data of some types makes none.
	if rr == nil || rr.Header().Rrtype != code || rr.Header().Name != name || strings.ContainsAny(r.Data, "\n\r") {
		return nil, fmt.Errorf("read %s record at %s: %q is not one record's data", r.Type, name, r.Data)
	}
	return rr, nil
}

// Normal returns a set as the DNS itself would give it back: name and data in canonical form, data sorted and without
// doubles. A set without data is refused: it does not exist.
func Normal(set RRset) (RRset, error) {
	if len(set.Data) == 0 {
		return RRset{}, fmt.Errorf("the %s set at %s has no data", set.Type, set.Name)
	}
	var records []Record
	for _, data := range set.Data {
		rr, err := ToRR(Record{Name: set.Name, Type: set.Type, TTL: set.TTL, Data: data})
		if err != nil {
			return RRset{}, err
		}
		record, err := FromRR(rr)
		if err != nil {
			return RRset{}, err
		}
		records = append(records, record)
	}
	return Gather(records, records[0].Name, records[0].Type), nil
}
