package dnsx

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestC14_Canonical(t *testing.T) {
	x63 := strings.Repeat("x", 63)
	for name, want := range map[string]string{
		"Shop.Apps.TEST": "shop.apps.test.", "shop.apps.test.": "shop.apps.test.", ".": ".", "*.apps.test": "*.apps.test.",
		"_srv._tcp.a": "_srv._tcp.a.", "bücher.de": "xn--bcher-kva.de.", "BÜCHER.de.": "xn--bcher-kva.de.", x63 + ".a": x63 + ".a.",
		`a\.b.c`: `a\.b.c.`, `\065.c`: "a.c.", "例え.テスト": "xn--r8jz45g.xn--zckzah.",
	} {
		if got, err := Canonical(name); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"", "..", "a..b", ".a", x63 + "x.a", strings.Repeat("abcdefg.", 32), "xn--a.\u00e4\u200d..", "\xff.de"} {
		if got, err := Canonical(name); !errors.Is(err, ErrName) {
			t.Errorf("%q: got %q, %v, want ErrName", name, got, err)
		}
	}
}

// FuzzCanonical: what is canonical stays as it is, packs into a message and has no upper case.
func FuzzCanonical(f *testing.F) {
	for _, name := range []string{"a.b", ".", "*.x", `\000.x`, "ä.ö", "A..b", strings.Repeat("a.", 127)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		once, err := Canonical(name)
		if err != nil {
			return
		}
		twice, err := Canonical(once)
		if err != nil || twice != once {
			t.Fatalf("%q becomes %q and then %q, %v", name, once, twice, err)
		}
		if _, err := dns.PackDomainName(once, make([]byte, 255), 0, nil, false); err != nil {
			t.Fatalf("%q does not pack: %v", once, err)
		}
	})
}

// wellFormed is the text of a CAA record whose tag is of letters and digits.
var wellFormed = regexp.MustCompile(`^[0-9]+ [0-9A-Za-z]+ "`)

// FuzzAnswer: whatever a server sends, an answer has only canonical names, and each of its records of a type that is
// ever swapped is read back from its text as the same record.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		"shop.Apps.test. 60 IN CNAME Blue.lb.TEST.", `a.test. 1 IN TXT "a b" "c\"d;"`, "a.test. 1 IN A 192.0.2.1", "a.test. 1 IN AAAA 2001:db8::1",
		`a.test. 1 IN CAA 0 issue "ca.test; x=y"`, "a.test. 1 IN SRV 1 2 3 B.test.", "a.test. 1 IN HTTPS 1 . alpn=h2", "test. 1 IN SOA A. B. 1 2 3 4 5",
	} {
		rr, err := dns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		m := new(dns.Msg)
		m.SetQuestion("a.test.", dns.TypeA)
		m.Answer = append(m.Answer, rr)
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := new(dns.Msg)
		if m.Unpack(raw) != nil {
			return
		}
		answer, err := toAnswer(m)
		if err != nil {
			return
		}
		for _, r := range answer.Answer {
			if again, err := Canonical(r.Name); err != nil || again != r.Name {
				t.Fatalf("the name %q is not canonical: %q, %v", r.Name, again, err)
			}
			if !slices.Contains([]string{"A", "AAAA", "CNAME", "TXT", "MX", "SRV", "CAA"}, r.Type) {
				continue // the library's texts of rare types are not all readable
			}
			if r.Type == "CAA" && !wellFormed.MatchString(r.Data) {
				continue // a tag is of letters and digits, and not empty (RFC 8659, 4.1): no text tells of another
			}
			rr, err := ToRR(r)
			if err != nil {
				t.Fatalf("%+v is not read back: %v", r, err)
			}
			again, err := FromRR(rr)
			if err != nil || again != r {
				t.Fatalf("%+v is read back as %+v, %v", r, again, err)
			}
		}
	})
}
