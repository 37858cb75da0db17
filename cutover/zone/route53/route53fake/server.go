package route53fake

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
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
	Throttle        // 400 Throttling, as for the sixth request of a second
	Prior           // 400 PriorRequestNotComplete
	Deny            // 403 AccessDenied
	LoseIt          // the connection breaks before the request is carried out
	LoseReply       // it is carried out, and the connection breaks before the answer
	Fail            // 500, not carried out
)

// Options of a Server.
type Options struct {
	// Keys are the access keys that are known; empty takes every signed request.
	Keys []string
	// Rate is how many requests a second an account may make. 0 is no limit.
	Rate int
	// Spread is how long a change is PENDING.
	Spread time.Duration
	// Page is how many sets a page has at most. 0 is what the request asks for, 300 at most.
	Page int
	// Fault decides about each request, by its operation and how many there were of it before.
	Fault func(op string, n int) Fault
	Clock clock.Clock
}

// A Server is the fake service, as an http.Handler.
type Server struct {
	opts Options

	mu      sync.Mutex
	zones   map[string]*hostedZone
	changes map[string]time.Time // when each is INSYNC
	counts  map[string]int
	recent  []time.Time // of requests, for the rate
	batches [][]Change
	turned  int
	random  *rand.Rand // always the same row, so that tests can be repeated
}

type hostedZone struct {
	id, name string
	private  bool
	sets     []RecordSet
	shown    []view // what the servers have, from when on; the last is the newest
}

type view struct {
	from time.Time
	sets []RecordSet
}

// New returns a server without zones.
func New(o Options) *Server {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	return &Server{opts: o, zones: map[string]*hostedZone{}, changes: map[string]time.Time{}, counts: map[string]int{}, random: rand.New(rand.NewPCG(5, 3))}
}

// AddZone makes a hosted zone with its SOA and NS.
func (s *Server) AddZone(id, name string, private bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	day := int64(86400)
	z := &hostedZone{id: id, name: name, private: private, sets: []RecordSet{
		{Name: name, Type: "NS", TTL: &day, Records: Records("ns-1.awsdns.test.")},
		{Name: name, Type: "SOA", TTL: &day, Records: Records("ns-1.awsdns.test. hostmaster.test. 1 7200 900 1209600 86400")},
	}}
	z.shown = []view{{sets: slices.Clone(z.sets)}}
	s.zones[id] = z
}

// Put writes sets as another client would whose change is INSYNC.
func (s *Server) Put(id string, sets ...RecordSet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := s.zones[id]
	for _, set := range sets {
		set.Name = spell(set.Name)
		z.sets = slices.DeleteFunc(z.sets, func(o RecordSet) bool { return o.key() == set.key() })
		z.sets = append(z.sets, set)
	}
	z.shown = []view{{sets: slices.Clone(z.sets)}}
}

// Batches returns the changes that were carried out.
func (s *Server) Batches() [][]Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

// TurnedAway counts the requests that were answered with Throttling because they were too many.
func (s *Server) TurnedAway() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turned
}

// Sets returns everything that a zone holds, in the order of listings.
func (s *Server) Sets(id string) []RecordSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sorted(s.zones[id].sets)
}

// Served returns what the zone's servers answer for a name and type, a wildcard's answer among them. Among weighted sets each question
// draws one.
func (s *Server) Served(id, name, typ string) (RecordSet, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Clock.Now()
	var sets []RecordSet
	for _, v := range s.zones[id].shown {
		if !v.from.After(now) {
			sets = v.sets
		}
	}
	at := spell(name)
	for !inTree(sets, at) && at != s.zones[id].name {
		parent := at[strings.Index(at, ".")+1:]
		at = parent
		if inTree(sets, parent) {
			at = spell("*." + parent)
			break
		}
	}
	return s.draw(slices.DeleteFunc(slices.Clone(sets), func(r RecordSet) bool { return r.Name != at || r.Type != typ }))
}

