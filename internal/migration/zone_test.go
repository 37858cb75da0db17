package migration_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// TestOneProviderPerZone: a zone says in exactly one way who changes it, and each way is checked, with line and mend.
func TestOneProviderPerZone(t *testing.T) {
	const tsig = "rfc2136: {server: '192.0.2.1:53', key: k, secret: {env: X}}"
	for name, c := range map[string]struct{ zone, want string }{
		"none": {"servers: ['192.0.2.1:53']", "f.yaml:8:4: zones[0]: nothing says how its records are changed (add one of rfc2136, route53, cloudDNS, azureDNS, cloudflare, file)"},
		"a host name": {"servers: ['192.0.2.1:53'], rfc2136: {server: 'ns1.example.com:53', key: k, secret: {env: X}}",
			`f.yaml:8:69: zones[0].rfc2136.server: "ns1.example.com:53" is no address with a port (write it as 192.0.2.1:53 or [2001:db8::1]:53; of a name server that you know by name, the address that it has)`},
		"a host name as a server":    {"servers: ['ns1.example.com:53'], " + tsig, `zones[0].servers[0]: "ns1.example.com:53" is no address`},
		"an address without a port":  {"resolvers: ['2001:db8::1'], " + tsig, `zones[0].resolvers[0]: "2001:db8::1" is no address with a port`},
		"two":                        {tsig + ", route53: {}", "zones[0].route53: rfc2136 and route53 would all change its records (keep one of them)"},
		"half a pair of keys":        {"route53: {accessKey: {env: A}}", "zones[0].route53: accessKey and secretKey go together"},
		"keys and profile":           {"route53: {profile: p, accessKey: {env: A}, secretKey: {env: B}}", "zones[0].route53.profile: the keys and a profile are two sources of credentials"},
		"two secrets in one":         {"route53: {accessKey: {env: A, file: b}, secretKey: {env: B}}", "zones[0].route53.accessKey: it refers to 2 secrets"},
		"a role that is none":        {"route53: {role: admin}", `zones[0].route53.role: "admin" is not the ARN of a role`},
		"external ID without a role": {"route53: {externalID: x}", "zones[0].route53.externalID: it is of no use without a role"},
		"a name for an ID":           {"route53: {hostedZone: example.com}", `zones[0].route53.hostedZone: "example.com" is not the ID of a hosted zone`},
		"no URL":                     {"route53: {endpoint: localhost}", `zones[0].route53.endpoint: "localhost" is not a URL (write it as https://HOST:PORT)`},
		"no project":                 {"cloudDNS: {managedZone: z}", "zones[0].cloudDNS.project: the field is missing"},
		"an empty managed zone":      {"cloudDNS: {project: p, managedZone: ' '}", "zones[0].cloudDNS.managedZone: it is empty"},
		"half of an application":     {"azureDNS: {subscription: s, resourceGroup: g, tenant: t}", "zones[0].azureDNS: tenant, client and secret go together"},
		"a gap without unit":         {"azureDNS: {subscription: s, resourceGroup: g, gap: 5}", `zones[0].azureDNS.gap: "5" is not a duration`},
		"no token":                   {"cloudflare: {}", "zones[0].cloudflare.token: the field is missing"},
		"no secret in a token":       {"cloudflare: {token: {}}", "zones[0].cloudflare.token: it refers to 0 secrets"},
		"no path":                    {"file: {path: ''}", "zones[0].file.path: it is empty"},
		"twice the same":             {tsig + "}, {name: EXAMPLE.com., " + tsig, `zones[1].name: a second zone is called "EXAMPLE.com."`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseWithZone(t, c.zone)
			var invalid *migration.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant it to hold\n%s", err, c.want)
			}
		})
	}
	for name, zone := range map[string]string{
		"rfc2136": tsig, "route53, found by name": "route53: {}", "route53": "route53: {hostedZone: Z0123, role: 'arn:aws:iam::1:role/dns', accessKey: {env: A}, secretKey: {file: b}}",
		"cloudDNS": "cloudDNS: {project: p, managedZone: z, serviceAccount: {file: key.json}}", "azureDNS": "azureDNS: {subscription: s, resourceGroup: g, gap: 5s}",
		"cloudflare": "cloudflare: {token: {env: T}}", "file": "file: {path: zone.txt}",
	} {
		if f, err := parseWithZone(t, zone); err != nil || len(f.Zones) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCredentialsOfAZoneAreAllListed(t *testing.T) {
	for zone, want := range map[string]string{
		"rfc2136: {server: '192.0.2.1:53', key: k, secret: {env: X}}":                           "rfc2136.secret",
		"route53: {accessKey: {env: A}, secretKey: {env: B}}":                                   "route53.accessKey route53.secretKey",
		"cloudDNS: {project: p, managedZone: z, serviceAccount: {env: A}}":                      "cloudDNS.serviceAccount",
		"azureDNS: {subscription: s, resourceGroup: g, tenant: t, client: c, secret: {env: A}}": "azureDNS.secret",
		"cloudflare: {token: {env: A}}":                                                         "cloudflare.token",
		"file: {path: x}":                                                                       "",
	} {
		f, err := parseWithZone(t, zone)
		if err != nil {
			t.Fatalf("%s: %v", zone, err)
		}
		var got []string
		for _, c := range f.Zones[0].Credentials() {
			got = append(got, c.Field)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", zone, got, want)
		}
	}
}

func parseWithZone(t *testing.T, zone string) (*migration.File, error) {
	t.Helper()
	text := strings.Replace(valid, "applications:", "zones:\n - {name: example.com, "+zone+"}\napplications:", 1)
	if strings.Contains(zone, "}, {") {
		text = strings.Replace(valid, "applications:", "zones: [{name: example.com, "+zone+"}]\napplications:", 1)
	}
	return migration.Parse("f.yaml", []byte(text))
}
