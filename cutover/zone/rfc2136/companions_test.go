package rfc2136

import (
	"errors"
	"testing"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// TestC25_CompanionIsAConditionOfTheMessage: one message carries name and ownership, and an ownership that changes between the
// last look and the message keeps the name where it is.
func TestC25_CompanionIsAConditionOfTheMessage(t *testing.T) {
	owner := func(text string) zone.RRset {
		return zone.RRset{Name: "cname-shop.apps.test.", Type: "TXT", TTL: 60, Data: []string{`"heritage=external-dns,external-dns/owner=` + text + `"`}}
	}
	change := zone.Change{Name: onBlue().Name, Old: []zone.RRset{onBlue()}, New: []zone.RRset{onGreen()}, With: []zone.Companion{{Old: owner("blue"), New: owner("green")}}}

	f := startFake(t, onBlue(), owner("blue"))
	if _, err := f.driver(nil).Swap(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if len(f.updates) != 1 {
		t.Errorf("%d messages, want one for both", len(f.updates))
	}

	f = startFake(t, onBlue(), owner("blue"))
	d := f.driver(nil)
	f.onUpdate = func(_ int, w dns.ResponseWriter, r *dns.Msg) {
		f.put(owner("third")) // just now
		f.reply(w, r, f.apply(r))
	}
	if _, err := d.Swap(t.Context(), change); !errors.Is(err, zone.ErrMoved) {
		t.Errorf("Swap returned %v, want ErrMoved", err)
	}
	for _, want := range []zone.RRset{onBlue(), owner("third")} {
		if got, err := d.Lookup(t.Context(), want.Name, want.Type); err != nil || got.Data[0] != want.Data[0] {
			t.Errorf("%s %s is %+v, %v, want %v", want.Name, want.Type, got, err, want.Data)
		}
	}
}
