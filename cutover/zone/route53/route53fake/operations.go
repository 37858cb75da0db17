package route53fake

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// carryOut does what a request asks for; s.mu is held.
func (s *Server) carryOut(op string, path []string, r *http.Request) (any, *problem) {
	query := r.URL.Query()
	if op == "GET hostedzonesbyname" {
		return s.zonesByName(query.Get("dnsname"), query.Get("hostedzoneid"), query.Get("maxitems"))
	}
	if len(path) < 2 {
		return nil, &problem{404, "NoSuchAction", r.URL.Path}
	}
	if op == "GET change" {
		return s.change(path[1])
	}
	z := s.zones[path[1]]
	if z == nil {
		return nil, &problem{404, "NoSuchHostedZone", "No hosted zone found with ID: " + path[1]}
	}
	switch op {
	case "GET hostedzone":
		return struct {
			XMLName xml.Name `xml:"GetHostedZoneResponse"`
			Zone    zoneXML  `xml:"HostedZone"`
		}{Zone: z.xml()}, nil
	case "GET hostedzone rrset":
		return s.list(z, query.Get("name"), query.Get("type"), query.Get("identifier"), query.Get("maxitems"))
	case "POST hostedzone rrset":
		return s.changeSets(z, r)
	}
	return nil, &problem{404, "NoSuchAction", op}
}

type zoneXML struct {
	ID      string `xml:"Id"`
	Name    string `xml:"Name"`
	Private bool   `xml:"Config>PrivateZone"`
	Count   int    `xml:"ResourceRecordSetCount"`
}

func (z *hostedZone) xml() zoneXML {
	return zoneXML{ID: "/hostedzone/" + z.id, Name: z.name, Private: z.private, Count: len(z.sets)}
}

func (s *Server) zonesByName(name, id, size string) (any, *problem) {
	var zones []*hostedZone
	for _, z := range s.zones {
		zones = append(zones, z)
	}
	slices.SortFunc(zones, func(a, b *hostedZone) int {
		return cmp.Or(strings.Compare(reversed(a.name), reversed(b.name)), strings.Compare(a.id, b.id))
	})
	if name != "" {
		zones = slices.DeleteFunc(zones, func(z *hostedZone) bool {
			c := cmp.Compare(reversed(z.name), reversed(spell(name)))
			return c < 0 || c == 0 && z.id < strings.TrimPrefix(id, "/hostedzone/")
		})
	}
	out := struct {
		XMLName   xml.Name  `xml:"ListHostedZonesByNameResponse"`
		Zones     []zoneXML `xml:"HostedZones>HostedZone"`
		Truncated bool      `xml:"IsTruncated"`
		NextName  string    `xml:"NextDNSName,omitempty"`
		NextID    string    `xml:"NextHostedZoneId,omitempty"`
		MaxItems  int       `xml:"MaxItems"`
	}{MaxItems: s.page(size, 100)}
	for i, z := range zones {
		if i == out.MaxItems {
			out.Truncated, out.NextName, out.NextID = true, z.name, z.id
			break
		}
		out.Zones = append(out.Zones, z.xml())
	}
	return out, nil
}

func (s *Server) page(asked string, most int) int {
	n, err := strconv.Atoi(asked)
	if err != nil || n <= 0 || n > most {
		n = most
	}
	if s.opts.Page > 0 {
		n = min(n, s.opts.Page)
	}
	return n
}

func (s *Server) list(z *hostedZone, name, typ, identifier, size string) (any, *problem) {
	if name == "" && typ != "" {
		return nil, &problem{400, "InvalidInput", "type without name"}
	}
	sets := sorted(z.sets)
	if name != "" {
		start := place(RecordSet{Name: spell(name), Type: typ, SetIdentifier: identifier})
		sets = slices.DeleteFunc(sets, func(r RecordSet) bool { return place(r) < start })
	}
	out := struct {
		XMLName   xml.Name    `xml:"ListResourceRecordSetsResponse"`
		Sets      []RecordSet `xml:"ResourceRecordSets>ResourceRecordSet"`
		Truncated bool        `xml:"IsTruncated"`
		MaxItems  int         `xml:"MaxItems"`
		NextName  string      `xml:"NextRecordName,omitempty"`
		NextType  string      `xml:"NextRecordType,omitempty"`
		NextID    string      `xml:"NextRecordIdentifier,omitempty"`
	}{MaxItems: s.page(size, 300)}
	for i, set := range sets {
		if i == out.MaxItems {
			out.Truncated, out.NextName, out.NextType, out.NextID = true, set.Name, set.Type, set.SetIdentifier
			break
		}
		out.Sets = append(out.Sets, set)
	}
	return out, nil
}

type changeXML struct {
	ID        string `xml:"ChangeInfo>Id"`
	Status    string `xml:"ChangeInfo>Status"`
	Submitted string `xml:"ChangeInfo>SubmittedAt"`
}

func (s *Server) changeSets(z *hostedZone, r *http.Request) (any, *problem) {
	var body struct {
		Changes []Change `xml:"ChangeBatch>Changes>Change"`
	}
	if err := xml.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, &problem{400, "InvalidInput", err.Error()}
	}
	sets, refused := z.apply(body.Changes)
	if refused != nil {
		return nil, refused
	}
	now := s.opts.Clock.Now()
	insync := now.Add(s.opts.Spread)
	z.sets = sets
	z.shown = append(z.shown, view{from: insync, sets: slices.Clone(sets)})
	s.batches = append(s.batches, body.Changes)
	id := fmt.Sprintf("C%06d", len(s.changes)+1)
	s.changes[id] = insync
	return struct {
		XMLName xml.Name `xml:"ChangeResourceRecordSetsResponse"`
		changeXML
	}{changeXML: changeXML{ID: "/change/" + id, Status: "PENDING", Submitted: now.UTC().Format(time.RFC3339)}}, nil
}

func (s *Server) change(id string) (any, *problem) {
	insync, ok := s.changes[id]
	if !ok {
		return nil, &problem{404, "NoSuchChange", "A change with the specified change ID does not exist."}
	}
	out := changeXML{ID: "/change/" + id, Status: "PENDING", Submitted: insync.Add(-s.opts.Spread).UTC().Format(time.RFC3339)}
	if !insync.After(s.opts.Clock.Now()) {
		out.Status = "INSYNC"
	}
	return struct {
		XMLName xml.Name `xml:"GetChangeResponse"`
		changeXML
	}{changeXML: out}, nil
}
