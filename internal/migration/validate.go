package migration

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Floors and defaults of the times of a cutover. The floors fall only in a declared rehearsal.
const (
	// SoakFloor is added to twice the TTL: browsers keep an answer for 60 s, whatever its TTL.
	SoakFloor = 60 * time.Second
	// IdleFloor is the least time for which blue must have been idle, beside twice the old TTL.
	IdleFloor = 72 * time.Hour
	// DefaultTTL is the TTL that records have while they may still be swapped back.
	DefaultTTL = 60 * time.Second
	// longestTTL that a name may be lowered to.
	longestTTL = 24 * time.Hour
)

// validator holds what the types cannot say. Positions come from the walk.
type validator struct {
	dir      string // of the file: relative paths start there
	at       map[string]position
	problems []Problem
}

func (v *validator) problem(field, what, mend string) {
	p, ok := v.at[field]
	for parent := field; !ok && parent != ""; {
		parent = parentOf(parent)
		p, ok = v.at[parent]
	}
	if !ok {
		p = position{1, 1}
	}
	v.problems = append(v.problems, Problem{Line: p.line, Column: p.column, Field: field, What: what, Mend: mend})
}

// ofRetirement marks what a judgement finds as asked for by the end of blue alone.
func (v *validator) ofRetirement(judge func()) {
	before := len(v.problems)
	judge()
	for i := range v.problems[before:] {
		v.problems[before+i].Retirement = true
	}
}

func parentOf(field string) string {
	i := strings.LastIndexAny(field, ".[")
	if i < 0 {
		return ""
	}
	return field[:i]
}

func (v *validator) file(f *File) {
	v.sides(f)
	v.stores(f)
	v.buckets(f)
	v.places(f)
	v.patches(f)
	v.zones(f)
	names := map[string]bool{}
	for i := range f.Applications {
		a := &f.Applications[i]
		at := fmt.Sprintf("applications[%d]", i)
		if names[a.Name] {
			v.problem(at+".name", fmt.Sprintf("a second application is called %q", a.Name), "names are used once")
		}
		names[a.Name] = true
		v.application(f, a, at)
	}
	v.hostnames(f)
	v.sharedBuckets(f)
	v.times(f)
	v.windows(f)
	v.approvals(f)
	v.notifications(f)
	v.externalDNS(f)
	v.ofRetirement(func() { v.retirement(f) })
}

func (v *validator) sides(f *File) {
	if f.Blue.Kubeconfig != f.Green.Kubeconfig || f.Blue.Context != f.Green.Context {
		return
	}
	for i, a := range f.Applications {
		to, mapped := f.Maps.Namespaces[a.Namespace]
		if !mapped || to == a.Namespace {
			v.problem(fmt.Sprintf("applications[%d].namespace", i),
				fmt.Sprintf("blue and green are the same cluster and %s keeps its namespace %s", a.Name, a.Namespace),
				"map the namespace under maps.namespaces, or name another context")
		}
	}
}

func (v *validator) stores(f *File) {
	for name, s := range f.Stores {
		at := "stores." + name
		v.secret(s.AccessKey, at+".accessKey")
		v.secret(s.SecretKey, at+".secretKey")
		if s.Provider == "azure" && s.Account == "" {
			v.problem(at, "an azure store needs its account", "add account: NAME")
		}
		if s.Provider == "minio" && s.Endpoint == "" {
			v.problem(at, "a minio store needs its endpoint", "add endpoint: https://HOST:PORT")
		}
	}
	v.secret(f.Archive.Identity, "archive.identity")
	if f.Archive.Store != "" {
		v.store(f, f.Archive.Store, "archive.store")
	}
	v.state(f)
	if len(f.Archive.Recipients) > 0 && f.Archive.Identity == nil {
		v.problem("archive", "recipients are named but not the identity that opens the Secrets again", "add identity: {file: PATH}")
	}
	for i, r := range f.Archive.Recipients {
		if !strings.HasPrefix(r, "age1") {
			// It is not repeated: people put the secret key here by mistake.
			v.problem(fmt.Sprintf("archive.recipients[%d]", i), "it is not an age public key", "that begins with age1; age-keygen -y prints it")
		}
	}
}

func (v *validator) state(f *File) {
	if f.State == nil {
		return
	}
	remote := strings.Contains(f.State.URL, "://") && !strings.HasPrefix(f.State.URL, "file://")
	switch {
	case f.State.Store != "" && f.State.URL == "":
		v.problem("state.store", "it is of no use without state.url", "add url: s3://BUCKET/FOLDER, or take it away")
	case f.State.Store != "":
		v.store(f, f.State.Store, "state.store")
	case remote:
		v.problem("state.url", "nothing says with which credentials it is opened", "add store: NAME, an entry of stores")
	}
}

