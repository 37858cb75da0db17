package azuredns

import (
	"fmt"
	"maps"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/dns/armdns"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// found is one record set as it was read. Without raw there is none; a set without data exists and answers nothing.
type found struct {
	set zone.RRset
	raw *armdns.RecordSet
}

func (f found) etag() string {
	if f.raw == nil || f.raw.Etag == nil {
		return ""
	}
	return *f.raw.Etag
}

// meta returns the value of a key of the set's metadata.
func (f found) meta(key string) string {
	if f.raw == nil || f.raw.Properties.Metadata[key] == nil {
		return ""
	}
	return *f.raw.Properties.Metadata[key]
}

// alias returns the ID of the Azure resource that the set follows.
func (f found) alias() string {
	if f.raw == nil || f.raw.Properties.TargetResource == nil {
		return ""
	}
	return str(f.raw.Properties.TargetResource.ID)
}

// text returns the text of a fence.
func (f found) text() string {
	var tokens []string
	for _, data := range f.set.Data {
		parts, err := dnsx.TextParts(data)
		if err != nil {
			return data // nobody's token
		}
		tokens = append(tokens, strings.Join(parts, ""))
	}
	return strings.Join(tokens, " ")
}

// read turns Azure's record set into ours.
func (d *Driver) read(raw *armdns.RecordSet) (found, error) {
	if raw == nil || raw.Name == nil || raw.Type == nil || raw.Etag == nil || raw.Properties == nil {
		return found{}, fmt.Errorf("a record set without name, type, etag or properties")
	}
	typ := (*raw.Type)[strings.LastIndexByte(*raw.Type, '/')+1:]
	name, err := dnsx.Canonical(d.absolute(*raw.Name))
	if err != nil {
		return found{}, err
	}
	set := zone.RRset{Name: name, Type: typ, Data: dataOf(raw.Properties)}
	if raw.Properties.TTL != nil {
		set.TTL = uint32(*raw.Properties.TTL)
	}
	if len(set.Data) > 0 {
		normal, err := dnsx.Normal(dnsx.RRset(set))
		if err != nil {
			return found{}, err
		}
		set = zone.RRset(normal)
	}
	return found{set: set, raw: raw}, nil
}

// dataOf returns a set's records in presentation form.
func dataOf(p *armdns.RecordSetProperties) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, r := range p.ARecords {
		add("%s", str(r.IPv4Address))
	}
	for _, r := range p.AaaaRecords {
		add("%s", str(r.IPv6Address))
	}
	if p.CnameRecord != nil {
		add("%s", fqdn(p.CnameRecord.Cname))
	}
	for _, r := range p.TxtRecords {
		var parts []string
		for _, v := range r.Value {
			parts = append(parts, str(v))
		}
		add("%s", dnsx.TextData(parts...))
	}
	for _, r := range p.MxRecords {
		add("%d %s", num(r.Preference), fqdn(r.Exchange))
	}
	for _, r := range p.SrvRecords {
		add("%d %d %d %s", num(r.Priority), num(r.Weight), num(r.Port), fqdn(r.Target))
	}
	for _, r := range p.CaaRecords {
		add("%d %s %s", num(r.Flags), str(r.Tag), dnsx.TextData(str(r.Value)))
	}
	for _, r := range p.NsRecords {
		add("%s", fqdn(r.Nsdname))
	}
	for _, r := range p.PtrRecords {
		add("%s", fqdn(r.Ptrdname))
	}
	if s := p.SoaRecord; s != nil {
		add("%s %s %d %d %d %d %d", fqdn(s.Host), fqdn(s.Email), num(s.SerialNumber), num(s.RefreshTime), num(s.RetryTime), num(s.ExpireTime), num(s.MinimumTTL))
	}
	return out
}

// body returns what is sent for a set that takes the place of another, or of none: everything that the other one has
// beside its records and its TTL is kept. Without data these are kept too, as they were read.
func body(set zone.RRset, prior found, meta map[string]*string) (armdns.RecordSet, error) {
	p := armdns.RecordSetProperties{}
	if prior.raw != nil {
		p = *prior.raw.Properties
		p.Fqdn, p.ProvisioningState = nil, nil // Azure's own
		p.Metadata = maps.Clone(p.Metadata)
	}
	for key, value := range meta {
		if p.Metadata == nil {
			p.Metadata = map[string]*string{}
		}
		if value == nil {
			delete(p.Metadata, key)
		} else {
			p.Metadata[key] = value
		}
	}
	if len(set.Data) == 0 {
		return armdns.RecordSet{Properties: &p}, nil
	}
	p.TTL = to.Ptr(int64(set.TTL))
	switch set.Type {
	case "A":
		p.ARecords = nil
		for _, data := range set.Data {
			p.ARecords = append(p.ARecords, &armdns.ARecord{IPv4Address: to.Ptr(data)})
		}
	case "AAAA":
		p.AaaaRecords = nil
		for _, data := range set.Data {
			p.AaaaRecords = append(p.AaaaRecords, &armdns.AaaaRecord{IPv6Address: to.Ptr(data)})
		}
	case "CNAME":
		p.CnameRecord = &armdns.CnameRecord{Cname: to.Ptr(strings.TrimSuffix(set.Data[0], "."))}
	case "TXT":
		p.TxtRecords = nil
		for _, data := range set.Data {
			parts, err := dnsx.TextParts(data)
			if err != nil {
				return armdns.RecordSet{}, err
			}
			p.TxtRecords = append(p.TxtRecords, &armdns.TxtRecord{Value: to.SliceOfPtrs(parts...)})
		}
	}
	return armdns.RecordSet{Properties: &p}, nil
}

// writable are the types that this driver writes.
func writable() []string { return []string{"A", "AAAA", "CNAME", "TXT"} }

// known are the types that a set of the API's version can have, those that this driver writes first.
func known() []string {
	return append(writable(), "MX", "SRV", "CAA", "NS", "PTR", "SOA")
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func num[N int32 | int64](n *N) N {
	if n == nil {
		return 0
	}
	return *n
}

func fqdn(s *string) string { return strings.TrimSuffix(str(s), ".") + "." }
