package kill

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/e2e/shard"
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

// The ways of a cutover with waves.
const (
	// CutoverResume kills a run in its cutover and runs again; CutoverBack rolls back; CutoverBackAgain kills that rollback.
	CutoverResume    Way = "cutover"
	CutoverBack      Way = "cutover-rollback"
	CutoverBackAgain Way = "cutover-killed-rollback"
	// BreachResume kills a run that goes back by itself in its second wave, and runs again; BreachBack rolls back.
	BreachResume Way = "breach"
	BreachBack   Way = "breach-rollback"
	// EntriesResume, EntriesBack and EntriesBackAgain are the first three in one cluster, where a name stays at blue's Ingress.
	EntriesResume    Way = "entries"
	EntriesBack      Way = "entries-rollback"
	EntriesBackAgain Way = "entries-killed-rollback"
)

// Ways lists those of a whole migration.
func Ways() []Way { return []Way{Resume, Back, BackAgain} }

// CutoverWays lists those of a cutover with waves.
func CutoverWays() []Way {
	return []Way{CutoverResume, CutoverBack, CutoverBackAgain, BreachResume, BreachBack, EntriesResume, EntriesBack, EntriesBackAgain}
}

func (w Way) ofCutover() bool { return slices.Contains(CutoverWays(), w) }

func (w Way) ofEntries() bool {
	return slices.Contains([]Way{EntriesResume, EntriesBack, EntriesBackAgain}, w)
}

// chained says that one trial of this way bears several kills.
func (w Way) chained() bool {
	return slices.Contains([]Way{CutoverResume, CutoverBackAgain, BreachResume, EntriesResume, EntriesBackAgain}, w)
}

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
	// Leg is which of a cutover's calls it is in, from 0.
	Leg int `json:"leg,omitempty"`
	// Alone is set where that call writes no other record with its text.
	Alone bool `json:"-"`
}

// String names the point. It is the same in every reference, whatever the order of its records.
func (p Point) String() string {
	if p.Leg > 0 {
		return fmt.Sprintf("%s %s %s #%d of call %d", p.Way, p.Moment, p.Record, p.Nth, p.Leg+1)
	}
	return fmt.Sprintf("%s %s %s #%d", p.Way, p.Moment, p.Record, p.Nth)
}

// In reports whether the point belongs to a shard. All ways of one record are in the same.
func (p Point) In(s shard.Shard) bool { return s.Has(p.Record + fmt.Sprint(p.Nth)) }

// Mix brings points into an order in which all ways and stages are near every place, always the same: an interrupted run
// has seen some of everything, and what is left takes as long as what was.
func Mix(points []Point) {
	slices.SortStableFunc(points, func(a, b Point) int {
		return cmp.Compare(shard.Spread(a.String(), math.MaxInt32), shard.Spread(b.String(), math.MaxInt32))
	})
}

// Spec is the fault of the point in a trial.
func (p Point) Spec(trial string) string {
	return fmt.Sprintf("kill %s %s #%d", p.Moment, strings.ReplaceAll(p.Record, "TRIAL", trial), p.Nth)
}

// tornEvery is how many points there are, about, for one that tears its record.
const tornEvery = 7

// hashAtEnd is what ends the names of changes that bring a certain content, or an object for a certain name: both follow from the trial's name.
var hashAtEnd = regexp.MustCompile(`(@|/crossfade-[a-z]+-)[0-9a-f]{8,}$`)

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
			if bare := hashAtEnd.ReplaceAllString(r.Change, "$1"); bare != r.Change {
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
		if shard.Spread(string(way)+text, tornEvery) == 0 {
			p.Moment = fault.Torn
		}
		out = append(out, p)
	}
	return out
}

func sampled(r journal.Record) bool { return r.Kind == journal.KindNoted && r.Stage == "idle-sample" }

// oneOfEach returns a point of each kind of record, the middle one of its kind, the ways in turn.
func oneOfEach(all []Point) []Point {
	of := map[journal.Kind]map[Way][]Point{}
	var kinds []journal.Kind
	for _, p := range all {
		if of[p.Kind] == nil {
			of[p.Kind] = map[Way][]Point{}
			kinds = append(kinds, p.Kind)
		}
		of[p.Kind][p.Way] = append(of[p.Kind][p.Way], p)
	}
	var out []Point
	for i, kind := range kinds {
		ways := slices.DeleteFunc(Ways(), func(w Way) bool { return len(of[kind][w]) == 0 })
		list := of[kind][ways[i%len(ways)]]
		out = append(out, list[len(list)/2])
	}
	return out
}
