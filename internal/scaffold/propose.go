package scaffold

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/migration"
)

// ProposeOptions are the user's choices.
type ProposeOptions struct {
	// Name of the migration; empty takes the namespace's, where there is one.
	Name string
	// Rehearsal shortens the safety times, for a first try.
	Rehearsal bool
}

// Proposal is a first file, as guesses and open questions. Rendering it is all that is left to do.
type Proposal struct {
	survey *Survey
	opts   ProposeOptions

	name   string
	reason migration.Reason
	why    string
	stores []sourceStore
	bucket []bucketGuess
	maps   []mapGuess
	apps   []appGuess
	zones  []zoneGuess
	names  []string // annotations that DNS controllers read: patches
	envs   []envGuess
	notes  []string
}

// sourceStore is one store of blue's.
type sourceStore struct {
	name      string
	namespace string
	coordinates
	credentials
}

// bucketGuess is one bucket that moves.
type bucketGuess struct {
	name, store string
	coordinates
	apps  []string
	binds []bindGuess
}

// bindGuess is one object that tells an application of a bucket.
type bindGuess struct {
	kind, namespace, name string
	set                   [][2]string // key and what it gets, a mark or a template
}

// mapGuess is one section of maps.
type mapGuess struct {
	section string
	comment string
	entries [][2]string
}

// envGuess is a variable of a container that names a bucket: only a patch changes it.
type envGuess struct {
	namespace string
	place
}

// appGuess is one application.
type appGuess struct {
	name, namespace, selector string
	workloads                 []Workload
	wave                      int
	writes                    string // or a mark
	why                       string
	jobsOnly                  bool
	freeze                    *freezeGuess
	buckets                   []string
	volumes                   string // a mark, or empty
	hosts                     []hostGuess
	later                     []string // what is not taken in, as comments
	port                      int
	podSelector               string
}

// freezeGuess is how writes may be refused.
type freezeGuess struct {
	configMap, key, off, on string // empty where no ConfigMap has a switch
}

// hostGuess is one hostname.
type hostGuess struct {
	name, service, ingress string
	port                   int
	scheme                 string
	blueTarget             string
	greenTarget            string // a mark
	path                   string
}

type zoneGuess struct{ name, server, serverName string }

// mark is a value that a person must decide.
func mark(format string, args ...any) string {
	return migration.Mark + ": " + fmt.Sprintf(format, args...)
}

// Propose guesses a migration from a survey. It reads nothing else.
func Propose(s *Survey, opts ProposeOptions) *Proposal {
	p := &Proposal{survey: s, opts: opts}
	p.nameIt()
	p.giveReason()
	taken := map[string]bool{}
	for _, ns := range s.Namespaces {
		for _, g := range groupWorkloads(ns) {
			p.apps = append(p.apps, appGuess{name: appName(g.name, ns.Name, taken), namespace: ns.Name, selector: g.selector, workloads: g.workloads})
		}
	}
	for i := range p.apps {
		ns := p.namespace(p.apps[i].namespace)
		a := &p.apps[i]
		p.guessStores(ns, a)
		p.guessHosts(ns, a)
		guessPort(ns, a)
		guessVolumes(ns, a)
		guessWrites(ns, a)
	}
	p.guessWaves()
	p.guessMaps()
	p.guessZones()
	p.guessNames()
	p.note()
	return p
}

func (p *Proposal) namespace(name string) Namespace {
	i := slices.IndexFunc(p.survey.Namespaces, func(ns Namespace) bool { return ns.Name == name })
	return p.survey.Namespaces[i]
}

var migrationName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

func (p *Proposal) nameIt() {
	p.name = p.opts.Name
	if p.name == "" && len(p.survey.Namespaces) == 1 && migrationName.MatchString(p.survey.Namespaces[0].Name) {
		p.name = p.survey.Namespaces[0].Name
	}
	if p.name == "" {
		p.name = "move"
	}
}

