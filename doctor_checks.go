package crossfade

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/restore"
)

// Versions of Kubernetes that the tests run against, as minor versions of 1.
const (
	oldestTested = 28
	newestTested = 36
)

// maxClusterSkew is how far a cluster's clock may be off: tokens and certificates are judged by it, and times in reports.
const maxClusterSkew = 30 * time.Second

// facts are what checks hand to those that need them.
type facts struct {
	mu        sync.Mutex
	greetings map[string]kube.Greeting

	once  sync.Once
	sight *sight
	err   error
}

// look reads blue once for all checks that need its objects. Without an answer, the check is marked and nil returned.
func (s *facts) look(ctx context.Context, m *Migration, f *Finding) *sight {
	s.once.Do(func() { s.sight, s.err = m.see(ctx) })
	if s.err != nil {
		f.skip("what would move could not be read")
		return nil
	}
	return s.sight
}

func (s *facts) greeted(side string) kube.Greeting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.greetings[side]
}

// checks are all questions, in the order in which a migration needs the answers.
func (m *Migration) checks() []check {
	s := &facts{greetings: map[string]kube.Greeting{}}
	list := []check{m.reachCheck(Blue, s), m.reachCheck(Green, s)}
	both := []string{"blue: reach", "green: reach"}
	list = append(list,
		clockCheck(Blue, s), clockCheck(Green, s),
		check{name: "versions", needs: both, do: func(_ context.Context, f *Finding) { m.compareVersions(s, f) }},
		check{name: "two places", needs: both, do: m.comparePlaces},
		check{name: "objects", needs: both, long: true, mend: "a namespace with very many objects takes longer: say --limit 1m", do: func(ctx context.Context, f *Finding) { m.seeObjects(ctx, s, f) }},
		m.rightsCheck(Blue, s), m.rightsCheck(Green, s),
	)
	for _, c := range []struct {
		name, text string
		do         func(context.Context, *restore.Sight) ([]plan.Refusal, error)
	}{
		{"green: kinds", "every kind that moves is served, or its definition moves too", func(_ context.Context, at *restore.Sight) ([]plan.Refusal, error) { return at.Kinds(), nil }},
		{"green: classes", "the classes of storage, ingress, priority and runtime are there", func(ctx context.Context, at *restore.Sight) ([]plan.Refusal, error) { return at.Classes(ctx) }},
		{"green: room", "its nodes have room for the requests of all that moves", func(ctx context.Context, at *restore.Sight) ([]plan.Refusal, error) { return at.Room(ctx) }},
	} {
		list = append(list, check{name: c.name, needs: both, long: true, do: func(ctx context.Context, f *Finding) {
			at := s.look(ctx, m, f)
			if at == nil {
				return
			}
			refusals, err := c.do(ctx, at.green)
			if f.refused(refusals); err != nil {
				f.failed(err, mendRights(Green))
			}
			if f.Status == Passed {
				f.say("%s", c.text)
			}
		}})
	}
	list = append(list, m.storeChecks()...)
	list = append(list, m.hereChecks()...)
	list = append(list, m.gateChecks()...)
	list = append(list, m.receiverChecks()...)
	return append(list, m.nameChecks(s)...)
}

func (m *Migration) reachCheck(side string, s *facts) check {
	return check{name: side + ": reach", do: func(ctx context.Context, f *Finding) {
		client, err := m.side(side)
		if err != nil {
			f.fail(err.Error(), "correct "+side+".kubeconfig and "+side+".context in "+m.file.Path)
			return
		}
		g, err := client.Greet(ctx)
		if err != nil {
			f.failed(err, "check that it can be reached from here")
			return
		}
		s.mu.Lock()
		s.greetings[side] = g
		s.mu.Unlock()
		f.say("%s answers in %s", client.Config.Host, cli.Duration(g.Took))
	}}
}

func clockCheck(side string, s *facts) check {
	return check{name: side + ": clock", needs: []string{side + ": reach"}, do: func(_ context.Context, f *Finding) {
		g := s.greeted(side)
		skew := g.Skew()
		switch {
		case g.Date.IsZero():
			f.skip("the server does not tell its time")
		case skew.Abs() > maxClusterSkew:
			f.fail(fmt.Sprintf("its clock is %s", aside(skew)), "set the clock of this machine or of the server (NTP): tokens, certificates and all times of the report are judged by them")
		default:
			f.say("%s", aside(skew))
		}
	}}
}

