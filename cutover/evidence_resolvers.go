package cutover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// resolve asks the resolvers that the file names for a name's zone, as their clients do. One that still leads to blue, against the
// TTL, sends these clients there: that is a use. One that gives no answer has shown nothing, and neither has one that knows nothing of a
// name which its servers have: it asks others than they, or remembers a moment at which it was not there.
func (n NameEvidence) resolve(ctx context.Context, held Held) (leads []string, asked int, err error) {
	z, err := n.zoneOf(held.Name)
	if err != nil || len(z.Resolvers) == 0 {
		return nil, 0, nil //nolint:nilerr // a name without a zone of the file has no resolvers there
	}
	resolvers, err := n.resolversOf(held.Name)
	if err != nil {
		return nil, 0, err
	}
	for _, resolver := range resolvers {
		lead, known, err := n.resolvedBy(ctx, resolver, held.Name)
		if err == nil && !known {
			err = &Error{
				Op: fmt.Sprintf("ask the resolver %s for %s", resolver, held.Name), Err: errors.New("it says that there is nothing, and the name's servers have it"),
				Hint: "let it ask these servers, or flush the name there; a resolver that none of the users asks is taken out of zones[].resolvers",
			}
		}
		if err != nil {
			return nil, asked, err
		}
		asked++
		if lead != "" {
			leads = append(leads, lead)
		}
	}
	return leads, asked, nil
}

// resolvedBy says where one resolver leads, if that is blue, and whether it knows the name at all.
func (n NameEvidence) resolvedBy(ctx context.Context, resolver netip.AddrPort, name string) (lead string, known bool, err error) {
	for _, typ := range []string{"A", "AAAA"} {
		reply, err := n.names().Ask(ctx, resolver, name, typ, true)
		if err == nil && reply.Rcode != "NOERROR" && reply.Rcode != "NXDOMAIN" {
			err = fmt.Errorf("it answers %s", reply.Rcode)
		}
		if err != nil {
			return "", false, fmt.Errorf("ask the resolver %s for %s: %w", resolver, name, err)
		}
		known = known || len(reply.Answer) > 0
		if r := slices.IndexFunc(reply.Answer, func(r dnsx.Record) bool {
			return n.leadsToBlue(zone.RRset{Name: r.Name, Type: r.Type, TTL: r.TTL, Data: []string{r.Data}})
		}); r >= 0 {
			at := reply.Answer[r]
			return fmt.Sprintf("resolver %s: %s %s %s, for %ds more", resolver, at.Name, at.Type, at.Data, at.TTL), true, nil
		}
	}
	return "", known, nil
}
