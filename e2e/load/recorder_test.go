package load

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// books returns a recorder and how to add an accepted write at a second.
func books(t *testing.T) (*recorder, func(side string, second float64)) {
	t.Helper()
	start := newClock().now()
	r := newRecorder(shopTarget(), Config{Blue: "blue", Green: "green"}, start, &failures{})
	return r, func(side string, second float64) {
		r.add(event{kind: KindTTL, outcome: writeAccepted, side: side, key: "k", at: start.Add(time.Duration(second * float64(time.Second)))})
	}
}

func TestFreezeIsFromTheLastWriteOfBlueToTheFirstOfGreen(t *testing.T) {
	r, wrote := books(t)
	wrote("blue", 1)
	wrote("blue", 2.5)
	wrote("green", 6)
	wrote("green", 7)
	f := r.report().Freeze
	if f == nil || f.Seconds == nil || *f.Seconds != 3.5 || len(f.Switches) != 1 {
		t.Fatalf("freeze = %+v, want 3.5 s and one switch", f)
	}
}

func TestI07_WritesOfBothSidesAtATimeAreSeen(t *testing.T) {
	r, wrote := books(t)
	wrote("blue", 1)
	wrote("green", 2)
	wrote("blue", 3)
	f := r.report().Freeze
	if len(f.Switches) != 2 || *f.Seconds >= 0 {
		t.Errorf("freeze = %+v of %v s, want two switches and a length below 0", f, *f.Seconds)
	}
}

func TestFreezeHasNoLengthWithoutBothSides(t *testing.T) {
	r, wrote := books(t)
	if f := r.report().Freeze; f != nil {
		t.Errorf("freeze without writes = %+v, want none", f)
	}
	wrote("blue", 1)
	if f := r.report().Freeze; f.Seconds != nil || f.LastBlue == nil || f.FirstGreen != nil {
		t.Errorf("freeze = %+v, want only the last write of blue", f)
	}
	if got := (Report{Targets: []TargetReport{r.report()}}).LongestFreeze(); got != 0 {
		t.Errorf("longest freeze = %s, want 0", got)
	}
}

func TestFailureLogHoldsTheFirstFifty(t *testing.T) {
	r, _ := books(t)
	for range 60 {
		r.add(event{kind: KindKeep, outcome: readFailed, err: errors.New("broken"), at: r.started})
	}
	if logged, counted := len(r.failures.all()), r.report().Totals.FailedReads; logged != 50 || counted != 60 {
		t.Errorf("%d logged, %d counted; want 50 and 60", logged, counted)
	}
}

func TestTimelineIsBySecondAndSide(t *testing.T) {
	r, _ := books(t)
	for _, e := range []event{
		{side: "blue"}, {side: "blue", at: r.started.Add(999 * time.Millisecond)},
		{side: "green", at: r.started.Add(time.Second)},
		{side: "blue", outcome: writeRefused, at: r.started.Add(time.Second)},
		{outcome: readFailed, err: errors.New("broken"), at: r.started.Add(3 * time.Second)},
	} {
		e.kind = KindTTL
		if e.at.IsZero() {
			e.at = r.started
		}
		r.add(e)
	}
	got, err := json.Marshal(r.report().Timeline)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"second":0,"sides":{"blue":2}},{"second":1,"sides":{"blue":1,"green":1},"refused":1},{"second":3,"failed":1}]`
	if string(got) != want {
		t.Errorf("timeline = %s, want %s", got, want)
	}
}

func TestSaveWritesAReportThatReadsBack(t *testing.T) {
	r, wrote := books(t)
	wrote("blue", 1)
	wrote("green", 4)
	path := filepath.Join(t.TempDir(), "load.json")
	if err := (Report{Targets: []TargetReport{r.report()}}).Save(path); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(content, &back); err != nil {
		t.Fatal(err)
	}
	if got := back.LongestFreeze(); got != 3*time.Second {
		t.Errorf("longest freeze read back = %s, want 3s", got)
	}
	if err := (Report{}).Save(filepath.Join(t.TempDir(), "missing", "load.json")); err == nil {
		t.Error("Save into a folder that is not there = nil, want an error")
	}
}

func TestAnOutageIsOneKindOfUsersFromTheFirstFailureToTheNextGoodAnswer(t *testing.T) {
	r, _ := books(t)
	add := func(kind string, second int, outcome outcome, err error) {
		r.add(event{kind: kind, outcome: outcome, err: err, key: "k", at: r.started.Add(time.Duration(second) * time.Second)})
	}
	broken := errors.New("broken")
	add(KindTTL, 1, readFailed, broken)
	add(KindTTL, 2, writeFailed, broken)
	add(KindKeep, 2, readOK, nil) // somebody else's good answer ends nothing
	add(KindTTL, 4, writeRefused, nil)
	add(KindTTL, 5, readFailed, broken)
	report := r.report()
	if len(report.Outages) != 2 || len(report.Unsure) != 1 {
		t.Fatalf("outages %+v, unsure %v; want two and one", report.Outages, report.Unsure)
	}
	first := report.Outages[0]
	if first.Failed != 2 || first.To == nil || first.To.Sub(first.From) != 3*time.Second {
		t.Errorf("first outage %+v, want 2 failures in 3 s", first)
	}
	if last := report.Outages[1]; last.To != nil || last.Failed != 1 {
		t.Errorf("last outage %+v, want one that has not ended", last)
	}
}
