package migration

import "time"

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
	MaxDelta int `yaml:"maxDelta,omitempty" json:"maxDelta,omitempty" jsonschema:"minimum=1"`
	// MaxShare is how much of a zone's records one wave may move, in per cent. Zones of fewer than ten records are not held to it. Default 30.
	MaxShare int `yaml:"maxShare,omitempty" json:"maxShare,omitempty" jsonschema:"minimum=1,maximum=100"`
	// Ready is how long green's objects may take until they are ready. Default 5m.
	Ready Duration `yaml:"ready,omitempty" json:"ready,omitempty"`
	// Windows are the times at which a turn may begin. A turn that has begun, and going back, are not bound to them. Default any time.
	Windows *Windows `yaml:"windows,omitempty" json:"windows,omitempty"`
	// Approval that every wave needs before it begins: none, required (somebody says --approve), or gates (all checks of the wave
	// before have passed for approvalAfter). Default none.
	Approval Approval `yaml:"approval,omitempty" json:"approval,omitempty" jsonschema:"enum=none,enum=required,enum=gates"`
	// ApprovalAfter is for how long the checks of the wave before must pass, with approval: gates. Default 10m.
	ApprovalAfter Duration `yaml:"approvalAfter,omitempty" json:"approvalAfter,omitempty"`
	// Waves set what holds for single waves.
	Waves []Wave `yaml:"waves,omitempty" json:"waves,omitempty"`
	// ClusterDomain is the domain of the cluster's own DNS, by which an Ingress reaches green's Services with switch: backend. Default
	// cluster.local.
	ClusterDomain string `yaml:"clusterDomain,omitempty" json:"clusterDomain,omitempty"`
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
	// AccessLogs are logs of blue's ingress controllers. A request in one for a name that has moved is a use of blue.
	AccessLogs []AccessLog `yaml:"accessLogs,omitempty" json:"accessLogs,omitempty"`
	// BrownOut lets blue refuse everybody for a while, which is undone, before anything of it may be deleted. Default: for 10m, and
	// none in a rehearsal.
	BrownOut *BrownOut `yaml:"brownOut,omitempty" json:"brownOut,omitempty"`
	// Prometheus are queries that must show, for the whole time, that blue is not used.
	Prometheus []IdleQuery `yaml:"prometheus,omitempty" json:"prometheus,omitempty"`
	// Unlisted names zones of the file that cannot be listed as a whole, because their server refuses that: only the hostnames of the
	// file are looked for in them, and the certificate says so.
	Unlisted []string `yaml:"unlisted,omitempty" json:"unlisted,omitempty"`
	// Unwatched names applications of which nobody could see a use, each with why nobody can use it. Without it such an application is
	// refused; with it the certificate says so.
	Unwatched map[string]string `yaml:"unwatched,omitempty" json:"unwatched,omitempty"`
	// Delete names what of blue may be deleted. What is not named stays.
	Delete Deletion `yaml:"delete" json:"delete"`
}

// BrownOut says for how long blue refuses before it may be retired.
type BrownOut struct {
	// For is how long blue refuses. Default 10m; at least 5m outside a rehearsal.
	For Duration `yaml:"for,omitempty" json:"for,omitempty"`
	// Internal lets those Services refuse, too, that only the cluster itself reaches. The applications' own parts on blue may use them.
	Internal bool `yaml:"internal,omitempty" json:"internal,omitempty"`
	// Skip leaves the brown-out out, and is the reason, which stands in the certificate.
	Skip string `yaml:"skip,omitempty" json:"skip,omitempty"`
}

// Times of a brown-out.
const (
	DefaultBrownOut = 10 * time.Minute
	BrownOutFloor   = 5 * time.Minute
)

// RefusesFor is how long blue refuses before it may be retired; 0 where it does not.
func (f *File) RefusesFor() time.Duration {
	switch {
	case f.Retirement == nil:
		return 0
	case f.Retirement.BrownOut == nil && f.Rehearsal != nil:
		return 0
	case f.Retirement.BrownOut == nil:
		return DefaultBrownOut
	case f.Retirement.BrownOut.Skip != "":
		return 0
	}
	return f.Retirement.BrownOut.For.Or(DefaultBrownOut)
}

