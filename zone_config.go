package crossfade

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/silence"
)

// ZoneConfig is one zone, with its credentials resolved. Exactly one of the pointers is set: it says who changes the zone.
type ZoneConfig struct {
	Name       string
	RFC2136    *RFC2136Zone
	Route53    *Route53Zone
	CloudDNS   *CloudDNSZone
	AzureDNS   *AzureDNSZone
	Cloudflare *CloudflareZone
	File       *FileZone
	// Silence bounds how long the provider may say nothing.
	Silence silence.Limit
	Clock   clock.Clock
	// Log takes what the driver has to say.
	Log *slog.Logger
}

// RFC2136Zone is a zone at a primary that takes dynamic updates.
type RFC2136Zone struct {
	Server, Key, Algorithm, Secret string
}

// Route53Zone is a hosted zone of Amazon Route 53. Without an access key the SDK's usual chain is used.
type Route53Zone struct {
	HostedZone string
	Private    bool
	Region     string
	Endpoint   string
	Profile    string
	AccessKey  string
	SecretKey  string
	Role       string
	ExternalID string
}

// CloudDNSZone is a managed zone of Google Cloud DNS.
type CloudDNSZone struct {
	Project     string
	ManagedZone string
	// ServiceAccount is the content of a service account's key file; empty leaves it to Google's usual chain.
	ServiceAccount string
	Endpoint       string
}

// AzureDNSZone is a zone of Azure DNS. Without tenant, client and secret Azure's usual chain is used.
type AzureDNSZone struct {
	Subscription, ResourceGroup string
	Tenant, Client, Secret      string
	Endpoint                    string
	// Gap is for how long a name may be without an answer while its type changes; 0 allows none.
	Gap time.Duration
}

// CloudflareZone is a zone at Cloudflare. Without an ID it is found by its name.
type CloudflareZone struct {
	ZoneID, Token, Endpoint string
}

// FileZone is a zone in a file.
type FileZone struct {
	// Path is absolute.
	Path string
}

// zoneConfig resolves what a zone of the file refers to.
func (m *Migration) zoneConfig(ctx context.Context, z migration.Zone) (ZoneConfig, error) {
	secrets := map[string]string{}
	for _, c := range z.Credentials() {
		value, err := m.secret(ctx, c.Ref, "zones."+z.Name+"."+c.Field)
		if err != nil {
			return ZoneConfig{}, err
		}
		secrets[c.Field] = strings.TrimSpace(value)
	}
	out := ZoneConfig{Name: z.Name, Silence: m.silence(), Clock: m.opts.Clock, Log: m.opts.Log}
	switch {
	case z.RFC2136 != nil:
		out.RFC2136 = &RFC2136Zone{Server: z.RFC2136.Server, Key: z.RFC2136.Key, Algorithm: z.RFC2136.Algorithm, Secret: secrets["rfc2136.secret"]}
	case z.Route53 != nil:
		p := z.Route53
		out.Route53 = &Route53Zone{
			HostedZone: strings.TrimPrefix(p.HostedZone, "/hostedzone/"), Private: p.Private, Region: p.Region, Endpoint: p.Endpoint, Profile: p.Profile,
			AccessKey: secrets["route53.accessKey"], SecretKey: secrets["route53.secretKey"], Role: p.Role, ExternalID: p.ExternalID,
		}
	case z.CloudDNS != nil:
		p := z.CloudDNS
		out.CloudDNS = &CloudDNSZone{Project: p.Project, ManagedZone: p.ManagedZone, ServiceAccount: secrets["cloudDNS.serviceAccount"], Endpoint: p.Endpoint}
	case z.AzureDNS != nil:
		p := z.AzureDNS
		out.AzureDNS = &AzureDNSZone{
			Subscription: p.Subscription, ResourceGroup: p.ResourceGroup, Tenant: p.Tenant, Client: p.Client, Secret: secrets["azureDNS.secret"],
			Endpoint: p.Endpoint, Gap: p.Gap.D(),
		}
	case z.Cloudflare != nil:
		out.Cloudflare = &CloudflareZone{ZoneID: z.Cloudflare.ZoneID, Token: secrets["cloudflare.token"], Endpoint: z.Cloudflare.Endpoint}
	case z.File != nil:
		out.File = &FileZone{Path: m.file.Resolve(z.File.Path)}
	}
	return out, nil
}