func aside(skew time.Duration) string {
	switch {
	case skew > 0:
		return fmt.Sprintf("%d s ahead of this machine's", int(skew.Seconds()))
	case skew < 0:
		return fmt.Sprintf("%d s behind this machine's", int(-skew.Seconds()))
	}
	return "with this machine's"
}

func (m *Migration) compareVersions(s *facts, f *Finding) {
	var minors [2]uint
	for i, side := range []string{Blue, Green} {
		v, err := version.ParseGeneric(s.greeted(side).Version)
		if err != nil {
			f.skip("%s does not tell its version to this account", side)
			return
		}
		minors[i] = v.Minor()
		if v.Minor() < oldestTested || v.Minor() > newestTested {
			f.note("%s runs 1.%d; this version of Crossfade was tested with 1.%d to 1.%d", side, v.Minor(), oldestTested, newestTested)
		}
	}
	f.say("blue %s, green %s, crossfade %s", s.greeted(Blue).Version, s.greeted(Green).Version, m.opts.Tool)
	if minors[1] < minors[0] && !m.file.Restore.AllowOlder {
		f.fail("green is older than blue: fields that it does not know would be lost", "use a green of at least blue's version, or say restore.allowOlder: true")
	}
}

// comparePlaces refuses that blue and green are one place, as preflight does.
func (m *Migration) comparePlaces(ctx context.Context, f *Finding) {
	p := newPreflight(m.file.Name)
	var found preflightResult
	if m.lookAt(ctx, p, Blue, &found.Blue) && m.lookAt(ctx, p, Green, &found.Green) {
		m.compareSides(p, found)
		f.say("two clusters")
		if found.Blue.UID == found.Green.UID {
			f.say("one cluster, other namespaces")
		}
	}
	f.refused(p.Refusals)
}

// oneCluster reports whether both sides are the same cluster; where that is not known, another check says so.
func (m *Migration) oneCluster(ctx context.Context) bool {
	var found preflightResult
	p := newPreflight(m.file.Name)
	return m.lookAt(ctx, p, Blue, &found.Blue) && m.lookAt(ctx, p, Green, &found.Green) && found.Blue.UID == found.Green.UID
}

// seeObjects reads what would move.
func (m *Migration) seeObjects(ctx context.Context, s *facts, f *Finding) {
	at := s.look(ctx, m, f)
	if at == nil {
		f.failed(s.err, mendRights(Blue))
		return
	}
	f.refused(at.blue.Refusals)
	f.say("%s would move", cli.Count(len(at.blue.Index().Entries), "object"))
}

func (m *Migration) rightsCheck(side string, s *facts) check {
	return check{name: side + ": rights", needs: []string{"blue: reach", "green: reach"}, long: true, do: func(ctx context.Context, f *Finding) {
		client, err := m.side(side)
		if err != nil {
			f.fail(err.Error(), "correct "+side+".kubeconfig")
			return
		}
		if all, err := client.HoldsAll(ctx); err == nil && all {
			f.say("this account may do everything; less is enough")
			f.note("%s", mendRights(side))
			return
		}
		rights := m.knownRights()
		if at := s.look(ctx, m, f); at != nil {
			more, err := m.rights(ctx, at)
			if err != nil {
				f.failed(err, mendRights(side))
				return
			}
			rights = append(more, makingNamespaces(at)...)
		}
		missing, err := m.missingRights(ctx, side, rights)
		if err != nil {
			f.failed(err, mendRights(side))
			return
		}
		rules := rulesOf(side, rights)
		f.say("%s held", cli.Count(len(rules), "rule"))
		for i, miss := range missing {
			last := ""
			if i == len(missing)-1 {
				last = mendRights(side)
			}
			f.fail("this account may not "+miss.String()+" ("+miss.Why[0]+")", last)
		}
	}}
}

