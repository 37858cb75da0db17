package clouddnsfake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
)

// A Fault is something that goes wrong with one request.
type Fault int

// What can go wrong.
const (
	None      Fault = iota
	Throttle        // 429, as for a request above the quota
	RateLimit       // 403 rateLimitExceeded
	Conflict        // 409, not carried out
	Deny            // 403 forbidden
	LoseIt          // the connection breaks before the request is carried out
	LoseReply       // it is carried out, and the connection breaks before the answer
	Fail            // 500, not carried out
)

// Options of a Server.
type Options struct {
	Project string
	// Token is the bearer token that requests must have; empty takes every request.
	Token string
	// Spread is how long a change is pending.
	Spread time.Duration
	// Page is how many sets a page has at most. 0 is 100.
	Page int
	// Fault decides about each request, by its operation and how many there were of it before.
	Fault func(op string, n int) Fault
	Clock clock.Clock
}

// A Server is the fake service, as an http.Handler.
type Server struct {
	opts Options

	mu     sync.Mutex
	zones  map[string]*managedZone
	counts map[string]int
	random *rand.Rand // always the same row, so that tests can be repeated
}

type managedZone struct {
	name, dnsName string
	sets          []RecordSet
	shown         []view // what the servers have, from when on
	changes       []Change
	done          []time.Time // of each change
}

type view struct {
	from time.Time
	sets []RecordSet
}

// A RecordSet is a ResourceRecordSet of the API.
type RecordSet struct {
	Kind    string          `json:"kind,omitempty"`
	Name    string          `json:"name"`
	Type    string          `json:"type"`
	TTL     *int64          `json:"ttl,omitempty"`
	Rrdatas []string        `json:"rrdatas,omitempty"`
	Policy  json.RawMessage `json:"routingPolicy,omitempty"`
}

// A Change is a change of the API.
type Change struct {
	Kind      string      `json:"kind"`
	ID        string      `json:"id"`
	Status    string      `json:"status"`
	StartTime string      `json:"startTime,omitempty"`
	Additions []RecordSet `json:"additions,omitempty"`
	Deletions []RecordSet `json:"deletions,omitempty"`
}

// New returns a server without zones.
func New(o Options) *Server {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	return &Server{opts: o, zones: map[string]*managedZone{}, counts: map[string]int{}, random: rand.New(rand.NewPCG(5, 3))}
}

// AddZone makes a managed zone with its SOA and NS.
func (s *Server) AddZone(name, dnsName string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ttl := int64(21600)
	z := &managedZone{name: name, dnsName: dnsName, sets: []RecordSet{
		{Name: dnsName, Type: "NS", TTL: &ttl, Rrdatas: []string{"ns-cloud-a1.test."}},
		{Name: dnsName, Type: "SOA", TTL: &ttl, Rrdatas: []string{"ns-cloud-a1.test. hostmaster.test. 1 21600 3600 259200 300"}},
	}}
	z.shown = []view{{sets: slices.Clone(z.sets)}}
	s.zones[name] = z
}

// Put writes sets as another client would whose change is done.
func (s *Server) Put(name string, sets ...RecordSet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := s.zones[name]
	for _, set := range sets {
		z.sets = slices.DeleteFunc(z.sets, func(o RecordSet) bool { return o.key() == set.key() })
		z.sets = append(z.sets, set)
	}
	z.shown = []view{{sets: slices.Clone(z.sets)}}
}

// Changes returns the changes of a zone that were carried out.
func (s *Server) Changes(name string) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.zones[name].changes)
}

// Sets returns everything that a zone holds, in the order of listings.
func (s *Server) Sets(name string) []RecordSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zones[name].sorted()
}

