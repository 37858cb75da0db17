package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/attest"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// Each way an application can be frozen, and one application without a name.
const kinds = head + `
stores: {disk: {provider: file}}
buckets:
  - {name: data, from: {store: disk, bucket: a}, to: {store: disk, bucket: b}}
applications:
  - name: reader
    namespace: n
    wave: 1
    writes: freeze
    dark: read-only
    buckets: [data]
    freeze:
      enter: [{patch: {kind: ConfigMap, name: c, merge: {data: {mode: frozen}}}}]
      leave: [{patch: {kind: ConfigMap, name: c, merge: {data: {mode: open}}}}]
      probe: {http: {url: "http://x"}, refused: [503]}
  - name: writer
    namespace: n
    wave: 1
    writes: freeze
    buckets: [data]
    freeze: {enter: [{command: ["true"]}], leave: [{command: ["true"]}], probe: {http: {url: "http://x"}, refused: [503]}}
  - name: ledger
    namespace: n
    wave: 2
    writes: freeze
    payload: {export: {command: ["true"]}, import: {command: ["true"]}}
    freeze: {enter: [{command: ["true"]}], leave: [{command: ["true"]}], probe: {http: {url: "http://x"}, refused: [503]}}
  - {name: worker, namespace: n, wave: 3, writes: quiesce, volumes: empty}
  - {name: pages, namespace: n, wave: 4, writes: none}
`

