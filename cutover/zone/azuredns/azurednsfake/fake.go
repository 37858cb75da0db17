package azurednsfake

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

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/memory"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// Where the fake's zone is.
const (
	Subscription  = "00000000-0000-0000-0000-000000000001"
	ResourceGroup = "fake-group"
)

// A Server is the fake, listening on loopback with TLS. It may be used by several goroutines at once.
type Server struct {
	*httptest.Server
	apex string // without its dot

	mu       sync.Mutex
	sets     map[key]*recordSet
	serial   int
	requests []string
	// The following are set by their methods.
	hook      func(r *http.Request)
	lose      func(r *http.Request) bool
	refuse    func(r *http.Request) (status int, code string)
	deaf      bool
	throttled int
	after     time.Duration
	page      int
	lockedAll bool
}

type key struct{ name, typ string } // the name is relative, in lower case

type recordSet struct {
	etag  string
	props properties
}

// New starts a fake of one zone. Close it.
func New(apex string) (*Server, error) {
	apex, err := dnsx.Canonical(apex)
	if err != nil {
		return nil, fmt.Errorf("make the fake of Azure DNS: %w", err)
	}
	s := &Server{apex: strings.TrimSuffix(apex, "."), sets: map[key]*recordSet{}, page: 100}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	if err := s.Put(
		zone.RRset{Name: apex, Type: "SOA", TTL: 3600, Data: []string{"ns1-01.azure-dns.com. azuredns-hostmaster.microsoft.com. 1 3600 300 2419200 300"}},
		zone.RRset{Name: apex, Type: "NS", TTL: 172800, Data: []string{"ns1-01.azure-dns.com.", "ns2-01.azure-dns.net."}},
	); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Transport sends requests to the fake.
func (s *Server) Transport() http.RoundTripper { return s.Client().Transport }

// Credential is one that the fake accepts.
func (s *Server) Credential() azcore.TokenCredential { return credential{} }

type credential struct{}

func (credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "fake", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// Put writes sets as another writer would: without any condition, and with metadata of its own taken away.
func (s *Server) Put(sets ...zone.RRset) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, set := range sets {
		props, err := propertiesOf(set)
		if err != nil {
			return fmt.Errorf("put into the fake of Azure DNS: %w", err)
		}
		s.write(s.keyOf(set.Name, set.Type), props)
	}
	return nil
}

// Annotate sets one pair of a set's metadata, as another writer would.
func (s *Server) Annotate(name, typ, k, v string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.sets[s.keyOf(name, typ)]
	if set == nil {
		return fmt.Errorf("annotate %s %s: there is no such set", name, typ)
	}
	props := set.props.clone()
	if props.Metadata == nil {
		props.Metadata = map[string]string{}
	}
	props.Metadata[k] = v
	s.write(s.keyOf(name, typ), props)
	return nil
}

// Follow makes a set an alias of an Azure resource.
func (s *Server) Follow(name, typ, resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(s.keyOf(name, typ), properties{TTL: 60, Target: &reference{ID: resource}})
}

// Metadata returns a set's metadata.
func (s *Server) Metadata(name, typ string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if set := s.sets[s.keyOf(name, typ)]; set != nil {
		return set.props.clone().Metadata
	}
	return nil
}

// Sets returns what the zone's name servers would show.
func (s *Server) Sets() ([]zone.RRset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []zone.RRset
	for k, set := range s.sets {
		data := set.props.data()
		if len(data) == 0 {
			continue
		}
		normal, err := dnsx.Normal(dnsx.RRset{Name: s.fqdn(k.name), Type: k.typ, TTL: uint32(set.props.TTL), Data: data})
		if err != nil {
			return nil, err
		}
		out = append(out, zone.RRset(normal))
	}
	slices.SortFunc(out, func(a, b zone.RRset) int { return strings.Compare(a.Name+" "+a.Type, b.Name+" "+b.Type) })
	return out, nil
}

// Query answers as the zone's name servers would: it follows wildcards.
func (s *Server) Query(ctx context.Context, name, typ string) (zone.RRset, error) {
	sets, err := s.Sets()
	if err != nil {
		return zone.RRset{}, err
	}
	z, err := memory.New(s.apex, sets...)
	if err != nil {
		return zone.RRset{}, err
	}
	return z.Lookup(ctx, name, typ)
}

// Requests returns "METHOD TYPE/NAME" of every request so far that named a record set, and forgets them.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.requests
	s.requests = nil
	return out
}

// Hook is called before each request is looked at, without the fake's lock: it may write to the fake.
func (s *Server) Hook(hook func(r *http.Request)) { s.set(func() { s.hook = hook }) }