// Served returns what the zone's servers answer for a name and type, a wildcard's answer among them. Of a set with a weighted routing
// policy each question draws an item, whose data are then the set's.
func (s *Server) Served(zone, name, typ string) (RecordSet, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Clock.Now()
	var sets []RecordSet
	for _, v := range s.zones[zone].shown {
		if !v.from.After(now) {
			sets = v.sets
		}
	}
	at := strings.ToLower(name)
	for !inTree(sets, at) && at != s.zones[zone].dnsName {
		parent := at[strings.Index(at, ".")+1:]
		at = parent
		if inTree(sets, parent) {
			at = "*." + parent
			break
		}
	}
	i := slices.IndexFunc(sets, func(r RecordSet) bool { return r.Name == at && r.Type == typ })
	if i < 0 {
		return RecordSet{}, false
	}
	return s.draw(sets[i]), true
}

// draw chooses an item of a weighted policy, in proportion to its weight; s.mu is held.
func (s *Server) draw(set RecordSet) RecordSet {
	items := set.items()
	sum := 0.0
	for _, item := range items {
		sum += item.Weight
	}
	at := s.random.Float64() * sum
	for _, item := range items {
		if at -= item.Weight; at < 0 {
			set.Rrdatas = item.Rrdatas
			break
		}
	}
	return set
}

// An Item is an item of a weighted routing policy.
type Item struct {
	Weight  float64  `json:"weight"`
	Rrdatas []string `json:"rrdatas"`
}

type policy struct {
	Wrr struct {
		Items []Item `json:"items"`
	} `json:"wrr"`
}

// Weighted is a routing policy by weight.
func Weighted(items ...Item) json.RawMessage {
	var p policy
	p.Wrr.Items = items
	raw, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("the fake cannot write a policy: %v", err))
	}
	return raw
}

func (r RecordSet) items() []Item {
	var p policy
	if len(r.Policy) == 0 || json.Unmarshal(r.Policy, &p) != nil {
		return nil
	}
	return p.Wrr.Items
}

