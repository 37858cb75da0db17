package cutover

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Rounds counts rounds of checks.
type Rounds struct {
	Passed       int       `json:"passed"`
	Failed       int       `json:"failed"`
	Inconclusive int       `json:"inconclusive"`
	Began        time.Time `json:"began"`
	Ended        time.Time `json:"ended"`
	// Last are the gates of the last round.
	Last []Gate `json:"last,omitempty"`
}

// vigil is how long, and how closely, green is watched.
type vigil struct {
	app     string
	entries []Entries
	until   time.Time
	// nameless is set for what has no hostname: it is asked what is asked before a swap.
	nameless bool
	// need is how many rounds must have passed before the end counts as passed; with 0 the end is only a time.
	need int
	// limit ends the vigil without a verdict.
	limit time.Time
	what  string
	text  string
	// shift is set while only a part of the traffic goes to green.
	shift bool
	// baselines are the numbers from before the swap, by check; history is what the rounds have gathered.
	baselines map[string]float64
	history   *History
	// moved are the names of the swap: where a backend was switched, its rules must still lead to green.
	moved []Moved
	// splits are hosts whose requests are split at blue's entry: what stands for green's there follows its addresses.
	splits []splitData
}

// watch sends rounds of checks to green until the time is over. Breaches in a row end it at once with a *BreachError.
// Rounds that learn nothing neither pass nor breach: they are made up for until the limit, and then end it with an
// *InconclusiveError.
func (o Options) watch(ctx context.Context, v vigil) (Rounds, error) {
	rounds := Rounds{Began: o.now()}
	v.history = &History{}
	var said, since time.Time
	row := 0
	for {
		v.entries = o.foundAgain(ctx, v)
		o.renewSplits(ctx, v)
		gates, verdict, err := o.round(ctx, v)
		if err != nil {
			return rounds, err
		}
		now := o.now()
		rounds.Last, rounds.Ended = gates, now
		switch verdict {
		case Passed:
			rounds.Passed++
			row = 0
		case Failed:
			rounds.Failed++
			if row == 0 {
				since = gates[0].At
			}
			row++
			o.log().WarnContext(ctx, "green fails its checks", "app", v.app, "rounds", row, "allowed", o.breaches()-1, "checks", describeBad(gates))
			if row >= o.breaches() {
				return rounds, &BreachError{App: v.app, Rounds: row, Since: since, Gates: gates}
			}
		case Inconclusive:
			rounds.Inconclusive++
			o.log().WarnContext(ctx, "the checks learn nothing", "app", v.app, "checks", describeBad(gates))
		}
		over := !now.Before(v.until)
		if over && (v.need == 0 && row == 0 || v.need > 0 && rounds.Passed >= v.need && verdict == Passed) {
			return rounds, nil
		}
		if !now.Before(v.limit) {
			return rounds, &InconclusiveError{App: v.app, Gates: gates, Why: fmt.Sprintf("%d rounds passed, %d are needed, and %s is over", rounds.Passed, max(v.need, 1), v.limit.Format(time.TimeOnly))}
		}
		if now.Sub(said) >= sayEvery {
			o.log().InfoContext(ctx, "waiting", "for", v.what, "because", v.text, "passed", rounds.Passed, "left", v.until.Sub(now).Round(time.Second).String())
			said = now
		}
		pause := o.interval()
		if !over {
			pause = min(pause, v.until.Sub(now))
		}
		if err := o.clock().Sleep(ctx, pause); err != nil {
			return rounds, fmt.Errorf("wait for %s: %w", v.what, err)
		}
	}
}

// foundAgain looks again for green's addresses where they were not all found: a resolver that had no answer when the watch began would
// otherwise leave every round without one. Where blue's entry sends requests to these addresses, they are looked for in each round.
func (o Options) foundAgain(ctx context.Context, v vigil) []Entries {
	missing := func(e Entries) bool { return e.Green.Missing != "" }
	lacks := slices.ContainsFunc(v.entries, missing)
	if !lacks && !slices.ContainsFunc(v.splits, splitData.byAddress) {
		return v.entries
	}
	entries, err := FindEntries(ctx, o, v.app)
	if err != nil {
		o.log().WarnContext(ctx, "green's entry is not found", "app", v.app, "because", err.Error())
		return v.entries
	}
	if !lacks && slices.ContainsFunc(entries, missing) {
		return v.entries // what is not found now may be there all the same
	}
	return entries
}

// round sends every check to green once. Where green does not answer at all, blue is asked whether it can be reached: if it
// can, the silence is green's and clients meet it too; if not, it may be our own network's.
func (o Options) round(ctx context.Context, v vigil) ([]Gate, Outcome, error) {
	phase := AfterSwap
	switch {
	case v.nameless:
		phase = BeforeSwap
	case v.shift:
		phase = DuringShift
	}
	gates, err := Check(ctx, CheckOptions{
		Options: o, App: v.app, Side: sideGreen, Entries: v.entries, Phase: phase, History: v.history, Baselines: v.baselines,
	})
	if err != nil {
		return nil, Inconclusive, err
	}
	gates = append(gates, o.routeGates(ctx, v.moved)...)
	if v.shift {
		gates = append(gates, o.splitGates(ctx, v.splits)...)
	}
	if Verdict(gates) != Inconclusive || !o.reachesBlue(ctx, v.entries) {
		return gates, Verdict(gates), nil
	}
	for i, g := range gates {
		if g.Silent {
			gates[i].Outcome = Failed
			gates[i].Text = g.Text + "; blue can be reached from here, so green's silence is its own"
		}
	}
	return gates, Verdict(gates), nil
}

func (o Options) reachesBlue(ctx context.Context, entries []Entries) bool {
	ctx, cancel := context.WithTimeout(ctx, defaultCheckTimeout)
	defer cancel()
	for _, e := range entries {
		for _, addr := range e.Blue.Addresses {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(addr, uint16(e.Blue.Port)).String())
			if err != nil {
				continue
			}
			// Nothing was sent that a failed close could lose.
			_ = conn.Close()
			return true
		}
	}
	return false
}
