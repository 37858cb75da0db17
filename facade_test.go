package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/memory"
	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/notify"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const (
	head = `
version: 1
name: move
reason: version
blue: {kubeconfig: blue}
green: {kubeconfig: green}
archive: {url: archive}
state: {directory: state}
`
	// Four applications: media and thumbs share a bucket with one another, and pages ties a third bucket to them.
	shared = head + `
stores: {disk: {provider: file}}
buckets:
  - {name: pictures, from: {store: disk, bucket: a}, to: {store: disk, bucket: b}}
  - {name: texts, from: {store: disk, bucket: c}, to: {store: disk, bucket: d}}
  - {name: own, from: {store: disk, bucket: e}, to: {store: disk, bucket: f}}
applications:
  - {name: late, namespace: n, wave: 2, writes: none}
  - {name: media, namespace: n, wave: 1, writes: none, buckets: [pictures]}
  - {name: alone, namespace: n, wave: 1, writes: none, buckets: [own]}
  - {name: texts, namespace: n, wave: 1, writes: none, buckets: [texts]}
  - {name: pages, namespace: n, wave: 1, writes: none, buckets: [texts, pictures]}
`
	named = head + `
applications:
  - name: one
    namespace: n
    wave: 1
    writes: quiesce
    hostnames: [{name: one.apps.test, blue: {target: b.test}, green: {target: g.test}}]
    checks: [{name: page, http: {path: /}}]
    drain: [{command: ["true"]}]
  - {name: two, namespace: n, wave: 2, writes: quiesce, requests: {pods: {port: 8080, path: /requests}, field: requests}}
zones: [{name: apps.test, rfc2136: {server: "127.0.0.1:53", key: k, secret: {env: K}}}]
retirement: {delete: {namespaces: [n]}}
`
)

