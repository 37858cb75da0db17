package scaffold

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// guessHosts finds the hostnames of an application: those that its Services' annotations and its Ingresses name, and those
// that lead to one of its entries.
func (p *Proposal) guessHosts(ns Namespace, a *appGuess) {
	for _, ing := range ns.Ingresses {
		for _, rule := range ing.Rules {
			svc, ok := serviceNamed(ns, rule.Service)
			if !ok || !behind(svc, a.workloads) {
				continue
			}
			h := hostGuess{name: rule.Host, service: svc.Name, ingress: ing.Name, port: 80, scheme: "http"}
			if slices.Contains(ing.TLS, rule.Host) {
				h.port, h.scheme = 443, "https"
			}
			p.takeHost(a, h, ing.Entry, "Ingress "+ing.Name)
		}
	}
	for _, svc := range ns.Services {
		if !svc.outside() || len(svc.Ports) == 0 || !behind(svc, a.workloads) {
			continue
		}
		names := annotatedHosts(svc.Annotations)
		for _, name := range sortedKeys(p.survey.Names) {
			if !slices.Contains(names, name) && p.survey.Names[name].leadsTo(svc.Entry) {
				names = append(names, name)
			}
		}
		port, scheme := clientPort(svc)
		for _, name := range names {
			p.takeHost(a, hostGuess{name: name, service: svc.Name, port: port, scheme: scheme}, svc.Entry, "Service "+svc.Name)
		}
		if len(names) == 0 {
			a.later = append(a.later, fmt.Sprintf("Service %s answers at %s, and no name was found that leads there: add it if clients use one", svc.Name, svc.Entry))
		}
	}
}

func serviceNamed(ns Namespace, name string) (Service, bool) {
	i := slices.IndexFunc(ns.Services, func(s Service) bool { return s.Name == name })
	if i < 0 {
		return Service{}, false
	}
	return ns.Services[i], true
}

// behind reports whether a Service chooses pods of one of the workloads.
func behind(svc Service, workloads []Workload) bool {
	if len(svc.Selector) == 0 {
		return false
	}
	selector := labels.SelectorFromSet(svc.Selector)
	return slices.ContainsFunc(workloads, func(w Workload) bool { return !w.job() && selector.Matches(labels.Set(w.PodLabels)) })
}

// clientPort is the port at which clients most likely connect, and with which scheme; without one it is no web server's.
func clientPort(svc Service) (port int, scheme string) {
	for _, want := range []int{443, 80} {
		if slices.ContainsFunc(svc.Ports, func(p ServicePort) bool { return p.Number == want }) {
			return want, map[int]string{443: "https", 80: "http"}[want]
		}
	}
	first := svc.Ports[0]
	switch {
	case strings.Contains(first.Name, "https"), first.Number == 8443:
		return first.Number, "https"
	case strings.Contains(first.Name, "http"), strings.Contains(first.Name, "web"), first.Number == 8080:
		return first.Number, "http"
	}
	return first.Number, ""
}

// takeHost takes a hostname in, with what its record says. One that leads elsewhere is mentioned only: the plan would refuse it.
func (p *Proposal) takeHost(a *appGuess, h hostGuess, entry Entry, source string) {
	for _, other := range append(p.apps, *a) {
		if slices.ContainsFunc(other.hosts, func(x hostGuess) bool { return x.name == h.name }) {
			return
		}
	}
	n, asked := p.survey.Names[h.name]
	switch {
	case !asked || n.Failed != "":
	case n.Target == "" && len(n.Addresses) == 0:
		a.later = append(a.later, fmt.Sprintf("%s names %s, and no record was found at that name", source, h.name))
		return
	case !n.leadsTo(entry) && (len(entry.Hostnames) > 0 || len(entry.Addresses) > 0):
		a.later = append(a.later, fmt.Sprintf("%s names %s, and that name leads elsewhere (%s)", source, h.name, Entry{Hostnames: nonEmpty(n.Target), Addresses: n.Addresses}))
		return
	case n.Target != "" && !slices.Contains(entry.Hostnames, n.Target):
		// The balancer has an address only: the names of both sides are somebody's records, and the file must tell them.
		h.blueTarget = n.Target
		h.greenTarget = mark("a name of your own with an A record of green's entry, which a CNAME can point at, as %s is blue's; make it when green's %s has its address", n.Target, source)
	}
	a.hosts = append(a.hosts, h)
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// guessZones lists the zones of the hostnames.
func (p *Proposal) guessZones() {
	var unasked, unknown []string
	for _, a := range p.apps {
		for _, h := range a.hosts {
			n := p.survey.Names[h.name]
			if n.Zone == "" {
				unasked = append(unasked, h.name)
				continue
			}
			if !slices.ContainsFunc(p.zones, func(z zoneGuess) bool { return z.name == n.Zone }) {
				guess := zoneGuess{name: n.Zone, server: n.Server, serverName: n.ServerName}
				if guess.server == "" {
					guess.server = mark("the primary server that takes the zone's changes, address:port, such as 192.0.2.53:53")
				}
				p.zones = append(p.zones, guess)
			}
		}
	}
	slices.SortFunc(p.zones, func(a, b zoneGuess) int { return strings.Compare(a.name, b.name) })
	for _, host := range unasked {
		if !slices.ContainsFunc(p.zones, func(z zoneGuess) bool { return strings.HasSuffix(host, "."+z.name) }) {
			unknown = append(unknown, host)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		_, parent, _ := strings.Cut(unknown[0], ".")
		p.zones = append(p.zones, zoneGuess{
			name:   mark("the zone that holds %s, such as %s", strings.Join(unknown, ", "), parent),
			server: mark("the zone's primary server, address:port, such as 192.0.2.53:53"),
		})
	}
}

// guessNames lists the annotations by which a DNS controller on green would move names before their turn (K6).
func (p *Proposal) guessNames() {
	for _, ns := range p.survey.Namespaces {
		for _, svc := range ns.Services {
			if svc.Annotations[dnsHostname] != "" {
				p.names = append(p.names, fmt.Sprintf("{kind: Service, namespace: %s, name: %s}", text(ns.Name), text(svc.Name)))
			}
		}
		for _, ing := range ns.Ingresses {
			if ing.Annotations[dnsHostname] != "" {
				p.names = append(p.names, fmt.Sprintf("{group: networking.k8s.io, kind: Ingress, namespace: %s, name: %s}", text(ns.Name), text(ing.Name)))
			}
		}
	}
}
