package migration

// Zone is one DNS zone and how its records are changed: exactly one of the fields rfc2136, route53, cloudDNS, azureDNS,
// cloudflare and file says by whom.
type Zone struct {
	// Name of the zone.
	Name string `yaml:"name" json:"name"`
	// RFC2136 changes records by signed dynamic updates.
	RFC2136 *RFC2136 `yaml:"rfc2136,omitempty" json:"rfc2136,omitempty" jsonschema:"oneof_required=rfc2136"`
	// Route53 is a hosted zone of Amazon Route 53.
	Route53 *Route53 `yaml:"route53,omitempty" json:"route53,omitempty" jsonschema:"oneof_required=route53"`
	// CloudDNS is a managed zone of Google Cloud DNS.
	CloudDNS *CloudDNS `yaml:"cloudDNS,omitempty" json:"cloudDNS,omitempty" jsonschema:"oneof_required=cloudDNS"`
	// AzureDNS is a public zone of Azure DNS.
	AzureDNS *AzureDNS `yaml:"azureDNS,omitempty" json:"azureDNS,omitempty" jsonschema:"oneof_required=azureDNS"`
	// Cloudflare is a zone at Cloudflare.
	Cloudflare *Cloudflare `yaml:"cloudflare,omitempty" json:"cloudflare,omitempty" jsonschema:"oneof_required=cloudflare"`
	// File is a zone in a file of this machine, for trying a migration out.
	File *ZoneFile `yaml:"file,omitempty" json:"file,omitempty" jsonschema:"oneof_required=file"`
	// Servers are the addresses (address:port) of every authoritative server. Empty means those that the delegation names.
	Servers []string `yaml:"servers,omitempty" json:"servers,omitempty"`
	// Resolvers (address:port) are asked after the swap, as clients would. Empty means the machine's own.
	Resolvers []string `yaml:"resolvers,omitempty" json:"resolvers,omitempty"`
}

// RFC2136 is a primary server that takes dynamic updates.
type RFC2136 struct {
	// Server is the primary, address:port. A host name is refused.
	Server string `yaml:"server" json:"server"`
	// Key is the name of the TSIG key.
	Key string `yaml:"key" json:"key"`
	// Algorithm of the key. Default hmac-sha256.
	Algorithm string `yaml:"algorithm,omitempty" json:"algorithm,omitempty" jsonschema:"enum=hmac-sha1,enum=hmac-sha224,enum=hmac-sha256,enum=hmac-sha384,enum=hmac-sha512"`
	// Secret refers to the key's base64 secret.
	Secret SecretRef `yaml:"secret" json:"secret"`
}

// Route53 is a hosted zone of Amazon Route 53.
type Route53 struct {
	// HostedZone is the hosted zone's ID, such as Z0123456789ABCDEFGHIJ. Empty means the one hosted zone of that name that is
	// public, or private where private is set.
	HostedZone string `yaml:"hostedZone,omitempty" json:"hostedZone,omitempty"`
	// Private says that the zone is a private hosted zone: public and private ones may share a name.
	Private bool `yaml:"private,omitempty" json:"private,omitempty"`
	// Region whose partition the account is in. Empty is what the SDK's usual chain says, else us-east-1.
	Region string `yaml:"region,omitempty" json:"region,omitempty"`
	// Endpoint is a URL; empty means the provider's own.
	Endpoint string `yaml:"endpoint,omitempty" json:"endpoint,omitempty"`
	// Profile of the SDK's shared configuration.
	Profile string `yaml:"profile,omitempty" json:"profile,omitempty"`
	// AccessKey refers to the access key's ID; empty uses the SDK's usual chain.
	AccessKey *SecretRef `yaml:"accessKey,omitempty" json:"accessKey,omitempty"`
	// SecretKey refers to the secret key.
	SecretKey *SecretRef `yaml:"secretKey,omitempty" json:"secretKey,omitempty"`
	// Role is the ARN of a role that these credentials assume, as where the zone is another account's.
	Role string `yaml:"role,omitempty" json:"role,omitempty"`
	// ExternalID that the role's trust policy asks for.
	ExternalID string `yaml:"externalID,omitempty" json:"externalID,omitempty"`
}

