package cutover

import (
	"context"
	"encoding/json"
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

// Observation is one look at one kind of evidence.
type Observation struct {
	// Evidence is the collector's name.
	Evidence string `json:"evidence"`
	Use      Use    `json:"use"`
	Text     string `json:"text"`
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
	// Collect looks once. last is the last look that learned something, or zero. An error means that nothing was learned.
	Collect(ctx context.Context, last Observation) (Observation, error)
}

// maxDetails keeps observations small: they are recorded for days.
const maxDetails = 10

func cut(details []string) []string {
	return details[:min(len(details), maxDetails)]
}
