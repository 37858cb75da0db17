package cutover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// NameEvidence looks for names that still lead to blue, at every address of every authoritative server.
type NameEvidence struct {
	Options
	// Held are the names and their servers, as the TTL stage left them.
	Held []Held
	// Entries of blue.
	Entries []Entry
}

// Name implements Evidence.
func (n NameEvidence) Name() string { return "names that lead to blue" }

// Collect implements Evidence. It knows the hostnames of the file only, and says so.
func (n NameEvidence) Collect(ctx context.Context, _ Observation) (Observation, error) {
	if len(n.Held) == 0 {
		return Observation{}, errors.New("no hostname is known")
	}
	obs := Observation{Evidence: n.Name(), Use: Quiet, From: n.now()}
	asked := 0
	for _, held := range n.Held {
		answers, err := n.read(ctx, held)
		if err != nil {
			return Observation{}, err
		}
		asked += len(answers)
		for _, a := range answers {
			if slices.ContainsFunc(n.Entries, func(e Entry) bool { return matches(a.Type, a.Got.Data, e) }) {
				obs.Use = Used
				obs.Details = append(obs.Details, fmt.Sprintf("%s: %s %s %v", a.Addr, a.Name, a.Type, a.Got.Data))
			}
		}
	}
	obs.At = n.now()
	obs.Text = fmt.Sprintf("%d hostnames of the file, %d answers of their servers, of which %d lead to blue; other names of the zones were not listed", len(n.Held), asked, len(obs.Details))
	obs.Details = cut(obs.Details)
	return obs, nil
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
