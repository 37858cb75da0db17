package synckill

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
)

// seedVariable repeats the choice of an earlier test.
const seedVariable = "CROSSFADE_KILL_SEED"

// points is how many kills the test makes; make kill makes more.
const points = 20

// TestB20_ASyncThatIsKilledGoesOn kills twenty syncs, chosen by a seed.
func TestB20_ASyncThatIsKilledGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command")
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", seedVariable, seed)
	to := []Destination{Fake, Directory}
	if ok, reason := install.CanBuild(); ok {
		to = append(to, MinIO)
	} else {
		t.Logf("without MinIO: %s", reason)
	}
	k, err := Start(t.Context(), Options{Dir: t.TempDir(), Program: os.Getenv("CROSSFADE_PROGRAM"), Seed: seed, To: to, Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	kills := 0
	err = k.Kill(t.Context(), Points(seed, points, to...), func(o Outcome) {
		kills += o.Kills
		if o.Err != nil {
			t.Errorf("%s: %v", o.Point, o.Err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if kills < points/2 {
		t.Errorf("only %d of the runs were killed", kills)
	}
	t.Logf("%d points, %d kills", points, kills)
}
