package cutover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/crossfade-project/crossfade/cutover/internal/externaldns"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Handover says whose a name becomes in external-dns's records when it moves (C25).
type Handover struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Affix is how both installations name their records.
	Affix externaldns.Affix `json:"affix,omitzero"`
}

// dnsKeepers are the installations of external-dns on both sides, each side read once and only when a name asks for it. Several names
// may ask at once.
type dnsKeepers struct {
	opts  Options
	mu    sync.Mutex
	sides map[string]*keepers
	// stopped says that the installations that the file names under pause must stand still by now.
	stopped bool
}

type keepers struct {
	all []Installation
	err error
}

func newKeepers(opts Options) *dnsKeepers {
	return &dnsKeepers{opts: opts, sides: map[string]*keepers{}}
}

func (k *dnsKeepers) on(ctx context.Context, side string) ([]Installation, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sides[side] == nil {
		all, err := findInstallations(ctx, k.opts.side(side), side)
		k.sides[side] = &keepers{all, err}
	}
	return k.sides[side].all, k.sides[side].err
}

func (k *dnsKeepers) declared() migration.ExternalDNS {
	if d := k.opts.Times.ExternalDNS; d != nil {
		return *d
	}
	return migration.ExternalDNS{}
}

func (k *dnsKeepers) declaredOn(side string) *migration.ExternalDNSOwner {
	if side == sideBlue {
		return k.declared().Blue
	}
	return k.declared().Green
}

