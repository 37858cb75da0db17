package externaldns_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/crossfade-project/crossfade/cutover/internal/externaldns"
)

// TestC25_PlacesOfOwnership: the names are those of external-dns's pages "The TXT registry" and "TXT Registry migration to a
// new format".
func TestC25_PlacesOfOwnership(t *testing.T) {
	for _, test := range []struct {
		affix externaldns.Affix
		name  string
		types []string
		want  string
	}{
		{externaldns.Affix{}, "www.ex.com.", []string{"CNAME"}, "cname-www.ex.com./CNAME"},
		{externaldns.Affix{}, "www.ex.com.", []string{"A"}, "a-www.ex.com./A cname-www.ex.com./CNAME www.ex.com./"},
		{externaldns.Affix{}, "www.ex.com.", []string{"A", "AAAA"}, "a-www.ex.com./A aaaa-www.ex.com./AAAA cname-www.ex.com./CNAME www.ex.com./"},
		{externaldns.Affix{}, "www.ex.com.", []string{"AAAA"}, "aaaa-www.ex.com./AAAA"},
		{externaldns.Affix{Prefix: "%{record_type}-abc-."}, "www.ex.com.", []string{"CNAME"}, "cname-abc-.www.ex.com./CNAME -abc-.www.ex.com./"},
		{externaldns.Affix{Prefix: "%{record_type}-abc-."}, "ex.com.", []string{"A"}, "a-abc-.ex.com./A cname-abc-.ex.com./CNAME -abc-.ex.com./"},
		{externaldns.Affix{Suffix: "-.%{record_type}"}, "www.ex.com.", []string{"CNAME"}, "www-.cname.ex.com./CNAME www-..ex.com./"},
		{externaldns.Affix{Prefix: "TXT-"}, "www.ex.com.", []string{"CNAME"}, "txt-cname-www.ex.com./CNAME txt-www.ex.com./"},
		{externaldns.Affix{Suffix: "-txt"}, "www.ex.com.", []string{"A"}, "a-www-txt.ex.com./A cname-www-txt.ex.com./CNAME www-txt.ex.com./"},
		{externaldns.Affix{Wildcard: "any"}, "*.ex.com.", []string{"CNAME"}, "cname-any.ex.com./CNAME any.ex.com./"},
	} {
		var got []string
		for _, p := range test.affix.Places(test.name, test.types...) {
			got = append(got, p.Name+"/"+p.Type)
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%+v %s %v: %s, want %s", test.affix, test.name, test.types, text, test.want)
		}
	}
}

// TestC25_OwnershipText: the documented text is understood, and only the owner in it changes; anything else is not touched.
func TestC25_OwnershipText(t *testing.T) {
	for data, want := range map[string]string{
		`"heritage=external-dns,external-dns/owner=blue"`:                                            `"heritage=external-dns,external-dns/owner=green"`,
		`"heritage=external-dns,external-dns/owner=blue,external-dns/resource=ingress/shop/web"`:     `"heritage=external-dns,external-dns/owner=green,external-dns/resource=ingress/shop/web"`,
		`"heritage=external-dns,external-dns/owner=blue,external-dns/resource=service/blue/blue"`:    `"heritage=external-dns,external-dns/owner=green,external-dns/resource=service/blue/blue"`,
		`"\"heritage=external-dns,external-dns/owner=blue\""`:                                        `"\"heritage=external-dns,external-dns/owner=green\""`,
		`"heritage=external-dns," "external-dns/owner=blue"`:                                         `"heritage=external-dns,external-dns/owner=green"`,
		`"heritage=external-dns,external-dns/owner=blue,external-dns/resource=crd/` + x(250) + `/x"`: "",
		`"heritage=other,external-dns/owner=blue"`:                                                   "refused",
		`"external-dns/owner=blue"`:                                                                  "refused",
		`"heritage=external-dns"`:                                                                    "refused",
		`"heritage=external-dns,external-dns/owner="`:                                                "refused",
		`"heritage=external-dns,external-dns/owner=blue,external-dns/owner=red"`:                     "refused",
		`"7cW3gqcYVYHyHEZxZ8uvTEkgKKtdEOdVMEzlFGJPHVsBwrwSbkQ0mCyRj1OZqPQ="`:                         "refused",
		`"v=spf1 -all"`: "refused",
		`"heritage=external-dns,external-dns/owner=bl\195\188e"`: "refused",
		`heritage=external-dns,external-dns/owner=blue`:          "refused",
		`"heritage=external-dns,external-dns/owner=blue`:         "refused",
		``: "refused",
	} {
		text, ok := externaldns.Parse(data)
		if ok != (want != "refused") {
			t.Errorf("%s: understood %t", data, ok)
			continue
		}
		if !ok {
			continue
		}
		if text.Owner != "blue" {
			t.Errorf("%s: owner %s", data, text.Owner)
		}
		got := text.WithOwner("green")
		if want != "" && got != want {
			t.Errorf("%s became %s, want %s", data, got, want)
		}
		again, ok := externaldns.Parse(got)
		if !ok || again.Owner != "green" || again.Resource != text.Resource {
			t.Errorf("%s became %s, which is read as %+v, %t", data, got, again, ok)
		}
		for _, part := range strings.SplitAfter(got, `" "`) {
			if len(part) > 255+4 {
				t.Errorf("a string of %d bytes in %s", len(part), got)
			}
		}
	}
}

