package crossfade

import (
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/internal/journal"
)

// TestI08_NothingIsConcludedOfABlueOfWhichTheFileLacksAnApplication: whoever uses one that was taken out of the file is not looked for, and what
// the archive holds of it passes for moved.
func TestI08_NothingIsConcludedOfABlueOfWhichTheFileLacksAnApplication(t *testing.T) {
	const why = "application two: the file does not have it any more, and it is "
	for name, tt := range map[string]struct {
		done func(*testing.T, *Migration)
		want string // "" where it does not count
		mend string
	}{
		"nothing exported": {done: func(*testing.T, *Migration) {}},
		"exported": {
			done: func(t *testing.T, m *Migration) { finishes(t, m, stageExport) },
			want: why + "on blue: nobody looks who uses it there", mend: "put it back into the file; where it is to stay on blue, leave its namespace out of retirement.delete, and say `crossfade run --redo export`",
		},
		"exported for the first time without it": {done: func(t *testing.T, m *Migration) {
			full := m.file.Applications
			m.file.Applications = full[:1]
			note(t, m, noteOutline, m.outline())
			finishes(t, m, stageExport)
			m.file.Applications = full
		}},
		"exported anew without it, in a namespace that stays": {done: func(t *testing.T, m *Migration) {
			m.file.Retirement.Delete.Namespaces = nil
			finishes(t, m, stageExport)
			exportsWithoutTwo(t, m)
		}},
		"exported anew without it, in a namespace that goes": {
			done: func(t *testing.T, m *Migration) {
				finishes(t, m, stageExport)
				exportsWithoutTwo(t, m)
			},
			want: why + "on blue: nobody looks who uses it there", mend: "put it back into the file; where it is to stay on blue, leave its namespace out of retirement.delete, and say `crossfade run --redo export`",
		},
		"freeze planned": {
			done: func(t *testing.T, m *Migration) { plans(t, m, stageExport, "freeze/two") },
			want: why + "on blue: nobody looks who uses it there", mend: "put it back into the file",
		},
		"frozen, and exported anew without it": {
			done: func(t *testing.T, m *Migration) {
				finishes(t, m, stageExport, "freeze/two")
				exportsWithoutTwo(t, m)
			},
			want: why + "frozen on blue: nobody looks who uses it there", mend: "put it back into the file",
		},
		"on green": {
			done: func(t *testing.T, m *Migration) { finishes(t, m, stageExport, "freeze/two", "start/two") },
			want: why + "on green: nobody looks who still uses it on blue", mend: "put it back into the file",
		},
		"back on blue": {
			done: func(t *testing.T, m *Migration) {
				finishes(t, m, stageExport, "freeze/two")
				must(t, m.journal.Reset("freeze/two", "taken back"))
				note(t, m, noteReturned, returned{App: "two", Why: "it rained"})
			},
			want: why + "back on blue again: nobody looks who uses it there", mend: "put it back into the file; where it is to stay on blue, leave its namespace out of retirement.delete, and say `crossfade run --redo export`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := opened(t, load(t, named))
			note(t, m, noteOutline, m.outline())
			tt.done(t, m)
			says := func(want string) {
				t.Helper()
				for _, s := range []stage{{name: "idle", concludes: true}, {name: "certificate", concludes: true}} {
					got := ""
					if err := m.hasAll(s); err != nil {
						got = refusals(err)
					}
					if got != want {
						t.Errorf("%s is refused with %q, want %q", s.name, got, want)
					}
				}
				if err := m.hasAll(stage{name: "freeze/one"}); err != nil {
					t.Errorf("a turn is refused: %v", err)
				}
				s, err := m.Status()
				if err != nil || (len(s.LeftOut) == 1) != (want != "") {
					t.Fatalf("status: %+v, %v", s.LeftOut, err)
				}
				var text strings.Builder
				must(t, s.Print(&text))
				if want != "" && !strings.Contains(text.String(), "\n"+want+": "+tt.mend+"\n") {
					t.Errorf("status says:\n%s", text.String())
				}
			}
			says("")
			m.file.Applications = m.file.Applications[:1]
			says(tt.want)
			note(t, m, noteOutline, m.outline()) // a run with the shorter file
			says(tt.want)
		})
	}
}

// TestI08_AWholeRollbackNeedsEveryApplicationThatBegan: one that the file lacks would stay on green and count as taken back.
func TestI08_AWholeRollbackNeedsEveryApplicationThatBegan(t *testing.T) {
	const want = "application two: the file does not have it any more, and it is on green: it would stay so, and lose the fence that is needed to go back"
	m := opened(t, load(t, named))
	note(t, m, noteOutline, m.outline())
	finishes(t, m, stageExport)
	says := func(opts RollbackOptions, want string) {
		t.Helper()
		opts.DiscardGreen = true
		p, err := m.PlanRollback(t.Context(), opts)
		must(t, err)
		got := ""
		if len(p.Refusals) > 0 {
			got = refusals(p.Err())
		}
		if got != want {
			t.Errorf("refused with %q, want %q", got, want)
		}
	}
	full := m.file.Applications
	m.file.Applications = full[:1]
	says(RollbackOptions{}, "") // nothing of it is to be taken back
	m.file.Applications = full
	finishes(t, m, "freeze/two", "start/two")
	says(RollbackOptions{}, "")
	m.file.Applications = full[:1]
	says(RollbackOptions{}, want)
	says(RollbackOptions{Apps: []string{"one"}}, "")
	// One that has begun is not ended without it either, by whatever command.
	open := rollback{Turns: []string{"wave 1: one", "wave 2: two"}, Whole: true, Actor: "ann@desk"}
	note(t, m, noteRollback, open)
	says(RollbackOptions{Apps: []string{"one"}}, want)
	if err := m.finishWhatGoesBack(t.Context()); refusals(err) != want {
		t.Errorf("a run says %v", err)
	}
	if _, unfinished := m.unfinishedRollback(); !unfinished {
		t.Error("the rollback counts as ended")
	}
}

// TestI10_BlueIsNotRetiredWhileTheFileLacksAnApplication: nor is it under a certificate that an earlier version made.
func TestI10_BlueIsNotRetiredWhileTheFileLacksAnApplication(t *testing.T) {
	m, api := retirable(t)
	full := m.outline()
	full.Applications = append(full.Applications, ApplicationStatus{Name: "late", Wave: 2})
	note(t, m, noteOutline, full)
	finishes(t, m, stageExport)
	var log *journal.Log
	m.journal.View(func(l *journal.Log) { log = l })
	_, err := m.certificateThatHolds(t.Context(), log, restOfBlue{})
	if got := refusals(err); !strings.Contains(got, "application late: the file does not have it any more, and it is") {
		t.Errorf("refused with %q", got)
	}
	if api.changed > 0 {
		t.Errorf("%d changes of blue", api.changed)
	}
}

// exportsWithoutTwo exports anew under a file that lacks the second application.
func exportsWithoutTwo(t *testing.T, m *Migration) {
	t.Helper()
	full := m.file.Applications
	m.file.Applications = full[:1]
	note(t, m, noteOutline, m.outline())
	must(t, m.journal.Reset(stageExport, "asked for"))
	finishes(t, m, stageExport)
	m.file.Applications = full
}
