package rfc2136

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
)

// TestC08_Algorithms: which are taken, warned of and refused, and that each of the taken ones works with a server.
func TestC08_Algorithms(t *testing.T) {
	for algorithm, want := range map[string]string{
		"": "ok", "hmac-sha224": "ok", "hmac-sha256": "ok", "HMAC-SHA384.": "ok", "hmac-sha512": "ok",
		"hmac-sha1": "warned", "hmac-md5": "refused", "hmac-md5.sig-alg.reg.int": "refused", "gss-tsig": "refused",
	} {
		var logged strings.Builder
		_, err := New(Options{
			Apex: testZone, Server: "127.0.0.1", Key: Key{Name: "k", Algorithm: algorithm, Secret: fakeSecret},
			Log: slog.New(slog.NewTextHandler(&logged, nil)),
		})
		got := "ok"
		if err != nil {
			got = "refused"
		} else if logged.Len() > 0 {
			got = "warned"
		}
		if got != want {
			t.Errorf("%q is %s, want %s (%v)", algorithm, got, want, err)
		}
		if strings.Contains(logged.String(), fakeSecret) {
			t.Error("the secret is in the log")
		}
	}
	algorithms := []string{"hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"}
	s := startServer(t, nameserver.BIND, func(spec *nameserver.Spec) {
		for _, a := range algorithms {
			spec.ExtraKeys = append(spec.ExtraKeys, testKey(a+"-key.", a))
		}
	})
	for _, a := range algorithms {
		d := driverFor(t, s, func(o *Options) { o.Key.Name, o.Key.Algorithm = a+"-key", a })
		if err := d.Probe(t.Context(), "shop.apps.test."); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// TestC08_BadOptions: what can't work is refused before anything is sent, and no error holds the secret (I9).
func TestC08_BadOptions(t *testing.T) {
	good := Options{Apex: testZone, Server: "127.0.0.1", Key: Key{Name: "k", Secret: fakeSecret}}
	for what, change := range map[string]func(*Options){
		"no zone":          func(o *Options) { o.Apex = "" },
		"no server":        func(o *Options) { o.Server = "" },
		"a server's name":  func(o *Options) { o.Server = "ns1.apps.test" },
		"no key":           func(o *Options) { o.Key.Name = "" },
		"no secret":        func(o *Options) { o.Key.Secret = "" },
		"a broken secret":  func(o *Options) { o.Key.Secret = "topsecret!" },
		"too much fudge":   func(o *Options) { o.Fudge = 24 * time.Hour },
		"too little fudge": func(o *Options) { o.Fudge = time.Millisecond },
	} {
		o := good
		change(&o)
		_, err := New(o)
		var typed *zone.Error
		if !errors.As(err, &typed) || typed.Hint == "" || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestC08_RefusalsAreToldApart: by real servers, each with a hint.
func TestC08_RefusalsAreToldApart(t *testing.T) {
	for _, software := range []nameserver.Software{nameserver.BIND, nameserver.Knot, nameserver.PowerDNS} {
		t.Run(string(software), func(t *testing.T) {
			s := startServer(t, software, func(spec *nameserver.Spec) {
				spec.Zones = append(spec.Zones, nameserver.Zone{Apex: "fixed.test.", Records: []string{"@ NS ns1", "ns1 A 127.0.0.1"}})
			})
			for what, change := range map[string]func(*Options){
				"BADKEY": func(o *Options) { o.Key.Name = "stranger" },
				"BADSIG": func(o *Options) {
					o.Key.Secret = base64.StdEncoding.EncodeToString([]byte("another secret of some length"))
				},
				"REFUSED": func(o *Options) { o.Apex = "fixed.test." },
				"NOTAUTH": func(o *Options) { o.Apex = "elsewhere.test." },
				"AHEAD":   func(o *Options) { o.Now = func() time.Time { return time.Now().Add(-time.Hour) } },
				"BEHIND":  func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Hour) } },
			} {
				d := driverFor(t, s, change)
				err := d.Probe(t.Context(), "shop."+d.Apex())
				var reply *ReplyError
				var typed *zone.Error
				if !errors.As(err, &reply) || !errors.As(err, &typed) {
					t.Errorf("%s: got %v", what, err)
					continue
				}
				if want := refusals(software)[what]; reply.Code != want || typed.Hint == "" {
					t.Errorf("%s: got %s, %v, want %s", what, reply.Code, err, want)
				}
				// A claim without a signature is told as one.
				if errors.Is(err, zone.ErrDenied) == errors.Is(err, ErrUnsigned) {
					t.Errorf("%s: %v", what, err)
				}
				if want := map[string]time.Duration{"AHEAD": time.Hour, "BEHIND": -time.Hour}[what]; reply.Code == "BADTIME" && (reply.Skew-want).Abs() > 10*time.Second {
					t.Errorf("%s: a skew of %s was measured, want %s", what, reply.Skew, want)
				}
			}
		})
	}
}

// refusals is what each server says. PowerDNS says REFUSED to everything, unsigned where it does not like the signature.
func refusals(software nameserver.Software) map[string]string {
	switch software {
	case nameserver.Knot:
		return map[string]string{"BADKEY": "BADKEY", "BADSIG": "BADSIG", "REFUSED": "BADKEY", "NOTAUTH": "NOTAUTH", "AHEAD": "BADTIME", "BEHIND": "BADTIME"}
	case nameserver.PowerDNS:
		return map[string]string{"BADKEY": "REFUSED", "BADSIG": "REFUSED", "REFUSED": "REFUSED", "NOTAUTH": "REFUSED", "AHEAD": "REFUSED", "BEHIND": "REFUSED"}
	}
	return map[string]string{"BADKEY": "BADKEY", "BADSIG": "BADSIG", "REFUSED": "REFUSED", "NOTAUTH": "NOTAUTH", "AHEAD": "BADTIME", "BEHIND": "BADTIME"}
}

// TestC08_EveryCodeHasItsMeaning: codes that no real server can be brought to for a sound message.
func TestC08_EveryCodeHasItsMeaning(t *testing.T) {
	for rcode, want := range map[int]error{
		dns.RcodeNotZone: zone.ErrInvalid, dns.RcodeNotAuth: zone.ErrDenied, dns.RcodeRefused: zone.ErrDenied,
		dns.RcodeFormatError: zone.ErrInvalid, dns.RcodeServerFailure: nil, dns.RcodeNXRrset: zone.ErrMoved,
	} {
		f := startFake(t, onBlue())
		f.onUpdate = func(_ int, w dns.ResponseWriter, r *dns.Msg) { f.reply(w, r, rcode) }
		r, err := f.driver(nil).Swap(t.Context(), toGreen())
		var reply *ReplyError
		var typed *zone.Error
		if !errors.As(err, &reply) || reply.Code != dns.RcodeToString[rcode] || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", dns.RcodeToString[rcode], err, want)
		}
		if !errors.As(err, &typed) || typed.Hint == "" || r.Attempts != 1 {
			t.Errorf("%s: %+v, %v", dns.RcodeToString[rcode], r, err)
		}
	}
}

