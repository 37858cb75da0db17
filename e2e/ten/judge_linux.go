package ten

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/e2e/load"
	"github.com/crossfade-project/crossfade/internal/journal"
)

// A turn is what the journal tells of an application's move.
type turn struct {
	began, swapped, settled, drained time.Time
}

// turns reads them.
func (p *proof) turns() (map[string]turn, error) {
	records, err := p.records()
	if err != nil {
		return nil, err
	}
	out := map[string]turn{}
	for i := range p.Applications {
		app := p.bandits.App(i)
		var t turn
		for _, r := range records {
			switch {
			case r.Kind == journal.KindPlanned && r.Stage == "freeze/"+app:
				t.began = r.Time
			case r.Kind == journal.KindFinished && r.Stage == "settle/"+app:
				t.settled = r.Time
			case r.Kind == journal.KindFinished && r.Stage == "drain/"+app:
				t.drained = r.Time
			case r.Kind == journal.KindFinished && r.Stage == "swap/"+app:
				var result cutover.SwapResult
				if err := json.Unmarshal(r.Data, &result); err != nil || len(result.Names) != 1 {
					return nil, fmt.Errorf("read the result of the swap of %s: %d names, %w", app, len(result.Names), err)
				}
				t.swapped = result.Names[0].Sent
			}
		}
		out[app] = t
	}
	return out, nil
}

// judge holds the users' books against the journal.
func (p *proof) judge(users, stayed load.Report) error {
	turns, err := p.turns()
	if err != nil {
		return err
	}
	for _, failure := range slices.Concat(users.Failures, stayed.Failures) {
		p.want(false, "failed: %s %s %s by the %s client on %s: %s", failure.At.Format("15:04:05.000"), failure.Op, failure.Host, failure.Client, failure.Side, failure.Reason)
	}
	var order []string
	for i := range p.Applications {
		app := p.bandits.App(i)
		a := Application{Name: app, Wave: p.waves[i], TTL: p.bandits.TTLs[i], Drained: i < p.kept}
		t := turns[app]
		p.want(!t.swapped.IsZero() && !t.settled.IsZero(), "%s was not moved", app)
		kept := users
		if !a.Drained {
			kept = stayed
		}
		p.judgeTTL(&a, t, clientOf(users, p.bandits.Host(i), load.KindTTL))
		p.judgeKeep(&a, t, clientOf(kept, p.bandits.Host(i), load.KindKeep))
		p.report.Applications = append(p.report.Applications, a)
		order = append(order, app)
	}
	p.judgeOrder(order, turns)
	return nil
}

func clientOf(r load.Report, host, kind string) load.ClientReport {
	for _, t := range r.Targets {
		for _, c := range t.Clients {
			if t.Target.Host == host && c.Kind == kind {
				return c
			}
		}
	}
	return load.ClientReport{Kind: kind}
}

// judgeTTL wants a client that honours TTLs to be on green when the wait for the old TTL is over.
func (p *proof) judgeTTL(a *Application, t turn, c load.ClientReport) {
	a.Requests += c.Totals.Requests
	a.Failed += c.Totals.Failed()
	blue, green := c.Sides["blue"], c.Sides["green"]
	p.want(blue.Answers > 0 && green.Answers > 0, "the client of %s that honours TTLs had %d answers of blue and %d of green", a.Name, blue.Answers, green.Answers)
	p.want(!blue.Last.After(t.settled), "%s: a client that honours TTLs had an answer of blue at %s, and the wait for the old TTL was over at %s",
		a.Name, blue.Last.Format(time.TimeOnly), t.settled.Format(time.TimeOnly))
	if blue.Last.After(t.swapped) {
		a.Moved = blue.Last.Sub(t.swapped)
	}
}

// judgeKeep wants a client that keeps its connection to stay with blue until the drain, and to be on green after it; or to stay
// where there is none.
func (p *proof) judgeKeep(a *Application, t turn, c load.ClientReport) {
	a.Requests += c.Totals.Requests
	a.Failed += c.Totals.Failed()
	a.Connects = c.Connects
	blue, green := c.Sides["blue"], c.Sides["green"]
	if !a.Drained {
		p.want(c.Connects == 1 && green.Answers == 0 && blue.Last.After(t.settled), "the client of %s that never connects again connected %d times and had %d answers of green",
			a.Name, c.Connects, green.Answers)
		a.Kept = blue.Last.Sub(t.swapped)
		return
	}
	p.want(!t.drained.IsZero(), "%s was not drained", a.Name)
	p.want(c.Connects == 2 && green.Answers > 0, "the client of %s that keeps its connection connected %d times and had %d answers of green, want 2 and some", a.Name, c.Connects, green.Answers)
	p.want(blue.Last.After(t.settled) && !green.First.Before(t.settled), "the client of %s that keeps its connection left blue at %s, before the drain", a.Name, blue.Last.Format(time.TimeOnly))
	a.Kept = blue.Last.Sub(t.swapped)
}

// judgeOrder wants the applications to have moved one at a time, the waves in their order.
func (p *proof) judgeOrder(apps []string, turns map[string]turn) {
	for i, app := range apps[1:] {
		before := turns[apps[i]]
		over := before.drained
		if over.IsZero() {
			over = before.settled
		}
		p.want(!turns[app].began.Before(over), "%s began at %s, before %s was over", app, turns[app].began.Format(time.TimeOnly), apps[i])
	}
}
