package crossfade

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/cutover"
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
	plans(t, m, "freeze/one", "start/one")
	split(t, m, "shift/one/5")
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

// split saves the plan of a step that splits requests at blue's entry.
func split(t *testing.T, m *Migration, name string) {
	t.Helper()
	p := plan.New(m.file.Name, name)
	p.Add(plan.Change{ID: name + "/one.apps.test", Action: "split the requests of", Target: "one.apps.test", App: "one", Why: "test"})
	if err := m.journal.SavePlan(p); err != nil {
		t.Fatal(err)
	}
}

// TestC21_ASplitThatTheFileForgotIsTakenBack: what was made counts. A shift that was taken out of the file, or made one by DNS, after a
// step had split requests is ended after the soak, and taken back first of all.
func TestC21_ASplitThatTheFileForgotIsTakenBack(t *testing.T) {
	for name, text := range map[string]string{
		"taken out": strings.Replace(shifted, "    shift: {by: dns, steps: [5, 50]}\n", "", 1),
		"by dns":    shifted,
	} {
		t.Run(name, func(t *testing.T) {
			m := opened(t, load(t, text))
			end := func() bool {
				return slices.ContainsFunc(m.pipeline(), func(s stage) bool { return s.name == "shift-end/one" })
			}
			plans(t, m, "freeze/one", "start/one", "shift/one/4")
			if end() {
				t.Error("a shift by DNS would be ended at blue's entry")
			}
			split(t, m, "shift/one/5")
			var back []string
			for _, s := range m.wayBack(m.turns()[0], returning{}, m.journal.Stage) {
				back = append(back, s.name)
			}
			if got := strings.Join(back, " "); got != "unshift/one return/one return-settle/one stop/one thaw/one" {
				t.Errorf("the way back is %s", got)
			}
			if !end() || !slices.Contains(m.stagesOf(m.turns()[0]), "shift-end/one") {
				t.Error("the split would stay for ever")
			}
			if a := m.file.Applications[0]; !m.mayHaveMoved(t.Context(), a, m.journal.Stage) {
				t.Error("who was led to green by the split is forgotten")
			}
			plans, err := m.shiftPlans(t.Context(), m.file.Applications[0])
			if err != nil || len(plans) != 2 || !cutover.SplitsAtEntry(plans[1]) {
				t.Errorf("what is taken back: %v, %v", plans, err)
			}
		})
	}
}

// TestC21_WhatLeadsBackWaitsForNothingElse: a split that cannot be taken away keeps no name at green, and the error tells of it. What
// needs them all waits.
func TestC21_WhatLeadsBackWaitsForNothingElse(t *testing.T) {
	m := opened(t, load(t, shifted))
	var took []string
	one := func(name string, fails bool) stage {
		return stage{
			name: name, leads: true,
			plan: func(context.Context) (*plan.Plan, error) {
				p := plan.New(m.file.Name, name)
				if fails {
					p.Refuse("Ingress", "it cannot be taken away", "see to it")
				}
				return p, nil
			},
			apply: func(context.Context, *plan.Plan) (any, error) {
				took = append(took, name)
				return nil, nil
			},
		}
	}
	stages := []stage{one("unshift/one", true), one("return/one", false), one("unshift/two", true), one("return/two", false)}
	err := m.leadBack(t.Context(), stages)
	if got := strings.Join(took, " "); got != "return/one return/two" || err == nil || strings.Count(err.Error(), "it cannot be taken away") != 2 {
		t.Errorf("taken: %s; err = %v", got, err)
	}
	if n := leading(append(stages, stage{name: "thaw/one"})); n != 4 {
		t.Errorf("%d stages lead back", n)
	}
}
