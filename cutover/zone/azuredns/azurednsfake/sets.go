package azurednsfake

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// properties are a record set's, as they are sent.
type properties struct {
	TTL      int64             `json:"TTL"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Target   *reference        `json:"targetResource,omitempty"`
	A        []addr4           `json:"ARecords,omitempty"`
	AAAA     []addr6           `json:"AAAARecords,omitempty"`
	CNAME    *alias            `json:"CNAMERecord,omitempty"`
	TXT      []text            `json:"TXTRecords,omitempty"`
	MX       []mail            `json:"MXRecords,omitempty"`
	SRV      []service         `json:"SRVRecords,omitempty"`
	CAA      []authority       `json:"caaRecords,omitempty"`
	NS       []server          `json:"NSRecords,omitempty"`
	SOA      *start            `json:"SOARecord,omitempty"`
	// Azure's own.
	Fqdn  string `json:"fqdn,omitempty"`
	State string `json:"provisioningState,omitempty"`
}

type (
	reference struct {
		ID string `json:"id"`
	}
	addr4 struct {
		Address string `json:"ipv4Address"`
	}
	addr6 struct {
		Address string `json:"ipv6Address"`
	}
	alias struct {
		Name string `json:"cname"`
	}
	text struct {
		Value []string `json:"value"`
	}
	mail struct {
		Preference int    `json:"preference"`
		Exchange   string `json:"exchange"`
	}
	service struct {
		Priority int    `json:"priority"`
		Weight   int    `json:"weight"`
		Port     int    `json:"port"`
		Target   string `json:"target"`
	}
	authority struct {
		Flags int    `json:"flags"`
		Tag   string `json:"tag"`
		Value string `json:"value"`
	}
	server struct {
		Name string `json:"nsdname"`
	}
	start struct {
		Host    string `json:"host"`
		Email   string `json:"email"`
		Serial  int64  `json:"serialNumber"`
		Refresh int64  `json:"refreshTime"`
		Retry   int64  `json:"retryTime"`
		Expire  int64  `json:"expireTime"`
		Minimum int64  `json:"minimumTTL"`
	}
)

func (p properties) clone() properties {
	p.Metadata = maps.Clone(p.Metadata)
	return p
}

// data returns the records in presentation form.
func (p properties) data() []string {
	var out []string
	for _, r := range p.A {
		out = append(out, r.Address)
	}
	for _, r := range p.AAAA {
		out = append(out, r.Address)
	}
	if p.CNAME != nil && p.CNAME.Name != "" {
		out = append(out, dot(p.CNAME.Name))
	}
	for _, r := range p.TXT {
		out = append(out, dnsx.TextData(r.Value...))
	}
	for _, r := range p.MX {
		out = append(out, fmt.Sprintf("%d %s", r.Preference, dot(r.Exchange)))
	}
	for _, r := range p.SRV {
		out = append(out, fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, dot(r.Target)))
	}
	for _, r := range p.CAA {
		out = append(out, fmt.Sprintf("%d %s %s", r.Flags, r.Tag, dnsx.TextData(r.Value)))
	}
	for _, r := range p.NS {
		out = append(out, dot(r.Name))
	}
	if s := p.SOA; s != nil {
		out = append(out, fmt.Sprintf("%s %s %d %d %d %d %d", dot(s.Host), dot(s.Email), s.Serial, s.Refresh, s.Retry, s.Expire, s.Minimum))
	}
	return out
}

func dot(name string) string { return strings.TrimSuffix(name, ".") + "." }

// propertiesOf is the opposite of data.
func propertiesOf(set zone.RRset) (properties, error) {
	p := properties{TTL: int64(set.TTL)}
	for _, data := range set.Data {
		f := strings.Fields(data)
		number := func(i int) int {
			n, err := strconv.Atoi(f[i])
			if err != nil {
				n = -1
			}
			return n
		}
		switch {
		case set.Type == "A":
			p.A = append(p.A, addr4{data})
		case set.Type == "AAAA":
			p.AAAA = append(p.AAAA, addr6{data})
		case set.Type == "CNAME":
			p.CNAME = &alias{data}
		case set.Type == "NS":
			p.NS = append(p.NS, server{data})
		case set.Type == "TXT":
			parts, err := dnsx.TextParts(data)
			if err != nil {
				return p, err
			}
			p.TXT = append(p.TXT, text{parts})
		case set.Type == "MX" && len(f) == 2:
			p.MX = append(p.MX, mail{number(0), f[1]})
		case set.Type == "SRV" && len(f) == 4:
			p.SRV = append(p.SRV, service{number(0), number(1), number(2), f[3]})
		case set.Type == "CAA" && len(f) == 3:
			p.CAA = append(p.CAA, authority{number(0), f[1], strings.Trim(f[2], `"`)})
		case set.Type == "SOA" && len(f) == 7:
			p.SOA = &start{f[0], f[1], int64(number(2)), int64(number(3)), int64(number(4)), int64(number(5)), int64(number(6))}
		default:
			return p, fmt.Errorf("the fake holds no %s %q", set.Type, data)
		}
	}
	return p, nil
}

