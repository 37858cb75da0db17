package crossfade

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// TestI09_EveryProvidersZoneIsOpenedWithItsSecrets: what the file refers to is resolved, handed to the driver, and hidden from then on.
func TestI09_EveryProvidersZoneIsOpenedWithItsSecrets(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key.json"), []byte("{\"private_key\": \"sesame-three\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"ONE": "sesame-one\n", "TWO": "sesame-two"}
	for text, want := range map[string]ZoneConfig{
		"rfc2136: {server: '192.0.2.1:53', key: k, algorithm: hmac-sha512, secret: {env: ONE}}": {RFC2136: &RFC2136Zone{Server: "192.0.2.1:53", Key: "k", Algorithm: "hmac-sha512", Secret: "sesame-one"}},
		"route53: {hostedZone: /hostedzone/Z1, private: true, region: r, endpoint: 'http://e', role: 'arn:x', externalID: i, accessKey: {env: ONE}, secretKey: {env: TWO}}": {
			Route53: &Route53Zone{HostedZone: "Z1", Private: true, Region: "r", Endpoint: "http://e", AccessKey: "sesame-one", SecretKey: "sesame-two", Role: "arn:x", ExternalID: "i"},
		},
		"route53: {profile: p}": {Route53: &Route53Zone{Profile: "p"}},
		"cloudDNS: {project: p, managedZone: m, endpoint: 'http://e', serviceAccount: {file: key.json}}": {
			CloudDNS: &CloudDNSZone{Project: "p", ManagedZone: "m", Endpoint: "http://e", ServiceAccount: `{"private_key": "sesame-three"}`},
		},
		"azureDNS: {subscription: s, resourceGroup: g, tenant: t, client: c, secret: {env: TWO}, endpoint: 'http://e', gap: 7s}": {
			AzureDNS: &AzureDNSZone{Subscription: "s", ResourceGroup: "g", Tenant: "t", Client: "c", Secret: "sesame-two", Endpoint: "http://e", Gap: 7 * time.Second},
		},
		"cloudflare: {zoneID: z, token: {env: TWO}, endpoint: 'http://e'}": {Cloudflare: &CloudflareZone{ZoneID: "z", Token: "sesame-two", Endpoint: "http://e"}},
		"file: {path: zone.txt}": {File: &FileZone{Path: filepath.Join(dir, "zone.txt")}},
	} {
		f, err := migration.Parse("f.yaml", []byte(head+"zones: [{name: apps.test, "+text+"}]\napplications: [{name: one, namespace: n, wave: 1, writes: none}]\n"))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var got ZoneConfig
		m := Inspect(&File{File: *f, Dir: dir}, Options{
			Getenv:   func(name string) string { return env[name] },
			OpenZone: func(_ context.Context, z ZoneConfig) (zone.Zone, error) { got = z; return nil, nil },
		})
		if _, err := m.zone(t.Context(), f.Zones[0]); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got.Name != "apps.test" || got.Clock == nil || got.Log == nil || got.Silence.Notice == nil {
			t.Errorf("%s: got %+v", text, got)
		}
		want.Name, want.Silence, want.Clock, want.Log = got.Name, got.Silence, got.Clock, got.Log
		got.Silence.Notice, want.Silence.Notice = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v", text, got)
		}
		for _, secret := range []string{"sesame-one", "sesame-two"} {
			used := strings.Contains(text, map[string]string{"sesame-one": "ONE", "sesame-two": "TWO"}[secret])
			if hidden := !strings.Contains(m.redact.Text("it is "+secret+" here"), secret); used && !hidden {
				t.Errorf("%s: %s is not hidden", text, secret)
			}
		}
	}
}
