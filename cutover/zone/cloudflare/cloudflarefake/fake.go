package cloudflarefake

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Where the fake's zone is, and the token that it takes.
const (
	ZoneID = "023e105f4ecef8ad9ca31a8372d0c353"
	Token  = "fake-token"
)

// A Server is the fake, listening on loopback. It may be used by several goroutines at once.
type Server struct {
	*httptest.Server
	apex  string // without its dot
	clock clock.Clock

	mu       sync.Mutex
	records  []Record
	serial   int
	requests int // since began
	began    time.Time
	blocked  time.Time
	batches  int
	// The following are set by their methods.
	minTTL int
	hook   func(r *http.Request)
	lose   func(r *http.Request) bool
	refuse func(r *http.Request) int
	deaf   bool
	zones  int
}

// A Record is one DNS record as the API has it.
type Record struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Content  string   `json:"content"`
	TTL      int      `json:"ttl"`
	Proxied  bool     `json:"proxied"`
	Priority *int     `json:"priority,omitempty"`
	Comment  string   `json:"comment,omitempty"`
	Tags     []string `json:"tags"`
}

// New starts a fake of one zone. The clock is that of its limit of requests. Close it.
func New(apex string, c clock.Clock) (*Server, error) {
	apex, err := dnsx.Canonical(apex)
	if err != nil {
		return nil, fmt.Errorf("make the fake of Cloudflare: %w", err)
	}
	s := &Server{apex: strings.TrimSuffix(apex, "."), clock: c, minTTL: 60, zones: 1}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s, nil
}

// Put writes sets as another writer would: the records that were there are replaced by new ones, which are not proxied.
func (s *Server) Put(sets ...zone.RRset) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, set := range sets {
		name := strings.TrimSuffix(strings.ToLower(set.Name), ".")
		s.records = slices.DeleteFunc(s.records, func(r Record) bool { return r.Name == name && r.Type == set.Type })
		for _, data := range set.Data {
			r := Record{ID: s.newID(), Name: name, Type: set.Type, Content: data, TTL: int(set.TTL), Tags: []string{}}
			switch set.Type {
			case "CNAME", "NS":
				r.Content = strings.TrimSuffix(data, ".")
			case "MX", "SRV":
				first, rest, _ := strings.Cut(data, " ")
				priority, err := strconv.Atoi(first)
				if err != nil {
					return fmt.Errorf("put %s %q into the fake of Cloudflare: %w", set.Type, data, err)
				}
				r.Priority, r.Content = &priority, strings.TrimSuffix(rest, ".")
			}
			s.records = append(s.records, r)
		}
	}
	return nil
}

// Add puts one record there as it is, with an ID of its own, which is returned.
func (s *Server) Add(r Record) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.ID, r.Name = s.newID(), strings.TrimSuffix(strings.ToLower(r.Name), ".")
	if r.Tags == nil {
		r.Tags = []string{}
	}
	s.records = append(s.records, r)
	return r.ID
}

// At returns the records of a name.
func (s *Server) At(name string) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Record
	for _, r := range s.records {
		if r.Name == strings.TrimSuffix(name, ".") {
			out = append(out, r)
		}
	}
	return out
}

// Batches returns how many transactions were carried out.
func (s *Server) Batches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batches
}

// Hook is called before each request is looked at, without the fake's lock: it may write to the fake.
func (s *Server) Hook(hook func(r *http.Request)) { s.set(func() { s.hook = hook }) }

// Lose carries out the requests for which lose says yes, and cuts the connection in the place of an answer.
func (s *Server) Lose(lose func(r *http.Request) bool) { s.set(func() { s.lose = lose }) }

// Refuse answers with the status that refuse returns, unless it is 0.
func (s *Server) Refuse(refuse func(r *http.Request) int) { s.set(func() { s.refuse = refuse }) }

// MinTTL makes the fake take TTLs that Cloudflare does not, as the suite of all drivers has them.
func (s *Server) MinTTL(ttl int) { s.set(func() { s.minTTL = ttl }) }

// IgnoreMissing makes the fake do what Cloudflare does not: a batch passes over IDs that are gone.
func (s *Server) IgnoreMissing() { s.set(func() { s.deaf = true }) }

// Zones is how many zones of the name the token sees.
func (s *Server) Zones(n int) { s.set(func() { s.zones = n }) }

