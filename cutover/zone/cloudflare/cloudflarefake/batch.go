package cloudflarefake

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// mostInABatch is the number for a Free zone.
const mostInABatch = 200

// operation is one of a batch. What is nil is not named.
type operation struct {
	ID      string    `json:"id"`
	Name    *string   `json:"name"`
	Type    *string   `json:"type"`
	Content *string   `json:"content"`
	TTL     *int      `json:"ttl"`
	Proxied *bool     `json:"proxied"`
	Comment *string   `json:"comment"`
	Tags    *[]string `json:"tags"`
}

// onto writes what an operation names into a record.
func (o operation) onto(r Record) Record {
	write(&r.Name, o.Name)
	write(&r.Type, o.Type)
	write(&r.Content, o.Content)
	write(&r.TTL, o.TTL)
	write(&r.Proxied, o.Proxied)
	write(&r.Comment, o.Comment)
	write(&r.Tags, o.Tags)
	r.Name = strings.TrimSuffix(strings.ToLower(r.Name), ".")
	if r.Proxied {
		r.TTL = 1
	}
	return r
}

func write[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// batch carries a transaction out on a copy, which replaces the zone when nothing failed.
func (s *Server) batch(r *http.Request) reply {
	var sent struct {
		Deletes []operation `json:"deletes"`
		Patches []operation `json:"patches"`
		Puts    []operation `json:"puts"`
		Posts   []operation `json:"posts"`
	}
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		return refusal(http.StatusBadRequest, 9207, "Request body is invalid.")
	}
	if n := len(sent.Deletes) + len(sent.Patches) + len(sent.Puts) + len(sent.Posts); n > mostInABatch || n == 0 || len(sent.Puts) > 0 {
		return refusal(http.StatusBadRequest, 9207, "The batch is empty, too large, or has puts, which this fake has not.")
	}
	copied := slices.Clone(s.records)
	var deleted, patched, posted []Record
	find := func(id string) int { return slices.IndexFunc(copied, func(r Record) bool { return r.ID == id }) }
	for _, o := range sent.Deletes {
		i := find(o.ID)
		if i < 0 && s.deaf {
			continue
		}
		if i < 0 {
			return gone
		}
		deleted = append(deleted, copied[i])
		copied = slices.Delete(copied, i, i+1)
	}
	for _, o := range sent.Patches {
		i := find(o.ID)
		if i < 0 {
			return gone
		}
		record := o.onto(copied[i])
		if bad := s.bad(record, copied); bad.status != 0 {
			return bad
		}
		copied[i] = record
		patched = append(patched, record)
	}
	for _, o := range sent.Posts {
		record := o.onto(Record{TTL: 1, Tags: []string{}})
		if bad := s.bad(record, copied); bad.status != 0 {
			return bad
		}
		record.ID = s.newID()
		copied = append(copied, record)
		posted = append(posted, record)
	}
	s.records = copied
	s.batches++
	return reply{status: http.StatusOK, result: map[string][]Record{"deletes": deleted, "patches": patched, "puts": {}, "posts": posted}}
}

var gone = refusal(http.StatusNotFound, 81044, "Record does not exist.") //nolint:gochecknoglobals // never changed

// bad says why a record cannot stand in the zone.
func (s *Server) bad(r Record, among []Record) reply {
	addr, err := netip.ParseAddr(r.Content)
	switch {
	case r.Name != s.apex && !strings.HasSuffix(r.Name, "."+s.apex):
		return refusal(http.StatusBadRequest, 9000, "DNS name is invalid.")
	case r.Type == "A" && (err != nil || !addr.Is4()):
		return refusal(http.StatusBadRequest, 9005, "Content for A record must be a valid IPv4 address.")
	case r.Type == "AAAA" && (err != nil || !addr.Is6()):
		return refusal(http.StatusBadRequest, 9006, "Content for AAAA record must be a valid IPv6 address.")
	case r.Type == "CNAME" && (err == nil || r.Content == ""):
		return refusal(http.StatusBadRequest, 9007, "Content for CNAME record is invalid.")
	case r.TTL != 1 && (r.TTL < s.minTTL || r.TTL > 86400):
		return refusal(http.StatusBadRequest, 9021, "Invalid TTL. Must be between 60 and 86,400 seconds, or 1 for Automatic.")
	case r.Proxied && r.Type != "A" && r.Type != "AAAA" && r.Type != "CNAME":
		return refusal(http.StatusBadRequest, 9004, "This record type cannot be proxied.")
	}
	for _, o := range among {
		if o.ID == r.ID && r.ID != "" || o.Name != r.Name {
			continue
		}
		lead := func(typ string) bool { return typ == "A" || typ == "AAAA" || typ == "CNAME" }
		switch {
		case r.Type == "CNAME" && lead(o.Type):
			return refusal(http.StatusBadRequest, 81053, "An A, AAAA, or CNAME record with that host already exists.")
		case o.Type == "CNAME" && lead(r.Type):
			return refusal(http.StatusBadRequest, 81054, "A CNAME record with that host already exists.")
		case o.Type == r.Type && o.Content == r.Content:
			return refusal(http.StatusBadRequest, 81058, "An identical record already exists.")
		}
	}
	return reply{}
}