func (v *validator) store(f *File, name, at string) {
	if _, ok := f.Stores[name]; !ok {
		v.problem(at, fmt.Sprintf("no store is called %q", name), "stores: "+orNone(keys(f.Stores)))
	}
}

func (v *validator) secret(r *SecretRef, at string) {
	if r == nil {
		return
	}
	if n := count(r.Env != "", r.File != "", r.Secret != nil); n != 1 {
		v.problem(at, fmt.Sprintf("it refers to %d secrets", n), "set exactly one of env, file and secret")
	}
}

func (v *validator) buckets(f *File) {
	names := map[string]bool{}
	for i, b := range f.Buckets {
		at := fmt.Sprintf("buckets[%d]", i)
		if names[b.Name] {
			v.problem(at+".name", fmt.Sprintf("a second bucket is called %q", b.Name), "names are used once")
		}
		names[b.Name] = true
		v.store(f, b.From.Store, at+".from.store")
		v.store(f, b.To.Store, at+".to.store")
		if b.From == b.To {
			v.problem(at+".to", "it is the bucket that is copied from", "name another bucket or store")
		}
		if b.From != b.To && v.overlap(f, b) {
			v.problem(at+".to", "source and destination lie inside one another", "name another bucket, or another prefix")
		}
		if _, err := b.BytesPerSecond(); err != nil {
			v.problem(at+".bandwidth", err.Error(), "write bytes a second, as in 20M")
		}
		for k, bind := range b.Bind {
			if bind.Kind == "ConfigMap" {
				for key, value := range bind.Set {
					if strings.Contains(value, "{{secretKey}}") || strings.Contains(value, "{{accessKey}}") {
						v.problem(fmt.Sprintf("%s.bind[%d].set.%s", at, k, key), "a key would stand in a ConfigMap in clear", "put it into a Secret")
					}
				}
			}
		}
	}
}

func (v *validator) patches(f *File) {
	for i, p := range f.Patches {
		if count(p.Merge != nil, len(p.JSON) > 0) != 1 {
			v.problem(fmt.Sprintf("patches[%d]", i), "it must hold either merge or json", "")
		}
	}
}

// nameServer demands an address: a host name would be looked up in the very DNS that is being changed, and could lead to several servers.
func (v *validator) nameServer(s, at string) {
	if _, err := netip.ParseAddrPort(s); err != nil {
		v.problem(at, fmt.Sprintf("%q is no address with a port", s), "write it as 192.0.2.1:53 or [2001:db8::1]:53; of a name server that you know by name, the address that it has")
	}
}

func (v *validator) hostnames(f *File) {
	seen, made := map[string]string{}, map[string]bool{}
	for i, a := range f.Applications {
		for k, h := range a.Hostnames {
			at := fmt.Sprintf("applications[%d].hostnames[%d]", i, k)
			name := bare(h.Name)
			if other, ok := seen[name]; ok {
				v.problem(at+".name", fmt.Sprintf("%s belongs to application %s already", h.Name, other), "a name is cut over once")
			}
			seen[name] = a.Name
			if v.dnsName(h.Name, at+".name", true) && f.ZoneOf(name) == nil && !h.AtBackend() {
				v.problem(at+".name", fmt.Sprintf("%s is in none of the zones", h.Name), "add its zone under zones")
			}
			v.entry(f, a, h, at, made)
		}
	}
}

// entry judges what a hostname says of where the sides answer, and of how it moves.
func (v *validator) entry(f *File, a Application, h Hostname, at string, made map[string]bool) {
	v.objects(h, at)
	v.side(h, h.Blue, at+".blue")
	v.side(h, h.Green, at+".green")
	named := count(h.Service != "", h.Ingress != "", h.HTTPRoute != "")
	switch {
	case named > 1:
		v.problem(at, "it names more than one entry", "keep exactly one of service, ingress and httpRoute")
	case h.AtBackend() && h.Ingress == "" && h.HTTPRoute == "":
		v.problem(at+".switch", "a backend is switched at an Ingress or an HTTPRoute, and none is named", "add ingress: NAME or httpRoute: NAME, by its name on blue")
	case named == 0 && (h.Blue == nil || h.Green == nil):
		v.problem(at, "nothing says where the sides answer for the name", "add service: NAME, ingress: NAME, httpRoute: NAME, or blue: and green: with target")
	}
	if h.Blue != nil && h.Green != nil && h.Blue.Target != "" && bare(h.Blue.Target) == bare(h.Green.Target) {
		v.problem(at+".green.target", "it is blue's target too, so that moving the name would move nothing", "name what green's load balancer is called")
	}
	if h.Blue != nil && h.Blue.MakeRecord != "" {
		v.problem(at+".blue.makeRecord", "blue's entry is where the name leads already", "take it out; green: {makeRecord: NAME} makes a name for green's")
	}
	if h.Green != nil && h.Green.MakeRecord != "" {
		v.makeRecord(f, h, at+".green.makeRecord", made)
	}
	if !h.AtBackend() {
		return
	}
	if h.Green != nil {
		v.problem(at+".green", "with switch: backend users reach green at blue's entry", "take it out; blue: names that entry where it cannot be found")
	}
	if a.Namespace == f.GreenNamespace(a.Namespace) {
		v.problem(at+".switch", "a backend is switched from a namespace to another of the same cluster, and "+a.Namespace+" keeps its name", "map it under maps.namespaces, or use switch: dns")
	}
	if f.Retirement != nil && slices.Contains(f.Retirement.Delete.Namespaces, a.Namespace) {
		v.ofRetirement(func() {
			v.problem(at+".switch", fmt.Sprintf("the namespace %s is to be deleted at the retirement, and its entry goes on carrying %s to green", a.Namespace, h.Name),
				"take the namespace out of retirement.delete, and delete by hand what it still holds once the entry has moved")
		})
	}
}

