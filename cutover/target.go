package cutover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/dnsx"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// authorityPatience is how long the servers of a zone that is not the file's may take to be found and to answer. A swap waits for them
// while blue refuses writes.
const authorityPatience = 3 * time.Second

// A target is where clients arrive who follow a name.
type target struct {
	addresses []netip.Addr
	// nowhere says why there is no address; empty where there is one.
	nowhere string
}

// follow asks where a name leads for clients of a hostname: in a zone of the file by its driver, and elsewhere with authority, where that
// can be had. Whoever gives no answer leaves it unknown, which is an error (I8).
func (o Options) follow(ctx context.Context, hostname, name string) (target, error) {
	for range longestChain {
		z, err := o.zoneOf(name)
		if err != nil {
			return o.followElsewhere(ctx, hostname, name) // outside every zone of the file
		}
		sets, err := lookupAnswer(ctx, z.Driver, name)
		switch {
		case errors.Is(err, zone.ErrConflict):
			return chainEnd(o.names().Discover(ctx, name, z.source())) // an alias, or a routing policy: only the servers know its answer
		case err != nil:
			return target{}, fmt.Errorf("find out where %s leads: %w", name, err)
		case len(sets) == 0:
			return o.followBelow(ctx, z, name)
		case sets[0].Type != "CNAME":
			return target{addresses: addressesOf(toDNS(sets))}, nil
		}
		name = sets[0].Data[0]
	}
	return target{nowhere: fmt.Sprintf("more than %d names lead from one to the next", longestChain)}, nil
}

// lookupAnswer returns what stands at a name, or at the wildcard that answers for it: not every driver asks a server, which would know.
func lookupAnswer(ctx context.Context, driver zone.Zone, name string) ([]zone.RRset, error) {
	sets, err := lookupSwappable(ctx, driver, name)
	if err != nil || len(sets) > 0 {
		return sets, err
	}
	for wildcard := range zone.WildcardsAbove(name, driver.Apex()) {
		if sets, err = lookupSwappable(ctx, driver, wildcard); err != nil || len(sets) > 0 {
			return sets, err
		}
	}
	return nil, nil
}

// followBelow tells a name that is not there from one in a zone that is delegated away.
func (o Options) followBelow(ctx context.Context, z Zone, name string) (target, error) {
	d, err := o.names().Discover(ctx, name, z.source())
	if err == nil && d.SOA.Zone == z.Driver.Apex() {
		return target{nowhere: fmt.Sprintf("the zone %s has neither a CNAME nor an address at %s", z.Driver.Apex(), name)}, nil
	}
	return chainEnd(d, err)
}

// followElsewhere asks the servers of the name's own zone. Where they cannot be asked from here, what the resolvers say counts: it is what
// clients get.
func (o Options) followElsewhere(ctx context.Context, hostname, name string) (target, error) {
	z, err := o.zoneOf(hostname)
	if err != nil {
		return target{}, err
	}
	bounded, stop := context.WithTimeout(ctx, authorityPatience)
	defer stop()
	d, err := o.names().Discover(bounded, name, dnsx.Source{Resolvers: z.Resolvers})
	if found, err := chainEnd(d, err); err == nil {
		return found, nil
	}
	if ctx.Err() != nil {
		return target{}, ctx.Err()
	}
	resolvers, err := o.resolversOf(hostname)
	if err != nil {
		return target{}, err
	}
	addrs, whole, err := askAddresses(ctx, o, resolvers, name)
	switch {
	case len(addrs) > 0:
		return target{addresses: addrs}, nil
	case whole:
		return target{nowhere: err.Error()}, nil
	}
	return target{}, fmt.Errorf("find out where %s leads: %w", name, err)
}

// chainEnd is where a discovery has ended. An error says that nothing is known.
func chainEnd(d dnsx.Delegation, err error) (target, error) {
	for _, broken := range []error{dnsx.ErrDangling, dnsx.ErrLoop, dnsx.ErrTooLong} {
		if errors.Is(err, broken) {
			return target{nowhere: err.Error()}, nil
		}
	}
	if len(d.Chain) > 0 {
		if addrs := addressesOf(d.Chain[len(d.Chain)-1].Sets); len(addrs) > 0 {
			return target{addresses: addrs}, nil
		}
	}
	if err != nil {
		return target{}, fmt.Errorf("find out where a name leads: %w", err)
	}
	return target{nowhere: fmt.Sprintf("the servers of %s have no address at %s", d.SOA.Zone, d.Name)}, nil
}

