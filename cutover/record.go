package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Actions of records that are made for an entry.
const (
	actionRecord plan.Action = "make the record"
	actionUnmake plan.Action = "remove the record"
)

// Record is a name that was made for green's address: a CNAME cannot point at an address.
type Record struct {
	Zone    string        `json:"zone"`
	Change  zone.Change   `json:"change"`
	Servers []dnsx.Server `json:"servers"`
	Signed  bool          `json:"signed,omitempty"`
}

// holds reports whether the record has exactly these addresses.
func (r Record) holds(addrs []netip.Addr) bool {
	n := 0
	for _, set := range r.Change.New {
		n += len(set.Data)
		for _, d := range set.Data {
			if addr, err := netip.ParseAddr(d); err != nil || !slices.Contains(addrs, addr) {
				return false
			}
		}
	}
	return n == len(addrs)
}

// recordData is what making a record consumes.
type recordData struct {
	Record Record `json:"record"`
}

// offerRecord says which record would give green's entry a name.
func offerRecord(s NameState) string {
	label, parent, _ := strings.Cut(s.Hostname, ".")
	name := "green-" + strings.TrimPrefix(label, "*") + "." + parent
	if label == "*" {
		name = "green." + parent
	}
	var records []string
	for _, a := range s.Green.Addresses {
		typ := "AAAA"
		if a.Is4() {
			typ = "A"
		}
		records = append(records, fmt.Sprintf("%s %s %s", name, typ, a))
	}
	return fmt.Sprintf("make a name for green's address (%s) and set it as the hostname's green.target; or say green: {makeRecord: %s}, and Crossfade makes %s in a zone of the file, and takes it away again when the name goes back",
		s.Green, strings.TrimSuffix(name, "."), strings.Join(records, ", "))
}

// planRecord plans to make the record that the file wants for a name's entry on green: only where nothing stands at that name (I3). It
// returns nil where there is nothing to make; a refusal says what is in the way. What it returns to wait for comes with the other waits.
func planRecord(ctx context.Context, opts Options, p *plan.Plan, s NameState) (record *Record, wait *plan.Change, err error) {
	name := s.Green.MakeRecord
	if name == "" {
		return nil, nil, nil
	}
	z, err := opts.zoneOf(name)
	if err != nil {
		return nil, nil, nil // judgeRecord has refused it
	}
	now, err := lookupOwn(ctx, z.Driver, name)
	if err != nil {
		return nil, nil, err
	}
	sets := opts.recordOf(s.Green)
	before, _ := opts.Before.of(s.Hostname)
	made := before.Record != nil && before.Record.Change.Name == name && len(now) > 0 && zone.SameSets(now, before.Record.Change.New)
	switch {
	case made && zone.SameSets(withTTL(now, opts.lowTTL()), sets):
		sets = now // by a plan that was forgotten: it is ours to take away
	case made:
		p.Refuse(s.Hostname, fmt.Sprintf("green.makeRecord has made %s with %s, and green's entry is %s now", name, describe(now), s.Green), "say `crossfade rollback`, which takes the record away, and run again")
		return nil, nil, nil
	case zone.SameSets(withTTL(now, opts.lowTTL()), sets):
		p.Note(plan.Info, s.Hostname, fmt.Sprintf("%s holds green's address already (%s): it is used, and not ours to take away", name, describe(now)))
		return nil, nil, nil
	case len(now) > 0:
		if why := taken(name, now); !slices.ContainsFunc(p.Refusals, func(r plan.Refusal) bool { return r.Why == why }) {
			p.Refuse(s.Hostname, why, mendTaken) // since judgeRecord has looked
		}
		return nil, nil, nil
	}
	change := zone.Change{Name: name, New: sets}
	if err := zone.Judge(z.Driver, change); err != nil {
		why, hint := mend.Apart(err, "choose another name")
		p.Refuse(s.Hostname, "green.makeRecord: "+why, hint)
		return nil, nil, nil
	}
	if err := z.Driver.Probe(ctx, name); err != nil {
		why, hint := mend.Apart(err, "give the key the right to make it")
		p.Refuse(s.Hostname, fmt.Sprintf("%s, which green.makeRecord names, could not be made: %s", name, why), hint)
		return nil, nil, ctx.Err()
	}
	found, err := opts.names().Discover(ctx, name, z.source())
	if err != nil && len(found.Servers) == 0 {
		p.Refuse(s.Hostname, fmt.Sprintf("the servers of %s, which green.makeRecord is to make, could not be read: %v", name, err), "make every authoritative server reachable from here, or list them under zones")
		return nil, nil, nil
	}
	record = &Record{Zone: z.Driver.Apex(), Change: change, Servers: found.Servers, Signed: found.Signed}
	wild, err := wildcardTTL(ctx, z.Driver, name)
	if err != nil {
		return nil, nil, err
	}
	data := waitData{App: s.App, Name: name, TTL: found.SOA.NegativeTTL(), Negative: true}
	if wild > data.TTL {
		data.TTL, data.Wildcard = wild, true
	}
	making := plan.Change{
		ID:     p.Stage + "/record/" + s.Hostname,
		Action: actionRecord, Target: name, App: s.App,
		Why:      fmt.Sprintf("green's load balancer brings no name, and %s is a CNAME, which needs one: %s; only where nothing stands there", s.Hostname, describe(sets)),
		ReliesOn: []plan.Reliance{{What: "records of " + name, Is: describe(nil)}, {What: "green's entry", Is: s.Green.String()}},
		Reverse:  &plan.Reverse{Action: actionUnmake, How: "remove it, if it is still as it was made and nothing leads to it", Data: plan.JSON(change.Reverse())},
		Data:     plan.JSON(recordData{*record}),
	}
	p.Add(making)
	data.Lower = making.ID
	what, known := data.remembered()
	wait = &plan.Change{
		ID:     p.Stage + "/wait/" + name,
		Action: actionWait, Target: what, App: s.App,
		Why: fmt.Sprintf("a resolver that was asked for it before it was there may repeat what it was told then for %s more; nothing is changed, so nothing is taken back",
			sum(known, part{"margin", opts.margin()})),
		Data: plan.JSON(data),
	}
	return record, wait, nil
}

