package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/internal/externaldns"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Picture is everything that reading finds about one name.
type Picture struct {
	Name string `json:"name"`
	// App is the application whose hostname it is; empty for any other name of a zone.
	App  string      `json:"app,omitempty"`
	Zone ZonePicture `json:"zone"`
	// Servers has every address of every server.
	Servers []ServerPicture `json:"servers,omitempty"`
	// Chain begins with the name; Broken says why it does not end at an address.
	Chain  []LinkPicture `json:"chain,omitempty"`
	Broken string        `json:"broken,omitempty"`
	DNSSEC DNSSECPicture `json:"dnssec"`
	// Records are the sets that a swap would replace, as they are where changes are made.
	Records []zone.RRset `json:"records,omitempty"`
	// Beside are sets of other types at the name, Wildcards those that would answer for it, Below the names under it.
	Beside    []dnsx.RRset `json:"beside,omitempty"`
	Wildcards []dnsx.RRset `json:"wildcards,omitempty"`
	Below     []string     `json:"below,omitempty"`
	// CAA governs certificates for the name now, CAAAtGreen once it leads to green.
	CAA        *dnsx.RRset `json:"caa,omitempty"`
	CAAAtGreen *dnsx.RRset `json:"caaAtGreen,omitempty"`
	// Owners are external-dns's records of the name; Hints are records of its that may be about the name, under another prefix.
	Owners  []Owner        `json:"owners,omitempty"`
	Hints   []string       `json:"hints,omitempty"`
	Keepers []Installation `json:"keepers,omitempty"`
	// Fence is the token of a migration that holds the name.
	Fence string `json:"fence,omitempty"`
	// Blue and Green are the entries; nil for a name that is no application's.
	Blue  *Entry `json:"blue,omitempty"`
	Green *Entry `json:"green,omitempty"`
	// Route says what keeps the name where its backend is switched in the place of a record.
	Route *RouteState `json:"route,omitempty"`
	// Leads is where the name leads: "blue", "green", "both", "elsewhere", "nowhere", or empty where that is not known.
	Leads string `json:"leads,omitempty"`
	// Share is how many of 100 answers lead to green while the name is split between both sides, by a step of its shift.
	Share int `json:"share,omitempty"`
	// Times is the arithmetic of a cutover.
	Times TimesPicture `json:"times"`
	// Refusals and Notes are what a plan would say of it.
	Refusals []plan.Refusal `json:"refusals,omitempty"`
	Notes    []plan.Note    `json:"notes,omitempty"`
	// Unread is what could not be read, each with why. Without any the picture is complete.
	Unread []Unread `json:"unread,omitempty"`
}

// Unread is one thing that could not be read.
type Unread struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// ZonePicture is a zone as a name of it sees it.
type ZonePicture struct {
	Apex string `json:"apex"`
	// Cut is the zone that the name servers find for the name; another one than Apex where it is delegated away.
	Cut      string        `json:"cut,omitempty"`
	Parent   string        `json:"parent,omitempty"`
	SOA      dnsx.SOA      `json:"soa"`
	Negative uint32        `json:"negative"` // seconds for which a missing answer would be remembered
	AtParent []string      `json:"atParent,omitempty"`
	AtChild  []string      `json:"atChild,omitempty"`
	Strength zone.Strength `json:"strength"`
	// Together says that external-dns's record of a name can be changed in one message with the name.
	Together bool `json:"together"`
}

// OnlyAtParent and OnlyAtChild are the servers that one of both does not name.
func (z ZonePicture) OnlyAtParent() []string { return without(z.AtParent, z.AtChild) }

// OnlyAtChild is the other half of OnlyAtParent.
func (z ZonePicture) OnlyAtChild() []string {
	if len(z.AtParent) == 0 {
		return nil // nothing is known of the parent
	}
	return without(z.AtChild, z.AtParent)
}

func without(list, other []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(other, s) {
			out = append(out, s)
		}
	}
	return out
}

// ServerPicture is one address of one server.
type ServerPicture struct {
	dnsx.View
	// Behind is by how many serials it is behind the newest one that a server showed.
	Behind uint32 `json:"behind,omitempty"`
}

// LinkPicture is one link of the chain.
type LinkPicture struct {
	Name string       `json:"name"`
	Sets []dnsx.RRset `json:"sets,omitempty"`
	Zone string       `json:"zone,omitempty"`
}

