package migration

// Application is the unit that is cut over.
type Application struct {
	// Name of the application.
	Name string `yaml:"name" json:"name"`
	// Namespace on blue that holds its objects.
	Namespace string `yaml:"namespace" json:"namespace"`
	// Selector is a label selector in kubectl's form. Objects that no application selects but that share a namespace with
	// one are exported and restored with the first application of the namespace.
	Selector string `yaml:"selector,omitempty" json:"selector,omitempty"`
	// Wave in which it is cut over, from 1.
	Wave int `yaml:"wave" json:"wave" jsonschema:"minimum=1"`
	// Hostnames at which it answers, each a CNAME (or address records) in one of the zones.
	Hostnames []Hostname `yaml:"hostnames,omitempty" json:"hostnames,omitempty"`
	// Buckets that it reads or writes, by name.
	Buckets []string `yaml:"buckets,omitempty" json:"buckets,omitempty"`
	// Volumes declares that the claims of the application may be empty on green.
	Volumes string `yaml:"volumes,omitempty" json:"volumes,omitempty" jsonschema:"enum=empty"`
	// Payload moves data that no object and no bucket holds.
	Payload *Payload `yaml:"payload,omitempty" json:"payload,omitempty"`
	// Writes says how writes are stopped for the switch: none (it never writes), freeze (hooks) or quiesce (workloads are
	// stopped, with downtime).
	Writes Writes `yaml:"writes" json:"writes" jsonschema:"enum=none,enum=freeze,enum=quiesce"`
	// Freeze holds the hooks that refuse and allow writes. The same hooks hold green back until its turn.
	Freeze *Freeze `yaml:"freeze,omitempty" json:"freeze,omitempty"`
	// Dark says how green waits for its turn: scaled (0 replicas, suspended) or read-only (running, with the patches of
	// the freeze applied). Default scaled.
	Dark Dark `yaml:"dark,omitempty" json:"dark,omitempty" jsonschema:"enum=scaled,enum=read-only"`
	// Checks must pass on green before the name moves, and hold while it soaks.
	Checks []Check `yaml:"checks,omitempty" json:"checks,omitempty"`
	// Shift leads a part of the traffic to green in steps before the names move. Without it they move in one change.
	Shift *Shift `yaml:"shift,omitempty" json:"shift,omitempty"`
	// Drain asks blue to close kept connections in good order once the soak is over, so that their clients resolve again.
	Drain []Hook `yaml:"drain,omitempty" json:"drain,omitempty"`
	// Forward lets blue pass on to green who still comes, once the soak is over, and counts them. Without it blue goes on answering.
	Forward *Forward `yaml:"forward,omitempty" json:"forward,omitempty"`
	// Requests is the application's own counter of requests, evidence of idleness.
	Requests *Counter `yaml:"requests,omitempty" json:"requests,omitempty"`
}

// Forward says how blue passes on to green.
type Forward struct {
	// Way is pod: small pods of blue's helper image stand behind the Services of the hostnames.
	Way string `yaml:"way" json:"way" jsonschema:"enum=pod"`
	// Replicas is how many pods there are. Default 2.
	Replicas int `yaml:"replicas,omitempty" json:"replicas,omitempty" jsonschema:"minimum=1"`
	// Limit is how many connections each pod carries at once by each port. Default 4096.
	Limit int `yaml:"limit,omitempty" json:"limit,omitempty" jsonschema:"minimum=1"`
	// ProxyProtocol sends a header of the PROXY protocol, version 2, to a green that expects one.
	ProxyProtocol bool `yaml:"proxyProtocol,omitempty" json:"proxyProtocol,omitempty"`
	// Port of green's entry to which goes what an Ingress of blue has taken out of TLS. Default 80.
	Port int `yaml:"port,omitempty" json:"port,omitempty" jsonschema:"minimum=1,maximum=65535"`
}

// PlainPort is where goes what blue has taken out of TLS.
func (f Forward) PlainPort() int {
	if f.Port > 0 {
		return f.Port
	}
	return 80
}

// Writes says how writes are stopped.
type Writes string

// Ways to stop writes.
const (
	WritesNone    Writes = "none"
	WritesFreeze  Writes = "freeze"
	WritesQuiesce Writes = "quiesce"
)

// Dark is green's state before its turn.
type Dark string

// States of green before its turn.
const (
	DarkScaled   Dark = "scaled"
	DarkReadOnly Dark = "read-only"
)

