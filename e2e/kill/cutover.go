package kill

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/e2e/shard"
	"github.com/crossfade-project/crossfade/e2e/trial"
	"github.com/crossfade-project/crossfade/internal/journal"
)

// Exit codes that a cutover ends with on its way: see docs/cli.md.
const (
	exitReturned = 4
	exitPaused   = 11
)

// legs are the calls of a cutover: the first stops before the wave that must be approved.
func legs() [][]string {
	return [][]string{{"run", "--yes"}, {"run", "--yes", "--approve", "2"}}
}

// Where the applications are once the shop has gone back by itself: the wave after it has not begun.
func backFromWave2() map[string]string {
	return map[string]string{"": "green", "shop": "blue", "last": "blue"}
}

func all(side string) map[string]string { return map[string]string{"": side} }

// ends calls the command and demands an exit code.
func ends(ctx context.Context, t *trial.Trial, code int, args ...string) error {
	r, err := t.Run(ctx, trial.Fault{}, args...)
	if err == nil && r.Code != code {
		err = fmt.Errorf("crossfade %s: exit code %d, want %d: %s", strings.Join(args, " "), r.Code, code, lastLine(r.Stderr))
	}
	return err
}

// CutoverReference takes a cutover to its end, and back; another one to the breach of its second wave, and on from there; and one in one
// cluster to its end, and back. Points are the records from the lowering of TTLs on, and of the breach and the way back.
func (k *Killer) CutoverReference(ctx context.Context) (Reference, error) {
	ref := Reference{Entries: &Reference{}}
	breached := func(ctx context.Context, t *trial.Trial) error { return k.breached(ctx, t, &ref) }
	unbroken := func(ref *Reference, ways ...Way) func(context.Context, *trial.Trial) error {
		return func(ctx context.Context, t *trial.Trial) error { return k.unbroken(ctx, t, ref, ways) }
	}
	for _, part := range []struct {
		begin func(context.Context) (*trial.Trial, error)
		play  func(context.Context, *trial.Trial) error
	}{
		{k.cutover, unbroken(&ref, CutoverResume, CutoverBack, CutoverBackAgain)},
		{k.cutover, breached},
		{k.entries, unbroken(ref.Entries, EntriesResume, EntriesBack, EntriesBackAgain)},
	} {
		t, err := part.begin(ctx)
		if err != nil {
			return ref, err
		}
		if err := part.play(ctx, t); err != nil {
			return ref, err
		}
		if err := t.Close(ctx); err != nil {
			return ref, err
		}
	}
	ref.Points = append(ref.Points, ref.Entries.Points...)
	return ref, nil
}

// unbroken takes a trial to its end and back. The ways are those of a run that goes on, of one that is rolled back, and of the rollback.
func (k *Killer) unbroken(ctx context.Context, t *trial.Trial, ref *Reference, ways []Way) error {
	var err error
	if ref.First, err = t.Blue(ctx); err != nil {
		return err
	}
	seen := 0
	for i, leg := range legs() {
		if err := ends(ctx, t, []int{exitPaused, 0}[i], leg...); err != nil {
			return fmt.Errorf("the unbroken cutover: %w", err)
		}
		records, err := recordsOf(t)
		if err != nil {
			return err
		}
		list := records[seen:]
		seen = len(records)
		ref.Points = append(ref.Points, pointsFrom(ways[0], i, t.Name, list, i == 1, journal.KindPlanned, "ttl")...)
		ref.Points = append(ref.Points, some(pointsFrom(ways[1], i, t.Name, list, i == 1, journal.KindPlanned, "ttl"))...)
	}
	if ref.End, err = trial.Settled(ctx, t.Fingerprint); err != nil {
		return err
	}
	if err := stands(ctx, t, all("green"), true, "green"); err != nil {
		return fmt.Errorf("the unbroken cutover: %w", err)
	}
	if err := ends(ctx, t, 0, rollback()...); err != nil {
		return fmt.Errorf("the unbroken rollback: %w", err)
	}
	records, err := recordsOf(t)
	if err != nil {
		return err
	}
	ref.Points = append(ref.Points, pointsFrom(ways[2], 0, t.Name, records[seen:], true, "", "")...)
	return stands(ctx, t, all("blue"), false, "blue")
}