// samePolicy compares policies as JSON.
func samePolicy(a, b json.RawMessage) bool {
	var x, y any
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func inTree(sets []RecordSet, name string) bool {
	return slices.ContainsFunc(sets, func(s RecordSet) bool { return s.Name == name || strings.HasSuffix(s.Name, "."+name) })
}

func (r RecordSet) key() string { return r.Name + " " + r.Type }

func (r RecordSet) same(o RecordSet) bool {
	return r.key() == o.key() && r.TTL != nil && o.TTL != nil && *r.TTL == *o.TTL && samePolicy(r.Policy, o.Policy) &&
		slices.Equal(slices.Sorted(slices.Values(r.Rrdatas)), slices.Sorted(slices.Values(o.Rrdatas)))
}

func (z *managedZone) sorted() []RecordSet {
	out := slices.Clone(z.sets)
	slices.SortFunc(out, func(a, b RecordSet) int { return cmp.Compare(a.key(), b.key()) })
	return out
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// projects/P/managedZones/Z[/changes[/ID]|/rrsets]
	path := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/dns/v1/"), "/"), "/")
	op := r.Method
	if len(path) > 4 {
		op += " " + path[4]
	}
	s.mu.Lock()
	n := s.counts[op]
	s.counts[op]++
	s.mu.Unlock()
	fault := None
	if s.opts.Fault != nil {
		fault = s.opts.Fault(op, n)
	}
	switch {
	case s.opts.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.opts.Token:
		refuse(w, &problem{401, "authError", "Invalid Credentials"})
		return
	case fault == Throttle:
		refuse(w, &problem{429, "rateLimitExceeded", "Quota exceeded"})
		return
	case fault == RateLimit:
		refuse(w, &problem{403, "rateLimitExceeded", "Rate Limit Exceeded"})
		return
	case fault == Conflict:
		refuse(w, &problem{409, "aborted", "The operation was aborted because of another change"})
		return
	case fault == Deny:
		refuse(w, &problem{403, "forbidden", "The caller does not have permission"})
		return
	case fault == Fail:
		refuse(w, &problem{500, "backendError", "something went wrong"})
		return
	case fault == LoseIt:
		panic(http.ErrAbortHandler)
	}
	s.mu.Lock()
	reply, problem := s.carryOut(path, r)
	s.mu.Unlock()
	switch {
	case fault == LoseReply:
		panic(http.ErrAbortHandler)
	case problem != nil:
		refuse(w, problem)
	default:
		answer(w, http.StatusOK, reply)
	}
}

// carryOut does what a request asks for; s.mu is held.
func (s *Server) carryOut(path []string, r *http.Request) (any, *problem) {
	if len(path) < 4 || path[0] != "projects" || path[1] != s.opts.Project || path[2] != "managedZones" || s.zones[path[3]] == nil {
		return nil, &problem{404, "notFound", fmt.Sprintf("The 'parameters.managedZone' resource named '%s' does not exist.", path[len(path)-1])}
	}
	z := s.zones[path[3]]
	switch route := r.Method + " " + strings.Join(path[4:min(len(path), 5)], ""); {
	case route == "GET ":
		return map[string]string{"kind": "dns#managedZone", "name": z.name, "dnsName": z.dnsName, "visibility": "public"}, nil
	case route == "GET rrsets":
		return s.list(z, r)
	case route == "POST changes":
		return s.create(z, r)
	case route == "GET changes" && len(path) == 6:
		i, err := strconv.Atoi(path[5])
		if err != nil || i < 1 || i > len(z.changes) {
			return nil, &problem{404, "notFound", fmt.Sprintf("The 'parameters.changeId' resource named '%s' does not exist.", path[5])}
		}
		return s.state(z, i), nil
	}
	return nil, &problem{404, "notFound", "no such method"}
}

func (s *Server) state(z *managedZone, id int) Change {
	c := z.changes[id-1]
	c.Status = "pending"
	if !z.done[id-1].After(s.opts.Clock.Now()) {
		c.Status = "done"
	}
	return c
}

func (s *Server) list(z *managedZone, r *http.Request) (any, *problem) {
	q := r.URL.Query()
	if q.Get("type") != "" && q.Get("name") == "" {
		return nil, &problem{400, "invalidParameter", "type without name"}
	}
	sets := slices.DeleteFunc(z.sorted(), func(o RecordSet) bool {
		return q.Get("name") != "" && o.Name != q.Get("name") || q.Get("type") != "" && o.Type != q.Get("type")
	})
	size := cmp.Or(s.opts.Page, 100)
	if n, err := strconv.Atoi(q.Get("maxResults")); err == nil {
		size = min(size, n)
	}
	from := 0
	if token := q.Get("pageToken"); token != "" {
		name, at, ok := strings.Cut(token, "@")
		n, err := strconv.Atoi(at)
		if !ok || err != nil || name != q.Get("name") || n > len(sets) {
			return nil, &problem{400, "invalid", "Invalid value for 'parameters.pageToken'"}
		}
		from = n
	}
	out := map[string]any{"kind": "dns#resourceRecordSetsListResponse", "rrsets": sets[from:min(from+size, len(sets))]}
	if from+size < len(sets) {
		out["nextPageToken"] = fmt.Sprintf("%s@%d", q.Get("name"), from+size)
	}
	return out, nil
}

func (s *Server) create(z *managedZone, r *http.Request) (any, *problem) {
	var c Change
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return nil, &problem{400, "parseError", err.Error()}
	}
	sets, refused := z.apply(c)
	if refused != nil {
		return nil, refused
	}
	now := s.opts.Clock.Now()
	z.sets = sets
	z.shown = append(z.shown, view{from: now.Add(s.opts.Spread), sets: slices.Clone(sets)})
	c.Kind, c.ID, c.StartTime = "dns#change", strconv.Itoa(len(z.changes)+1), now.UTC().Format(time.RFC3339)
	z.changes, z.done = append(z.changes, c), append(z.done, now.Add(s.opts.Spread))
	return s.state(z, len(z.changes)), nil
}

