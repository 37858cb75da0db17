package cutover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// NameState is one hostname as it stands, with everything that its cutover needs to know.
type NameState struct {
	Entries
	// Zone is the apex of the file's zone that holds the name.
	Zone string `json:"zone"`
	// Delegation is what the name servers say.
	Delegation dnsx.Delegation `json:"delegation"`
	// Records are the sets that a swap replaces, as the primary has them: the CNAME, or the A and the AAAA.
	Records []zone.RRset `json:"records"`
	// TTL is the longest that any set of Records has, at the primary or at any link that a server showed.
	TTL      uint32        `json:"ttl"`
	Strength zone.Strength `json:"strength"`
	// Proxied says that the provider answers for the name with addresses of its own: no name server shows where it leads.
	Proxied bool `json:"proxied,omitempty"`
	// Views are what every address of every server shows, with the signatures; only for a signed zone.
	Views []dnsx.View `json:"views,omitempty"`
	// Owners are external-dns's records of the name, Handover what becomes of them when it moves.
	Owners   []Owner   `json:"owners,omitempty"`
	Handover *Handover `json:"handover,omitempty"`
}

// Address reports whether the name holds address records, so that its swap replaces these and not a CNAME.
func (s NameState) Address() bool {
	return len(s.Records) > 0 && s.Records[0].Type != "CNAME"
}

// AtGreen reports whether the name leads to green's entry, and not to blue's.
func (s NameState) AtGreen() bool { return !leadsTo(s, s.Blue) && leadsTo(s, s.Green) }

// Inspection is what reading found about every hostname of the file.
type Inspection struct {
	Names []NameState `json:"names"`
	// Routes are the hostnames whose backend is switched: DNS does not move them.
	Routes   []RouteState   `json:"routes,omitempty"`
	Refusals []plan.Refusal `json:"refusals,omitempty"`
	Notes    []plan.Note    `json:"notes,omitempty"`
}

// InspectOptions tune Inspect.
type InspectOptions struct {
	Options
	// WithoutGreen judges no entry of green but what the file and blue say of it: before the restore there is none.
	WithoutGreen bool
	// Moved are the applications whose names a swap of this migration has led to green and nothing led back; Moving are those whose
	// swap, or a step of whose shift, was begun and whose swap has not ended.
	Moved, Moving []string
	// OneCluster says that blue and green are namespaces of one cluster.
	OneCluster bool
	// IngressClasses maps blue's classes to green's, as the file does.
	IngressClasses map[string]string
}

// lookedAt is how many applications are looked at at once. What is asked of one name waits for answers most of the time; a provider that
// bounds its requests is obeyed by its driver.
const lookedAt = 8

// Inspect reads zones, records, servers and entries of every hostname and lists what stands in the way of a cutover.
// It changes nothing. An error means that it could not look; what it saw and does not like is a refusal.
func Inspect(ctx context.Context, opts InspectOptions) (Inspection, error) {
	if c, ok := opts.names().(*dnsx.Client); ok {
		opts.Names = c.Remember() // for as long as this takes
	}
	parts := make([]Inspection, len(opts.Applications))
	keepers := newKeepers(opts.Options)
	group, under := errgroup.WithContext(ctx)
	group.SetLimit(lookedAt)
	for i, app := range opts.Applications {
		if len(app.Hostnames) == 0 {
			continue
		}
		group.Go(func() error { return parts[i].look(under, opts, app, keepers) })
	}
	if err := group.Wait(); err != nil {
		return Inspection{}, err
	}
	var found Inspection
	keepers.judgeNamed(ctx, &found)
	for _, part := range parts {
		found.Names, found.Routes = append(found.Names, part.Names...), append(found.Routes, part.Routes...)
		found.Refusals, found.Notes = append(found.Refusals, part.Refusals...), append(found.Notes, part.Notes...)
	}
	if err := judgeShares(ctx, opts.Options, &found); err != nil {
		return Inspection{}, err
	}
	return found, nil
}

