package dnsx

import (
	"net/netip"
	"slices"
)

// A Record is one resource record.
type Record struct {
	Name string `json:"name"` // canonical
	Type string `json:"type"` // mnemonic
	TTL  uint32 `json:"ttl"`  // seconds
	// Data is in presentation form, with names canonical.
	Data string `json:"data"`
}

// An RRset is all records of one type at one name. It converts to and from zone.RRset.
type RRset struct {
	Name string   `json:"name"`
	Type string   `json:"type"`
	TTL  uint32   `json:"ttl"`
	Data []string `json:"data"`
}

// Equal says whether both sets are the same, TTL included, whatever the order of their data.
func (s RRset) Equal(o RRset) bool {
	return s.TTL == o.TTL && s.SameData(o)
}

// SameData says whether both sets hold the same data, whatever their TTL.
func (s RRset) SameData(o RRset) bool {
	a, b := slices.Sorted(slices.Values(s.Data)), slices.Sorted(slices.Values(o.Data))
	return s.Name == o.Name && s.Type == o.Type && slices.Equal(a, b)
}

// A Server is one name server with every address that it was found to have.
type Server struct {
	Name  string           `json:"name"` // empty where the file lists addresses only
	Addrs []netip.AddrPort `json:"addrs"`
}

// A Source says where a discovery begins. The zero value asks the resolvers of /etc/resolv.conf.
type Source struct {
	// Resolvers are "address", "address:port" or "[address]:port".
	Resolvers []string `json:"resolvers,omitempty"`
	// Servers, where given, are the authoritative servers' addresses: the delegation is not looked up.
	Servers []string `json:"servers,omitempty"`
}

// A SOA is a zone's start of authority.
type SOA struct {
	Zone    string `json:"zone"`
	Primary string `json:"primary"`
	Serial  uint32 `json:"serial"`
	TTL     uint32 `json:"ttl"`     // seconds
	Minimum uint32 `json:"minimum"` // seconds
}

// NegativeTTL is for how many seconds a resolver may remember that something does not exist (RFC 2308 section 5).
func (s SOA) NegativeTTL() uint32 { return min(s.TTL, s.Minimum) }

// A Cut is a zone and who serves it.
type Cut struct {
	SOA SOA `json:"soa"`
	// Parent is the zone above; empty for the root and where Source.Servers were given.
	Parent string `json:"parent,omitempty"`
	// AtParent and AtChild are the names of the servers in the parent's delegation and in the zone's own NS set.
	AtParent []string `json:"atParent,omitempty"`
	AtChild  []string `json:"atChild,omitempty"`
	// Servers are all of both, with all their IPv4 and IPv6 addresses.
	Servers []Server `json:"servers"`
	// Signed is set where the zone has a DNSKEY; Secure where the parent has a DS for it too.
	Signed bool `json:"signed,omitempty"`
	Secure bool `json:"secure,omitempty"`
}

// A Link is one CNAME of a chain, or its end.
type Link struct {
	Name string `json:"name"`
	// Sets are what stands there: one CNAME, or, at the end of the chain, the A and the AAAA sets. The TTLs are those
	// of the zone.
	Sets []RRset `json:"sets"`
	Cut  Cut     `json:"cut"`
}

// A Delegation is what Discover found about one name.
type Delegation struct {
	Name string `json:"name"`
	Cut
	// Records are all sets that were found at the name, of every type that matters for a cutover.
	Records []RRset `json:"records,omitempty"`
	// Wildcard is the set of wildcards that cover the name's siblings ("*.apps.test."), where there are any.
	Wildcard []RRset `json:"wildcard,omitempty"`
	// Chain begins with the name itself and follows its CNAMEs to an address.
	Chain []Link `json:"chain,omitempty"`
	// CAA is the set that governs certificates for the name, where there is one (RFC 8659 section 3).
	CAA *RRset `json:"caa,omitempty"`
	// CAAUnread says why that set could not be read; there is a warning of it too.
	CAAUnread string `json:"caaUnread,omitempty"`
	// Silent says of each address of a server that does not answer for the zone why; Warnings has these sentences too.
	Silent []string `json:"silent,omitempty"`
	// Warnings are sentences for the plan: parent and child differ, an address does not answer.
	Warnings []string `json:"warnings,omitempty"`
}

// Lookup returns the set of a type among Records.
func (d Delegation) Lookup(typ string) (RRset, bool) {
	for _, s := range d.Records {
		if s.Type == typ {
			return s, true
		}
	}
	return RRset{}, false
}

// A ServerAnswer is what one address of one server said about one wanted set.
type ServerAnswer struct {
	Server string         `json:"server"`
	Addr   netip.AddrPort `json:"addr"`
	Name   string         `json:"name"`
	Type   string         `json:"type"`
	// OK is set when the server answered with authority and exactly the wanted set, TTL included.
	OK bool `json:"ok"`
	// Got is what it answered; empty Data means that it said with authority that there is none.
	Got RRset `json:"got"`
	// Reason says in one sentence why OK is false.
	Reason string `json:"reason,omitempty"`
	// Unknown is set when nothing was learned: unreachable, not authoritative, a failure. It is never good news (I8).
	Unknown bool `json:"unknown,omitempty"`
}

// An Answer is one reply to one question.
type Answer struct {
	Server        netip.AddrPort
	Rcode         string // "NOERROR", "NXDOMAIN", …
	Authoritative bool
	Answer        []Record
	Authority     []Record
	Additional    []Record
}

// Set gathers the records of one name and type from the answer section. Its TTL is the lowest of theirs.
func (a Answer) Set(name, typ string) RRset { return Gather(a.Answer, name, typ) }

// Gather collects the records of one name and type. The TTL is the lowest of theirs; without any, Data is empty.
func Gather(records []Record, name, typ string) RRset {
	set := RRset{Name: name, Type: typ}
	for _, r := range records {
		if r.Name != name || r.Type != typ {
			continue
		}
		if len(set.Data) == 0 || r.TTL < set.TTL {
			set.TTL = r.TTL
		}
		if !slices.Contains(set.Data, r.Data) {
			set.Data = append(set.Data, r.Data)
		}
	}
	slices.Sort(set.Data)
	return set
}