func x(n int) string { return strings.Repeat("x", n) }

// FuzzOwnership: what is understood keeps its meaning but for the owner, and the way back gives the same meaning again.
func FuzzOwnership(f *testing.F) {
	f.Add(`"heritage=external-dns,external-dns/owner=blue,external-dns/resource=ingress/shop/web"`)
	f.Add(`"\"heritage=external-dns,external-dns/owner=blue\""`)
	f.Add(`"heritage=external-dns," "external-dns/owner=blue"`)
	f.Fuzz(func(t *testing.T, data string) {
		text, ok := externaldns.Parse(data)
		if !ok {
			return
		}
		there, ok := externaldns.Parse(text.WithOwner("green"))
		if !ok || there.Owner != "green" || there.Resource != text.Resource {
			t.Fatalf("%q became %q", data, text.WithOwner("green"))
		}
		back, ok := externaldns.Parse(there.WithOwner(text.Owner))
		if !ok || back.Owner != text.Owner || back.Resource != text.Resource {
			t.Fatalf("%q came back as %q", data, there.WithOwner(text.Owner))
		}
	})
}

// TestC25_ArgumentsOfAnInstallation: arguments in both forms and the environment are read, and what cannot be is said.
func TestC25_ArgumentsOfAnInstallation(t *testing.T) {
	c := corev1.Container{
		Image: "registry.k8s.io/external-dns/external-dns:v0.15.0@sha256:0123",
		Args: []string{
			"--source=ingress", "--source", "service", "--events", "--txt-owner-id=blue", "--txt-prefix", "x-", "--policy=upsert-only",
			"--domain-filter=apps.test.", "--provider=rfc2136", "--log-level", "debug", "--namespace=shop",
		},
		Env: []corev1.EnvVar{
			{Name: "EXTERNAL_DNS_REGISTRY", Value: "dynamodb"}, {Name: "EXTERNAL_DNS_TXT_OWNER_ID", Value: "other"},
			{Name: "EXTERNAL_DNS_SOURCE", Value: "crd"},
			{Name: "EXTERNAL_DNS_RFC2136_TSIG_SECRET", ValueFrom: &corev1.EnvVarSource{}},
		},
	}
	a := externaldns.FromContainer(c)
	if !externaldns.Is(c) || a.Owner != "blue" || a.Prefix != "x-" || a.Policy != "upsert-only" || a.Registry != "dynamodb" || a.Within != "shop" {
		t.Errorf("arguments: %+v", a)
	}
	if fmt.Sprint(a.Sources, a.Domains, a.Unread) != "[ingress service] [apps.test] []" {
		t.Errorf("lists: %v %v %v", a.Sources, a.Domains, a.Unread)
	}
	for name, in := range map[string]bool{"shop.apps.test.": true, "apps.test.": true, "notapps.test.": false, "shop.other.test.": false} {
		if a.Concerns(name) != in {
			t.Errorf("%s: concerns %t", name, !in)
		}
	}
	plain := externaldns.FromContainer(corev1.Container{Image: "external-dns"})
	if plain.Owner != "default" || plain.Policy != "sync" || plain.Registry != "txt" || !plain.Concerns("any.name.") {
		t.Errorf("defaults: %+v", plain)
	}
	hidden := externaldns.FromContainer(corev1.Container{
		Args: []string{"--txt-prefix=$(PREFIX)"},
		Env:  []corev1.EnvVar{{Name: "EXTERNAL_DNS_TXT_OWNER_ID", ValueFrom: &corev1.EnvVarSource{}}},
	})
	if len(hidden.Unread) != 2 {
		t.Errorf("unread: %q", hidden.Unread)
	}
	for image, is := range map[string]bool{
		"external-dns": true, "bitnami/external-dns:0.14": true, "example.test:5000/external-dns@sha256:00": true,
		"external-dns-webhook:1": false, "nginx": false,
	} {
		if externaldns.Is(corev1.Container{Image: image}) != is {
			t.Errorf("%s: %t", image, !is)
		}
	}
	if !externaldns.Is(corev1.Container{Image: "mirror/edns:1", Args: []string{"--txt-owner-id", "x"}}) {
		t.Error("an installation under another image's name is not known")
	}
	if got := externaldns.FromContainer(corev1.Container{Args: []string{"--migrate-from-txt-owner", "old", "--txt-owner-id=new"}}); got.Takes != "old" || got.Owner != "new" {
		t.Errorf("whose records it takes over: %+v", got)
	}
	if !slices.Contains([]string{"true"}, fmt.Sprint(externaldns.FromContainer(corev1.Container{Args: []string{"--txt-encrypt-enabled"}}).Encrypted)) {
		t.Error("encryption is not seen")
	}
}
