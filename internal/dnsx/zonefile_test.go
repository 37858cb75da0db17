package dnsx_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

const zoneText = `; the zone of the shops
$TTL 1h
@	IN SOA ns1 hostmaster ( ; who
		2026112201 ; serial
		7200 3600 1209600 300 )
	IN NS ns1
ns1	A 192.0.2.53
shop	300 IN CNAME blue.lb.test. ; the shop
$ORIGIN sub.apps.test.
a	60 A 192.0.2.1
	AAAA 2001:db8::1
txt	TXT "a; b" "(c)" plain\;x
`

// library reads a whole file by the DNS library.
func library(text string) ([]dnsx.Record, error) {
	var out []dnsx.Record
	parser := dns.NewZoneParser(strings.NewReader(text), "apps.test.", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		record, err := dnsx.FromRR(rr)
		if err != nil {
			return nil, err
		}
		out = append(out, record)
	}
	return out, parser.Err()
}

func TestZoneFileEntryByEntry(t *testing.T) {
	entries, err := dnsx.ParseZoneFile(zoneText, "apps.test.")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, zoneText, entries)
	if e := entries[5]; e.Record == nil || e.Record.Name != "shop.apps.test." || e.Comment() != "; the shop" || e.Line != 8 {
		t.Errorf("the shop is %+v", e)
	}
	if e := entries[3]; !e.Inherits || e.Record.Type != "NS" {
		t.Errorf("the NS is %+v", e)
	}
	for what, text := range map[string]string{
		"an open quote": "a TXT \"x\n", "an open parenthesis": "@ SOA a b ( 1 2 3", "an include": "$INCLUDE other.db\n", "a generator": "$GENERATE 1-3 a$ A 192.0.2.$\n",
		"no owner": " 60 A 192.0.2.1\n", "no TTL": "a A 192.0.2.1\n", "another class": "a 60 CH TXT \"x\"\n", "nonsense": "a 60 IN NOPE x\n",
	} {
		if entries, err := dnsx.ParseZoneFile(text, "apps.test."); err == nil {
			t.Errorf("%s was read as %+v", what, entries)
		}
	}
}

// compare holds what entries say against the text and against the library.
func compare(t *testing.T, text string, entries []dnsx.ZoneEntry) {
	t.Helper()
	var back strings.Builder
	var records []dnsx.Record
	for _, e := range entries {
		back.WriteString(e.Text)
		if e.Record != nil {
			records = append(records, *e.Record)
		}
	}
	if back.String() != text {
		t.Fatalf("the entries' texts are %q, the file is %q", back.String(), text)
	}
	want, err := library(text)
	if err != nil {
		return // the library is stricter about a file as a whole
	}
	if len(want) != len(records) {
		t.Fatalf("entry by entry there are %d records, as a whole %d, in %q", len(records), len(want), text)
	}
	for i := range want {
		if want[i] != records[i] {
			t.Fatalf("record %d is %+v entry by entry, %+v as a whole", i, records[i], want[i])
		}
	}
}

// FuzzZoneFile: where a file is read entry by entry, the entries' texts are the file, and the records are those that the
// DNS library reads from the file as a whole.
func FuzzZoneFile(f *testing.F) {
	f.Add(zoneText)
	f.Add("a 60 A 192.0.2.1")
	f.Add("$TTL 60\na A 192.0.2.1\n  ( AAAA\n 2001:db8::1 )\n")
	f.Add("a 60 IN TXT \"\\\"\" ; x\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		entries, err := dnsx.ParseZoneFile(text, "apps.test.")
		if err == nil {
			compare(t, text, entries)
		}
	})
}
