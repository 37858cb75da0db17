package trial

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

const (
	// namesTTL is what names have before a migration, ownerTTL that of external-dns's records.
	namesTTL, ownerTTL = 20, 300
	// loweredTTL is what a cutover's migration lowers names to.
	loweredTTL = 2
)

// hostOf says what one name of a form is.
type hostOf struct {
	app, label string
	// plain is a name with addresses; others have a CNAME. kept is one that external-dns keeps. made is one whose target on green the
	// migration makes.
	plain, kept, made bool
}

// A host is a name of a trial: what it holds on each side, and what its targets are.
type host struct {
	App, Name string
	// Blue and Green are the targets.
	Blue, Green string
	on          map[string][]dnsx.Record
	targets     []dnsx.Record
	// Made says that green has only an address, for which the migration makes Green.
	Made bool
	// owner is the name of external-dns's record of it, or empty.
	owner string
}

func (t *Trial) hosts() []host {
	var list []host
	for _, of := range t.form.hosts {
		h := host{
			App: of.app, Name: of.label + "." + t.Name + "." + Zone, on: map[string][]dnsx.Record{},
			Blue: t.target(of.label, "blue"), Green: t.target(of.label, "green"), Made: of.made,
		}
		if h.Made {
			h.Green = "green-" + h.Name
		}
		for side, target := range map[string]string{"blue": h.Blue, "green": h.Green} {
			address := t.Web.At[side]
			if side == "blue" || !h.Made {
				h.targets = append(h.targets, dnsx.Record{Name: target, Type: "A", TTL: 60, Data: address})
			}
			if !of.plain {
				h.on[side] = []dnsx.Record{{Name: h.Name, Type: "CNAME", TTL: namesTTL, Data: target}}
				continue
			}
			h.on[side] = []dnsx.Record{{Name: h.Name, Type: "A", TTL: namesTTL, Data: address}}
			if side == "blue" {
				h.on[side] = append(h.on[side], dnsx.Record{Name: h.Name, Type: "AAAA", TTL: namesTTL, Data: "fd00::b"})
				h.targets = append(h.targets, dnsx.Record{Name: h.Blue, Type: "AAAA", TTL: 60, Data: "fd00::b"})
			}
		}
		if of.kept {
			h.owner = "cname-" + h.Name
		}
		list = append(list, h)
	}
	return list
}

// ownership is external-dns's word that a name is a side's.
func (t *Trial) ownership(side string) string {
	return fmt.Sprintf(`"heritage=external-dns,external-dns/owner=%s-%s,external-dns/resource=ingress/%s/kept"`, side, t.Name, t.Name)
}

func text(name, typ string, ttl uint32, data string) string {
	return fmt.Sprintf("%s %s %d %s", name, typ, ttl, data)
}

// A Standing is where the names of a trial lead at one moment, by one version of the zone.
type Standing struct {
	// Side of each application: blue, green, or mixed where it is in the middle of a move.
	Side map[string]string
	// Wrong is what no moment may show: a name that has no answer or is half on one side and half on the other, an owner that does not
	// agree with its name, a foreign record that is not what it was.
	Wrong []string
	// Unfit is what a migration that is at rest does not leave: other TTLs than all the original ones or all the lowered
	// ones, a fence that is there for one name and not for another, a record that was made and is there without fences.
	Unfit []string
	// Fenced is set where every name has its fence and the lowered TTL, and all records that are made for green are there.
	Fenced bool
}

// Standing reads the trial's part of the zone at the primary, in one transfer, and asks both servers for every name.
func (t *Trial) Standing(ctx context.Context) (Standing, error) {
	s := Standing{Side: map[string]string{}}
	sets, err := t.zone(ctx)
	if err != nil {
		return s, err
	}
	there := map[string]zone.RRset{}
	for _, set := range sets {
		there[set.Name+" "+set.Type] = set
	}
	fences, lowered, making, made := 0, 0, 0, 0
	if t.form.oneCluster {
		fenced, err := t.standingEntry(ctx, &s)
		if err != nil {
			return s, err
		}
		if fenced {
			fences++
		}
	}
	for _, h := range t.hosts() {
		side, ttl := t.sideOf(h, there, &s)
		if h.Made {
			making++
			if t.holdMade(h, side, there, &s) {
				made++
			}
		}
		if before := s.Side[h.App]; before != "" && before != side {
			side = "mixed"
		}
		s.Side[h.App] = side
		switch ttl {
		case loweredTTL:
			lowered++
		case namesTTL:
		default:
			s.Wrong = append(s.Wrong, fmt.Sprintf("%s has the TTL %d", h.Name, ttl))
		}
		if key := "_crossfade-" + h.Name + " TXT"; len(there[key].Data) > 0 {
			fences++
			if len(there[key].Data) > 1 {
				s.Wrong = append(s.Wrong, fmt.Sprintf("%s has %d fences", h.Name, len(there[key].Data)))
			}
			delete(there, key)
		}
		if err := t.answered(ctx, h, &s); err != nil {
			return s, err
		}
	}
	all, kept := len(t.form.hosts), 0
	if t.form.oneCluster {
		kept = 1
	}
	s.Fenced = fences == all+kept && lowered == all && made == making
	if !s.Fenced && fences+lowered+made > 0 {
		s.Unfit = append(s.Unfit, fmt.Sprintf("of %d names %d have a fence, and of %d in the DNS %d the lowered TTL; %d of %d records are made", all+kept, fences, all, lowered, made, making))
	}
	if t.form.oneCluster {
		if err := t.holdPaused(ctx, lowered > 0, &s); err != nil {
			return s, err
		}
	}
	t.holdForeign(there, &s)
	return s, nil
}

