package zonetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-project/crossfade/cutover/zone"
)

// A ChainRace is writers, each with a driver of its own as another process would have it, that replace a CNAME by turns.
type ChainRace struct {
	// Name is the name that changes, and From the target that it has at first.
	Name, From string
	// Fence that all of them hold; the zero one where they hold none.
	Fence zone.Fence
	// Writers are their drivers. Each makes Each changes.
	Writers []zone.Zone
	Each    int
}

// Run lets them race, and demands that no update is lost: each writer replaces what it read by a record of its own, so every change
// that was made replaced another one's New, and no New was replaced twice. It returns the target that the last change left.
func (r ChainRace) Run(t *testing.T) string {
	t.Helper()
	var mu sync.Mutex
	next := map[string]string{} // from what to what
	note := func(from, to string) {
		mu.Lock()
		defer mu.Unlock()
		if other, twice := next[from]; twice {
			t.Errorf("%s was replaced by %s and by %s", from, other, to)
		}
		next[from] = to
	}
	var group errgroup.Group
	for i, z := range r.Writers {
		group.Go(func() error {
			for done := 0; done < r.Each; {
				now, err := z.Lookup(t.Context(), r.Name, "CNAME")
				if err != nil {
					return err
				}
				to := set(r.Name, "CNAME", 60, fmt.Sprintf("w%d-%d.lb.test.", i, done))
				c := change(one(now), one(to))
				c.Fence = r.Fence
				_, err = z.Swap(t.Context(), c)
				// Another writer may have replaced it before it was read back.
				if made := err == nil || errors.Is(err, zone.ErrUncertain); made {
					note(now.Data[0], to.Data[0])
					done++
				} else if !errors.Is(err, zone.ErrMoved) {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	at, links := r.From, 0
	for next[at] != "" {
		at, links = next[at], links+1
	}
	if want := len(r.Writers) * r.Each; links != want {
		t.Errorf("the chain of changes has %d links, want %d", links, want)
	}
	return at
}
