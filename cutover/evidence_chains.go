package cutover

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
)

// longestChain is how many names are followed one after the other (C14).
const longestChain = 8

// followed is how many names are followed at once.
const followed = 16

// patience is how many questions a resolver may leave without an answer before it is not asked any more.
const patience = 3

// chains follows pointers that leave what was listed: a name elsewhere may lead back to blue.
type chains struct {
	NameEvidence
	// listed are the names that are judged by themselves.
	listed map[string]bool

	mu sync.Mutex // for what follows
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

// pointedAt are the names that a set which does not lead to blue itself points at, without those that are judged by themselves. A DNAME
// points at a tree, and not at a name.
func (c *chains) pointedAt(set zone.RRset) []string {
	if set.Type == "DNAME" || slices.ContainsFunc(c.Entries, func(e Entry) bool { return set.Name == e.Target }) {
		return nil
	}
	names, _, err := dnsx.LeadsTo(dnsx.RRset(set))
	if err != nil {
		return nil // in a form that is not understood: leadsToBlue has compared it word by word
	}
	return slices.DeleteFunc(names, func(name string) bool { return c.listed[name] })
}

// followAll follows what the sets point at, each name once. A look must be over before the next is due, so that several are followed at
// a time.
func (c *chains) followAll(ctx context.Context, sets []zone.RRset) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(followed)
	begun := map[string]bool{}
	for _, set := range sets {
		for _, name := range c.pointedAt(set) {
			if begun[name] {
				continue
			}
			begun[name] = true
			group.Go(func() error {
				end, err := c.follow(ctx, set.Name, name)
				if err != nil {
					return err
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				c.ends[name] = end
				return nil
			})
		}
	}
	return group.Wait()
}

// judge says where a set leads to blue by what it points at, all of which was followed; empty where it does not.
func (c *chains) judge(set zone.RRset) string {
	for _, name := range c.pointedAt(set) {
		if end := c.ends[name]; end != "" {
			return end
		}
	}
	return ""
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
			if c.failures(resolver, 0) >= patience {
				continue
			}
			end, _, err := c.resolvedBy(ctx, resolver, name)
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			if err == nil {
				return end, nil
			}
			c.failures(resolver, 1)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost++
	return "", nil
}

// failures adds to those of a resolver, and returns how many they are.
func (c *chains) failures(resolver netip.AddrPort, more int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed[resolver] += more
	return c.failed[resolver]
}

// String says how far was followed.
func (c *chains) String() string {
	text := fmt.Sprintf("%d names elsewhere to which they lead", len(c.ends))
	if c.lost > 0 {
		text += fmt.Sprintf(" (%d of which no zone and no resolver of the file tells where they lead)", c.lost)
	}
	return text
}
