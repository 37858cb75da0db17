package route53fake

import (
	"fmt"
	"slices"
	"strings"
)

// A RecordSet is a ResourceRecordSet of the API.
type RecordSet struct {
	Name             string   `xml:"Name"`
	Type             string   `xml:"Type"`
	SetIdentifier    string   `xml:"SetIdentifier,omitempty"`
	Weight           *int64   `xml:"Weight,omitempty"`
	Region           string   `xml:"Region,omitempty"`
	Failover         string   `xml:"Failover,omitempty"`
	MultiValueAnswer *bool    `xml:"MultiValueAnswer,omitempty"`
	TTL              *int64   `xml:"TTL,omitempty"`
	Records          []Record `xml:"ResourceRecords>ResourceRecord"`
	Alias            *Alias   `xml:"AliasTarget,omitempty"`
	HealthCheckID    string   `xml:"HealthCheckId,omitempty"`
}

// A Record is a ResourceRecord of the API.
type Record struct {
	Value string `xml:"Value"`
}

// Records are the records of a set, by their values.
func Records(values ...string) []Record {
	out := make([]Record, len(values))
	for i, v := range values {
		out[i].Value = v
	}
	return out
}

// Values are a set's values.
func (r RecordSet) Values() []string {
	var out []string
	for _, record := range r.Records {
		out = append(out, record.Value)
	}
	return out
}

// An Alias is an AliasTarget of the API.
type Alias struct {
	HostedZoneID string `xml:"HostedZoneId"`
	DNSName      string `xml:"DNSName"`
	Evaluate     bool   `xml:"EvaluateTargetHealth"`
}

// A Change is one of a batch.
type Change struct {
	Action string    `xml:"Action"`
	Set    RecordSet `xml:"ResourceRecordSet"`
}

func (r RecordSet) key() string { return r.Name + " " + r.Type + " " + r.SetIdentifier }

func (r RecordSet) simple() bool { return r.SetIdentifier == "" }

// same says whether two sets hold the same, whatever the order of their values.
func (r RecordSet) same(o RecordSet) bool { return r.text() == o.text() }

func (r RecordSet) text() string {
	number := func(n *int64) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	alias := "-"
	if r.Alias != nil {
		alias = fmt.Sprintf("%+v", *r.Alias)
	}
	multi := r.MultiValueAnswer != nil && *r.MultiValueAnswer
	return strings.Join([]string{
		r.key(), number(r.TTL), number(r.Weight), r.Region, r.Failover, fmt.Sprint(multi), alias, r.HealthCheckID,
		strings.Join(slices.Sorted(slices.Values(r.Values())), "|"),
	}, " ")
}

// spell writes a name as the service gives it back: in lower case, with its dot, and with octal escapes.
func spell(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, ".")) + "."
	return strings.ReplaceAll(name, "*", `\052`)
}

// sorted is the order of listings: by the name with its labels reversed, then by type, then by set identifier.
func sorted(sets []RecordSet) []RecordSet {
	out := slices.Clone(sets)
	slices.SortFunc(out, func(a, b RecordSet) int { return strings.Compare(place(a), place(b)) })
	return out
}

func place(s RecordSet) string { return reversed(s.Name) + "\x00" + s.Type + "\x00" + s.SetIdentifier }

func reversed(name string) string {
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".") + "."
}

// apply carries a batch out on a copy: the whole, or a problem.
func (z *hostedZone) apply(batch []Change) ([]RecordSet, *problem) {
	sets := slices.Clone(z.sets)
	records, chars := 0, 0
	for i := range batch {
		c := &batch[i]
		c.Set.Name = spell(c.Set.Name)
		for _, v := range c.Set.Values() {
			records++
			chars += len(v)
		}
		if text := z.refuse(sets, *c); text != "" {
			return nil, &problem{400, "InvalidChangeBatch", text}
		}
		sets = slices.DeleteFunc(sets, func(o RecordSet) bool { return o.key() == c.Set.key() })
		if c.Action != "DELETE" {
			sets = append(sets, c.Set)
		}
	}
	if len(batch) == 0 || records > 1000 || chars > 32000 {
		return nil, &problem{400, "InvalidChangeBatch", fmt.Sprintf("Number of records limit of 1000 exceeded, or 32000 characters: %d, %d.", records, chars)}
	}
	return sets, nil
}

