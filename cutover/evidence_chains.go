package cutover

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// longestChain is how many names are followed one after the other (C14).
const longestChain = 8

// patience is how many questions a resolver may leave without an answer before it is not asked any more.
const patience = 3

// chains follows pointers that leave what was listed: a name elsewhere may lead back to blue.
type chains struct {
	NameEvidence
	// listed are the names that are judged by themselves.
	listed map[string]bool
	// ends keeps for each name that was followed where it leads to blue, or nothing.
	ends map[string]string
	// failed counts the questions of this look that a resolver did not answer: one that is dead is not waited for each time.
	failed map[netip.AddrPort]int
	// lost counts names outside every zone of the file of which nobody told where they lead.
	lost int
}

func (n NameEvidence) newChains() *chains {
	return &chains{NameEvidence: n, listed: map[string]bool{}, ends: map[string]string{}, failed: map[netip.AddrPort]int{}}
}

// judge says of a set that does not lead to blue itself whether what it points at does. A DNAME points at a tree, and not at a name.
func (c *chains) judge(ctx context.Context, set zone.RRset) (string, error) {
	if set.Type == "DNAME" || slices.ContainsFunc(c.Entries, func(e Entry) bool { return set.Name == e.Target }) {
		return "", nil
	}
	names, _, err := dnsx.LeadsTo(dnsx.RRset(set))
	if err != nil {
		return "", nil //nolint:nilerr // in a form that is not understood: leadsToBlue has compared it word by word
	}
	for _, name := range names {
		if c.listed[name] {
			continue
		}
		end, known := c.ends[name]
		if !known {
			if end, err = c.follow(ctx, set.Name, name); err != nil {
				return "", err
			}
			c.ends[name] = end
		}
		if end != "" {
			return end, nil
		}
	}
	return "", nil
}

// follow goes from a name to the next where a zone of the file holds it, and asks the resolvers of the zone from which it was come where none does.
func (c *chains) follow(ctx context.Context, from, name string) (string, error) {
	for range longestChain {
		z, err := c.zoneOf(name)
		if err != nil {
			break // outside
		}
		sets, err := lookupSwappable(ctx, z.Driver, name)
		if err != nil {
			return "", fmt.Errorf("find out where %s leads, to which %s does: %w", name, from, err)
		}
		next := ""
		for _, set := range sets {
			if c.leadsToBlue(set) {
				return fmt.Sprintf("%s %s %v", set.Name, set.Type, set.Data), nil
			}
			if set.Type == "CNAME" {
				next = set.Data[0]
			}
		}
		switch {
		case next == "" && len(sets) > 0, c.listed[next]:
			return "", nil
		case next == "":
			return c.ask(ctx, from, name) // below a delegation, perhaps
		}
		name = next
	}
	return c.ask(ctx, from, name)
}

// ask lets the resolvers that the file names follow a name. That none can is no evidence against a blue that the name has nothing to do with,
// and is said.
func (c *chains) ask(ctx context.Context, from, name string) (string, error) {
	z, err := c.zoneOf(from)
	if err != nil {
		return "", err
	}
	if len(z.Resolvers) > 0 {
		resolvers, err := c.resolversOf(from)
		if err != nil {
			return "", err
		}
		for _, resolver := range resolvers {
			if c.failed[resolver] >= patience {
				continue
			}
			end, err := c.resolvedBy(ctx, resolver, name)
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			if err == nil {
				return end, nil
			}
			c.failed[resolver]++
		}
	}
	c.lost++
	return "", nil
}

// String says how far was followed.
func (c *chains) String() string {
	text := fmt.Sprintf("%d names elsewhere to which they lead", len(c.ends))
	if c.lost > 0 {
		text += fmt.Sprintf(" (%d of which no zone and no resolver of the file tells where they lead)", c.lost)
	}
	return text
}