func (s *Server) resource(k key, set *recordSet) map[string]any {
	props := set.props.clone()
	props.Fqdn, props.State = s.fqdn(k.name), "Succeeded"
	return map[string]any{
		"id":   fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Network/dnszones/%s/%s/%s", Subscription, ResourceGroup, s.apex, k.typ, k.name),
		"name": k.name, "type": "Microsoft.Network/dnszones/" + k.typ, "etag": set.etag, "properties": props,
	}
}

// holds looks at the conditions of a write. Only one of the two headers is sent at a time.
func (s *Server) holds(r *http.Request, set *recordSet) bool {
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	switch {
	case s.deaf:
		return true
	case none == "*" && set != nil:
		return false
	case match == "*":
		return set != nil
	case match != "":
		return set != nil && set.etag == match
	}
	return true
}

var precondition = reply{status: http.StatusPreconditionFailed, body: map[string]string{ //nolint:gochecknoglobals // never changed
	"code": "PreconditionFailed", "message": "The condition specified using HTTP conditional header(s) is not met.",
}}

func (s *Server) put(r *http.Request, k key) reply {
	var sent struct {
		Properties properties `json:"properties"`
	}
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		return refusal(http.StatusBadRequest, "BadRequest", "The request body is not valid.")
	}
	set := s.sets[k]
	switch {
	case s.lockedAll:
		return outer(http.StatusConflict, "ScopeLocked", "The scope cannot perform write operation because it is locked.")
	case !s.holds(r, set):
		return precondition
	}
	if problem := s.invalid(k, sent.Properties); problem != "" {
		return refusal(http.StatusBadRequest, "BadRequest", problem)
	}
	for other := range s.sets {
		if set == nil && other.name == k.name && (other.typ == "CNAME" || k.typ == "CNAME") {
			return refusal(http.StatusConflict, "Conflict", fmt.Sprintf("The %s record could not be created because another record with the same name already exists in this zone.", k.typ))
		}
	}
	status := http.StatusOK
	if set == nil {
		status = http.StatusCreated
	}
	sent.Properties.Fqdn, sent.Properties.State = "", ""
	s.write(k, sent.Properties)
	return reply{status: status, body: s.resource(k, s.sets[k])}
}

func (s *Server) invalid(k key, p properties) string {
	if p.Target == nil && (p.TTL < 1 || p.TTL > 1<<31-1) {
		return "The TTL must be from 1 to 2147483647."
	}
	if k.typ == "CNAME" && (k.name == "@" || p.CNAME == nil) {
		return "A CNAME record set cannot stand at the apex, and has one record."
	}
	if k.typ == "SOA" && s.sets[k] == nil {
		return "A SOA record set cannot be created."
	}
	length := 0
	for _, r := range p.TXT {
		for _, v := range r.Value {
			length += len(v)
			if len(v) > 255 {
				return "A string of a TXT record has at most 255 characters."
			}
		}
	}
	if length > 4096 {
		return "The TXT record set is longer than 4096 characters."
	}
	for _, r := range p.A {
		if a, err := netip.ParseAddr(r.Address); err != nil || !a.Is4() {
			return "The address '" + r.Address + "' is invalid."
		}
	}
	for _, r := range p.AAAA {
		if a, err := netip.ParseAddr(r.Address); err != nil || !a.Is6() {
			return "The address '" + r.Address + "' is invalid."
		}
	}
	return ""
}

func (s *Server) remove(r *http.Request, k key) reply {
	set := s.sets[k]
	switch {
	case s.lockedAll:
		return outer(http.StatusConflict, "ScopeLocked", "The scope cannot perform delete operation because it is locked.")
	case set == nil:
		return reply{status: http.StatusNoContent}
	case !s.holds(r, set):
		return precondition
	case k.name == "@" && (k.typ == "SOA" || k.typ == "NS"):
		return refusal(http.StatusBadRequest, "BadRequest", "Record sets of type SOA and NS of the apex cannot be deleted.")
	}
	delete(s.sets, k)
	return reply{status: http.StatusOK}
}

// list returns one page. The token is where the next one begins.
func (s *Server) list(r *http.Request) reply {
	var keys []key
	for k := range s.sets {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return strings.Compare(a.name+" "+a.typ, b.name+" "+b.typ) })
	from := 0
	if token := r.URL.Query().Get("$skiptoken"); token != "" {
		for from < len(keys) && keys[from].name+" "+keys[from].typ < token {
			from++
		}
	}
	value := []any{}
	for _, k := range keys[from:min(from+s.page, len(keys))] {
		value = append(value, s.resource(k, s.sets[k]))
	}
	out := map[string]any{"value": value}
	if next := from + s.page; next < len(keys) {
		query := r.URL.Query()
		query.Set("$skiptoken", keys[next].name+" "+keys[next].typ)
		out["nextLink"] = s.URL + r.URL.Path + "?" + query.Encode()
	}
	return reply{status: http.StatusOK, body: out}
}
