package scaffold

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	corev1 "k8s.io/api/core/v1"

	"github.com/crossfade-project/crossfade/examples/demo/manifests"
)

func demoSurvey(t *testing.T) *Survey {
	t.Helper()
	stream, err := manifests.Render(manifests.Values{
		Registry: "registry.blue.test",
		Shop:     manifests.Store{URL: "s3://shop-data?endpoint=http%3A%2F%2F10.213.0.1%3A7070&region=us-east-1", AccessKey: "id", SecretKey: "CANARY-of-shop"},
		Clock:    manifests.Store{URL: "s3://clock-data?endpoint=http%3A%2F%2F10.213.0.1%3A7070&region=us-east-1", AccessKey: "id", SecretKey: "CANARY-of-clock"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ns := surveyOf(t, "demo", stream)
	for i := range ns.Services {
		ns.Services[i].Entry = Entry{Hostnames: []string{ns.Services[i].Name + ".demo.blue.lb.test"}}
	}
	s := &Survey{
		Blue:       Side{Kubeconfig: "blue.kubeconfig", Context: "blue", Server: "https://10.213.0.11:6443", Version: "v1.28.15"},
		Green:      Side{Kubeconfig: "green.kubeconfig", Context: "green", Server: "https://10.213.0.12:6443", Version: "v1.36.3"},
		Namespaces: []Namespace{ns},
		Resolvers:  []string{"10.213.0.55:53"},
		Names: map[string]Name{
			"shop.apps.test":         {Zone: "apps.test", Server: "10.213.0.53:53", ServerName: "ns1.apps.test", Target: "shop.demo.blue.lb.test"},
			"happy-bandit.apps.test": {Zone: "apps.test", Server: "10.213.0.53:53", ServerName: "ns1.apps.test", Target: "happy-bandit.demo.blue.lb.test"},
		},
	}
	s.sort()
	return s
}

func TestDraftOfTheDemo(t *testing.T) {
	golden(t, "demo.yaml", draftOf(t, demoSurvey(t), ProposeOptions{Rehearsal: true}).Text)
}

func variedSurvey(t *testing.T) *Survey {
	t.Helper()
	raw, err := os.ReadFile("testdata/varied-objects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	s := &Survey{
		Blue: Side{
			Context: "old", Server: "https://old.example.com", Version: "v1.34.1", Providers: []string{"aws"},
			DNSControllers: []string{"Deployment external-dns/external-dns"},
		},
		Green: Side{
			Context: "new", Server: "https://new.example.com", Version: "v1.34.1", Providers: []string{"gce"},
			Classes: map[string][]Class{"StorageClass": {{Name: "standard", Default: true}, {Name: "premium"}}},
		},
		Namespaces: []Namespace{surveyOf(t, "crm", raw)},
		PassedOver: []string{"monitoring"},
		Names: map[string]Name{
			"crm.example.com":  {Zone: "example.com", Server: "192.0.2.53:53", ServerName: "ns1.example.com", Target: "entry.example.com", Addresses: at("192.0.2.7")},
			"help.example.com": {Zone: "example.com", Server: "192.0.2.53:53", ServerName: "ns1.example.com", Addresses: at("203.0.113.1")},
			"mx.example.com":   {Zone: "example.com", Server: "192.0.2.53:53", ServerName: "ns1.example.com", Addresses: at("192.0.2.8")},
			"old.example.com":  {Failed: "the name servers did not answer in the time allowed"},
		},
		Unseen: []string{"blue's nodes: this account may not list them", "the name old.example.com: the name servers did not answer in the time allowed"},
	}
	s.sort()
	return s
}

func TestDraftOfAnythingElse(t *testing.T) {
	golden(t, "varied.yaml", draftOf(t, variedSurvey(t), ProposeOptions{}).Text)
}

// What the file is like must not depend on the order in which servers list things.
// Where nothing has a hostname, nothing would show a use of blue: a file with that section would be refused as a whole.
func TestC24_ADraftWithoutHostnamesProposesNoRetirement(t *testing.T) {
	s := demoSurvey(t)
	s.Names = nil
	for i := range s.Namespaces[0].Services {
		s.Namespaces[0].Services[i].Entry = Entry{}
	}
	text := string(draftOf(t, s, ProposeOptions{}).Text)
	if strings.Contains(text, "\nretirement:") || !strings.Contains(text, "# No application has a hostname") || !strings.Contains(text, "\n# retirement: {delete: {namespaces: [demo]}}") {
		t.Error(text)
	}
}

func TestTheSameClustersGiveTheSameFile(t *testing.T) {
	want := string(draftOf(t, variedSurvey(t), ProposeOptions{}).Text)
	for try := range 20 {
		s := variedSurvey(t)
		ns := &s.Namespaces[0]
		random := rand.New(rand.NewPCG(1, uint64(try)))
		random.Shuffle(len(ns.Services), func(i, k int) { ns.Services[i], ns.Services[k] = ns.Services[k], ns.Services[i] })
		random.Shuffle(len(ns.Workloads), func(i, k int) { ns.Workloads[i], ns.Workloads[k] = ns.Workloads[k], ns.Workloads[i] })
		s.sort()
		if got := string(draftOf(t, s, ProposeOptions{}).Text); got != want {
			t.Fatalf("another order of the objects gave another file:\n%s", got)
		}
	}
}

// Neither a Secret's value nor what a URL carries of one is in the file, or in the survey that it was made of.
func TestI09_ADraftHoldsNamesOfSecretsAndNothingOfWhatTheyHold(t *testing.T) {
	for name, s := range map[string]*Survey{"demo": demoSurvey(t), "varied": variedSurvey(t)} {
		d := draftOf(t, s, ProposeOptions{})
		if strings.Contains(string(d.Text), "CANARY") {
			t.Errorf("%s: a secret stands in the draft:\n%s", name, d.Text)
		}
		for _, ns := range s.Namespaces {
			if raw, err := json.Marshal(ns.Secrets); err != nil || strings.Contains(string(raw), "CANARY") {
				t.Errorf("%s: a secret is kept in the survey: %s %v", name, raw, err)
			}
		}
	}
	secret := corev1.Secret{Data: map[string][]byte{"password": []byte("CANARY")}}
	if got := keyNames(&secret); !slices.Equal(got, []string{"password"}) || len(secret.Data) > 0 {
		t.Errorf("got the names %v, and %v was kept", got, secret.Data)
	}
}

// Every selector must choose its own workloads and no other's, whatever labels they have.
func TestSelectorsOfApplicationsDoNotOverlap(t *testing.T) {
	values := []string{"", "", "a", "b", "c"}
	random := rand.New(rand.NewPCG(7, 7))
	for range 2000 {
		ns := Namespace{Name: "n"}
		for i := range 1 + random.IntN(5) {
			labels := map[string]string{}
			for _, key := range labelKeys() {
				if v := values[random.IntN(len(values))]; v != "" {
					labels[key] = v
				}
			}
			ns.Workloads = append(ns.Workloads, Workload{Kind: "Deployment", Name: fmt.Sprint(i), Labels: labels})
		}
		groups := groupWorkloads(ns)
		total := 0
		for _, g := range groups {
			total += len(g.workloads)
		}
		if total != len(ns.Workloads) || !apart(groups, ns.Workloads) {
			t.Fatalf("%+v\nmade of %+v", groups, ns.Workloads)
		}
	}
}

func TestStoreURL(t *testing.T) {
	for text, want := range map[string]coordinates{
		"s3://data":          {Provider: "s3", Bucket: "data"},
		"s3a://data/sub/dir": {Provider: "s3", Bucket: "data", Prefix: "sub/dir"},
		"s3://data?endpoint=http%3A%2F%2Fh%3A9&region=r": {Provider: "s3", Bucket: "data", Endpoint: "http://h:9", Region: "r"},
		"gs://data":         {Provider: "gcs", Bucket: "data"},
		"az://account/data": {Provider: "azure", Account: "account", Bucket: "data"},
		"wasbs://data@account.blob.core.windows.net/x": {Provider: "azure", Account: "account", Bucket: "data", Prefix: "x"},
		"https://account.blob.core.windows.net/data":   {Provider: "azure", Account: "account", Bucket: "data"},
		"https://data.s3.eu-west-1.amazonaws.com/x":    {Provider: "s3", Bucket: "data", Region: "eu-west-1", Prefix: "x"},
		"https://s3.eu-west-1.amazonaws.com/data/x":    {Provider: "s3", Bucket: "data", Region: "eu-west-1", Prefix: "x"},
		"https://storage.googleapis.com/data":          {Provider: "gcs", Bucket: "data"},
	} {
		if got, ok := storeURL(text); !ok || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "data", "https://example.com/data", "postgres://u:p@h/db", "s3://", "s3:///data", "file:///data"} {
		if got, ok := storeURL(text); ok {
			t.Errorf("%s: taken for %+v", text, got)
		}
	}
}

// Whatever a URL carries as its user, its password or another parameter, the coordinates hold nothing of it.
func FuzzStoreURLKeepsNoSecret(f *testing.F) {
	for _, scheme := range []string{"s3", "minio", "gs", "az", "https", "wasbs"} {
		f.Add(scheme, "data", "endpoint=http://u:CANARYTEXT@h/p?x=CANARYTEXT")
	}
	f.Fuzz(func(t *testing.T, scheme, host, rest string) {
		if strings.Contains(host, "CANARYTEXT") || strings.Contains(rest, "region=") || strings.Contains(host, "?") {
			t.Skip("the canary stands where it is no secret, or the host ends early")
		}
		for _, text := range []string{scheme + "://u:CANARYTEXT@" + host, scheme + "://" + host + "/c?key=CANARYTEXT&" + strings.ReplaceAll(rest, "/CANARYTEXT", "")} {
			if c, ok := storeURL(text); ok && strings.Contains(fmt.Sprintf("%+v", c), "CANARYTEXT") {
				t.Errorf("%s gave %+v", text, c)
			}
		}
	})
}

// Whatever text a cluster holds, YAML reads it as the same text again.
func FuzzTextIsReadAsItWas(f *testing.F) {
	for _, s := range []string{"a", "on", "1e3", "0x1f", "012", "1_0", "~", "", "-", ".inf", "../a", "a: b", "a #b", "'", "\"", "2026-01-01", "=", "@a", "null", "{x}", "ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Skip("no object's text holds this")
		}
		var got struct{ A any }
		if err := yaml.Unmarshal([]byte("a: "+text(s)+"\n"), &got); err != nil || got.A != s {
			t.Errorf("%q is written as %s and read as %#v, %v", s, text(s), got.A, err)
		}
	})
}