// Hostname is one name and where each side answers for it.
type Hostname struct {
	// Name that clients use.
	Name string `yaml:"name" json:"name"`
	// Service that is the entry, by its name in the application's namespace: its load balancer's address, its externalIPs, or,
	// with the type NodePort, the nodes and the node port, which clients then must use.
	Service string `yaml:"service,omitempty" json:"service,omitempty"`
	// Ingress whose address is the entry, by its name in the application's namespace.
	Ingress string `yaml:"ingress,omitempty" json:"ingress,omitempty"`
	// HTTPRoute of the Gateway API whose Gateway's address is the entry, by its name in the application's namespace.
	HTTPRoute string `yaml:"httpRoute,omitempty" json:"httpRoute,omitempty"`
	// Switch says what leads users to green: dns (the name gets another record) or backend (the name stays, and blue's Ingress or
	// HTTPRoute sends its host to green's Services), for two namespaces that one controller serves at one address. Default dns.
	Switch Switch `yaml:"switch,omitempty" json:"switch,omitempty" jsonschema:"enum=dns,enum=backend"`
	// Blue overrides what is found on blue.
	Blue *Entry `yaml:"blue,omitempty" json:"blue,omitempty"`
	// Green overrides what is found on green.
	Green *Entry `yaml:"green,omitempty" json:"green,omitempty"`
	// Port at which clients connect. Default 443, or 80 where a check of the name uses http.
	Port int `yaml:"port,omitempty" json:"port,omitempty" jsonschema:"minimum=1,maximum=65535"`
}

// AtBackend reports whether the name stays where it is and the backend is switched.
func (h Hostname) AtBackend() bool { return h.Switch == SwitchBackend }

// Switch says what leads users of a hostname to green.
type Switch string

// Ways to lead users to green.
const (
	SwitchDNS     Switch = "dns"
	SwitchBackend Switch = "backend"
)

// Entry is where a side answers for a hostname.
type Entry struct {
	// Target is the name that a CNAME can point at.
	Target string `yaml:"target,omitempty" json:"target,omitempty"`
	// Address is an IP address, where the name cannot be looked up from here.
	Address string `yaml:"address,omitempty" json:"address,omitempty"`
	// MakeRecord is a name in a zone of the file that Crossfade makes for the address that it finds on green, so that a CNAME can point at
	// it; only where nothing stands there. It is removed when the hostname goes back.
	MakeRecord string `yaml:"makeRecord,omitempty" json:"makeRecord,omitempty"`
}

// Payload streams an application's own data into the archive and back.
type Payload struct {
	// Export writes the payload to its standard output, or as the body of its answer.
	Export Hook `yaml:"export" json:"export"`
	// Import reads it from its standard input, or as the body of its request.
	Import Hook `yaml:"import" json:"import"`
}

// Freeze refuses writes on a side and goes on serving reads, and takes that back.
type Freeze struct {
	// Enter refuses writes. It must return only when writes under way have ended.
	Enter []Hook `yaml:"enter" json:"enter" jsonschema:"minItems=1"`
	// Leave allows writes again.
	Leave []Hook `yaml:"leave" json:"leave" jsonschema:"minItems=1"`
	// Probe tries a write: it must be refused while frozen. It is sent only when the freeze is entered.
	Probe *Probe `yaml:"probe" json:"probe"`
}

// Probe tries a write against every pod.
type Probe struct {
	// HTTP request that would write.
	HTTP HTTPHook `yaml:"http" json:"http"`
	// Refused lists the status codes that mean that the write was refused.
	Refused []int `yaml:"refused" json:"refused" jsonschema:"minItems=1"`
}

// Hook is one action on one side. Exactly one of its fields is set.
type Hook struct {
	// HTTP sends a request to every pod of the application, or to a URL.
	HTTP *HTTPHook `yaml:"http,omitempty" json:"http,omitempty"`
	// Command runs a program on this machine, without a shell.
	Command []string `yaml:"command,omitempty" json:"command,omitempty"`
	// Patch changes an object in the application's namespace; what it replaced is kept and put back by the reverse.
	Patch *PatchHook `yaml:"patch,omitempty" json:"patch,omitempty"`
}

// HTTPHook is a request. Either URL is set, or Pods.
type HTTPHook struct {
	// Method of the request. Default POST.
	Method string `yaml:"method,omitempty" json:"method,omitempty"`
	// URL to call.
	URL string `yaml:"url,omitempty" json:"url,omitempty"`
	// Pods calls every running pod of the application through its API server.
	Pods *PodEndpoint `yaml:"pods,omitempty" json:"pods,omitempty"`
	// Body of the request.
	Body string `yaml:"body,omitempty" json:"body,omitempty"`
	// Expect is the status code that means success. Default: any 2xx.
	Expect int `yaml:"expect,omitempty" json:"expect,omitempty"`
}

// PodEndpoint is a port and path of the pods that a selector chooses.
type PodEndpoint struct {
	// Selector of the pods; default the application's.
	Selector string `yaml:"selector,omitempty" json:"selector,omitempty"`
	// Port of the pod.
	Port int `yaml:"port" json:"port"`
	// Path of the request, with its query.
	Path string `yaml:"path" json:"path"`
}

// PatchHook is a merge patch of one object.
type PatchHook struct {
	// Group of the API; empty is the core group.
	Group string `yaml:"group,omitempty" json:"group,omitempty"`
	// Kind of the object.
	Kind string `yaml:"kind" json:"kind"`
	// Name of the object.
	Name string `yaml:"name" json:"name"`
	// Merge is an RFC 7396 merge patch.
	Merge map[string]any `yaml:"merge" json:"merge"`
}

