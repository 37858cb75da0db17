package cutover

import (
	"fmt"
	"net/netip"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// zoneOf returns the file's zone that holds a name: the longest apex at a label border (C10).
func (o Options) zoneOf(name string) (Zone, error) {
	var best Zone
	for _, z := range o.Zones {
		if z.Driver == nil || !dnsx.InZone(name, z.Driver.Apex()) {
			continue
		}
		if best.Driver == nil || len(z.Driver.Apex()) > len(best.Driver.Apex()) {
			best = z
		}
	}
	if best.Driver == nil {
		return Zone{}, fmt.Errorf("no zone of the file holds %s", name)
	}
	return best, nil
}

// source is where discovery in the zone begins.
func (z Zone) source() dnsx.Source {
	return dnsx.Source{Resolvers: z.Resolvers, Servers: z.Servers}
}

// resolversOf returns the resolvers that clients of a name are taken to use.
func (o Options) resolversOf(name string) ([]netip.AddrPort, error) {
	z, err := o.zoneOf(name)
	if err != nil {
		return nil, err
	}
	resolvers, err := z.source().ResolverAddrs()
	if err != nil {
		return nil, fmt.Errorf("resolvers of zone %s: %w", z.Driver.Apex(), err)
	}
	return resolvers, nil
}

func toDNS(sets []zone.RRset) []dnsx.RRset {
	out := make([]dnsx.RRset, len(sets))
	for i, s := range sets {
		out[i] = dnsx.RRset(s)
	}
	return out
}

// wants are the sets that every server must show after a change: the new ones, and nothing of a type that went.
func wants(c zone.Change) []dnsx.RRset {
	sets := toDNS(c.New)
	for _, old := range c.Old {
		gone := true
		for _, set := range c.New {
			gone = gone && set.Type != old.Type
		}
		if gone {
			sets = append(sets, dnsx.RRset{Name: c.Name, Type: old.Type})
		}
	}
	return sets
}

func withTTL(sets []zone.RRset, ttl uint32) []zone.RRset {
	out := make([]zone.RRset, len(sets))
	for i, s := range sets {
		out[i] = s
		out[i].Data = append([]string(nil), s.Data...)
		out[i].TTL = ttl
	}
	return out
}
