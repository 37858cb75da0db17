package cloudflare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

const (
	// automatic is the TTL that stands for one that Cloudflare chooses, and automaticTTL what it chooses. A proxied record
	// has no other one, and a change of it takes place within as long (page "Time to Live (TTL)").
	automatic    = 1
	automaticTTL = 300
)

// ttl is for how long a cache may hold what the record holds; for a proxied one, how long Cloudflare's servers may.
func (r record) ttl() uint32 {
	if r.proxied() || r.TTL == automatic {
		return automaticTTL
	}
	return uint32(max(r.TTL, 0))
}

// data is the record's data in presentation form, as the DNS would give it back.
func (r record) data() string {
	text := r.Content
	switch r.Type {
	case "CNAME", "NS", "PTR":
		text = fqdn(r.Content)
	case "MX":
		if r.Priority != nil {
			text = fmt.Sprintf("%d %s", *r.Priority, fqdn(r.Content))
		}
	case "SRV":
		if r.Priority != nil && len(strings.Fields(r.Content)) == 3 {
			text = fmt.Sprintf("%d %s", *r.Priority, fqdn(r.Content))
		}
	case "TXT":
		if !strings.HasPrefix(text, `"`) {
			text = dnsx.TextData(pieces(text)...)
		}
	}
	normal, err := dnsx.Normal(dnsx.RRset{Name: r.Name, Type: r.Type, Data: []string{text}})
	if err != nil {
		return text // of a type that the library does not know: it is shown as Cloudflare has it
	}
	return normal.Data[0]
}

// pieces cuts a text into strings of 255 bytes, the most that one may have.
func pieces(text string) []string {
	var out []string
	for len(text) > 255 {
		out, text = append(out, text[:255]), text[255:]
	}
	return append(out, text)
}

func fqdn(name string) string { return strings.TrimSuffix(name, ".") + "." }

// gather makes sets of records, sorted by name and type. A set has the longest TTL of its records.
func gather(records []record) []zone.RRset {
	sets := map[string]*zone.RRset{}
	for _, r := range records {
		name, err := dnsx.Canonical(r.Name)
		if err != nil {
			name = fqdn(r.Name)
		}
		key := name + " " + r.Type
		set := sets[key]
		if set == nil {
			set = &zone.RRset{Name: name, Type: r.Type, TTL: r.ttl()}
			sets[key] = set
		}
		set.TTL = max(set.TTL, r.ttl())
		if data := r.data(); !slices.Contains(set.Data, data) {
			set.Data = append(set.Data, data)
		}
	}
	out := make([]zone.RRset, 0, len(sets))
	for _, set := range sets {
		slices.Sort(set.Data)
		out = append(out, *set)
	}
	slices.SortFunc(out, func(a, b zone.RRset) int { return strings.Compare(a.Name+" "+a.Type, b.Name+" "+b.Type) })
	return out
}

func ofType(records []record, typ string) []record {
	var out []record
	for _, r := range records {
		if r.Type == typ {
			out = append(out, r)
		}
	}
	return out
}

// content is data as the API takes it. TXT stays in quotes, which it recommends.
func content(typ, data string) string {
	if typ == "CNAME" {
		return strings.TrimSuffix(data, ".")
	}
	return data
}

// writable are the types that this driver writes.
func writable() []string { return []string{"A", "AAAA", "CNAME", "TXT"} }
