package dnsx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/rig/nameserver"
	"github.com/crossfade-project/crossfade/e2e/rig/process"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// startAlone starts one BIND with a zone, signed or not.
func startAlone(t *testing.T, name string, signed bool, records ...string) *nameserver.Server {
	t.Helper()
	in, err := install.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = in.Debian(t.Context(), nameserver.BIND.Packages()...)
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := nameserver.Start(t.Context(), nameserver.Spec{
		Software: nameserver.BIND, Name: name, Dir: filepath.Join(t.TempDir(), name), Sign: signed, Place: nameserver.Place{Addr: at},
		Key:   nameserver.Key{Name: "crossfade.", Algorithm: "hmac-sha256", Secret: "c2l4dGVlbiBieXRlcyBhdCBsZWFzdCwgdGhpcnR5LXR3bw=="},
		Zones: []nameserver.Zone{{Apex: "apps.test.", Dynamic: true, Records: append([]string{"@ NS ns1", "ns1 A 127.0.0.1"}, records...)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestC15_SignaturesOfARealSignedZone: what BIND signs is good now and not when it has ended, and a server that has the zone
// without signatures is found, as is one that cannot be asked.
func TestC15_SignaturesOfARealSignedZone(t *testing.T) {
	records := []string{"shop 300 CNAME blue.lb.test.", "plain A 192.0.2.1", "plain A 192.0.2.2", "*.wild A 192.0.2.3"}
	signed, unsigned := startAlone(t, "signed", true, records...), startAlone(t, "unsigned", false, records...)
	client := new(dnsx.Client)
	servers := []dnsx.Server{
		{Name: "ns1.apps.test.", Addrs: []netip.AddrPort{signed.Addr()}},
		{Name: "ns2.apps.test.", Addrs: []netip.AddrPort{unsigned.Addr(), netip.MustParseAddrPort("127.0.0.1:1")}},
	}
	survey := func(name string, at time.Time) []dnsx.View {
		return client.Survey(t.Context(), servers, dnsx.SurveyOptions{Apex: "apps.test.", Name: name, Types: []string{"CNAME", "A", "AAAA"}, Signed: true, At: at})
	}
	var views []dnsx.View
	err := process.WaitUntil(t.Context(), 30*time.Second, func(context.Context) error {
		views = survey("shop.apps.test.", time.Now())
		if len(views) != 3 || len(views[0].Signatures) != 1 || views[0].Signatures[0].Problem != "" {
			return fmt.Errorf("the signed server: %+v", views)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := views[0].Signatures[0]; s.Left(time.Now()) < 24*time.Hour || s.Signer != "apps.test." || s.KeyTag == 0 || s.Type != "CNAME" {
		t.Errorf("signature: %+v", s)
	}
	if v := views[0]; !v.Authoritative || v.Rcode != "NOERROR" || v.Serial == 0 || len(v.Sets) != 1 || v.Sets[0].TTL != 300 {
		t.Errorf("view: %+v", v)
	}
	if v := views[1]; len(v.Signatures) != 1 || v.Signatures[0].Problem != "it has no RRSIG over the CNAME set" || v.Unknown != "" {
		t.Errorf("the unsigned server: %+v", v)
	}
	if views[2].Unknown == "" {
		t.Errorf("a server that is not there: %+v", views[2])
	}
	for _, name := range []string{"plain.apps.test.", "any.wild.apps.test."} {
		if v := survey(name, time.Now())[0]; len(v.Signatures) != 1 || v.Signatures[0].Problem != "" {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if v := survey("nobody.apps.test.", time.Now())[0]; v.Rcode != "NXDOMAIN" || len(v.Sets)+len(v.Signatures) > 0 || v.Unknown != "" {
		t.Errorf("a name that does not exist: %+v", v)
	}
	for at, want := range map[time.Time]string{
		time.Now().Add(100 * 24 * time.Hour):  "its RRSIG has expired on",
		time.Now().Add(-100 * 24 * time.Hour): "its RRSIG is valid only from",
	} {
		if v := survey("shop.apps.test.", at)[0]; !strings.Contains(v.Signatures[0].Problem, want) {
			t.Errorf("at %s: %+v", at, v.Signatures)
		}
	}
	// Another zone's name at the same server.
	other := client.Survey(t.Context(), servers[:1], dnsx.SurveyOptions{Apex: "other.test.", Name: "shop.other.test.", Types: []string{"A"}})
	if other[0].Unknown == "" {
		t.Errorf("a zone that it does not serve: %+v", other[0])
	}
}
