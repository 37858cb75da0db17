package rfc2136

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// fake is a name server of this test's own, not a real one: it does what RFC 2136 says, until it is told to misbehave
// in ways that no real server can be brought to.
type fake struct {
	t    *testing.T
	addr string

	mu      sync.Mutex
	sets    map[string][]dns.RR // by name and type
	updates []*dns.Msg          // as they came, with the TSIG that the last record is
	queries int
	// onUpdate, where set, gets each update instead of the fake's own handling.
	onUpdate func(n int, w dns.ResponseWriter, r *dns.Msg)
	onQuery  func(w dns.ResponseWriter, r *dns.Msg) bool
}

const fakeSecret = "c2l4dGVlbiBieXRlcyBhdCBsZWFzdCwgdGhpcnR5LXR3bw=="

func startFake(t *testing.T, sets ...zone.RRset) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, addr: l.Addr().String(), sets: map[string][]dns.RR{}}
	f.put(sets...)
	f.put(zone.RRset{Name: testZone, Type: "TXT", TTL: 1, Data: []string{"apex"}})
	started := make(chan struct{})
	server := &dns.Server{
		Listener: l, Handler: dns.HandlerFunc(f.serve), TsigSecret: map[string]string{"crossfade.": fakeSecret},
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }, NotifyStartedFunc: func() { close(started) },
	}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return f
}

func (f *fake) put(sets ...zone.RRset) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, set := range sets {
		rrs, err := records(set)
		if err != nil {
			f.t.Fatal(err)
		}
		f.sets[set.Name+" "+set.Type] = rrs
	}
}

func (f *fake) serve(w dns.ResponseWriter, r *dns.Msg) {
	if r.Opcode == dns.OpcodeUpdate {
		f.mu.Lock()
		f.updates = append(f.updates, r.Copy())
		n, hook := len(f.updates), f.onUpdate
		f.mu.Unlock()
		if hook != nil {
			hook(n, w, r)
			return
		}
		f.reply(w, r, f.apply(r))
		return
	}
	f.mu.Lock()
	f.queries++
	hook := f.onQuery
	f.mu.Unlock()
	if hook != nil && hook(w, r) {
		return
	}
	f.answer(w, r, true)
}

func (f *fake) answer(w dns.ResponseWriter, r *dns.Msg, sign bool) {
	m := new(dns.Msg)
	m.SetReply(r)
	m.Authoritative = true
	f.mu.Lock()
	for _, rr := range f.sets[r.Question[0].Name+" "+dns.Type(r.Question[0].Qtype).String()] {
		m.Answer = append(m.Answer, dns.Copy(rr))
	}
	f.mu.Unlock()
	f.send(w, r, m, sign)
}

// reply answers an update with a signed rcode.
func (f *fake) reply(w dns.ResponseWriter, r *dns.Msg, rcode int) {
	m := new(dns.Msg)
	m.SetRcode(r, rcode)
	f.send(w, r, m, true)
}

func (f *fake) send(w dns.ResponseWriter, r, m *dns.Msg, sign bool) {
	if t := r.IsTsig(); t != nil && sign {
		m.SetTsig(t.Hdr.Name, t.Algorithm, 300, time.Now().Unix())
	}
	if err := w.WriteMsg(m); err != nil {
		f.t.Logf("the fake could not answer: %v", err)
	}
}

// apply carries an update out as RFC 2136 section 3 says, for the conditions that the driver uses.
func (f *fake) apply(r *dns.Msg) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	wants := map[string][]string{}
	for _, p := range r.Answer {
		h := p.Header()
		key := h.Name + " " + dns.Type(h.Rrtype).String()
		switch {
		case h.Class == dns.ClassNONE && len(f.sets[key]) > 0:
			return dns.RcodeYXRrset
		case h.Class == dns.ClassINET:
			wants[key] = append(wants[key], dataOf(p))
		}
	}
	for key, want := range wants {
		var have []string
		for _, rr := range f.sets[key] {
			have = append(have, dataOf(rr))
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			return dns.RcodeNXRrset
		}
	}
	for _, u := range r.Ns {
		h := u.Header()
		key := h.Name + " " + dns.Type(h.Rrtype).String()
		f.sets[key] = slices.DeleteFunc(f.sets[key], func(rr dns.RR) bool { return dataOf(rr) == dataOf(u) })
		if h.Class == dns.ClassINET {
			if h.Rrtype == dns.TypeCNAME {
				f.sets[key] = nil // replaced, RFC 2136 section 3.4.2.2
			}
			f.sets[key] = append(f.sets[key], dns.Copy(u))
		}
	}
	return dns.RcodeSuccess
}

func dataOf(rr dns.RR) string { return strings.TrimPrefix(rr.String(), rr.Header().String()) }

// driver has a short timeout, since the fake likes to say nothing.
func (f *fake) driver(change func(*Options)) *Driver {
	f.t.Helper()
	o := Options{Apex: testZone, Server: f.addr, Key: Key{Name: "crossfade", Secret: fakeSecret}, Timeout: 300 * time.Millisecond, Settle: 300 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	d, err := New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

func onBlue() zone.RRset {
	return zone.RRset{Name: "shop.apps.test.", Type: "CNAME", TTL: 60, Data: []string{"blue.lb.test."}}
}

func onGreen() zone.RRset {
	return zone.RRset{Name: "shop.apps.test.", Type: "CNAME", TTL: 60, Data: []string{"green.lb.test."}}
}

func toGreen() zone.Change {
	return zone.Change{Name: onBlue().Name, Old: []zone.RRset{onBlue()}, New: []zone.RRset{onGreen()}}
}

// chainSigner signs as a server does that leaves some messages of a transfer without a signature.
type chainSigner struct{ macProvider }

func (s chainSigner) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	return s.sum(msg, t.Algorithm)
}
