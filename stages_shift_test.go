package crossfade

import (
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const shifted = head + `
applications:
  - name: one
    namespace: n
    wave: 1
    writes: none
    shift: {by: dns, steps: [5, 50]}
    hostnames: [{name: one.apps.test, blue: {target: b.test}, green: {target: g.test}}]
    checks: [{name: page, http: {path: /}}]
zones: [{name: apps.test, route53: {}}]
`

// TestC21_AShiftStandsBetweenTheChecksAndTheSwap: with a proven archive before each step, and with the name first on the way back
// wherever it was broken off.
func TestC21_AShiftStandsBetweenTheChecksAndTheSwap(t *testing.T) {
	m := opened(t, load(t, shifted))
	var got []string
	for _, s := range m.pipeline() {
		if s.turn != "" {
			got = append(got, s.name)
		}
		if strings.HasPrefix(s.name, "shift/") && !s.backup {
			t.Errorf("%s begins without a proven archive", s.name)
		}
	}
	want := strings.Fields("freeze/one delta/one restore-delta/one start/one checks/one shift/one/5 shift/one/50 swap/one settle/one soak/one")
	if !slices.Equal(got, want) {
		t.Errorf("the turn is %v, want %v", got, want)
	}
	for _, c := range []struct{ begun, from, since, back string }{
		{"freeze/one start/one", "", "", "stop/one thaw/one"},
		{"freeze/one start/one shift/one/5", "shift/one/5", "shift/one/5", "return/one return-settle/one stop/one thaw/one"},
		{"freeze/one start/one shift/one/5 shift/one/50", "shift/one/50", "shift/one/5", "return/one return-settle/one stop/one thaw/one"},
		{"freeze/one start/one shift/one/5 shift/one/50 swap/one", "swap/one", "shift/one/5", "return/one return-settle/one stop/one thaw/one"},
		// The file named other shares when this one was taken.
		{"freeze/one start/one shift/one/33", "shift/one/33", "shift/one/33", "return/one return-settle/one stop/one thaw/one"},
	} {
		of := func(name string) journal.Stage {
			if slices.Contains(strings.Fields(c.begun), name) {
				return journal.Stage{Name: name, Plan: "x"}
			}
			return journal.Stage{Name: name}
		}
		a := m.file.Applications[0]
		if from, since := movingStage(a, of), firstMove(a, of); from != c.from || since != c.since {
			t.Errorf("after %s: the plan of %q since %q, want %q since %q", c.begun, from, since, c.from, c.since)
		}
		var back []string
		for _, s := range m.wayBack(m.turns()[0], returning{}, of) {
			back = append(back, s.name)
		}
		if got := strings.Join(back, " "); got != c.back {
			t.Errorf("after %s the way back is %s, want %s", c.begun, got, c.back)
		}
	}
	if !slices.Contains(m.stagesOf(m.turns()[0]), "shift/one/33") {
		t.Error("a share that the file named once would stay in the journal after a return")
	}
}

// TestC21_StatusSaysThePresentShare: also of a step that is still watched, and not any more once the names have moved.
func TestC21_StatusSaysThePresentShare(t *testing.T) {
	m := opened(t, load(t, shifted))
	if err := m.journal.Note(noteOutline, m.outline()); err != nil {
		t.Fatal(err)
	}
	says := func(state ApplicationState, share int) {
		t.Helper()
		s, err := Inspect(m.file, Options{}).Status()
		if err != nil {
			t.Fatal(err)
		}
		if a := s.Applications[0]; a.State != state || a.Share != share {
			t.Errorf("status says %s with %d%%, want %s with %d%%", a.State, a.Share, state, share)
		}
	}
	finishes(t, m, "freeze/one", "start/one")
	says(Moving, 0)
	plans(t, m, "shift/one/5")
	says(Moving, 0)
	if err := m.journal.Intend("shift/one/5", plan.Change{ID: "shift/one/5/one.apps.test."}); err != nil {
		t.Fatal(err)
	}
	if err := m.journal.Succeed("shift/one/5", "shift/one/5/one.apps.test.", nil); err != nil {
		t.Fatal(err)
	}
	says(Shifting, 5)
	if text := (ApplicationStatus{State: Shifting, Share: 5}).where(); text != "partly on green (5%)" {
		t.Errorf("for people it is %q", text)
	}
	if err := m.journal.Finish("shift/one/5", struct{}{}); err != nil {
		t.Fatal(err)
	}
	finishes(t, m, "swap/one")
	says(Soaking, 0)
}

// TestC21_ASplitAtTheIngressEndsAfterTheSoakAndBeforeAReturn: what splits requests is taken away once the names have soaked, and first
// of all on the way back.
func TestC21_ASplitAtTheIngressEndsAfterTheSoakAndBeforeAReturn(t *testing.T) {
	text := strings.NewReplacer("by: dns, steps: [5, 50]", "by: ingress, steps: [5], tell: {path: /, onBlue: b, onGreen: g}", "{name: one.apps.test,", "{name: one.apps.test, ingress: i,").Replace(shifted)
	m := opened(t, load(t, text))
	var got []string
	for _, s := range m.pipeline() {
		if s.turn != "" {
			got = append(got, s.name)
		}
		if s.name == "shift-end/one" && !s.stays {
			t.Error("names that have soaked would go back because an object could not be taken away")
		}
	}
	if want := "shift/one/5 swap/one settle/one soak/one shift-end/one"; !strings.HasSuffix(strings.Join(got, " "), want) {
		t.Errorf("the turn is %v, want it to end with %s", got, want)
	}
	plans(t, m, "freeze/one", "start/one", "shift/one/5")
	for calm, want := range map[bool]string{
		false: "unshift/one return/one return-settle/one stop/one thaw/one", true: "hold/one unshift/one return/one thaw/one return-settle/one stop/one",
	} {
		var back []string
		for _, s := range m.wayBack(m.turns()[0], returning{Calm: calm}, m.journal.Stage) {
			back = append(back, s.name)
		}
		if got := strings.Join(back, " "); got != want {
			t.Errorf("calm %v: the way back is %s, want %s", calm, got, want)
		}
	}
	if !slices.Contains(m.turns()[0].returnStages(), "unshift/one") {
		t.Error("the way back of an earlier try would pass for the next one's")
	}
}
