package cutover_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/rfc2136"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
)

func depicted(t *testing.T, opts cutover.DepictOptions) []cutover.Picture {
	t.Helper()
	pictures, err := cutover.Depict(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return pictures
}

func drawn(t *testing.T, p cutover.Picture) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Print(&b, time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPictureOfARealName: everything about a name on real servers, changed by nothing, with and without its application.
func TestPictureOfARealName(t *testing.T) {
	dns := startBIND(t)
	blue, green := startSides(t)
	err := dns.Add(t.Context(),
		dnsx.Record{Name: "blue.lb.test.", Type: "A", TTL: 60, Data: blue.addr.Addr().String()},
		dnsx.Record{Name: "green.lb.test.", Type: "A", TTL: 60, Data: green.addr.Addr().String()},
		dnsx.Record{Name: shopName, Type: "CNAME", TTL: 300, Data: "blue.lb.test."},
		dnsx.Record{Name: "below." + shopName, Type: "A", TTL: 60, Data: "192.0.2.9"},
		dnsx.Record{Name: "*.apps.test.", Type: "A", TTL: 60, Data: "192.0.2.99"},
		dnsx.Record{Name: "apps.test.", Type: "CAA", TTL: 60, Data: `0 issue "letsencrypt.org"`},
		dnsx.Record{Name: ownerName, Type: "TXT", TTL: 60, Data: ownership(ownerName, "blue-prod").Data[0]},
		dnsx.Record{Name: "edns-shop.apps.test.", Type: "TXT", TTL: 60, Data: ownership(ownerName, "somebody").Data[0]},
		dnsx.Record{Name: "loop1.apps.test.", Type: "CNAME", TTL: 60, Data: "loop2.apps.test."},
		dnsx.Record{Name: "loop2.apps.test.", Type: "CNAME", TTL: 60, Data: "loop1.apps.test."},
		dnsx.Record{Name: "plain.apps.test.", Type: "A", TTL: 60, Data: "192.0.2.1"},
		dnsx.Record{Name: "plain.apps.test.", Type: "TXT", TTL: 60, Data: "\"\\027[31mred\""})
	if err != nil {
		t.Fatal(err)
	}
	waitForSecondary(t, dns)
	driver, err := rfc2136.New(rfc2136.Options{Apex: "apps.test.", Server: dns.Primary.Addr().String(), Key: rfc2136.Key{Name: dns.Key.Name, Algorithm: dns.Key.Algorithm, Secret: dns.Key.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	opts := cutover.DepictOptions{NoClusters: true, Options: cutover.Options{
		Applications: []migration.Application{{
			Name: "shop", Namespace: "demo",
			Hostnames: []migration.Hostname{{Name: "shop.apps.test", Port: 80, Blue: &migration.Entry{Target: "blue.lb.test"}, Green: &migration.Entry{Target: "green.lb.test"}}},
		}},
		Zones: []cutover.Zone{{Zone: migration.Zone{Name: "apps.test", Resolvers: []string{dns.Resolver.Addr().String()}}, Driver: driver}},
		Names: dns.Client(),
	}}
	serials := func() string {
		var all []string
		for _, p := range depicted(t, opts) {
			for _, s := range p.Servers {
				all = append(all, fmt.Sprint(s.Serial))
			}
		}
		return strings.Join(all, " ")
	}
	before := serials()
	p := depicted(t, opts)[0]
	if len(p.Unread) > 0 {
		t.Errorf("not read: %+v", p.Unread)
	}
	text := drawn(t, p)
	for _, want := range []string{
		"shop.apps.test.  application shop", "SOA: serial ", "a missing answer would be remembered for 5s", "a change is atomic",
		"at the parent test.: ns1.apps.test. ns2.apps.test.", "127.53.0.2:53", "127.53.0.3:53", "NOERROR with authority", "as new as any",
		"CNAME blue.lb.test.  TTL 300s", "in the zone lb.test.", "DNSSEC: not signed", "wildcard: *.apps.test. A 192.0.2.99", "below it: below.shop.apps.test.",
		`CAA at apps.test.: 0 issue "letsencrypt.org"`, "external-dns: blue-prod for ingress/demo/shop (at cname-shop.apps.test.)",
		"perhaps: edns-shop.apps.test. says that somebody owns a name",
		"the name leads to blue now", "lower the TTL from 300s to 60s, then wait 5m0s old TTL + 5s margin = 5m5s", "back: as long:",
	} {
		if !strings.Contains(unfolded(text), want) {
			t.Errorf("the picture lacks %q:\n%s", want, text)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("a line of %d characters: %s", utf8.RuneCountInString(line), line)
		}
	}
	var back cutover.Picture
	if raw, err := json.Marshal(p); err != nil || json.Unmarshal(raw, &back) != nil || len(back.Servers) != 2 || back.Leads != "blue" || back.Owners[0].Owner != "blue-prod" {
		t.Errorf("as JSON: %+v, %v", back, err)
	}
	if after := serials(); after != before {
		t.Errorf("the zone was changed: serials %s, then %s", before, after)
	}
	depictOthers(t, opts)
}

// depictOthers looks at names that are no application's.
func depictOthers(t *testing.T, opts cutover.DepictOptions) {
	opts.Names = []string{"loop1.apps.test", "plain.apps.test.", "nobody.apps.test", "shop"}
	others := depicted(t, opts)
	if len(others) != 4 || others[3].Name != shopName {
		t.Fatalf("%d pictures", len(others))
	}
	if !strings.Contains(others[0].Broken, "loop") || len(others[0].Unread) > 0 {
		t.Errorf("a loop: %+v", others[0])
	}
	if text := drawn(t, others[0]); strings.Contains(text, "times of a cutover") {
		t.Errorf("nothing of a loop can be moved:\n%s", text)
	}
	text := drawn(t, others[1])
	if strings.Contains(text, "\x1b") || !strings.Contains(text, "beside it: TXT") || !slices.ContainsFunc(others[1].Beside, func(s dnsx.RRset) bool { return s.Type == "TXT" }) {
		t.Errorf("a name with a text from outside:\n%s", text)
	}
	if others[2].Records != nil && others[2].Records[0].Data[0] != "192.0.2.99" {
		t.Errorf("a name that only the wildcard answers: %+v", others[2].Records)
	}
	opts.Names = []string{"shop.elsewhere.test"}
	var unknown *cutover.NoNameError
	if _, err := cutover.Depict(t.Context(), opts); !errors.As(err, &unknown) || unknown.Name != "shop.elsewhere.test" {
		t.Errorf("a name in no zone: %v", err)
	}
}

// unfolded is the tree without its branches and breaks.
func unfolded(text string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("│", " ", "├─", " ", "└─", " ").Replace(text)), " ") + strings.ReplaceAll(text, "\n", " ")
}

// TestI08_PictureSaysWhatItLacks: what cannot be read is said, one thing a line, and the rest is shown all the same.
func TestI08_PictureSaysWhatItLacks(t *testing.T) {
	w := newWorld(t)
	w.names.silent[server(3)] = true
	w.opts.Zones[0].Driver = deaf{single{w.zone}}
	w.opts.Applications[0].Hostnames[0].Green = nil
	p := depicted(t, cutover.DepictOptions{Options: w.opts, NoClusters: true})[0]
	var missing []string
	for _, u := range p.Unread {
		missing = append(missing, u.What+": "+u.Why)
	}
	text := strings.Join(missing, "\n")
	for _, want := range []string{
		"server ns2. 192.0.2.3:53: no answer", "fence: ", "names below it, and records of external-dns under other prefixes: its provider's driver lists no zones",
		"green's entry: the file names no entry and no cluster was given",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not said: %s", want, text)
		}
	}
	tree := drawn(t, p)
	for _, want := range []string{"COULD NOT BE READ", "192.0.2.1:53", "NO ANSWER: no answer", "blue: blue.lb.test."} {
		if !strings.Contains(tree, want) {
			t.Errorf("the picture lacks %q:\n%s", want, tree)
		}
	}
}

// deaf is a zone whose texts cannot be read.
type deaf struct{ zone.Zone }

func (d deaf) Lookup(ctx context.Context, name, typ string) (zone.RRset, error) {
	if typ == "TXT" {
		return zone.RRset{}, errors.New("no answer from the provider")
	}
	return d.Zone.Lookup(ctx, name, typ)
}