// look inspects the hostnames of one application.
func (f *Inspection) look(ctx context.Context, opts InspectOptions, app migration.Application, keepers *dnsKeepers) error {
	entries, err := FindEntries(ctx, opts.Options, app.Name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if opts.atBackend(app.Name, e.Hostname) {
			route, err := inspectRoute(ctx, opts, e, f)
			if err != nil {
				return err
			}
			if route != nil {
				f.Routes = append(f.Routes, *route)
				if slices.Contains(opts.Moved, app.Name) {
					if err := judgeSwitched(ctx, opts.Options, route, f); err != nil {
						return err
					}
				}
			}
			continue
		}
		state, err := inspectName(ctx, opts, e, keepers, f)
		if err != nil {
			return err
		}
		if state == nil {
			continue
		}
		judgeName(*state, opts, f)
		if slices.Contains(opts.Moved, app.Name) || slices.Contains(opts.Moving, app.Name) {
			f.Names = append(f.Names, *state) // what follows is asked before a swap
			continue
		}
		judgeAround(ctx, *state, opts, f)
		if err := judgeMarker(ctx, *state, opts.Options, f); err != nil {
			return err
		}
		if err := judgeRecord(ctx, *state, opts.Options, f); err != nil {
			return err
		}
		z, err := opts.zoneOf(state.Hostname)
		if err != nil {
			return err
		}
		judgeChange(*state, z, f)
		state.Handover = keepers.judge(ctx, *state, z, opts.WithoutGreen, f)
		if err := judgeShift(ctx, opts.Options, app, *state, z, f); err != nil {
			return err
		}
		f.Names = append(f.Names, *state)
	}
	return nil
}

func (f *Inspection) refuse(what, why, mend string) {
	f.Refusals = append(f.Refusals, plan.Refusal{What: what, Why: why, Mend: mend})
}

func (f *Inspection) warn(what, text string) {
	f.Notes = append(f.Notes, plan.Note{Level: plan.Warning, What: what, Text: text})
}

// inspectName returns nil where a refusal says why nothing can be known.
func inspectName(ctx context.Context, opts InspectOptions, e Entries, keepers *dnsKeepers, found *Inspection) (*NameState, error) {
	z, err := opts.zoneOf(e.Hostname)
	if err != nil {
		found.refuse(e.Hostname, err.Error(), "list the zone that holds it, with its key, under zones")
		return nil, nil
	}
	state := NameState{Entries: e, Zone: z.Driver.Apex(), Strength: z.Driver.Strength()}
	state.Delegation, err = opts.names().Discover(ctx, e.Hostname, z.source())
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		refuseDiscovery(e.Hostname, err, found)
		return nil, nil
	}
	if state.Records, err = lookupSwappable(ctx, z.Driver, e.Hostname); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if _, weighs := zone.AsWeigher(z.Driver); weighs && errors.Is(err, zone.ErrConflict) && slices.Contains(opts.Moving, e.App) {
			why, _ := mend.Apart(err, "")
			found.Notes = append(found.Notes, plan.Note{Level: plan.Info, What: e.Hostname, Text: "a shift of this migration splits its answers between blue and green by weight, so it is no single record now: " + why})
			return nil, nil
		}
		why, hint := mend.Apart(err, "check the server and the key of zone "+state.Zone)
		found.refuse(e.Hostname, "its record could not be read where changes are made: "+why, hint)
		return nil, nil
	}
	if len(state.Records) == 0 {
		found.refuse(e.Hostname, "it has neither a CNAME nor an address record", "only a name that answers can be moved: make its record first, pointing at blue")
		return nil, nil
	}
	if err := z.Driver.Probe(ctx, e.Hostname); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		why, hint := mend.Apart(err, "use a server that carries out RFC 2136 prerequisites, and a key that may change the name")
		found.refuse(e.Hostname, fmt.Sprintf("the server of %s does not keep its conditions, or refuses the change: %s", state.Zone, why), hint)
		return nil, nil
	}
	if state.Proxied, err = proxied(ctx, z.Driver, e.Hostname); err != nil {
		return nil, err
	}
	state.TTL = longestTTL(state)
	if state.Owners, err = opts.findOwners(ctx, z, state.Delegation, state.Records, keepers.affixes(ctx)); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		why, hint := mend.Apart(err, "make the zone's servers answer, over TCP too")
		found.refuse(e.Hostname, why, hint)
		return nil, nil
	}
	if state.Delegation.Signed && !state.Proxied {
		state.Views = opts.survey(ctx, state.Delegation, state.Records)
	}
	return &state, ctx.Err()
}

// judgeChange refuses a swap that the zone could never carry out, while it can still be mended in peace.
func judgeChange(s NameState, z Zone, found *Inspection) {
	target, err := newRecords(s, s.TTL)
	if err != nil || !s.Green.known() {
		return // judged elsewhere
	}
	if err := zone.Judge(z.Driver, zone.Change{Name: s.Hostname, Old: s.Records, New: target}); err != nil {
		why, hint := mend.Apart(err, "choose an entry of green of the same kind as blue's")
		found.refuse(s.Hostname, why, hint)
	}
}

