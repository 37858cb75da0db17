package scaffold

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-project/crossfade/internal/migration"
)

func (p *Proposal) renderApps(w *writer) {
	w.comment(0, "The applications, each cut over as a whole. A wave is cut over before the next begins: those that keep no data come first here. Applications that share a bucket share a wave.")
	w.line(0, "applications:")
	for i, a := range p.apps {
		if i > 0 {
			w.blank()
		}
		p.renderApp(w, a)
	}
	w.blank()
}

func (p *Proposal) renderApp(w *writer, a appGuess) {
	var runs []string
	for _, wl := range a.workloads {
		runs = append(runs, wl.String())
		if wl.Release != "" {
			runs[len(runs)-1] += " (Helm release " + wl.Release + ")"
		}
	}
	w.comment(1, "%s", strings.Join(runs, ", "))
	w.line(1, "- name: %s", a.name)
	w.line(2, "namespace: %s # blue's", text(a.namespace))
	if a.selector != "" {
		w.line(2, "selector: %s # of its objects; what nobody selects goes with the first application of the namespace", text(a.selector))
	}
	w.line(2, "wave: %d", a.wave)
	if len(a.buckets) > 0 {
		w.line(2, "buckets: [%s]", strings.Join(convert(a.buckets, text), ", "))
	}
	p.renderHosts(w, a)
	if a.volumes != "" {
		w.comment(2, "Claims are made anew and empty on green.")
		w.line(2, "volumes: %s", strconv.Quote(a.volumes))
		w.line(2, "# payload: # or stream the data out of blue and into green")
		w.line(2, "#   export: {command: [./dump.sh]}")
		w.line(2, "#   import: {command: [./load.sh]}")
	}
	renderWrites(w, a)
	renderChecks(w, a)
	renderAfter(w, a)
}

func (p *Proposal) renderHosts(w *writer, a appGuess) {
	for _, l := range a.later {
		w.comment(2, "%s.", l)
		w.line(2, "# hostnames: [{name: shop.example.com, service: web, port: 443}]")
	}
	if len(a.hosts) == 0 {
		return
	}
	w.comment(2, "Each name, and where each side answers for it: the address of a Service or an Ingress.")
	w.line(2, "hostnames:")
	for _, h := range a.hosts {
		w.line(3, "- name: %s", text(h.name))
		if h.ingress != "" {
			w.line(4, "ingress: %s", text(h.ingress))
		} else {
			w.line(4, "service: %s", text(h.service))
		}
		w.line(4, "port: %d # at which clients connect", h.port)
		if h.blueTarget != "" {
			w.comment(4, "The entries are addresses, and the name is a CNAME: these are the names that it may point at.")
			w.line(4, "blue: {target: %s}", text(h.blueTarget))
			w.line(4, "green: {target: %s}", strconv.Quote(h.greenTarget))
		}
	}
}

func renderWrites(w *writer, a appGuess) {
	w.comment(2, "How writes stop for the switch: none (it never writes), freeze (hooks refuse writes, reads go on) or quiesce (it is stopped, with downtime).")
	if a.why != "" {
		w.comment(2, "A guess: %s.", a.why)
	}
	w.line(2, "writes: %s", text(a.writes))
	if a.freeze == nil && a.writes == string(migration.WritesQuiesce) {
		return
	}
	if a.freeze == nil {
		w.line(2, "# dark: read-only # how green waits for its turn: scaled to 0 (the default), or running and refusing writes")
		return
	}
	if a.freeze.configMap != "" {
		w.line(2, "dark: read-only # green waits for its turn running, with the patches of freeze.enter applied; or scaled (to 0)")
	} else {
		w.line(2, "dark: scaled # green waits for its turn at 0 replicas; read-only needs a patch in freeze.enter")
	}
	w.line(2, "freeze:")
	w.comment(3, "What makes the application refuse writes. It must return only when writes under way have ended.")
	hook := func(value, what, such string) {
		if a.freeze.configMap != "" {
			w.line(4, "- patch: {kind: ConfigMap, name: %s, merge: {data: {%s: %s}}} # for pods that start from now on; a guess by the key's name",
				text(a.freeze.configMap), text(a.freeze.key), strconv.Quote(value))
		}
		w.line(4, "- http: {pods: {%s}} # asked of every pod, by POST unless you add method:",
			a.endpoint(mark("the path of a request that makes a pod %s writes%s", what, such)))
	}
	w.line(3, "enter:")
	hook(a.freeze.on, "refuse", ", such as /admin/read-only; or put a command or patch in the place of this hook")
	w.comment(3, "What allows them again.")
	w.line(3, "leave:")
	hook(a.freeze.off, "accept", " again, such as /admin/read-write")
	w.comment(3, "A write that is tried while frozen, on every pod: it must be refused with one of these codes.")
	w.line(3, "probe:")
	w.line(4, "http: {method: %s, pods: {%s}, body: probe}", strconv.Quote(mark("the method of a write, such as PUT")), a.endpoint(mark("the path of a write that does no harm, such as /items/crossfade-probe")))
	w.line(4, "refused: [503]")
}

