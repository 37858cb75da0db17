// Command kill kills a migration at every record of its journal, runs it again or rolls it back each time, and compares
// what is left with an unbroken run, or with blue as it was.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/e2e/kill"
	"github.com/crossfade-project/crossfade/e2e/program"
	"github.com/crossfade-project/crossfade/e2e/shard"
	"github.com/crossfade-project/crossfade/e2e/trial"
)

type options struct {
	dir      string
	parallel int
	shard    shard.Shard
	say      func(format string, args ...any)
	only     string
	again    bool
	ways     string
	set      string
}

func main() {
	o := options{say: program.SayTo(os.Stdout)}
	flag.StringVar(&o.dir, "dir", ".kill", "folder for results and for what is left of points that fail")
	flag.IntVar(&o.parallel, "parallel", 8, "trials at once")
	flag.Var(&o.shard, "shard", "which part of the points: 2/3 is the second of three")
	flag.StringVar(&o.only, "only", "", "a regular expression of the points' names")
	flag.StringVar(&o.set, "set", "", "whole: whole migrations; cutover: cutovers with waves; empty is both")
	flag.StringVar(&o.ways, "ways", "", "comma-separated, of whole migrations: "+fmt.Sprint(kill.Ways())+"; empty is all")
	flag.BoolVar(&o.again, "again", false, "also those that have converged before")
	flag.Parse()
	program.Main("kill", func(ctx context.Context) error { return run(ctx, o) })
}

func run(ctx context.Context, o options) (err error) {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	world, err := trial.Start(ctx, trial.Options{Log: program.Log()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Stop(context.WithoutCancel(ctx))) }()
	results, err := kill.OpenResults(o.dir, world.Program)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, results.Close()) }()
	killer := kill.New(world, kill.Options{Parallel: o.parallel, Keep: filepath.Join(o.dir, "failed"), Say: o.say})
	for _, set := range o.sets() {
		err = errors.Join(err, o.play(ctx, killer, set, only, results))
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

// A set is what one summary counts.
type set struct {
	title     string
	ways      []kill.Way
	reference func(context.Context, *kill.Killer) (kill.Reference, error)
}

func (o options) sets() []set {
	ways := kill.Ways()
	if o.ways != "" {
		ways = nil
		for way := range strings.SplitSeq(o.ways, ",") {
			ways = append(ways, kill.Way(way))
		}
	}
	both := []set{
		{"kill-cutover", kill.CutoverWays(), func(ctx context.Context, k *kill.Killer) (kill.Reference, error) { return k.CutoverReference(ctx) }},
		{"kill", ways, func(ctx context.Context, k *kill.Killer) (kill.Reference, error) { return k.Reference(ctx, ways...) }},
	}
	switch o.set {
	case "cutover":
		return both[:1]
	case "whole":
		return both[1:]
	}
	return both
}

// play kills at the points of one set that are asked for.
func (o options) play(ctx context.Context, killer *kill.Killer, s set, only *regexp.Regexp, results *kill.Results) error {
	o.say("%s: an unbroken run, to compare with", s.title)
	ref, err := s.reference(ctx, killer)
	if err != nil {
		return err
	}
	var chosen []kill.Point
	for _, p := range ref.Points {
		if p.In(o.shard) && only.MatchString(p.String()) {
			chosen = append(chosen, p)
		}
	}
	kill.Mix(chosen)
	return report(ctx, o, killer, s, ref, chosen, results)
}

// report kills at the points that have not converged before, and counts all.
func report(ctx context.Context, o options, killer *kill.Killer, s set, ref kill.Reference, chosen []kill.Point, results *kill.Results) error {
	var todo []kill.Point
	points, converged := map[kill.Way]int{}, map[kill.Way]int{}
	for _, p := range chosen {
		points[p.Way]++
		if !o.again && results.Converged(p) {
			converged[p.Way]++
			continue
		}
		todo = append(todo, p)
	}
	o.say("%d points %v, %d of them have converged before (%s)", len(chosen), points, len(chosen)-len(todo), results.Path)
	began, done, more := time.Now(), 0, 0
	err := killer.Kill(ctx, ref, todo, func(out kill.Outcome) error {
		done++
		if out.Converged {
			converged[out.Point.Way]++
		} else {
			o.say("FAILED %s: %s", out.Point, out.Why)
		}
		if out.Calls > 1 {
			more++
		}
		if done%10 == 0 || done == len(todo) {
			each := time.Since(began) / time.Duration(done)
			o.say("%d of %d, %.1f a minute, %s left", done, len(todo), float64(time.Minute)/float64(each), (each * time.Duration(len(todo)-done)).Round(time.Second))
		}
		return results.Add(out)
	})
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted after %d of %d points: the same command goes on from there", done, len(todo))
	}
	if err != nil {
		return err
	}
	if more > 0 {
		o.say("%d points took more than one call after the kill", more)
	}
	all, good := 0, 0
	var parts []string
	for _, way := range s.ways {
		all, good = all+points[way], good+converged[way]
		parts = append(parts, fmt.Sprintf("%s %d of %d", way, converged[way], points[way]))
	}
	o.say("%s; in %s", strings.Join(parts, ", "), time.Since(began).Round(time.Second))
	fmt.Printf("%s: %d points, %d converged\n", s.title, all, good)
	if good != all {
		return fmt.Errorf("%d points did not converge: look into %s", all-good, filepath.Join(o.dir, "failed"))
	}
	return nil
}