// recordOf are the sets that green.makeRecord makes of an entry.
func (o Options) recordOf(green Entry) []zone.RRset {
	var sets []zone.RRset
	for _, typ := range []string{"A", "AAAA"} {
		if data := ofType(green.Addresses, typ); len(data) > 0 {
			sets = append(sets, zone.RRset{Name: green.MakeRecord, Type: typ, TTL: o.lowTTL(), Data: data})
		}
	}
	return sets
}

const mendTaken = "choose a name that is free, or set it as green.target where it is green's"

func taken(name string, now []zone.RRset) string {
	return fmt.Sprintf("green.makeRecord is to make %s, and it holds %s", name, describe(now))
}

// judgeRecord says early that something else stands at the name that green.makeRecord is to make, as far as green's address is known.
func judgeRecord(ctx context.Context, s NameState, opts Options, found *Inspection) error {
	name := s.Green.MakeRecord
	if name == "" {
		return nil
	}
	z, err := opts.zoneOf(name)
	if err != nil {
		found.refuse(s.Hostname, err.Error()+", which green.makeRecord is to make", "choose a name in a zone of the file")
		return nil
	}
	if before, _ := opts.Before.of(s.Hostname); before.Record != nil {
		return nil // made by an earlier plan: the stage itself knows what it may hold
	}
	now, err := lookupOwn(ctx, z.Driver, name)
	if errors.Is(err, zone.ErrConflict) {
		found.refuse(s.Hostname, fmt.Sprintf("green.makeRecord is to make %s: %v", name, err), mendTaken)
		return nil
	}
	if err != nil {
		return err
	}
	if len(now) > 0 && !zone.SameSets(withTTL(now, opts.lowTTL()), opts.recordOf(s.Green)) {
		found.refuse(s.Hostname, taken(name, now), mendTaken)
	}
	return nil
}

// lookupOwn returns what stands at a name itself, and not what a wildcard above it answers with. Where something of the same content
// really stands there, the change is refused by its condition (I3).
func lookupOwn(ctx context.Context, driver zone.Zone, name string) ([]zone.RRset, error) {
	now, err := lookupSwappable(ctx, driver, name)
	if err != nil || len(now) == 0 {
		return nil, err
	}
	for wildcard := range zone.WildcardsAbove(name, driver.Apex()) {
		wild, err := lookupSwappable(ctx, driver, wildcard)
		if err != nil {
			return nil, err
		}
		for i := range wild {
			wild[i].Name = name
		}
		if zone.SameSets(wild, now) {
			return nil, nil
		}
	}
	return now, nil
}

// wildcardTTL is for how long caches may remember what the wildcard above a name answers with; 0 where there is none.
func wildcardTTL(ctx context.Context, driver zone.Zone, name string) (uint32, error) {
	for wildcard := range zone.WildcardsAbove(name, driver.Apex()) {
		wild, err := lookupSwappable(ctx, driver, wildcard)
		if err != nil {
			return 0, err
		}
		var ttl uint32
		for _, set := range wild {
			ttl = max(ttl, set.TTL)
		}
		if len(wild) > 0 {
			return ttl, nil
		}
	}
	return 0, nil
}

// makeRecord makes a record and sees every server show it.
func (o Options) makeRecord(ctx context.Context, c plan.Change) (lowered, error) {
	var d recordData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return lowered{}, fmt.Errorf("read the plan: %w", err)
	}
	result, err := o.swapOne(ctx, c.ID, d.Record.Change)
	if err != nil {
		return lowered{}, err
	}
	seen, err := o.propagate(ctx, spread{name: d.Record.Change.Name, zone: d.Record.Zone, signed: d.Record.Signed, servers: d.Record.Servers, want: wants(d.Record.Change)})
	return lowered{Result: result, Seen: seen}, err
}