// apply carries a change out on a copy: the whole, or a problem. Deletions come first.
func (z *managedZone) apply(c Change) ([]RecordSet, *problem) {
	sets := slices.Clone(z.sets)
	if len(c.Additions)+len(c.Deletions) == 0 {
		return nil, &problem{400, "required", "The 'entity.change' parameter is required but was missing."}
	}
	if len(c.Additions) > 1000 || len(c.Deletions) > 1000 {
		return nil, &problem{403, "quotaExceeded", "too many additions or deletions"}
	}
	for i, d := range c.Deletions {
		at := slices.IndexFunc(sets, func(o RecordSet) bool { return o.key() == d.key() })
		switch {
		case at < 0:
			return nil, &problem{404, "notFound", fmt.Sprintf("The 'entity.change.deletions[%d]' resource named '%s (%s)' does not exist.", i, d.Name, d.Type)}
		case !sets[at].same(d):
			return nil, &problem{412, "conditionNotMet", fmt.Sprintf("Precondition not met for 'entity.change.deletions[%d]'", i)}
		}
		sets = slices.Delete(sets, at, at+1)
	}
	for i, a := range c.Additions {
		if p := z.refuseAddition(sets, i, a); p != nil {
			return nil, p
		}
		a.Kind = "dns#resourceRecordSet"
		sets = append(sets, a)
	}
	for _, typ := range []string{"SOA", "NS"} {
		if !slices.ContainsFunc(sets, func(o RecordSet) bool { return o.Name == z.dnsName && o.Type == typ }) {
			return nil, &problem{400, "invalidZoneApex", "a zone must contain exactly one resource record set of type " + typ + " at the apex"}
		}
	}
	return sets, nil
}

func (z *managedZone) refuseAddition(sets []RecordSet, i int, a RecordSet) *problem {
	at := fmt.Sprintf("entity.change.additions[%d]", i)
	switch {
	case a.Name != strings.ToLower(a.Name) || a.Name != z.dnsName && !strings.HasSuffix(a.Name, "."+z.dnsName):
		return &problem{400, "invalid", fmt.Sprintf("Invalid value for '%s.name': '%s'", at, a.Name)}
	case len(a.Policy) > 0 && len(a.Rrdatas) > 0:
		return &problem{400, "invalid", fmt.Sprintf("'%s' may have rrdatas or a routingPolicy, not both", at)}
	case len(a.Policy) > 0 && slices.ContainsFunc(a.items(), func(i Item) bool {
		return i.Weight < 0 || len(i.Rrdatas) == 0 || a.Type == "CNAME" && len(i.Rrdatas) > 1
	}):
		return &problem{400, "invalid", fmt.Sprintf("Invalid value for '%s.routingPolicy'", at)}
	case a.TTL == nil || len(a.Rrdatas) == 0 && len(a.items()) == 0:
		return &problem{400, "required", fmt.Sprintf("The '%s' parameter is required but was missing.", at)}
	case a.Type == "CNAME" && len(a.Rrdatas) > 1:
		return &problem{400, "invalidRecordCount", fmt.Sprintf("The resource record set '%s' is only permitted to have one record because it is of type 'CNAME'.", at)}
	}
	for _, o := range sets {
		switch {
		case o.key() == a.key():
			return &problem{409, "alreadyExists", fmt.Sprintf("The resource '%s' named '%s (%s)' already exists", at, a.Name, a.Type)}
		case o.Name == a.Name && (o.Type == "CNAME" || a.Type == "CNAME"):
			return &problem{409, "cnameResourceRecordSetConflict", fmt.Sprintf("The resource record set '%s' is invalid because the DNS name '%s' may have either one CNAME resource record set or resource record sets of other types, but not both.", at, a.Name)}
		}
	}
	return nil
}

type problem struct {
	status       int
	reason, text string
}

func refuse(w http.ResponseWriter, p *problem) {
	answer(w, p.status, map[string]any{"error": map[string]any{
		"code": p.status, "message": p.text, "errors": []map[string]string{{"domain": "global", "reason": p.reason, "message": p.text}},
	}})
}

func answer(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("the fake cannot write its answer: %v", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the client is gone: its matter
}