// CloudDNS is a managed zone of Google Cloud DNS.
type CloudDNS struct {
	// Project that the zone belongs to.
	Project string `yaml:"project" json:"project"`
	// ManagedZone is the zone's name in the project, or its number; it is not its DNS name.
	ManagedZone string `yaml:"managedZone" json:"managedZone"`
	// ServiceAccount refers to the JSON key of a service account; empty uses Google's usual chain.
	ServiceAccount *SecretRef `yaml:"serviceAccount,omitempty" json:"serviceAccount,omitempty"`
	// Endpoint is a URL; empty means the provider's own.
	Endpoint string `yaml:"endpoint,omitempty" json:"endpoint,omitempty"`
}

// AzureDNS is a public zone of Azure DNS.
type AzureDNS struct {
	// Subscription is the ID of the subscription.
	Subscription string `yaml:"subscription" json:"subscription"`
	// ResourceGroup that the zone belongs to.
	ResourceGroup string `yaml:"resourceGroup" json:"resourceGroup"`
	// Tenant is the ID of the directory; tenant, client and secret go together. Without them Azure's usual chain is used.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// Client is the ID of the application.
	Client string `yaml:"client,omitempty" json:"client,omitempty"`
	// Secret refers to the application's secret.
	Secret *SecretRef `yaml:"secret,omitempty" json:"secret,omitempty"`
	// Endpoint is a URL; empty means the provider's own.
	Endpoint string `yaml:"endpoint,omitempty" json:"endpoint,omitempty"`
	// Gap is for how long a name may be without an answer while its type changes, as from A to CNAME: Azure has no single change
	// for that. Without it such a change is refused.
	Gap Duration `yaml:"gap,omitempty" json:"gap,omitempty"`
}

// Cloudflare is a zone at Cloudflare.
type Cloudflare struct {
	// ZoneID is the zone's ID. Empty means the one zone of that name that the token can see.
	ZoneID string `yaml:"zoneID,omitempty" json:"zoneID,omitempty"`
	// Token refers to an API token.
	Token SecretRef `yaml:"token" json:"token"`
	// Endpoint is a URL; empty means the provider's own.
	Endpoint string `yaml:"endpoint,omitempty" json:"endpoint,omitempty"`
}

// ZoneFile is a zone in a file.
type ZoneFile struct {
	// Path of the zone file; relative paths start at this file.
	Path string `yaml:"path" json:"path"`
}

// A Credential is a reference to a secret, and where in the file it stands.
type Credential struct {
	Ref   *SecretRef
	Field string
}

// Credentials lists the secrets that the zone refers to.
func (z Zone) Credentials() []Credential {
	var list []Credential
	add := func(ref *SecretRef, field string) {
		if ref != nil {
			list = append(list, Credential{Ref: ref, Field: field})
		}
	}
	if p := z.RFC2136; p != nil {
		add(&p.Secret, "rfc2136.secret")
	}
	if p := z.Route53; p != nil {
		add(p.AccessKey, "route53.accessKey")
		add(p.SecretKey, "route53.secretKey")
	}
	if p := z.CloudDNS; p != nil {
		add(p.ServiceAccount, "cloudDNS.serviceAccount")
	}
	if p := z.AzureDNS; p != nil {
		add(p.Secret, "azureDNS.secret")
	}
	if p := z.Cloudflare; p != nil {
		add(&p.Token, "cloudflare.token")
	}
	return list
}

// Endpoint is the host or URL where the zone is changed, where the file names one.
func (z Zone) Endpoint() string {
	switch {
	case z.RFC2136 != nil:
		return z.RFC2136.Server
	case z.Route53 != nil:
		return z.Route53.Endpoint
	case z.CloudDNS != nil:
		return z.CloudDNS.Endpoint
	case z.AzureDNS != nil:
		return z.AzureDNS.Endpoint
	case z.Cloudflare != nil:
		return z.Cloudflare.Endpoint
	}
	return ""
}
