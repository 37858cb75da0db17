package crossfade

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/journal"
)

const office = `
cutover:
  windows: {timezone: Europe/Berlin, open: [{weekdays: [mon, tue, wed, thu, fri], from: "09:00", to: "16:00"}], closed: ["2026-11-25"], spare: 20m, wait: 2h}
`

// stageNamed finds a stage of the pipeline.
func stageNamed(t *testing.T, m *Migration, name string) stage {
	t.Helper()
	for _, s := range m.pipeline() {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("there is no stage %s", name)
	return stage{}
}

func at(t *testing.T, text string) *clock.Fake {
	t.Helper()
	now, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return clock.NewFake(now)
}

// Moving one takes 2m propagation + 1m TTL + 5s margin + 3m soak + 20m spare = 26m5s: it begins where so much is left of a window,
// waits for one that is near, and ends with what it waits for where that is far, or where it is not to wait.
func TestC26_ATurnBeginsOnlyInAWindowWithTimeLeft(t *testing.T) {
	const sum = "2m0s propagation of one + 1m0s TTL + 5s margin + 3m0s soak + 20m0s spare = 26m5s"
	for name, tt := range map[string]struct {
		now    string
		noWait bool
		slept  time.Duration
		until  string // where it pauses
	}{
		"open":                         {now: "2026-11-24T10:00:00Z"},
		"the last moment":              {now: "2026-11-24T14:33:55Z"},
		"a second too late":            {now: "2026-11-24T14:33:56Z", until: "2026-11-26T08:00:00Z"}, // the 25th is closed
		"soon":                         {now: "2026-11-24T06:30:00Z", slept: 90 * time.Minute},
		"later than a run waits":       {now: "2026-11-24T05:59:59Z", until: "2026-11-24T08:00:00Z"},
		"soon, but it is not to wait":  {now: "2026-11-24T07:59:00Z", noWait: true, until: "2026-11-24T08:00:00Z"},
		"the Friday before a Monday":   {now: "2026-11-27T20:00:00Z", until: "2026-11-30T08:00:00Z"},
		"the day before the clock set": {now: "2027-03-26T20:00:00Z", until: "2027-03-29T07:00:00Z"}, // summer time: 09:00 is an hour earlier
	} {
		t.Run(name, func(t *testing.T) {
			time := at(t, tt.now)
			m := openedWith(t, load(t, named+office), Options{Clock: time})
			began := time.Now()
			err := m.mayBegin(t.Context(), stageNamed(t, m, "freeze/one"), RunOptions{NoWait: tt.noWait})
			if tt.until == "" {
				if err != nil || time.Now().Sub(began) != tt.slept {
					t.Errorf("it slept %s, want %s, and says %v", time.Now().Sub(began), tt.slept, err)
				}
				return
			}
			var pause *PausedError
			if !errors.As(err, &pause) || !pause.Waiting.Until.Equal(at(t, tt.until).Now()) || len(time.Slept()) > 0 {
				t.Fatalf("err = %v, want a pause until %s", err, tt.until)
			}
			if !strings.Contains(err.Error(), sum) || pause.Waiting.For != WaitsForWindow {
				t.Errorf("it says %q, want the arithmetic %q", err, sum)
			}
			st, err := m.Status()
			if err != nil || len(st.Waiting) != 1 || !st.Waiting[0].Until.Equal(*pause.Waiting.Until) {
				t.Errorf("status shows %+v, %v", st.Waiting, err)
			}
		})
	}
}

// Blue is frozen: neither a turn that has begun nor the way back waits for a window or an approval.
func TestC26_NothingThatHasBegunWaits(t *testing.T) {
	m := openedWith(t, load(t, named+office+"  approval: required\n"), Options{Clock: at(t, "2026-11-28T02:00:00Z")})
	plans(t, m, "freeze/one")
	turn, _ := m.turnNamed("wave 1: one")
	stages := []stage{stageNamed(t, m, "freeze/one"), stageNamed(t, m, "swap/one"), stageNamed(t, m, "soak/one")}
	plans(t, m, "swap/one", "start/one")
	stages = append(stages, m.wayBack(turn, returning{Turn: turn.name}, m.journal.Stage)...)
	for _, s := range stages {
		if err := m.mayBegin(t.Context(), s, RunOptions{NoWait: true}); err != nil {
			t.Errorf("%s waits: %v", s.name, err)
		}
	}
	if len(stages) < 6 {
		t.Errorf("only %d stages were looked at", len(stages))
	}
}

func TestAWindowThatIsTooShortIsRefusedBeforehand(t *testing.T) {
	text := named + strings.Replace(office, `"16:00"`, `"09:26"`, 1)
	m := openedWith(t, load(t, text), Options{Clock: at(t, "2026-11-24T08:00:00Z")})
	var refused *RefusedError
	if err := m.mayBegin(t.Context(), stageNamed(t, m, "freeze/one"), RunOptions{}); !errors.As(err, &refused) || !strings.Contains(err.Error(), "the longest is 26m0s") {
		t.Errorf("err = %v", err)
	}
	p := &Plan{}
	m.lookAtWaits(p)
	if len(p.Refusals) != 1 || !strings.Contains(p.Refusals[0].Why, "for one") {
		t.Errorf("refusals = %+v, want one, for the turn of one", p.Refusals)
	}
}

// What was copied before a window was waited for is old by then: it is copied again before blue's writes are refused.
func TestAWindowThatWasWaitedForCopiesOnceMore(t *testing.T) {
	m := openedWith(t, load(t, shared+office), Options{Clock: at(t, "2026-11-24T07:00:00Z"), OpenBucket: inMemory(t)})
	finishes(t, m, "warm/own")
	if err := m.mayBegin(t.Context(), stageNamed(t, m, "freeze/alone"), RunOptions{}); err == nil || !strings.Contains(err.Error(), "warm/own") {
		t.Errorf("err = %v: here, the copy is refused, because nothing was exported", err)
	}
	if m.journal.Stage("warm/own").Finished {
		t.Error("the copy from before the wait counts")
	}
}

const approve = named + "cutover: {waves: [{wave: 2, approval: required}]}\n"

func pausedFor(t *testing.T, m *Migration, name string) *PausedError {
	t.Helper()
	err := m.mayBegin(t.Context(), stageNamed(t, m, name), RunOptions{})
	var pause *PausedError
	if err != nil && !errors.As(err, &pause) {
		t.Fatal(err)
	}
	return pause
}

func TestAWaveWaitsForItsApproval(t *testing.T) {
	file := load(t, approve)
	m := openedWith(t, file, Options{Clock: at(t, "2026-11-24T10:00:00Z")})
	if err := m.approveWaves([]int{2}); err == nil || !strings.Contains(err.Error(), "the warm phase is not done") {
		t.Errorf("approved before anything is planned: %v", err)
	}
	finishes(t, m, "ttl")
	if pause := pausedFor(t, m, "freeze/one"); pause != nil {
		t.Errorf("wave 1 needs no approval: %v", pause)
	}
	pause := pausedFor(t, m, "freeze/two")
	if pause == nil || pause.Waiting.For != WaitsForApproval || !strings.Contains(pause.Error(), "`crossfade run --approve 2`") {
		t.Fatalf("pause = %v", pause)
	}
	records := func() (n int) {
		m.journal.View(func(log *journal.Log) { n = len(log.Records) })
		return n
	}
	before := records()
	if pausedFor(t, m, "freeze/two") == nil || records() != before {
		t.Error("a second run writes the same wait again")
	}
	var unknown *UnknownError
	if err := m.approveWaves([]int{3}); !errors.As(err, &unknown) {
		t.Errorf("a wave that there is not: %v", err)
	}
	if err := m.approveWaves([]int{2}); err != nil {
		t.Fatal(err)
	}
	if pause := pausedFor(t, m, "freeze/two"); pause != nil {
		t.Errorf("it was approved: %v", pause)
	}
	st, err := m.Status()
	if err != nil || len(st.Waiting) != 0 || len(st.Approvals) != 1 || st.Approvals[0].By != "ann@desk" || st.Approvals[0].Plan != pause.Waiting.Plan || st.Approvals[0].At.IsZero() {
		t.Errorf("status = %+v, %v", st, err)
	}
}

// An approval is of one plan, and of one try.
func TestAnApprovalIsOfThePlanThatWasSeen(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(approve, "directory: state", "directory: "+dir, 1)
	m := openedWith(t, load(t, text), Options{Clock: at(t, "2026-11-24T10:00:00Z")})
	finishes(t, m, "ttl")
	if err := m.approveWaves([]int{2}); err != nil {
		t.Fatal(err)
	}
	plans(t, m, "restore")
	if pause := pausedFor(t, m, "freeze/two"); pause == nil || !strings.Contains(pause.Error(), "has changed since") || !strings.Contains(pause.Error(), "ann@desk approved") {
		t.Errorf("green was restored anew: %v", pause)
	}
	if err := m.approveWaves([]int{2}); err != nil {
		t.Fatal(err)
	}
	note(t, m, noteReturned, returned{App: "two", Why: "breach"})
	if pausedFor(t, m, "freeze/two") == nil {
		t.Error("the wave came back, and its approval counts")
	}
	if err := m.approveWaves([]int{2}); err != nil {
		t.Fatal(err)
	}
	if pause := pausedFor(t, m, "freeze/two"); pause != nil {
		t.Errorf("approved after its return: %v", pause)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m.journal = nil
	other := strings.Replace(text, "wave: 2, writes: quiesce", "wave: 2, writes: none", 1)
	again, err := Open(load(t, other), Options{Actor: "bob@desk", Clock: at(t, "2026-11-24T11:00:00Z")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	if pausedFor(t, again, "freeze/two") == nil {
		t.Error("the migration file is another, and the approval counts")
	}
}

// Where a person is there, the run asks and does not end.
func TestAPersonWhoIsThereIsAsked(t *testing.T) {
	answer := false
	var asked []int
	m := openedWith(t, load(t, approve), Options{Clock: at(t, "2026-11-24T10:00:00Z"), Approve: func(_ context.Context, r ApprovalRequest) (bool, error) {
		asked = append(asked, r.Wave)
		if len(r.Plan.Changes) != 1 || r.Plan.Changes[0].App != "two" {
			t.Errorf("the plan is %+v", r.Plan)
		}
		return answer, nil
	}})
	finishes(t, m, "ttl")
	if pausedFor(t, m, "freeze/two") == nil {
		t.Error("the answer was no")
	}
	answer = true
	if pause := pausedFor(t, m, "freeze/two"); pause != nil || !slices.Equal(asked, []int{2, 2}) {
		t.Errorf("the answer was yes: %v, asked %v", pause, asked)
	}
}

func TestTheFirstWaveIsApprovedByGates(t *testing.T) {
	m := openedWith(t, load(t, named+"cutover: {approval: gates}\n"), Options{Clock: at(t, "2026-11-24T10:00:00Z")})
	finishes(t, m, "ttl")
	if pause := pausedFor(t, m, "freeze/one"); pause != nil {
		t.Fatal(pause)
	}
	if got := m.approvals(1); len(got) != 1 || !strings.Contains(got[0].Rule, "no wave comes before it") {
		t.Errorf("approvals = %+v", got)
	}
}

// People see the approval of each wave that counts; who reads JSON sees all that were given.
func TestStatusShowsTheApprovalsThatCount(t *testing.T) {
	m := openedWith(t, load(t, named), Options{Clock: at(t, "2026-11-24T10:00:00Z")})
	approve := func(wave int, plan string) {
		t.Helper()
		if err := m.approve(wave, plan, "ann@desk", ""); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(all int, want ...string) {
		t.Helper()
		var out strings.Builder
		st, err := m.Status()
		if err != nil || len(st.Approvals) != all || st.Print(&out) != nil {
			t.Fatalf("%+v, %v", st, err)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, "approved by") {
				got = append(got, strings.Fields(line)[1]+line[strings.LastIndex(line, " "):len(line)-1])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("shows %q, want %q", got, want)
		}
	}
	approve(1, "first")
	approve(1, "second")
	approve(2, "other")
	shows(3, "1: second…", "2: other…")
	note(t, m, noteReturned, returned{App: "one", At: m.opts.Clock.Now()})
	shows(3, "2: other…")
	approve(1, "third")
	shows(4, "2: other…", "1: third…")
}

// A run that does not wait notes the longest old TTL, and the note ends with the stage.
func TestC26_StatusShowsTheOldTTLThatIsWaitedFor(t *testing.T) {
	m := openedWith(t, load(t, named), Options{Clock: at(t, "2026-11-24T10:00:00Z"), Log: slog.New(slog.DiscardHandler)})
	plans(t, m, "ttl")
	now := m.opts.Clock.Now()
	waits := []cutover.Wait{
		{What: "old TTL of a.", Text: "sum a", Until: now.Add(time.Hour)},
		{What: "old TTL of b.", Text: "sum b", Until: now.Add(48 * time.Hour)},
	}
	for range 2 { // a cron job comes again
		if err := m.oldTTLs(waits); err != nil {
			t.Fatal(err)
		}
	}
	err := paused(&cutover.PausedError{Waits: waits})
	var pause *PausedError
	if !errors.As(err, &pause) || !strings.Contains(err.Error(), "old TTL of b. and 1 more that end before until 2026-11-26 10:00:00 UTC (sum b)") {
		t.Errorf("err = %v", err)
	}
	var notes int
	m.journal.View(func(log *journal.Log) { notes = len(log.Noted(noteWaiting)) })
	st, err := m.Status()
	if err != nil || notes != 1 || len(st.Waiting) != 1 || !st.Waiting[0].Until.Equal(waits[1].Until) {
		t.Errorf("%d notes, status = %+v, %v", notes, st.Waiting, err)
	}
	var out strings.Builder
	if err := st.Print(&out); err != nil || !strings.Contains(out.String(), "waits for old TTL of b. and 1 more that end before until 2026-11-26 10:00:00 UTC (sum b); `crossfade run` goes on then") {
		t.Errorf("status prints %s, %v", out.String(), err)
	}
	if err := m.opts.Clock.Sleep(t.Context(), 49*time.Hour); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if st, err = m.Status(); err != nil || !st.Waiting[0].Over || st.Print(&out) != nil || !strings.Contains(out.String(), "(sum b); that is over: say `crossfade run`, which goes on now") {
		t.Errorf("two days later status prints %s, %v", out.String(), err)
	}
	if next := (Waiting{For: WaitsForWindow, Over: true}).next(); !strings.Contains(next, "waits for the next one otherwise") {
		t.Errorf("a window that has come: %s", next)
	}
	finishes(t, m, "ttl")
	if st, err := m.Status(); err != nil || len(st.Waiting) != 0 {
		t.Errorf("status = %+v, %v", st.Waiting, err)
	}
}

// A TTL that was seen raised after the ttl stage is in the journal at once, and forgotten when that stage is taken again.
func TestC26_ARaisedTTLOutlivesTheProcessThatSawIt(t *testing.T) {
	file := load(t, named)
	zones := Options{
		Clock: at(t, "2026-11-24T10:00:00Z"), Getenv: func(string) string { return "c2VjcmV0" },
		OpenZone: func(context.Context, ZoneConfig) (zone.Zone, error) { return nil, nil },
	}
	open := func() cutover.Options {
		t.Helper()
		m, err := Open(file, zones)
		if err != nil {
			t.Fatal(err)
		}
		opts, err := m.zoneOptions(t.Context(), "swap/one")
		if err != nil {
			t.Fatal(err)
		}
		if len(opts.Raised) == 0 {
			if err := opts.Raising(cutover.Raised{Name: "one.apps.test.", TTL: 3600, At: m.opts.Clock.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		return opts
	}
	open()
	read := Inspect(file, zones)
	opts, err := read.zoneOptions(t.Context(), "swap/one")
	if err != nil || len(opts.Raised) != 1 || opts.Raised[0].TTL != 3600 || opts.Raising != nil {
		t.Errorf("who only reads knows %+v, %v", opts.Raised, err)
	}
	if opts := open(); len(opts.Raised) != 1 {
		t.Errorf("the next run knows %+v", opts.Raised)
	}
	m := openedWith(t, file, Options{})
	if err := m.journal.Reset("ttl", "rolled back"); err != nil || len(m.raisedTTLs()) != 0 {
		t.Errorf("known after a rollback: %+v, %v", m.raisedTTLs(), err)
	}
}

// What went back by itself is not tried again by the next run, whatever approval its wave needs: one word is good for one try.
func TestAWaveThatWentBackByItselfNeedsAWord(t *testing.T) {
	for _, need := range []string{"none", "gates", "required"} {
		t.Run(need, func(t *testing.T) {
			m := openedWith(t, load(t, named+"cutover: {approval: "+need+"}\n"), Options{Clock: at(t, "2026-11-24T10:00:00Z")})
			finishes(t, m, "ttl")
			back := returned{App: "one", Why: "one: page: 500", At: m.opts.Clock.Now(), ByItself: true}
			for range 2 {
				note(t, m, noteReturned, back)
				st, err := m.Status()
				if err != nil || len(st.Waiting) != 1 || st.Waiting[0].Wave != 1 || !strings.Contains(st.Waiting[0].Text, "one went back to blue by itself at 2026-11-24 10:00:00 UTC") {
					t.Errorf("before the next run status shows %+v, %v", st.Waiting, err)
				}
				for range 2 {
					pause := pausedFor(t, m, "freeze/one")
					if pause == nil || !strings.Contains(pause.Error(), "`crossfade run --approve 1`; one went back to blue by itself at 2026-11-24 10:00:00 UTC, and is not tried again without a word: one: page: 500") {
						t.Fatalf("it is tried again: %v", pause)
					}
				}
				if st, err = m.Status(); err != nil || len(st.Waiting) != 1 {
					t.Errorf("after it, status shows %+v, %v", st.Waiting, err)
				}
				if err := m.approveWaves([]int{1}); err != nil {
					t.Fatal(err)
				}
				if pause := pausedFor(t, m, "freeze/one"); pause != nil {
					t.Errorf("approved: %v", pause)
				}
				if st, err = m.Status(); err != nil || len(st.Waiting) != 0 {
					t.Errorf("approved, status shows %+v, %v", st.Waiting, err)
				}
			}
			// What a person took back needs what the file says.
			back.ByItself = false
			note(t, m, noteReturned, back)
			if pause := pausedFor(t, m, "freeze/one"); (pause != nil) != (need == "required") {
				t.Errorf("after a rollback: %v", pause)
			}
		})
	}
}
