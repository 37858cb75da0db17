package cloudflare_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/zonetest"
)

// TestC19_AStaleBatchFailsAsAWhole: a stale writer has read the name and its fence, and is stopped just before its batch;
// the fence is taken over, or used by another process with the same token; then nothing of its batch is made.
func TestC19_AStaleBatchFailsAsAWhole(t *testing.T) {
	from, to := set("CNAME", 60, blue), set("CNAME", 60, green)
	for what, meanwhile := range map[string]func(w *world, fence zone.Fence){
		"taken over": func(w *world, _ zone.Fence) { w.claim("present", "stale") },
		"used": func(w *world, fence zone.Fence) {
			w.swap(change(fence, sets(from), sets(set("CNAME", 60, "other.lb.test."))))
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.put(from)
			stale := w.claim("stale", "")
			raced := false
			w.fake.Hook(func(r *http.Request) {
				if isBatch(r) && !raced {
					raced = true
					meanwhile(w, stale)
				}
			})
			_, err := w.driver().Swap(t.Context(), change(stale, sets(from), sets(to)))
			if what == "used" {
				if !errors.Is(err, zone.ErrMoved) || errors.Is(err, zone.ErrUncertain) {
					t.Errorf("Swap returned %v, want ErrMoved", err)
				}
				w.holds("CNAME other.lb.test")
				return
			}
			var fenced *zone.FencedError
			if !errors.As(err, &fenced) || fenced.Found != "present" {
				t.Errorf("Swap returned %v, want a FencedError that found the new owner", err)
			}
			w.holds("CNAME blue.lb.test")
		})
	}
}

// TestC19_NoUpdateIsLost: each writer replaces what it read by a record of its own. Every change that was made replaced
// another one's New, and no New was replaced twice.
func TestC19_NoUpdateIsLost(t *testing.T) {
	for _, fenced := range []bool{true, false} {
		w := newWorld(t)
		w.put(set("CNAME", 60, blue), zone.RRset{Name: "mail.apps.test.", Type: "MX", TTL: 60, Data: []string{"10 mx.test."}})
		race := zonetest.ChainRace{Name: name, From: blue, Each: 6}
		if fenced {
			race.Fence = w.claim("one", "")
		}
		for range 16 {
			race.Writers = append(race.Writers, w.driver())
		}
		w.holds("CNAME " + strings.TrimSuffix(race.Run(t), "."))
		if got, err := w.fake.Query(t.Context(), "mail.apps.test.", "MX"); err != nil || got.Data[0] != "10 mx.test." {
			t.Errorf("another's record: %v, %v", got, err)
		}
	}
}

// TestC19_OneFirstClaimWins: with no token there whose ID could be a condition, and after a release that was broken off.
func TestC19_OneFirstClaimWins(t *testing.T) {
	const writers = 8
	w := newWorld(t)
	w.put(set("CNAME", 60, blue))
	at, err := zone.FenceName(name, apex)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		if round%2 == 1 { // the lock alone is left
			w.put(zone.RRset{Name: at, Type: "TXT", TTL: 60, Data: []string{`"crossfade-fence"`}})
		}
		errs := make([]error, writers)
		var group errgroup.Group
		for i := range writers {
			d := w.driver()
			group.Go(func() error {
				errs[i] = d.Claim(t.Context(), name, zone.Fence{Name: at, Token: fmt.Sprintf("w%d", i)}, "")
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		winner := ""
		for i, err := range errs {
			if err == nil && winner != "" {
				t.Errorf("two claims won")
			}
			if err == nil {
				winner = fmt.Sprintf("w%d", i)
			} else if !errors.Is(err, zone.ErrFenced) {
				t.Errorf("a loser got %v", err)
			}
		}
		got, err := w.zone.Lookup(t.Context(), at, "TXT")
		if err != nil || len(got.Data) != 1 || got.Data[0] != `"`+winner+`"` {
			t.Fatalf("the fence holds %v, %v, and %s won", got, err, winner)
		}
		if err := w.zone.Release(t.Context(), zone.Fence{Name: at, Token: winner}); err != nil {
			t.Fatal(err)
		}
		if left := w.fake.At(at); len(left) != 0 {
			t.Fatalf("the release left %v", left)
		}
	}
}

// TestANewNameOfTwoIsNobodys: without a fence nothing can keep two writers from making the same new name; neither is told
// that it did, and no mixture stays.
func TestANewNameOfTwoIsNobodys(t *testing.T) {
	w := newWorld(t)
	raced := false
	w.fake.Hook(func(r *http.Request) {
		if isBatch(r) && !raced {
			raced = true
			w.put(set("A", 60, "192.0.2.99"))
		}
	})
	if _, err := w.zone.Swap(t.Context(), change(zone.Fence{}, nil, sets(set("A", 60, "192.0.2.1")))); !errors.Is(err, zone.ErrMoved) || errors.Is(err, zone.ErrUncertain) {
		t.Errorf("Swap returned %v, want ErrMoved", err)
	}
	w.holds("A 192.0.2.99")
}

// TestC04_LostRepliesAreReadBack: a request is carried out and its answer never comes.
func TestC04_LostRepliesAreReadBack(t *testing.T) {
	from, to := set("CNAME", 60, blue), set("CNAME", 60, green)
	for _, fenced := range []bool{true, false} {
		w := newWorld(t)
		w.put(from)
		lost := 0
		lose := func(r *http.Request) bool {
			if isBatch(r) {
				lost++
				return true
			}
			return false
		}
		var fence zone.Fence
		if fenced {
			w.fake.Lose(lose)
			fence = w.claim("one", "")
		}
		w.fake.Lose(lose)
		result := w.swap(change(fence, sets(from), sets(to)))
		if !result.Recovered || !result.Applied || result.Attempts != 1 || lost == 0 {
			t.Errorf("fenced %t: %+v, %d lost", fenced, result, lost)
		}
		w.holds("CNAME green.lb.test")
		if fenced {
			if err := w.zone.Release(t.Context(), fence); err != nil {
				t.Error(err)
			}
		}
	}
	// Nothing can be read any more: nobody knows.
	w := newWorld(t)
	w.put(from)
	wrote := false
	w.fake.Refuse(func(r *http.Request) int {
		wrote = wrote || isBatch(r)
		if wrote {
			return http.StatusBadGateway
		}
		return 0
	})
	if _, err := w.zone.Swap(t.Context(), change(zone.Fence{}, sets(from), sets(to))); !errors.Is(err, zone.ErrUncertain) {
		t.Errorf("got %v, want ErrUncertain", err)
	}
}

// TestProbeFindsOut: an API that passes over IDs that are gone is found out, and one where the token may only read.
func TestProbeFindsOut(t *testing.T) {
	w := newWorld(t)
	w.put(set("CNAME", 60, blue))
	if err := w.zone.Probe(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	w.fake.Refuse(func(r *http.Request) int {
		if isBatch(r) {
			return http.StatusForbidden
		}
		return 0
	})
	if err := w.zone.Probe(t.Context(), name); !errors.Is(err, zone.ErrDenied) {
		t.Errorf("without the permission to write: %v", err)
	}
	w.fake.Refuse(nil)
	w.fake.IgnoreMissing()
	if err := w.zone.Probe(t.Context(), name); !errors.Is(err, zone.ErrConditionsIgnored) {
		t.Errorf("without conditions: %v", err)
	}
	w.holds("CNAME blue.lb.test")
}