// refuseDiscovery tells a name whose chain leads nowhere, which its owner must mend, from servers that cannot be read.
func refuseDiscovery(name string, err error, found *Inspection) {
	if errors.Is(err, dnsx.ErrLoop) || errors.Is(err, dnsx.ErrTooLong) || errors.Is(err, dnsx.ErrDangling) {
		why, hint := mend.Apart(err, "mend the chain first: its end decides what a client reaches")
		found.refuse(name, why, hint)
		return
	}
	found.refuse(name, fmt.Sprintf("its name servers could not be read: %v", err), "make every authoritative server and the resolvers reachable from here, or list them under zones")
}

// survey asks every server for the sets of a name, with their signatures.
func (o Options) survey(ctx context.Context, d dnsx.Delegation, records []zone.RRset) []dnsx.View {
	var types []string
	for _, set := range records {
		types = append(types, set.Type)
	}
	return o.names().Survey(ctx, d.Servers, dnsx.SurveyOptions{Apex: d.SOA.Zone, Name: d.Name, Types: types, Signed: d.Signed, At: o.now()})
}

// lookupSwappable returns the CNAME at a name, or its A and AAAA, as the primary has them.
func lookupSwappable(ctx context.Context, driver zone.Zone, name string) ([]zone.RRset, error) {
	return zone.LookupAll(ctx, driver, name, "CNAME", "A", "AAAA")
}

// lookupUnderway returns what a name holds, and whether that is something between the two sides of a change: then it may be that it
// cannot be told as plain sets.
func lookupUnderway(ctx context.Context, driver zone.Zone, change zone.Change) ([]zone.RRset, bool, error) {
	now, err := lookupSwappable(ctx, driver, change.Name)
	if err == nil && (zone.SameSets(now, change.Old) || zone.SameSets(now, change.New)) || err != nil && !errors.Is(err, zone.ErrConflict) {
		return now, false, err
	}
	half, herr := zone.Underway(ctx, driver, change)
	switch {
	case herr != nil:
		return nil, false, herr
	case half:
		return now, true, nil
	}
	return now, false, err
}

// lookupShared returns what a name holds, and how many of 100 of its answers lead to green: while it is split, it holds what the TTL
// stage left, and green's records beside that.
func lookupShared(ctx context.Context, driver zone.Zone, e Entries, held Held) ([]zone.RRset, int, error) {
	now, err := lookupSwappable(ctx, driver, e.Hostname)
	weigher, ok := zone.AsWeigher(driver)
	if !ok || !errors.Is(err, zone.ErrConflict) {
		return now, 0, err
	}
	target, terr := newRecords(NameState{Entries: e, Records: held.Low}, held.Low[0].TTL)
	if terr != nil {
		return nil, 0, err // what stands there is none of ours
	}
	share, serr := weigher.Share(ctx, zone.Change{Name: e.Hostname, Old: held.Low, New: target})
	if serr != nil {
		return nil, 0, serr
	}
	return held.Low, share, nil
}

func longestTTL(s NameState) uint32 {
	var ttl uint32
	for _, set := range s.Records {
		ttl = max(ttl, set.TTL)
	}
	for _, set := range s.Delegation.Records {
		if set.Type == "CNAME" || set.Type == "A" || set.Type == "AAAA" {
			ttl = max(ttl, set.TTL)
		}
	}
	return ttl
}

func judgeName(s NameState, opts InspectOptions, found *Inspection) {
	for _, w := range s.Delegation.Warnings {
		if slices.Contains(s.Delegation.Silent, w) && !s.Proxied {
			found.refuse(s.Hostname, w, "make it answer, by TCP and from here; or take it out of the delegation; or list under zones[].servers those that are to be watched")
			continue
		}
		found.warn(s.Hostname, w)
	}
	if cut := s.Delegation.SOA.Zone; cut != "" && cut != s.Zone {
		found.refuse(s.Hostname, fmt.Sprintf("it is in the zone %s, which is delegated away from %s", cut, s.Zone), "list the zone "+cut+" under zones")
	}
	if s.Strength == zone.Weak {
		found.warn(s.Hostname, "its provider cannot swap in one change that all servers show at once: for a while servers may disagree")
	}
	if len(s.Delegation.Servers) == 0 {
		found.refuse(s.Hostname, "no authoritative server of "+s.Zone+" is known, so nothing could prove that a swap has spread", "list the servers of the zone under zones")
	}
	if s.Proxied {
		found.warn(s.Hostname, proxiedNote)
	}
	switch {
	case slices.Contains(opts.Moving, s.App) && (leadsTo(s, s.Blue) || leadsTo(s, s.Green)):
		return
	case slices.Contains(opts.Moved, s.App):
		judgeMoved(s, found)
		return
	}
	judgeBlue(s, found)
	if opts.WithoutGreen {
		judgeDeclared(s, opts, found)
		return
	}
	judgeGreen(s, found)
}