// affixes are those by which ownership records are looked for: external-dns's default, what the file says, and, where the file
// says that there is an external-dns, what its Deployments were told.
func (k *dnsKeepers) affixes(ctx context.Context) []externaldns.Affix {
	list := []externaldns.Affix{{}}
	add := func(a externaldns.Affix) {
		if !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	for _, side := range []string{sideBlue, sideGreen} {
		if d := k.declaredOn(side); d != nil {
			add(affixOf(*d))
		}
		if k.opts.Times.ExternalDNS == nil {
			continue
		}
		// What cannot be read is said where it matters.
		all, _ := k.on(ctx, side)
		for _, i := range all {
			add(i.Affix)
		}
	}
	return list
}

func affixOf(d migration.ExternalDNSOwner) externaldns.Affix {
	return externaldns.Affix{Prefix: d.Prefix, Suffix: d.Suffix, Wildcard: d.Wildcard}
}

const (
	mendPause = "; or stop external-dns on both sides until the migration is over: cutover.externalDNS.pause lets Crossfade do it, cutover.externalDNS.paused: true says that you have"
	// ownerArgument names what an installation is told apart by.
	ownerArgument = "--txt-owner-id"
)

// judge says whether the name's ownership can be handed over with its record, and refuses the name where it cannot: an
// external-dns that still owns it would undo the swap within its interval. It returns nil where there is nothing to hand over.
func (k *dnsKeepers) judge(ctx context.Context, s NameState, z Zone, withoutGreen bool, found *Inspection) *Handover {
	if k.declared().Paused || k.declared().Pause != nil {
		k.judgePaused(ctx, s, found)
		return nil
	}
	if len(s.Owners) == 0 {
		k.judgeUnowned(ctx, s, found)
		return nil
	}
	from, ok := k.ownerNow(s, found)
	if !ok {
		return nil
	}
	blue, ok := k.keeper(ctx, sideBlue, s, from, found)
	if !ok {
		return nil
	}
	green, ok := k.keeper(ctx, sideGreen, s, "", found)
	if !ok {
		return nil
	}
	refuse := func(why, mend string) *Handover {
		found.refuse(s.Hostname, why, mend+mendPause)
		return nil
	}
	switch {
	case blue.Owner == green.Owner:
		return refuse(fmt.Sprintf("external-dns has the owner id %s on both sides, so that each takes the other's records for its own", blue.Owner),
			"give green's external-dns a "+ownerArgument+" of its own, before its objects are there")
	case from == green.Owner:
		return refuse(fmt.Sprintf("external-dns's record says that it is %s's, which is green's, while the name leads to blue", from), "find out which side keeps the name")
	case from != blue.Owner:
		return refuse(fmt.Sprintf("an external-dns owns it that is neither blue's (%s) nor green's (%s): %s", blue.Owner, green.Owner, from), "leave the name to its owner, or find that external-dns")
	case blue.Affix != green.Affix:
		return refuse(fmt.Sprintf("external-dns names its records in one way on blue (%s) and in another on green (%s)", affixText(blue.Affix), affixText(green.Affix)),
			"give green's external-dns blue's --txt-prefix and --txt-suffix")
	case green.Registry != "txt":
		return refuse(fmt.Sprintf("green's external-dns keeps its records in the registry %s, which a change of the zone cannot reach", green.Registry), "give it --registry=txt")
	case green.Encrypted:
		return refuse("green's external-dns encrypts its records, and reads no plain one as its own", "start it without --txt-encrypt-enabled")
	case !zone.Together(z.Driver):
		return refuse("its provider cannot change external-dns's record in the same transaction as the name's", "none with this provider")
	}
	if !k.judgeWishes(ctx, s, blue, found) || !withoutGreen && !k.judgeWishes(ctx, s, green, found) {
		return nil
	}
	return &Handover{From: from, To: green.Owner, Affix: blue.Affix}
}

// judgeUnowned looks for an external-dns whose word about the name is kept outside the zone. Only where the file speaks of
// external-dns, since only then the Deployments may be read.
func (k *dnsKeepers) judgeUnowned(ctx context.Context, s NameState, found *Inspection) {
	if k.opts.Times.ExternalDNS == nil {
		return
	}
	for _, side := range []string{sideBlue, sideGreen} {
		if k.declaredOn(side) != nil {
			continue
		}
		all, err := k.on(ctx, side)
		if err != nil {
			found.refuse(s.Hostname, fmt.Sprintf("whether an external-dns on %s keeps it could not be looked up: %v", side, err), "give the account its rights (crossfade doctor --rbac prints them), or say under cutover.externalDNS."+side+" how it runs"+mendPause)
			continue
		}
		for _, i := range all {
			if i.active(s.Hostname) && i.Registry != "txt" {
				found.refuse(s.Hostname, fmt.Sprintf("external-dns may keep it, and what it owns stands in the registry %s, which a change of the zone cannot reach: %s", i.Registry, i), "give it --registry=txt, or a --domain-filter that leaves the name out"+mendPause)
			}
		}
	}
}

// ownerNow is the one owner that all of the name's ownership records tell.
func (k *dnsKeepers) ownerNow(s NameState, found *Inspection) (string, bool) {
	owner := ""
	for _, o := range s.Owners {
		switch {
		case o.Unknown:
			found.refuse(s.Hostname, "external-dns's record of it is encrypted, or of another unknown form, and cannot be handed over: "+o.Name, "start external-dns without --txt-encrypt-enabled and let it write its records again"+mendPause)
			return "", false
		case owner != "" && o.Owner != owner:
			found.refuse(s.Hostname, fmt.Sprintf("external-dns's records disagree on who owns it: %s and %s", owner, o), "take the stale record away"+mendPause)
			return "", false
		}
		owner = o.Owner
	}
	return owner, true
}

// keeper is the one installation on a side that may own the name: the file's, or that of a Deployment. On blue the owner tells
// which; on green it must be the only one that the name concerns.
func (k *dnsKeepers) keeper(ctx context.Context, side string, s NameState, owner string, found *Inspection) (Installation, bool) {
	if d := k.declaredOn(side); d != nil {
		return Installation{Side: side, Name: "of the file", Replicas: 1, Arguments: externaldns.Arguments{Owner: d.Owner, Affix: affixOf(*d), Registry: "txt", Policy: "sync"}}, true
	}
	refuse := func(why, mend string) (Installation, bool) {
		found.refuse(s.Hostname, why, mend+mendPause)
		return Installation{}, false
	}
	who := "external-dns owns it: " + s.Owners[0].String()
	all, err := k.on(ctx, side)
	if err != nil {
		return refuse(fmt.Sprintf("%s; who keeps names on %s could not be looked up: %v", who, side, err),
			"give the account its rights (crossfade doctor --rbac prints them where the file has cutover.externalDNS), or say under cutover.externalDNS."+side+" how it runs")
	}
	var fit []Installation
	for _, i := range all {
		if i.Concerns(s.Hostname) && (owner == "" || i.Owner == owner) {
			fit = append(fit, i)
		}
	}
	switch {
	case len(fit) == 0 && owner != "":
		return refuse(fmt.Sprintf("%s, and no Deployment of %s runs external-dns as %s", who, side, owner), "say under cutover.externalDNS."+side+" how it runs")
	case len(fit) == 0:
		return refuse(fmt.Sprintf("%s, and no Deployment of %s runs an external-dns that could take it", who, side), "install it there under a "+ownerArgument+" of its own, or say under cutover.externalDNS."+side+" how it runs")
	case len(fit) > 1:
		return refuse(fmt.Sprintf("%s, and on %s more than one external-dns could keep it: %s, %s", who, side, fit[0], fit[1]), "say under cutover.externalDNS."+side+" which one")
	case len(fit[0].Unread) > 0:
		return refuse(fmt.Sprintf("%s, and what %s was told could not be read: %s", who, fit[0], strings.Join(fit[0].Unread, "; ")), "say under cutover.externalDNS."+side+" how it runs")
	}
	return fit[0], true
}

// judgeWishes looks at what a side's external-dns does with the record while it is its own: one that deletes what nobody asks
// for must be asked for the name on green, and on blue nobody may set the lowered TTL up again.
func (k *dnsKeepers) judgeWishes(ctx context.Context, s NameState, keeper Installation, found *Inspection) bool {
	app, err := k.opts.application(s.App)
	if err != nil {
		found.refuse(s.Hostname, err.Error(), "correct the file")
		return false
	}
	side, green := k.opts.side(keeper.Side), keeper.Side == sideGreen
	if side.Kube == nil {
		found.warn(s.Hostname, fmt.Sprintf("which objects on %s ask external-dns for it could not be looked up: one that runs under the policy sync deletes what it owns and nobody asks for", keeper.Side))
		return true
	}
	wishes, err := wanted(ctx, side, side.namespace(app.Namespace), keeper, s.Hostname)
	if err != nil {
		found.refuse(s.Hostname, fmt.Sprintf("which objects on %s ask external-dns for it could not be looked up: %v", keeper.Side, err), "give the account its rights: crossfade doctor --rbac prints them where the file has cutover.externalDNS"+mendPause)
		return false
	}
	if green && len(wishes) == 0 && keeper.Policy == "sync" {
		found.refuse(s.Hostname, fmt.Sprintf("no Ingress and no Service on green asks external-dns for it: under the policy sync %s would delete the record as soon as it owns it", keeper),
			"give green's Ingress the host, or its Service the annotation "+annotationHostname+"; or run green's external-dns with --policy=upsert-only until the migration is over"+mendPause)
		return false
	}
	if green && !judgeTargets(s, keeper, wishes, found) {
		return false
	}
	for _, w := range wishes {
		switch {
		case w.ttl == "", w.ttl == "0": // 0 is external-dns's word for none
		case green:
			found.warn(s.Hostname, fmt.Sprintf("%s on green demands the TTL %s: external-dns sets it once it owns the record, and going back then takes as long", w.object, w.ttl))
		default:
			found.refuse(s.Hostname, fmt.Sprintf("%s on blue demands the TTL %s of external-dns, which would undo the lowered one", w.object, w.ttl), "take the annotation "+annotationTTL+" away until the name has moved"+mendPause)
			return false
		}
	}
	return true
}

// judgeTargets demands that green's external-dns would write what the swap writes: else it changes the record as soon as it
// owns it, and the way back would find a record that nobody planned.
func judgeTargets(s NameState, keeper Installation, wishes []wish, found *Inspection) bool {
	sets, err := newRecords(s, 0)
	if err != nil {
		return true // refused for itself
	}
	var data []string
	for _, set := range sets {
		data = append(data, set.Data...)
	}
	for _, w := range wishes {
		switch {
		case len(w.targets) == 0 && keeper.Policy == "sync":
			found.refuse(s.Hostname, fmt.Sprintf("%s on green asks external-dns for it and has no address: under the policy sync %s would delete the record as soon as it owns it", w.object, keeper),
				"wait for its address, or annotate it with "+annotationTarget+": "+strings.Join(data, ",")+mendPause)
			return false
		case len(w.targets) > 0 && !w.writes(data):
			found.refuse(s.Hostname, fmt.Sprintf("the swap writes %s, and for %s green's external-dns would write %s as soon as it owns the record", strings.Join(data, " "), w.object, strings.Join(w.targets, " ")),
				"let both be the same: green's target in the file, or the annotation "+annotationTarget+": "+strings.Join(data, ",")+mendPause)
			return false
		}
	}
	return true
}

func affixText(a externaldns.Affix) string {
	return fmt.Sprintf("prefix %q, suffix %q, wildcard %q", a.Prefix, a.Suffix, a.Wildcard)
}

// companions are the name's ownership sets, each with another owner: what goes into the message that moves the name.
func (h Handover) companions(owners []Owner) []zone.Companion {
	var with []zone.Companion
	for _, o := range owners {
		if set, changed := owned(o.Set, h.From, h.To); changed {
			with = append(with, zone.Companion{Old: o.Set, New: set})
		}
	}
	return with
}

// note says in the plan what happens to external-dns's records.
func (h Handover) note(p *plan.Plan, name string, with []zone.Companion) {
	var at []string
	for _, w := range with {
		at = append(at, w.Old.Name)
	}
	p.Note(plan.Info, name, fmt.Sprintf("external-dns: %s hands it over to %s in the same message (%s)", h.From, h.To, strings.Join(at, ", ")))
}