// Check is one gate. Exactly one of HTTP, TCP, TLS, GRPC, Probes, Prometheus and Command is set.
type Check struct {
	// Name of the check, for reports.
	Name string `yaml:"name" json:"name"`
	// HTTP asks for a path under the application's hostname.
	HTTP *HTTPCheck `yaml:"http,omitempty" json:"http,omitempty"`
	// TCP connects to a port of the entry.
	TCP *TCPCheck `yaml:"tcp,omitempty" json:"tcp,omitempty"`
	// TLS shakes hands with the hostname as SNI and judges the chain.
	TLS *TLSCheck `yaml:"tls,omitempty" json:"tls,omitempty"`
	// GRPC asks the health service of gRPC.
	GRPC *GRPCCheck `yaml:"grpc,omitempty" json:"grpc,omitempty"`
	// Probes sends requests of its own and judges how long they take and how many fail.
	Probes *ProbesCheck `yaml:"probes,omitempty" json:"probes,omitempty"`
	// Prometheus asks for a number and judges it.
	Prometheus *PrometheusCheck `yaml:"prometheus,omitempty" json:"prometheus,omitempty"`
	// Command is a program on this machine, run without a shell; exit status 0 passes.
	Command []string `yaml:"command,omitempty" json:"command,omitempty"`
	// Timeout of one try. Default 5s.
	Timeout Duration `yaml:"timeout,omitempty" json:"timeout,omitempty"`
	// When the check is asked: before the swap, at green's address; after it, end to end through resolvers; or both. Without it, http,
	// tcp, tls, grpc and command go to green's address before and after, and probes and prometheus are asked after.
	When When `yaml:"when,omitempty" json:"when,omitempty" jsonschema:"enum=before,enum=after,enum=both"`
	// Families of addresses that green must have, ipv4 and ipv6: each address is asked by itself. Default those that it has.
	Families []string `yaml:"families,omitempty" json:"families,omitempty"`
}

// HTTPCheck is a request under the real hostname, sent to a side's address.
type HTTPCheck struct {
	// Hostname to ask under; default the application's first.
	Hostname string `yaml:"hostname,omitempty" json:"hostname,omitempty"`
	// Scheme of the request. Default https.
	Scheme string `yaml:"scheme,omitempty" json:"scheme,omitempty" jsonschema:"enum=http,enum=https"`
	// Path of the request.
	Path string `yaml:"path" json:"path"`
	// Status that passes. Default 200.
	Status int `yaml:"status,omitempty" json:"status,omitempty"`
	// Headers of the request.
	Headers map[string]string `yaml:"headers,omitempty" json:"headers,omitempty"`
	// SecretHeaders refer to headers of the request that nobody may read.
	SecretHeaders map[string]SecretRef `yaml:"secretHeaders,omitempty" json:"secretHeaders,omitempty"`
	// Contains is text that the body must hold.
	Contains string `yaml:"contains,omitempty" json:"contains,omitempty"`
	// Matches is a regular expression (RE2) that the body must match somewhere.
	Matches string `yaml:"matches,omitempty" json:"matches,omitempty"`
	// ResponseHeaders maps headers that the answer must have to regular expressions that a value of theirs must match somewhere.
	ResponseHeaders map[string]string `yaml:"responseHeaders,omitempty" json:"responseHeaders,omitempty"`
	// SameAsBlue demands the status and content type of blue's answer.
	SameAsBlue bool `yaml:"sameAsBlue,omitempty" json:"sameAsBlue,omitempty"`
	// SameHeaders are headers that must have the values of blue's answer, beside its status and content type.
	SameHeaders []string `yaml:"sameHeaders,omitempty" json:"sameHeaders,omitempty"`
	// SameBody demands the very bytes of blue's answer, beside its status and content type.
	SameBody bool `yaml:"sameBody,omitempty" json:"sameBody,omitempty"`
}

// ComparesBlue reports whether the answer is compared with blue's.
func (h HTTPCheck) ComparesBlue() bool { return h.SameAsBlue || h.SameBody || len(h.SameHeaders) > 0 }

// TCPCheck connects.
type TCPCheck struct {
	// Port of the entry.
	Port int `yaml:"port" json:"port"`
}

// TLSCheck judges a certificate.
type TLSCheck struct {
	// Hostname that is asked for and that the certificate must be for; default the application's first.
	Hostname string `yaml:"hostname,omitempty" json:"hostname,omitempty"`
	// Port of the entry. Default 443.
	Port int `yaml:"port,omitempty" json:"port,omitempty"`
	// Days that the chain must still be valid. Default 14.
	Days int `yaml:"days,omitempty" json:"days,omitempty"`
}

// Counter is a number that an application tells of itself, summed over its pods.
type Counter struct {
	// Pods to ask.
	Pods PodEndpoint `yaml:"pods" json:"pods"`
	// Field of the JSON answer that holds the number of requests since the pod started.
	Field string `yaml:"field" json:"field"`
}