// refuse says why a change cannot be made after those before it.
func (z *hostedZone) refuse(sets []RecordSet, c Change) string {
	name, typ := c.Set.Name, c.Set.Type
	if name != z.name && !strings.HasSuffix(name, "."+z.name) {
		return fmt.Sprintf("RRSet with DNS name %s is not permitted in zone %s", name, z.name)
	}
	i := slices.IndexFunc(sets, func(o RecordSet) bool { return o.key() == c.Set.key() })
	switch c.Action {
	case "DELETE":
		switch {
		case name == z.name && (typ == "NS" || typ == "SOA"):
			return fmt.Sprintf("A HostedZone must contain at least one NS record and exactly one SOA record: %s", name)
		case i < 0:
			return fmt.Sprintf("Tried to delete resource record set [name='%s', type='%s'] but it was not found", name, typ)
		case !sets[i].same(c.Set):
			return fmt.Sprintf("Tried to delete resource record set [name='%s', type='%s'] but the values provided do not match the current values", name, typ)
		}
		return ""
	case "CREATE":
		if i >= 0 {
			return fmt.Sprintf("Tried to create resource record set [name='%s', type='%s'] but it already exists", name, typ)
		}
	case "UPSERT":
	default:
		return "Invalid XML; unknown action " + c.Action
	}
	if text := refuseValues(c.Set); text != "" {
		return text
	}
	if name == z.name && typ == "CNAME" {
		return fmt.Sprintf("RRSet of type CNAME with DNS name %s is not permitted at apex in zone %s", name, z.name)
	}
	for _, o := range sets {
		if o.Name != name || o.key() == c.Set.key() {
			continue
		}
		switch {
		case typ == "CNAME" && o.Type != "CNAME":
			return fmt.Sprintf("RRSet of type CNAME with DNS name %s is not permitted as it conflicts with other records with the same DNS name in zone %s", name, z.name)
		case o.Type == "CNAME" && typ != "CNAME":
			return fmt.Sprintf("RRSet of type %s with DNS name %s is not permitted because a conflicting RRSet of type CNAME with the same DNS name already exists in zone %s", typ, name, z.name)
		case o.Type == typ && !o.simple() && !c.Set.simple() && o.policy() != c.Set.policy():
			return fmt.Sprintf("RRSet with DNS name %s, type %s, SetIdentifier %s cannot be created as other RRSets exist with the same name and type and another routing policy", name, typ, c.Set.SetIdentifier)
		case o.Type == typ && o.Weight != nil && c.Set.Weight != nil && o.Alias == nil && c.Set.Alias == nil && *o.TTL != *c.Set.TTL:
			return fmt.Sprintf("All weighted RRSets with DNS name %s, type %s must have the same TTL", name, typ)
		case o.Type == typ && (o.simple() || c.Set.simple()):
			return fmt.Sprintf("RRSet with DNS name %s, type %s cannot be created as other RRSets exist with the same name and type", name, typ)
		}
	}
	return ""
}

// policy names what chooses among sets of one name and type.
func (r RecordSet) policy() string {
	switch {
	case r.Weight != nil:
		return "weighted"
	case r.Region != "":
		return "latency"
	case r.Failover != "":
		return "failover"
	case r.MultiValueAnswer != nil:
		return "multivalue"
	}
	return "simple"
}

func refuseValues(s RecordSet) string {
	switch {
	case (s.policy() == "simple") != s.simple():
		return fmt.Sprintf("Invalid request: Expected exactly one of [Weight, Region, Failover, MultiValueAnswer, GeoLocation] where there is a SetIdentifier, and none where there is none: %s %s", s.Name, s.Type)
	case s.Weight != nil && (*s.Weight < 0 || *s.Weight > 255):
		return fmt.Sprintf("Invalid request: Weight %d is not from 0 to 255", *s.Weight)
	case s.Weight != nil && s.Alias == nil && len(s.Records) > 1:
		return fmt.Sprintf("Invalid request: a weighted RRSet has one ResourceRecord, %s %s has %d", s.Name, s.Type, len(s.Records))
	}
	if s.Alias != nil {
		return ""
	}
	if s.TTL == nil || len(s.Records) == 0 {
		return fmt.Sprintf("Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId], but found none in Change with [Action=CREATE, Name=%s, Type=%s]", s.Name, s.Type)
	}
	for _, v := range s.Values() {
		if s.Type == "TXT" && (len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"') {
			return fmt.Sprintf("Invalid Resource Record: 'FATAL problem: InvalidCharacterString (Value should be enclosed in quotation marks) encountered with '%s''", v)
		}
	}
	return ""
}