// giveReason guesses why the applications move, from what differs.
func (p *Proposal) giveReason() {
	b, g := p.survey.Blue, p.survey.Green
	switch {
	case !slices.Equal(b.Providers, g.Providers) && strings.Join(b.Providers, "")+strings.Join(g.Providers, "") != "":
		p.reason, p.why = migration.ReasonProvider, "the nodes' providers differ"
	case b.Version != g.Version:
		p.reason, p.why = migration.ReasonVersion, "the versions differ"
	default:
		p.reason, p.why = migration.ReasonHosts, "versions and providers are the same"
	}
}

// hookSelector is what hooks must say to reach the pods of the one workload that answers them, where the application's own
// selector chooses others too, or not these.
func hookSelector(ns Namespace, a appGuess, serving Workload) string {
	only := []Workload{serving}
	if podsChosen(a.selector, only, ns.Workloads) {
		return ""
	}
	var all []string
	for _, key := range slices.Concat(labelKeys(), sortedKeys(serving.PodLabels)) {
		if serving.PodLabels[key] == "" {
			continue
		}
		one := key + "=" + serving.PodLabels[key]
		if podsChosen(one, only, ns.Workloads) {
			return one
		}
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return strings.Join(all, ",")
}

func (p *Proposal) guessStores(ns Namespace, a *appGuess) {
	found := placesOf(ns, a.workloads)
	if len(found) == 0 {
		return
	}
	keys := credentialsOf(ns, a.workloads)
	for _, at := range found {
		store := p.store(ns.Name, at.coordinates, keys)
		b := p.bucketOf(store, at.coordinates)
		if !slices.Contains(b.apps, a.name) {
			b.apps = append(b.apps, a.name)
		}
		if !slices.Contains(a.buckets, b.name) {
			a.buckets = append(a.buckets, b.name)
		}
		if at.ConfigMap == "" {
			p.envs = append(p.envs, envGuess{namespace: ns.Name, place: at})
			continue
		}
		b.bind("ConfigMap", ns.Name, at.ConfigMap, at.Key, templateOf(at))
		for _, what := range sortedKeys(at.Beside) {
			b.bind("ConfigMap", ns.Name, at.ConfigMap, at.Beside[what], "{{"+what+"}}")
		}
	}
	for _, name := range a.buckets {
		b := &p.bucket[slices.IndexFunc(p.bucket, func(b bucketGuess) bool { return b.name == name })]
		if keys.Access.Secret != "" {
			b.bind("Secret", ns.Name, keys.Access.Secret, keys.Access.Key, mark("the ID of green's key: {{accessKey}}, or {{account}} where green's store is azure"))
		}
		if keys.Secret.Secret != "" {
			b.bind("Secret", ns.Name, keys.Secret.Secret, keys.Secret.Key, "{{secretKey}}")
		}
	}
}

// templateOf is what a key of a ConfigMap becomes on green.
func templateOf(at place) string {
	if at.Only {
		return "{{bucket}}"
	}
	return mark("the same for green's store, such as %s", example(at.coordinates))
}

func example(c coordinates) string {
	switch c.Provider {
	case "azure":
		return "az://{{account}}/{{bucket}}?endpoint={{endpoint}}"
	case "gcs":
		return "gs://{{bucket}}"
	}
	return c.Provider + "://{{bucket}}?endpoint={{endpoint}}&region={{region}}"
}

// store returns the name of a store with these coordinates and keys, a new one where there is none yet.
func (p *Proposal) store(namespace string, c coordinates, keys credentials) string {
	c.Bucket, c.Prefix = "", ""
	for _, s := range p.stores {
		if s.coordinates == c && s.credentials == keys && s.namespace == namespace {
			return s.name
		}
	}
	name := "old"
	if n := len(p.stores); n > 0 {
		name = fmt.Sprintf("old-%d", n+1)
	}
	p.stores = append(p.stores, sourceStore{name: name, namespace: namespace, coordinates: c, credentials: keys})
	return name
}

// bucketOf returns the bucket at these coordinates: two applications that are told of the same one share it, whichever keys
// they use.
func (p *Proposal) bucketOf(store string, c coordinates) *bucketGuess {
	for i := range p.bucket {
		if p.bucket[i].coordinates == c {
			return &p.bucket[i]
		}
	}
	name := c.Bucket
	if slices.ContainsFunc(p.bucket, func(b bucketGuess) bool { return b.name == name }) {
		name = fmt.Sprintf("%s-%d", c.Bucket, len(p.bucket)+1)
	}
	p.bucket = append(p.bucket, bucketGuess{name: name, store: store, coordinates: c})
	return &p.bucket[len(p.bucket)-1]
}

func (b *bucketGuess) bind(kind, namespace, name, key, value string) {
	i := slices.IndexFunc(b.binds, func(x bindGuess) bool { return x.kind == kind && x.namespace == namespace && x.name == name })
	if i < 0 {
		b.binds = append(b.binds, bindGuess{kind: kind, namespace: namespace, name: name})
		i = len(b.binds) - 1
	}
	if !slices.ContainsFunc(b.binds[i].set, func(kv [2]string) bool { return kv[0] == key }) {
		b.binds[i].set = append(b.binds[i].set, [2]string{key, value})
	}
}

func guessVolumes(ns Namespace, a *appGuess) {
	claims := map[string]bool{}
	for _, w := range a.workloads {
		for _, c := range w.Claims {
			claims[c] = true
		}
		for name := range w.Templates {
			made := name + "-" + w.Name + "-"
			claims[made+"0"] = true
			for claim := range ns.Claims {
				claims[claim] = claims[claim] || strings.HasPrefix(claim, made)
			}
		}
	}
	maps.DeleteFunc(claims, func(_ string, is bool) bool { return !is })
	if len(claims) > 0 {
		a.volumes = mark("empty, if the claims (%s) may start empty on green; else take this line out and declare a payload below: volume data is not moved", strings.Join(sorted(claims), ", "))
	}
}

var readOnlyKey = regexp.MustCompile(`(?i)^(.*[._-])?(read[._-]?only([._-]?mode)?|maintenance([._-]?mode)?)$`)

// opposites are the two words of a switch.
func opposites() [][2]string {
	return [][2]string{{"false", "true"}, {"False", "True"}, {"0", "1"}, {"off", "on"}, {"no", "yes"}, {"disabled", "enabled"}}
}

// guessWrites says how writes may be stopped. What shows no sign of data is not taken for harmless: a person says so.
func guessWrites(ns Namespace, a *appGuess) {
	var signs []string
	if a.volumes != "" {
		signs = append(signs, "it claims volumes")
	}
	if len(a.buckets) > 0 {
		signs = append(signs, "it is told of buckets")
	}
	if credentialsOf(ns, a.workloads).Secret.Secret != "" && len(a.buckets) == 0 {
		signs = append(signs, "it has the key of a store")
	}
	if leadsToDatabase(ns, a.workloads) {
		signs = append(signs, "it is told of a database")
	}
	sign := strings.Join(signs, ", ")
	switch {
	case !slices.ContainsFunc(a.workloads, func(w Workload) bool { return !w.job() }):
		a.jobsOnly = true
		a.writes, a.why = string(migration.WritesQuiesce), "it has jobs only: they are suspended on blue before they run on green"
	case sign == "":
		a.writes = mark("none, if it keeps nothing (no claim, bucket, store's key or database was seen); freeze, with the hooks of the file's documentation; or quiesce, which is downtime")
	case a.port == 0:
		a.writes = mark("quiesce, which is downtime, or freeze with hooks (%s, and no port of its pods is declared that a hook could call)", sign)
	default:
		a.writes, a.why = string(migration.WritesFreeze), sign
		a.freeze = &freezeGuess{}
		for _, w := range a.workloads {
			a.freeze.look(ns, w)
		}
	}
}

// look finds a switch in the ConfigMaps of a workload.
func (f *freezeGuess) look(ns Namespace, w Workload) {
	for _, name := range w.ConfigMaps {
		for _, key := range sortedKeys(ns.Settings[name]) {
			for _, pair := range opposites() {
				if f.configMap == "" && readOnlyKey.MatchString(key) && ns.Settings[name][key] == pair[0] {
					*f = freezeGuess{configMap: name, key: key, off: pair[0], on: pair[1]}
				}
			}
		}
	}
}

func leadsToDatabase(ns Namespace, workloads []Workload) bool {
	for _, w := range workloads {
		for _, c := range w.Containers {
			if slices.ContainsFunc(c.Env, func(e Env) bool { return database(e.Value) || databaseKey.MatchString(e.Name) }) {
				return true
			}
		}
		for _, name := range w.ConfigMaps {
			for key, value := range ns.Settings[name] {
				if database(value) || databaseKey.MatchString(key) {
					return true
				}
			}
		}
		for _, name := range w.Secrets {
			if slices.ContainsFunc(ns.Secrets[name], databaseKey.MatchString) {
				return true
			}
		}
	}
	return false
}

var databaseKey = regexp.MustCompile(`(?i)(^|[._-])(database|db|postgres(ql)?|pg|mysql|mongo(db)?|redis)[._-]?(url|uri|dsn|host|password)$`)

// guessPort finds the workload that answers for the application, and at which port hooks reach its pods: what stands behind a
// hostname before what is probed, and that before what merely has a port.
func guessPort(ns Namespace, a *appGuess) {
	best, rank := Workload{}, 0
	for _, w := range a.workloads {
		port, is := 0, 0
		for _, c := range w.Containers {
			if c.Ready != nil && c.Ready.Port > 0 && is < 2 {
				port, is = c.Ready.Port, 2
			}
			if len(c.Ports) > 0 && is < 1 {
				port, is = c.Ports[0].Number, 1
			}
		}
		if is > 0 && slices.ContainsFunc(a.hosts, func(h hostGuess) bool {
			svc, ok := serviceNamed(ns, h.service)
			return ok && behind(svc, []Workload{w})
		}) {
			is += 2
		}
		if !w.job() && is > rank {
			best, rank, a.port = w, is, port
		}
	}
	if rank > 0 {
		a.podSelector = hookSelector(ns, *a, best)
	}
	for i := range a.hosts {
		a.hosts[i].path = pathBehind(ns, a, a.hosts[i])
	}
}

// pathBehind is the path of the readiness probe, where a hostname's Service leads to the port that is probed.
func pathBehind(ns Namespace, a *appGuess, h hostGuess) string {
	for _, svc := range ns.Services {
		if svc.Name != h.service {
			continue
		}
		for _, port := range svc.Ports {
			for _, w := range a.workloads {
				for _, c := range w.Containers {
					if c.Ready != nil && c.Ready.Path != "" && c.port(port.Target) == c.Ready.Port && (h.ingress != "" || port.Number == h.port) {
						return c.Ready.Path
					}
				}
			}
		}
	}
	return ""
}

// guessWaves takes applications that keep data after those that do not, all of those that share something together.
func (p *Proposal) guessWaves() {
	first := 0
	for _, a := range p.apps {
		if !a.keeps() {
			first = 1
		}
	}
	for i := range p.apps {
		p.apps[i].wave = 1
		if p.apps[i].keeps() {
			p.apps[i].wave = first + 1
		}
	}
	slices.SortStableFunc(p.apps, func(a, b appGuess) int { return cmp.Compare(a.wave, b.wave) })
}

func (a appGuess) keeps() bool { return a.freeze != nil || a.volumes != "" || len(a.buckets) > 0 }