// IdleQuery asks a Prometheus, or what has its API, whether blue is used. Every series that the query gives is judged by itself.
type IdleQuery struct {
	// Name of the query, for the certificate.
	Name string `yaml:"name" json:"name"`
	// URL of the server, without /api/v1.
	URL string `yaml:"url" json:"url"`
	// Username for basic authentication.
	Username string `yaml:"username,omitempty" json:"username,omitempty"`
	// Password refers to the password that goes with the username.
	Password *SecretRef `yaml:"password,omitempty" json:"password,omitempty"`
	// Token refers to a bearer token.
	Token *SecretRef `yaml:"token,omitempty" json:"token,omitempty"`
	// Headers are sent with every query: the tenant, where the server has tenants.
	Headers map[string]string `yaml:"headers,omitempty" json:"headers,omitempty"`
	// Query must give 0 for the whole time, or numbers that stand still where counter is set.
	Query string `yaml:"query" json:"query"`
	// Watches names the applications whose use it shows. It is needed only where an application has neither hostnames nor requests;
	// where the file has one application, that is the one.
	Watches []string `yaml:"watches,omitempty" json:"watches,omitempty"`
	// Counter says that the query gives counters: they must not rise. One that falls has begun anew, and the idle time with it.
	Counter bool `yaml:"counter,omitempty" json:"counter,omitempty"`
	// Alive is a query that must be above 0 for the whole time, as up{job="ingress"}: it shows that what is counted would be seen. With it
	// the query may give nothing, as counters do that only the first request makes. Without it the query must have data for the whole time.
	Alive string `yaml:"alive,omitempty" json:"alive,omitempty"`
	// Step between two points of the answer. Default 1m.
	Step Duration `yaml:"step,omitempty" json:"step,omitempty"`
	// Gap is for how long data may be missing. Default 5m.
	Gap Duration `yaml:"gap,omitempty" json:"gap,omitempty"`
}

// Defaults of a query for idleness.
const (
	DefaultIdleStep = time.Minute
	DefaultIdleGap  = 5 * time.Minute
)

// Steps are the step and the gap, with their defaults.
func (q IdleQuery) Steps() (step, gap time.Duration) {
	return q.Step.Or(DefaultIdleStep), q.Gap.Or(DefaultIdleGap)
}

// AccessLog is the access log of an ingress controller on blue, as its pods write it to their output.
type AccessLog struct {
	// Format of the log: each controller's own default or its JSON, or json with fields of the controller's configuration.
	Format string `yaml:"format" json:"format" jsonschema:"enum=ingress-nginx,enum=envoy,enum=traefik,enum=json"`
	// Namespace of the controller's pods.
	Namespace string `yaml:"namespace" json:"namespace"`
	// Selector of the controller's pods.
	Selector string `yaml:"selector" json:"selector"`
	// Container that writes the log; needed where a pod has several.
	Container string `yaml:"container,omitempty" json:"container,omitempty"`
	// Fields name the fields of JSON lines; dots lead into objects within. Default those of the controller's own JSON.
	Fields *AccessLogFields `yaml:"fields,omitempty" json:"fields,omitempty"`
}

// AccessLogFields name the fields of a log of JSON lines.
type AccessLogFields struct {
	// Time of the request: RFC 3339, seconds since 1970, or as the common log format has it.
	Time string `yaml:"time" json:"time"`
	// Client is the address that asked; of a list the first.
	Client string `yaml:"client,omitempty" json:"client,omitempty"`
	// Host that was asked for.
	Host string `yaml:"host,omitempty" json:"host,omitempty"`
	// Backend that the request was passed to; it counts where it begins with the namespace of an application and a hyphen.
	Backend string `yaml:"backend,omitempty" json:"backend,omitempty"`
	// Agent is the client's program.
	Agent string `yaml:"agent,omitempty" json:"agent,omitempty"`
	// Status of the answer.
	Status string `yaml:"status,omitempty" json:"status,omitempty"`
}

// Deletion names what of blue is deleted.
type Deletion struct {
	// Namespaces that are deleted as a whole.
	Namespaces []string `yaml:"namespaces,omitempty" json:"namespaces,omitempty"`
}
