package zone_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// TestC12_FencesStandBesideTheirNames: a sibling, never below; wildcard, apex, 63 and 255 bytes.
func TestC12_FencesStandBesideTheirNames(t *testing.T) {
	x63, x52, x53 := strings.Repeat("x", 63), strings.Repeat("x", 52), strings.Repeat("x", 53)
	for _, test := range []struct{ name, apex, want string }{
		{"shop.apps.test.", "apps.test.", "_crossfade-shop.apps.test."},
		{"SHOP.apps.test", "Apps.Test", "_crossfade-shop.apps.test."},
		{"a.b.apps.test.", "apps.test.", "_crossfade-a.b.apps.test."},
		{"*.apps.test.", "apps.test.", "_crossfade_wildcard.apps.test."},
		{"wildcard.apps.test.", "apps.test.", "_crossfade-wildcard.apps.test."},
		{"apps.test.", "apps.test.", "_crossfade_apex.apps.test."},
		{"bücher.apps.test", "apps.test.", "_crossfade-xn--bcher-kva.apps.test."},
		{x52 + ".apps.test.", "apps.test.", "_crossfade-" + x52 + ".apps.test."},
		{x53 + ".apps.test.", "apps.test.", "hashed.apps.test."},
		{x63 + ".apps.test.", "apps.test.", "hashed.apps.test."},
	} {
		got, err := zone.FenceName(test.name, test.apex)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if hash, ok := strings.CutPrefix(test.want, "hashed"); ok {
			if !strings.HasPrefix(got, "_crossfade_h") || dnsx.Parent(got) != hash[1:] {
				t.Errorf("%s: got %s", test.name, got)
			}
		} else if got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
	// A name of 255 bytes with a short first label has no room for a sibling: the fence stands higher up.
	apex := "apps.test."
	long := apex
	for len(long)+1+63+1 <= 255-2 {
		long = strings.Repeat("y", 61) + "." + long
	}
	long = "a." + strings.Repeat("z", 254-3-len(long)) + "." + long
	if _, err := dnsx.Canonical(long); err != nil || len(long) != 254 {
		t.Fatalf("the test's own name has %d characters: %v", len(long), err)
	}
	got, err := zone.FenceName(long, apex)
	if err != nil || strings.HasSuffix(got, "."+long) || !dnsx.InZone(got, apex) {
		t.Errorf("for a name of 255 bytes: %s, %v", got, err)
	}
	other, err := zone.FenceName("b"+long[1:], apex)
	if err != nil || other == got {
		t.Errorf("two names share the fence %s, %v", got, err)
	}
	for _, name := range []string{"www.example.com.", "notapps.test.", "test.", x63 + "x.apps.test.", ""} {
		if got, err := zone.FenceName(name, apex); !errors.Is(err, zone.ErrInvalid) {
			t.Errorf("%q: got %q, %v, want ErrInvalid", name, got, err)
		}
	}
}

// FuzzFenceName: a fence is a name of the zone, neither its name's nor below it, and no other name's fence.
func FuzzFenceName(f *testing.F) {
	for _, label := range []string{"shop", "*", "", "a.b", "_crossfade-shop", "_wildcard", strings.Repeat("x", 63), `a\.b`} {
		f.Add(label, "other")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		const apex = "apps.test."
		full := func(label string) (string, string, bool) {
			name, err := dnsx.Canonical(strings.TrimPrefix(label+"."+apex, "."))
			if err != nil || !dnsx.InZone(name, apex) {
				return "", "", false // a backslash at its end joins the apex's first label to it
			}
			fence, err := zone.FenceName(name, apex)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !dnsx.InZone(fence, apex) || dnsx.InZone(fence, name) && name != apex {
				t.Fatalf("%s has the fence %s", name, fence)
			}
			return name, fence, true
		}
		nameA, fenceA, okA := full(a)
		nameB, fenceB, okB := full(b)
		if okA && okB && (nameA == nameB) != (fenceA == fenceB) {
			t.Fatalf("%s and %s have the fences %s and %s", nameA, nameB, fenceA, fenceB)
		}
	})
}

// TestC10_ZonesEndAtLabels: notexample.com is not in example.com, whatever the spelling.
func TestC10_ZonesEndAtLabels(t *testing.T) {
	address := func(name string) zone.Change {
		return zone.Change{Name: name, New: []zone.RRset{{Name: name, Type: "A", TTL: 60, Data: []string{"192.0.2.1"}}}}
	}
	for name, inside := range map[string]bool{
		"example.com.": true, "www.example.com.": true, "WWW.Example.COM": true, "a.b.example.com": true,
		"notexample.com.": false, "www.notexample.com.": false, "com.": false, "example.org.": false, `www\.example.com.`: false,
	} {
		_, err := address(name).Normal("example.com.")
		if inside != (err == nil) || err != nil && !errors.Is(err, zone.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestC14_NamesHaveOneForm: dots, case and IDNA make no difference between two spellings of one name.
func TestC14_NamesHaveOneForm(t *testing.T) {
	a := zone.Change{Name: "Bücher.Example.com", New: []zone.RRset{{Name: "xn--bcher-kva.example.com.", Type: "CNAME", TTL: 60, Data: []string{"GREEN.lb.Test"}}}}
	got, err := a.Normal("example.com.")
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "xn--bcher-kva.example.com." || got.New[0].Name != got.Name || got.New[0].Data[0] != "green.lb.test." {
		t.Errorf("got %+v", got)
	}
}