// TestC09_TCPAlways: no datagram is ever sent, and each message speaks of one zone.
func TestC09_TCPAlways(t *testing.T) {
	f := startFake(t, onBlue())
	var mu sync.Mutex
	networks := map[string]int{}
	d := f.driver(func(o *Options) {
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			networks[network]++
			mu.Unlock()
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	})
	fence := zone.Fence{Name: "_crossfade-shop.apps.test.", Token: "one"}
	if err := d.Claim(t.Context(), onBlue().Name, fence, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Swap(t.Context(), toGreen()); err != nil {
		t.Fatal(err)
	}
	if len(networks) != 1 || networks["tcp"] == 0 {
		t.Errorf("connections by network: %v", networks)
	}
	for _, m := range f.updates {
		if len(m.Question) != 1 || m.Question[0].Name != testZone || m.Question[0].Qtype != dns.TypeSOA {
			t.Errorf("the zone section is %v", m.Question)
		}
	}
}

// TestC04_LostReplyOfARealServer: the same with BIND, and a connection that breaks once the update is on its way.
func TestC04_LostReplyOfARealServer(t *testing.T) {
	s := startServer(t, nameserver.BIND, nil)
	target := targetOf(t, s)
	target.Put(t, onBlue())
	var lost int
	d := driverFor(t, s, func(o *Options) {
		o.Timeout = 500 * time.Millisecond
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return &deafConn{Conn: conn, lost: &lost}, err
		}
	})
	r, err := d.Swap(t.Context(), toGreen())
	if err != nil || !r.Applied || !r.Recovered || r.Attempts != 1 || lost != 1 {
		t.Fatalf("Swap: %+v, %v, %d replies lost", r, err, lost)
	}
	got, err := target.Query(t.Context(), onBlue().Name, "CNAME")
	if err != nil || got.Data[0] != "green.lb.test." {
		t.Errorf("the server has %+v, %v", got, err)
	}
}

// deafConn loses the reply to an update: it is read, so that the server has done its work, and thrown away.
type deafConn struct {
	net.Conn
	lost   *int
	update bool
}

func (c *deafConn) Write(b []byte) (int, error) {
	// Length, ID, then the opcode in bits 1 to 4 of the fifth byte.
	c.update = len(b) > 4 && b[4]>>3&15 == dns.OpcodeUpdate
	return c.Conn.Write(b)
}

func (c *deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.update && err == nil {
		*c.lost++
		if err := c.Close(); err != nil {
			return 0, err
		}
		return 0, net.ErrClosed
	}
	return n, err
}

// TestC14_ViewsAreChosenByTheKey: two zones of one name live beside each other at one server, and the key decides for
// reads as for changes.
func TestC14_ViewsAreChosenByTheKey(t *testing.T) {
	s := startServer(t, nameserver.BIND, func(spec *nameserver.Spec) {
		spec.Views = []nameserver.Key{testKey("inside.", "hmac-sha256"), testKey("outside.", "hmac-sha256")}
	})
	view := func(name string) *Driver {
		return driverFor(t, s, func(o *Options) { o.Key.Name = name })
	}
	inside, outside := view("inside"), view("outside")
	create := zone.Change{Name: onBlue().Name, New: []zone.RRset{onBlue()}}
	if _, err := inside.Swap(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	if _, err := outside.Lookup(t.Context(), onBlue().Name, "CNAME"); !errors.Is(err, zone.ErrNotExist) {
		t.Errorf("the outside view shows the inside record: %v", err)
	}
	if got, err := inside.Lookup(t.Context(), onBlue().Name, "CNAME"); err != nil || got.TTL != 60 {
		t.Errorf("the inside view shows %+v, %v", got, err)
	}
}
