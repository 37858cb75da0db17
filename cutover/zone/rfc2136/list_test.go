package rfc2136

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
)

// TestC11_WholeZonesAreListed: by real servers, over many messages.
func TestC11_WholeZonesAreListed(t *testing.T) {
	const count = 6000
	for _, software := range []nameserver.Software{nameserver.BIND, nameserver.Knot, nameserver.PowerDNS} {
		t.Run(string(software), func(t *testing.T) {
			s := startServer(t, software, func(spec *nameserver.Spec) {
				for i := range count {
					spec.Zones[0].Records = append(spec.Zones[0].Records, fmt.Sprintf("host%d 60 TXT \"some text that takes its room %d\"", i, i))
				}
			})
			sets, err := driverFor(t, s, nil).List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			// SOA, NS and the server's own address stand beside them.
			if len(sets) != count+3 {
				t.Errorf("%d sets, want %d", len(sets), count+3)
			}
			if !slices.ContainsFunc(sets, func(s zone.RRset) bool { return s.Name == "host4711.apps.test." && s.TTL == 60 }) {
				t.Error("host4711 is missing")
			}
			bad := driverFor(t, s, func(o *Options) { o.Key.Secret = "d3Jvbmc=" })
			if sets, err := bad.List(t.Context()); err == nil || sets != nil {
				t.Errorf("with a wrong key: %d sets, %v", len(sets), err)
			}
		})
	}
}

// TestC11_PartialTransferIsFatal: whatever is missing, nothing is returned.
func TestC11_PartialTransferIsFatal(t *testing.T) {
	rr := func(text string) dns.RR {
		r, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	soa, later := "apps.test. 5 IN SOA ns1 h 7 1 1 1 5", "apps.test. 5 IN SOA ns1 h 8 1 1 1 5"
	a, b := "a.apps.test. 60 IN A 192.0.2.1", "b.apps.test. 60 IN A 192.0.2.2"
	for what, test := range map[string]struct {
		messages [][]string
		unsigned map[int]bool
		rcode    int
		want     error
	}{
		"whole, in one message":          {messages: [][]string{{soa, a, b, soa}}},
		"whole, in three":                {messages: [][]string{{soa}, {a, b}, {soa}}},
		"whole, the middle unsigned":     {messages: [][]string{{soa, a}, {b}, {soa}}, unsigned: map[int]bool{1: true}},
		"cut off":                        {messages: [][]string{{soa, a}}, want: ErrPartial},
		"empty":                          {messages: [][]string{{}}, want: ErrPartial},
		"without its first SOA":          {messages: [][]string{{a, b, soa}}, want: ErrPartial},
		"changed on the way":             {messages: [][]string{{soa, a}, {b, later}}, want: ErrPartial},
		"records after the end":          {messages: [][]string{{soa, a, soa, b}}, want: ErrPartial},
		"refused":                        {messages: [][]string{{}}, rcode: dns.RcodeRefused, want: ErrPartial},
		"a record of another zone":       {messages: [][]string{{soa, "x.example.com. 60 IN A 192.0.2.9", soa}}, want: ErrPartial},
		"unsigned":                       {messages: [][]string{{soa, a, soa}}, unsigned: map[int]bool{0: true}, want: ErrUnsigned},
		"unsigned at its end":            {messages: [][]string{{soa, a}, {soa}}, unsigned: map[int]bool{1: true}, want: ErrUnsigned},
		"an unsigned one is slipped in":  {messages: [][]string{{soa, a}, {b}, {soa}}, unsigned: map[int]bool{1: true, -1: true}, want: ErrSignature},
		"unsigned since, then cut off":   {messages: [][]string{{soa, a}, {b}}, unsigned: map[int]bool{1: true}, want: ErrPartial},
		"signed and cut off in a record": {messages: [][]string{{soa, a}, {"cut"}}, want: ErrPartial},
	} {
		f := startFake(t)
		f.onQuery = func(w dns.ResponseWriter, r *dns.Msg) bool {
			mac := r.IsTsig().MAC
			var between []byte
			for i, lines := range test.messages {
				if len(lines) == 1 && lines[0] == "cut" {
					_ = w.Close()
					return true
				}
				m := new(dns.Msg)
				m.SetRcode(r, test.rcode)
				for _, line := range lines {
					m.Answer = append(m.Answer, rr(line))
				}
				raw := f.transferMessage(m, &mac, &between, test.unsigned[i], i > 0)
				if test.unsigned[i] && test.unsigned[-1] {
					between = nil // the signer never saw it
				}
				if _, err := w.Write(raw); err != nil {
					return true
				}
			}
			_ = w.Close()
			return true
		}
		sets, err := f.driver(nil).List(t.Context())
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: got %v, want %v", what, err, test.want)
		}
		if err != nil && sets != nil || err == nil && len(sets) != 3 {
			t.Errorf("%s: %d sets were returned", what, len(sets))
		}
	}
}

// transferMessage packs one message of a transfer, signed over those that were not.
func (f *fake) transferMessage(m *dns.Msg, mac *string, between *[]byte, unsigned, timersOnly bool) []byte {
	f.t.Helper()
	if unsigned {
		raw, err := m.Pack()
		if err != nil {
			f.t.Fatal(err)
		}
		*between = append(*between, raw...)
		return raw
	}
	m.SetTsig("crossfade.", dns.HmacSHA256, 300, time.Now().Unix())
	signer := chainSigner{macProvider{secret: fakeSecret, between: *between, macLength: len(*mac) / 2}}
	raw, next, err := dns.TsigGenerateWithProvider(m, signer, *mac, timersOnly)
	if err != nil {
		f.t.Fatal(err)
	}
	*mac, *between = next, nil
	return raw
}
