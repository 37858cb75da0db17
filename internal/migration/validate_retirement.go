package migration

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

func (v *validator) retirement(f *File) {
	if f.Retirement == nil {
		return
	}
	v.brownOut(f)
	for i, cidr := range f.Retirement.Ignore {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			v.problem(fmt.Sprintf("retirement.ignore[%d]", i), fmt.Sprintf("%q is not a CIDR", cidr), "write it as 192.0.2.0/24")
		}
	}
	for i, log := range f.Retirement.AccessLogs {
		v.accessLog(log, fmt.Sprintf("retirement.accessLogs[%d]", i))
	}
	for i, q := range f.Retirement.Prometheus {
		v.idleQuery(f.Retirement.Prometheus[:i], q, fmt.Sprintf("retirement.prometheus[%d]", i))
	}
	for i, name := range f.Retirement.Unlisted {
		same := func(z Zone) bool {
			return strings.EqualFold(strings.TrimSuffix(z.Name, "."), strings.TrimSuffix(name, "."))
		}
		if !slices.ContainsFunc(f.Zones, same) {
			v.problem(fmt.Sprintf("retirement.unlisted[%d]", i), fmt.Sprintf("%s is none of the zones", name), "name one of them, or take it out")
		}
	}
	for i, ns := range f.Retirement.Delete.Namespaces {
		if ns == "default" || strings.HasPrefix(ns, "kube-") {
			v.problem(fmt.Sprintf("retirement.delete.namespaces[%d]", i), fmt.Sprintf("%s belongs to the cluster", ns), "name namespaces of applications only")
		}
	}
}

func (v *validator) brownOut(f *File) {
	const at = "retirement.brownOut"
	b := f.Retirement.BrownOut
	switch {
	case b == nil:
	case b.Skip != "" && (b.For != 0 || b.Internal):
		v.problem(at, "it is skipped, so that nothing else of it has an effect", "take skip out, or the rest")
	case b.For != 0 && b.For.D() < BrownOutFloor && f.Rehearsal == nil:
		v.problem(at+".for", fmt.Sprintf("%s is less than %s: who comes every few minutes would not be met", b.For, BrownOutFloor), "raise it, leave it out, or declare a rehearsal")
	}
}

func (v *validator) accessLog(log AccessLog, at string) {
	if _, err := labels.Parse(log.Selector); err != nil {
		v.problem(at+".selector", err.Error(), "write it as kubectl does: app.kubernetes.io/name=ingress-nginx")
	}
	switch {
	case log.Fields == nil && log.Format == "json":
		v.problem(at+".fields", "nothing says which fields of the lines are the time and the host", "name them, or a controller as the format")
	case log.Fields != nil && log.Fields.Host == "" && log.Fields.Backend == "":
		v.problem(at+".fields", "neither host nor backend is named, so that no request could be told to be for a name that has moved", "name one of them")
	}
}

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
	step, gap := q.Steps()
	if step <= 0 || gap < step {
		v.problem(at+".gap", fmt.Sprintf("data may be missing for %s, and the points of an answer are %s apart", gap, step), "make gap at least as long as step")
	}
}
