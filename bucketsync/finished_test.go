package bucketsync

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// stretchOf is how long stretches are here.
const stretchOf = 100

// brokenRig is a sync of n objects that was broken off when so many were copied.
func brokenRig(t *testing.T, n, after int) (r *rig, from, to *paged) {
	t.Helper()
	r, from, to = newPagedRig(t)
	from.size, to.size, r.opts.stretch = 20, 20, stretchOf
	for i := range n {
		r.from.write(t, fmt.Sprintf("k%06d", i), "x")
	}
	p := r.plan(t)
	r.opts.Concurrency = 1 // one span, so that it is known what is finished
	var puts atomic.Int64
	gone := errors.New("the run was broken off")
	r.to.before = func(op, key string) error {
		if op == "put" && key == "k000050" {
			return bucket.ErrDenied // the stretch that it lies in is not finished
		}
		if op == "put" && puts.Add(1) > int64(after) {
			return fmt.Errorf("%w: %w", gone, bucket.ErrDenied)
		}
		return nil
	}
	from.page = func(opts bucket.ListOptions, _ []bucket.Object) error {
		if puts.Load() > int64(after) {
			return gone // so that it is the walk that ends
		}
		return nil
	}
	if _, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts); err == nil {
		t.Fatal("the sync came to its end")
	}
	r.to.before, from.page, r.opts.Concurrency = nil, nil, 0
	return r, from, to
}

// listedKeys counts the keys that listings of a side show from now on, but for probes.
func listedKeys(side *paged) *atomic.Int64 {
	var n atomic.Int64
	side.page = func(opts bucket.ListOptions, _ []bucket.Object) error {
		if opts.Limit == 0 {
			n.Add(int64(side.size))
		}
		return nil
	}
	return &n
}

func TestB20_NoFinishedRangeIsListedAgain(t *testing.T) {
	const n = 4*stretchOf + 50
	r, from, _ := brokenRig(t, n, 3*stretchOf)
	raw, err := os.ReadFile(r.opts.Manifest + ".finished")
	if err != nil || strings.Count(string(raw), "\n") < 2 {
		t.Fatalf("%s, %v", raw, err)
	}
	listed := listedKeys(from)
	const looks = 100 // pages that are begun within a finished range, or read ahead of it
	p := r.plan(t)
	planned, err := PlannedOf(p)
	if err != nil || planned.Resumed < stretchOf {
		t.Fatalf("%+v, %v", planned, err)
	}
	if total := listed.Load(); total > n-planned.Resumed+looks {
		t.Errorf("the plan listed %d keys, and %d of %d were finished", total, planned.Resumed, n)
	}
	listed.Store(0)
	result, err := Apply(t.Context(), p, &plan.MemoryRecorder{}, r.opts)
	if err != nil || result.Resumed != planned.Resumed {
		t.Fatalf("%+v, %v", result, err)
	}
	if total := listed.Load(); total > n-planned.Resumed+looks {
		t.Errorf("the run listed %d keys, and %d of %d were finished", total, planned.Resumed, n)
	}
	r.wantEqual(t)
	if _, err := os.Stat(r.opts.Manifest + ".finished"); err == nil {
		t.Error("the list of what is finished outlives its pass")
	}
	if again := r.mustSync(t); again.Resumed != 0 || again.Skipped != n {
		t.Errorf("the run after it: %+v", again)
	}
}

// What a finished range lost or changed since is seen by a final sync, which believes no run but its own.
func TestB06_AFinalSyncLooksAtFinishedRangesToo(t *testing.T) {
	const n = 3*stretchOf + 50
	r, _, _ := brokenRig(t, n, 2*stretchOf+30)
	// Both lie in the second stretch: the first has k000050 in it, and is not finished.
	r.from.write(t, "k000107", "y")
	r.to.remove(t, "k000108")
	// Behind the finished ranges nothing is left to do, so that the pass that leaves them out finds nothing.
	for _, key := range r.from.keys(t) {
		if _, err := r.to.Head(t.Context(), key); err != nil && key != "k000108" {
			r.from.remove(t, key)
		}
	}
	r.opts.Final = true
	result := r.mustSync(t)
	if result.Resumed == 0 || !result.Proof.Equal {
		t.Errorf("%+v", result)
	}
	r.wantEqual(t)
}

// A list that is old, of another choice, torn, or no longer true leaves nothing out.
func TestB20_WhatIsFinishedIsBelievedOnlyWhereItHolds(t *testing.T) {
	const n = 4*stretchOf + 50
	for name, spoil := range map[string]func(t *testing.T, r *rig){
		"old": func(_ *testing.T, r *rig) {
			r.opts.Clock = clock.NewFake(time.Unix(1_700_000_000, 0).Add(finishedFor + time.Minute))
		},
		"another choice": func(_ *testing.T, r *rig) { r.opts.Filter.Exclude = []string{"nothing"} },
		"no list": func(t *testing.T, r *rig) {
			if err := os.WriteFile(r.opts.Manifest+".finished", []byte("{\"form"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"an emptied destination": func(t *testing.T, r *rig) {
			for _, key := range r.to.keys(t) {
				r.to.remove(t, key)
			}
		},
		"another key behind it": func(t *testing.T, r *rig) {
			for i := range n { // behind whatever stretch there is
				r.from.write(t, fmt.Sprintf("k%06d-", i), "x")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, _ := brokenRig(t, n, 3*stretchOf)
			planned, err := PlannedOf(r.plan(t))
			if err != nil || planned.Resumed == 0 {
				t.Fatalf("before it is spoiled, the list is not believed: %+v, %v", planned, err)
			}
			spoil(t, r)
			if result := r.mustSync(t); result.Resumed != 0 {
				t.Errorf("%+v", result)
			}
			r.wantEqual(t)
		})
	}
}
