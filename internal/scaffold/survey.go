package scaffold

import (
	"net/netip"
	"slices"
	"strings"
)

// Survey is what was seen. The same survey gives the same file.
type Survey struct {
	Blue, Green Side
	// OneCluster says that both are namespaces of the same cluster.
	OneCluster bool
	// Namespaces of blue that are to move, by name.
	Namespaces []Namespace
	// PassedOver are blue's other namespaces with workloads, where the choice was not the user's.
	PassedOver []string
	// Names is what the name servers said of each hostname that was found or given.
	Names map[string]Name
	// Resolvers and Servers are those that were given to ask.
	Resolvers, Servers []string
	// Unseen lists what could not be looked at, each with its reason.
	Unseen []string
}

// Side is one cluster.
type Side struct {
	// Kubeconfig and Context as the file is to name them.
	Kubeconfig, Context string
	Server, Version     string
	// Providers of its nodes, as they name themselves: "aws", "gce".
	Providers []string
	// Classes by kind: StorageClass, IngressClass, PriorityClass, RuntimeClass.
	Classes map[string][]Class
	// DNSControllers are workloads that write DNS records by themselves.
	DNSControllers []string
}

// Class is a class of a cluster.
type Class struct {
	Name    string
	Default bool
}

// has reports whether a class is there; the empty name stands for the default one.
func (s Side) has(kind, name string) bool {
	return slices.ContainsFunc(s.Classes[kind], func(c Class) bool { return c.Name == name || name == "" && c.Default })
}

// Namespace is one namespace of blue.
type Namespace struct {
	Name      string
	Workloads []Workload
	Services  []Service
	Ingresses []Ingress
	// Claims by name, with their class.
	Claims map[string]string
	// Settings are the ConfigMaps' data, Secrets the names of the Secrets' keys.
	Settings map[string]map[string]string
	Secrets  map[string][]string
}

// Workload is what runs pods.
type Workload struct {
	Group, Kind, Name string
	Labels, PodLabels map[string]string
	// Release is the Helm release that made it.
	Release    string
	Containers []Container
	// Claims that its pods mount, and Templates that it makes claims by, each with their class.
	Claims    []string
	Templates map[string]string
	// ConfigMaps and Secrets that it refers to in any way.
	ConfigMaps, Secrets         []string
	PriorityClass, RuntimeClass string
	// EnvPath is where the containers stand, for a patch.
	EnvPath string
}

// job reports whether it runs to its end rather than for ever.
func (w Workload) job() bool { return w.Kind == "CronJob" || w.Kind == "Job" }

// String names it as a person would.
func (w Workload) String() string { return w.Kind + " " + w.Name }

// Container is one container of a workload's pods.
type Container struct {
	Name, Image string
	Ports       []Port
	Env         []Env
	Ready       *Probe
}

// Port is a port of a container.
type Port struct {
	Name   string
	Number int
}

// Env is one variable: a value, or a key of a ConfigMap or Secret.
type Env struct {
	Name, Value       string
	ConfigMap, Secret string
	Key               string
}

// Probe is an HTTP readiness probe.
type Probe struct {
	Path string
	Port int
}

// Service is one Service.
type Service struct {
	Name        string
	Type        string
	Selector    map[string]string
	Annotations map[string]string
	Ports       []ServicePort
	Entry       Entry
}

// ServicePort is one port of a Service.
type ServicePort struct {
	Name   string
	Number int
	// Target is a port's number or name.
	Target string
}

// outside reports whether clients outside of the cluster reach it at an address of its own.
func (s Service) outside() bool { return s.Type == "LoadBalancer" || len(s.Entry.Addresses) > 0 }

// Entry is where blue answers.
type Entry struct {
	Hostnames []string
	Addresses []netip.Addr
}

// String names the entry.
func (e Entry) String() string {
	words := slices.Clone(e.Hostnames)
	for _, a := range e.Addresses {
		words = append(words, a.String())
	}
	if len(words) == 0 {
		return "nowhere yet"
	}
	return strings.Join(words, " ")
}

// Ingress is one Ingress.
type Ingress struct {
	Name, Class string
	Annotations map[string]string
	Rules       []Rule
	TLS         []string
	Entry       Entry
}

// Rule leads a host to a Service.
type Rule struct{ Host, Service string }

// Name is what the name servers say of a hostname.
type Name struct {
	// Zone that holds it; empty where that could not be found out.
	Zone string
	// Server takes the zone's changes, address:port, and ServerName is what the zone calls it.
	Server, ServerName string
	// Target is the CNAME at the name; Addresses are those at the end of its chain.
	Target    string
	Addresses []netip.Addr
	// Failed says why nothing is known.
	Failed string
}

// leadsTo reports whether the name ends at an entry.
func (n Name) leadsTo(e Entry) bool {
	if n.Target != "" && slices.Contains(e.Hostnames, strings.TrimSuffix(n.Target, ".")) {
		return true
	}
	return slices.ContainsFunc(n.Addresses, func(a netip.Addr) bool { return slices.Contains(e.Addresses, a) })
}