// GreenNamespace is green's name of one of blue's namespaces.
func (f *File) GreenNamespace(blue string) string {
	if to, ok := f.Maps.Namespaces[blue]; ok {
		return to
	}
	return blue
}

// ZoneOf returns the zone with the longest name that holds a hostname, at label borders, or nil.
func (f *File) ZoneOf(hostname string) *Zone {
	name := bare(hostname)
	var best *Zone
	for i := range f.Zones {
		z := bare(f.Zones[i].Name)
		if name != z && !strings.HasSuffix(name, "."+z) {
			continue
		}
		if best == nil || len(z) > len(bare(best.Name)) {
			best = &f.Zones[i]
		}
	}
	return best
}

func (v *validator) sharedBuckets(f *File) {
	waves := map[string]*Application{}
	for i := range f.Applications {
		a := &f.Applications[i]
		for k, b := range a.Buckets {
			at := fmt.Sprintf("applications[%d].buckets[%d]", i, k)
			if !slices.ContainsFunc(f.Buckets, func(x Bucket) bool { return x.Name == b }) {
				v.problem(at, fmt.Sprintf("no bucket is called %q", b), "add it under buckets")
			}
			if other := waves[b]; other != nil && other.Wave != a.Wave {
				v.problem(at, fmt.Sprintf("%s (wave %d) and %s (wave %d) share bucket %s", other.Name, other.Wave, a.Name, a.Wave, b),
					"applications that share a bucket share a wave")
			}
			waves[b] = a
		}
	}
}

func (v *validator) times(f *File) {
	floor := f.SoakFloor()
	if f.Cutover.Soak != 0 && f.Cutover.Soak.D() < floor {
		v.problem("cutover.soak", fmt.Sprintf("%s is less than 2 × TTL + floor = %s", f.Cutover.Soak, floor), "raise it, leave it out, or declare a rehearsal")
	}
	switch ttl := f.Cutover.TTL.D(); {
	case ttl%time.Second != 0:
		v.problem("cutover.ttl", fmt.Sprintf("%s is no number of whole seconds", f.Cutover.TTL), "a record's TTL is in seconds: 1s or more")
	case ttl > longestTTL:
		v.problem("cutover.ttl", fmt.Sprintf("%s is more than %s: going back would take as long", f.Cutover.TTL, Duration(longestTTL)), "lower it, or leave it out for 60s")
	}
	if d := f.Cutover.ClusterDomain; d != "" && len(validation.IsDNS1123Subdomain(strings.Trim(d, "."))) > 0 {
		v.problem("cutover.clusterDomain", fmt.Sprintf("%q is not a domain", d), "write it as cluster.local")
	}
}

// SoakFloor is the least time that an application is watched after its swap: 2 × TTL + 60 s, or the rehearsal's.
func (f *File) SoakFloor() time.Duration {
	floor := SoakFloor
	if f.Rehearsal != nil && f.Rehearsal.Soak != 0 {
		floor = f.Rehearsal.Soak.D()
	}
	return 2*f.Cutover.TTL.Or(DefaultTTL) + floor
}

// IdleFloor is the least time for which blue must have been idle, before twice the old TTL is taken into account.
func (f *File) IdleFloor() time.Duration {
	if f.Rehearsal != nil && f.Rehearsal.Idle != 0 {
		return f.Rehearsal.Idle.D()
	}
	return IdleFloor
}

func count(set ...bool) int {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none are declared"
	}
	return strings.Join(list, ", ")
}
