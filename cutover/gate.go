package cutover

import (
	"fmt"
	"time"
)

// Outcome is what a gate says.
type Outcome string

// The outcomes. Inconclusive means that nothing was learned, and is never a pass (I8, C20).
const (
	Passed       Outcome = "passed"
	Failed       Outcome = "failed"
	Inconclusive Outcome = "inconclusive"
)

// Gate is the result of one check against one address of one side.
type Gate struct {
	App      string  `json:"app"`
	Check    string  `json:"check"`
	Side     string  `json:"side"`
	Hostname string  `json:"hostname,omitempty"`
	Address  string  `json:"address,omitempty"`
	Outcome  Outcome `json:"outcome"`
	Text     string  `json:"text"`
	// Silent says that the side did not answer at all: its own failure, or that of the way to it.
	Silent bool          `json:"silent,omitempty"`
	At     time.Time     `json:"at"`
	Took   time.Duration `json:"took"`
}

// String is the gate in one sentence.
func (g Gate) String() string {
	where := g.Side
	if g.Address != "" {
		where += " " + g.Address
	}
	return fmt.Sprintf("check %q on %s %s: %s", g.Check, where, g.Outcome, g.Text)
}

// Verdict is the outcome of several gates together: Failed where one failed, Inconclusive where one learned nothing or
// where there is no gate at all, else Passed.
func Verdict(gates []Gate) Outcome {
	verdict := Passed
	if len(gates) == 0 {
		verdict = Inconclusive
	}
	for _, g := range gates {
		switch g.Outcome {
		case Failed:
			return Failed
		case Passed:
		default:
			verdict = Inconclusive
		}
	}
	return verdict
}

// finding is what one probe found.
type finding struct {
	outcome Outcome
	text    string
	silent  bool
}

func passed(format string, args ...any) finding {
	return finding{outcome: Passed, text: fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) finding {
	return finding{outcome: Failed, text: fmt.Sprintf(format, args...)}
}

func unknown(format string, args ...any) finding {
	return finding{outcome: Inconclusive, text: fmt.Sprintf(format, args...)}
}
