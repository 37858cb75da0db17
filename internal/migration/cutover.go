package migration

// Zone is one DNS zone and how its records are changed.
type Zone struct {
	// Name of the zone.
	Name string `yaml:"name" json:"name"`
	// RFC2136 changes records by signed dynamic updates.
	RFC2136 *RFC2136 `yaml:"rfc2136" json:"rfc2136"`
	// Servers are the addresses (host:port) of every authoritative server. Empty means those that the delegation names.
	Servers []string `yaml:"servers,omitempty" json:"servers,omitempty"`
	// Resolvers (host:port) are asked after the swap, as clients would. Empty means the machine's own.
	Resolvers []string `yaml:"resolvers,omitempty" json:"resolvers,omitempty"`
}

// RFC2136 is a primary server that takes dynamic updates.
type RFC2136 struct {
	// Server is the primary, host:port.
	Server string `yaml:"server" json:"server"`
	// Key is the name of the TSIG key.
	Key string `yaml:"key" json:"key"`
	// Algorithm of the key. Default hmac-sha256.
	Algorithm string `yaml:"algorithm,omitempty" json:"algorithm,omitempty" jsonschema:"enum=hmac-sha1,enum=hmac-sha224,enum=hmac-sha256,enum=hmac-sha384,enum=hmac-sha512"`
	// Secret refers to the key's base64 secret.
	Secret SecretRef `yaml:"secret" json:"secret"`
}

// Cutover sets the times of every cutover.
type Cutover struct {
	// TTL that records have while they may still be swapped back. Default 60s.
	TTL Duration `yaml:"ttl,omitempty" json:"ttl,omitempty"`
	// Margin added to every wait for a TTL. Default 5s.
	Margin Duration `yaml:"margin,omitempty" json:"margin,omitempty"`
	// Soak is how long an application is watched after its swap; at least 2 × TTL + 60s outside a rehearsal.
	Soak Duration `yaml:"soak,omitempty" json:"soak,omitempty"`
	// Interval between two rounds of checks while soaking. Default 5s.
	Interval Duration `yaml:"interval,omitempty" json:"interval,omitempty"`
	// Breaches is how many rounds in a row must fail before the name goes back. Default 2.
	Breaches int `yaml:"breaches,omitempty" json:"breaches,omitempty" jsonschema:"minimum=1"`
	// Propagation is how long every server may take to show a change. Default 2m.
	Propagation Duration `yaml:"propagation,omitempty" json:"propagation,omitempty"`
	// MaxDelta is how many objects may still differ before a freeze is entered. Default 1000.
	MaxDelta int `yaml:"maxDelta,omitempty" json:"maxDelta,omitempty"`
	// Ready is how long green's objects may take until they are ready. Default 5m.
	Ready Duration `yaml:"ready,omitempty" json:"ready,omitempty"`
	// ExternalDNS says how external-dns keeps the names, where it does.
	ExternalDNS *ExternalDNS `yaml:"externalDNS,omitempty" json:"externalDNS,omitempty"`
}

// Retirement says what of blue may be deleted, by name, and how long blue must have been idle.
type Retirement struct {
	// Idle is for how long nobody may have used blue; at least max(72h, 2 × old TTL) outside a rehearsal.
	Idle Duration `yaml:"idle,omitempty" json:"idle,omitempty"`
	// Interval between two looks. Default 1m.
	Interval Duration `yaml:"interval,omitempty" json:"interval,omitempty"`
	// Ignore lists the addresses (CIDR) of probes and scanners whose flows do not count.
	Ignore []string `yaml:"ignore,omitempty" json:"ignore,omitempty"`
	// Delete names what of blue may be deleted. What is not named stays.
	Delete Deletion `yaml:"delete" json:"delete"`
}

// Deletion names what of blue is deleted.
type Deletion struct {
	// Namespaces that are deleted as a whole.
	Namespaces []string `yaml:"namespaces,omitempty" json:"namespaces,omitempty"`
}
