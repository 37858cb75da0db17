package kill

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/internal/fault"
	"github.com/crossfade-project/crossfade/internal/journal"
)

// Way is what is killed, and what is done then.
type Way string

// The ways.
const (
	// Resume kills a run and runs again.
	Resume Way = "run"
	// Back kills a run and rolls back.
	Back Way = "rollback"
	// BackAgain kills a rollback after a whole run, and rolls back again.
	BackAgain Way = "killed-rollback"
)

// Ways lists all of them.
func Ways() []Way { return []Way{Resume, Back, BackAgain} }

// A Point is where one trial is killed.
type Point struct {
	Way    Way          `json:"way"`
	Moment fault.Moment `json:"moment"`
	// Record is a part of the record's line, with TRIAL for the trial's name; Nth says which of those that it is part of.
	Record string `json:"record"`
	Nth    int    `json:"nth"`
	// Seq is the record's number in the unbroken run.
	Seq  uint64       `json:"seq"`
	Kind journal.Kind `json:"kind"`
}

// String names the point for people, and for the results file.
func (p Point) String() string {
	return fmt.Sprintf("%s %s %d: %s #%d", p.Way, p.Moment, p.Seq, p.Record, p.Nth)
}

// Spec is the fault of the point in a trial.
func (p Point) Spec(trial string) string {
	return fmt.Sprintf("kill %s %s #%d", p.Moment, strings.ReplaceAll(p.Record, "TRIAL", trial), p.Nth)
}

// tornEvery is how many points there are for one that tears its record.
const tornEvery = 7

// hashAtEnd is what ends the names of changes that bring a certain content, which follows from the trial's name.
var hashAtEnd = regexp.MustCompile(`@[0-9a-f]{8}$`)

// points makes one point of each record that is in every run.
func points(way Way, trial string, records []journal.Record) []Point {
	seen := map[string]int{}
	var out []Point
	for _, r := range records {
		text := fmt.Sprintf(`"kind":%q`, r.Kind)
		if r.Stage != "" {
			text += fmt.Sprintf(`,"stage":%q`, r.Stage)
		}
		if r.Change != "" {
			text += fmt.Sprintf(`,"change":%q`, r.Change)
			if bare := hashAtEnd.ReplaceAllString(r.Change, "@"); bare != r.Change {
				text = strings.TrimSuffix(text, r.Change+`"`) + bare
			}
		}
		text = strings.ReplaceAll(text, trial, "TRIAL")
		seen[text]++
		if sampled(r) && seen[text] > 2 {
			continue // how many samples of idleness there are depends on how fast the machine is
		}
		p := Point{Way: way, Moment: fault.Before, Record: text, Nth: seen[text], Seq: r.Seq, Kind: r.Kind}
		if r.Kind == journal.KindIntent {
			p.Moment = fault.After
		}
		if len(out)%tornEvery == tornEvery-1 {
			p.Moment = fault.Torn
		}
		out = append(out, p)
	}
	return out
}

func sampled(r journal.Record) bool { return r.Kind == journal.KindNoted && r.Stage == "idle-sample" }

// OneOfEach returns the first point of each kind of record, and of each stage of the pipeline a kind of record that
// the stages before it did not have.
func oneOfEach(all []Point) []Point {
	var out []Point
	for _, p := range all {
		if !slices.ContainsFunc(out, func(x Point) bool { return x.Kind == p.Kind && x.Way == p.Way }) {
			out = append(out, p)
		}
	}
	return out
}
