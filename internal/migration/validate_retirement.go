package migration

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

func (v *validator) retirement(f *File) {
	if f.Retirement == nil {
		return
	}
	v.brownOut(f)
	for i, cidr := range f.Retirement.Ignore {
		v.ignored(cidr, fmt.Sprintf("retirement.ignore[%d]", i))
	}
	for i, log := range f.Retirement.AccessLogs {
		at := fmt.Sprintf("retirement.accessLogs[%d]", i)
		v.accessLog(log, at)
		if slices.ContainsFunc(f.Retirement.AccessLogs[:i], func(b AccessLog) bool {
			return b.Namespace == log.Namespace && b.Selector == log.Selector && b.Container == log.Container
		}) {
			v.problem(at, "the log of these pods is named above already", "name it once")
		}
	}
	for i, q := range f.Retirement.Prometheus {
		v.idleQuery(f.Retirement.Prometheus[:i], q, fmt.Sprintf("retirement.prometheus[%d]", i))
	}
	v.unlisted(f)
	v.watched(f)
	if f.Retirement.Idle != 0 && f.Retirement.Idle.D() < f.IdleFloor() {
		v.problem("retirement.idle", fmt.Sprintf("%s is less than the floor of %s", f.Retirement.Idle, f.IdleFloor()), "raise it, leave it out, or declare a rehearsal")
	}
	if idle := f.Retirement.Idle.Or(f.IdleFloor()); f.Retirement.Interval.D() > idle {
		v.problem("retirement.interval", fmt.Sprintf("%s is longer than the %s for which blue must be idle: nobody would look in between", f.Retirement.Interval, Duration(idle)), "lower it, or leave it out for 1m")
	}
	for i, ns := range f.Retirement.Delete.Namespaces {
		v.deleted(f, i, ns)
	}
}

// deleted judges a namespace that is to be deleted as a whole.
func (v *validator) deleted(f *File, i int, ns string) {
	at := fmt.Sprintf("retirement.delete.namespaces[%d]", i)
	switch {
	case !v.namespace(ns, at):
	case ns == "default" || strings.HasPrefix(ns, "kube-"):
		v.problem(at, fmt.Sprintf("%s belongs to the cluster", ns), "name namespaces of applications only")
	case slices.Contains(f.Retirement.Delete.Namespaces[:i], ns):
		v.problem(at, ns+" is named twice", "name it once")
	case !slices.ContainsFunc(f.Applications, func(a Application) bool { return a.Namespace == ns }):
		v.problem(at, "no application of this file moves out of "+ns+": what is in it is somebody else's", "name the namespace of an application of this file, or take it out")
	}
}

func (v *validator) unlisted(f *File) {
	for i, name := range f.Retirement.Unlisted {
		at := fmt.Sprintf("retirement.unlisted[%d]", i)
		same := func(of string) bool { return bare(of) == bare(name) }
		switch {
		case !slices.ContainsFunc(f.Zones, func(z Zone) bool { return same(z.Name) }):
			v.problem(at, fmt.Sprintf("%s is none of the zones", name), "name one of them, or take it out")
		case slices.ContainsFunc(f.Retirement.Unlisted[:i], same):
			v.problem(at, name+" is named twice", "name it once")
		}
	}
}

// watched refuses an application of which nobody would see a use, unless the file says that there is none: blue would be shown idle by
// what watches the others, and deleted with it.
func (v *validator) watched(f *File) {
	const at = "retirement.unwatched"
	for i, q := range f.Retirement.Prometheus {
		for j, name := range q.Watches {
			if !slices.ContainsFunc(f.Applications, func(a Application) bool { return a.Name == name }) {
				v.problem(fmt.Sprintf("retirement.prometheus[%d].watches[%d]", i, j), "no application is called "+name, "name one of the file, or take it out")
			}
		}
	}
	all := len(f.Retirement.Prometheus) == 0
	for i, a := range f.Applications {
		by := f.watches(a)
		reason, said := f.Retirement.Unwatched[a.Name]
		all = all && said && by == ""
		switch {
		case said && strings.TrimSpace(reason) == "":
			v.problem(at+"."+a.Name, "it is the reason, and says none", "say why nobody can use it: the certificate holds it")
		case said && by != "":
			v.problem(at+"."+a.Name, a.Name+" is watched by its "+by, "take it out")
		case !said && by == "":
			v.problem(fmt.Sprintf("applications[%d]", i), "nobody would see that it is still used on blue: it has neither hostnames nor requests, and no query of retirement.prometheus watches it",
				fmt.Sprintf("give it requests or hostnames, or name it under watches of a query; where there is nothing of it that anybody could use, say so: retirement.unwatched: {%s: REASON}", a.Name))
		}
	}
	for name := range f.Retirement.Unwatched {
		if !slices.ContainsFunc(f.Applications, func(a Application) bool { return a.Name == name }) {
			v.problem(at+"."+name, "no application is called "+name, "name one of the file, or take it out")
		}
	}
	if all {
		v.problem(at, "it names every application: nothing is left that could show blue to be idle", "give one of them requests or hostnames; or leave retirement out, and blue stays")
	}
}