// planUnmake adds the change that removes a record which was made for a name, unless the name leads to it, or another one
// does, or somebody has changed it.
func planUnmake(ctx context.Context, opts RestoreOptions, p *plan.Plan, held Held, now []zone.RRset) ([]KeptRecord, error) {
	if held.Record == nil {
		return nil, nil
	}
	name := held.Record.Change.Name
	for _, set := range now {
		for _, d := range set.Data {
			if set.Type == "CNAME" && sameName(d, name) {
				p.Note(plan.Info, held.Name, "it leads to "+name+", which was made for it and stays")
				return nil, nil
			}
		}
	}
	z, err := opts.zoneOf(name)
	if err != nil {
		return nil, err
	}
	there, err := lookupSwappable(ctx, z.Driver, name)
	if err == nil && !zone.SameSets(there, held.Record.Change.New) { // a wildcard may say the very same: removing what is not there changes nothing
		there, err = lookupOwn(ctx, z.Driver, name)
	}
	switch {
	case err != nil:
		return nil, err
	case len(there) == 0:
		return nil, nil
	case !zone.SameSets(there, held.Record.Change.New):
		p.Note(plan.Warning, held.Name, fmt.Sprintf("%s, which was made for it, holds %s now: somebody has changed it, so it stays", name, describe(there)))
		return nil, nil
	}
	users, unread := opts.leadingTo(ctx, name, func(other string) bool { return sameName(other, held.Name) })
	if len(users) > 0 {
		kept := KeptRecord{App: held.App, Name: name, Users: users}
		p.Note(plan.Warning, held.Name, kept.String()+", stays")
		return []KeptRecord{kept}, nil
	}
	if unread != nil {
		p.Note(plan.Warning, held.Name, fmt.Sprintf("whether another name leads to %s is not known: %v", name, unread))
	}
	p.Add(plan.Change{
		ID:     p.Stage + "/record/" + held.Name,
		Action: actionUnmake, Target: name, App: held.App,
		Why:      "it was made for " + held.Name + ", which does not lead to it",
		ReliesOn: []plan.Reliance{{What: "records of " + name, Is: describe(there)}},
		Reverse:  &plan.Reverse{Action: actionRecord, How: "make it again", Data: plan.JSON(held.Record.Change)},
		Data:     plan.JSON(recordData{*held.Record}),
	})
	return nil, nil
}

// leadingTo are the names of the file's zones that lead to a name, without those to skip. The error says which zones it could not read.
func (o Options) leadingTo(ctx context.Context, name string, skip func(string) bool) (users []string, err error) {
	for _, z := range o.Zones {
		lister, ok := z.Driver.(zone.Lister)
		if !ok {
			err = errors.Join(err, fmt.Errorf("the zone %s cannot be listed", z.Driver.Apex()))
			continue
		}
		sets, lerr := lister.List(ctx)
		if lerr != nil {
			err = errors.Join(err, fmt.Errorf("list the zone %s: %w", z.Driver.Apex(), lerr))
		}
		for _, set := range sets {
			names, _, lerr := dnsx.LeadsTo(dnsx.RRset(set)) // what is in a form that is not understood leads nowhere
			if lerr == nil && !skip(set.Name) && slices.ContainsFunc(names, func(to string) bool { return sameName(to, name) }) && !slices.Contains(users, set.Name) {
				users = append(users, set.Name)
			}
		}
	}
	return users, err
}

// KeptRecords are the made records that would stay if all names went back now: other names lead to them, as far as the zones can be listed.
func KeptRecords(ctx context.Context, opts RestoreOptions) []KeptRecord {
	var kept []KeptRecord
	for _, held := range opts.Held {
		if held.Record == nil {
			continue
		}
		name := held.Record.Change.Name
		users, _ := opts.leadingTo(ctx, name, func(other string) bool {
			return slices.ContainsFunc(opts.Held, func(h Held) bool { return sameName(other, h.Name) })
		})
		if len(users) > 0 {
			kept = append(kept, KeptRecord{App: held.App, Name: name, Users: users})
		}
	}
	return kept
}

// removeRecord removes a record that was made. One that somebody changes at that moment stays.
func (o Options) removeRecord(ctx context.Context, c plan.Change) (any, error) {
	var d recordData
	if err := json.Unmarshal(c.Data, &d); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	z, err := o.zoneOf(d.Record.Change.Name)
	if err != nil {
		return nil, err
	}
	result, err := z.Driver.Swap(ctx, d.Record.Change.Reverse())
	if errors.Is(err, zone.ErrMoved) {
		return nil, errors.Join(&plan.MovedError{Change: c.ID, What: "records of " + d.Record.Change.Name, Was: describe(d.Record.Change.New), Now: describe(result.After)}, err)
	}
	return lowered{Result: result}, err
}
