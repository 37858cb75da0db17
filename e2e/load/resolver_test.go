package load

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// nameServer answers each question from its zone: the records whose text begins
// with the asked name and those that they lead to, as far as chase says.
type nameServer struct {
	records   []string
	rcode     int
	cut       bool         // over UDP, ask for TCP
	swallow   atomic.Int32 // questions to leave unanswered
	stopsAt   int          // aliases in one reply; 0: all
	questions atomic.Int32
}

func (s *nameServer) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	s.questions.Add(1)
	if s.swallow.Add(-1) >= 0 {
		return
	}
	reply := new(dns.Msg)
	reply.SetRcode(query, s.rcode)
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp && s.cut {
		reply.Truncated = true
		_ = w.WriteMsg(reply)
		return
	}
	name := query.Question[0].Name
	for links := 0; links < 20 && (s.stopsAt == 0 || links < s.stopsAt); links++ {
		next := ""
		for _, text := range s.records {
			record, err := dns.NewRR(text)
			if err != nil || !strings.EqualFold(record.Header().Name, name) {
				continue
			}
			reply.Answer = append(reply.Answer, record)
			if alias, is := record.(*dns.CNAME); is {
				next = alias.Target
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	_ = w.WriteMsg(reply)
}

func (s *nameServer) start(t *testing.T) *DNSResolver {
	t.Helper()
	packets, listener := listenBoth(t)
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: s}, {Listener: listener, Handler: s}} {
		ready := make(chan struct{})
		server.NotifyStartedFunc = func() { close(ready) }
		go func() { _ = server.ActivateAndServe() }()
		<-ready
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return &DNSResolver{Server: packets.LocalAddr().String(), Timeout: 200 * time.Millisecond}
}

// listenBoth takes one port for UDP and TCP. Another program may have the TCP port
// that the system gave for UDP; then the next one is tried.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 50 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if listener, err := net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets, listener
		}
		if err := packets.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

func chain() []string {
	return []string{
		"shop.apps.test. 30 IN CNAME Entry.Blue.test.",
		"entry.blue.test. 5 IN CNAME lb.blue.test.",
		"lb.blue.test. 60 IN A 192.0.2.1",
		"lb.blue.test. 60 IN A 192.0.2.2",
		"other.test. 1 IN A 192.0.2.9",
	}
}

func TestLookupFollowsTheChainAndTakesItsLeastTTL(t *testing.T) {
	for _, tt := range []struct {
		name   string
		server *nameServer
	}{
		{"one reply", &nameServer{records: chain()}},
		{"one alias a reply", &nameServer{records: chain(), stopsAt: 1}},
		{"cut reply", &nameServer{records: chain(), cut: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, err := tt.server.start(t).Lookup(t.Context(), "Shop.apps.test")
			if err != nil {
				t.Fatal(err)
			}
			if answer.TTL != 5*time.Second || len(answer.Addresses) != 2 || answer.Addresses[0].String() != "192.0.2.1" {
				t.Errorf("answer = %+v, want two addresses for 5 s", answer)
			}
			if !slices.Equal(answer.Chain, []string{"entry.blue.test.", "lb.blue.test."}) {
				t.Errorf("chain = %v", answer.Chain)
			}
		})
	}
}

func TestC22_ANameWithoutAnAddressIsAnError(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		server       *nameServer
	}{
		{"NXDOMAIN", "NXDOMAIN", &nameServer{rcode: dns.RcodeNameError}},
		{"SERVFAIL", "SERVFAIL", &nameServer{rcode: dns.RcodeServerFailure}},
		{"NODATA", "NODATA", &nameServer{}},
		{"dangling alias", "NODATA", &nameServer{records: chain()[:1]}},
		{"other names only", "NODATA", &nameServer{records: chain()[4:]}},
		{"loop", "loops", &nameServer{records: []string{"shop.apps.test. 5 IN CNAME a.test.", "a.test. 5 IN CNAME shop.apps.test."}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.server.start(t).Lookup(t.Context(), "shop.apps.test")
			var lookup *LookupError
			if !errors.As(err, &lookup) || !strings.Contains(lookup.Reason, tt.reason) {
				t.Errorf("Lookup = %v, want a LookupError with %q", err, tt.reason)
			}
		})
	}
}

func TestLookupAsksOnceMoreWhenNoAnswerComes(t *testing.T) {
	server := &nameServer{records: chain()}
	server.swallow.Store(1)
	if _, err := server.start(t).Lookup(t.Context(), "shop.apps.test"); err != nil {
		t.Errorf("Lookup = %v, want the second answer", err)
	}
	dead := &nameServer{records: chain()}
	dead.swallow.Store(100)
	_, err := dead.start(t).Lookup(t.Context(), "shop.apps.test")
	var lookup *LookupError
	if !errors.As(err, &lookup) || lookup.Err == nil || dead.questions.Load() != 2 {
		t.Errorf("Lookup = %v after %d questions, want a LookupError after 2", err, dead.questions.Load())
	}
}

func TestCacheKeepsAnAnswerForItsTTLAndNoFailure(t *testing.T) {
	clock, resolver := newClock(), &fakeResolver{}
	c := &cache{resolver: resolver, host: "shop.apps.test", now: clock.now, looked: func() {}}
	get := func() error {
		_, err := c.get(context.Background())
		return err
	}
	for _, step := range []struct {
		name  string
		set   func()
		fails bool
		calls int // look-ups so far
	}{
		{"first", func() { resolver.set(5*time.Second, blueAddress) }, false, 1},
		{"kept", func() { clock.move(5*time.Second - 1) }, false, 1},
		{"expired", func() { clock.move(1) }, false, 2},
		{"kept while the resolver is down", func() { resolver.fail(errors.New("down")) }, false, 2},
		{"expired while it is down", func() { clock.move(5 * time.Second) }, true, 3},
		{"a failure is not kept", func() {}, true, 4},
		{"TTL 0", func() { resolver.set(0, blueAddress) }, false, 5},
		{"is not kept either", func() {}, false, 6},
	} {
		step.set()
		if err := get(); (err != nil) != step.fails || resolver.count() != step.calls {
			t.Errorf("%s: %v after %d look-ups; want failure %v after %d", step.name, err, resolver.count(), step.fails, step.calls)
		}
	}
}
