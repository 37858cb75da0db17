package kill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/trial"
	"github.com/crossfade-project/crossfade/internal/fault"
	"github.com/crossfade-project/crossfade/internal/journal"
)

// seedVariable repeats the choice of an earlier test.
const seedVariable = "CROSSFADE_KILL_SEED"

// chance is how many points are chosen by the seed, over all ways.
const chance = 30

// world is what the tests of this package share, once one of them has asked for it.
type world struct {
	killer *Killer
	ref    Reference
	chosen []Point
	seed   uint64
}

// stopShared ends the world, if there is one.
var stopShared func() error

var shared = sync.OnceValues(func() (*world, error) {
	ctx := context.Background()
	w, err := trial.Start(ctx, trial.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return nil, err
	}
	stopShared = func() error { return w.Stop(context.WithoutCancel(ctx)) }
	s := &world{
		killer: New(w, Options{Parallel: 6, Say: func(format string, args ...any) { _, _ = fmt.Fprintf(os.Stderr, format+"\n", args...) }}),
		seed:   uint64(time.Now().UnixNano()),
	}
	if text := os.Getenv(seedVariable); text != "" {
		if s.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return s, fmt.Errorf("%s: %w", seedVariable, err)
		}
	}
	if s.ref, err = s.killer.Reference(ctx, Ways()...); err != nil {
		return s, err
	}
	s.chosen = oneOfEach(s.ref.Points)
	rnd := rand.New(rand.NewPCG(s.seed, 0))
	for _, i := range rnd.Perm(len(s.ref.Points))[:chance] {
		if !slices.Contains(s.chosen, s.ref.Points[i]) {
			s.chosen = append(s.chosen, s.ref.Points[i])
		}
	}
	return s, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if stopShared != nil {
		if err := stopShared(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// theWorld returns what the tests share, or skips the test.
func theWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("runs many migrations")
	}
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	s, err := shared()
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kill kills at the chosen points of some ways.
func kill(t *testing.T, ways ...Way) {
	t.Helper()
	s := theWorld(t)
	t.Logf("seed: %d (%s=%d chooses the same points again)", s.seed, seedVariable, s.seed)
	var list []Point
	for _, p := range s.chosen {
		if slices.Contains(ways, p.Way) {
			list = append(list, p)
		}
	}
	if len(list) < 3 {
		t.Fatalf("only %d points are chosen of %d", len(list), len(s.ref.Points))
	}
	killAll(t, s.killer, s.ref, list)
}

// A step that was killed anywhere and is run again reaches what an unbroken one does, with nothing doubled.
func TestRunKilledAnywhereEndsAsAnUnbrokenOneDoes(t *testing.T) { kill(t, Resume) }

// A cutover with waves, killed anywhere, leaves no name without an answer or half on one side; run again or rolled back, the zone is in the one
// valid state. The seed chooses five trials that are killed time and again, and three that are rolled back; make kill takes all.
func TestI02_ACutoverKilledAnywhereLeavesTheZoneInOneValidState(t *testing.T) {
	s := theWorld(t)
	t.Logf("seed: %d (%s=%d chooses the same points again)", s.seed, seedVariable, s.seed)
	ref, err := s.killer.CutoverReference(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(ref.Points) < 200 {
		t.Errorf("a cutover has only %d points", len(ref.Points))
	}
	rnd := rand.New(rand.NewPCG(s.seed, 0))
	of := map[Way][][]Point{}
	for _, chain := range chains(ref.Points) {
		of[chain[0].Way] = append(of[chain[0].Way], chain)
	}
	var list []Point
	for _, way := range CutoverWays() {
		if len(of[way]) == 0 {
			t.Fatalf("no point is of the way %s", way)
		}
		list = append(list, of[way][rnd.IntN(len(of[way]))]...)
	}
	killAll(t, s.killer, ref, list)
}

// killAll kills at points and wants every one to converge.
func killAll(t *testing.T, killer *Killer, ref Reference, list []Point) {
	t.Helper()
	converged := 0
	err := killer.Kill(t.Context(), ref, list, func(out Outcome) error {
		if out.Converged {
			converged++
		} else {
			t.Errorf("%s: %s", out.Point, out.Why)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kill: %d points, %d converged", len(list), converged)
}

// Blue's specs and records are what they were, wherever the run or the rollback itself was killed.
func TestI06_RollbackGivesBlueBackWhereverItWasKilled(t *testing.T) { kill(t, Back, BackAgain) }

func TestPointsNameEachRecordOnce(t *testing.T) {
	records := func(trial, hash string) []journal.Record {
		name, start := "swap/shop/shop."+trial+".apps.test.", "start/shop/x@"+hash
		return []journal.Record{
			{Seq: 1, Kind: journal.KindOpened},
			{Seq: 2, Kind: journal.KindIntent, Stage: "swap/shop", Change: name},
			{Seq: 3, Kind: journal.KindDone, Stage: "swap/shop", Change: name},
			{Seq: 4, Kind: journal.KindIntent, Stage: "start/shop", Change: start},
			{Seq: 5, Kind: journal.KindNoted, Stage: "idle-sample"},
			{Seq: 6, Kind: journal.KindNoted, Stage: "idle-sample"},
			{Seq: 7, Kind: journal.KindNoted, Stage: "idle-sample"},
		}
	}
	list := points(Resume, "t-1", records("t-1", "0123abcd"))
	if other := points(Resume, "t-2", records("t-2", "abcd0123")); !slices.Equal(list, other) {
		t.Errorf("two trials have the points\n%v and\n%v", list, other)
	}
	var got []string
	for _, p := range list {
		got = append(got, p.Spec("t-3"))
	}
	want := []string{
		`kill before "kind":"opened" #1`,
		`kill after "kind":"intent","stage":"swap/shop","change":"swap/shop/shop.t-3.apps.test." #1`,
		`kill before "kind":"done","stage":"swap/shop","change":"swap/shop/shop.t-3.apps.test." #1`,
		`kill after "kind":"intent","stage":"start/shop","change":"start/shop/x@ #1`,
		`kill before "kind":"noted","stage":"idle-sample" #1`,
		`kill before "kind":"noted","stage":"idle-sample" #2`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the faults are\n%q, want\n%q", got, want)
	}
}

func TestChainsHoldEachPointOnceAndKeepItsOrder(t *testing.T) {
	var list []Point
	for i := range 30 {
		for _, way := range CutoverWays() {
			list = append(list, Point{Way: way, Record: fmt.Sprint(i), Nth: 1, Seq: uint64(i), Alone: i != 7})
		}
	}
	seen := map[string]int{}
	for _, chain := range chains(list) {
		if len(chain) > chainOf || len(chain) > 1 && !chain[0].Way.chained() {
			t.Errorf("a chain of %d kills of the way %s", len(chain), chain[0].Way)
		}
		for i, p := range chain {
			if seen[p.String()]++; i > 0 && (p.Way != chain[0].Way || p.Seq <= chain[i-1].Seq || !p.Alone) {
				t.Errorf("%s follows %s", p, chain[i-1])
			}
		}
	}
	for _, p := range list {
		if seen[p.String()] != 1 {
			t.Errorf("%s is killed %d times", p, seen[p.String()])
		}
	}
}

func TestOneOfEachKindIsChosenOfEveryWay(t *testing.T) {
	var all []Point
	for _, way := range Ways() {
		var records []journal.Record
		for _, kind := range []journal.Kind{journal.KindOpened, journal.KindPlanned, journal.KindIntent, journal.KindDone, journal.KindFinished, journal.KindNoted} {
			records = append(records, journal.Record{Kind: kind, Stage: "a"}, journal.Record{Kind: kind, Stage: "b"})
		}
		all = append(all, points(way, "t-1", records)...)
	}
	kinds, ways := map[journal.Kind]int{}, map[Way]int{}
	for _, p := range oneOfEach(all) {
		kinds[p.Kind]++
		ways[p.Way]++
	}
	if len(kinds) != 6 || len(ways) != 3 {
		t.Errorf("chosen are the kinds %v of the ways %v", kinds, ways)
	}
}

func TestSomePointsAreTorn(t *testing.T) {
	var records []journal.Record
	for i := range 300 {
		records = append(records, journal.Record{Kind: journal.KindDone, Stage: "restore", Change: fmt.Sprint("restore/", i)})
	}
	torn := 0
	for _, p := range points(Resume, "t-1", records) {
		if p.Moment == fault.Torn {
			torn++
		}
	}
	if torn < 20 || torn > 80 {
		t.Errorf("%d of 300 points are torn, want about one in %d", torn, tornEvery)
	}
}
