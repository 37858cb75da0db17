package crossfade

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/prices"
)

// SyncPlan is what a sync of two places would do, and what that is going to cost as far as prices are known.
type SyncPlan struct {
	*Overview
	// Objects and Bytes are those to copy.
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
	// Cost is what each place is going to be asked for; empty where the plan was refused before anything was counted.
	Cost []PlaceCost `json:"cost,omitempty"`
}

// PlaceCost is what one place is going to be asked for.
type PlaceCost struct {
	Place string `json:"place"`
	prices.Counts
	Estimate prices.Estimate `json:"estimate"`
}

// cost estimates a plan with the table of prices.
func (s *Sync) cost(out *SyncPlan, p *Plan, table *prices.Table) error {
	planned, err := bucketsync.PlannedOf(p)
	if err != nil || len(p.Data) == 0 {
		return err
	}
	from, to := s.opts.From, s.opts.To
	if s.opts.Reverse {
		from, to = to, from
	}
	out.Objects, out.Bytes = planned.Copy, planned.CopyBytes
	out.Cost = costs(planned, from, to, table)
	return nil
}

// costs are what both places are going to be asked for.
func costs(planned bucketsync.Planned, from, to Store, table *prices.Table) (out []PlaceCost) {
	for _, side := range []struct {
		place string
		store Store
		asked bucketsync.Requests
	}{{planned.From, from, planned.FromRequests}, {planned.To, to, planned.ToRequests}} {
		counts := countsOf(side.asked)
		at := prices.Store{Provider: side.store.Provider, Endpoint: side.store.Endpoint, Region: side.store.Region}
		out = append(out, PlaceCost{Place: side.place, Counts: counts, Estimate: table.Estimate(at, counts)})
	}
	return out
}

// readPrices reads a table of prices; no path is the table of the program.
func readPrices(path string) (*prices.Table, error) {
	if path == "" {
		return prices.Default()
	}
	return prices.Read(path)
}

// noteCosts says in the plan of a migration's bucket what each side is going to be asked for, and what that costs.
func (m *Migration) noteCosts(ctx context.Context, p *plan.Plan, b migration.Bucket, table *prices.Table) error {
	planned, err := bucketsync.PlannedOf(p)
	if err != nil || len(p.Data) == 0 || planned.Idle() {
		return err
	}
	from, err := m.store(ctx, b.From.Store)
	if err != nil {
		return err
	}
	to, err := m.store(ctx, b.To.Store)
	if err != nil {
		return err
	}
	for _, c := range costs(planned, from, to, table) {
		p.Note(plan.Info, c.Place, c.asked()+"; "+c.Estimate.String())
	}
	return nil
}

func countsOf(r bucketsync.Requests) prices.Counts {
	return prices.Counts{Egress: r.Out, Requests: map[prices.Kind]int64{
		prices.List: r.List, prices.Head: r.Head, prices.Get: r.Get, prices.Put: r.Put, prices.Part: r.Part, prices.Delete: r.Delete,
	}}
}

// Print writes the plan for people.
func (p *SyncPlan) Print(w io.Writer) error {
	out := &printer{w: w}
	out.f("plan of a sync of two places\n")
	if err := p.printPlans(out); err != nil || len(p.Cost) == 0 {
		return err
	}
	out.f("\nto copy: %s, %s\n", cli.Count(int(p.Objects), "object"), cli.Bytes(p.Bytes))
	for _, c := range p.Cost {
		out.f("  %s: %s\n      %s\n", c.Place, c.asked(), c.Estimate)
	}
	for _, c := range p.Cost {
		if c.Egress > 0 && c.Estimate.Cost > 0 {
			out.f("an estimate takes list prices, and every byte for one that leaves over the internet; requests that are tried again are not in it\n")
			break
		}
	}
	return out.err
}

// asked is the requests for people.
func (c PlaceCost) asked() string {
	var parts []string
	for _, kind := range prices.Kinds() {
		if n := c.Requests[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	text := cmp.Or(strings.Join(parts, ", "), "no requests")
	if c.Egress > 0 {
		text += fmt.Sprintf("; %s leave it", cli.Bytes(c.Egress))
	}
	return text
}
