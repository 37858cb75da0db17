package cutover

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Use is what a piece of evidence says about blue.
type Use string

// What evidence says. Unseen means that nothing was learned, and never counts as quiet (I8, C24).
const (
	Quiet  Use = "quiet"
	Used   Use = "used"
	Unseen Use = "unseen"
)

// Coverage is what a kind of evidence knows of the time between two looks.
type Coverage string

// Coverages. A certificate says of every source which it has.
const (
	// Whole: what counts or logs goes on by itself, and a look reaches back to the one before.
	Whole Coverage = "whole"
	// Sampled: a look sees what is there, and for a short while what was there before it.
	Sampled Coverage = "sampled"
	// State: a look sees what stands somewhere at that moment.
	State Coverage = "state"
)

// Observation is one look at one kind of evidence.
type Observation struct {
	// Evidence is the collector's name.
	Evidence string `json:"evidence"`
	// Coverage of the kind.
	Coverage Coverage `json:"coverage,omitempty"`
	Use      Use      `json:"use"`
	// Uses is how many uses there were since the look before, where they can be counted.
	Uses int64  `json:"uses,omitempty"`
	Text string `json:"text"`
	// Lost says why it is not known what was before From, although the look before reaches further: a pod that counted went away.
	Lost string `json:"lost,omitempty"`
	// From and At frame the time in which this look would have shown a use. A counter that goes on counting between two
	// looks reaches back to the look before.
	From time.Time `json:"from"`
	At   time.Time `json:"at"`
	// Details are a few of the things that were seen, for people.
	Details []string `json:"details,omitempty"`
	// State is what the collector wants to compare the next look with.
	State json.RawMessage `json:"state,omitempty"`
}

// Evidence shows whether blue is used. A look may take a while, and it must not itself use blue as a client would.
type Evidence interface {
	// Name is unique among the evidence of a migration and stays the same when a run is resumed.
	Name() string
	// Coverage is what it knows of the time between two looks.
	Coverage() Coverage
	// Collect looks once. last is the last look that learned something, or zero. An error means that nothing was learned.
	Collect(ctx context.Context, last Observation) (Observation, error)
}

// lose says that this look does not reach back to the one before.
func (o *Observation) lose(form string, args ...any) {
	o.From = o.At
	if o.Lost == "" {
		o.Lost = fmt.Sprintf(form, args...)
	}
}

// who is the text with the first of the details: who it was.
func (o Observation) who() string {
	const first = 3
	if len(o.Details) == 0 {
		return o.Text
	}
	return o.Text + ": " + strings.Join(o.Details[:min(first, len(o.Details))], "; ")
}

// maxDetails keeps observations small: they are recorded for days.
const maxDetails = 10

func cut(details []string) []string {
	return details[:min(len(details), maxDetails)]
}