// endpoint names a port and a path of the application's pods.
func (a appGuess) endpoint(path string) string {
	out := fmt.Sprintf("port: %d, path: %s", a.port, strconv.Quote(path))
	if a.podSelector != "" {
		out = fmt.Sprintf("selector: %s, ", text(a.podSelector)) + out
	}
	return out
}

func renderChecks(w *writer, a appGuess) {
	if len(a.hosts) == 0 {
		w.comment(2, "Checks: without a hostname only commands, whose exit status 0 passes.")
		w.line(2, "# checks: [{name: own, command: [./check.sh]}]")
		return
	}
	w.comment(2, "Checks: sent to green's address under the real hostname before the name moves, and while it soaks.")
	w.line(2, "checks:")
	for i, h := range a.hosts {
		if h.scheme == "" && h.path == "" {
			w.line(3, "- {name: connects-%d, tcp: {port: %d}}", i+1, h.port)
			continue
		}
		path, suffix := strconv.Quote(mark("a path that answers with 200 only where the application serves, such as /healthz")), ""
		if h.path != "" {
			path, suffix = text(h.path), " # the readiness probe's"
		}
		name, hostname := "", ""
		if len(a.hosts) > 1 {
			name, hostname = fmt.Sprintf("-%d", i+1), "hostname: "+text(h.name)+", "
		}
		w.line(3, "- name: answers%s%s", name, suffix)
		w.line(4, "http: {%sscheme: %s, path: %s, sameAsBlue: true}", hostname, cmp.Or(h.scheme, "http"), path)
		if h.scheme == "https" && i == 0 {
			w.line(3, "- {name: certificate, tls: {days: 14}}")
		}
	}
	w.line(3, "# - {name: page, http: {scheme: %s, path: /, contains: a word of the page}}", cmp.Or(a.hosts[0].scheme, "https"))
}

func renderAfter(w *writer, a appGuess) {
	if len(a.hosts) == 0 || a.port == 0 {
		return
	}
	if !slices.ContainsFunc(a.hosts, func(h hostGuess) bool { return h.scheme != "" || h.path != "" }) {
		w.line(2, "# drain: [{command: [./close-connections.sh]}] # on blue after the soak: clients look the name up again only when they connect")
		return
	}
	w.comment(2, "After the soak blue closes the connections that clients keep: they look the name up again only then.")
	w.line(2, "drain:")
	w.line(3, "- http: {pods: {%s}}", a.endpoint(mark("the path of a request after which a pod closes its connections in good order, such as /admin/drain; or take drain out")))
	w.comment(2, "How many requests each pod has served, as evidence that nobody uses blue.")
	w.line(2, "# requests: {pods: {port: %d, path: /requests}, field: requests}", a.port)
}