// breached takes a trial to its breach and, mended, to its end.
func (k *Killer) breached(ctx context.Context, t *trial.Trial, ref *Reference) error {
	if err := t.Break(); err != nil {
		return err
	}
	calls := legs()
	if err := ends(ctx, t, exitPaused, calls[0]...); err != nil {
		return fmt.Errorf("the cutover before its breach: %w", err)
	}
	before, err := recordsOf(t)
	if err != nil {
		return err
	}
	if err := ends(ctx, t, exitReturned, calls[1]...); err != nil {
		return fmt.Errorf("the cutover with a breach: %w", err)
	}
	records, err := recordsOf(t)
	if err != nil {
		return err
	}
	ref.Points = append(ref.Points, pointsFrom(BreachResume, 1, t.Name, records[len(before):], false, journal.KindPlanned, "soak/shop")...)
	ref.Points = append(ref.Points, some(pointsFrom(BreachBack, 1, t.Name, records[len(before):], false, journal.KindPlanned, "soak/shop"))...)
	if ref.Breached, err = trial.Settled(ctx, t.Fingerprint); err != nil {
		return err
	}
	if err := stands(ctx, t, backFromWave2(), true, "blue"); err != nil {
		return fmt.Errorf("after the breach: %w", err)
	}
	if err := t.Mend(); err != nil {
		return err
	}
	if err := ends(ctx, t, 0, calls[1]...); err != nil {
		return fmt.Errorf("the cutover after its breach: %w", err)
	}
	return stands(ctx, t, all("green"), true, "green")
}

func recordsOf(t *trial.Trial) ([]journal.Record, error) {
	log, err := journal.Read(filepath.Dir(t.Journal()))
	if err != nil {
		return nil, err
	}
	return log.Records, nil
}

// pointsFrom are the points of one call's records; unless it is counted from its beginning, from a record on.
func pointsFrom(way Way, leg int, name string, records []journal.Record, whole bool, kind journal.Kind, stage string) []Point {
	var from uint64
	for _, r := range records {
		if r.Kind == kind && r.Stage == stage {
			from = r.Seq
			break
		}
	}
	times := map[string]int{}
	found := points(way, name, records) // which of equal ones a record is counts from the call's first
	for _, p := range found {
		times[p.Record]++
	}
	var list []Point
	for _, p := range found {
		p.Leg, p.Alone = leg, times[p.Record] == 1
		if whole || from > 0 && p.Seq >= from {
			list = append(list, p)
		}
	}
	return list
}

// backEvery is how many records there are, about, for one after which a cutover is rolled back.
const backEvery = 4

// some are the points at which a run is killed and rolled back, which cannot be done twice in one trial.
func some(list []Point) []Point {
	return slices.DeleteFunc(list, func(p Point) bool { return shard.Spread("back "+p.Record, backEvery) != 0 })
}

// chainOf is how many kills one trial of a cutover bears at most.
const chainOf = 12

// chains says which points share a trial. Of a cutover one and the same run is killed, goes on, and is killed again further on: then the zone
// is looked at after each kill, and what is left at the end. Kills of a chain lie as far apart as they can. Whatever else is
// killed has a trial of its own; so has a record that a call writes several times, since which of them it is would no longer be known.
func chains(list []Point) [][]Point {
	var out [][]Point
	byWay := map[Way][]Point{}
	for _, p := range list {
		if p.Alone && p.Way.chained() {
			byWay[p.Way] = append(byWay[p.Way], p)
			continue
		}
		out = append(out, []Point{p})
	}
	for _, way := range CutoverWays() {
		points := byWay[way]
		slices.SortFunc(points, func(a, b Point) int { return cmp.Compare(a.Seq, b.Seq) })
		n := (len(points) + chainOf - 1) / chainOf
		for i := range n {
			var chain []Point
			for at := i; at < len(points); at += n {
				chain = append(chain, points[at])
			}
			out = append([][]Point{chain}, out...) // the longest first
		}
	}
	return out
}

// stands says what is wrong with the zone of a trial at rest, and with the files of the side that serves the shop.
func stands(ctx context.Context, t *trial.Trial, where map[string]string, fenced bool, shop string) error {
	s, err := t.Standing(ctx)
	if err != nil {
		return err
	}
	if wrong := s.On(where, fenced); wrong != "" {
		return fmt.Errorf("the zone is in no valid state: %s", wrong)
	}
	return t.Kept(shop)
}