// DNSSECPicture says whether answers can be validated.
type DNSSECPicture struct {
	Signed bool `json:"signed"`
	// Secure says that the parent has a DS.
	Secure bool `json:"secure"`
}

// TimesPicture is the arithmetic of TTLs.
type TimesPicture struct {
	// TTL is the longest that a cache may be given, Low what it would be lowered to, in seconds.
	TTL uint32 `json:"ttl"`
	Low uint32 `json:"low"`
	// Wait is how long the lowering is waited out, There and Back how long a swap and its way back take.
	Wait  string `json:"wait,omitempty"`
	There string `json:"there,omitempty"`
	Back  string `json:"back,omitempty"`
}

// DepictOptions say which names are looked at.
type DepictOptions struct {
	Options
	// Names are hostnames, or applications whose hostnames are meant; empty means all of the file. A hostname need not be the
	// file's as long as one of its zones holds it.
	Names []string
	// NoClusters asks neither cluster: entries are those that the file names.
	NoClusters bool
	// Moved and Moving are as in InspectOptions: names that this migration has moved must lead to green.
	Moved, Moving []string
	// Held are the names as the TTL stage has left them: a name that is split holds that for blue.
	Held []Held
}

// NoNameError says that a name is no application of the file, and in none of its zones.
type NoNameError struct{ Name string }

// Error implements error.
func (e *NoNameError) Error() string {
	return fmt.Sprintf("%q is no application, and in no zone of the file", e.Name)
}