// watches says which part of the file shows a use of an application on blue; empty where none does.
func (f *File) watches(a Application) string {
	switch {
	case len(a.Hostnames) > 0:
		return "hostnames"
	case a.Requests != nil:
		return "requests"
	case slices.ContainsFunc(f.Retirement.Prometheus, func(q IdleQuery) bool {
		return slices.Contains(q.Watches, a.Name) || len(q.Watches) == 0 && len(f.Applications) == 1
	}):
		return "queries of retirement.prometheus"
	}
	return ""
}

// The widest ranges of clients that may be ignored: what covers more would ignore users.
const widest4, widest6 = 8, 16

// ignored judges a range of addresses whose clients do not count.
func (v *validator) ignored(cidr, at string) {
	prefix, err := netip.ParsePrefix(cidr)
	switch {
	case err != nil:
		v.problem(at, fmt.Sprintf("%q is not a CIDR", cidr), "write it as 192.0.2.0/24; one address is 192.0.2.7/32")
	case prefix.Addr().Is4In6():
		v.problem(at, cidr+" is an IPv4 range in the form of IPv6, and clients are told in that of IPv4", "write it as 192.0.2.0/24")
	case prefix.Addr().Is4() && prefix.Bits() < widest4 || prefix.Addr().Is6() && prefix.Bits() < widest6:
		v.problem(at, cidr+" covers so much that users would count for probes", fmt.Sprintf("name the addresses of probes and scanners: no range wider than /%d, or /%d of IPv6", widest4, widest6))
	}
}

func (v *validator) brownOut(f *File) {
	const at = "retirement.brownOut"
	b := f.Retirement.BrownOut
	switch {
	case b == nil:
	case b.Skip != "" && strings.TrimSpace(b.Skip) == "":
		v.problem(at+".skip", "it is the reason, and says none", "say why there is none: the certificate holds it")
	case b.Skip != "" && (b.For != 0 || b.Internal):
		v.problem(at, "it is skipped, so that nothing else of it has an effect", "take skip out, or the rest")
	case b.For != 0 && b.For.D() < BrownOutFloor && f.Rehearsal == nil:
		v.problem(at+".for", fmt.Sprintf("%s is less than %s: who comes every few minutes would not be met", b.For, BrownOutFloor), "raise it, leave it out, or declare a rehearsal")
	}
}

func (v *validator) accessLog(log AccessLog, at string) {
	v.namespace(log.Namespace, at+".namespace")
	selector, err := labels.Parse(log.Selector)
	switch {
	case err != nil:
		v.problem(at+".selector", err.Error(), "write it as kubectl does: app.kubernetes.io/name=ingress-nginx")
	case selector.Empty():
		v.problem(at+".selector", "it is empty: every pod of the namespace would be read for a controller's", "write it as kubectl does: app.kubernetes.io/name=ingress-nginx")
	}
	switch {
	case log.Fields != nil && log.Fields.Time == "":
		v.problem(at+".fields.time", "it is empty: no request could be told to be later than another", "name the field of the time")
	case log.Fields == nil && log.Format == "json":
		v.problem(at+".fields", "nothing says which fields of the lines are the time and the host", "name them, or a controller as the format")
	case log.Fields != nil && log.Fields.Host == "" && log.Fields.Backend == "":
		v.problem(at+".fields", "neither host nor backend is named, so that no request could be told to be for a name that has moved", "name one of them")
	}
}

// longestGap is for how long data may be missing at most: missing data is no idleness (C24).
const longestGap = time.Hour

func (v *validator) idleQuery(before []IdleQuery, q IdleQuery, at string) {
	v.promServer(promAccess{q.URL, q.Username, q.Password, q.Token, q.Headers}, at)
	v.promQuery(q.Query, at+".query")
	if strings.TrimSpace(q.Name) == "" {
		v.problem(at+".name", "it is empty", "say what is counted, as: requests at the load balancer")
	}
	if slices.ContainsFunc(before, func(b IdleQuery) bool { return b.Name == q.Name }) {
		v.problem(at+".name", fmt.Sprintf("another one is called %q", q.Name), "give each a name of its own")
	}
	for field, query := range map[string]string{"query": q.Query, "alive": q.Alive} {
		// A number that is put in where there is no data says that nobody came when nobody counted (C24).
		if regexp.MustCompile(`(?i)\bor\b[^"]*\bvector\s*\(|\babsent(_over_time)?\s*\(`).MatchString(query) {
			v.problem(at+"."+field, "it gives a number where there is no data, so that missing metrics would look like idleness", "take that out; where a counter is only made by its first request, say alive:")
		}
	}
	if q.Alive != "" && strings.TrimSpace(q.Alive) == "" {
		v.problem(at+".alive", "it is empty", "write a query in PromQL, as up{job=\"ingress\"}, or leave it out")
	}
	step, gap := q.Steps()
	if step < time.Second {
		v.problem(at+".step", fmt.Sprintf("%s is less than a second", step), "raise it, or leave it out for 1m")
	}
	if gap > longestGap {
		v.problem(at+".gap", fmt.Sprintf("%s is more than %s: who comes in it would not be seen", gap, longestGap), "lower it, or leave it out for 5m")
	}
	if step <= 0 || gap < step {
		v.problem(at+".gap", fmt.Sprintf("data may be missing for %s, and the points of an answer are %s apart", gap, step), "make gap at least as long as step")
	}
}
