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
}

// Name implements Evidence.
func (n NameEvidence) Name() string { return "names that lead to blue" }

// Collect implements Evidence. Where a zone can be listed, every record of it is judged; where it can't, the hostnames of
// the file are, and the text says so.
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
			if n.leadsToBlue(a.Name, a.Type, a.Got.Data) {
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

// list judges every record of the zones that can be listed, and says which could.
func (n NameEvidence) list(ctx context.Context, obs *Observation) (string, error) {
	var parts []string
	for _, z := range n.Zones {
		if z.Driver == nil {
			continue
		}
		lister, ok := z.Driver.(zone.Lister)
		if !ok {
			parts = append(parts, fmt.Sprintf("%s cannot be listed, its other names are not known", z.Driver.Apex()))
			continue
		}
		sets, err := lister.List(ctx)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			n.log().WarnContext(ctx, "the zone cannot be listed", "zone", z.Driver.Apex(), "error", err)
			parts = append(parts, fmt.Sprintf("%s could not be listed, its other names are not known", z.Driver.Apex()))
			continue
		}
		parts = append(parts, fmt.Sprintf("all %d sets of %s", len(sets), z.Driver.Apex()))
		for _, set := range sets {
			if n.leadsToBlue(set.Name, set.Type, set.Data) {
				obs.Details = append(obs.Details, fmt.Sprintf("zone %s: %s %s %v", z.Driver.Apex(), set.Name, set.Type, set.Data))
			}
		}
	}
	return strings.Join(parts, ", "), nil
}

// leadsToBlue says whether a record points at an entry of blue. The record of blue's own name is not a use of it.
func (n NameEvidence) leadsToBlue(name, typ string, data []string) bool {
	if typ == "ALIAS" {
		typ = "CNAME" // a provider's own kind of pointer
	}
	if typ != "CNAME" && typ != "A" && typ != "AAAA" {
		return false
	}
	return slices.ContainsFunc(n.Entries, func(e Entry) bool { return name != e.Target && matches(typ, data, e) })
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