// sideOf takes a name's own records from what is there, and says which side's they are.
func (t *Trial) sideOf(h host, there map[string]zone.RRset, s *Standing) (side string, ttl uint32) {
	var got []string
	for _, typ := range []string{"CNAME", "A", "AAAA"} {
		set, ok := there[h.Name+" "+typ]
		if !ok {
			continue
		}
		delete(there, h.Name+" "+typ)
		for _, data := range set.Data {
			got = append(got, typ+" "+data)
		}
		if ttl != 0 && ttl != set.TTL {
			s.Wrong = append(s.Wrong, fmt.Sprintf("%s has the TTLs %d and %d", h.Name, ttl, set.TTL))
		}
		ttl = set.TTL
	}
	for _, on := range []string{"blue", "green"} {
		var want []string
		for _, r := range h.on[on] {
			want = append(want, r.Type+" "+r.Data)
		}
		if slices.Equal(got, want) {
			side = on
		}
	}
	if side == "" {
		s.Wrong = append(s.Wrong, fmt.Sprintf("%s is whole on neither side: %v", h.Name, got))
		side = "mixed"
	}
	if h.owner == "" {
		return side, ttl
	}
	owner := there[h.owner+" TXT"]
	delete(there, h.owner+" TXT")
	if len(owner.Data) != 1 || owner.Data[0] != t.ownership(side) || owner.TTL != ownerTTL {
		s.Wrong = append(s.Wrong, fmt.Sprintf("%s is on %s, and %s holds %v with the TTL %d", h.Name, side, h.owner, owner.Data, owner.TTL))
	}
	return side, ttl
}

// holdMade takes the record that is made for a name's entry on green from what is there, and reports whether it was. A name that leads to
// green needs it.
func (t *Trial) holdMade(h host, side string, there map[string]zone.RRset, s *Standing) bool {
	set, ok := there[h.Green+" A"]
	delete(there, h.Green+" A")
	switch {
	case !ok && side == "green":
		s.Wrong = append(s.Wrong, fmt.Sprintf("%s leads to %s, which is not there", h.Name, h.Green))
	case ok && (!slices.Equal(set.Data, []string{t.Web.At["green"]}) || set.TTL != loweredTTL):
		s.Wrong = append(s.Wrong, fmt.Sprintf("%s was made with %v and the TTL %d", h.Green, set.Data, set.TTL))
	}
	return ok
}

// answered asks both servers. The secondary may be a moment behind, but has an answer.
func (t *Trial) answered(ctx context.Context, h host, s *Standing) error {
	typ := h.on["blue"][0].Type
	for _, server := range []netip.AddrPort{t.world.Primary.Addr(), t.world.secondary.Addr()} {
		reply, err := new(dnsx.Client).Ask(ctx, server, h.Name, typ, false)
		if err != nil {
			return err
		}
		if len(reply.Set(h.Name, typ).Data) != 1 {
			s.Wrong = append(s.Wrong, fmt.Sprintf("%s answers nothing for %s %s", server, h.Name, typ))
		}
	}
	return nil
}

// holdForeign compares what is left of the zone with what was put there.
func (t *Trial) holdForeign(there map[string]zone.RRset, s *Standing) {
	var got []string
	for _, set := range there {
		for _, data := range set.Data {
			got = append(got, text(set.Name, set.Type, set.TTL, data))
		}
	}
	for _, line := range got {
		if !slices.Contains(t.foreign, line) {
			s.Wrong = append(s.Wrong, "nobody put this there: "+line)
		}
	}
	for _, line := range t.foreign {
		if !slices.Contains(got, line) {
			s.Wrong = append(s.Wrong, "a foreign record is gone: "+line)
		}
	}
}

// On says what is wrong with a standing for a migration at rest whose applications are where want says: "" stands for all that it
// does not name.
func (s Standing) On(want map[string]string, fenced bool) string {
	wrong := slices.Concat(s.Wrong, s.Unfit)
	for app, side := range s.Side {
		to, named := want[app]
		if !named {
			to = want[""]
		}
		if side != to {
			wrong = append(wrong, fmt.Sprintf("%s is on %s, want %s", app, side, to))
		}
	}
	if s.Fenced != fenced {
		wrong = append(wrong, fmt.Sprintf("fences and lowered TTLs are there: %t, want %t", s.Fenced, fenced))
	}
	slices.Sort(wrong)
	return strings.Join(wrong, "; ")
}
