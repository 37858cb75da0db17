package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// NamesOptions say whose names are looked at, and how the TTL stage left them.
type NamesOptions struct {
	Options
	Apps []string
	Held []Held
}

// LookAtNames refuses in a plan what the swap would refuse of the names' records and fences, and of where green's targets lead. It only
// reads: before blue refuses writes it is known then whether a name has changed hands since its TTL was lowered.
func LookAtNames(ctx context.Context, p *plan.Plan, opts NamesOptions) error {
	entries := map[string]Entries{}
	for _, app := range opts.Apps {
		found, err := FindEntries(ctx, opts.Options, app)
		if err != nil {
			return err
		}
		for _, e := range found {
			entries[e.Hostname] = e
		}
	}
	for _, h := range opts.Held {
		if h.Route != nil || !slices.Contains(opts.Apps, h.App) {
			continue
		}
		z, err := opts.zoneOf(h.Name)
		if err != nil {
			return err
		}
		now, err := lookupSwappable(ctx, z.Driver, h.Name)
		if errors.Is(err, zone.ErrConflict) {
			p.Refuse(h.Name, err.Error(), whoChangedIt)
			continue
		}
		if err != nil {
			return err
		}
		token, err := fenceToken(ctx, z.Driver, h.Fence.Name)
		if err != nil {
			return err
		}
		others, err := opts.refuseOthers(p, h, now)
		if err != nil {
			return err
		}
		if !others && token != h.Fence.Token {
			p.Refuse(h.Name, fmt.Sprintf("its fence %s holds %q, and the migration's is %q", h.Fence.Name, token, h.Fence.Token), "find out who holds the name: another migration, or another run of this one; nothing is moved over another's head")
		}
		if e, ok := entries[h.Name]; ok {
			if _, err := opts.judgeTarget(ctx, p, e, h); err != nil {
				return err
			}
		}
	}
	return nil
}

const whoChangedIt = "find out who changed it, and give it back what the stage left; nothing is changed over another's head"

// refuseOthers refuses a name that holds other records than the TTL stage left.
func (o Options) refuseOthers(p *plan.Plan, held Held, now []zone.RRset) (bool, error) {
	if zone.SameSets(now, held.Low) {
		return false, nil
	}
	if err := o.sawTTL(held.Name, held.Low, now); err != nil {
		return false, err
	}
	p.Refuse(held.Name, fmt.Sprintf("it holds %s, and the stage that lowers TTLs left %s", describe(now), describe(held.Low)), whoChangedIt)
	return true, nil
}