// Blue is thawed after green is held or stopped and after what it wrote was brought back, in both orders; names move to a side
// that answers.
func TestI07_BothWaysBackBringGreensWritesBeforeBlueIsThawed(t *testing.T) {
	m := opened(t, load(t, kinds))
	turn := m.turns()[0]
	begun := []string{"freeze/reader", "freeze/writer", "start/reader", "start/writer", "swap/reader", "swap/writer"}
	for _, c := range []struct {
		calm bool
		want string
	}{
		{false, `return/writer return/reader return-settle/writer stop/writer stop/reader back-sync/data thaw/writer thaw/reader`},
		{true, `hold/writer hold/reader back-sync/data return/writer return/reader thaw/writer thaw/reader return-settle/writer stop/writer`},
	} {
		plans(t, m, begun...)
		got := names(m.wayBack(turn, returning{Calm: c.calm}, m.journal.Stage))
		if want := strings.Fields(c.want); !slices.Equal(got, want) {
			t.Errorf("calm %v: the way back is\n%v\nwant\n%v", c.calm, got, want)
		}
		at := func(name string) int { return slices.Index(got, name) }
		for _, app := range turn.names() {
			green := at("stop/" + app)
			if c.calm {
				green = at("hold/" + app)
			}
			if green < 0 || green > at("back-sync/data") || at("back-sync/data") > at("thaw/"+app) {
				t.Errorf("calm %v: %s is thawed before green is at rest and brought back: %v", c.calm, app, got)
			}
		}
	}
	// Where green has not started, it has written nothing.
	for _, name := range begun[2:] {
		if err := m.journal.Reset(name, "test"); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(m.wayBack(turn, returning{}, m.journal.Stage)); !slices.Equal(got, []string{"thaw/writer", "thaw/reader"}) {
		t.Errorf("a freeze is taken back by %v", got)
	}
	// Every stage of a way back is forgotten with it.
	for _, calm := range []bool{false, true} {
		plans(t, m, begun...)
		for _, s := range m.wayBack(turn, returning{Calm: calm}, m.journal.Stage) {
			if !slices.Contains(turn.returnStages(), s.name) {
				t.Errorf("%s would stay in the journal as done", s.name)
			}
		}
	}
}

func TestWhatCannotComeBackIsNamed(t *testing.T) {
	m := opened(t, load(t, kinds))
	left := func(asked bool) string {
		var all []string
		for _, turn := range m.turns() {
			for _, l := range m.atGreenOnly(t.Context(), turn, m.journal.Stage, asked) {
				all = append(all, l.What)
			}
		}
		return strings.Join(all, ", ")
	}
	if got := left(true); got != "" {
		t.Errorf("nothing has begun, and %s would be left", got)
	}
	for _, app := range []string{"reader", "writer", "ledger", "worker", "pages"} {
		plans(t, m, "freeze/"+app)
		finishes(t, m, "start/"+app)
	}
	if got := left(true); got != "the payload of ledger, the volumes of worker" {
		t.Errorf("left: %s", got)
	}
	// An automatic return asks for what users may have written: nobody has a name here.
	if got := left(false); got != "" {
		t.Errorf("left by a return by itself: %s", got)
	}
	finishes(t, m, "swap/ledger")
	if got := left(false); got != "the payload of ledger" {
		t.Errorf("after the swap: %s", got)
	}
	var held *HeldOnGreenError
	s := stage{name: "soak/ledger", turn: "wave 2: ledger", company: []string{"ledger"}}
	err := m.failed(t.Context(), s, errors.New("it rained"))
	if !errors.As(err, &held) || !strings.Contains(err.Error(), "crossfade rollback ledger --discard-green") || !strings.Contains(err.Error(), "it rained") {
		t.Errorf("err = %v", err)
	}
	if _, open := m.unfinishedReturn(); open {
		t.Error("a return was begun")
	}
	p, err := m.PlanRollback(t.Context(), RollbackOptions{Apps: []string{"ledger"}})
	if err != nil || len(p.Refusals) != 2 || p.Refusals[0].What != "green's cluster" || p.Refusals[1].What != "the payload of ledger" || !strings.Contains(p.Err().Error(), "--discard-green") || len(p.Turns) != 1 {
		t.Errorf("plan: %+v, %v", p, err)
	}
	if p, err = m.PlanRollback(t.Context(), RollbackOptions{Apps: []string{"ledger"}, DiscardGreen: true}); err != nil || p.Err() != nil || len(p.Turns[0].Left) != 1 {
		t.Errorf("plan: %+v, %v", p, err)
	}
}

func TestARollbackOfOneOfATurnSaysWhoGoesAlong(t *testing.T) {
	m := opened(t, load(t, kinds))
	note(t, m, noteOutline, m.outline())
	plans(t, m, "export")
	p, err := m.PlanRollback(t.Context(), RollbackOptions{Apps: []string{"writer"}})
	if err != nil || len(p.Turns) != 1 || !slices.Equal(p.Turns[0].Applications, []string{"reader", "writer"}) || !strings.Contains(p.Turns[0].Together, "share bucket data") {
		t.Errorf("%+v, %v", p, err)
	}
	if p.Whole || len(p.After) > 0 {
		t.Error("the rollback of one application gives all names back")
	}
	var unknown *UnknownError
	if _, err := m.PlanRollback(t.Context(), RollbackOptions{Apps: []string{"nonsense"}}); !errors.As(err, &unknown) {
		t.Errorf("err = %v", err)
	}
}

func TestARollbackIsRefusedOnceBlueIsBeingDeleted(t *testing.T) {
	m := opened(t, load(t, named))
	finishes(t, m, "freeze/one", "start/one", "swap/one")
	plans(t, m, "retire")
	if p, err := m.PlanRollback(t.Context(), RollbackOptions{DiscardGreen: true}); err != nil || p.Err() != nil {
		t.Errorf("nothing is deleted yet: %v, %v", err, p.Err())
	}
	if err := m.journal.Intend("retire", plan.Change{ID: "retire/Namespace/n"}); err != nil {
		t.Fatal(err)
	}
	p, err := m.PlanRollback(t.Context(), RollbackOptions{DiscardGreen: true})
	if err != nil || p.Err() == nil || !strings.Contains(p.Err().Error(), "retire has begun to delete") {
		t.Errorf("%v, %v", err, p.Err())
	}
}

// What is left of a broken-off rollback is finished by the next one, whatever that is asked for, and by a run.
func TestARollbackThatWasBrokenOffIsFinished(t *testing.T) {
	m := opened(t, load(t, named))
	m.begun = true
	finishes(t, m, "export", "idle", "certificate", "warm/x")
	finishes(t, m, "freeze/one", "start/one", "swap/one", "return/one", "return-settle/one", "stop/one", "thaw/one")
	key, err := attest.ReadOrMakeKey(filepath.Join(m.file.StateDir(), signingKey))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.writeCertificate(cutover.Certificate{}, nil, key); err != nil {
		t.Fatal(err)
	}
	note(t, m, noteRollback, rollback{Turns: []string{"wave 1: one", "wave 2: two"}, Actor: "ann@desk"})
	note(t, m, noteReturning, returning{Turn: "wave 1: one", Cause: "rolled back by ann@desk"})
	s, err := Inspect(m.file, Options{}).Status()
	if err != nil || s.GoingBack != "rolled back by ann@desk" {
		t.Errorf("status: %+v, %v", s, err)
	}
	_, err = m.Run(t.Context(), RunOptions{})
	var back *ReturnedError
	if !errors.As(err, &back) || back.Incomplete != nil || !slices.Equal(back.Apps, []string{"one", "two"}) || !strings.Contains(err.Error(), "rolled back by ann@desk, which is finished now") {
		t.Fatalf("err = %v", err)
	}
	for _, name := range []string{"freeze/one", "swap/one", "thaw/one", "idle", "certificate"} {
		if m.journal.Stage(name).Plan != "" {
			t.Errorf("%s is still known", name)
		}
	}
	if !m.journal.Stage("export").Finished {
		t.Error("the warm phase was forgotten")
	}
	if _, err := os.Stat(filepath.Join(m.file.StateDir(), certificateJSON)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the certificate is left: %v", err)
	}
	if _, open := m.unfinishedRollback(); open {
		t.Error("the rollback is still open")
	}
	if s, err := Inspect(m.file, Options{}).Status(); err != nil || s.GoingBack != "" || s.Applications[0].State != Returned {
		t.Errorf("status: %+v, %v", s, err)
	}
}

// A process that is killed while it forgets a turn leaves something that the next one can read, at each record.
func TestForgettingATurnMayBeKilledAtEachRecord(t *testing.T) {
	all := []string{"freeze/one", "delta/one", "start/one", "swap/one", "return/one", "return-settle/one", "stop/one", "thaw/one"}
	for kept := 0; kept <= len(all); kept++ {
		m := opened(t, load(t, named))
		m.begun = true
		finishes(t, m, all...)
		note(t, m, noteRollback, rollback{Turns: []string{"wave 1: one"}, Actor: "ann@desk"})
		note(t, m, noteReturning, returning{Turn: "wave 1: one", Cause: "rolled back by ann@desk"})
		if err := m.resetAll(all[:kept], "killed after these"); err != nil {
			t.Fatal(err)
		}
		report, err := m.finishRollback(t.Context(), rollback{Turns: []string{"wave 1: one"}, Actor: "ann@desk"})
		if err != nil || report.Applications[0].Side != Blue || !report.Applications[0].Returned {
			t.Fatalf("killed after %d resets: %+v, %v", kept, report, err)
		}
		for _, name := range all {
			if m.journal.Stage(name).Plan != "" {
				t.Errorf("killed after %d resets, %s is still known", kept, name)
			}
		}
	}
}

// Idleness from before a return, or from before somebody came to a blue that refused, says nothing about blue after it.
func TestI08_SamplesFromBeforeAReturnAreNoEvidence(t *testing.T) {
	m := opened(t, load(t, named))
	sample := func(i int) { note(t, m, noteSample, cutover.Sample{At: time.Unix(int64(i), 0)}) }
	count := func() int {
		log, err := m.log()
		if err != nil {
			t.Fatal(err)
		}
		return len(samplesSinceReturn(log))
	}
	sample(1)
	sample(2)
	if n := count(); n != 2 {
		t.Errorf("%d samples count", n)
	}
	note(t, m, noteReturned, returned{App: "one"})
	sample(3)
	if n := count(); n != 1 {
		t.Errorf("%d samples count after a return", n)
	}
	note(t, m, noteComeBack, struct{}{})
	if n := count(); n != 0 {
		t.Errorf("%d samples count after somebody came to a blue that refused", n)
	}
}

func TestNamesAreHeldUnderTheFenceOfTheLastReturn(t *testing.T) {
	m := opened(t, load(t, named))
	result := cutover.TTLResult{Names: []cutover.Held{{Name: "one.apps.test.", Fence: zone.Fence{Name: "_f.", Token: "first"}}}}
	finish := func() {
		t.Helper()
		plans(t, m, "ttl")
		if err := m.journal.Finish("ttl", result); err != nil {
			t.Fatal(err)
		}
	}
	token := func(want string) {
		t.Helper()
		if held, err := m.held(); err != nil || held.Names[0].Fence.Token != want {
			t.Errorf("held under %+v, %v, want %s", held, err, want)
		}
	}
	finish()
	token("first")
	note(t, m, noteFence, zone.Fence{Name: "_f.", Token: "second"})
	note(t, m, noteFence, zone.Fence{Name: "_other.", Token: "theirs"})
	note(t, m, noteFence, zone.Fence{Name: "_f.", Token: "third"})
	token("third")
	// A whole rollback gave the fence up; the next TTL stage took another.
	if err := m.journal.Reset("ttl", "rolled back"); err != nil {
		t.Fatal(err)
	}
	finish()
	token("first")
}

// A silent server is waited for until the first name of the turn has moved, and no longer than its limit.
func TestASwapWaitsForASilentServerWhileNothingIsAtRisk(t *testing.T) {
	silent := fmt.Errorf("swap: %w", zone.ErrUncertain)
	for _, c := range []struct {
		name  string
		stage string
		err   error
		fails int // how often
		moved bool
		tries int
	}{
		{name: "silent for a moment", stage: "swap/one", err: silent, fails: 4, tries: 5},
		{name: "silent for good", stage: "swap/one", err: silent, fails: 99, tries: 11},
		{name: "a name has moved", stage: "swap/one", err: silent, fails: 99, moved: true, tries: 1},
		{name: "a failed check is an answer", stage: "swap/one", err: fmt.Errorf("%w: %w", cutover.ErrGate, context.DeadlineExceeded), fails: 99, tries: 1},
		{name: "a record that moved is an answer", stage: "swap/one", err: &plan.MovedError{}, fails: 99, tries: 1},
		{name: "another stage", stage: "start/one", err: silent, fails: 99, tries: 1},
	} {
		m := opened(t, load(t, named))
		m.opts.Clock = clock.NewFake(time.Now())
		if c.moved {
			plans(t, m, "swap/two")
			if err := m.journal.Succeed("swap/two", "swap/two/x", json.RawMessage("{}")); err != nil {
				t.Fatal(err)
			}
		}
		tries := 0
		err := m.takeForward(t.Context(), stage{
			name: c.stage, turn: "t", company: []string{"one", "two"},
			plan: func(context.Context) (*plan.Plan, error) { return plan.New("move", c.stage), nil },
			apply: func(context.Context, *plan.Plan) (any, error) {
				if tries++; tries <= c.fails {
					return nil, c.err
				}
				return nil, nil
			},
		})
		if tries != c.tries || (err == nil) != (c.fails < c.tries) {
			t.Errorf("%s: %d tries and %v, want %d tries", c.name, tries, err, c.tries)
		}
	}
}

// TestI03_ARollbackSaysWhichNamesAreNotAsTheyWere: the last end of the stage that gives the TTLs back tells of names that somebody else has
// changed, and no report says then that all names are as they were.
func TestI03_ARollbackSaysWhichNamesAreNotAsTheyWere(t *testing.T) {
	m := opened(t, load(t, kinds))
	for left, want := range map[string]string{"": "blue's objects and names are as they were", "CNAME elsewhere.test. (TTL 3s)": "shop.apps.test. (shop): it holds CNAME elsewhere.test. (TTL 3s)"} {
		note(t, m, noteRollback, rollback{Whole: true})
		plans(t, m, "return-ttl")
		var result cutover.RestoreResult
		if left != "" {
			result.Left = []cutover.LeftName{{App: "shop", Name: "shop.apps.test.", Holds: left}}
		}
		if err := m.journal.Finish("return-ttl", result); err != nil {
			t.Fatal(err)
		}
		note(t, m, noteRolledBack, struct{}{})
		report, err := m.rollbackReport(rollback{Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		var page strings.Builder
		if err := report.Print(&page); err != nil || !strings.Contains(page.String(), want) {
			t.Errorf("left %q: %v, %s", left, err, page.String())
		}
		if all := strings.Contains(page.String(), "names are as they were"); all != (left == "") {
			t.Errorf("left %q: %s", left, page.String())
		}
	}
}

// A name that somebody has changed is no failure of green, and to mend green would mend nothing.
func TestHeldOnGreenBlamesWhatMoved(t *testing.T) {
	moved := &plan.MovedError{Change: "swap/one/two.example.com.", What: "records of two.example.com.", Was: "CNAME blue.", Now: "CNAME elsewhere."}
	for cause, want := range map[error]string{
		errors.New("green fails"):                      "\nmend green and `crossfade run` again",
		fmt.Errorf("swap two.example.com.: %w", moved): "\ngreen has not failed: somebody has changed what is named above",
	} {
		if text := (&HeldOnGreenError{Apps: []string{"one"}, Cause: cause}).Error(); !strings.Contains(text, want) {
			t.Errorf("%s\nwant %q", text, want)
		}
	}
}