func (s *Server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// newID never gives an ID twice.
func (s *Server) newID() string {
	s.serial++
	return fmt.Sprintf("%032x", s.serial)
}

// Query answers as the zone's name servers would: it follows wildcards, and hides what proxied records hold.
func (s *Server) Query(ctx context.Context, name, typ string) (zone.RRset, error) {
	s.mu.Lock()
	var sets []zone.RRset
	for _, r := range s.records {
		set := zone.RRset{Name: r.Name + ".", Type: r.Type, TTL: uint32(r.TTL), Data: []string{r.Content}}
		if r.TTL == 1 {
			set.TTL = 300
		}
		switch {
		case r.Proxied:
			sets = append(sets, zone.RRset{Name: set.Name, Type: "A", TTL: 300, Data: []string{"104.16.0.1"}})
			set.Type, set.TTL, set.Data = "AAAA", 300, []string{"2606:4700::1"}
		case r.Priority != nil:
			set.Data = []string{fmt.Sprintf("%d %s.", *r.Priority, r.Content)}
		case r.Type == "CNAME" || r.Type == "NS":
			set.Data = []string{r.Content + "."}
		}
		i := slices.IndexFunc(sets, func(o zone.RRset) bool { return o.Name == set.Name && o.Type == set.Type })
		if i < 0 {
			sets = append(sets, set)
		} else if !slices.Contains(sets[i].Data, set.Data[0]) {
			sets[i].Data = append(sets[i].Data, set.Data[0])
		}
	}
	s.mu.Unlock()
	z, err := memory.New(s.apex, sets...)
	if err != nil {
		return zone.RRset{}, err
	}
	return z.Lookup(ctx, name, typ)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		hook(r)
	}
	s.mu.Lock()
	lose := s.lose != nil && s.lose(r)
	answer := s.answer(r)
	s.mu.Unlock()
	if lose {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	if answer.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((answer.after+time.Second-1)/time.Second)))
	}
	w.WriteHeader(answer.status)
	body := map[string]any{"success": answer.status < 400, "errors": answer.errors, "messages": []any{}, "result": answer.result}
	if answer.info != nil {
		body["result_info"] = answer.info
	}
	_ = json.NewEncoder(w).Encode(body) // a client that is gone
}

// reply is what is sent back.
type reply struct {
	status int
	after  time.Duration
	errors []problem
	result any
	info   map[string]int
}

type problem struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func refusal(status, code int, message string) reply {
	return reply{status: status, errors: []problem{{code, message}}}
}

// limited counts a request and says how long the user is blocked.
func (s *Server) limited() time.Duration {
	now := s.clock.Now()
	if now.Before(s.blocked) {
		return s.blocked.Sub(now)
	}
	if now.Sub(s.began) >= 5*time.Minute {
		s.began, s.requests = now, 0
	}
	s.requests++
	if s.requests > 1200 {
		s.blocked = now.Add(5 * time.Minute)
		return 5 * time.Minute
	}
	return 0
}

// Spend uses up requests of the limit, as other programs of the same user do.
func (s *Server) Spend(n int) {
	s.set(func() {
		for range n {
			s.limited()
		}
	})
}

// answer holds the lock.
func (s *Server) answer(r *http.Request) reply {
	if after := s.limited(); after > 0 {
		out := refusal(http.StatusTooManyRequests, 971, "Please wait and consider throttling your request speed")
		out.after = after
		return out
	}
	if s.refuse != nil {
		if status := s.refuse(r); status != 0 {
			return refusal(status, 1000, "refused by the test")
		}
	}
	if r.Header.Get("Authorization") != "Bearer "+Token {
		return refusal(http.StatusForbidden, 10000, "Authentication error")
	}
	at, ok := strings.CutPrefix(r.URL.Path, "/zones")
	switch {
	case ok && at == "" && r.Method == http.MethodGet:
		zones := []map[string]string{}
		for i := range s.zones {
			id := ZoneID
			if i > 0 {
				id = fmt.Sprintf("%032x", i)
			}
			if r.URL.Query().Get("name") == s.apex {
				zones = append(zones, map[string]string{"id": id, "name": s.apex})
			}
		}
		return reply{status: http.StatusOK, result: zones}
	case !ok || !strings.HasPrefix(at, "/"+ZoneID+"/dns_records"):
		return refusal(http.StatusNotFound, 7003, "Could not route to "+r.URL.Path+", perhaps your object identifier is invalid?")
	case at == "/"+ZoneID+"/dns_records" && r.Method == http.MethodGet:
		return s.list(r)
	case at == "/"+ZoneID+"/dns_records/batch" && r.Method == http.MethodPost:
		return s.batch(r)
	}
	return refusal(http.StatusMethodNotAllowed, 10000, "This fake has no "+r.Method+" of "+r.URL.Path)
}

func (s *Server) list(r *http.Request) reply {
	query := r.URL.Query()
	number := func(key string, otherwise int) int {
		if n, err := strconv.Atoi(query.Get(key)); err == nil && n > 0 {
			return n
		}
		return otherwise
	}
	page, per := number("page", 1), number("per_page", 100)
	all := []Record{}
	for _, record := range s.records {
		if name := query.Get("name.exact"); name == "" || name == record.Name {
			all = append(all, record)
		}
	}
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	from := min((page-1)*per, len(all))
	part := all[from:min(from+per, len(all))]
	return reply{status: http.StatusOK, result: part, info: map[string]int{
		"page": page, "per_page": per, "count": len(part), "total_count": len(all), "total_pages": (len(all) + per - 1) / per,
	}}
}
