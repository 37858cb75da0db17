package cutover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// NameEvidence looks for names that still lead to blue, at every address of every authoritative server, and at the resolvers that
// the file names.
type NameEvidence struct {
	Options
	// Held are the names and their servers, as the TTL stage left them.
	Held []Held
	// Entries of blue.
	Entries []Entry
	// Unlisted are zones of which it is said that they cannot be listed.
	Unlisted []string
}

// Name implements Evidence.
func (n NameEvidence) Name() string { return "names that lead to blue" }

// Coverage implements Evidence.
func (n NameEvidence) Coverage() Coverage { return State }

// Collect implements Evidence. Every record of every zone is judged; of one that is said to be unlisted, the hostnames of the file
// are, and the text says so.
//
// Names are a state and no event: what counts is that none leads to blue at each look, so a look reaches back to the last.
func (n NameEvidence) Collect(ctx context.Context, last Observation) (Observation, error) {
	if len(n.Held) == 0 {
		return Observation{}, errors.New("no hostname is known")
	}
	obs := Observation{Evidence: n.Name(), Use: Quiet, From: last.At}
	if last.At.IsZero() {
		obs.From = n.now()
	}
	asked, resolved := 0, 0
	for _, held := range n.Held {
		answers, err := n.read(ctx, held)
		if err != nil {
			return Observation{}, err
		}
		asked += len(answers)
		for _, a := range answers {
			if n.leadsToBlue(zone.RRset(a.Got)) {
				obs.Details = append(obs.Details, fmt.Sprintf("%s: %s %s %v", a.Addr, a.Name, a.Type, a.Got.Data))
			}
		}
		leads, by, err := n.resolve(ctx, held)
		if err != nil {
			return Observation{}, err
		}
		obs.Details, resolved = append(obs.Details, leads...), resolved+by
	}
	listed, err := n.list(ctx, &obs)
	if err != nil {
		return Observation{}, err
	}
	if len(obs.Details) > 0 {
		obs.Use = Used
	}
	obs.At = n.now()
	obs.Text = fmt.Sprintf("%d hostnames of the file, %d answers of their servers, %d of resolvers; %s; %d lead to blue", len(n.Held), asked, resolved, listed, len(obs.Details))
	obs.Details = cut(obs.Details)
	return obs, nil
}

// list judges every record of the zones, and where those lead that lead elsewhere, and says which it could not see. A zone that could be
// listed before, or should be, and gives no list now, teaches nothing (I8): what else is in it is not known.
func (n NameEvidence) list(ctx context.Context, obs *Observation) (string, error) {
	var parts []string
	var all []zone.RRset
	follow := n.newChains()
	for _, z := range n.Zones {
		if slices.ContainsFunc(n.Unlisted, func(name string) bool { return sameName(name, z.Name) }) {
			parts = append(parts, fmt.Sprintf("%s is declared as one that cannot be listed: its other names are not known", z.Name))
			continue
		}
		lister, ok := z.Driver.(zone.Lister)
		if !ok {
			return "", &Error{Op: "list the zone " + z.Name, Hint: "name it under retirement.unlisted, and look through it yourself", Err: errors.New("nothing here can list it")}
		}
		sets, err := lister.List(ctx)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			return "", &Error{
				Op: "list the zone " + z.Name, Err: err,
				Hint: "let the key transfer or read the whole zone; where that is not to be had, name the zone under retirement.unlisted, and look through it yourself",
			}
		}
		parts = append(parts, fmt.Sprintf("all %d sets of %s", len(sets), z.Driver.Apex()))
		for _, set := range sets {
			follow.listed[set.Name] = true
			if n.leadsToBlue(set) {
				obs.Details = append(obs.Details, fmt.Sprintf("zone %s: %s %s %v", z.Driver.Apex(), set.Name, set.Type, set.Data))
				continue
			}
			all = append(all, set)
		}
	}
	if err := follow.followAll(ctx, all); err != nil {
		return "", err
	}
	for _, set := range all {
		if end := follow.judge(set); end != "" {
			obs.Details = append(obs.Details, fmt.Sprintf("%s %s %v, which leads to %s", set.Name, set.Type, set.Data, end))
		}
	}
	parts = append(parts, follow.String())
	return strings.Join(parts, ", "), nil
}

// leadsToBlue says whether a set leads to an entry of blue, by its name or by its address. What stands at the names of blue's entries
// themselves is no use of them.
func (n NameEvidence) leadsToBlue(set zone.RRset) bool {
	if slices.ContainsFunc(n.Entries, func(e Entry) bool { return set.Name == e.Target }) {
		return false
	}
	names, addrs, err := dnsx.LeadsTo(dnsx.RRset(set))
	if err != nil {
		// In a form that is not understood: what is in it is compared word by word.
		for _, data := range set.Data {
			for _, word := range strings.FieldsFunc(data, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == '=' || r == '"' }) {
				names = append(names, strings.ToLower(strings.TrimSuffix(word, "."))+".")
				if addr, err := netip.ParseAddr(word); err == nil {
					addrs = append(addrs, addr.Unmap())
				}
			}
		}
	}
	return slices.ContainsFunc(n.Entries, func(e Entry) bool {
		for _, name := range names {
			// A DNAME leads to all names below its target.
			if e.Target != "" && (name == e.Target || set.Type == "DNAME" && dnsx.InZone(e.Target, name)) {
				return true
			}
		}
		return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(e.Addresses, a) })
	})
}

// read returns what every server has at a name. One that can't be asked, and one that has nothing there, teach nothing.
func (n NameEvidence) read(ctx context.Context, held Held) ([]dnsx.ServerAnswer, error) {
	var want []dnsx.RRset
	for _, typ := range []string{"CNAME", "A", "AAAA"} {
		want = append(want, dnsx.RRset{Name: held.Name, Type: typ})
	}
	answers, err := n.names().Propagated(ctx, held.Servers, want...)
	if err != nil && !errors.Is(err, dnsx.ErrNotPropagated) || len(answers) == 0 {
		return nil, fmt.Errorf("ask the servers of %s: %w", held.Name, err)
	}
	found := map[netip.AddrPort]bool{}
	for _, a := range answers {
		if a.Unknown {
			return nil, fmt.Errorf("ask %s for %s %s: %s", a.Addr, a.Name, a.Type, a.Reason)
		}
		found[a.Addr] = found[a.Addr] || len(a.Got.Data) > 0
	}
	for addr, ok := range found {
		if !ok {
			return nil, fmt.Errorf("%s has neither a CNAME nor an address at %s", addr, held.Name)
		}
	}
	return answers, nil
}