// judgeBlue demands that the name leads to blue now: what leads elsewhere is not ours to move (I3).
func judgeBlue(s NameState, found *Inspection) {
	switch {
	case !s.Blue.known():
		found.refuse(s.Hostname, "blue's entry is not known: "+s.Blue.Missing, "name blue's target or address for the hostname")
	case leadsTo(s, s.Blue):
	case leadsTo(s, s.Green):
		found.refuse(s.Hostname, fmt.Sprintf("it leads to green already (%s)", describe(s.Records)), "is green the side that serves now? Then blue and green are exchanged in the file. If not, point the name at blue; a name that has moved already is taken out of the file; where this very migration moved it, its state directory is another one or lost: put it back")
	default:
		found.refuse(s.Hostname, fmt.Sprintf("it leads to %s, and blue's entry is %s (%s)", describe(s.Records), s.Blue, s.Blue.Source), "only names that lead to blue are moved: correct the record, or name blue's entry for the hostname")
	}
}

// judgeMoved demands that a name which this migration has moved leads to green.
func judgeMoved(s NameState, found *Inspection) {
	switch {
	case !s.Green.known():
		found.refuse(s.Hostname, "it was moved to green, and green's entry is not known any more: "+s.Green.Missing, "see what became of green's Service or Ingress: clients are led there")
	case leadsTo(s, s.Green):
	default:
		found.refuse(s.Hostname, fmt.Sprintf("this migration has moved it to green (%s), and it leads to %s", s.Green, describe(s.Records)),
			fmt.Sprintf("somebody has changed its record since: find out who and why, before anything else; `crossfade rollback %s` says what going back finds", s.App))
	}
}

// judgeGreen demands somewhere to go that is not where the name is now.
func judgeGreen(s NameState, found *Inspection) {
	switch {
	case !s.Green.known():
		found.refuse(s.Hostname, "green's entry is not known: "+s.Green.Missing, "wait until green's Service or Ingress has its address, or name green's target for the hostname")
		return
	case s.Green.Missing != "":
		found.refuse(s.Hostname, "green's entry is not complete: "+s.Green.Missing, "name green's address for the hostname as well")
		return
	}
	judgePlaces(s, found)
	if _, err := newRecords(s, 0); err != nil {
		found.refuse(s.Hostname, err.Error(), offerRecord(s))
		return
	}
	if s.Address() && s.Green.Target != "" {
		found.warn(s.Hostname, fmt.Sprintf("it holds address records, so it gets the addresses that %s has now; it does not follow when they change", s.Green.Target))
	}
	for _, typ := range []string{"A", "AAAA"} {
		if slices.ContainsFunc(s.Records, func(r zone.RRset) bool { return r.Type == typ }) && len(ofType(s.Green.Addresses, typ)) == 0 {
			found.warn(s.Hostname, fmt.Sprintf("it has %s records and green has no such address: clients that can use nothing else lose the name", typ))
		}
	}
}

// judgePlaces refuses two entries that a name cannot tell apart.
func judgePlaces(s NameState, found *Inspection) {
	if (s.Blue.Nodes || s.Green.Nodes) && s.Blue.known() && s.Green.known() && s.Blue.Port != s.Green.Port {
		found.refuse(s.Hostname, fmt.Sprintf("clients use port %d on blue (%s) and would need port %d on green (%s), and DNS carries no port", s.Blue.Port, s.Blue.Source, s.Green.Port, s.Green.Source),
			"give green the same node port (maps.nodePorts), or let a load balancer be the entry on both sides")
		return
	}
	if s.Green.Nodes {
		found.warn(s.Hostname, fmt.Sprintf("its entry on green is node port %d of the nodes themselves: clients must use that port, and a node that goes takes its address along", s.Green.Port))
	}
	if shared, ok := samePlace(s.Blue, s.Green); ok {
		found.refuse(s.Hostname, fmt.Sprintf("both sides answer at %s port %d, and DNS carries no port: moving the name would move nothing", shared, s.Green.Port), mendOneEntry)
	}
}

const mendOneEntry = mendTwoEntries + "; or say switch: backend for the hostname, so that blue's Ingress or HTTPRoute keeps it and sends it to green"