// convergeCutover kills a cutover at each point of a chain, looks at the zone as each kill has left it, calls the command until it
// ends well, and compares.
func (k *Killer) convergeCutover(ctx context.Context, ref Reference, t *trial.Trial, chain []Point, out *Outcome) (diff string, err error) {
	way := chain[0].Way
	if way == BreachResume || way == BreachBack {
		if err := t.Break(); err != nil {
			return "", err
		}
	}
	done := 0 // calls that have ended well
	for i, p := range chain {
		if done, err = k.killCutover(ctx, t, p, i, done); err != nil {
			return "", fmt.Errorf("%s: %w", p, err)
		}
		s, err := t.Standing(ctx)
		if err != nil {
			return "", err
		}
		if len(s.Wrong) > 0 {
			return "", fmt.Errorf("right after the kill at %s: %s", p, strings.Join(s.Wrong, "; "))
		}
	}
	out.Calls++
	switch way {
	case CutoverResume, EntriesResume:
		return k.forward(ctx, ref, t)
	case BreachResume:
		return k.throughBreach(ctx, ref, t)
	}
	if err := ends(ctx, t, 0, rollback()...); err != nil {
		return "", err
	}
	if err := stands(ctx, t, all("blue"), false, "blue"); err != nil {
		return "", err
	}
	return differs(ctx, ref.First, t.Blue)
}

// killCutover takes a trial to the call that is killed, and kills it.
func (k *Killer) killCutover(ctx context.Context, t *trial.Trial, p Point, nth, done int) (int, error) {
	calls := legs()
	kill, before := calls[p.Leg], p.Leg
	switch {
	case p.Way == CutoverBackAgain || p.Way == EntriesBackAgain:
		kill, before = rollback(), len(calls)
	case p.Way == BreachResume && nth > 0:
		kill = calls[0] // it is approved; a second approval would begin the wave again that has gone back
	}
	for ; done < before; done++ {
		if err := ends(ctx, t, []int{exitPaused, 0}[done], calls[done]...); err != nil {
			return done, err
		}
	}
	r, err := t.Run(ctx, trial.Fault{Spec: p.Spec(t.Name)}, kill...)
	if err == nil && !r.Killed {
		err = fmt.Errorf("it was not killed: the record never came; exit code %d: %s", r.Code, lastLine(r.Stderr))
	}
	return done, err
}

// forward goes on to the end; a pause for the approval is no failure.
func (k *Killer) forward(ctx context.Context, ref Reference, t *trial.Trial) (diff string, err error) {
	r, err := t.Run(ctx, trial.Fault{}, legs()[0]...)
	if err != nil {
		return "", err
	}
	switch r.Code {
	case 0:
	case exitPaused:
		if err := ends(ctx, t, 0, legs()[1]...); err != nil {
			return "", err
		}
	default:
		return "", fmt.Errorf("the run after the kill: exit code %d: %s", r.Code, lastLine(r.Stderr))
	}
	if err := stands(ctx, t, all("green"), true, "green"); err != nil {
		return "", err
	}
	return differs(ctx, ref.End, t.Fingerprint)
}

// throughBreach goes on until the shop is back on blue, and, mended, to the end. A run that finds it back already pauses: what was
// approved of its wave did not hold.
func (k *Killer) throughBreach(ctx context.Context, ref Reference, t *trial.Trial) (diff string, err error) {
	r, err := t.Run(ctx, trial.Fault{}, legs()[0]...)
	if err != nil {
		return "", err
	}
	if r.Code != exitReturned && r.Code != exitPaused {
		return "", fmt.Errorf("the run after the kill: exit code %d, want %d or %d: %s", r.Code, exitReturned, exitPaused, lastLine(r.Stderr))
	}
	if err := stands(ctx, t, backFromWave2(), true, "blue"); err != nil {
		return "", fmt.Errorf("after the breach: %w", err)
	}
	if diff, err := differs(ctx, ref.Breached, t.Fingerprint); err != nil || diff != "" {
		return diff, err
	}
	if err := t.Mend(); err != nil {
		return "", err
	}
	if err := ends(ctx, t, 0, legs()[1]...); err != nil {
		return "", err
	}
	if err := stands(ctx, t, all("green"), true, "green"); err != nil {
		return "", err
	}
	return differs(ctx, ref.End, t.Fingerprint)
}

func differs(ctx context.Context, want trial.Fingerprint, take func(context.Context) (trial.Fingerprint, error)) (string, error) {
	got, err := trial.Becomes(ctx, want, settleLimit, take)
	return trial.Diff(want, got), err
}