func load(t *testing.T, text string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "migration.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func opened(t *testing.T, file *File) *Migration { return openedWith(t, file, Options{}) }

func openedWith(t *testing.T, file *File, opts Options) *Migration {
	t.Helper()
	opts.Actor, opts.Tool = "ann@desk", "test"
	m, err := Open(file, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// inMemory is a store in which every bucket is there, empty at first.
func inMemory(t *testing.T) func(context.Context, Store) (bucket.Bucket, error) {
	t.Helper()
	all := map[string]bucket.Bucket{}
	return func(ctx context.Context, s Store) (bucket.Bucket, error) {
		key := s.Bucket + "/" + s.Prefix
		if all[key] == nil {
			b, err := memory.Open(ctx, memory.Options{Name: key})
			if err != nil {
				return nil, err
			}
			all[key] = b
		}
		return all[key], nil
	}
}

func names(stages []stage) []string {
	var out []string
	for _, s := range stages {
		out = append(out, s.name)
	}
	return out
}

func appNames(apps []migration.Application) string {
	var out []string
	for _, a := range apps {
		out = append(out, a.Name)
	}
	return strings.Join(out, " ")
}

// plans records that a stage was planned.
func plans(t *testing.T, m *Migration, stages ...string) {
	t.Helper()
	for _, name := range stages {
		if err := m.journal.SavePlan(plan.New(m.file.Name, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// finishes records that a stage was planned and is over.
func finishes(t *testing.T, m *Migration, stages ...string) {
	t.Helper()
	plans(t, m, stages...)
	for _, name := range stages {
		if err := m.journal.Finish(name, struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
}

func note(t *testing.T, m *Migration, name string, data any) {
	t.Helper()
	if err := m.journal.Note(name, data); err != nil {
		t.Fatal(err)
	}
}

func TestApplicationsThatShareABucketShareATurn(t *testing.T) {
	m := Inspect(load(t, shared), Options{})
	var got []string
	for _, turn := range m.turns() {
		var buckets []string
		for _, b := range turn.buckets {
			buckets = append(buckets, b.Name)
		}
		got = append(got, turn.name+" | "+appNames(turn.apps)+" | "+strings.Join(buckets, " "))
	}
	want := []string{
		// pages came last and tied media and texts together, where the first of them stands.
		"wave 1: media | media texts pages | pictures texts",
		"wave 1: alone | alone | own",
		"wave 2: late | late | ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("turns are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPipelineIsInTheOrderOfAMigration(t *testing.T) {
	m := Inspect(load(t, shared), Options{})
	got := names(m.pipeline())
	want := strings.Fields(`preflight export sync/pictures sync/texts sync/own provision ports restore warm-checks ttl
		warm/pictures warm/texts freeze/media freeze/texts freeze/pages delta/media delta/texts delta/pages
		restore-delta/media restore-delta/texts restore-delta/pages final-sync/pictures final-sync/texts
		start/media start/texts start/pages
		warm/own freeze/alone delta/alone restore-delta/alone final-sync/own start/alone
		freeze/late delta/late restore-delta/late start/late`)
	if !slices.Equal(got, want) {
		t.Errorf("the pipeline is\n%v\nwant\n%v", got, want)
	}
	got = names(Inspect(load(t, named), Options{}).pipeline())
	want = strings.Fields(`preflight export provision ports restore warm-checks ttl
		freeze/one delta/one restore-delta/one start/one checks/one swap/one settle/one soak/one drain/one
		freeze/two delta/two restore-delta/two start/two idle brown-out certificate`)
	if !slices.Equal(got, want) {
		t.Errorf("the pipeline is\n%v\nwant\n%v", got, want)
	}
	slices.Sort(got)
	if n := len(slices.Compact(got)); n != len(want) {
		t.Error("a stage's name is used twice: the journal could not tell them apart")
	}
}

func TestVerbsChooseTheirStages(t *testing.T) {
	for _, c := range []struct {
		file string
		opts RunOptions
		want string
	}{
		{shared, RunOptions{Verb: "export"}, "export"},
		{shared, RunOptions{Verb: "sync"}, "sync/pictures sync/texts sync/own"},
		{shared, RunOptions{Verb: "sync", Names: []string{"texts"}}, "sync/texts"},
		{shared, RunOptions{Verb: "provision"}, "provision"},
		{shared, RunOptions{Verb: "restore"}, "ports restore warm-checks"},
		{shared, RunOptions{Verb: "cutover", Names: []string{"alone"}}, "ttl warm/own freeze/alone delta/alone restore-delta/alone final-sync/own start/alone"},
		{shared, RunOptions{Verb: "cutover", Names: []string{"late"}}, "ttl freeze/late delta/late restore-delta/late start/late"},
		// Whoever names one of those that share buckets gets all of them: the others would go on writing.
		{shared, RunOptions{Verb: "cutover", Names: []string{"texts"}}, `ttl warm/pictures warm/texts freeze/media freeze/texts freeze/pages
			delta/media delta/texts delta/pages restore-delta/media restore-delta/texts restore-delta/pages
			final-sync/pictures final-sync/texts start/media start/texts start/pages`},
	} {
		var got []string
		for _, s := range Inspect(load(t, c.file), Options{}).pipeline() {
			if c.opts.chooses(s) {
				got = append(got, s.name)
			}
		}
		if want := strings.Fields(c.want); !slices.Equal(got, want) {
			t.Errorf("%s %v chooses\n%v\nwant\n%v", c.opts.Verb, c.opts.Names, got, want)
		}
	}
}

func TestAVerbIsRefusedBeforeWhatItNeedsIsDone(t *testing.T) {
	m := opened(t, load(t, named))
	refusal := func(opts RunOptions) string {
		t.Helper()
		stages := m.pipeline()
		for _, s := range stages {
			if opts.chooses(s) {
				continue
			}
			if err := m.mustBeDone(s, stages, opts); err != nil {
				var refused *RefusedError
				if !errors.As(err, &refused) || !strings.Contains(refused.Refusals[0].Mend, "crossfade run") {
					t.Fatalf("%v is not a refusal with its mend", err)
				}
				return refused.Refusals[0].What
			}
		}
		return ""
	}
	expect := func(opts RunOptions, want string) {
		t.Helper()
		if got := refusal(opts); got != want {
			t.Errorf("%s %v is refused for %q, want %q", opts.Verb, opts.Names, got, want)
		}
	}
	expect(RunOptions{Verb: "export"}, "")
	// Nothing is written to green without a backup.
	for _, verb := range []string{"provision", "restore"} {
		expect(RunOptions{Verb: verb}, "export")
	}
	finishes(t, m, "export")
	expect(RunOptions{Verb: "provision"}, "")
	expect(RunOptions{Verb: "restore"}, "provision")
	finishes(t, m, "provision")
	expect(RunOptions{Verb: "restore"}, "")
	expect(RunOptions{Verb: "cutover"}, "ports")
	finishes(t, m, "ports", "restore", "warm-checks")
	expect(RunOptions{Verb: "cutover", Names: []string{"one"}}, "")
	// An earlier wave comes first, all of it.
	expect(RunOptions{Verb: "cutover", Names: []string{"two"}}, "freeze/one")
	finishes(t, m, "freeze/one", "delta/one", "restore-delta/one", "start/one", "checks/one", "swap/one", "settle/one")
	expect(RunOptions{Verb: "cutover", Names: []string{"two"}}, "soak/one")
	finishes(t, m, "soak/one", "drain/one")
	expect(RunOptions{Verb: "cutover", Names: []string{"two"}}, "")
}

func TestNamesThatTheFileDoesNotHaveAreRefused(t *testing.T) {
	m := opened(t, load(t, shared))
	for _, opts := range []RunOptions{
		{Verb: "sync", Names: []string{"nonsense"}}, {Verb: "cutover", Names: []string{"media", "nonsense"}}, {Redo: "nonsense"},
	} {
		var unknown *UnknownError
		if _, err := m.Run(t.Context(), opts); !errors.As(err, &unknown) || unknown.Name != "nonsense" {
			t.Errorf("run %+v: %v, want nonsense to be unknown", opts, err)
		}
		if _, err := m.Plan(t.Context(), opts); !errors.As(err, &unknown) {
			t.Errorf("plan %+v: %v, want nonsense to be unknown", opts, err)
		}
	}
	if _, err := Inspect(load(t, shared), Options{}).Run(t.Context(), RunOptions{}); !errors.Is(err, errReadOnly) {
		t.Errorf("a migration opened for looking runs: %v", err)
	}
}

func TestStatusFollowsFromTheJournalAlone(t *testing.T) {
	file := load(t, named)
	m := opened(t, file)
	look := func() *Status {
		t.Helper()
		s, err := Inspect(file, Options{}).Status()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	state := func(want ApplicationState) {
		t.Helper()
		if got := look().Applications[0].State; got != want {
			t.Errorf("one is %q, want %q", got, want)
		}
	}
	if s := look(); s.Begun {
		t.Errorf("to open it was to begin: %+v", s)
	}
	note(t, m, "n", 1)
	if s := look(); !s.Begun || s.Next != "preflight" || s.Actor != "ann@desk" {
		t.Errorf("a journal with its first note shows %+v", s)
	}
	state(OnBlue)
	plans(t, m, "preflight")
	if s := look(); s.Stages[0].State != StageUnderWay || s.Stages[0].Began == nil || s.Stages[0].Ended != nil {
		t.Errorf("a planned stage is %+v", s.Stages[0])
	}
	if err := m.journal.Fail("preflight", "preflight/x", errors.New("it rained")); err != nil {
		t.Fatal(err)
	}
	if s := look(); s.Stages[0].State != StageFailed || s.Stages[0].Failure != "it rained" {
		t.Errorf("a failed stage is %+v", s.Stages[0])
	}
	finishes(t, m, "preflight")
	if s := look(); s.Stages[0].State != StageDone || s.Next != "export" {
		t.Errorf("a finished stage is %+v, next %s", s.Stages[0], s.Next)
	}
	for _, step := range []struct {
		stage string
		want  ApplicationState
	}{{"freeze/one", Frozen}, {"delta/one", Frozen}, {"start/one", Moving}, {"checks/one", Moving}, {"swap/one", Soaking}, {"settle/one", Soaking}, {"soak/one", OnGreen}} {
		finishes(t, m, step.stage)
		state(step.want)
	}
	// An application without a name is on green as soon as it may write there.
	finishes(t, m, "freeze/two", "start/two")
	if s := look(); s.Applications[1].State != OnGreen {
		t.Errorf("two is %q", s.Applications[1].State)
	}
	for _, name := range []string{"freeze/one", "start/one", "swap/one", "soak/one"} {
		if err := m.journal.Reset(name, "taken back"); err != nil {
			t.Fatal(err)
		}
	}
	note(t, m, noteReturned, returned{App: "one", Why: "it rained"})
	state(Returned)
	if s := look(); s.Applications[0].Why != "it rained" || s.Applications[1].State != OnGreen {
		t.Errorf("after the return: %+v", s.Applications)
	}
	finishes(t, m, "freeze/one")
	state(Frozen)
}

func TestStatusOfAnOldOutlineIsThatOfItsRun(t *testing.T) {
	file := load(t, named)
	m := opened(t, file)
	note(t, m, noteOutline, m.outline())
	// The file has lost an application since: the journal tells what was run.
	file.Applications = file.Applications[:1]
	s, err := Inspect(file, Options{}).Status()
	if err != nil || len(s.Applications) != 2 {
		t.Errorf("status shows %+v, %v", s, err)
	}
	raw, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(raw), `"state":"pending"`) {
		t.Errorf("%s, %v", raw, err)
	}
}

// Green sleeps and accepts nothing before blue wakes, and before either the name leads to blue.
func TestI07_GoingBackStopsGreenBeforeBlueIsThawed(t *testing.T) {
	m := opened(t, load(t, named))
	turn := m.turns()[0]
	if got := names(m.wayBack(turn, returning{}, m.journal.Stage)); len(got) > 0 {
		t.Errorf("nothing has begun, and %v is taken back", got)
	}
	plans(t, m, "freeze/one")
	if got := names(m.wayBack(turn, returning{}, m.journal.Stage)); !slices.Equal(got, []string{"thaw/one"}) {
		t.Errorf("a freeze is taken back by %v", got)
	}
	plans(t, m, "start/one", "swap/one")
	want := []string{"return/one", "return-settle/one", "stop/one", "thaw/one"}
	if got := names(m.wayBack(turn, returning{}, m.journal.Stage)); !slices.Equal(got, want) {
		t.Errorf("the way back is %v, want %v", got, want)
	}
}

func TestAReturnThatWasKilledIsFoundAndAFinishedOneIsNot(t *testing.T) {
	m := opened(t, load(t, named))
	open := func(want bool) {
		t.Helper()
		if got, found := m.unfinishedReturn(); found != want || found && got.Cause != "it rained" {
			t.Errorf("unfinished return: %+v, %v, want %v", got, found, want)
		}
	}
	open(false)
	for range 2 { // a turn may go back more than once
		note(t, m, noteReturning, returning{Turn: "wave 1: one", Cause: "it rained"})
		open(true)
		note(t, m, noteReturned, returned{App: "one"})
		open(false)
	}
	// A return of a turn that the file has no more is not passed over: somebody may still be frozen.
	note(t, m, noteReturning, returning{Turn: "wave 1: gone", Cause: "it rained"})
	open(true)
	err := m.finishReturn(t.Context(), returning{Turn: "wave 1: gone"}, errors.New("it rained"))
	if err == nil || !strings.Contains(err.Error(), "put the applications of that wave back") {
		t.Errorf("err = %v", err)
	}
}

// The next run finishes the return before anything else, and says what it was.
func TestARunAfterAKilledReturnFinishesItFirst(t *testing.T) {
	m := openedWith(t, load(t, strings.Replace(named, "directory: state", "directory: state, url: kept", 1)), Options{OpenBucket: inMemory(t)})
	if err := m.begin(t.Context()); err != nil { // the lease is in the state store: there is no blue here
		t.Fatal(err)
	}
	// All of the way back was done, and the process died before it said so.
	finishes(t, m, "freeze/one", "start/one", "swap/one", "return/one", "return-settle/one", "stop/one", "thaw/one")
	note(t, m, noteReturning, returning{Turn: "wave 1: one", Cause: "it rained", ByItself: true})
	_, err := m.Run(t.Context(), RunOptions{})
	var back *ReturnedError
	if !errors.As(err, &back) || back.Incomplete != nil || !slices.Equal(back.Apps, []string{"one"}) || back.Cause.Error() != "it rained" {
		t.Fatalf("err = %#v", err)
	}
	if m.journal.Stage("preflight").Plan != "" {
		t.Error("the run went on to other stages")
	}
	if _, found := m.unfinishedReturn(); found {
		t.Error("the return is still open")
	}
	log, lerr := m.log()
	if lerr != nil {
		t.Fatal(lerr)
	}
	if _, broke := m.brokeOff(log, 1); !broke || !strings.Contains(err.Error(), "it is not tried again without a word: `crossfade run --approve 1`") {
		t.Errorf("no person asked for it: %v, %v", broke, err)
	}
}

// A turn that went back is forgotten as a whole: were a part of the way back left as done, a second breach would leave blue
// frozen.
func TestWhatWentBackIsForgottenAsAWhole(t *testing.T) {
	m := opened(t, load(t, named))
	turn := m.turns()[0]
	var all []string
	for _, s := range m.pipeline() {
		if s.turn == turn.name {
			all = append(all, s.name)
		}
	}
	all = append(all, "return/one", "return-settle/one", "stop/one", "thaw/one")
	finishes(t, m, "export")
	finishes(t, m, all...)
	if _, err := m.forget(turn, returning{Cause: "it rained"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if s := m.journal.Stage(name); s.Plan != "" || s.Finished {
			t.Errorf("%s is still known: %+v", name, s)
		}
	}
	if !m.journal.Stage("export").Finished {
		t.Error("what is not of the turn was forgotten too")
	}
}

// Whoever went back says how long caches may still lead to green, with the sum: in the error, in the note of the return, in what
// receivers are told, and in the rollback's report. Where the name never moved nothing is said.
func TestC26_GoingBackSaysHowLongClientsMayStillComeToGreen(t *testing.T) {
	m := opened(t, load(t, named))
	turn := m.turns()[0]
	seen := time.Date(2026, 3, 1, 16, 59, 12, 0, time.UTC)
	plans(t, m, "return/one")
	back := cutover.ReturnResult{App: "one", Names: []cutover.Moved{{
		App: "one", Name: "one.apps.test.", Seen: cutover.Seen{At: seen},
		Change: zone.Change{Old: []zone.RRset{{Name: "one.apps.test.", Type: "CNAME", TTL: 3, Data: []string{"green.lb.test."}}}},
	}}}
	if err := m.journal.Finish("return/one", back); err != nil {
		t.Fatal(err)
	}
	caches, err := m.cachesOf(turn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.forget(turn, returning{Cause: "it rained"}, caches); err != nil {
		t.Fatal(err)
	}
	const want = "caches that honour TTLs may lead clients of one to green until 16:59:20 (16:59:12 + 3s TTL + 5s margin = 16:59:20)"
	if text := (&ReturnedError{Apps: []string{"one"}, Cause: errors.New("it rained"), Caches: caches}).Error(); !strings.Contains(text, want) {
		t.Errorf("the error says %q", text)
	}
	report, err := m.rollbackReport(rollback{})
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	if err := report.Print(&printed); err != nil || !strings.Contains(printed.String(), want) {
		t.Errorf("the report says %v\n%s", err, printed.String())
	}
	var told []notify.Message
	stages := m.pipeline()
	m.journal.View(func(log *journal.Log) { told = m.eventsOf(log, stages) })
	if len(told) != 1 || !strings.Contains(told[0].Text, want) {
		t.Errorf("receivers are told %+v", told)
	}
	if caches, err := m.cachesOf(turn); err != nil || len(caches) != 0 {
		t.Errorf("without a return: %v, %v", caches, err)
	}
}

// The names of every application of a turn go back, and receivers are told of the caches of each: of this return, and of no earlier one.
func TestC26_ReceiversAreToldOfTheCachesOfAWholeTurn(t *testing.T) {
	m := opened(t, load(t, shared))
	turn, ok := m.turnNamed("wave 1: media")
	if !ok || !slices.Equal(turn.names(), []string{"media", "texts", "pages"}) {
		t.Fatalf("the turn has %v", turn.names())
	}
	wait := func(app string, ttl time.Duration) cutover.Wait {
		from := time.Date(2026, 3, 1, 16, 0, 0, 0, time.UTC)
		return cutover.Wait{App: app, Text: "sum of " + app, From: from, Until: from.Add(ttl)}
	}
	for _, caches := range [][]cutover.Wait{{wait("pages", time.Hour)}, {wait("texts", time.Minute), wait("media", time.Second)}} {
		if _, err := m.forget(turn, returning{Cause: "it rained"}, caches); err != nil {
			t.Fatal(err)
		}
	}
	stages := m.pipeline()
	var told []notify.Message
	m.journal.View(func(log *journal.Log) { told = m.eventsOf(log, stages) })
	if len(told) != 2 || !strings.HasSuffix(told[0].Text, "it rained; "+mayLead(wait("pages", time.Hour))) ||
		!strings.HasSuffix(told[1].Text, "it rained; "+mayLead(wait("media", time.Second))+"; "+mayLead(wait("texts", time.Minute))) {
		t.Errorf("receivers are told %+v", told)
	}
}

func TestFailuresDecideWhetherAnApplicationGoesBack(t *testing.T) {
	m := opened(t, load(t, named))
	fake := clock.NewFake(time.Now())
	m.opts.Clock = fake
	cause := errors.New("it rained")
	find := func(name string) stage {
		stages := m.pipeline()
		return stages[slices.IndexFunc(stages, func(s stage) bool { return s.name == name })]
	}
	stays := func(ctx context.Context, name string) {
		t.Helper()
		if err := m.failed(ctx, find(name), cause); err != cause { //nolint:errorlint // it must be the very cause
			t.Errorf("%s: %v, want the cause alone", name, err)
		}
	}
	stays(t.Context(), "restore")    // no application is in its turn
	stays(t.Context(), "freeze/one") // nothing of the turn has touched blue
	finishes(t, m, "freeze/one")
	stays(t.Context(), "drain/one") // green has passed its soak
	stopped, stop := context.WithCancel(t.Context())
	stop()
	stays(stopped, "soak/one") // stopped from outside: the next run goes on
	var back *ReturnedError
	if err := m.failed(t.Context(), find("soak/one"), cause); !errors.As(err, &back) || !errors.Is(err, cause) {
		t.Errorf("a breach gives %v", err)
	}
	if how, found := m.unfinishedReturn(); !found || !how.ByItself {
		t.Errorf("a breach is noted as %+v", how)
	}
	// Blue is out of reach here: the way back is tried again, and not for ever.
	if waits := fake.Slept(); back.Incomplete == nil || len(waits) < 3 || len(waits) > 20 {
		t.Errorf("the way back ended with %v after the pauses %v", back.Incomplete, waits)
	}
}

func TestASecondOpenSaysWhoHoldsTheMigration(t *testing.T) {
	file := load(t, named)
	opened(t, file)
	_, err := Open(file, Options{Actor: "bob@desk"})
	var held *HeldError
	if !errors.As(err, &held) || !strings.HasPrefix(held.Holder, "ann@desk, process ") {
		t.Errorf("err = %v", err)
	}
	if _, err := Inspect(file, Options{}).Status(); err != nil {
		t.Errorf("a held migration shows no status: %v", err)
	}
}

func TestStatusBeforeTheFirstRun(t *testing.T) {
	s, err := Inspect(load(t, named), Options{}).Status()
	if err != nil || s.Begun || s.Next != "preflight" || s.Applications[0].State != OnBlue {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := Inspect(load(t, named), Options{}).Report(); !errors.Is(err, journal.ErrNone) {
		t.Errorf("a report without a journal: %v", err)
	}
}
