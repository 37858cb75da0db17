package cutover_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

func (w *world) planned(t *testing.T) *plan.Plan {
	t.Helper()
	p, err := cutover.PlanTTL(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signs makes the world's zone a signed one, whose signatures began some time ago and last as long as is said.
func (w *world) signs(ago, left time.Duration) {
	w.names.signed = true
	now := w.clock.Now()
	w.names.signature = dnsx.Signature{Signer: "apps.test.", KeyTag: 7, From: now.Add(-ago), Until: now.Add(left)}
}

// An address without a name, in a file that names no object which could bring one, is refused before green exists.
func TestADeclaredAddressWithoutANameIsRefusedFirst(t *testing.T) {
	for record, refused := range map[string]bool{"": true, "green-shop.apps.test": false} {
		w := addressOnly(t, record)
		found, err := cutover.Inspect(t.Context(), cutover.InspectOptions{Options: w.opts, WithoutGreen: true})
		if err != nil {
			t.Fatal(err)
		}
		if refused != slices.ContainsFunc(found.Refusals, func(r plan.Refusal) bool {
			return strings.Contains(r.Mend, "green: {makeRecord: green-shop.apps.test}")
		}) {
			t.Errorf("with makeRecord %q: %+v", record, found.Refusals)
		}
	}
}

// A target that the file names and that leads nowhere is warned of before green exists: a typing error, or something that green makes later.
func TestADeclaredTargetThatLeadsNowhereIsWarnedOfFirst(t *testing.T) {
	w := newWorld(t)
	inspect := func() cutover.Inspection {
		t.Helper()
		found, err := cutover.Inspect(t.Context(), cutover.InspectOptions{Options: w.opts, WithoutGreen: true})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	h := &w.opts.Applications[0].Hostnames[0]
	for target, why := range map[string]string{"green.lb.test.": "", "nowhere.invalid": "green.target leads nowhere yet: no address of nowhere.invalid. is known"} {
		h.Green = &migration.Entry{Target: target}
		found := inspect()
		warned := slices.ContainsFunc(found.Notes, func(n plan.Note) bool { return n.Level == plan.Warning && strings.Contains(n.Text, why) })
		if len(found.Refusals) > 0 || why != "" && !warned {
			t.Errorf("%s: refusals %+v, notes %+v", target, found.Refusals, found.Notes)
		}
	}
	h.Green.Address = w.green.addr.Addr().String()
	if found := inspect(); slices.ContainsFunc(found.Notes, func(n plan.Note) bool { return strings.Contains(n.Text, "nowhere") }) {
		t.Errorf("with an address of the file: %+v", found.Notes)
	}
	api, client := startAPI(t)
	api.lb = "nowhere.invalid"
	h.Green, h.Service, h.Port, w.opts.Green.Kube = nil, "web", 80, client
	if found := inspect(); len(found.Refusals) > 0 || found.Names[0].Green.Missing == "" {
		t.Errorf("found on green: %+v", found)
	}
}

// TestC15_SignaturesAtEveryServer: one server without a good signature, or one that ends during the cutover, is a refusal; one
// that no signer renewed is a warning.
func TestC15_SignaturesAtEveryServer(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		change             func(*world)
		refusal, note, not string
	}{
		"good everywhere":             {func(w *world) { w.signs(4*day, 10*day) }, "", "", "signature"},
		"an online signer's":          {func(w *world) { w.signs(24*time.Hour, 25*time.Hour) }, "", "", "signature"},
		"none at one address":         {func(w *world) { w.signs(4*day, 10*day); w.names.unsigned[server(3)] = true }, "192.0.2.3:53: it has no RRSIG", "", ""},
		"it ends during the cutover":  {func(w *world) { w.signs(14*day, 8*time.Minute) }, "ends in 8m0s, and the cutover's waits take 9m4s", "", ""},
		"nobody renewed it":           {func(w *world) { w.signs(12*day, 2*day) }, "", "a signer at work renews it earlier", ""},
		"one address does not answer": {func(w *world) { w.signs(4*day, 10*day); w.names.silent[server(2)] = true }, "192.0.2.2:53: no answer", "", ""},
		"a DS for an unsigned zone":   {func(w *world) { w.names.secure = true }, "has a DS for it: nobody who validates gets an answer", "", ""},
		"an unsigned zone":            {func(w *world) { w.names.unsigned[server(3)] = true }, "", "", "RRSIG"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(w)
			p := w.planned(t)
			if tt.refusal == "" && len(p.Refusals) > 0 || tt.refusal != "" && !refusedFor(p, tt.refusal) {
				t.Errorf("refusals = %+v, want %q", p.Refusals, tt.refusal)
			}
			if tt.note != "" && !noted(p, tt.note) || tt.not != "" && noted(p, tt.not) {
				t.Errorf("notes = %+v", p.Notes)
			}
		})
	}
}

// TestC15_SwapIsSeenOnlyWithSignatures: a server that shows the new record without a signature does not show it yet.
func TestC15_SwapIsSeenOnlyWithSignatures(t *testing.T) {
	w := newWorld(t)
	w.signs(24*time.Hour, 240*time.Hour)
	w.opts.Times.Propagation = migration.Duration(30 * time.Second)
	opts := w.swapOptions(w.lowered(t))
	p, err := cutover.PlanSwap(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	w.names.unsigned[server(2)] = true
	began := w.clock.Now()
	_, err = cutover.ApplySwap(t.Context(), p, w.rec, opts)
	if err == nil || !strings.Contains(err.Error(), "192.0.2.2:53: it has no RRSIG over the CNAME set") {
		t.Fatalf("got %v", err)
	}
	if waited := w.clock.Now().Sub(began); waited < 30*time.Second {
		t.Errorf("it gave up after %s", waited)
	}
	w.names.unsigned[server(2)] = false
	if _, err := cutover.ApplySwap(t.Context(), p, w.rec, opts); err != nil {
		t.Errorf("with a signature everywhere: %v", err)
	}
}

// addressWorld has addresses at the name, so that other types may stand beside them.
func addressWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	blue := zone.RRset{Name: shopName, Type: "A", TTL: 300, Data: []string{w.blue.addr.Addr().String()}}
	if _, err := w.zone.Swap(t.Context(), zone.Change{Name: shopName, Old: []zone.RRset{w.lookup(t, "CNAME")}, New: []zone.RRset{blue}}); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestC15_WhatStandsBesideTheName: hints at blue keep browsers there and refuse the plan; a wildcard that would answer is said.
func TestC15_WhatStandsBesideTheName(t *testing.T) {
	set := func(name, typ, data string) dnsx.RRset {
		return dnsx.RRset{Name: name, Type: typ, TTL: 300, Data: []string{data}}
	}
	for name, tt := range map[string]struct {
		more          dnsx.RRset
		refusal, note string
	}{
		"hints at blue":          {set(shopName, "HTTPS", `1 . alpn="h2" ipv4hint="127.0.0.2"`), "hints at blue's address 127.0.0.2", ""},
		"hints elsewhere":        {set(shopName, "HTTPS", `1 . alpn="h2" ipv4hint="127.0.0.9"`), "", "its HTTPS record stays as it is"},
		"SVCB that leads to it":  {set(shopName, "SVCB", `1 blue.lb.test.`), "leads to blue's blue.lb.test.", ""},
		"a wildcard answers too": {set("*.apps.test.", "A", "192.0.2.99"), "", "clients would get 192.0.2.99 and no error"},
		"another type's":         {set("*.apps.test.", "MX", "10 mail.test."), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := addressWorld(t)
			w.names.more = []dnsx.RRset{tt.more}
			p := w.planned(t)
			if tt.refusal == "" && len(p.Refusals) > 0 || tt.refusal != "" && !refusedFor(p, tt.refusal) {
				t.Errorf("refusals = %+v, want %q", p.Refusals, tt.refusal)
			}
			if tt.note != "" && !noted(p, tt.note) || tt.note == "" && noted(p, "wildcard") {
				t.Errorf("notes = %+v, want %q", p.Notes, tt.note)
			}
		})
	}
}

// issuedBy listens with TLS at an address, with a certificate that an authority's organisation issued.
func issuedBy(t *testing.T, organisation string, at netip.Addr) int {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{organisation}, CommonName: "E1"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "shop.apps.test"}, DNSNames: []string{"shop.apps.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", net.JoinHostPort(at.String(), "0"), &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake()
			_ = c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// TestC15_CAAThatForbidsGreensIssuer: the certificate that green shows holds; its renewal would not.
func TestC15_CAAThatForbidsGreensIssuer(t *testing.T) {
	for name, tt := range map[string]struct{ caa, issuer, note string }{
		"another authority":          {`0 issue "digicert.com"`, "Let's Encrypt", "its renewal will fail; allow letsencrypt.org"},
		"its own":                    {`0 issue "letsencrypt.org"`, "Let's Encrypt", ""},
		"nobody":                     {`0 issue ";"`, "DigiCert Inc", "allows nobody"},
		"one that is not known here": {`0 issue "ca.example"`, "Example Trust", "see that the issuer of green's certificate (Example Trust) is among them"},
		"no restriction":             {`0 iodef "mailto:a@b.test"`, "Let's Encrypt", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.names.caa = &dnsx.RRset{Name: "apps.test.", Type: "CAA", TTL: 60, Data: []string{tt.caa}}
			w.opts.Applications[0].Hostnames[0].Port = issuedBy(t, tt.issuer, w.green.addr.Addr())
			p := w.planned(t)
			if len(p.Refusals) > 0 {
				t.Errorf("refusals = %+v", p.Refusals)
			}
			if tt.note != "" && !noted(p, tt.note) || tt.note == "" && noted(p, "CAA") {
				t.Errorf("notes = %+v, want %q", p.Notes, tt.note)
			}
		})
	}
}