func addressesOf(sets []dnsx.RRset) []netip.Addr {
	var addrs []netip.Addr
	for _, set := range sets {
		for _, data := range set.Data {
			if addr, err := netip.ParseAddr(data); err == nil && (set.Type == "A" || set.Type == "AAAA") {
				addrs = append(addrs, addr.Unmap())
			}
		}
	}
	return addrs
}

// refuseTarget says why users who are sent to an entry's target would not arrive where the checks are made; empty where they do. Addresses
// that resolvers gave for the target are not compared: the next answer may have others.
func (o Options) refuseTarget(ctx context.Context, e Entry) (why, mend string, err error) {
	if e.Target == "" {
		return "", "", nil
	}
	found, err := o.follow(ctx, e.Hostname, e.Target)
	switch {
	case err != nil:
		return "", "", err
	case found.nowhere != "":
		return fmt.Sprintf("%s leads nowhere, so users who follow the name would get no answer: %s", e.Target, found.nowhere), "see that the name is spelt right, and that its record is there", nil
	case e.resolved || len(e.Addresses) == 0 || slices.ContainsFunc(found.addresses, func(a netip.Addr) bool { return slices.Contains(e.Addresses, a) }):
		return "", "", nil
	}
	return fmt.Sprintf("%s leads to %s, and the checks are made at %s: users would not arrive where green was checked", e.Target, joinAddresses(found.addresses), joinAddresses(e.Addresses)),
		"correct the record of " + e.Target + ", or the address of the entry", nil
}

func joinAddresses(addrs []netip.Addr) string {
	var parts []string
	for _, a := range addrs {
		parts = append(parts, a.String())
	}
	return strings.Join(parts, " ")
}

// judgeTarget refuses a swap to a name that does not lead to green, or to a record that is not as it was made. It reports whether it has.
func (o Options) judgeTarget(ctx context.Context, p *plan.Plan, e Entries, held Held) (bool, error) {
	if (NameState{Records: held.Low}).Address() {
		return false, nil // it gets the addresses themselves
	}
	if held.Record != nil {
		name := held.Record.Change.Name
		z, err := o.zoneOf(name)
		if err != nil {
			return false, err
		}
		now, err := lookupSwappable(ctx, z.Driver, name)
		if err != nil {
			return false, err
		}
		if !zone.SameSets(withTTL(now, 0), withTTL(held.Record.Change.New, 0)) {
			p.Refuse(e.Hostname, fmt.Sprintf("%s was made for green's address with %s, and holds %s", name, describe(held.Record.Change.New), describe(now)),
				"find out who changed it, and give it back what was made; or roll the migration back and run it again")
			return true, nil
		}
	}
	why, mend, err := o.refuseTarget(ctx, e.Green)
	if err != nil || why == "" {
		return false, err
	}
	p.Refuse(e.Hostname, "green's entry: "+why, mend)
	return true, nil
}

// DeadEnd is a name whose records of before the swap lead nowhere now.
type DeadEnd struct {
	App  string `json:"app"`
	Name string `json:"name"`
	// Target is where they lead; Why says why there is no address.
	Target string `json:"target"`
	Why    string `json:"why"`
	// Back says that the name holds these records: its users get no answer.
	Back bool `json:"back,omitempty"`
}

// String says it in a line.
func (d DeadEnd) String() string {
	return fmt.Sprintf("on blue %s leads to %s, which leads nowhere: %s", d.Name, d.Target, d.Why)
}

// DeadEnds finds the names that would have no answer at blue. What cannot be read is left out: a way back must not depend on it.
func DeadEnds(ctx context.Context, opts Options, held []Held) []DeadEnd {
	var found []DeadEnd
	for _, h := range held {
		if h.Route != nil || len(h.Old) == 0 || h.Old[0].Type != "CNAME" {
			continue
		}
		z, err := opts.zoneOf(h.Name)
		if err != nil {
			continue
		}
		to := h.Old[0].Data[0]
		end, err := opts.follow(ctx, h.Name, to)
		if err != nil || end.nowhere == "" {
			continue
		}
		now, err := lookupSwappable(ctx, z.Driver, h.Name)
		back := err == nil && zone.SameSets(withTTL(now, 0), withTTL(h.Old, 0))
		found = append(found, DeadEnd{App: h.App, Name: h.Name, Target: to, Why: end.nowhere, Back: back})
	}
	return found
}
