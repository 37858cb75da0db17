package cutover

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/internal/plan"
)

// SettleOptions say what was moved.
type SettleOptions struct {
	Options
	App string
	// Moved are the names of a swap, or of a return.
	Moved []Moved
	// Returned is set when the names went back to blue: then nothing judges green while the wait lasts.
	Returned bool
}

// SettleResult is a TTL waited out after a move.
type SettleResult struct {
	App    string `json:"app"`
	Wait   Wait   `json:"wait"`
	Rounds Rounds `json:"rounds,omitzero"`
	// Views are what resolvers said afterwards.
	Views []View `json:"views,omitempty"`
	// Stretched names resolvers that still gave the old answer, against its TTL.
	Stretched []string `json:"stretched,omitempty"`
}

// settleData is what settling consumes.
type settleData struct {
	Wait     Wait    `json:"wait"`
	Returned bool    `json:"returned,omitempty"`
	Moved    []Moved `json:"moved"`
}

// PlanSettle plans to wait until no cache that honours TTLs holds what was before the move. The wait begins when the last
// server showed the move, which is recorded, so planning it again after a break does not start it again.
func PlanSettle(_ context.Context, opts SettleOptions) (*plan.Plan, error) {
	p := plan.New(opts.Migration, stageOr(opts.Options, "settle", opts.App))
	if len(opts.Moved) == 0 {
		p.Note(plan.Info, opts.App, "no name moved, so no cache holds an old answer")
		return p, nil
	}
	for _, m := range opts.Moved {
		if m.Seen.At.IsZero() {
			p.Refuse(m.Name, "it is not recorded that every server shows the move", "apply the swap to its end first")
		}
	}
	if opts.Returned {
		opts.Raised = nil // what was seen before the swap led to blue
	}
	wait := opts.caches(opts.App, opts.Moved)
	if !byName(opts.Moved) {
		wait = newWait(opts.App, "switch of "+opts.App+" at its entry", lastSeen(opts.Moved), part{"margin", opts.margin()})
		p.Note(plan.Info, opts.App, "DNS has not moved, so no TTL is waited out")
	}
	why := "from when the last server showed the move: " + wait.Text
	if !opts.Returned {
		why += "; a breach of the checks goes back at once"
	}
	p.Add(plan.Change{
		ID:     p.Stage + "/wait",
		Action: actionSettle, Target: opts.App, App: opts.App,
		Why:  why + "; nothing is changed, so nothing is taken back",
		Data: plan.JSON(settleData{Wait: wait, Returned: opts.Returned, Moved: opts.Moved}),
	})
	return p, nil
}

// CachesUntil is how long caches that honour TTLs may hold what was before a move, from when the last server showed it; false where no
// name moved by DNS, or no server was seen yet.
func CachesUntil(opts Options, app string, moved []Moved) (Wait, bool) {
	if !byName(moved) || lastSeen(moved).IsZero() {
		return Wait{}, false
	}
	return opts.caches(app, moved), true
}

func (o Options) caches(app string, moved []Moved) Wait {
	longest := part{name: "TTL"}
	for _, m := range moved {
		if p := o.beforeSwap(m.Name, m.Change.Old); p.length > longest.length {
			longest = p
		}
	}
	return newWait(app, "old TTL of "+app, lastSeen(moved), longest, part{"margin", o.margin()})
}

// lastSeen is when the last server showed the last move.
func lastSeen(moved []Moved) time.Time {
	var last time.Time
	for _, m := range moved {
		if m.Seen.At.After(last) {
			last = m.Seen.At
		}
	}
	return last
}

// byName reports whether any of the moves was one of a name, and not of what stands behind it.
func byName(moved []Moved) bool {
	return slices.ContainsFunc(moved, func(m Moved) bool { return m.Switched == nil })
}

// ApplySettle waits the TTL out, watching green's checks unless the names went back, and asks the resolvers then.
func ApplySettle(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts SettleOptions) (SettleResult, error) {
	err := plan.Run(ctx, p, rec, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
		var d settleData
		if err := json.Unmarshal(c.Data, &d); err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		return opts.settle(ctx, d)
	})
	if err != nil {
		return SettleResult{}, err
	}
	return SettleResultOf(p, rec)
}

func (o SettleOptions) settle(ctx context.Context, d settleData) (SettleResult, error) {
	result := SettleResult{App: o.App, Wait: d.Wait}
	if d.Returned {
		if err := o.waitOut(ctx, d.Wait); err != nil {
			return result, err
		}
	} else {
		entries, err := FindEntries(ctx, o.Options, o.App)
		if err != nil {
			return result, err
		}
		// A wait that is over anyway still ends with rounds that show no breach.
		limit := o.later(d.Wait.Until).Add(time.Duration(o.breaches()+1) * (o.interval() + defaultCheckTimeout))
		result.Rounds, err = o.watch(ctx, vigil{app: o.App, entries: entries, until: d.Wait.Until, limit: limit, what: d.Wait.What, text: d.Wait.Text, baselines: Baselines(d.Moved), moved: d.Moved})
		if err != nil {
			return result, err
		}
	}
	for _, m := range d.Moved {
		if m.Switched != nil {
			continue // no cache holds anything of it
		}
		for _, v := range o.views(ctx, m.Name, toDNS(m.Change.New)) {
			result.Views = append(result.Views, v)
			if !v.Moved && v.Error == "" {
				result.Stretched = append(result.Stretched, fmt.Sprintf("%s still answers %v for %s, for %ds more", v.Resolver, v.Data, v.Name, v.TTL))
			}
		}
	}
	return result, nil
}

// later returns the time, or now where that is past.
func (o Options) later(t time.Time) time.Time {
	if now := o.now(); now.After(t) {
		return now
	}
	return t
}

// SettleResultOf returns the recorded result of a settled move.
func SettleResultOf(p *plan.Plan, rec plan.Recorder) (SettleResult, error) {
	var result SettleResult
	for _, c := range p.Changes {
		if err := outcome(rec, c.ID, &result); err != nil {
			return SettleResult{}, err
		}
	}
	return result, nil
}