// draw chooses among the sets of one name and type; s.mu is held.
func (s *Server) draw(group []RecordSet) (RecordSet, bool) {
	sum := int64(0)
	for _, set := range group {
		if set.Weight != nil {
			sum += *set.Weight
		}
	}
	if sum > 0 {
		at := s.random.Int64N(sum)
		for _, set := range group {
			if at -= *set.Weight; at < 0 {
				return set, true
			}
		}
	}
	if len(group) == 0 {
		return RecordSet{}, false
	}
	if group[0].Weight == nil {
		return group[0], true
	}
	return group[s.random.IntN(len(group))], true
}

func inTree(sets []RecordSet, name string) bool {
	return slices.ContainsFunc(sets, func(s RecordSet) bool { return s.Name == name || strings.HasSuffix(s.Name, "."+name) })
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/2013-04-01/"), "/"), "/")
	op := r.Method + " " + path[0]
	if len(path) == 3 {
		op += " " + path[2]
	}
	s.mu.Lock()
	n := s.counts[op]
	s.counts[op]++
	tooMany := s.tooMany()
	s.mu.Unlock()
	fault := None
	if s.opts.Fault != nil {
		fault = s.opts.Fault(op, n)
	}
	switch {
	case !s.known(r):
		fail(w, http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
		return
	case tooMany, fault == Throttle:
		fail(w, http.StatusBadRequest, "Throttling", "Rate exceeded")
		return
	case fault == Prior:
		fail(w, http.StatusBadRequest, "PriorRequestNotComplete", "The request was rejected because Route 53 was still processing a prior request.")
		return
	case fault == Deny:
		fail(w, http.StatusForbidden, "AccessDenied", "User is not authorized to perform this operation")
		return
	case fault == LoseIt:
		panic(http.ErrAbortHandler)
	case fault == Fail:
		fail(w, http.StatusInternalServerError, "InternalFailure", "something went wrong")
		return
	}
	s.mu.Lock()
	reply, problem := s.carryOut(op, path, r)
	s.mu.Unlock()
	switch {
	case fault == LoseReply:
		panic(http.ErrAbortHandler)
	case problem != nil && problem.code == "InvalidChangeBatch" && n%2 == 0:
		// It has a form of its own ("ChangeResourceRecordSets", API reference); the usual one has been seen too.
		answer(w, problem.status, struct {
			XMLName xml.Name `xml:"InvalidChangeBatch"`
			Message string   `xml:"Messages>Message"`
		}{Message: problem.text})
	case problem != nil:
		fail(w, problem.status, problem.code, problem.text)
	default:
		answer(w, http.StatusOK, reply)
	}
}

// tooMany counts a request, and says whether it is one too many for this second.
func (s *Server) tooMany() bool {
	now := s.opts.Clock.Now()
	s.recent = slices.DeleteFunc(s.recent, func(t time.Time) bool { return !t.After(now.Add(-time.Second)) })
	if s.opts.Rate > 0 && len(s.recent) >= s.opts.Rate {
		s.turned++
		return true
	}
	s.recent = append(s.recent, now)
	return false
}

// known looks at the access key of a signature (version 4); it does not verify the signature.
func (s *Server) known(r *http.Request) bool {
	_, after, ok := strings.Cut(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=")
	key, _, _ := strings.Cut(after, "/")
	return ok && (len(s.opts.Keys) == 0 || slices.Contains(s.opts.Keys, key))
}

type problem struct {
	status     int
	code, text string
}

func fail(w http.ResponseWriter, status int, code, text string) {
	type body struct {
		XMLName xml.Name `xml:"ErrorResponse"`
		Type    string   `xml:"Error>Type"`
		Code    string   `xml:"Error>Code"`
		Message string   `xml:"Error>Message"`
	}
	answer(w, status, body{Type: "Sender", Code: code, Message: text})
}

func answer(w http.ResponseWriter, status int, body any) {
	raw, err := xml.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("the fake cannot write its answer: %v", err))
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the client is gone: its matter
}