// Depict reads all that there is about names. It changes nothing, and goes on past everything that cannot be read.
func Depict(ctx context.Context, opts DepictOptions) ([]Picture, error) {
	if opts.NoClusters {
		opts.Blue.Kube, opts.Green.Kube = nil, nil
	}
	subjects, err := opts.subjects()
	if err != nil {
		return nil, err
	}
	d := &depiction{DepictOptions: opts, keepers: newKeepers(opts.Options), listings: map[string]*listing{}}
	var pictures []Picture
	for _, s := range subjects {
		pictures = append(pictures, d.picture(ctx, s))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return pictures, nil
}

// subject is one name to look at, with its application where it has one.
type subject struct {
	name     string // canonical
	app      *migration.Application
	hostname *migration.Hostname
}

func (o DepictOptions) subjects() ([]subject, error) {
	var all, out []subject
	for i := range o.Applications {
		app := &o.Applications[i]
		for k := range app.Hostnames {
			name, err := dnsx.Canonical(app.Hostnames[k].Name)
			if err != nil {
				return nil, fmt.Errorf("hostname of application %s: %w", app.Name, err)
			}
			all = append(all, subject{name, app, &app.Hostnames[k]})
		}
	}
	if len(o.Names) == 0 {
		return all, nil
	}
	add := func(s subject) {
		if !slices.ContainsFunc(out, func(x subject) bool { return x.name == s.name }) {
			out = append(out, s)
		}
	}
	for _, text := range o.Names {
		before, isApp := len(out), slices.ContainsFunc(o.Applications, func(a migration.Application) bool { return a.Name == text })
		name, err := dnsx.Canonical(text)
		for _, s := range all {
			if s.app.Name == text || err == nil && s.name == name {
				add(s)
			}
		}
		if len(out) > before || isApp || slices.ContainsFunc(out, func(x subject) bool { return err == nil && x.name == name }) {
			continue
		}
		if err == nil {
			_, err = o.zoneOf(name)
		}
		if err != nil {
			return nil, &NoNameError{text}
		}
		add(subject{name: name})
	}
	return out, nil
}

// depiction keeps what several names share.
type depiction struct {
	DepictOptions
	keepers  *dnsKeepers
	listings map[string]*listing
}

// listing is a whole zone, or why it could not be had.
type listing struct {
	sets []zone.RRset
	err  error
}

var errNoListing = errors.New("its provider's driver lists no zones")

func (d *depiction) listing(ctx context.Context, z Zone) *listing {
	apex := z.Driver.Apex()
	if d.listings[apex] == nil {
		l := &listing{err: errNoListing}
		if lister, ok := z.Driver.(zone.Lister); ok {
			l.sets, l.err = lister.List(ctx)
		}
		d.listings[apex] = l
	}
	return d.listings[apex]
}

func (p *Picture) unread(what string, err error) {
	p.Unread = append(p.Unread, Unread{what, err.Error()})
}

func (d *depiction) picture(ctx context.Context, s subject) Picture {
	p := Picture{Name: s.name}
	if s.app != nil {
		p.App = s.app.Name
	}
	if s.hostname != nil && s.hostname.AtBackend() {
		d.depictRoute(ctx, &p, s)
	}
	z, err := d.zoneOf(s.name)
	if err != nil && p.Route != nil {
		return p // its name does not move, so its zone need not be ours
	}
	if err != nil {
		p.unread("zone", err)
		return p
	}
	p.Zone = ZonePicture{Apex: z.Driver.Apex(), Strength: z.Driver.Strength(), Together: zone.Together(z.Driver)}
	state := NameState{Zone: p.Zone.Apex, Strength: p.Zone.Strength}
	state.Hostname, state.App = s.name, p.App
	d.depictNames(ctx, &p, &state, z)
	split := d.depictPrimary(ctx, &p, &state, z)
	if p.Route != nil {
		d.depictListing(ctx, &p, z)
		return p // nothing of the zone is changed
	}
	d.depictEntries(ctx, &p, &state, s)
	if split != nil {
		d.depictSplit(ctx, &p, &state, z, split)
	}
	d.depictOwners(ctx, &p, &state, z)
	d.depictListing(ctx, &p, z)
	d.depictTimes(&p, state)
	d.judge(ctx, &p, state, z)
	return p
}

// depictRoute finds what keeps a hostname whose backend is switched, and what a plan says of it.
func (d *depiction) depictRoute(ctx context.Context, p *Picture, s subject) {
	p.Route = &RouteState{Route: Route{Ref: d.refOf(*s.app, *s.hostname), Host: bareHost(s.name)}}
	var state NameState
	d.depictEntries(ctx, p, &state, s)
	p.Leads = "" // it is the rules that lead
	if d.NoClusters {
		return
	}
	var found Inspection
	e := Entries{App: s.app.Name, Hostname: s.name, Blue: state.Blue, Green: state.Green}
	route, err := inspectRoute(ctx, InspectOptions{Options: d.Options, WithoutGreen: true}, e, &found)
	if err != nil {
		p.unread("rules", err)
	}
	if route != nil {
		p.Route, p.Fence = route, route.Fence
		if slices.Contains(d.Moved, p.App) {
			if err := judgeSwitched(ctx, d.Options, route, &found); err != nil {
				p.unread("where its rules lead", err)
			}
		}
	}
	p.Refusals, p.Notes = append(p.Refusals, found.Refusals...), append(p.Notes, found.Notes...)
}

// depictNames asks the name servers.
func (d *depiction) depictNames(ctx context.Context, p *Picture, state *NameState, z Zone) {
	found, err := d.names().Discover(ctx, p.Name, z.source())
	state.Delegation = found
	switch {
	case errors.Is(err, dnsx.ErrLoop), errors.Is(err, dnsx.ErrTooLong), errors.Is(err, dnsx.ErrDangling):
		p.Broken = err.Error()
	case err != nil:
		p.unread("name servers", err)
	}
	p.Zone.Cut, p.Zone.Parent, p.Zone.SOA, p.Zone.Negative = found.SOA.Zone, found.Parent, found.SOA, found.SOA.NegativeTTL()
	p.Zone.AtParent, p.Zone.AtChild = found.AtParent, found.AtChild
	p.DNSSEC = DNSSECPicture{found.Signed, found.Secure}
	p.Wildcards, p.CAA = found.Wildcard, found.CAA
	for _, set := range found.Records {
		if set.Type != "CNAME" && set.Type != "A" && set.Type != "AAAA" {
			p.Beside = append(p.Beside, set)
		}
	}
	for _, link := range found.Chain {
		p.Chain = append(p.Chain, LinkPicture{link.Name, link.Sets, link.Cut.SOA.Zone})
	}
	if found.CAAUnread != "" {
		p.unread("CAA", errors.New(found.CAAUnread))
	}
	for _, w := range found.Warnings {
		p.Notes = append(p.Notes, plan.Note{Level: plan.Warning, What: p.Name, Text: w})
	}
	if len(found.Servers) == 0 {
		return
	}
	state.Views = d.names().Survey(ctx, found.Servers, dnsx.SurveyOptions{
		Apex: found.SOA.Zone, Name: p.Name, Types: []string{"CNAME", "A", "AAAA"}, Signed: found.Signed, At: d.now(),
	})
	var newest uint32
	known := false
	for _, v := range state.Views {
		if v.Serial != 0 && (!known || newer(v.Serial, newest)) {
			newest, known = v.Serial, true
		}
	}
	for _, v := range state.Views {
		s := ServerPicture{View: v}
		if v.Unknown != "" {
			p.unread("server "+strings.TrimSpace(v.Server+" "+v.Addr.String()), errors.New(v.Unknown))
		}
		if v.Serial != 0 {
			s.Behind = newest - v.Serial
		}
		p.Servers = append(p.Servers, s)
	}
}

const unreadRecords = "records where changes are made"

// depictPrimary reads where changes are made. The error is that of a name which holds no plain sets: a split is told with both entries.
func (d *depiction) depictPrimary(ctx context.Context, p *Picture, state *NameState, z Zone) (split error) {
	var err error
	state.Records, err = lookupSwappable(ctx, z.Driver, p.Name)
	switch {
	case errors.Is(err, zone.ErrConflict) && p.Route == nil:
		split = err
	case err != nil:
		p.unread(unreadRecords, err)
	}
	p.Records = state.Records
	state.TTL = longestTTL(*state)
	name, err := zone.FenceName(p.Name, p.Zone.Apex)
	if err != nil {
		p.unread("fence", err)
		return split
	}
	if p.Fence, err = fenceToken(ctx, z.Driver, name); err != nil {
		p.unread("fence", err)
	}
	return split
}

// depictSplit tells a step of a shift of this migration from sets that are none of its own.
func (d *depiction) depictSplit(ctx context.Context, p *Picture, state *NameState, z Zone, why error) {
	i := slices.IndexFunc(d.Held, func(h Held) bool { return h.Name == p.Name })
	if i < 0 || p.Green == nil {
		p.unread(unreadRecords, why)
		return
	}
	sets, share, err := lookupShared(ctx, z.Driver, state.Entries, d.Held[i])
	if err != nil {
		p.unread(unreadRecords, err)
		return
	}
	state.Records, p.Records, p.Share = sets, sets, share
	p.Leads = "both"
	state.TTL = longestTTL(*state)
}

// depictEntries finds where both sides answer. A cluster that does not answer leaves what the file names.
func (d *depiction) depictEntries(ctx context.Context, p *Picture, state *NameState, s subject) {
	if s.app == nil {
		return
	}
	entry := func(side string) Entry {
		e, err := findEntry(ctx, d.Options, side, *s.app, *s.hostname, s.name)
		if err != nil {
			p.unread(side+"'s entry", err)
			alone := d.Options
			alone.Blue.Kube, alone.Green.Kube = nil, nil
			if e, err = findEntry(ctx, alone, side, *s.app, *s.hostname, s.name); err != nil {
				return Entry{Hostname: s.name, Missing: err.Error()}
			}
			return e
		}
		if e.Missing != "" {
			p.unread(side+"'s entry", errors.New(e.Missing))
		}
		return e
	}
	state.Blue, state.Green = entry(sideBlue), entry(sideGreen)
	p.Blue, p.Green = &state.Blue, &state.Green
	blue, green := state.Blue.known() && leadsTo(*state, state.Blue), state.Green.known() && leadsTo(*state, state.Green)
	switch {
	case len(state.Records) == 0 && len(state.Delegation.Chain) == 0:
		p.Leads = "nowhere"
	case blue && green:
		p.Leads = "both"
	case blue:
		p.Leads = sideBlue
	case green:
		p.Leads = sideGreen
	case state.Blue.known() && state.Green.known():
		p.Leads = "elsewhere"
	}
}

// depictOwners looks for external-dns, in the zone and on both sides.
func (d *depiction) depictOwners(ctx context.Context, p *Picture, state *NameState, z Zone) {
	affixes := d.keepers.affixes(ctx)
	hidden := map[string]error{}
	for _, side := range []string{sideBlue, sideGreen} {
		if d.NoClusters {
			break
		}
		all, err := d.keepers.on(ctx, side)
		if err != nil {
			hidden[side] = err
		}
		for _, i := range all {
			p.Keepers = append(p.Keepers, i)
			if !slices.Contains(affixes, i.Affix) {
				affixes = append(affixes, i.Affix)
			}
		}
	}
	if len(state.Delegation.Servers) > 0 {
		var err error
		if state.Owners, err = d.findOwners(ctx, z, state.Delegation, state.Records, affixes); err != nil {
			p.unread("owner", err)
		}
		p.Owners = state.Owners
	}
	for _, side := range []string{sideBlue, sideGreen} {
		switch err := hidden[side]; {
		case err == nil:
		case len(p.Owners) > 0 || d.Times.ExternalDNS != nil:
			p.unread("external-dns on "+side, err)
		default:
			p.Notes = append(p.Notes, plan.Note{Level: plan.Info, What: "external-dns on " + side, Text: "not looked up, and no record of it is at the name: " + err.Error()})
		}
	}
}

// mostBelow is how many names below a name are listed.
const mostBelow = 20

// depictListing reads the whole zone for what no question finds: names below, wildcards of other levels, and records of
// external-dns under a prefix that nobody told.
func (d *depiction) depictListing(ctx context.Context, p *Picture, z Zone) {
	l := d.listing(ctx, z)
	if l.err != nil {
		p.unread("names below it, and records of external-dns under other prefixes", l.err)
		return
	}
	label, _, _ := strings.Cut(p.Name, ".")
	for _, set := range l.sets {
		below := strings.HasSuffix(set.Name, "."+p.Name)
		if below && p.Name != p.Zone.Apex && !slices.Contains(p.Below, set.Name) && len(p.Below) < mostBelow {
			p.Below = append(p.Below, set.Name)
		}
		if set.Type != "TXT" || slices.ContainsFunc(p.Owners, func(o Owner) bool { return o.Name == set.Name }) {
			continue
		}
		near := dnsx.Parent(set.Name) == dnsx.Parent(p.Name) && strings.Contains(strings.TrimSuffix(set.Name, "."+dnsx.Parent(p.Name)), label)
		for _, data := range set.Data {
			if text, ok := externaldns.Parse(data); ok && (near || below) && !d.anotherName(l, set.Name, p.Name) {
				p.Hints = append(p.Hints, fmt.Sprintf("%s says that %s owns a name", set.Name, text.Owner))
			}
		}
	}
}

// anotherName says whether a record of external-dns is about another name than this one: it stands at, or follows from, a name
// of the zone that has records of its own.
func (d *depiction) anotherName(l *listing, at, name string) bool {
	return slices.ContainsFunc(l.sets, func(set zone.RRset) bool {
		if set.Name == name || set.Type != "A" && set.Type != "AAAA" && set.Type != "CNAME" {
			return false
		}
		return slices.ContainsFunc(externaldns.Affix{}.Places(set.Name, set.Type), func(p externaldns.Place) bool { return p.Name == at })
	})
}

func (d *depiction) depictTimes(p *Picture, state NameState) {
	if len(state.Records) == 0 || p.Broken != "" {
		return // nothing can be moved
	}
	low, _, wait := d.times(state)
	p.Times = TimesPicture{TTL: state.TTL, Low: low, Wait: wait}
	data := moveData{Strength: state.Strength, Change: zone.Change{Old: withTTL(state.Records, low)}}
	summary := summarise(d.Options, swapSummary{}, data)
	p.Times.There, p.Times.Back = summary.There, summary.Back
}

// judge says what a plan would say, as far as it was read.
func (d *depiction) judge(ctx context.Context, p *Picture, state NameState, z Zone) {
	var found Inspection
	opts := InspectOptions{Options: d.Options, WithoutGreen: !state.Green.known()}
	judgeSignatures(state, d.Options, &found)
	judgeNeighbours(state, &found)
	switch {
	case p.App == "" || len(state.Records) == 0:
	case slices.Contains(d.Moving, p.App) && (leadsTo(state, state.Blue) || leadsTo(state, state.Green)):
	case slices.Contains(d.Moved, p.App):
		judgeMoved(state, &found)
	default:
		if state.Blue.known() {
			judgeBlue(state, &found)
		}
		if !opts.WithoutGreen {
			judgeGreen(state, &found)
			judgeCAA(ctx, state, d.Options, &found)
			var err error
			if p.CAAAtGreen, err = d.caaAfter(ctx, state); err != nil && state.Delegation.CAAUnread == "" {
				p.unread("CAA at green", err)
			}
		}
		if len(state.Owners) > 0 && !d.NoClusters {
			// What asks green's external-dns for the name may not be restored yet.
			d.keepers.judge(ctx, state, z, true, &found)
		}
	}
	p.Refusals = append(p.Refusals, found.Refusals...)
	p.Notes = append(p.Notes, found.Notes...)
}