const mendTwoEntries = "give green an address of its own: a Service of type LoadBalancer, or an ingress class of another controller (maps.ingressClasses)"

// judgeDeclared judges what can be known of green's entry before green exists: the file's word, and that an Ingress of the
// same class in the same cluster is served by the same controller, at the same address.
func judgeDeclared(s NameState, opts InspectOptions, found *Inspection) {
	if s.Green.known() {
		if opts.namesTarget(s.Entries) && s.Green.Missing != "" {
			found.warn(s.Hostname, "green.target leads nowhere yet: "+s.Green.Missing+"; unless something on green makes it in time, the checks are refused")
		}
		if _, err := newRecords(s, 0); err != nil && opts.namesNoObject(s.Entries) {
			found.refuse(s.Hostname, err.Error(), offerRecord(s))
		}
		judgePlaces(s, found)
		return
	}
	class := s.Blue.Class
	if !opts.OneCluster || !strings.HasPrefix(s.Blue.Source, "Ingress ") {
		return
	}
	if to := opts.IngressClasses[class]; to == "" || to == class {
		found.refuse(s.Hostname, fmt.Sprintf("blue and green are one cluster, and both sides' Ingress (class %q) would be served by one controller, at one address and port (%s): moving the name would move nothing", class, s.Blue), mendOneEntry)
	}
}

// namesTarget reports whether the file names green's target. One that was found on green may get its address later.
func (o Options) namesTarget(e Entries) bool {
	app, err := o.application(e.App)
	if err != nil {
		return false
	}
	green := hostnameOf(app, e.Hostname).Green
	return green != nil && green.Target != ""
}

// namesNoObject reports whether the file's word is all that there is of green's entry: then nothing on green brings a name later.
func (o Options) namesNoObject(e Entries) bool {
	app, err := o.application(e.App)
	if err != nil {
		return false
	}
	h := hostnameOf(app, e.Hostname)
	return h.Service == "" && h.Ingress == "" && h.HTTPRoute == ""
}

// samePlace reports whether two entries reach the same address, or are the same name.
func samePlace(a, b Entry) (string, bool) {
	if a.Target != "" && a.Target == b.Target {
		return a.Target, true
	}
	for _, addr := range a.Addresses {
		if slices.Contains(b.Addresses, addr) {
			return addr.String(), true
		}
	}
	return "", false
}

// leadsTo reports whether the name's record, or the chain that begins with it, ends at an entry.
func leadsTo(s NameState, e Entry) bool {
	for _, set := range s.Records {
		if matches(set.Type, set.Data, e) {
			return true
		}
	}
	for _, link := range s.Delegation.Chain {
		for _, set := range link.Sets {
			if matches(set.Type, set.Data, e) {
				return true
			}
		}
	}
	return false
}

func matches(typ string, data []string, e Entry) bool {
	return slices.ContainsFunc(data, func(d string) bool {
		if typ == "CNAME" {
			return e.Target != "" && d == e.Target
		}
		addr, err := netip.ParseAddr(d)
		return err == nil && slices.Contains(e.Addresses, addr)
	})
}

// newRecords returns what the name holds once it leads to green: the same kind of record that it has now.
func newRecords(s NameState, ttl uint32) ([]zone.RRset, error) {
	if !s.Address() {
		if s.Green.Target == "" {
			return nil, fmt.Errorf("it is a CNAME, and green has only an address (%s): a CNAME needs a name, so green needs an A record of its own", s.Green)
		}
		return []zone.RRset{{Name: s.Hostname, Type: "CNAME", TTL: ttl, Data: []string{s.Green.Target}}}, nil
	}
	var sets []zone.RRset
	for _, typ := range []string{"A", "AAAA"} {
		if data := ofType(s.Green.Addresses, typ); len(data) > 0 {
			sets = append(sets, zone.RRset{Name: s.Hostname, Type: typ, TTL: ttl, Data: data})
		}
	}
	if len(sets) == 0 {
		return nil, fmt.Errorf("it holds address records, and green has no address (%s)", s.Green)
	}
	return sets, nil
}

func ofType(addrs []netip.Addr, typ string) []string {
	var data []string
	for _, a := range addrs {
		if a.Is4() == (typ == "A") {
			data = append(data, a.String())
		}
	}
	return data
}

func describe(sets []zone.RRset) string {
	var parts []string
	for _, set := range sets {
		parts = append(parts, fmt.Sprintf("%s %s (TTL %ds)", set.Type, strings.Join(set.Data, " "), set.TTL))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
