package load

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A sender sends one request to wherever its user believes the host to be. Its
// errors of look-ups are *LookupError.
type sender interface {
	send(request *http.Request, use func(*http.Response) error) error
	close()
}

// Kinds of users.
const (
	KindTTL  = "ttl"  // honours TTLs
	KindKeep = "keep" // keeps its connection until the server closes it
)

// newTransport has what both kinds share: no proxy, no HTTP/2, no clock of its own
// that closes connections. Its retries are those of RFC 9110, section 9.2.2: a
// request whose reused connection broke before an answer, if the method is
// idempotent.
func newTransport(dial Dial) *http.Transport {
	return &http.Transport{DialContext: dial, DisableCompression: true, Protocols: http1()}
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// ttlSender has a pool of connections for each address of the answer in force.
type ttlSender struct {
	cache *cache
	port  int
	dial  Dial

	mu    sync.Mutex
	pools map[netip.Addr]*pool
	turn  int
}

// pool is the connections to one address. A pool that is no longer in the answer
// is closed when the last request in it has ended.
type pool struct {
	transport *http.Transport
	users     int
	dropped   bool
}

func newTTLSender(c *cache, port int, dial Dial) *ttlSender {
	return &ttlSender{cache: c, port: port, dial: dial, pools: map[netip.Addr]*pool{}}
}

func (s *ttlSender) send(request *http.Request, use func(*http.Response) error) error {
	answer, err := s.cache.get(request.Context())
	if err != nil {
		return err
	}
	p := s.take(answer.Addresses)
	defer s.give(p)
	return exchange(p.transport, request, use)
}

// take picks the pool for a request and drops the pools of all other answers.
func (s *ttlSender) take(addresses []netip.Addr) *pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, old := range s.pools {
		if !slices.Contains(addresses, address) {
			s.drop(address, old)
		}
	}
	address := addresses[s.turn%len(addresses)]
	s.turn++
	p := s.pools[address]
	if p == nil {
		to := netip.AddrPortFrom(address, uint16(s.port)).String()
		p = &pool{transport: newTransport(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return s.dial(ctx, network, to)
		})}
		s.pools[address] = p
	}
	p.users++
	return p
}

func (s *ttlSender) drop(address netip.Addr, p *pool) {
	delete(s.pools, address)
	p.dropped = true
	if p.users == 0 {
		p.transport.CloseIdleConnections()
	}
}

func (s *ttlSender) give(p *pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.users--; p.users == 0 && p.dropped {
		p.transport.CloseIdleConnections()
	}
}

func (s *ttlSender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, p := range s.pools {
		s.drop(address, p)
	}
}

// keepSender has one connection. Reads and writes share it, so that they always
// speak to the same side. It looks the name up only to connect.
type keepSender struct {
	transport *http.Transport
}

func newKeepSender(resolver Resolver, host string, port int, dial Dial, looked func()) *keepSender {
	transport := newTransport(func(ctx context.Context, network, _ string) (net.Conn, error) {
		looked()
		answer, err := resolver.Lookup(ctx, host)
		if err != nil {
			return nil, err
		}
		return dial(ctx, network, net.JoinHostPort(answer.Addresses[0].String(), strconv.Itoa(port)))
	})
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = 1, 1
	return &keepSender{transport: transport}
}

func (s *keepSender) send(request *http.Request, use func(*http.Response) error) error {
	return exchange(s.transport, request, use)
}

func (s *keepSender) close() { s.transport.CloseIdleConnections() }

// exchange sends request and hands the answer to use. RoundTrip and not a
// http.Client: a redirect is an answer like any other.
func exchange(transport *http.Transport, request *http.Request, use func(*http.Response) error) error {
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	err = use(response)
	// The body has been read to its end or the answer is a failure already.
	if closeErr := response.Body.Close(); err == nil {
		err = closeErr
	}
	return err
}

// detached is a context for one request that ends by its own limit and not with
// the run: a request that was begun gets its answer.
func detached(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}