func (p *Proposal) renderZones(w *writer) {
	if len(p.zones) == 0 {
		w.comment(0, "The zones of the hostnames, and how their records are changed.")
		w.line(0, "# zones: [{name: example.com, rfc2136: {server: \"192.0.2.53:53\", key: crossfade, secret: {file: tsig.secret}}}]")
		w.blank()
		return
	}
	w.comment(0, "The zones of the hostnames. Records are changed by updates that are signed with a TSIG key (RFC 2136).")
	w.line(0, "zones:")
	for _, z := range p.zones {
		w.line(1, "- name: %s", text(z.name))
		w.line(2, "rfc2136:")
		note := ""
		if z.serverName != "" {
			note = " # " + z.serverName + ", the primary that the zone names"
		}
		w.line(3, "server: %s%s", strconv.Quote(z.server), note)
		w.line(3, "key: %s", strconv.Quote(mark("the name of the TSIG key that may change the hostnames, such as crossfade")))
		w.line(3, "algorithm: hmac-sha256 # the key's; a guess")
		w.line(3, "secret: {file: %s}", strconv.Quote(mark("the path of a file with the key's secret in base64, such as tsig.secret")))
		for _, list := range []struct {
			field, comment string
			of             []string
		}{{"servers", "every authoritative server", p.survey.Servers}, {"resolvers", "asked after the swap as clients would", p.survey.Resolvers}} {
			if len(list.of) > 0 {
				w.line(2, "%s: [%s] # %s", list.field, strings.Join(convert(list.of, text), ", "), list.comment)
			}
		}
	}
	w.blank()
}

func (p *Proposal) renderTimes(w *writer) {
	w.comment(0, "Times of every cutover.")
	if p.opts.Rehearsal {
		w.line(0, "cutover:")
		w.line(1, "ttl: 3s # of the names while they may go back")
		w.line(1, "margin: 1s # added to every wait for a TTL")
		w.line(1, "interval: 1s # between two rounds of checks; the soak is 2 × ttl + the rehearsal's")
		w.line(1, "breaches: 2 # rounds in a row that must fail before the name goes back")
		w.blank()
		return
	}
	w.line(0, "# cutover:")
	for _, l := range []string{
		"ttl: 60s # of the names while they may go back", "margin: 5s # added to every wait for a TTL",
		"soak: 3m # how long an application is watched; at least 2 × ttl + 60s", "interval: 5s # between two rounds of checks",
		"breaches: 2 # rounds in a row that must fail before the name goes back", "maxDelta: 1000 # objects that may differ when a freeze begins",
	} {
		w.line(0, "#   %s", l)
	}
	w.blank()
}

func (p *Proposal) renderRetirement(w *writer) {
	w.comment(0, "What of blue may be deleted in the end, and only with \"crossfade retire --confirm %s\". Without this section blue stays as it is.", p.name)
	var may []string
	for _, ns := range p.survey.Namespaces {
		if ns.Name != "default" && !strings.HasPrefix(ns.Name, "kube-") {
			may = append(may, ns.Name)
		}
	}
	if len(may) == 0 {
		w.line(0, "# retirement: {delete: {namespaces: [shop]}}")
		return
	}
	if !slices.ContainsFunc(p.apps, func(a appGuess) bool { return len(a.hosts) > 0 }) {
		w.comment(0, "No application has a hostname, so nothing would show that blue is still used: give them requests first.")
		w.line(0, "# retirement: {delete: {namespaces: [%s]}}", strings.Join(may, ", "))
		return
	}
	w.line(0, "retirement:")
	if p.opts.Rehearsal {
		w.line(1, "interval: 5s # between two looks whether somebody still uses blue")
	} else {
		w.line(1, "# idle: 96h # for how long nobody may have used blue; at least 72h and twice the longest old TTL")
	}
	p.renderUnwatched(w)
	w.line(1, "delete:")
	w.line(2, "namespaces:")
	for _, name := range may {
		w.line(3, "- %s", strconv.Quote(mark("%s, if it may be deleted as a whole; else take this line out, or the section retirement, and blue stays", name)))
	}
}

// renderUnwatched lists the applications of which nobody would see a use.
func (p *Proposal) renderUnwatched(w *writer) {
	first := true
	for _, a := range p.apps {
		if len(a.hosts) > 0 {
			continue
		}
		if first {
			w.comment(1, "Applications that nothing watches, as they have no hostnames, with why nobody can use them; the certificate says so.")
			w.line(1, "unwatched:")
			first = false
		}
		reason := mark("why nobody can use it, such as: it only takes from a queue; or take this line out, and give it requests or hostnames")
		if a.jobsOnly {
			reason = "jobs only: nothing listens for anybody"
		}
		w.line(2, "%s: %s", a.name, strconv.Quote(reason))
	}
}
