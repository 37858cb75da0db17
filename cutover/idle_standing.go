package cutover

import (
	"fmt"
	"time"
)

// Standing says how far a watch has come, as its recorded samples show: until when it lasts if nobody comes any more, zero where that is not
// known yet, and since when blue has been quiet, or who used it.
func (o IdleOptions) Standing() (until time.Time, text string) {
	needed, _, arithmetic := o.idleNeeded()
	arithmetic = fmt.Sprintf("%s needed: %s", needed, arithmetic)
	var last Sample
	for _, s := range o.Previous {
		if len(s.Observations) > 0 {
			last = s
		}
	}
	var names []string
	for _, obs := range last.Observations {
		names = append(names, obs.Evidence)
	}
	t := newTracker(names)
	for _, s := range o.Previous {
		t.take(s)
	}
	since := t.since()
	switch at := since.UTC().Format(time.DateTime + " MST"); {
	case last.At.IsZero():
		return until, "nobody has looked yet; " + arithmetic
	case since.IsZero():
		text = "not every source has been seen yet"
	case len(usedIn(last)) > 0:
		text = fmt.Sprintf("in use: %s at %s; the time began again", t.why(Sample{Observations: usedIn(last)}), at)
	default:
		text = "quiet since " + at
		for _, r := range t.restarts {
			if r.At.Equal(since) {
				text = fmt.Sprintf("quiet since %s, when the time began again: %s", at, r.Why)
			}
		}
	}
	if !since.IsZero() {
		until = since.Add(needed)
	}
	var unseen []Observation
	for _, obs := range last.Observations {
		if obs.Use == Unseen {
			unseen = append(unseen, obs)
		}
	}
	if len(unseen) > 0 {
		text += fmt.Sprintf("; the last look, at %s, taught nothing: %s", last.At.UTC().Format(time.DateTime+" MST"), t.why(Sample{Observations: unseen}))
		if !until.IsZero() && !last.At.Before(until) {
			until = time.Time{}
			text += "; nothing but that is missing: see that it can be asked"
		}
	}
	return until, text + "; " + arithmetic
}
