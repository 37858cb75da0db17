package dnsx_test

import (
	"fmt"
	"testing"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

func TestHintsOfHTTPS(t *testing.T) {
	set := dnsx.RRset{Name: "shop.apps.test.", Type: "HTTPS", TTL: 60, Data: []string{
		`1 . alpn="h2,h3" ipv4hint="192.0.2.1,192.0.2.2" ipv6hint="2001:db8::1"`, `2 Edge.Test. port="8443"`,
	}}
	addrs, targets, err := dnsx.Hints(set)
	if err != nil || fmt.Sprint(addrs, targets) != "[192.0.2.1 192.0.2.2 2001:db8::1] [edge.test.]" {
		t.Errorf("%v %v %v", addrs, targets, err)
	}
	set.Type = "SVCB"
	if addrs, _, err = dnsx.Hints(set); err != nil || len(addrs) != 3 {
		t.Errorf("%v %v", addrs, err)
	}
	if _, _, err = dnsx.Hints(dnsx.RRset{Name: "a.test.", Type: "A", Data: []string{"192.0.2.1"}}); err == nil {
		t.Error("an A record has no hints")
	}
}

func TestC15_IssuersThatCAAAllows(t *testing.T) {
	for _, test := range []struct {
		data       []string
		wildcard   bool
		want       string
		restricted bool
	}{
		{[]string{`0 issue "ca.test"`, `0 issue "Other.Test; account=1"`}, false, "[ca.test other.test]", true},
		{[]string{`0 issue ";"`}, false, "[]", true},
		{[]string{`0 iodef "mailto:a@b.test"`}, false, "[]", false},
		{[]string{`0 issue "ca.test"`}, true, "[ca.test]", true},
		{[]string{`0 issue "ca.test"`, `0 issuewild "wild.test"`}, true, "[wild.test]", true},
		{[]string{`0 issuewild "wild.test"`}, false, "[]", false},
	} {
		got, restricted := dnsx.Issuers(dnsx.RRset{Name: "a.test.", Type: "CAA", Data: test.data}, test.wildcard)
		if fmt.Sprint(got) != test.want || restricted != test.restricted {
			t.Errorf("%q: %v, %t", test.data, got, restricted)
		}
	}
}

func TestC24_WhereASetLeads(t *testing.T) {
	for _, test := range []struct {
		typ  string
		data []string
		want string
	}{
		{"A", []string{"192.0.2.1", "192.0.2.2"}, "[] [192.0.2.1 192.0.2.2]"},
		{"AAAA", []string{"2001:db8::1"}, "[] [2001:db8::1]"},
		{"CNAME", []string{"Blue.LB.test."}, "[blue.lb.test.] []"},
		{"DNAME", []string{"lb.test."}, "[lb.test.] []"},
		{"ALIAS", []string{"blue.lb.test."}, "[blue.lb.test.] []"},
		{"MX", []string{"10 blue.lb.test.", "0 ."}, "[blue.lb.test.] []"},
		{"SRV", []string{"0 5 443 blue.lb.test."}, "[blue.lb.test.] []"},
		{"NS", []string{"blue.lb.test."}, "[blue.lb.test.] []"},
		{"NAPTR", []string{`100 10 "S" "SIP+D2U" "" blue.lb.test.`}, "[blue.lb.test.] []"},
		{"HTTPS", []string{`1 . ipv4hint=192.0.2.1 ipv6hint=2001:db8::1`, `2 blue.lb.test. port=8443`}, "[blue.lb.test.] [192.0.2.1 2001:db8::1]"},
		{"SVCB", []string{`0 blue.lb.test.`}, "[blue.lb.test.] []"},
		{"TXT", []string{`"blue.lb.test."`}, "[] []"},
		{"PTR", []string{"blue.lb.test."}, "[] []"},
	} {
		names, addrs, err := dnsx.LeadsTo(dnsx.RRset{Name: "a.test.", Type: test.typ, TTL: 60, Data: test.data})
		if err != nil || fmt.Sprint(names, addrs) != test.want {
			t.Errorf("%s %q: %v %v %v, want %s", test.typ, test.data, names, addrs, err, test.want)
		}
	}
	if _, _, err := dnsx.LeadsTo(dnsx.RRset{Name: "a.test.", Type: "SRV", Data: []string{"blue.lb.test."}}); err == nil {
		t.Error("half a record is no error")
	}
}
