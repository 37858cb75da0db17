package cutover

import (
	"context"
	"fmt"
	"time"
)

// Wait is one wait with its arithmetic, for plans and reports (C26).
type Wait struct {
	App string `json:"app,omitempty"`
	// What is waited for: "old TTL of shop.apps.test.".
	What string `json:"what"`
	// Text is the arithmetic: "14:03:22 + 300s TTL + 5s margin = 14:08:27".
	Text  string        `json:"text"`
	From  time.Time     `json:"from"`
	Until time.Time     `json:"until"`
	For   time.Duration `json:"for"`
}

// newWait adds the parts up, from a time.
func newWait(app, what string, from time.Time, parts ...part) Wait {
	w := Wait{App: app, What: what, From: from, Until: from}
	text := from.UTC().Format(time.TimeOnly)
	for _, p := range parts {
		w.Until = w.Until.Add(p.length)
		text += " + " + p.String()
	}
	w.For = w.Until.Sub(from)
	w.Text = fmt.Sprintf("%s = %s", text, w.Until.UTC().Format(time.TimeOnly))
	return w
}

// part is one summand of a wait.
type part struct {
	name   string
	length time.Duration
}

// String is the summand with its name.
func (p part) String() string { return fmt.Sprintf("%s %s", p.length, p.name) }

// sum writes parts as arithmetic without a beginning, for plans: "5m0s old TTL + 5s margin = 5m5s".
func sum(parts ...part) string {
	var total time.Duration
	text := ""
	for i, p := range parts {
		if i > 0 {
			text += " + "
		}
		text += p.String()
		total += p.length
	}
	return fmt.Sprintf("%s = %s", text, total)
}

// sayEvery is how often a wait repeats its reason.
const sayEvery = 30 * time.Second

// waitOut sleeps until the end of a wait and says why, at once and at least every 30 s. A wait that is over is none, so a
// resumed one goes on where it was.
func (o Options) waitOut(ctx context.Context, w Wait) error {
	for {
		left := w.Until.Sub(o.now())
		if left <= 0 {
			return nil
		}
		o.log().InfoContext(ctx, "waiting", "for", w.What, "because", w.Text, "left", left.Round(time.Second).String())
		if err := o.clock().Sleep(ctx, min(left, sayEvery)); err != nil {
			return fmt.Errorf("wait for %s: %w", w.What, err)
		}
	}
}
