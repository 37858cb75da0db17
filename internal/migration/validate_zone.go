package migration

import (
	"fmt"
	"net/url"
	"strings"
)

// zoneProviders are the fields of a zone of which exactly one is set.
func (z Zone) zoneProviders() (set, all []string) {
	for _, p := range []struct {
		name string
		set  bool
	}{
		{"rfc2136", z.RFC2136 != nil}, {"route53", z.Route53 != nil}, {"cloudDNS", z.CloudDNS != nil},
		{"azureDNS", z.AzureDNS != nil}, {"cloudflare", z.Cloudflare != nil}, {"file", z.File != nil},
	} {
		all = append(all, p.name)
		if p.set {
			set = append(set, p.name)
		}
	}
	return set, all
}

func (v *validator) zones(f *File) {
	names := map[string]bool{}
	for i, z := range f.Zones {
		at := fmt.Sprintf("zones[%d]", i)
		name := bare(z.Name)
		if names[name] {
			v.problem(at+".name", fmt.Sprintf("a second zone is called %q", z.Name), "names are used once")
		}
		names[name] = true
		switch set, all := z.zoneProviders(); {
		case len(set) == 0:
			v.problem(at, "nothing says how its records are changed", "add one of "+strings.Join(all, ", "))
		case len(set) > 1:
			v.problem(at+"."+set[1], fmt.Sprintf("%s would all change its records", strings.Join(set, " and ")), "keep one of them")
		}
		for _, c := range z.Credentials() {
			v.secret(c.Ref, at+"."+c.Field)
		}
		v.provider(z, at)
		for k, s := range z.Servers {
			v.nameServer(s, fmt.Sprintf("%s.servers[%d]", at, k))
		}
		for k, s := range z.Resolvers {
			v.nameServer(s, fmt.Sprintf("%s.resolvers[%d]", at, k))
		}
	}
}

func (v *validator) provider(z Zone, at string) {
	switch {
	case z.RFC2136 != nil:
		v.nameServer(z.RFC2136.Server, at+".rfc2136.server")
	case z.Route53 != nil:
		v.route53(z.Route53, at+".route53")
	case z.CloudDNS != nil:
		v.needed(z.CloudDNS.Project, at+".cloudDNS.project")
		v.needed(z.CloudDNS.ManagedZone, at+".cloudDNS.managedZone")
		v.endpoint(z.CloudDNS.Endpoint, at+".cloudDNS.endpoint")
	case z.AzureDNS != nil:
		v.azureDNS(z.AzureDNS, at+".azureDNS")
	case z.Cloudflare != nil:
		v.endpoint(z.Cloudflare.Endpoint, at+".cloudflare.endpoint")
	case z.File != nil:
		v.needed(z.File.Path, at+".file.path")
	}
}

func (v *validator) route53(p *Route53, at string) {
	v.endpoint(p.Endpoint, at+".endpoint")
	if (p.AccessKey == nil) != (p.SecretKey == nil) {
		v.problem(at, "accessKey and secretKey go together", "set both, or neither for the SDK's usual chain")
	}
	if p.AccessKey != nil && p.Profile != "" {
		v.problem(at+".profile", "the keys and a profile are two sources of credentials", "keep one of them")
	}
	if p.Role != "" && !strings.HasPrefix(p.Role, "arn:") {
		v.problem(at+".role", fmt.Sprintf("%q is not the ARN of a role", p.Role), "write it as arn:aws:iam::ACCOUNT:role/NAME")
	}
	if p.ExternalID != "" && p.Role == "" {
		v.problem(at+".externalID", "it is of no use without a role", "add role: ARN, or take it away")
	}
	if id := strings.TrimPrefix(p.HostedZone, "/hostedzone/"); p.HostedZone != "" && (id == "" || strings.ContainsAny(id, "/. ")) {
		v.problem(at+".hostedZone", fmt.Sprintf("%q is not the ID of a hosted zone", p.HostedZone), "write the ID, as in Z0123456789ABCDEFGHIJ, not the zone's name")
	}
}

func (v *validator) azureDNS(p *AzureDNS, at string) {
	v.needed(p.Subscription, at+".subscription")
	v.needed(p.ResourceGroup, at+".resourceGroup")
	v.endpoint(p.Endpoint, at+".endpoint")
	if n := count(p.Tenant != "", p.Client != "", p.Secret != nil); n != 0 && n != 3 {
		v.problem(at, "tenant, client and secret go together", "set all three, or none for Azure's usual chain")
	}
}

func (v *validator) needed(s, at string) {
	if strings.TrimSpace(s) == "" {
		v.problem(at, "it is empty", "give it a value")
	}
}

// endpoint is a URL with a scheme and a host, or nothing.
func (v *validator) endpoint(s, at string) {
	if s == "" {
		return
	}
	if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		v.problem(at, fmt.Sprintf("%q is not a URL", s), "write it as https://HOST:PORT")
	}
}