// nameChecks look at hostnames, their entries and their zones.
func (m *Migration) nameChecks(s *facts) []check {
	if !m.hasNames() {
		return nil
	}
	needs := []string{"blue: reach", "green: reach"}
	list := []check{{name: "names", needs: needs, do: func(ctx context.Context, f *Finding) {
		p := newPreflight(m.file.Name)
		m.lookAtZones(ctx, p, true, m.oneCluster(ctx))
		f.refused(p.Refusals)
		for _, n := range p.Notes {
			f.note("%s: %s", n.What, n.Text)
		}
		f.say("each is one swappable record, and leads to blue, or to green where this migration has moved it")
	}}}
	for _, a := range m.file.Applications {
		if len(a.Hostnames) > 0 {
			list = append(list, check{name: "entries of " + a.Name, needs: needs, long: true, do: func(ctx context.Context, f *Finding) { m.examineEntries(ctx, a, s, f) }})
		}
	}
	for _, z := range m.file.Zones {
		list = append(list, check{name: "zone " + z.Name, long: true, do: func(ctx context.Context, f *Finding) { m.examineZone(ctx, z, f) }})
	}
	return list
}

// examineEntries demands that blue answers where the names lead, and that green will have somewhere to answer.
func (m *Migration) examineEntries(ctx context.Context, a migration.Application, s *facts, f *Finding) {
	opts, err := m.cutoverOptions(ctx, "doctor")
	if err != nil {
		f.failed(err, "correct zones and their secrets")
		return
	}
	at := s.look(ctx, m, f)
	if at == nil {
		return
	}
	entries, err := cutover.FindEntries(ctx, opts, a.Name)
	if err != nil {
		f.failed(err, "check the rights on both sides")
		return
	}
	var texts []string
	for i, e := range entries {
		for _, addr := range e.Blue.Addresses {
			if err := dial(ctx, addr, e.Blue.Port); err != nil {
				f.fail(fmt.Sprintf("blue's entry of %s does not answer: %v", e.Hostname, err), "check that blue serves the name, and that this machine reaches its entry: checks and soak ask from here")
			}
		}
		if len(e.Blue.Addresses) == 0 {
			f.fail(fmt.Sprintf("blue's entry of %s is not known: %s", e.Hostname, e.Blue.Missing), "name blue's target or address for the hostname")
		}
		texts = append(texts, fmt.Sprintf("%s at %s", strings.TrimSuffix(e.Hostname, "."), e.Blue))
		h := a.Hostnames[i]
		kind, name := "Service", h.Service
		switch {
		case h.Ingress != "":
			kind, name = "Ingress", h.Ingress
		case h.HTTPRoute != "":
			kind, name = "HTTPRoute", h.HTTPRoute
		}
		switch {
		case e.Green.Missing == "":
		case name != "" && at.green.Makes(kind, m.greenNamespace(a.Namespace), name):
			f.note("green's entry of %s comes with %s %s/%s", strings.TrimSuffix(e.Hostname, "."), kind, m.greenNamespace(a.Namespace), name)
		default:
			f.fail(fmt.Sprintf("green's entry of %s is not known, and nothing that moves will bring it: %s", e.Hostname, e.Green.Missing), "name a service or an ingress that moves, or green's target for the hostname")
		}
	}
	f.say("%s", strings.Join(texts, ", "))
}

func dial(ctx context.Context, addr netip.Addr, port int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

func (m *Migration) examineZone(ctx context.Context, z migration.Zone, f *Finding) {
	driver, err := m.zone(ctx, z)
	if err != nil {
		f.failed(err, "correct zones and their secrets")
		return
	}
	opts := cutover.Options{Migration: m.file.Name, Applications: m.file.Applications, Log: m.opts.Log, Clock: m.opts.Clock, Zones: []cutover.Zone{{Zone: z, Driver: driver}}}
	report := cutover.ExamineZone(ctx, opts, opts.Zones[0])
	f.refused(report.Refusals)
	for _, n := range report.Notes {
		f.note("%s: %s", n.What, n.Text)
	}
	serials := map[uint32]bool{}
	for _, at := range report.Serials {
		serials[at.Serial] = true
	}
	accepted := "the credentials are accepted"
	if _, ok := driver.(zone.Clocked); ok {
		accepted = "the key is accepted, its clock is " + aside(report.Skew)
	}
	f.say("%s with serial %v; %s; changes of %s would be taken",
		cli.Count(len(report.Serials), "server"), slices.Sorted(maps.Keys(serials)), accepted, cli.Count(len(report.Probed), "name"))
	if f.Status == Failed {
		f.Text = ""
	}
}
