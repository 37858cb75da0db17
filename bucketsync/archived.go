package bucketsync

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/prices"
)

// ArchivedSum sums the objects of one class whose reading costs by the byte, or has to wait.
type ArchivedSum struct {
	Class   string `json:"class"`
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
	// Offline objects cannot be read until they are restored: a plan with any is refused.
	Offline bool `json:"offline,omitempty"`
	// Retrieval are the ways to get at them, each with what it costs, the provider's default first; empty where no price is known.
	Retrieval []RetrievalCost `json:"retrieval,omitempty"`
}

// RetrievalCost is one way to get at archived objects.
type RetrievalCost struct {
	prices.Retrieval
	Cost     float64 `json:"cost"`
	Currency string  `json:"currency"`
	Date     string  `json:"date"` // of the price
}

// String is the way in a few words.
func (r RetrievalCost) String() string {
	text := r.Tier + " " + prices.Money(r.Cost, r.Currency)
	if r.Takes != "" {
		text += " (" + r.Takes + ")"
	}
	return text
}

// archived counts an object that is about to be read, and refuses it where it cannot be.
func (s *surveyor) archived(src bucket.Object) {
	a := src.Archived
	if a == nil {
		return
	}
	if a.Offline {
		why, mend := "in class "+a.Class+", and cannot be read until it is restored", "restore it at its provider and wait for that, or leave it out: exclude its keys, or choose another prefix"
		if a.Restoring {
			why, mend = "in class "+a.Class+", and its restore is not done", "wait until it is"
		}
		s.refusals.add(why, src.Key, mend)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cold == nil {
		s.cold = map[string]*ArchivedSum{}
	}
	id := fmt.Sprint(a.Class, a.Offline)
	sum, ok := s.cold[id]
	if !ok {
		sum = &ArchivedSum{Class: a.Class, Offline: a.Offline}
		s.cold[id] = sum
	}
	sum.Objects++
	sum.Bytes += src.Size
}

// sumArchived puts the sums into the plan, with what they cost.
func (s *surveyor) sumArchived() error {
	if len(s.cold) == 0 {
		return nil
	}
	table := s.e.opts.Prices
	if table == nil {
		var err error
		if table, err = prices.Default(); err != nil {
			return err
		}
	}
	entry := table.Find(prices.Store{Provider: s.e.fromCaps.Provider, Endpoint: s.e.fromCaps.Endpoint})
	for _, sum := range s.cold {
		for _, way := range entry.Retrieval(sum.Class) {
			sum.Retrieval = append(sum.Retrieval, RetrievalCost{
				Retrieval: way, Cost: way.Cost(sum.Objects, sum.Bytes), Currency: table.Currency, Date: entry.Date,
			})
		}
		s.planned.Archived = append(s.planned.Archived, *sum)
	}
	slices.SortFunc(s.planned.Archived, func(a, b ArchivedSum) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(fmt.Sprint(a.Offline), fmt.Sprint(b.Offline)))
	})
	return nil
}

// archivedNotes tell what reading archived objects costs, before anything is read.
func (e *engine) archivedNotes(p *plan.Plan, c Planned) {
	for _, sum := range c.Archived {
		var b strings.Builder
		fmt.Fprintf(&b, "%s, %s, in class %s: ", cli.Count(int(sum.Objects), "object"), cli.Bytes(sum.Bytes), sum.Class)
		switch {
		case len(sum.Retrieval) == 0:
			b.WriteString("reading them may cost by the byte, and no price of it is known (a table of your own can tell it: " + e.opts.said("prices in the migration file", "--prices") + ")")
		case sum.Offline:
			b.WriteString("restoring them costs " + waysOf(sum.Retrieval))
		default:
			b.WriteString("reading them costs, beside the requests and the transfer, " + waysOf(sum.Retrieval))
		}
		p.Note(plan.Warning, e.opts.Name, b.String())
	}
}

func waysOf(ways []RetrievalCost) string {
	texts := make([]string, 0, len(ways))
	for _, w := range ways {
		texts = append(texts, w.String())
	}
	return strings.Join(texts, ", ") + "; prices of " + ways[0].Date
}
