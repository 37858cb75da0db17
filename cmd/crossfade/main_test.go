package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
)

// TestMain makes the command two programs that scripts call, crossfade and kubectl-crossfade: copies of the test binary
// whose main is the command's own.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"crossfade": main, "kubectl-crossfade": main})
}

// envWorld holds the world in which the tests of this package run, for them alone.
const envWorld = "CROSSFADE_TEST_WORLD"

// startLimit bounds how long the world may take to start: the first time, the clusters' programs are built.
const startLimit = 20 * time.Minute

// suite starts one world for all tests of a run.
type suite struct{ m *testing.M }

// Run implements testscript.TestingM.
func (s suite) Run() int {
	flag.Parse()
	// Scripts wait for TTLs most of the time: more of them than there are processors can be under way.
	if f := flag.Lookup("test.parallel"); f != nil && os.Getenv("GOMAXPROCS") == "" {
		if err := f.Value.Set("6"); err != nil {
			return failed(err)
		}
	}
	ok, reason := install.CanBuild()
	if testing.Short() {
		ok, reason = false, "-short: it starts API servers, name servers and a store"
	}
	if !ok {
		return s.in(world{Skip: reason})
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	dir, err := os.MkdirTemp("", "crossfade-scripts-")
	if err != nil {
		return failed(err)
	}
	r := &running{dir: dir}
	w, err := r.start(ctx)
	code := 1
	if err == nil {
		code = s.in(w)
	}
	if err = errors.Join(err, r.stop(context.Background()), os.RemoveAll(dir)); err != nil {
		return failed(err)
	}
	return code
}

// in runs the tests in a world.
func (s suite) in(w world) int {
	raw, err := json.Marshal(w)
	if err == nil {
		err = os.Setenv(envWorld, string(raw))
	}
	if err != nil {
		return failed(err)
	}
	return s.m.Run()
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "the world of the tests:", err)
	return 1
}

// theWorld returns the world of this run, or skips the test with the reason why there is none.
func theWorld(t testing.TB) world {
	t.Helper()
	var w world
	if err := json.Unmarshal([]byte(os.Getenv(envWorld)), &w); err != nil {
		t.Fatal(err)
	}
	if w.Skip != "" {
		t.Skip(w.Skip)
	}
	return w
}