// Lose carries out the requests for which lose says yes, and cuts the connection in the place of an answer.
func (s *Server) Lose(lose func(r *http.Request) bool) { s.set(func() { s.lose = lose }) }

// Refuse answers with the status and the code that refuse returns, unless the status is 0.
func (s *Server) Refuse(refuse func(r *http.Request) (status int, code string)) {
	s.set(func() { s.refuse = refuse })
}

// IgnoreConditions makes the fake do what Azure does not: it looks at no etag.
func (s *Server) IgnoreConditions() { s.set(func() { s.deaf = true }) }

// Throttle answers the next n requests with 429.
func (s *Server) Throttle(n int, after time.Duration) {
	s.set(func() { s.throttled, s.after = n, after })
}

// PageSize is how many sets a page of a listing has.
func (s *Server) PageSize(n int) { s.set(func() { s.page = n }) }

// Lock puts a lock ReadOnly on the zone.
func (s *Server) Lock() { s.set(func() { s.lockedAll = true }) }

func (s *Server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *Server) keyOf(name, typ string) key {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if name == s.apex {
		return key{"@", typ}
	}
	return key{strings.TrimSuffix(name, "."+s.apex), typ}
}

func (s *Server) fqdn(relative string) string {
	if relative == "@" {
		return s.apex + "."
	}
	return relative + "." + s.apex + "."
}

func (s *Server) write(k key, props properties) {
	s.serial++
	s.sets[k] = &recordSet{etag: fmt.Sprintf("%08x-fake", s.serial), props: props}
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
	for name, value := range answer.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(answer.status)
	if answer.body != nil {
		_ = json.NewEncoder(w).Encode(answer.body) // a client that is gone
	}
}

// reply is what is sent back.
type reply struct {
	status int
	header map[string]string
	body   any
}

func refusal(status int, code, message string) reply {
	return reply{status: status, body: map[string]string{"code": code, "message": message}}
}

// outer is a refusal by Azure Resource Manager itself, whose form differs from that of the DNS service.
func outer(status int, code, message string) reply {
	return reply{status: status, body: map[string]any{"error": map[string]string{"code": code, "message": message}}}
}

// answer holds the lock.
func (s *Server) answer(r *http.Request) reply {
	if s.throttled > 0 {
		s.throttled--
		out := outer(http.StatusTooManyRequests, "TooManyRequests", "The request is being throttled.")
		out.header = map[string]string{"Retry-After": strconv.Itoa(int(s.after / time.Second))}
		return out
	}
	if r.Header.Get("Authorization") != "Bearer fake" {
		return outer(http.StatusUnauthorized, "AuthenticationFailed", "Authentication failed.")
	}
	if r.URL.Query().Get("api-version") != "2018-05-01" {
		return outer(http.StatusBadRequest, "InvalidApiVersionParameter", "The api-version is invalid.")
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) < 9 || !strings.EqualFold(parts[6], "dnsZones") {
		return outer(http.StatusNotFound, "InvalidResourceType", "The resource type could not be found.")
	}
	switch {
	case parts[1] != Subscription:
		return outer(http.StatusNotFound, "SubscriptionNotFound", "The subscription could not be found.")
	case !strings.EqualFold(parts[3], ResourceGroup):
		return outer(http.StatusNotFound, "ResourceGroupNotFound", "Resource group could not be found.")
	case !strings.EqualFold(parts[7], s.apex):
		return outer(http.StatusNotFound, "ResourceNotFound", "The Resource 'Microsoft.Network/dnsZones/"+parts[7]+"' was not found.")
	}
	if s.refuse != nil {
		if status, code := s.refuse(r); status != 0 {
			return outer(status, code, "refused by the test")
		}
	}
	switch {
	case len(parts) == 9 && parts[8] == "all":
		return s.list(r)
	case len(parts) != 10:
		return outer(http.StatusNotFound, "InvalidResourceType", "The resource type could not be found.")
	}
	s.requests = append(s.requests, r.Method+" "+parts[8]+"/"+parts[9])
	k := key{strings.ToLower(parts[9]), parts[8]}
	switch r.Method {
	case http.MethodGet:
		set := s.sets[k]
		if set == nil {
			return refusal(http.StatusNotFound, "NotFound", fmt.Sprintf("The resource record '%s' does not exist in resource group '%s' of subscription '%s'.", k.name, ResourceGroup, Subscription))
		}
		return reply{status: http.StatusOK, body: s.resource(k, set)}
	case http.MethodPut:
		return s.put(r, k)
	case http.MethodDelete:
		return s.remove(r, k)
	}
	return outer(http.StatusMethodNotAllowed, "MethodNotAllowed", "This fake has no "+r.Method+".")
}
