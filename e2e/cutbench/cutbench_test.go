package cutbench

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
)

// The benchmark runs through, at a small size: the names of real servers go to green and come back. What it measures on a busy
// machine is nobody's promise, so that no time is judged here. The plan is part of it where the command has been built.
func TestTheBenchmarkRunsThrough(t *testing.T) {
	if testing.Short() {
		t.Skip("starts name servers")
	}
	in, err := install.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = in.Debian(t.Context(), Packages()...)
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Dir: t.TempDir(), Apps: 8, Zones: 4, Rounds: 2, Swaps: 4, Returns: 2, Lanes: 2, Delay: 200 * time.Millisecond, Say: t.Logf}
	targets := 2
	program, err := filepath.Abs("../../bin/crossfade")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := install.CanBuild(); ok {
		if _, err := os.Stat(program); err == nil {
			opts.Program, opts.Plans, targets = program, 1, 4
		}
	}
	verdicts, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(verdicts) != targets {
		t.Errorf("%d targets were judged, want %d: %v", len(verdicts), targets, verdicts)
	}
}

func TestPercentiles(t *testing.T) {
	var all times
	for i := range 200 {
		all = append(all, time.Duration(200-i)*time.Second)
	}
	for percent, want := range map[int]time.Duration{50: 100 * time.Second, 99: 198 * time.Second, 100: 200 * time.Second} {
		if got := all.at(percent); got != want {
			t.Errorf("p%d of 1 s to 200 s is %s, want %s", percent, got, want)
		}
	}
	if got := (times{time.Second}).at(99); got != time.Second {
		t.Errorf("p99 of one is %s", got)
	}
}
