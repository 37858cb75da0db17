package network

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
	"github.com/crossfade-project/crossfade/e2e/trial"
)

// seedVariable repeats the choice of an earlier test.
const seedVariable = "CROSSFADE_NETWORK_SEED"

// chance is how many cuts are chosen.
const chance = 4

// A run that is cut off from one server waits, goes on or stops with a word about it, never hangs, and a further run reaches
// what an unbroken one reaches. `make network` plays every cut.
func TestI08_ACutNetworkStopsNothingForEver(t *testing.T) {
	if testing.Short() {
		t.Skip("starts API servers")
	}
	if ok, reason := install.CanBuild(); !ok {
		t.Skip(reason)
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	w, err := trial.Start(t.Context(), trial.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	var missing *install.MissingError
	if errors.As(err, &missing) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p := New(w, Options{Parallel: chance, Say: t.Logf})
	if err := p.Reference(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := Cuts()
	rnd := rand.New(rand.NewPCG(seed, 0))
	var chosen []Cut
	for _, i := range rnd.Perm(len(all))[:chance] {
		chosen = append(chosen, all[i])
	}
	t.Logf("%s=%d chooses %v", seedVariable, seed, chosen)
	err = p.Play(t.Context(), chosen, func(out Outcome) {
		t.Logf("%s: exit code %d after %s, %d further calls, %d connections met it", out.Cut, out.Code, out.Took.Round(time.Second), out.Calls, out.Met)
		if !out.Converged {
			t.Errorf("%s (%s=%d): %s", out.Cut, seedVariable, seed, out.Why)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
