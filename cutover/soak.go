package cutover

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/crossfade-project/crossfade/internal/plan"
)

// SoakOptions say what is soaked.
type SoakOptions struct {
	Options
	App string
	// Moved are the names of the swap; their TTL is a part of the floor.
	Moved []Moved
	// Shifts are the plans of the steps before the swap: a split at blue's entry lasts until the soak is over.
	Shifts []*plan.Plan
}

// SoakResult is green watched for long enough.
type SoakResult struct {
	App    string `json:"app"`
	Wait   Wait   `json:"wait"`
	Rounds Rounds `json:"rounds"`
	// Needed is how many rounds had to pass.
	Needed int `json:"needed"`
}

// soakData is what soaking consumes.
type soakData struct {
	For  time.Duration `json:"for"`
	Text string        `json:"text"`
	Need int           `json:"need"`
}

// minRounds is how few rounds could ever be enough.
const minRounds = 3

// soakTime is the longer of what the file declares and of the floor, with its arithmetic.
func (o Options) soakTime(ttl time.Duration) (time.Duration, string) {
	floor := 2*ttl + o.soakBase()
	text := sum(part{"2 x TTL", 2 * ttl}, part{"floor", o.soakBase()})
	if o.Rehearsal != nil && o.Rehearsal.Soak > 0 {
		text += fmt.Sprintf(" (rehearsal: the floor is %s instead of %s)", o.soakBase(), soakFloor)
	}
	if declared := o.Times.Soak.D(); declared > floor {
		return declared, fmt.Sprintf("%s declared, at least %s", declared, text)
	}
	return floor, text
}

// PlanSoak plans to watch green under its checks before the swap counts as passed.
func PlanSoak(_ context.Context, opts SoakOptions) (*plan.Plan, error) {
	p := plan.New(opts.Migration, stageOr(opts.Options, "soak", opts.App))
	app, err := opts.application(opts.App)
	if err != nil {
		return nil, err
	}
	if len(app.Hostnames) == 0 && len(app.Checks) == 0 {
		p.Note(plan.Info, app.Name, "it has neither hostnames nor checks, so there is nothing to watch")
		return p, nil
	}
	if len(app.Checks) == 0 {
		p.Refuse(app.Name, "it has no checks, so nothing could show that green fails", "declare at least one check for the application")
	}
	var ttl time.Duration
	for _, m := range opts.Moved {
		ttl = max(ttl, m.ttl())
	}
	length, text := opts.soakTime(ttl)
	// Half of the rounds that fit: slow checks leave room for fewer, silence for none.
	need := max(minRounds, int(length/opts.interval()/2))
	p.Add(plan.Change{
		ID:     p.Stage + "/watch",
		Action: actionSoak, Target: app.Name, App: app.Name,
		Why: fmt.Sprintf("%s; a round of checks every %s, of which %d at least must pass and %d in a row may not fail: then it goes back at once; nothing is changed, so nothing is taken back",
			text, opts.interval(), need, opts.breaches()),
		Data: plan.JSON(soakData{For: length, Text: text, Need: need}),
	})
	return p, nil
}

// ApplySoak watches green. It returns a *BreachError when the names must go back and an *InconclusiveError when too few
// rounds learned anything. A soak that was broken off starts again: what was not watched has not been shown.
func ApplySoak(ctx context.Context, p *plan.Plan, rec plan.Recorder, opts SoakOptions) (SoakResult, error) {
	err := plan.Run(ctx, p, rec, opts.runOptions(), func(ctx context.Context, c plan.Change) (any, error) {
		var d soakData
		if err := json.Unmarshal(c.Data, &d); err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		return opts.soak(ctx, d)
	})
	if err != nil {
		return SoakResult{}, err
	}
	return SoakResultOf(p, rec)
}

func (o SoakOptions) soak(ctx context.Context, d soakData) (SoakResult, error) {
	entries, err := FindEntries(ctx, o.Options, o.App)
	if err != nil {
		return SoakResult{}, err
	}
	began := o.now()
	w := Wait{App: o.App, What: "soak of " + o.App, From: began, Until: began.Add(d.For), For: d.For}
	w.Text = fmt.Sprintf("%s: %s, until %s", began.Format(time.TimeOnly), d.Text, w.Until.Format(time.TimeOnly))
	// As long again is left to make up for rounds that learned nothing, and never less than a few rounds.
	limit := w.Until.Add(max(d.For, time.Duration(minRounds)*(o.interval()+defaultCheckTimeout)))
	splits, err := splitsOf(o.Shifts)
	if err != nil {
		return SoakResult{}, err
	}
	rounds, err := o.watch(ctx, vigil{app: o.App, entries: entries, splits: splits, until: w.Until, need: d.Need, limit: limit, what: w.What, text: w.Text, baselines: Baselines(o.Moved), moved: o.Moved})
	if err != nil {
		return SoakResult{}, err
	}
	return SoakResult{App: o.App, Wait: w, Rounds: rounds, Needed: d.Need}, nil
}

// SoakResultOf returns the recorded result of a soak.
func SoakResultOf(p *plan.Plan, rec plan.Recorder) (SoakResult, error) {
	var result SoakResult
	for _, c := range p.Changes {
		if err := outcome(rec, c.ID, &result); err != nil {
			return SoakResult{}, err
		}
	}
	return result, nil
}
